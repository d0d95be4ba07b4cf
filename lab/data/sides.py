"""Separate texts as tokens. N texts, T tokens of the longest."""

import logging
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from .tokenizer import Tokenizer

LOG = logging.getLogger("lab")


@dataclass(frozen=True)
class Side:
    """Texts as tokens."""

    tokens: Tensor                            # [N, T], int64, 0 beyond the length of each
    length: Tensor                            # [N], at least 1
    cut: int                                  # of how many the end was left out
    empty: int                                # how many had no token, for which the first of all stands
    unknown: int                              # tokens, of what is left, that are not in the vocabulary

    @staticmethod
    def of(texts: Sequence[str], tokenizer: Tokenizer, longest: int) -> "Side":
        ids = tokenizer.encode(texts)
        length = np.array([min(max(len(each), 1), longest) for each in ids], np.int64)
        tokens = np.zeros((len(ids), int(length.max())), np.int64)
        for row, each in zip(tokens, ids, strict=True):
            row[:min(len(each), longest)] = each[:longest]
        inside = np.arange(tokens.shape[1]) < length[:, None]                               # [N, T]
        unknown = 0 if tokenizer.unknown is None else int((tokens[inside] == tokenizer.unknown).sum())
        return Side(torch.from_numpy(tokens), torch.from_numpy(length), sum(len(each) > longest for each in ids),
                    sum(not len(each) for each in ids), unknown)

    def counts(self) -> Counter[str]:
        return Counter(texts=len(self.length), tokens=int(self.length.sum()), cut=self.cut, unknown=self.unknown)

    def padded(self, longest: int) -> Tensor:
        """[N, longest]"""
        return torch.nn.functional.pad(self.tokens, (0, longest - self.tokens.shape[1]))


def warn(what: str, counts: Mapping[str, int], longest: int) -> None:
    """Of texts that a run is given to use it: what of them it does not see."""
    if counts["cut"]:
        LOG.warning("%s: %s of %s texts are longer than the %s tokens that this run reads: their ends are left out",
                    what, f"{counts['cut']:,}", f"{counts['texts']:,}", f"{longest:,}")
    if counts["unknown"]:
        LOG.warning("%s: %s of %s tokens are not in the vocabulary", what, f"{counts['unknown']:,}",
                    f"{counts['tokens']:,}")


def said(cfg: Any, what: str, sides: Mapping[str, Side], tokenizer: Tokenizer) -> str:
    """Of what was cut, and of tokens that are not known: nothing is left out in silence."""
    notes = list[str]()
    for name, side in sides.items():
        parts = [f"{name}: {len(side.length):,} {what}, {int(side.length.sum()):,} tokens"]
        parts += [f"{side.unknown:,} of them not in the vocabulary"] if side.unknown else []
        parts += [f"{side.cut:,} texts cut to data.longest={cfg.longest}"] if side.cut else []
        parts += [f"{side.empty:,} of the texts are empty"] if side.empty else []
        notes.append(", ".join(parts))
    return f"{'; '.join(notes)}; {tokenizer.size:,} different ones"
