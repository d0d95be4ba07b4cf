"""New rows of a table measured against real ones. M new, N real, G numbers as a network sees them, K classes."""

import math
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from ..contract import Sample
from ..figures import points
from ..generated import fidelity, frechet
from .loaded import Data

MOST = 2_500                      # rows that are compared (Srivastava et al. 2017)
FAR = 3.0                         # deviations from the centre of a class up to which a row is one of it


class Clusters:
    """An evaluator: as many new rows as a split has, at most `MOST` or `most`, put on their scale.

    Where there are classes a row belongs to that whose centre is nearest, and is good up to 3 deviations from it:
    good is the share of those, classes how many classes have one, class_kl the divergence of their shares from the real
    ones, in nats.
    """

    def __init__(self, sample: Sample, data: Data, split: str, most: int, prefix: str = ""):
        self.sample, self.data, self.split, self.prefix = sample, data, split, prefix
        self.most = min(most, MOST)

    @staticmethod
    def fits(data: Data, split: str) -> bool:
        """More rows than their covariance needs."""
        return data.about.kind == "table" and len(data.splits[split]) > 10

    def __call__(self) -> Mapping[str, Any]:
        (batch,), front = list(self.data.batches(self.split, self.most))[:1], self.data.front[0]
        x, n = batch["x"], len(batch["x"])
        told = bool(getattr(self.sample, "classes", 0))
        new = self.sample(n, self.data.compute.rng("gallery"), batch["y"] if told else None)
        real, made = front(x).float(), front(new).float()                                   # [N, G] each
        found: dict[str, Any] = {"frechet": frechet(real, made), **fidelity(real, made)}
        if self.data.about.classes:
            found |= by_class(made, *self.centres())
        if x.shape[1] == 2:
            found["rows"] = points([("real", x.cpu().numpy()), ("made", new.cpu().numpy())])
        return {f"{self.prefix}made/{name}": value for name, value in found.items()}

    def centres(self) -> tuple[Tensor, Tensor]:
        """Of each class that is in the training split: its mean [K, G], and its deviation in all numbers alike, [K]."""
        front, parts = self.data.front[0], list(self.data.batches("train"))
        x, y = torch.cat([front(part["x"]).float() for part in parts]), torch.cat([part["y"] for part in parts])
        groups = [x[y == k] for k in torch.unique(y)]
        return (torch.stack([each.mean(0) for each in groups]),
                torch.stack([each.var(0, correction=0).mean().sqrt() for each in groups]))


def by_class(made: Tensor, centres: Tensor, deviations: Tensor) -> dict[str, float]:
    """Of rows [M, G]; classes are taken to be equally likely. Of no good row class_kl is that of one class."""
    classes = len(centres)
    nearest, near = torch.cdist(made, centres).min(1)[::-1]                                 # [M]
    good = near <= FAR * deviations[nearest]
    shares = torch.bincount(nearest[good], minlength=classes).double() / max(int(good.sum()), 1)
    kl = float(torch.special.xlogy(shares, shares * classes).sum()) if good.any() else math.log(classes)
    return {"good": float(good.float().mean()), "classes": float((shares > 0).sum()), "class_kl": kl}
