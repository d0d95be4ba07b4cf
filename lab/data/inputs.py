"""Examples without targets, from the files that a user names. B examples, F numbers, T steps of the longest."""

import logging
from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import groupby
from pathlib import Path
from typing import Any

import numpy as np
import torch

from ..contract import Batch
from ..errors import UsageError
from ..host import host
from . import csv_file
from .checks import of_inputs
from .dataset import About, Column
from .files import decoded, ending, file, lines, there
from .pixels import SUFFIXES, files, is_picture, pixels
from .reading import opening
from .table import numbers, table

LOG = logging.getLogger("lab")
TOGETHER, SHOWN = 256, 10         # examples in a batch; columns that are named


def inputs(about: About, dtype: torch.dtype, cfg: Any, paths: Sequence[str],
           tokenizers: Sequence[Any] = ()) -> Iterator[tuple[list[str], Batch]]:
    """Batches, each with the names of its examples: pictures, the rows or the sequences of csv files, texts, or arrays.

    `cfg` is the config of the data that was learned from. Raises UsageError, with file and row.
    """
    arrayed = about.kind == "picture" or cfg.name == "npz"                 # numbers have no names in a .npz file
    for packed, some in groupby(paths, lambda path: arrayed and path.endswith(".npz")):
        if packed:
            yield from arrays(about, dtype, cfg, list(some))
        elif about.kind == "picture":
            yield from pictures(about, dtype, list(some))
        elif about.kind == "texts":
            yield from texts(about, cfg, list(some), tokenizers[0])
        else:
            for names, batch in (rows if about.kind == "table" else sequences)(about, cfg, list(some)):
                yield names, {**batch, "x": as_type(batch["x"], dtype)}


def arrays(about: About, dtype: torch.dtype, cfg: Any, paths: Sequence[str]) -> Iterator[tuple[list[str], Batch]]:
    """Of .npz files, read as data=npz reads them, under the names in the config; examples count from 1."""
    config, build = host().entry("data", "npz").config, host().load("data", "npz")
    names = {name: getattr(cfg, name) for name in ("x", "length")} if cfg.name == "npz" else {}
    for path in paths:
        found = build(config(name="npz", path=str(file(path, "INPUT")), **names))
        kind, shape, split = found.about.kind, found.about.shape, found.splits["train"]
        steps = 1 if about.ragged else 0                            # of which there may be others
        if kind != about.kind or shape[steps:] != about.shape[steps:] or found.about.ragged > about.ragged:
            several = ", and of fewer steps" if found.about.ragged else ""
            raise UsageError(f"{path}: an example is a {kind} of {list(shape)}{several}; those that were learned from "
                             f"are each a {about.kind} of {list(about.shape)}")
        of_inputs(found.about, split, path, cfg.impute != "none" and kind != "picture")
        for some in torch.split(torch.arange(len(split)), TOGETHER):
            batch = split.take(some).tensors
            yield [f"{path}:{row + 1}" for row in some.tolist()], {**batch, "x": as_type(batch["x"], dtype)}


def as_type(x: torch.Tensor, dtype: torch.dtype) -> torch.Tensor:
    """Numbers, and bytes from 0 to 255 as floats from 0 to 1, or the other way round."""
    if x.dtype == dtype or (x.is_floating_point() and dtype.is_floating_point):
        return x.to(dtype)
    return x / 255 if x.dtype == torch.uint8 else (255 * x).round().to(torch.uint8)


def pictures(about: About, dtype: torch.dtype, paths: Sequence[str]) -> Iterator[tuple[list[str], Batch]]:
    found = [each for path in paths for each in of_folder(there(path, "INPUT"))]
    channels, height, width = about.shape
    for begin in range(0, len(found), TOGETHER):
        some = found[begin:begin + TOGETHER]
        with opening():
            x = torch.from_numpy(np.stack([pixels(path.read_bytes, str(path), (channels, height, width))
                                           for path in some]))                              # [B, C, H, W]
        yield list(map(str, some)), {"x": as_type(x, dtype)}


def of_folder(path: Path) -> list[Path]:
    """The file itself, or the pictures in a folder and those below it, hidden files left out."""
    if not path.is_dir():
        return [path]
    found = [path / each for each in files(path, path) if is_picture(each)]
    if not found:
        raise UsageError(f"INPUT={path} has no picture in it; expected files that end in {', '.join(SUFFIXES)}")
    return found


def rows(about: About, cfg: Any, paths: Sequence[str]) -> Iterator[tuple[list[str], Batch]]:
    """Of tables that have the columns that were learned from; others do not matter."""
    for path in paths:
        found = csv_of(path, cfg, "rows", [each.name for each in about.columns])
        x = torch.from_numpy(table(found, about.columns, cfg.impute != "none", cfg.unseen))             # [N, F]
        for begin in range(0, len(x), TOGETHER):
            end = min(begin + TOGETHER, len(x))
            yield [f"{path}:{line}" for line in found.lines[begin:end]], {"x": x[begin:end]}


def csv_of(path: str, cfg: Any, what: str, columns: Sequence[str]) -> csv_file.CsvFile:
    """Raises UsageError for what is no csv file."""
    where = file(path, "INPUT")
    if is_picture(where) or where.suffix == ".npz":
        more = f", ... ({len(columns)} in all)" if len(columns) > SHOWN else ""
        raise UsageError(f"{path}: this run predicts {what} of csv files with the columns "
                         f"{', '.join(columns[:SHOWN])}{more}")
    return csv_file.read(where, getattr(cfg, "separator", ","))


def texts(about: About, cfg: Any, paths: Sequence[str], tokenizer: Any) -> Iterator[tuple[list[str], Batch]]:
    """The lines of text files, and of csv files the rows of the column that was learned from."""
    from .sides import Side, warn  # brings in the library of tokenizers

    for path in paths:
        where = file(path, "INPUT")
        if ending(where) == ".csv":
            found = csv_file.read(where, getattr(cfg, "separator", ","))
            given, places = found.fields(getattr(cfg, "text", "text"), "data.text"), found.lines
        else:
            given = lines(decoded(where))
            places = list(range(1, len(given) + 1))
        if not given:
            raise UsageError(f"{path} is empty; expected a text in each line")
        if "" in given:
            raise UsageError(f"{path}, line {places[given.index('')]:,} is empty; expected a text")
        counts = Counter[str]()
        for begin in range(0, len(given), TOGETHER):
            end = min(begin + TOGETHER, len(given))
            side = Side.of(given[begin:end], tokenizer, about.shape[0])
            counts += side.counts()
            yield [f"{path}:{line}" for line in places[begin:end]], {"x": side.tokens, "length": side.length}
        warn(path, counts, about.shape[0])


def sequences(about: About, cfg: Any, paths: Sequence[str]) -> Iterator[tuple[list[str], Batch]]:
    """Of tables in long format: a row for each step, and the column of the config that says of which sequence it is."""
    columns, id = about.columns or tuple(Column(str(i)) for i in range(about.shape[1])), getattr(cfg, "id", "id")
    for path in paths:
        found = csv_of(path, cfg, "sequences", [id, *(each.name for each in columns)])
        x = np.stack([numbers(found, each.name, cfg.impute != "none") for each in columns], 1)          # [R, F]
        of: dict[str, list[int]] = {}
        for row, name in enumerate(found.ids(id)):
            of.setdefault(name, []).append(row)
        names = list(of)
        for begin in range(0, len(names), TOGETHER):
            some = names[begin:begin + TOGETHER]
            yield [f"{path}:{name}" for name in some], padded(about, path, {name: x[of[name]] for name in some})


def padded(about: About, path: str, found: dict[str, np.ndarray]) -> Batch:
    """x [B, T, F], 0 beyond the length [B] of each. Raises UsageError where they must all have the T of training."""
    lengths = [len(each) for each in found.values()]
    longest = about.shape[0]
    if not about.ragged and (odd := [name for name, each in found.items() if len(each) != longest]):
        raise UsageError(f"{path}: the sequence {odd[0]!r} has {len(found[odd[0]])} steps; all that were learned from "
                         f"have {longest}")
    x = np.zeros((len(found), max(lengths), about.shape[1]))
    for i, each in enumerate(found.values()):
        x[i, :len(each)] = each
    return {"x": torch.from_numpy(x), "length": torch.tensor(lengths)}
