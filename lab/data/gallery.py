"""New pictures measured against real ones, by a classifier of the lab's own. N examples, F features, K classes."""

from collections.abc import Iterator, Mapping
from functools import cached_property
from typing import Any

import torch
from torch import Tensor

from ..compute import Compute
from ..contract import Sample
from ..figures import shown, tiles
from ..generated import balance, duplicates, fidelity, frechet
from .dataset import spread
from .loaded import Data
from .prepare import bright
from .ruler import Looks, Ruler, ruler, seen

LEARNED = 100_000                 # examples that a nearest one is looked for among
AT_ONCE = 500                     # examples that are looked at together
NEAREST = 10                      # of what is made are shown beside the nearest that was learned from
SIDE, WIDEST = 10, 12             # pictures in a column and in a row; classes that each have a column
NAMES = ("frechet", "frechet_real", "precision", "recall", "density", "coverage", "duplicates", "classes", "class_kl")


def some(data: Data, split: str, most: int) -> Iterator[Tensor]:
    """Pictures of a split, at most so many and always the same ones, [B, C, H, W]."""
    held = data.splits[split]
    for batch in held.batches(torch.split(spread(held, most), AT_ONCE), data.compute.device):
        yield batch["x"]


class Wall:
    """An evaluator: a hundred new pictures, or fewer rows of them; where it is told the class, a column for each."""

    def __init__(self, sample: Sample, compute: Compute, prefix: str = "", rows: int = SIDE):
        self.sample, self.compute, self.prefix, self.rows = sample, compute, prefix, rows

    def __call__(self) -> Mapping[str, Any]:
        told = getattr(self.sample, "classes", 0)
        columns = min(told or SIDE, WIDEST)
        n = self.rows * columns
        label = torch.arange(n, device=self.compute.device) % columns if told else None
        return {f"{self.prefix}samples": tiles(shown(self.sample(n, self.compute.rng("samples"), label)), columns)}

    def names(self) -> list[str]:
        """It has pictures alone."""
        return []


class Gallery:
    """An evaluator: as many new examples as there are in a split, at most `most`, of its shares of the classes.

    frechet is the distance to the split by the features of lab.data.ruler; frechet_real that of as many training
    examples, which is what can be hoped for. agreement is the share that is taken for the class that was asked for.
    """

    def __init__(self, sample: Sample, data: Data, split: str, most: int, prefix: str = ""):
        self.sample, self.data, self.split, self.most, self.prefix = sample, data, split, most, prefix

    @staticmethod
    def fits(data: Data, split: str) -> bool:
        """Pictures with classes, and enough of them for their features to vary."""
        return data.about.kind == "picture" and len(data.about.classes) > 1 and len(data.splits[split]) > 10

    def __call__(self) -> Mapping[str, Any]:
        (net, real, learned), data, held = self.known, self.data, self.data.splits[self.split]
        n, told = len(real.logits), bool(getattr(self.sample, "classes", 0))
        assert held.y is not None
        label = held.y[spread(held, n)].to(data.compute.device) if told else None
        new = self.sample(n, data.compute.rng("gallery"), label)                            # [N, C, H, W]
        made = seen(net, torch.split(new, AT_ONCE))
        taken, classes = made.logits.argmax(-1), real.logits.argmax(-1)
        found = {"frechet": frechet(real.features, made.features),
                 "frechet_real": frechet(real.features, learned.features[:n]),
                 **fidelity(real.parts, made.parts), "duplicates": duplicates(real.parts, made.parts),
                 **balance(taken, classes, len(data.about.classes)),
                 "nearest": self.beside(new[:NEAREST], made.parts[:NEAREST], learned.parts)}
        if label is not None:
            found["agreement"] = float((taken == label).float().mean())
        return {f"{self.prefix}made/{name}": value for name, value in found.items()}

    @cached_property
    def known(self) -> tuple[Ruler, Looks, Looks]:
        """What it measures with, and what that sees in the split and in the training examples."""
        net = ruler(self.data)
        return net, seen(net, some(self.data, self.split, self.most)), seen(net, some(self.data, "train", LEARNED))

    def names(self) -> list[str]:
        """Of what it will find."""
        told = ["agreement"] if getattr(self.sample, "classes", 0) else []
        return [f"{self.prefix}made/{name}" for name in (*NAMES, *told)]

    def beside(self, made: Tensor, parts: Tensor, learned: Tensor) -> Any:
        """Two rows: pictures [n, C, H, W], and below each the nearest of those learned from, by `parts` [n, F]."""
        train = self.data.splits["train"]
        rows = spread(train, LEARNED)[torch.cdist(parts, learned).argmin(1).cpu()]
        (batch,) = train.batches([rows], made.device)
        return tiles(shown(torch.cat([made, bright(batch["x"])])), len(made))
