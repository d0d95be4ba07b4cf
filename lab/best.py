"""The best evaluation of a run: its checkpoint is kept, and a run may end when none has been better for a while."""

from collections.abc import Mapping
from typing import Any, ClassVar

from .errors import LabError, nearest
from .state import Saved

SMALLER = ("loss", "rmse", "mae", "mse", "ece", "error", "nats", "perplexity", "inertia")     # better when smaller


class Best(Saved):
    """By the metric eval/`metric`, the greatest; the least where its name says that this is better. "": none."""

    saved: ClassVar[tuple[str, ...]] = ("value", "count", "waited")

    def __init__(self, metric: str = "", patience: int | None = None):
        self.metric, self.patience = metric.removeprefix("eval/"), patience
        self.value, self.count, self.waited = float("nan"), -1, 0        # waited: evaluations since then
        self.sign = -1 if set(self.metric.split("/")) & set(SMALLER) else 1

    def look(self, found: Mapping[str, float], count: int) -> bool:
        """Whether this evaluation is the best so far. Raises LabError where it has no such metric."""
        if not self.metric:
            return False
        names = [name.removeprefix("eval/") for name in found if name.startswith("eval/")]
        if self.metric not in names:
            raise LabError(f"evaluate.metric={self.metric} is in no evaluation. {nearest(self.metric, names)}")
        value = found[f"eval/{self.metric}"]
        better = value == value and not self.sign * value <= self.sign * self.value         # the first is nan
        if better:
            self.value, self.count = value, count
        self.waited = 0 if better else self.waited + 1
        return better

    @property
    def over(self) -> bool:
        return self.patience is not None and self.waited >= self.patience

    def describe(self) -> dict[str, Any]:
        """For run.json."""
        return {"metric": self.metric, "value": self.value, "count": self.count} if self.count >= 0 else {}
