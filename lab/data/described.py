"""A world whose data is known by its description alone: for using what was learned where the data is not. K outputs."""

import json
import math
from functools import cached_property
from pathlib import Path
from typing import Any

import torch

from ..compute import Compute
from ..config import LabConfig
from ..errors import ResumeError
from ..world import Exhibition
from .dataset import About, Held
from .loaded import Data

MOST = 2**30                      # numbers in what stands in for the data
LARGEST = 10_000_000              # bytes of a description that is worth reading


class Described(Exhibition):
    def __init__(self, cfg: LabConfig, compute: Compute, about: About):
        super().__init__(cfg, compute)
        self.about = about

    @cached_property
    def data(self) -> Data:
        """With an example of every class, all zeros: what is fitted on them is replaced by what was saved."""
        return Data(self.cfg.data, self.about, {"train": stand_in(self.about)}, self.compute)


def stand_in(about: About) -> Held:
    n = max(2, len(about.classes))
    tensors = {"x": torch.zeros(n, *about.shape)}
    if about.outputs:
        tensors["y"] = torch.arange(n) if about.classes else torch.zeros(n, len(about.targets))
    if about.kind == "sequence":
        tensors["length"] = torch.full((n,), about.shape[0])
    return Held(**tensors)


def remembered(run: Path) -> tuple[About, torch.dtype]:
    """The description in a run folder, and the type of its inputs. Raises ResumeError where there is none to read."""
    file = run / "data.json"
    try:
        if file.stat().st_size > LARGEST:
            raise ValueError("it is far too large")
        plain: Any = json.loads(file.read_text())
        about, dtype = About.of(plain["about"]), getattr(torch, plain["dtype"])
        if not isinstance(dtype, torch.dtype):
            raise ValueError(f"{plain['dtype']!r} is no type of numbers")
        sides = [*about.shape, max(2, len(about.classes))]
        if not all(type(side) is int and side > 0 for side in sides) or math.prod(sides) > MOST:
            raise ValueError(f"an example of the shape {list(about.shape)!r:.80} cannot be")
        return about, dtype
    except FileNotFoundError:
        raise ResumeError(f"{run} has no data.json: it did not learn from a dataset") from None
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise ResumeError(f"{file} cannot be read: {' '.join(str(error).split())[:300]}") from None
