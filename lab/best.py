"""The best evaluation of a run: its checkpoint is kept, and a run may end when none has been better for a while."""

import logging
from collections.abc import Iterable, Mapping
from typing import Any, ClassVar

from .errors import LabError, closest
from .state import Saved

LOG = logging.getLogger("lab")
SMALLER = ("loss", "rmse", "mae", "mse", "ece", "error", "nats", "perplexity", "inertia", "bits_per_dim", "kl",
           "bits_per_byte", "error_rate",
           "reconstruction", "frechet", "frechet_real", "fid", "class_kl", "duplicates")        # better when smaller


def unknown(metric: str, names: Iterable[str]) -> str:
    """What there is to say of a `metric` that evaluations do not have, when they have `names`."""
    return f"evaluate.metric={metric} is in no evaluation. {closest(metric.removeprefix('eval/'), names)}"


class Best(Saved):
    """By the metric eval/`metric`, the greatest; the least where its name says that this is better. "": none."""

    saved: ClassVar[tuple[str, ...]] = ("metric", "value", "count", "waited")

    def __init__(self, metric: str = "", patience: int | None = None):
        self.metric, self.patience = metric.removeprefix("eval/"), patience
        self.value, self.count, self.waited = float("nan"), -1, 0        # waited: evaluations since then
        self.sign = -1 if set(self.metric.split("/")) & set(SMALLER) else 1

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """By another metric than before nothing is known: it begins anew."""
        if state.get("metric") == self.metric:
            super().load_state_dict(state)
        elif state.get("metric"):
            LOG.warning("evaluate.metric was %s, and is %s now: what was best is forgotten", state["metric"],
                        self.metric or "none")

    def look(self, found: Mapping[str, float], count: int) -> bool:
        """Whether this evaluation is the best so far. Raises LabError where it has no such metric."""
        if not self.metric:
            return False
        names = [name.removeprefix("eval/") for name in found if name.startswith("eval/")]
        if self.metric not in names:
            raise LabError(f"{unknown(self.metric, names)} Add evaluate.metric=NAME to what goes on")
        value = found[f"eval/{self.metric}"]
        better = value == value and not self.sign * value <= self.sign * self.value         # the first is nan
        if better:
            self.value, self.count = value, count
        self.waited = 0 if better else self.waited + 1
        return better

    @property
    def over(self) -> bool:
        return self.patience is not None and self.waited >= self.patience

    def ending(self) -> str:
        return f"no better {self.metric} in {self.waited} evaluations"

    def describe(self) -> dict[str, Any]:
        """For run.json."""
        return {"metric": self.metric, "value": self.value, "count": self.count} if self.count >= 0 else {}
