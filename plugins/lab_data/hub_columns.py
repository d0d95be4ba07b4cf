"""Columns of a dataset of the library `datasets` as tensors. N examples, C channels, H and W pixels, F numbers."""

from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from lab.data.dataset import Held, Split
from lab.data.pixels import Shape, look, pixels, shape_of
from lab.data.reading import Read, held, opening
from lab.data.table import FEW
from lab.errors import UsageError

from .plugin import HuggingFace


def kind(part: Any, name: str) -> str:
    """Image, ClassLabel, number, text or another."""
    feature = part.features[name]
    if type(feature).__name__ != "Value":
        return type(feature).__name__
    if "string" in feature.dtype:
        return "text"
    return "number" if feature.dtype.startswith(("int", "uint", "float", "bool")) else str(feature.dtype)


def classes_of(train: Any, y: str) -> tuple[str, ...]:
    """None where there is no target, or a number to predict."""
    if not y or kind(train, y) == "ClassLabel":
        return tuple(train.features[y].names) if y else ()
    values = {value for value in train[y] if value is not None}
    if kind(train, y) == "text":
        return tuple(sorted(values))
    whole = all(isinstance(value, int) for value in values) and len(values) <= FEW
    return tuple(map(str, sorted(values))) if whole else ()


def target(cfg: HuggingFace, split: str, part: Any, y: str, classes: tuple[str, ...]) -> torch.Tensor:
    """[N] of labels or [N, 1]. Raises UsageError, with the row, for one that is missing or that train has not."""
    values = list(part[y])
    if None in values:
        raise UsageError(f"{cfg.path}, {split}, example {values.index(None) + 1:,}: there is no {y}")
    if kind(part, y) == "ClassLabel":
        return torch.tensor(values)
    if not classes:
        return torch.tensor(values, dtype=torch.float32)[:, None]
    place = {name: i for i, name in enumerate(classes)}
    if odd := [i for i, value in enumerate(values) if str(value) not in place]:
        raise UsageError(f"{cfg.path}, {split}, example {odd[0] + 1:,}: the training data has no class "
                         f"{values[odd[0]]!r}")
    return torch.tensor([place[str(value)] for value in values])


def table(part: Any, names: list[str], y: Tensor | None) -> Held:
    """x [N, F], NaN where there is no number. Raises UsageError for a column of anything else."""
    if odd := [name for name in names if kind(part, name) != "number"]:
        raise UsageError(f"data.x={odd[0]}: the column is {kind(part, odd[0])}; expected numbers, or one column of "
                         "pictures")
    x = np.empty((len(part), len(names)), np.float32)
    for i, name in enumerate(names):
        x[:, i] = [np.nan if value is None else value for value in part[name]]
    return Held(x=torch.from_numpy(x), **({} if y is None else {"y": y}))


@dataclass(frozen=True)
class Encoded:
    """Reads the pictures of one split, whose column holds files, each in the data or beside it."""

    part: Any
    column: str
    name: str                                 # for messages
    shape: Shape = (1, 1, 1)

    def __call__(self, i: int) -> np.ndarray:
        return pixels(partial(self.body, i), self.says(i), self.shape)

    def says(self, i: int) -> str:
        return f"{self.name}, example {i + 1:,}"

    def body(self, i: int) -> bytes:
        found = self.part[i][self.column]
        return bytes(found["bytes"]) if found["bytes"] is not None else Path(found["path"]).read_bytes()


def pictures(cfg: HuggingFace, parts: Mapping[str, Any], column: str, labels: Mapping[str, Tensor | None]
             ) -> tuple[Shape, Mapping[str, Split]]:
    """In memory, or read when they are needed, as data.memory says. Raises UsageError for one that does not open."""
    image = type(parts["train"].features[column])
    files = {name: Encoded(part.cast_column(column, image(decode=False)), column, f"{cfg.path}, {name}")
             for name, part in parts.items()}
    each = [(file, i) for file in files.values() for i in range(len(file.part))]
    with opening(), ThreadPoolExecutor() as pool:
        looks = list(pool.map(lambda one: look(partial(one[0].body, one[1]), one[0].says(one[1])), each))
        shape = shape_of(cfg.size, cfg.channels, looks, lambda i: each[i][0].says(each[i][1]))
        told = " ".join([str(shape), *(look.content for look in looks)])
        splits = {name: Read(replace(file, shape=shape), labels[name], f"{name} {told}", torch.arange(len(file.part)))
                  for name, file in files.items()}
        return shape, held(splits, shape, cfg.memory)
