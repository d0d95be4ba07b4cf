"""How good an autoencoder is on a split. N examples of D numbers, Z latent numbers, S samples of a code."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from lab.data.loaded import NUMBERS, Data

from . import bounds
from .learners import Draws, Reconstructor, Variational

AT_ONCE = 500                     # samples of a code that are decoded together


@dataclass
class Judge:
    """An evaluator: the same random numbers at every call; `prefix` before each name."""

    learner: Reconstructor
    data: Data
    split: str
    prefix: str = ""

    def __call__(self) -> Mapping[str, Any]:
        found = dict[str, list[Tensor]]()
        for x, label, draws in self.parts():
            with torch.no_grad():
                terms = self.learner.terms(x, label, draws)
            error = (self.learner.net.likelihood.mean(terms["said"]) - terms["target"]).square().flatten(1).mean(-1)
            for name, value in {**terms, "mse": error}.items():
                if name in ("reconstruction", "kl", "code", "mse"):
                    found.setdefault(name, []).append(value)
        return {f"{self.prefix}{name}": float(value)
                for name, value in self.metrics({name: torch.cat(each) for name, each in found.items()}).items()}

    def names(self) -> list[str]:
        """Of what it will find."""
        return ["loss", "mse"]

    def metrics(self, found: Mapping[str, Tensor]) -> dict[str, Any]:
        """Of what `Reconstructor.terms` finds of all N examples."""
        return {"loss": found["reconstruction"].mean(), "mse": found["mse"].mean()}

    def parts(self, size: int = 0) -> Iterator[tuple[Tensor, Tensor | None, Draws]]:
        """Examples and labels of the whole split in its order, with the random numbers that belong to them."""
        draws = self.learner.draws(len(self.data.splits[self.split]), self.data.compute.rng(f"evaluate/{self.split}"))
        start = 0
        for batch in self.data.batches(self.split, size):
            end = start + len(batch["x"])
            label = batch["y"] if self.learner.net.classes else None
            yield batch["x"], label, {name: each[start:end] for name, each in draws.items()}
            start = end


@dataclass
class BoundJudge(Judge):
    """The evidence lower bound in its parts and, with `samples`, the importance-weighted one, which is tighter."""

    learner: Variational
    samples: int = 0

    def names(self) -> list[str]:
        return list(self.metrics({name: torch.zeros(2, 1) for name in ("reconstruction", "kl", "code", "mse")}))

    def metrics(self, found: Mapping[str, Tensor]) -> dict[str, Any]:
        nats, kl = float(found["reconstruction"].mean()), float(found["kl"].sum(-1).mean())
        told = {"loss": nats + self.learner.cfg.beta * kl, "mse": found["mse"].mean(), "elbo/reconstruction": nats,
                "elbo/kl": kl, "active_units": bounds.active(found["code"]), **self.both("elbo", nats + kl)}
        return {**told, **(self.both("iwae", self.bound()) if self.samples else {})}

    def both(self, name: str, nats: float) -> dict[str, float]:
        dims = torch.Size(self.learner.target.shape).numel()
        return {f"{name}/nats": nats, f"{name}/bits_per_dim": bounds.bits_per_dim(nats, dims)}

    def bound(self) -> float:
        """The mean over the split of the negative importance-weighted bound with `samples` codes, in nats."""
        rng, learner, total = self.data.compute.rng(f"importance/{self.split}"), self.learner, 0.0
        together = min(self.samples, AT_ONCE)
        rounds = [min(AT_ONCE, self.samples - done) for done in range(0, self.samples, AT_ONCE)]
        size = max(NUMBERS // (together * torch.Size(learner.target.shape).numel()), 1)
        for x, label, draws in self.parts(size):
            target = learner.target(x, draws)
            weights = torch.cat([learner.log_weights(target, label, count, rng) for count in rounds], -1)     # [B, S]
            total -= float(bounds.importance_bound(weights.double()).sum())
        return total / len(self.data.splits[self.split])
