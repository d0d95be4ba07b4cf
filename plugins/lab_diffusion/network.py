"""A denoiser, with what an agent tells it. B examples, W numbers that are told, K classes."""

import math

import torch
from torch import Tensor, nn

from lab.data.scaled import Scaled
from lab.nn import Denoiser

WAVES, FASTEST = 64, 1000.0       # numbers that tell a time; radians of the fastest from time 0 to 1


class Told(nn.Module):
    """[B, *shape] at times [B] with labels [B] -> [B, *shape]. The label K stands for none."""

    low: Tensor                   # 0-d or [*shape]: beyond these no example is taken to be; pixels are from -1 to 1
    high: Tensor

    def __init__(self, denoiser: Denoiser, classes: int, scaled: Scaled, ends: tuple[Tensor, Tensor]):
        super().__init__()
        for name, end in zip(("low", "high"), ends, strict=True):
            self.register_buffer(name, end)
        self.body, self.classes, self.scaled = denoiser.body, classes, scaled
        self.time = nn.Sequential(nn.Linear(WAVES, denoiser.width), nn.SiLU(),
                                  nn.Linear(denoiser.width, denoiser.width))
        self.of_class = nn.Embedding(classes + 1, denoiser.width) if classes else None

    def forward(self, z: Tensor, t: Tensor, label: Tensor | None) -> Tensor:
        told = self.time(waves(t))                            # [B, W]
        if self.of_class is not None and label is not None:
            told = told + self.of_class(label)
        out: Tensor = self.body(z, told)
        return out


def waves(t: Tensor) -> Tensor:
    """Times [B] as sines and cosines [B, WAVES] of them, ever slower (Vaswani et al. 2017, section 3.5)."""
    half = WAVES // 2
    speeds = FASTEST * torch.exp(-math.log(FASTEST) * torch.arange(half, device=t.device) / (half - 1))     # down to 1
    angles = t[:, None] * speeds
    return torch.cat([angles.sin(), angles.cos()], -1)
