"""Stable-Baselines3's train as learners. T steps, N environments, K gradient steps, B rows."""

import math
import re
from collections.abc import Mapping
from operator import attrgetter
from typing import Any, ClassVar

import torch
from stable_baselines3.common.logger import Logger
from torch import Tensor

from lab.compute import Compute
from lab.contract import Batch, Learner, Metrics
from lab.errors import Diverged

from .held import Held
from .streams import ROLLOUT, Drawn, Model

FIRST = ("loss/critic", "loss/value", "loss/total")           # the loss that says how well the values fit


class Trained(Learner):
    """An algorithm of Stable-Baselines3: its networks, and train() for one batch."""

    saved: ClassVar[tuple[str, ...]] = ("weights", "optimizers", "n_updates")
    n_updates = Held("_n_updates")

    def __init__(self, model: Model, compute: Compute):
        self.model, self.compute = model, compute
        model.set_logger(Logger(folder=None, output_formats=[]))
        names, tensors = model._get_torch_save_params()
        parts = {name: attrgetter(name)(model) for name in (*names, *tensors)}
        self.optimizers = {name: part for name, part in parts.items() if name.endswith("optimizer")}
        self.weights = {name: part for name, part in parts.items() if not name.endswith("optimizer")}
        self.parameters = [*model.policy.parameters(), *(attrgetter(name)(model) for name in tensors)]

    def greedy(self, obs: Tensor) -> Tensor:
        """obs [N, ...] -> action [N, ...] as the environment takes it: clipped, or scaled to its bounds."""
        actions, _ = self.model.predict(obs.cpu().numpy(), deterministic=True)
        return torch.from_numpy(actions).to(obs.device)

    def update(self, batch: Batch) -> Metrics:
        """Raises Diverged where a weight is not finite afterwards."""
        try:
            self.train(batch)
        except ValueError:                    # of a distribution that was given what is no number
            self.fail_if_diverged()
            raise
        self.fail_if_diverged()
        return self.metrics()

    def train(self, batch: Batch) -> None:
        raise NotImplementedError

    def fail_if_diverged(self) -> None:
        largest = torch.stack(torch._foreach_norm([each.detach() for each in self.parameters], math.inf))
        if not largest.isfinite().all():
            raise Diverged(f"a weight was not finite after update {self.compute.now():,}")

    def metrics(self) -> Metrics:
        """What train() logged. Losses are loss/NAME, the others have Stable-Baselines3's names."""
        found = {renamed(name): float(value) for name, value in self.model.logger.name_to_value.items()}
        if math.isnan(found.get("train/explained_variance", 0)):          # of returns that are all the same
            found["train/explained_variance"] = 0.0
        first = next(name for name in FIRST if name in found)
        names = sorted(found, key=lambda name: (name != first, name))
        values = torch.tensor([found[name] for name in names], device=self.model.device).unbind()
        return dict(zip(names, values, strict=True))

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Raises ValueError where it is of another kind of entropy coefficient."""
        if (was := list(state.get("weights", ()))) != (here := list(self.weights)):
            raise ValueError(f"it holds {', '.join(was)}, this run has {', '.join(here)}")
        super().load_state_dict(state)


class OnPolicy(Trained):
    """Learns from a rollout [T, N, ...]."""

    def train(self, batch: Batch) -> None:
        buffer = self.model.rollout_buffer
        for name, array in ROLLOUT.items():
            setattr(buffer, array, batch[name].cpu().numpy())
        buffer.full, buffer.generator_ready = True, False
        self.model.train()


class OffPolicy(Trained):
    """Learns from K minibatches [K, B, ...]."""

    def train(self, batch: Batch) -> None:
        steps, size = batch["reward"].shape[:2]
        self.model.replay_buffer = Drawn(batch)
        self.model.train(gradient_steps=steps, batch_size=size)


class Delayed(OffPolicy):
    """Whose actor learns only now and then: in between its last losses are shown, 0 before the first."""

    saved = (*OffPolicy.saved, "written")

    def __init__(self, model: Model, compute: Compute):
        super().__init__(model, compute)
        learned = getattr(model, "ent_coef_optimizer", None) is not None
        for name in ("actor_loss", "ent_coef_loss") if learned else ("actor_loss",):
            model.logger.record(f"train/{name}", 0.0)

    @property
    def written(self) -> dict[str, float]:
        return {name: float(value) for name, value in self.model.logger.name_to_value.items()}

    @written.setter
    def written(self, values: Mapping[str, float]) -> None:
        self.model.logger.name_to_value.update(values)


def renamed(name: str) -> str:
    """train/value_loss -> loss/value, train/loss -> loss/total."""
    found = re.fullmatch(r"train/(?:(.+)_)?loss", name)
    return f"loss/{found[1] or 'total'}" if found else name
