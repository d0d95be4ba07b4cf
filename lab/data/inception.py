"""FID, for whoever has the weights of Inception: they are of another's making, and large. N pictures, F features."""

import os
from collections.abc import Iterable, Mapping
from functools import cached_property
from itertools import chain
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from .. import signals
from ..contract import Sample
from ..errors import UsageError
from ..generated import frechet
from .dataset import spread
from .gallery import some
from .loaded import Data
from .prepare import bright

VARIABLE = "LAB_INCEPTION"        # names a TorchScript file: (uint8 [B, 3, H, W], return_features=True) -> [B, F]
AT_ONCE = 100                     # pictures that are looked at together


class Inception:
    """An evaluator: the Frechet distance by the features of that network (Heusel et al. 2017, equation 6).

    Of as many new pictures as the split has, at most `most`; with fewer pictures the distance is larger.
    """

    def __init__(self, sample: Sample, data: Data, split: str, most: int, prefix: str = ""):
        self.sample, self.data, self.split, self.most, self.prefix = sample, data, split, most, prefix
        self.net = opened(Path(os.environ[VARIABLE]).expanduser()).to(data.compute.device)

    @staticmethod
    def fits(data: Data) -> bool:
        """Pictures, where the variable names a file."""
        return data.about.kind == "picture" and bool(os.environ.get(VARIABLE))

    def __call__(self) -> Mapping[str, Any]:
        data, held, n = self.data, self.data.splits[self.split], len(self.real)
        told = bool(getattr(self.sample, "classes", 0))
        label = held.y[spread(held, n)].to(data.compute.device) if told and held.y is not None else None
        new = self.sample(n, data.compute.rng("inception"), label)                          # [N, C, H, W]
        return {f"{self.prefix}made/fid": frechet(self.real, self.features([new]))}

    @cached_property
    def real(self) -> Tensor:
        """Of the split, [N, F]."""
        return self.features(some(self.data, self.split, self.most))

    def features(self, parts: Iterable[Tensor]) -> Tensor:
        found = list[Tensor]()
        for x in chain.from_iterable(torch.split(part, AT_ONCE) for part in parts):
            signals.check()
            found.append(self.net(coloured(x), return_features=True).float())
        return torch.cat(found)


def coloured(x: Tensor) -> Tensor:
    """Pictures [B, C, H, W] as bytes of three channels; grey ones have the same in all."""
    pixels = (255 * bright(x)).round().to(torch.uint8)
    return pixels[:, :3] if x.shape[1] >= 3 else pixels[:, :1].expand(-1, 3, -1, -1)


def opened(file: Path) -> Any:
    """Raises UsageError for what is no TorchScript file."""
    if not file.is_file():
        raise UsageError(f"{VARIABLE}={file}: there is no such file")
    try:
        return torch.jit.load(str(file), map_location="cpu").eval()     # type: ignore[no-untyped-call]
    except (OSError, RuntimeError, ValueError) as error:
        raise UsageError(f"{VARIABLE}={file} cannot be opened as TorchScript; it should be the file "
                         f"inception-2015-12-05.pt that StyleGAN's authors distribute, or unset") from error
