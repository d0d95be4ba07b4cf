"""How exactly numbers are held. N examples, F numbers."""

from collections.abc import Iterator
from dataclasses import replace

import torch
from torch import Tensor

from .dataset import Dataset, Held

KEPT = 1e-5                       # of the range of a column: what single precision may put a number off
LEAST, MOST = 1e-30, 1e30         # ranges that single precision can be trusted with


def lossy(x: Tensor) -> bool:
    """Whether single precision would put some of a column [..., F], or of a range that it cannot hold, in other places:
    times in seconds since 1970, say, it has in steps of 128.
    """
    if x.dtype != torch.float64 or not x.numel():
        return False
    rows = x.flatten(0, -2)                                                                 # [N, F]
    there = rows.isfinite()
    low = torch.where(there, rows, torch.inf).amin(0)
    high = torch.where(there, rows, -torch.inf).amax(0)
    off = torch.where(there, (rows - rows.float().double()).abs(), 0).amax(0)
    spread = (high - low).clamp(min=0)                        # below 0 where nothing is there
    varies = spread > 0
    return bool((varies & ((off > KEPT * spread) | (spread < LEAST) | (spread > MOST))).any())


def narrowed(dataset: Dataset) -> Dataset:
    """The numbers of examples and targets in single precision, or, where it would lose what tells them apart, all in
    double, which their scale takes back. Splits that are not in memory stay as they are.
    """
    held = {name: split for name, split in dataset.splits.items() if isinstance(split, Held)}
    wide = any(lossy(numbers) for split in held.values() for numbers in looked_at(split))
    new = {name: with_type(split, torch.float64 if wide else torch.float32, dataset.about.kind != "picture")
           for name, split in held.items()}
    return replace(dataset, about=replace(dataset.about, wide=wide), splits={**dataset.splits, **new})


def looked_at(split: Held) -> Iterator[Tensor]:
    """Examples and targets, of sequences the steps that they have."""
    x, y, length = (split.tensors.get(name) for name in ("x", "y", "length"))
    if x is not None and length is not None:
        x = x[torch.arange(x.shape[1]) < length[:, None]]                                   # [M, F]
    yield from (each for each in (x, y) if each is not None)


def with_type(split: Held, kind: torch.dtype, examples: bool) -> Held:
    """Its numbers of this type, without `examples` those of the targets alone; itself where they are."""
    found = {key: tensor.to(kind) if tensor.is_floating_point() and (examples or key == "y") else tensor
             for key, tensor in split.tensors.items()}
    return split if all(found[key] is tensor for key, tensor in split.tensors.items()) else Held(**found)
