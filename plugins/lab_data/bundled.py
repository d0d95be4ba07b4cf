"""What comes with scikit-learn. N examples, F columns."""

import importlib
from functools import cache
from typing import Any

import torch

from lab.data.dataset import About, Column, Dataset, Held

from .plugin import Bundled

GREYS = 16                        # the brightest pixel of a digit


def build(cfg: Bundled) -> Dataset:
    found = read(cfg.name)
    if cfg.name == "digits":
        x = torch.from_numpy(found.images / GREYS).float()[:, None]                         # [N, 1, 8, 8]
        about = About("picture", tuple(x.shape[1:]), classes=tuple(map(str, found.target_names)))
    else:
        x = torch.from_numpy(found.data).float()                                            # [N, F]
        columns = tuple(Column(str(name)) for name in found.feature_names)
        labelled = "target_names" in found
        about = About("table", tuple(x.shape[1:]), classes=tuple(map(str, found.target_names)) if labelled else (),
                      targets=() if labelled else ("progression",), columns=columns)
    y = torch.tensor(found.target)
    return Dataset(about, {"train": Held(x=x, y=y.long() if about.classes else y.float()[:, None])})


@cache
def read(name: str) -> Any:
    """As scikit-learn has it; from its file once in a process."""
    return getattr(importlib.import_module("sklearn.datasets"), f"load_{name}")()
