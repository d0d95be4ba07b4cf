"""Sequences of random symbols, to be told apart by the first. N examples, T steps, K symbols."""

import torch
from torch.nn.functional import one_hot

from lab.data.dataset import About, Dataset, Held

from .plugin import FirstSymbol


def build(cfg: FirstSymbol) -> Dataset:
    """The same sequences for every seed of a run."""
    rng = torch.Generator().manual_seed(0)
    symbols = torch.randint(cfg.symbols, (cfg.examples, cfg.length), generator=rng)         # [N, T]
    x = one_hot(symbols, cfg.symbols).float()                                               # [N, T, K]
    about = About("sequence", (cfg.length, cfg.symbols), classes=tuple(map(str, range(cfg.symbols))))
    length = torch.full((cfg.examples,), cfg.length)
    return Dataset(about, {"train": Held(x=x, y=symbols[:, 0].clone(), length=length)})
