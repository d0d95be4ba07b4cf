"""Random changes of a batch of examples, as tensor operations. B examples of N, C channels, H and W pixels, K classes.

What happens to an example is a function of the seed, the epoch and the example, however it is batched; only the other
one that mixup mixes it with is of its batch.
"""

from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import one_hot, pad

from ..compute import Compute
from ..contract import Batch
from ..errors import UsageError
from .config import Augment
from .dataset import About


def flip(x: Tensor, chosen: Tensor) -> Tensor:
    """[B, C, H, W], mirrored where `chosen` [B]."""
    return torch.where(chosen[:, None, None, None], x.flip(-1), x)


def shift(x: Tensor, down: Tensor, right: Tensor, most: int) -> Tensor:
    """[B, C, H, W], each moved `down` and `right` [B] pixels, at most `most` each way; 0 comes in."""
    height, width = x.shape[-2:]
    wide = pad(x, (most,) * 4).movedim(1, -1)                                   # [B, H + 2 most, W + 2 most, C]
    rows = torch.arange(height, device=x.device) + (most - down)[:, None]       # [B, H]
    columns = torch.arange(width, device=x.device) + (most - right)[:, None]    # [B, W]
    example = torch.arange(len(x), device=x.device)[:, None, None]
    return wide[example, rows[:, :, None], columns[:, None]].movedim(-1, 1)     # [B, C, H, W]


def cutout(x: Tensor, top: Tensor, left: Tensor, side: int) -> Tensor:
    """[B, C, H, W] with a square of 0 whose corner is at `top` and `left` [B]; it may reach over the edge."""
    rows, columns = (torch.arange(size, device=x.device) for size in x.shape[-2:])
    down = (rows >= top[:, None]) & (rows < top[:, None] + side)                # [B, H]
    across = (columns >= left[:, None]) & (columns < left[:, None] + side)      # [B, W]
    return x.masked_fill((down[:, :, None] & across[:, None])[:, None], 0)


def mix(values: Tensor, share: Tensor) -> Tensor:
    """[B, ...]: `share` [B] of each, and the rest of the one that stands as far from the other end of the batch."""
    part = share.view(-1, *[1] * (values.ndim - 1))
    return part * values + (1 - part) * values.flip(0)


class Augmented:
    """What `cfg` asks for. Raises UsageError for what the data cannot have."""

    def __init__(self, cfg: Augment, about: About, examples: int, compute: Compute, may_miss: bool = False):
        self.cfg, self.about, self.examples, self.compute = cfg, about, examples, compute
        self.epoch, self.drawn = -1, dict[str, Tensor]()      # drawn: {what: [N]} of this epoch
        asked = [name for name in ("flip", "crop", "cutout") if getattr(cfg, name)]
        if asked and about.kind != "picture":
            raise UsageError(f"data.augment.{asked[0]} is for pictures, and an example of this data is a {about.kind}")
        if cfg.mixup and (about.kind == "sequence" or not about.outputs):
            raise UsageError("data.augment.mixup mixes pictures or numbers and their targets, which this data has not")
        if cfg.mixup and (chosen := [column.name for column in about.columns if column.categories is not None]):
            raise UsageError(f"data.augment.mixup mixes numbers, and the column {chosen[0]!r} holds categories")
        if cfg.mixup and may_miss and about.kind == "table":
            raise UsageError("data.augment.mixup mixes numbers before data.impute fills in those that are missing: "
                             "leave one of them out")
        for name in ("crop", "cutout"):
            if asked and getattr(cfg, name) > min(about.shape[1:]):
                raise UsageError(f"data.augment.{name}={getattr(cfg, name)} is more than a picture of "
                                 f"{about.shape[1]} x {about.shape[2]} has")

    def __bool__(self) -> bool:
        return any(vars(self.cfg).values())

    def draws(self, epoch: int) -> dict[str, Tensor]:
        """Random numbers for every example of the data, from 0 to 1: {what: [N]}."""
        if epoch != self.epoch:
            self.epoch, self.drawn = epoch, drawn(self.cfg, self.examples, self.compute, epoch)
        return self.drawn

    def __call__(self, batch: Batch, rows: Tensor, epoch: int) -> Batch:
        """The same batch, changed; `rows` [B] are its examples. Mixed labels become shares of the classes, [B, K]."""
        cfg, out = self.cfg, dict[str, Any](batch)
        x, chance = out["x"], {name: each[rows.to(each.device)] for name, each in self.draws(epoch).items()}    # [B]
        if cfg.flip:
            x = flip(x, chance["flip"] < 0.5)
        if cfg.crop:
            down, right = ((chance[name] * (2 * cfg.crop + 1)).long() - cfg.crop for name in ("down", "right"))
            x = shift(x, down, right, cfg.crop)
        if cfg.cutout:
            top, left = ((chance[name] * size).long() - cfg.cutout // 2
                         for name, size in zip(("top", "left"), x.shape[-2:], strict=True))
            x = cutout(x, top, left, cfg.cutout)
        if cfg.mixup:
            x = mix(x / 255 if x.dtype == torch.uint8 else x, chance["share"])
            y = out["y"]
            out["y"] = mix(one_hot(y, len(self.about.classes)).float() if self.about.classes else y, chance["share"])
        return {**out, "x": x}


def drawn(cfg: Augment, examples: int, compute: Compute, epoch: int) -> dict[str, Tensor]:
    rng = compute.rng(f"augment/{epoch}")
    wanted = [name for key, names in (("flip", ["flip"]), ("crop", ["down", "right"]), ("cutout", ["top", "left"]))
              for name in names if getattr(cfg, key)]
    found = {name: torch.rand(examples, generator=rng, device=compute.device) for name in wanted}
    if cfg.mixup:
        alpha = torch.full((examples,), cfg.mixup, device=compute.device)
        one, two = (torch._standard_gamma(alpha, generator=rng) for _ in range(2))
        found["share"] = torch.nan_to_num(one / (one + two), nan=1.0)           # Beta(alpha, alpha)
    return found
