"""What a dataset is: named splits of examples, and what one example consists of.

N examples, B of them in a batch, C channels, H and W pixels, F numbers, T steps of the longest sequence or text.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, field
from hashlib import sha256
from typing import Any

import torch
from torch import Tensor

from ..contract import Batch

KINDS = ("picture", "table", "sequence")
SPOKEN = ("text", "texts", "pairs")
LABELLED, NUMBERS, NONE = "class", "numbers", "none"


@dataclass(frozen=True)
class Column:
    """Of a table: a number, or one of `categories`, which then stands there as its place among them."""

    name: str
    categories: tuple[str, ...] | None = None


@dataclass(frozen=True)
class About:
    """One example: its input `x` and its target `y`.

    picture     x [C, H, W], uint8 or float from 0 to 1
    table       x [F], float, one for each of `columns`
    sequence    x [T, F], float, and `length`, the steps that it has; beyond them it is 0
    text        x [T], int64: tokens one after the other out of a long text, and y [T], the one that follows each
    texts       x [T], int64, the tokens of a whole text, and its `length`
    pairs       the same for two that belong together, the second one y and `y_length`
    """

    kind: str
    shape: tuple[int, ...]                    # of x
    classes: tuple[str, ...] = ()             # y is the place of one of them, int64
    targets: tuple[str, ...] = ()             # or these numbers, y [targets], float; neither: there is no target
    columns: tuple[Column, ...] = ()          # of the F numbers of a table or of a step, in the order of x
    ragged: bool = False                      # sequences are of several lengths
    vocabulary: tuple[int, ...] = ()          # of text: tokens that there are; of pairs also those of y
    answer: int = 0                           # of pairs: tokens of the longest y
    wide: bool = False                        # numbers, of examples and targets, are float64: float32 would not do

    @property
    def outputs(self) -> int:
        """Numbers that a network has to say of each example."""
        return len(self.classes) or len(self.targets)

    def plain(self) -> dict[str, Any]:
        return asdict(self)

    @staticmethod
    def of(plain: Mapping[str, Any]) -> "About":
        """From what `plain` has written, perhaps as JSON."""
        columns = tuple(Column(each["name"], None if each["categories"] is None else tuple(each["categories"]))
                        for each in plain["columns"])
        lists = {name: tuple(plain.get(name, ())) for name in ("shape", "classes", "targets", "vocabulary")}
        return About(**{**plain, **lists, "columns": columns})


class Split:
    """Examples that can be asked for by number."""

    y: Tensor | None                          # [N, ...] of all of them, on the host

    def __len__(self) -> int:
        raise NotImplementedError

    def batches(self, orders: Iterable[Tensor], device: torch.device, workers: int = 0) -> Iterator[Batch]:
        """A batch for each of `orders`, row numbers [B] on the host."""
        raise NotImplementedError

    def take(self, rows: Tensor) -> "Split":
        """These alone."""
        raise NotImplementedError

    def fingerprint(self) -> str:
        """Of its content: another where anything in it is another."""
        raise NotImplementedError


def spread(split: Split, most: int) -> Tensor:
    """Row numbers [N] of a split, at most so many and always the same ones, of all parts of it: it may be sorted."""
    return torch.randperm(len(split), generator=torch.Generator().manual_seed(0))[:most]


class Held(Split):
    """In memory: {"x": [N, ...], "y": [N, ...], "length": [N]}, y and length only where there are any."""

    def __init__(self, **tensors: Tensor):
        self.tensors = tensors
        self.y, self.placed = tensors.get("y"), dict[torch.device, dict[str, Tensor]]()

    def __len__(self) -> int:
        return len(self.tensors["x"])

    def on(self, device: torch.device) -> dict[str, Tensor]:
        """All of it on `device`, where it stays."""
        if device not in self.placed:
            self.placed[device] = {name: tensor.to(device) for name, tensor in self.tensors.items()}
        return self.placed[device]

    def batches(self, orders: Iterable[Tensor], device: torch.device, workers: int = 0) -> Iterator[Batch]:
        tensors = self.on(device)
        for rows in orders:
            index = rows.to(device)
            yield {name: tensor.index_select(0, index) for name, tensor in tensors.items()}     # faster than [index]

    def take(self, rows: Tensor) -> "Held":
        return Held(**{name: tensor[rows] for name, tensor in self.tensors.items()})

    def fingerprint(self) -> str:
        found = sha256()
        for name, tensor in sorted(self.tensors.items()):
            found.update(f"{name} {tensor.dtype} {list(tensor.shape)}".encode())
            found.update(tensor.contiguous().view(torch.uint8).numpy().data)
        return found.hexdigest()


@dataclass(frozen=True)
class Dataset:
    """What the `build` of a dataset returns: "train" and, where the data brings them, "valid" and "test"."""

    about: About
    splits: Mapping[str, Split]
    notes: tuple[str, ...] = field(default=())            # what a user should know, such as files that were skipped
