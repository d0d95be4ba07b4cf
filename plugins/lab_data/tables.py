"""A csv file. N rows, F columns."""

from collections.abc import Collection, Sequence
from dataclasses import replace

import torch

from lab.data import csv_file
from lab.data.csv_file import CsvFile
from lab.data.dataset import About, Column, Dataset, Held
from lab.data.files import file
from lab.data.table import Target, columns_of, table, target_of
from lab.errors import UsageError, closest

from .plugin import Csv

NAMED = 20                        # columns of numbers, at most


def build(cfg: Csv) -> Dataset:
    found = {"train": csv_file.read(file(cfg.path), cfg.separator)}
    if cfg.test_path:
        found["test"] = csv_file.read(file(cfg.test_path, "data.test_path"), cfg.separator)
    train = found["train"]
    target = target_of(train, cfg.target, cfg.task) if cfg.target else None
    columns = columns_of(train, inputs(cfg, train), cfg.categorical)
    if cfg.unseen == "other":
        columns = tuple(widened(column, found.values()) for column in columns)
    splits = {name: split(each, columns, target, cfg) for name, each in found.items()}
    if target is None:
        return Dataset(About("table", (len(columns),), columns=columns), splits, (described(columns),))
    about = About("table", (len(columns),), target.classes, () if target.classes else (cfg.target,), columns)
    return Dataset(about, splits, (target.said(), f"predicted from {described(columns)}"))


def inputs(cfg: Csv, found: CsvFile) -> Sequence[str]:
    """The names of the columns to predict from. Raises UsageError for what cannot be one."""
    if cfg.target:
        found.position(cfg.target, "data.target")
    names = cfg.columns or [name for name in found.header if name != cfg.target]
    if cfg.target in names:
        raise UsageError(f"data.columns has {cfg.target!r}, which is the target")
    if len(set(names)) < len(names):
        raise UsageError(f"data.columns names a column twice: {', '.join(names)}")
    for name in names:
        found.position(name, "data.columns")
    for name in cfg.categorical:
        if name not in names:
            raise UsageError(f"data.categorical={name}: no column to predict from is called so. {closest(name, names)}")
    if not names:
        raise UsageError(f"{found.path} has no column but the target {cfg.target!r}; is data.separator right?")
    return names


def widened(column: Column, files: Collection[CsvFile]) -> Column:
    """With the categories of all files: the lab keeps those of the training split, and knows the others for unseen."""
    if column.categories is None:
        return column
    there = {field for each in files for field in each.fields(column.name, "data.columns")}
    return replace(column, categories=tuple(sorted(there)))


def split(found: CsvFile, columns: Sequence[Column], target: Target | None, cfg: Csv) -> Held:
    x = torch.from_numpy(table(found, columns, may_miss=cfg.impute != "none"))
    return Held(x=x) if target is None else Held(x=x, y=torch.from_numpy(target.read(found)))


def described(columns: Sequence[Column]) -> str:
    of_categories = [f"{column.name} ({len(column.categories)})" for column in columns if column.categories is not None]
    numbers = [column.name for column in columns if column.categories is None]
    named = f" ({', '.join(numbers)})" if 0 < len(numbers) <= NAMED else ""
    return f"{len(numbers)} columns of numbers{named} and {len(of_categories)} of categories" + (
        f": {', '.join(of_categories)}" if of_categories else "")
