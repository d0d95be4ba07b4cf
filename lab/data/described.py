"""A world whose data is known by its description alone: for using what was learned where the data is not. K outputs."""

import json
import math
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch

from ..compute import Compute
from ..config import LabConfig
from ..errors import ResumeError
from ..world import Exhibition
from .dataset import SPOKEN, About, Held, Split
from .loaded import Data
from .token_file import Tokens
from .vocabulary import saved

MOST = 2**30                      # numbers in what stands in for the data
TOKENS = 10_000_000               # different ones, or in a text, at most
LARGEST = 10_000_000              # bytes of a description that is worth reading


class Described(Exhibition):
    def __init__(self, cfg: LabConfig, compute: Compute, run: Path, about: About):
        super().__init__(cfg, compute, run)
        self.about = about

    @cached_property
    def data(self) -> Data:
        """With an example of every class, all zeros: what is fitted on them is replaced by what was saved."""
        assert self.run is not None
        tokenizers = saved(self.run, self.cfg.data.segment) if self.about.kind in SPOKEN else ()
        return Data(self.cfg.data, self.about, {"train": stand_in(self.about)}, self.compute, (), tokenizers,
                    there=False)


def stand_in(about: About) -> Split:
    n, number = max(2, len(about.classes)), torch.float64 if about.wide else torch.float32
    if about.kind == "text":
        return Tokens(np.zeros(2 * about.shape[0] + 1, np.int64), about.shape[0], 1)
    tensors = {"x": torch.zeros(n, *about.shape, dtype=torch.int64 if about.kind in SPOKEN else number)}
    if about.outputs:
        tensors["y"] = torch.arange(n) if about.classes else torch.zeros(n, len(about.targets), dtype=number)
    if about.kind == "pairs":
        tensors |= {"y": torch.zeros(n, about.answer, dtype=torch.int64), "y_length": torch.full((n,), about.answer)}
    if about.kind in ("sequence", "texts", "pairs"):
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
        spoken = [*about.vocabulary, *([about.answer] if about.kind == "pairs" else [])]
        if len(about.vocabulary) != {"text": 1, "texts": 1, "pairs": 2}.get(about.kind, 0) or not all(
                type(size) is int and 0 < size <= TOKENS for size in spoken):
            raise ValueError(f"tokens {spoken!r:.80} cannot be")
        if not all(type(side) is int and side > 0 for side in sides) or math.prod(sides) > MOST:
            raise ValueError(f"an example of the shape {list(about.shape)!r:.80} cannot be")
        return about, dtype
    except FileNotFoundError:
        raise ResumeError(f"{run} has no data.json: it did not learn from a dataset") from None
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise ResumeError(f"{file} cannot be read: {' '.join(str(error).split())[:300]}") from None
