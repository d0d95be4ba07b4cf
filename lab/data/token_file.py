"""Long texts as files of tokens that are mapped into memory. B examples, T tokens of each."""

from collections.abc import Iterable, Iterator, Sequence
from hashlib import sha256
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from .. import cache
from ..contract import Batch
from .dataset import Split
from .tokenizer import Tokenizer, pieces


def stored(tokenizer: Tokenizer, texts: Sequence[str]) -> np.ndarray:
    """The tokens of all of `texts`, one after the other, each with its end where the tokenizer has one.

    They lie in the lab's cache under the hash of what they are made of, and are read from there.
    """
    found = sha256(tokenizer.digest.encode())
    for text in texts:
        found.update(sha256(text.encode()).digest())
    kind = np.dtype("<u2" if tokenizer.size <= 2**16 else "<u4")
    file = cache.folder("tokens") / f"{found.hexdigest()[:40]}.{kind.str[1:]}"
    if not file.exists():
        cache.write(file, b"".join(part.astype(kind).tobytes() for part in parts(tokenizer, texts)))
    return mapped(file, kind)


def parts(tokenizer: Tokenizer, texts: Sequence[str]) -> Iterator[np.ndarray]:
    for text in texts:
        for piece in pieces(text):
            yield from tokenizer.encode([piece])
        if tokenizer.end is not None:
            yield np.array([tokenizer.end])


def mapped(file: Path, kind: np.dtype) -> np.ndarray:
    if not file.stat().st_size:
        return np.zeros(0, kind)
    return np.memmap(file, kind, "r")


class Tokens(Split):
    """Example i is the tokens from i T on, and the one that follows each. What makes no whole example is left out."""

    y = None

    def __init__(self, ids: np.ndarray, block: int, bytes: int):
        self.ids, self.block, self.bytes = ids, block, bytes      # of the text, 0 where something of it is lost

    def __len__(self) -> int:
        return max(len(self.ids) - 1, 0) // self.block

    def batches(self, orders: Iterable[Tensor], device: torch.device, workers: int = 0) -> Iterator[Batch]:
        for rows in orders:
            yield self.at(rows * self.block, device)

    def at(self, begins: Tensor, device: torch.device) -> Batch:
        """The examples that begin at these tokens [B]."""
        found = self.ids[(begins[:, None] + torch.arange(self.block + 1)).numpy()]          # [B, T + 1]
        ids = torch.from_numpy(found.astype(np.int64)).to(device, non_blocking=True)
        return {"x": ids[:, :-1], "y": ids[:, 1:]}                                          # [B, T]

    def fingerprint(self) -> str:
        found = sha256(f"{self.block} {self.ids.dtype.str}".encode())
        found.update(np.ascontiguousarray(self.ids).data)
        return found.hexdigest()
