"""One update is one fit. N examples of the training split, B of any, D numbers each, K classes or targets."""

import copy
import functools
import logging
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from threadpoolctl import ThreadpoolController
from torch import Tensor, nn

from lab.contract import Batch, Learner, Metrics
from lab.data.loaded import Data
from lab.data.shuffled import Shuffled
from lab.errors import ResumeError

from .methods import Estimator, Make, numbers

LOG = logging.getLogger("lab")
LOOK = 10_000                     # examples of the training split from which an update is measured, at most
PART = 4096                       # examples prepared together


class Whole(Shuffled):
    """The training split in its own order: a fit may depend on the order, and every fit is to be the same."""

    def order(self, epoch: int) -> Tensor:
        return torch.arange(self.n)                                                         # [N]


class Answers(nn.Module):
    """What a network is to others: [B, ...] as the data has them to [B, K], by an estimator behind the preparation."""

    def __init__(self, front: nn.Module, learner: "Fitted", wide: bool):
        super().__init__()
        self.wide = wide
        self.front, self.answer = front, learner.answer

    def rows(self, x: Tensor) -> np.ndarray:
        """[B, ...] to [B, D] float32, on the host."""
        with torch.no_grad(), torch.autocast("cpu", enabled=False):
            return torch.cat([self.front(part).flatten(1) for part in x.cpu().split(PART)]).numpy()

    def forward(self, x: Tensor, length: Tensor | None = None) -> Tensor:
        found = torch.from_numpy(self.answer(self.rows(x)))
        return (found if self.wide else found.float()).to(x.device)


class Fitted(Learner):
    """Fits an estimator to all examples at once.

    The estimator follows from the data, the settings and the seed. These are the state: what a checkpoint has is fitted
    again before it is used, to the bit where scikit-learn and the machine are the same.
    """

    saved = ("data", "settings", "seed", "learned")
    needs_data = True

    def __init__(self, name: str, make: Make, settings: Mapping[str, Any], data: Data, stream: Whole):
        self.name, self.make, self.source, self.compute = name, make, data, data.compute
        self.data, self.settings, self.seed = stream.data, dict(settings), data.compute.seed_for(name)
        self.learned = 0                          # numbers that the fit has learned; 0: there was none yet
        self.held: Estimator = None
        self.net = Answers(copy.deepcopy(data.front[0]).cpu(), self, data.about.wide)

    @property
    def model(self) -> Estimator:
        """The estimator, fitted. Raises RuntimeError where nothing was learned yet."""
        if not self.learned:
            raise RuntimeError(f"{self.name} is not fitted yet")
        if self.held is None:
            LOG.info("%s is fitted again to the training split, as it was at the checkpoint", self.name)
            learned = self.learned
            self.fit(*self.examples("train"))
            if self.learned != learned:
                LOG.warning("%s has learned %d numbers at the checkpoint and %d now: scikit-learn or the machine is "
                            "another", self.name, learned, self.learned)
        return self.held

    def examples(self, split: str) -> tuple[np.ndarray, np.ndarray | None]:
        """All of a split: inputs [B, D], targets [B] or [B, K] where there are any."""
        batches = [(self.net.rows(batch["x"]), batch.get("y")) for batch in self.source.batches(split)]
        x, y = zip(*batches, strict=True)
        return np.concatenate(x), None if y[0] is None else torch.cat(y).cpu().numpy()

    def update(self, batch: Batch) -> Metrics:
        x, y = self.net.rows(batch["x"]), batch["y"].cpu().numpy() if "y" in batch else None
        self.fit(x, y)
        rows = np.linspace(0, len(x) - 1, min(len(x), LOOK)).astype(int)
        with self.limited():
            told = self.measured(x[rows], None if y is None else y[rows])
        if (steps := getattr(self.held, "n_iter_", None)) is not None:
            told["fit/iterations"] = float(np.max(steps))
        return {name: torch.tensor(value, device=self.compute.device) for name, value in told.items()}

    def fit(self, x: np.ndarray, y: np.ndarray | None) -> None:
        made = self.make(self.seed, max(self.compute.threads, 1))
        with self.limited(), told_in_the_log(self.name):
            self.learn(made, x, y)
        if "n_jobs" in made.get_params():
            made.set_params(n_jobs=1)             # several threads add up what trees say in no fixed order
        self.held, self.learned = made, numbers(made)

    def answer(self, x: np.ndarray) -> np.ndarray:
        """[B, D] to [B, K]."""
        model = self.model
        with self.limited():
            return self.said(model, x)

    @contextmanager
    def limited(self) -> Iterator[None]:
        """The threads of the run; one for OpenMP, whose threads add up in no fixed order."""
        with libraries().limit(limits={"blas": max(self.compute.threads, 1), "openmp": 1}):
            yield

    def num_parameters(self) -> int:
        return self.learned

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Raises ResumeError where it would be another model."""
        if state["data"] != self.data:
            raise ResumeError("the training data has changed since the checkpoint, and the model would be another: put "
                              "back the files that the run began with, or start a new run")
        other = [f"{name}={value}, and is {self.settings.get(name)} now" for name, value in state["settings"].items()
                 if value != self.settings.get(name)]
        if other or state["seed"] != self.seed:
            raise ResumeError(f"{self.name} was fitted with {', '.join(other) or 'another seed'}; start a new run")
        if not state["learned"]:
            self.held = None
        super().load_state_dict(state)

    def learn(self, model: Estimator, x: np.ndarray, y: np.ndarray | None) -> None:
        """Fit a new estimator to [N, D] and the targets [N] or [N, K]."""
        raise NotImplementedError

    def said(self, model: Estimator, x: np.ndarray) -> np.ndarray:
        """Of inputs [B, D] what `net` answers, [B, K]."""
        raise NotImplementedError

    def measured(self, x: np.ndarray, y: np.ndarray | None) -> dict[str, float]:
        """After a fit, of some of its examples: "loss/train" and more."""
        raise NotImplementedError


@functools.cache
def libraries() -> ThreadpoolController:
    """Those in this process that have threads; scikit-learn has loaded its own by now."""
    return ThreadpoolController()


@contextmanager
def told_in_the_log(name: str) -> Iterator[None]:
    """Warnings, such as that a method has not converged, in one line each."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", UserWarning)          # also scikit-learn's ConvergenceWarning
        yield
    for line in dict.fromkeys(str(each.message).strip().split("\n")[0].rstrip(":") for each in caught):
        LOG.warning("%s: %s", name, line)
