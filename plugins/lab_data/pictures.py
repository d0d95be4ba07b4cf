"""Folders of pictures, one per class. N pictures, C channels, H and W pixels."""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

import numpy as np
import torch

from lab.data.dataset import About, Dataset
from lab.data.files import folder
from lab.data.pixels import Look, Shape, look, pixels, shape_of
from lab.data.reading import Read, held, opening
from lab.errors import DataError, UsageError

from .class_folders import Chosen, listed
from .plugin import Images

HINT = "data.skip_broken=true leaves out what does not open"


@dataclass(frozen=True)
class Files:
    """Reads a picture by its number."""

    root: Path
    names: tuple[str, ...]                    # [N], relative to root
    shape: Shape

    def __call__(self, i: int) -> np.ndarray:
        path = self.root / self.names[i]
        return pixels(path.read_bytes, str(path), self.shape)


def build(cfg: Images) -> Dataset:
    root = folder(cfg.path)
    classes, chosen, others = listed(root)
    notes = left_out(others, "no pictures by their names, or in no folder of a class")
    looks, broken = looked(root, chosen)
    if broken and not cfg.skip_broken:
        raise UsageError(f"{next(iter(broken.values()))}; {HINT}")
    if broken:
        chosen = {split: [each for each in pictures if each[0] in looks] for split, pictures in chosen.items()}
        notes += left_out(list(broken), "which do not open as pictures")
        check_left(root, classes, chosen)
    names = tuple(looks)
    shape = shape_of(cfg.size, cfg.channels, list(looks.values()), names.__getitem__)
    told = sha256("\n".join([str(shape), *(each.content for each in looks.values())]).encode()).hexdigest()
    read, begin, splits = Files(root, names, shape), 0, dict[str, Read]()
    for split, pictures in chosen.items():
        y, rows = torch.tensor([label for _, label in pictures]), torch.arange(begin, begin + len(pictures))
        splits[split], begin = Read(read, y, told, rows), begin + len(pictures)
    with opening():
        return Dataset(About("picture", shape, tuple(classes)), held(splits, shape, cfg.memory), tuple(notes))


def looked(root: Path, chosen: Chosen) -> tuple[dict[str, Look], dict[str, DataError]]:
    """Of each picture, by its name: what it is like, or why it does not open."""
    def one(name: str) -> Look | DataError:
        path = root / name
        try:
            return look(path.read_bytes, str(path))
        except DataError as error:
            return error

    names = [name for pictures in chosen.values() for name, _ in pictures]
    with ThreadPoolExecutor() as pool:
        found = dict(zip(names, pool.map(one, names), strict=True))
    return ({name: each for name, each in found.items() if isinstance(each, Look)},
            {name: each for name, each in found.items() if isinstance(each, DataError)})


def left_out(names: Sequence[str], what: str) -> list[str]:
    few = ", ".join(names[:3]) + (", ..." if len(names) > 3 else "")
    return [f"{len(names):,} files left out, {what}: {few}"] if names else []


def check_left(root: Path, classes: Sequence[str], chosen: Chosen) -> None:
    for split, pictures in chosen.items():
        there = {label for _, label in pictures}
        if not there:
            raise UsageError(f"{root}: no picture of the {split} split opens")
        if split == "train" and (gone := [name for label, name in enumerate(classes) if label not in there]):
            raise UsageError(f"{root}: no picture of the class {gone[0]!r} opens")
