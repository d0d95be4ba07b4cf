"""New rows of a table measured against real ones. M new, N real, G numbers as a network sees them, K classes."""

import math
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from ..contract import Sample
from ..figures import points
from ..generated import balance, fidelity, frechet
from .dataset import spread
from .loaded import Data

MOST = 2_500                      # rows that are compared (Srivastava et al. 2017)
GOOD = 1 - math.exp(-9 / 2)       # of two normal numbers so many are within 3 deviations


class Clusters:
    """An evaluator: as many new rows as a split has, at most `MOST` or `most`, put on their scale.

    Where there are classes a row belongs to that whose centre is nearest, and is good if it is no further from it than
    98.9 % of the rows of that class that were learned from: 3 deviations of two normal numbers. good is the share of
    those, classes how many classes have one, class_kl the divergence of their shares from the real ones, in nats.
    """

    def __init__(self, sample: Sample, data: Data, split: str, most: int, prefix: str = ""):
        self.sample, self.data, self.split, self.prefix = sample, data, split, prefix
        self.most = min(most, MOST)

    @staticmethod
    def fits(data: Data, split: str) -> bool:
        """More than a few rows of numbers."""
        return data.about.kind == "table" and len(data.splits[split]) > 10

    def __call__(self) -> Mapping[str, Any]:
        held, front = self.data.splits[self.split], self.data.front[0]
        (batch,) = held.batches([spread(held, self.most)], self.data.compute.device)
        x, n = batch["x"], len(batch["x"])
        told = bool(getattr(self.sample, "classes", 0))
        new = self.sample(n, self.data.compute.rng("gallery"), batch["y"] if told else None)
        real, made = front(x).float(), front(new).float()                                   # [N, G] each
        found: dict[str, Any] = {"frechet": frechet(real, made), **fidelity(real, made)}
        if self.data.about.classes:
            found |= by_class(made, batch["y"], *self.centres())
        if x.shape[1] == 2:
            found["rows"] = points([("real", x.cpu().numpy()), ("made", new.cpu().numpy())])
        return {f"{self.prefix}made/{name}": value for name, value in found.items()}

    def centres(self) -> tuple[Tensor, Tensor, Tensor]:
        """Of the K classes in the training split: their numbers [K], means [K, G], and how far their rows go [K]."""
        front, parts = self.data.front[0], list(self.data.batches("train"))
        x, y = torch.cat([front(part["x"]).float() for part in parts]), torch.cat([part["y"] for part in parts])
        kinds = torch.unique(y)
        groups = [x[y == k] for k in kinds]
        means = torch.stack([each.mean(0) for each in groups])
        far = [(each - mean).norm(dim=1).quantile(GOOD) for each, mean in zip(groups, means, strict=True)]
        return kinds, means, torch.stack(far)


def by_class(made: Tensor, real: Tensor, kinds: Tensor, centres: Tensor, far: Tensor) -> dict[str, float]:
    """Of rows [M, G], where the real ones have classes [N]; the classes `kinds` [K] reach `far` [K] from centres."""
    nearest, near = torch.cdist(made, centres).min(1)[::-1]                                 # [M]
    good = near <= far[nearest]
    classes = int(max(real.max(), kinds.max())) + 1
    return {"good": float(good.float().mean()), **balance(kinds[nearest[good]], real, classes, least=0)}
