"""A dataset as agents use it: checked, split, and with its preparation fitted."""

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cached_property, partial
from hashlib import sha256
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from ..compute import Compute
from ..contract import Batch
from ..errors import UsageError
from .augment import Augmented
from .blocks import Alike, Blocks
from .checks import checked
from .config import DataConfig
from .dataset import About, Dataset, Held, Split
from .narrow import narrowed
from .prepare import Front, fitted
from .shuffled import Even, Shuffled
from .splits import split_rows

if TYPE_CHECKING:
    from .tokenizer import Tokenizer

LOOK = 1024                       # examples that are looked at together where nothing is learned, at most
SHOWN = 20                        # columns that are named
NUMBERS, TOKEN = 2**24, 2**8      # and numbers in them; for so many a token is taken


@dataclass(frozen=True)
class Data:
    cfg: DataConfig
    about: About
    splits: Mapping[str, Split]               # "train"; "valid" and "test" where there are any
    compute: Compute
    said: tuple[str, ...] = ()
    tokenizers: tuple["Tokenizer", ...] = ()    # of text: that of x, and of pairs that of y, which may be the same
    there: bool = True                        # False: only what describes it is true, and examples stand in for it

    def stream(self, batch_size: int, parts: int = 0) -> Shuffled:
        """Shuffled batches of the training split, changed as data.augment says; of text a batch has similar lengths.

        With `parts` each batch has exactly so many times `batch_size` examples, which text cannot have.
        """
        train, workers = self.splits["train"], self.cfg.workers
        if self.about.kind in ("text", "texts", "pairs"):
            kind: Any = Blocks if self.about.kind == "text" else Alike
            made: Shuffled = kind(train, batch_size, self.compute, notes=(*self.said, self.sizes()))
            return made
        augmented = Augmented(self.cfg.augment, self.about, len(train), self.compute, self.cfg.impute != "none")
        given: Any = (train, batch_size, self.compute, augmented, workers, (*self.said, self.sizes()))
        return Even(*given, parts=parts) if parts else Shuffled(*given)

    def batches(self, name: str, size: int = 0) -> Iterator[Batch]:
        """All examples of a split in their order, as they are, `size` at a time; 0: as many as are soon done with."""
        split = self.splits[name]
        each = math.prod(self.about.shape) * (TOKEN if self.about.vocabulary else 1)
        size = size or min(max(NUMBERS // each, 1), LOOK)
        parts = torch.split(torch.arange(len(split)), size)
        return split.batches(parts, self.compute.device, min(self.cfg.workers, len(parts) - 1))

    @cached_property
    def front(self) -> tuple[Front, tuple[int, ...]]:
        """What stands before a network, fitted on the training split, and the shape that the network sees."""
        return fitted(self.about, self.cfg, partial(self.batches, "train"))

    @property
    def judged(self) -> str:
        """The split for evaluation while training."""
        return next(name for name in ("valid", "test", "train") if name in self.splits)

    def class_counts(self) -> Tensor:
        """Of the training split: [K]."""
        y = self.splits["train"].y
        assert y is not None
        return torch.bincount(y, minlength=len(self.about.classes))

    def plain(self) -> dict[str, Any]:
        """What a run has to remember of its data, so that it can be used without it."""
        x = next(self.batches("train", 1))["x"]
        return {"about": self.about.plain(), "dtype": str(x.dtype).removeprefix("torch."),
                "examples": {name: len(split) for name, split in self.splits.items()},
                "tokenizers": [sha256(each.json.encode()).hexdigest() for each in self.tokenizers]}

    def sizes(self) -> str:
        found = ", ".join(f"{len(split):,} for {name}" for name, split in self.splits.items())
        judged = "" if self.judged == "valid" else f"; without a validation split the {self.judged} split is evaluated"
        few = [name for name in ("test", "valid") if getattr(self.cfg, name) and name not in self.splits]
        none = f"; too few examples for data.{few[0]}={getattr(self.cfg, few[0])}" if few else ""
        return f"{self.cfg.name}: {found} examples; {described(self.about)}{none}{judged}"


def described(about: About) -> str:
    shape = " x ".join(map(str, about.shape))
    if about.vocabulary:
        shape = f"{about.shape[0]:,} tokens"
    said = f"{about.kind} of {shape}" + (" or shorter" if about.ragged else "")
    said += ", in double precision, which single would not tell apart" if about.wide else ""
    if about.classes:
        return f"{said}, {len(about.classes)} classes"
    return f"{said}, {len(about.targets)} numbers to predict" if about.targets else said


def loaded(cfg: DataConfig, dataset: Dataset, compute: Compute, tokenizers: tuple["Tokenizer", ...] = ()) -> Data:
    """Raises UsageError for data that nothing can be learned from, with the place."""
    checked(dataset, cfg)
    dataset = narrowed(dataset)
    splits = dataset.splits if tokenizers else parted(cfg, dataset)          # tokens come from a training split
    parts = {name: split for name, split in splits.items() if len(split)}
    missing_class(dataset.about, parts["train"])
    about, splits = seen_categories(dataset.about, parts, cfg.unseen)
    return Data(cfg, about, splits, compute, (*dataset.notes, *filled(about, splits["train"], cfg)), tokenizers)


def filled(about: About, train: Split, cfg: DataConfig) -> list[str]:
    """What is missing in the training split, to be told: by column."""
    if cfg.impute == "none" or not isinstance(train, Held) or not about.columns:
        return []
    counts = train.tensors["x"].isnan().flatten(0, -2).sum(0).tolist()                      # [F]
    missing = [f"{column.name} ({count:,})" for column, count in zip(about.columns, counts, strict=True) if count]
    more = f" and {len(missing) - SHOWN} more columns" if len(missing) > SHOWN else ""
    return [f"missing in the training split, filled in by data.impute={cfg.impute}: {', '.join(missing[:SHOWN])}{more}"
            ] if missing else []


def parted(cfg: DataConfig, dataset: Dataset) -> dict[str, Split]:
    """With a test and a validation split, taken from the training split where the dataset has none."""
    given, train = dict(dataset.splits), dataset.splits["train"]
    shares = {"test": cfg.test} if "test" not in given else {}
    if "valid" not in given:
        shares["valid"] = cfg.valid * (1 - shares.get("test", 0))
    labels = train.y.numpy() if cfg.stratify and dataset.about.classes and train.y is not None else None
    rows = split_rows(len(train), {name: share for name, share in shares.items() if share}, cfg.split_seed, labels)
    new: dict[str, Any] = {name: train.take(torch.from_numpy(found)) for name, found in rows.items()}
    return {name: {**given, **new}[name] for name in ("train", "valid", "test") if name in {**given, **new}}


def seen_categories(about: About, splits: Mapping[str, Split], unseen: str) -> tuple[About, Mapping[str, Split]]:
    """With the categories of the training split alone; what others have becomes "other", one past the last of them.

    Raises UsageError for such a category where `unseen` is "error".
    """
    columns, held = list(about.columns), {name: split for name, split in splits.items() if isinstance(split, Held)}
    for i, categories in [(i, each.categories) for i, each in enumerate(columns) if each.categories is not None]:
        codes = {name: split.tensors["x"][:, i].long() for name, split in held.items()}
        there = torch.unique(codes["train"])                                 # ascending
        place = torch.full((len(categories),), len(there)).scatter(0, there, torch.arange(len(there)))
        for name, split in held.items():
            new = place[codes[name]]
            if unseen == "error" and (other := new == len(there)).any():
                category = categories[int(codes[name][other][0])]
                raise UsageError(f"column {columns[i].name!r}: the {name} split has the category {category!r}, which "
                                 "the training split has not; data.unseen=other takes it for none of the "
                                 f"{len(there):,} that it knows. Dates and names of examples are better left out: "
                                 "data.columns=[...]")
            split.tensors["x"][:, i] = new
        columns[i] = replace(columns[i], categories=tuple(categories[j] for j in there.tolist()))
    return replace(about, columns=tuple(columns)), splits


def missing_class(about: About, train: Split) -> None:
    """Raises UsageError for a class of which the training split has no example."""
    if not about.classes or train.y is None:
        return
    there = np.unique(train.y.numpy())
    absent = [name for i, name in enumerate(about.classes) if i not in there]
    if absent:
        raise UsageError(f"the training split has no example of the class {absent[0]!r}"
                         + (f" and {len(absent) - 1} others" if absent[1:] else "")
                         + ": give it some, or leave the class out")
