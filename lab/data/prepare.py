"""What stands before a network that learns from data: steps fitted on the training split, saved with the weights.

B examples, C channels, H and W pixels, F numbers as they stand in the data, G as the network sees them, T steps.
"""

import math
from collections.abc import Callable, Iterable, Iterator
from itertools import chain

import torch
from torch import Tensor, nn
from torch.nn.functional import one_hot

from ..contract import Batch
from .config import DataConfig
from .dataset import About, Column

Batches = Callable[[], Iterator[Batch]]       # the training split, once through


def bright(x: Tensor) -> Tensor:
    """Pixels from 0 to 1."""
    return x if x.is_floating_point() else x / 255


class Picture(nn.Module):
    """[B, C, H, W], uint8 or 0 to 1, to floats: (x - shift) / scale per channel."""

    shift: Tensor
    scale: Tensor

    def __init__(self, channels: int):
        super().__init__()
        self.register_buffer("shift", torch.zeros(channels, 1, 1))
        self.register_buffer("scale", torch.ones(channels, 1, 1))

    def forward(self, x: Tensor) -> Tensor:
        kind = x.device.type
        dtype = torch.get_autocast_dtype(kind) if torch.is_autocast_enabled(kind) else torch.float32
        largest = 1 if x.is_floating_point() else 255
        return x.to(dtype).mul((1 / (largest * self.scale)).to(dtype)).sub((self.shift / self.scale).to(dtype))


class Numbers(nn.Module):
    """[..., F] to [..., F], single precision: what is missing filled in, then (x - shift) / scale in that of `kind`."""

    fill: Tensor
    shift: Tensor
    scale: Tensor

    def __init__(self, numbers: int, kind: torch.dtype = torch.float32):
        super().__init__()
        self.register_buffer("fill", torch.zeros(numbers, dtype=kind))
        self.register_buffer("shift", torch.zeros(numbers, dtype=kind))
        self.register_buffer("scale", torch.ones(numbers, dtype=kind))

    def forward(self, x: Tensor) -> Tensor:
        return ((torch.where(x.isnan(), self.fill, x) - self.shift) / self.scale).float()


class Columns(nn.Module):
    """A table's numbers [B, F] to [B, G]: its numeric columns as `Numbers`, then the others as indicators."""

    def __init__(self, columns: tuple[Column, ...], kind: torch.dtype = torch.float32):
        super().__init__()
        self.numeric = [i for i, column in enumerate(columns) if column.categories is None]
        self.chosen = [i for i, column in enumerate(columns) if column.categories is not None]
        self.sizes = [len(column.categories) for column in columns if column.categories is not None]
        self.numbers = Numbers(len(self.numeric), kind)

    def forward(self, x: Tensor) -> Tensor:
        parts = [self.numbers(x[:, self.numeric])] if self.numeric else []
        parts += [one_hot(x[:, i].long(), size + 1)[:, :-1].float()             # the last stands for all others
                  for i, size in zip(self.chosen, self.sizes, strict=True)]
        return torch.cat(parts, -1)                                             # [B, G]


Front = Picture | Numbers | Columns


def back(front: nn.Module, x: Tensor) -> Tensor:
    """What `front` makes of examples, as they stand in the data again; of indicators the largest is taken."""
    if isinstance(front, Columns):
        numbers, *chosen = torch.split(x, [len(front.numeric), *front.sizes], -1)           # [B, n], [B, size]
        plain = back(front.numbers, numbers)
        found = plain.new_zeros(len(x), len(front.numeric) + len(front.chosen))             # [B, F]
        found[:, front.numeric] = plain
        for i, indicators in zip(front.chosen, chosen, strict=True):
            found[:, i] = indicators.argmax(-1).to(found.dtype)
        return found
    assert isinstance(front, Picture | Numbers)
    return x * front.scale + front.shift


def front(about: About) -> tuple[Front, tuple[int, ...]]:
    """What is to be fitted, as yet changing nothing, and the shape that a network sees behind it."""
    kind = torch.float64 if about.wide else torch.float32
    if about.kind == "picture":
        return Picture(about.shape[0]), about.shape
    if about.kind == "table":
        columns = Columns(about.columns, kind)
        return columns, (len(columns.numeric) + sum(columns.sizes),)
    return Numbers(about.shape[-1], kind), about.shape


def fitted(about: About, cfg: DataConfig, batches: Batches) -> tuple[Front, tuple[int, ...]]:
    """`front`, fitted on the training split. Raises UsageError where numbers are missing that nobody fills in."""
    made, shape = front(about)
    part = made.numbers if isinstance(made, Columns) else made
    if not part.scale.numel() or cfg.prepare == cfg.impute == "none":
        return made, shape                        # no numeric column, or nothing to be fitted
    found = moments(values(about, batch) for batch in batches())
    if isinstance(part, Numbers) and cfg.impute != "none":
        part.fill.copy_(filling(about, cfg, batches, found))
    low, scale = {"minmax": (found.low, found.high - found.low), "none": (0 * found.low, 0 * found.low)}.get(
        cfg.prepare, (found.mean, found.deviation))
    part.shift.copy_(low.view(part.shift.shape))
    part.scale.copy_(torch.where(scale > 0, scale, 1).view(part.scale.shape))  # what does not vary is not divided
    return made, shape


def filling(about: About, cfg: DataConfig, batches: Batches, found: "Moments") -> Tensor:
    """What stands for a number that is missing, [F]."""
    if cfg.impute == "mean":
        return found.mean
    if cfg.impute == "median":
        whole = torch.cat([values(about, batch) for batch in batches()])
        return ((whole.nanmedian(0).values - (-whole).nanmedian(0).values) / 2).nan_to_num()      # the middle two
    return torch.zeros_like(found.mean)


def values(about: About, batch: Batch) -> Tensor:
    """What is put on a scale, [M, C] or [M, F], float64."""
    x = batch["x"]
    if about.kind == "picture":
        return x.movedim(1, -1).flatten(0, -2).double() / (1 if x.is_floating_point() else 255)
    if about.kind == "table":
        return x[:, [i for i, column in enumerate(about.columns) if column.categories is None]].double()
    inside = torch.arange(x.shape[1], device=x.device) < batch["length"][:, None]           # [B, T]
    return x[inside].double()


class Moments:
    """Of each channel or number, what is missing left out: [C] or [F], float64; 0 where all are missing."""

    def __init__(self, first: Tensor):
        self.near = first.nanmean(0).nan_to_num()             # sums about it lose no digits
        self.count, self.total, self.squares = (torch.zeros_like(self.near) for _ in range(3))
        self.least, self.most = torch.full_like(self.near, math.inf), torch.full_like(self.near, -math.inf)

    def add(self, part: Tensor) -> None:
        """[M, F]"""
        there = ~part.isnan()
        off = torch.where(there, part - self.near, 0)
        self.count += there.sum(0)
        self.total += off.sum(0)
        self.squares += off.square().sum(0)
        self.least = torch.minimum(self.least, torch.where(there, part, math.inf).amin(0))
        self.most = torch.maximum(self.most, torch.where(there, part, -math.inf).amax(0))

    @property
    def mean(self) -> Tensor:
        return self.near + self.total / self.count.clamp(min=1)

    @property
    def deviation(self) -> Tensor:
        """Of the population: the root of the mean square about the mean."""
        count = self.count.clamp(min=1)
        return (self.squares / count - (self.total / count).square()).clamp(min=0).sqrt()

    @property
    def low(self) -> Tensor:
        return torch.where(self.count > 0, self.least, 0)

    @property
    def high(self) -> Tensor:
        return torch.where(self.count > 0, self.most, 0)


def moments(parts: Iterable[Tensor]) -> Moments:
    """Of a whole that comes in parts [M, F]."""
    parts = iter(parts)
    first = next(parts)
    found = Moments(first)
    for part in chain([first], parts):
        found.add(part)
    return found
