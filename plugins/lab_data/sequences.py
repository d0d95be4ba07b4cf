"""Sequences of several lengths in a csv file. R rows, N sequences, T steps of the longest, F numbers in a step."""

from dataclasses import dataclass

import numpy as np
import torch

from lab.data import csv_file
from lab.data.csv_file import CsvFile
from lab.data.dataset import About, Column, Dataset, Held
from lab.data.files import file
from lab.data.table import Target, numbers, target_of
from lab.errors import UsageError

from .plugin import Sequences


@dataclass(frozen=True)
class Steps:
    """The rows of a file by their sequences."""

    x: np.ndarray                 # [R, F]
    y: np.ndarray                 # [N, ...]
    of: np.ndarray                # [R], the number of the sequence, in the order in which they begin
    length: np.ndarray            # [N]

    def padded(self, longest: int) -> Held:
        """x [N, T, F], 0 beyond the length of each."""
        order = np.argsort(self.of, kind="stable")                                  # the rows, sequence by sequence
        step = np.arange(len(order)) - np.repeat(np.cumsum(self.length) - self.length, self.length)
        x = np.zeros((len(self.length), longest, self.x.shape[1]))
        x[self.of[order], step] = self.x[order]
        return Held(**{name: torch.from_numpy(each) for name, each in (("x", x), ("y", self.y),
                                                                      ("length", self.length.astype(np.int64)))})


def build(cfg: Sequences) -> Dataset:
    found = {"train": csv_file.read(file(cfg.path), cfg.separator)}
    if cfg.test_path:
        found["test"] = csv_file.read(file(cfg.test_path, "data.test_path"), cfg.separator)
    train = found["train"]
    train.position(cfg.id, "data.id")
    target = target_of(train, cfg.target, cfg.task)
    names = [name for name in train.header if name not in (cfg.id, cfg.target)]
    if not names:
        raise UsageError(f"{train.path} has no column but {cfg.id!r} and {cfg.target!r}; a step needs a number")
    steps = {name: steps_of(each, names, target, cfg) for name, each in found.items()}
    longest = max(int(each.length.max()) for each in steps.values())
    ragged = any(int(each.length.min()) < longest for each in steps.values())
    about = About("sequence", (longest, len(names)), target.classes, () if target.classes else (cfg.target,),
                  tuple(map(Column, names)), ragged)
    return Dataset(about, {name: each.padded(longest) for name, each in steps.items()}, (target.said(),))


def steps_of(found: CsvFile, names: list[str], target: Target, cfg: Sequences) -> Steps:
    """Raises UsageError, with the line, for a row without a sequence or with another target than those before it."""
    ids, y = found.ids(cfg.id), target.read(found)
    number = {id: i for i, id in enumerate(dict.fromkeys(ids))}
    of = np.array([number[id] for id in ids])
    begins = np.unique(of, return_index=True)[1]                                    # [N], the first row of each
    if (other := np.flatnonzero((y != y[begins[of]]).reshape(len(y), -1).any(1))).size:
        row, first = int(other[0]), int(begins[of[other[0]]])
        told = found.fields(cfg.target, "data.target")
        raise UsageError(f"{found.at(row, cfg.target)}: {told[row]!r}, and {told[first]!r} in line "
                         f"{found.lines[first]:,}; all rows of {cfg.id} {ids[row]!r} have one target")
    x = np.stack([numbers(found, name, cfg.impute != "none") for name in names], 1)
    return Steps(x, y[begins], of, np.bincount(of))
