"""Points of the plane around a few centres, to be told apart by the nearest (Metz et al. 2017). N points, K centres."""

import math

import torch

from lab.data.dataset import About, Column, Dataset, Held

from .plugin import Mixture

SIDE, STEP, RADIUS = 5, 2.0, 2.0              # of the grid: centres on a side, and between two; of the ring


def build(cfg: Mixture) -> Dataset:
    """The same points for every seed of a run."""
    rng, centres = torch.Generator().manual_seed(0), CENTRES[cfg.name]()                    # [K, 2]
    y = torch.arange(cfg.examples) % len(centres)
    x = centres[y] + cfg.deviation * torch.randn(cfg.examples, 2, generator=rng)            # [N, 2]
    about = About("table", (2,), classes=tuple(map(str, range(len(centres)))), columns=(Column("x"), Column("y")))
    return Dataset(about, {"train": Held(x=x, y=y)})


def ring() -> torch.Tensor:
    turns = torch.arange(8) * 2 * math.pi / 8
    return RADIUS * torch.stack([turns.cos(), turns.sin()], -1)                             # [8, 2]


def grid() -> torch.Tensor:
    places = STEP * (torch.arange(SIDE) - SIDE // 2).float()
    return torch.cartesian_prod(places, places)                                             # [25, 2]


CENTRES = {"ring": ring, "grid": grid}
