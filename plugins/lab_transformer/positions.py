"""Where tokens stand. T tokens that look, S that are looked at, K numbers of each, H heads."""

import math

import torch
from torch import Tensor, nn

BASE = 10_000.0                   # of the wavelengths of positions


def sinusoids(length: int, width: int) -> Tensor:
    """[length, width]: sines of the position and, behind them, cosines (Vaswani et al. 2017, section 3.5)."""
    angle = angles(torch.arange(length), 2 * ((width + 1) // 2))
    return torch.cat([angle.sin(), angle.cos()], -1)[:, :width]


def angles(position: Tensor, width: int) -> Tensor:
    """[T] to [T, width / 2]: position / BASE^(2 i / width)."""
    return position[:, None] / BASE ** (torch.arange(0, width, 2) / width)


def rotated(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    """Pairs (x_i, x_(i + K / 2)) of x [..., T, K], turned by angles whose cos and sin are [T, K / 2] (Su et al. 2021).

    Of two that were rotated the dot product depends on the distance of their positions alone.
    """
    a, b = x.chunk(2, -1)
    return torch.cat([a * cos - b * sin, b * cos + a * sin], -1)


def buckets(distance: Tensor, count: int, furthest: int, both: bool) -> Tensor:
    """Which of `count` buckets a distance (that looked at, less that looking) falls in (Raffel et al. 2020).

    Near ones have one each, others share them logarithmically, all beyond `furthest` the last. `both`: half of them are
    for those ahead.
    """
    offset = torch.zeros_like(distance)
    if both:
        count //= 2
        offset, distance = (distance > 0) * count, distance.abs()
    else:
        distance = (-distance).clamp(min=0)
    near = count // 2
    far = near + ((distance.clamp(min=1) / near).log() / math.log(furthest / near) * (count - near)).long()
    return offset + torch.where(distance < near, distance, far.clamp(max=count - 1))


class Bias(nn.Module):
    """One number for each head and bucket of distances, the same in all layers: [H, T, S]."""

    def __init__(self, heads: int, both: bool, count: int = 32, furthest: int = 128):
        super().__init__()
        self.table, self.both, self.furthest = nn.Embedding(count, heads), both, furthest

    def forward(self, looking: Tensor, looked_at: Tensor) -> Tensor:
        distance = looked_at[None] - looking[:, None]                                       # [T, S]
        found: Tensor = self.table(buckets(distance, self.table.num_embeddings, self.furthest, self.both))
        return found.movedim(-1, 0)
