"""Datasets of the library `datasets`. N examples, C channels, H and W pixels, F numbers."""

import importlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from lab.data.dataset import About, Column, Dataset
from lab.errors import UsageError, closest

from .hub_columns import classes_of, kind, pictures, table, target
from .plugin import HuggingFace

NAMES = {"train": "train", "validation": "valid", "valid": "valid", "val": "valid", "test": "test"}
Parts = Mapping[str, Any]                     # split -> datasets.Dataset


def build(cfg: HuggingFace) -> Dataset:
    parts, notes = loaded(cfg)
    train = parts["train"]
    y = cfg.y or first(train, "ClassLabel")
    x = cfg.x or ([picture] if (picture := first(train, "Image")) else numeric(train, y))
    for key, name in [("y", y), *(("x", each) for each in x)]:
        if name and name not in train.features:
            raise UsageError(f"data.{key}={name}: {cfg.path} has no such column. {closest(name, train.features)}")
    if y and y in x:
        raise UsageError(f"data.x has {y!r}, which is the target")
    if len(set(x)) < len(x):
        raise UsageError(f"data.x names a column twice: {', '.join(x)}")
    for part in parts.values():
        if y and y in part.features and kind(part, y) not in ("ClassLabel", "text", "number"):
            raise UsageError(f"data.y={y} is {kind(part, y)}; expected labels, text or numbers")
    classes = classes_of(train, y)
    targets = (y,) if y and not classes else ()
    labels = {name: target(cfg, name, part, y, classes) if y else None for name, part in parts.items()}
    if len(x) == 1 and kind(train, x[0]) == "Image":
        shape, splits = pictures(cfg, parts, x[0], labels)
        return Dataset(About("picture", shape, classes, targets), splits, notes)
    tables = {name: table(part, x, labels[name]) for name, part in parts.items()}
    return Dataset(About("table", (len(x),), classes, targets, tuple(map(Column, x))), tables, notes)


def loaded(cfg: HuggingFace) -> tuple[Parts, tuple[str, ...]]:
    """From a folder or from the hub, by the lab's names of splits; what was left out. No code of theirs is run."""
    try:
        library: Any = importlib.import_module("datasets")
    except ImportError as error:
        raise UsageError(f"data=hf needs the library datasets ({error}): pip install 'pluglab[hf]'") from None
    library.disable_progress_bars()
    folder = Path(cfg.path).expanduser()
    try:
        found = library.load_from_disk(str(folder.absolute())) if folder.exists() else library.load_dataset(cfg.path)
    except Exception as error:
        where = "was not written by save_to_disk, or is damaged" if folder.exists() else (
            "is no folder here, and could not be had from the Hugging Face hub")
        said = " ".join(f"{type(error).__name__}: {error}".split())
        raise UsageError(f"data.path={cfg.path} {where}: {said}") from error
    parts = dict(found) if isinstance(found, dict) else {"train": found}
    if "train" not in parts:
        raise UsageError(f"{cfg.path} has the splits {', '.join(map(str, parts))}; expected one that is called train")
    valid = [name for name in parts if NAMES.get(name) == "valid"]
    if len(valid) > 1:
        raise UsageError(f"{cfg.path} has the splits {' and '.join(valid)}; expected one for validation")
    others = ", ".join(str(name) for name in parts if name not in NAMES)
    return ({NAMES[name]: part for name, part in parts.items() if name in NAMES},
            (f"splits left out: {others}",) if others else ())


def first(part: Any, wanted: str) -> str:
    return next((name for name in part.features if kind(part, name) == wanted), "")


def numeric(part: Any, y: str) -> list[str]:
    """Raises UsageError where there is nothing to predict from."""
    if not (names := [name for name in part.features if name != y and kind(part, name) == "number"]):
        raise UsageError(f"there is no column of pictures or numbers; the columns are {', '.join(part.features)}")
    return names
