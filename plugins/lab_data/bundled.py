"""What comes with scikit-learn. N examples, F columns."""

import importlib
from typing import Any

import torch

from lab.data.dataset import About, Column, Dataset, Held

from .plugin import Bundled

GREYS = 16                        # the brightest pixel of a digit


def build(cfg: Bundled) -> Dataset:
    loaders: Any = importlib.import_module("sklearn.datasets")
    found = getattr(loaders, f"load_{cfg.name}")()
    if cfg.name == "digits":
        x = torch.from_numpy(found.images / GREYS).float()[:, None]                         # [N, 1, 8, 8]
        about = About("picture", tuple(x.shape[1:]), classes=tuple(map(str, found.target_names)))
    else:
        x = torch.from_numpy(found.data).float()                                            # [N, F]
        columns = tuple(Column(str(name)) for name in found.feature_names)
        labelled = "target_names" in found
        about = About("table", tuple(x.shape[1:]), classes=tuple(map(str, found.target_names)) if labelled else (),
                      targets=() if labelled else ("progression",), columns=columns)
    y = torch.from_numpy(found.target)
    return Dataset(about, {"train": Held(x=x, y=y.long() if about.classes else y.float()[:, None])})
