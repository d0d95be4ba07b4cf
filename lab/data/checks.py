"""What no dataset may hold, wherever it comes from. Each message names the example."""

import torch
from torch import Tensor

from ..errors import UsageError
from .config import DataConfig
from .dataset import KINDS, SPOKEN, About, Dataset, Held, Split


def checked(dataset: Dataset, cfg: DataConfig) -> None:
    """Raises UsageError for what is wrong with it; examples count from 1."""
    about, splits = dataset.about, dataset.splits
    if about.kind not in (*KINDS, *SPOKEN):
        raise UsageError(f"data={cfg.name}: an example is a {about.kind!r}; expected one of {', '.join(KINDS)}")
    if "train" not in splits or not len(splits["train"]):
        raise UsageError(f"data={cfg.name} has no example to learn from")
    if odd := [name for name in splits if name not in ("train", "valid", "test")]:
        raise UsageError(f"data={cfg.name} has a split {odd[0]!r}; expected train, valid and test")
    if not (0 < len(about.shape) <= 3 and all(side > 0 for side in about.shape)):
        raise UsageError(f"data={cfg.name}: an example of the shape {list(about.shape)} holds nothing")
    for name, split in splits.items():
        where = f"{file_of(cfg, name) or f'data={cfg.name}'}, split {name}"
        if not len(split):
            raise UsageError(f"{where}: there is no example; give it some, or leave it out")
        of_targets(about, split, where)
        if isinstance(split, Held) and about.kind in SPOKEN:
            of_tokens(about, split, where)
        elif isinstance(split, Held):
            of_inputs(about, split, where, cfg.impute != "none" and about.kind != "picture")


def file_of(cfg: DataConfig, split: str) -> str:
    """That the user has named, of this split or of all."""
    return str(getattr(cfg, f"{split}_path", "") or getattr(cfg, "path", ""))


def of_inputs(about: About, split: Held, where: str, may_miss: bool) -> None:
    x, length = split.tensors["x"], split.tensors.get("length")
    if tuple(x.shape[1:]) != about.shape:
        raise UsageError(f"{where}: the examples are {list(x.shape[1:])}, expected {list(about.shape)}")
    for name, tensor in split.tensors.items():
        if len(tensor) != len(x):
            raise UsageError(f"{where}: {len(x):,} inputs and {len(tensor):,} of {name}; expected as many")
    if about.kind == "sequence":
        of_lengths(about, length, where)
    if x.is_floating_point():
        of_floats(about, x, where, may_miss)
    elif about.kind != "picture" or x.dtype != torch.uint8:
        raise UsageError(f"{where}: inputs of type {x.dtype}; expected float32, or uint8 for pictures")


def of_tokens(about: About, split: Held, where: str) -> None:
    for name, size in zip(("x", "y"), about.vocabulary, strict=False):
        wrong = (split.tensors[name] < 0) | (split.tensors[name] >= size)
        if wrong.any():
            row, place = wrong.nonzero()[0].tolist()
            token = int(split.tensors[name][row, place])
            raise UsageError(f"{where}: text {row + 1:,} has the token {token} in {name}; expected 0 to {size - 1:,}")


def of_lengths(about: About, length: Tensor | None, where: str) -> None:
    if length is None or length.dtype != torch.int64 or length.ndim != 1:
        raise UsageError(f"{where}: sequences come with their lengths, int64, one each")
    wrong = (length < 1) | (length > about.shape[0])
    if wrong.any():
        row = int(wrong.nonzero()[0])
        raise UsageError(f"{where}: example {row + 1:,} has {int(length[row])} steps; expected 1 to {about.shape[0]:,}")


def of_floats(about: About, x: Tensor, where: str, may_miss: bool) -> None:
    bad = x.isinf() if may_miss else ~x.isfinite()
    if bad.any():
        row, *rest = bad.nonzero()[0].tolist()
        place = f"column {about.columns[rest[-1]].name!r}" if about.columns else f"place {rest}"
        missing = bool(x[(row, *rest)].isnan())
        fills = missing and about.kind != "picture"
        hint = "; data.impute=mean, median or zero fills in what is missing" if fills else ""
        raise UsageError(f"{where}: example {row + 1:,} has {'no number' if missing else 'an infinite number'} in "
                         f"{place}{hint}")
    if about.kind == "picture" and (wrong := (x < 0) | (x > 1)).any():
        row, *rest = wrong.nonzero()[0].tolist()
        raise UsageError(f"{where}: picture {row + 1:,} has {float(x[(row, *rest)]):.4g} at {rest}; expected numbers "
                         "from 0 to 1, or uint8 from 0 to 255")
    for i, column in enumerate(about.columns):
        if column.categories is not None and not (inside := (x[:, i] >= 0) & (x[:, i] < len(column.categories))).all():
            raise UsageError(f"{where}: example {int((~inside).nonzero()[0]) + 1:,} has no category in column "
                             f"{column.name!r}")


def of_targets(about: About, split: Split, where: str) -> None:
    y = split.y
    if not about.outputs:
        return
    if y is None or len(y) != len(split):
        targets = 0 if y is None else len(y)
        raise UsageError(f"{where}: {len(split):,} examples and {targets:,} targets; expected as many")
    if about.classes:
        if y.dtype != torch.int64 or y.ndim != 1:
            raise UsageError(f"{where}: labels are {y.dtype} of {list(y.shape)}; expected whole numbers, one each")
        wrong = (y < 0) | (y >= len(about.classes))
        if wrong.any():
            row = int(wrong.nonzero()[0])
            raise UsageError(f"{where}: example {row + 1:,} has the label {int(y[row])}; expected 0 to "
                             f"{len(about.classes) - 1}")
    elif tuple(y.shape[1:]) != (len(about.targets),):
        raise UsageError(f"{where}: targets of {list(y.shape[1:])}; expected {len(about.targets)} numbers each")
    elif not y.isfinite().all():
        row = int((~y.isfinite()).any(1).nonzero()[0])
        raise UsageError(f"{where}: the target of example {row + 1:,} is no number")
