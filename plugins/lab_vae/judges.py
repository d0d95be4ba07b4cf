"""How good an autoencoder is on a split. N examples of D numbers, Z latent numbers, S samples of a code."""

import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import islice, repeat
from typing import Any, ClassVar

import torch
from torch import Tensor

from lab import signals
from lab.data.loaded import Data
from lab.modules import evaluating

from . import bounds
from .codebook import perplexity
from .learners import Draws, Reconstructor
from .variational import Variational
from .vectors import Vectors

Part = tuple[Tensor, Tensor | None, Draws]    # examples [B, ...], their labels [B], their random numbers
AT_ONCE = 1_000                   # codes that are decoded together


@dataclass
class Judge:
    """An evaluator: the same random numbers at every call; `prefix` before each name."""

    learner: Reconstructor
    data: Data
    split: str
    prefix: str = ""
    kept: ClassVar[tuple[str, ...]] = ("reconstruction", "mse")       # of `Reconstructor.terms`

    def __call__(self) -> Mapping[str, Any]:
        return self.of(self.parts())

    def of(self, parts: Iterable[Part]) -> Mapping[str, Any]:
        found = dict[str, list[Tensor]]()
        for x, label, draws in parts:
            with torch.no_grad():
                terms = self.learner.terms(x, label, draws)
            error = (self.learner.net.likelihood.mean(terms["said"]) - terms["target"]).square().flatten(1).mean(-1)
            for name, value in {**terms, "mse": error}.items():
                if name in self.kept:
                    found.setdefault(name, []).append(value)
        return {f"{self.prefix}{name}": float(value)
                for name, value in self.metrics({name: torch.cat(each) for name, each in found.items()}).items()}

    def names(self) -> list[str]:
        """Of what it will find, by a first batch."""
        with evaluating([self.learner.net]):
            return list(self.of(islice(self.parts(), 1)))

    def metrics(self, found: Mapping[str, Tensor]) -> dict[str, Any]:
        """Of what `Reconstructor.terms` finds of all N examples."""
        return {"loss": found["reconstruction"].mean(), "mse": found["mse"].mean()}

    def parts(self) -> Iterator[Part]:
        """Examples and labels of the whole split in its order, with the random numbers that belong to them."""
        for number, batch in enumerate(self.data.batches(self.split)):
            signals.check()
            rng = self.data.compute.rng(f"evaluate/{self.split}/{number}")
            yield batch["x"], batch["y"] if self.learner.net.classes else None, self.learner.draws(len(batch["x"]), rng)


@dataclass
class BoundJudge(Judge):
    """The evidence lower bound in its parts and, with `samples`, the importance-weighted one, which is tighter."""

    learner: Variational
    samples: int = 0
    kept = (*Judge.kept, "kl", "code")

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
        rounds = [min(AT_ONCE, self.samples - done) for done in range(0, self.samples, AT_ONCE)]
        size = max(AT_ONCE // self.samples, 1)
        for x, label, draws in self.parts():
            targets = torch.split(learner.target(x, draws.pixels), size)
            labels = repeat(None) if label is None else torch.split(label, size)
            for part, told in zip(targets, labels, strict=False):
                signals.check()
                weights = [learner.log_weights(part, told, count, rng) for count in rounds]         # [B, count]
                total -= float(bounds.importance_bound(torch.cat(weights, -1).double()).sum())
        return total / len(self.data.splits[self.split])


@dataclass
class BookJudge(Judge):
    """Where every vector is as likely as any other, P of K of them take P ln K nats."""

    learner: Vectors
    kept = (*Judge.kept, "chosen")

    def metrics(self, found: Mapping[str, Tensor]) -> dict[str, Any]:
        net, nats = self.learner.net, float(found["reconstruction"].mean())
        use = torch.bincount(found["chosen"].flatten(), minlength=len(net.book.use)).double()
        code = net.places * math.log(len(use))
        dims = torch.Size(self.learner.target.shape).numel()
        return {"loss": nats, "mse": found["mse"].mean(), "codebook/used": (use > 0).sum(),
                "codebook/perplexity": perplexity(use), "elbo/nats": nats + code,
                "elbo/bits_per_dim": bounds.bits_per_dim(nats + code, dims)}
