"""Datasets of text: strings from the files, tokens for the networks. N texts, T tokens of the longest."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ..errors import UsageError
from .config import TextConfig
from .dataset import About, Dataset, Held, Split
from .sides import Side, said
from .splits import split_rows
from .token_file import Tokens, stored
from .tokenizer import Tokenizer
from .vocabulary import known

LOOK = 20_000                     # characters by which it is seen whether tokens keep all of a text


@dataclass(frozen=True)
class Text:
    """One split.

    text    x: a long text, or several
    texts   x [N], and y [N], the place of the class of each, int64, where there are classes
    pairs   x [N] and y [N]
    """

    x: Sequence[str]
    y: Sequence[str] | Tensor | None = None

    def take(self, rows: np.ndarray) -> "Text":
        y = self.y[torch.from_numpy(rows)] if isinstance(self.y, Tensor) else self.y and [self.y[i] for i in rows]
        return Text([self.x[i] for i in rows], y)


@dataclass(frozen=True)
class Texts:
    """What the `build` of a dataset of text returns: "train" and, where the data brings them, "valid" and "test".

    The lab splits it where it does not, and learns the tokens from the training split.
    """

    kind: str                                         # text, texts, pairs
    splits: Mapping[str, Text]
    classes: tuple[str, ...] = ()
    notes: tuple[str, ...] = field(default=())


def tokenized(cfg: TextConfig, texts: Texts, run: Path | None) -> tuple[Dataset, tuple[Tokenizer, ...]]:
    """As tokens, by the tokenizers of `run`, where one goes on. Raises UsageError for text that makes no example."""
    splits = parted(cfg, texts)
    tokenizers = known(cfg, texts.kind, splits["train"], run)
    dataset = {"text": long, "texts": short, "pairs": paired}[texts.kind](cfg, texts, splits, tokenizers)
    return replace(dataset, notes=(*texts.notes, *dataset.notes)), tokenizers


def parted(cfg: TextConfig, texts: Texts) -> Mapping[str, Text]:
    """With a test and a validation split, cut from the training split where the dataset has none."""
    given, train = dict(texts.splits), texts.splits["train"]
    shares = {name: share for name, share in (("valid", cfg.valid), ("test", cfg.test)) if name not in given}
    if "valid" in shares:
        shares["valid"] *= 1 - shares.get("test", 0)
    shares = {name: share for name, share in shares.items() if share}
    if texts.kind == "text":
        found = cut(train.x, shares)
    else:
        labels = train.y.numpy() if cfg.stratify and isinstance(train.y, Tensor) else None
        rows = split_rows(len(train.x), shares, cfg.split_seed, labels)
        found = {name: train.take(each) for name, each in rows.items()}
    found = {**given, **found}
    if not found["train"].x:
        raise UsageError(f"data={cfg.name}: data.test={cfg.test} and data.valid={cfg.valid} leave nothing to learn "
                         "from")
    return {name: found[name] for name in ("train", "valid", "test") if name in found and len(found[name].x)}


def cut(texts: Sequence[str], shares: Mapping[str, float]) -> dict[str, Text]:
    """The shares from the end of all characters, in this order; "train" has what comes before them."""
    total, begin, found = sum(map(len, texts)), 0, dict[str, Text]()
    ends = np.cumsum([1 - sum(shares.values()), *shares.values()])
    for name, share in zip(("train", *shares), ends, strict=True):
        end = total if share > 1 - 1e-9 else int(total * share + 1e-9)
        found[name], begin = Text(list(within(texts, begin, end))), end
    return found


def within(texts: Sequence[str], begin: int, end: int) -> Iterator[str]:
    """The characters from `begin` to `end` of all of them, one after the other."""
    at = 0
    for text in texts:
        if part := text[max(begin - at, 0):max(end - at, 0)]:
            yield part
        at += len(text)


def long(cfg: Any, texts: Texts, splits: Mapping[str, Text], tokenizers: tuple[Tokenizer, ...]) -> Dataset:
    """Raises UsageError for a split that is shorter than a block."""
    tokenizer, found, notes = tokenizers[0], dict[str, Split](), list[str]()
    for name, text in splits.items():
        size = sum(len(x.encode()) for x in text.x)
        whole = tokenizer.keeps(text.x[0][:LOOK])
        found[name] = tokens = Tokens(stored(tokenizer, text.x), cfg.block, size if whole else 0)
        if not len(tokens):
            raise UsageError(f"data={cfg.name}: the {name} split has {len(tokens.ids):,} tokens, and data.block="
                             f"{cfg.block} needs {cfg.block + 1} at least; use a longer text or a smaller block")
        notes.append(f"{name}: {len(tokens.ids):,} tokens of {size:,} bytes" + unknown(tokenizer, tokens.ids))
    about = About("text", (cfg.block,), vocabulary=(tokenizer.size,))
    return Dataset(about, found, (f"{'; '.join(notes)}; {tokenizer.size:,} different ones",))


def unknown(tokenizer: Tokenizer, ids: np.ndarray) -> str:
    count = 0 if tokenizer.unknown is None else int((ids == tokenizer.unknown).sum())
    return f", {count:,} of them not in the vocabulary" if count else ""


def short(cfg: Any, texts: Texts, splits: Mapping[str, Text], tokenizers: tuple[Tokenizer, ...]) -> Dataset:
    sides = {name: Side.of(text.x, tokenizers[0], cfg.longest) for name, text in splits.items()}
    longest = max(side.tokens.shape[1] for side in sides.values())
    held: dict[str, Split] = {}
    for name, side in sides.items():
        y = splits[name].y
        labels = {"y": y} if isinstance(y, Tensor) else {}
        held[name] = Held(x=side.padded(longest), length=side.length, **labels)
    about = About("texts", (longest,), texts.classes, ragged=True, vocabulary=(tokenizers[0].size,))
    return Dataset(about, held, (said(cfg, "texts", sides, tokenizers[0]),))


def paired(cfg: Any, texts: Texts, splits: Mapping[str, Text], tokenizers: tuple[Tokenizer, ...]) -> Dataset:
    """Raises UsageError for a split whose sides are of unequal length."""
    sides = dict[str, tuple[Side, Side]]()
    for name, text in splits.items():
        assert not isinstance(text.y, Tensor)
        if text.y is None or len(text.x) != len(text.y):
            raise UsageError(f"data={cfg.name}: the {name} split has {len(text.x):,} texts to read and "
                             f"{len(text.y or ()):,} to say; expected pairs")
        sides[name] = Side.of(text.x, tokenizers[0], cfg.longest), Side.of(text.y, tokenizers[-1], cfg.longest)
    longest = [max(pair[i].tokens.shape[1] for pair in sides.values()) for i in (0, 1)]
    held = {name: Held(x=x.padded(longest[0]), length=x.length, y=y.padded(longest[1]), y_length=y.length)
            for name, (x, y) in sides.items()}
    about = About("pairs", (longest[0],), ragged=True, vocabulary=(tokenizers[0].size, tokenizers[-1].size),
                  answer=longest[1])
    notes = (said(cfg, "texts to read", {name: x for name, (x, _) in sides.items()}, tokenizers[0]),
             said(cfg, "texts to say", {name: y for name, (_, y) in sides.items()}, tokenizers[-1]))
    return Dataset(about, held, notes)
