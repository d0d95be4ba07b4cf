"""The columns of a buffer of rows, each row with a number that only grows, and how a checkpoint holds them. C rows."""

from collections.abc import Callable, Mapping
from functools import partial
from operator import getitem
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor

from .chunks import Chunk
from .contract import Batch
from .state import Saved

CHUNK = 2**22                     # bytes; a checkpoint writes only the rows after the last whole chunk anew


class Finals(Saved):
    """Observations that ended an episode without a terminal state, by the number of their row, in its order.

    They stand at the end of a memory with room for more, so that adding one seldom copies those that are held.
    """

    saved = ("rows", "obs")

    def __init__(self, device: torch.device):
        self.rows, self.obs = torch.zeros(0, dtype=torch.int64, device=device), torch.zeros(0, device=device)
        self.memory, self.end = (self.rows, self.obs), 0          # [R], [R, ...] of which the first `end` are used

    def push(self, rows: Tensor, obs: Tensor, first: int) -> None:
        """Add `rows` [F] with their `obs` [F, ...]; forget those before row number `first`."""
        keep = int((self.rows >= first).sum())
        if self.end + len(rows) > len(self.memory[0]):
            room = 2 * (keep + len(rows))
            memory = rows.new_empty(room), obs.new_empty(room, *obs.shape[1:])
            if keep:
                memory[0][:keep], memory[1][:keep] = self.rows[-keep:], self.obs[-keep:]
            self.memory, self.end = memory, keep
        begin, new, self.end = self.end - keep, self.end, self.end + len(rows)
        self.memory[0][new:self.end], self.memory[1][new:self.end] = rows, obs
        self.rows, self.obs = (each[begin:self.end] for each in self.memory)

    def sort(self) -> None:
        """After a row that came late."""
        order = self.rows.argsort()
        self.rows.copy_(self.rows[order])
        self.obs.copy_(self.obs[order])

    def put(self, obs: Tensor, rows: Tensor) -> Tensor:
        """`obs` [..., *shape], where a row of `rows` [...] is held the obs that is held for it."""
        at = torch.searchsorted(self.rows, rows).clamp_(max=len(self.rows) - 1)                 # [...]
        hit = (self.rows[at] == rows).view(*rows.shape, *[1] * (obs.ndim - rows.ndim))
        return torch.where(hit, self.obs[at], obs)


class Rows(Saved):
    """The newest `capacity` rows: number r stands at r % capacity."""

    saved: ClassVar[tuple[str, ...]] = ("pushed", "head", "chunks", "tail", "finals")

    def __init__(self, capacity: int, device: torch.device):
        self.capacity, self.device, self.first, self.pushed = capacity, device, 0, 0     # the oldest, and the next
        self.columns: dict[str, Tensor] = {}            # [C, ...]
        # What works with few numbers or copies whole rows takes less time with arrays, where they are in reach.
        self.at_hand = hand(device)
        self.hands: dict[str, Any] = {}                 # the columns, at hand
        self.pick: Callable[[Any, Any], Any] = partial(np.take, axis=0) if device.type == "cpu" else getitem
        self.finals = Finals(device)
        self.chunks: dict[int, Chunk] = {}              # those that are whole, by the number of their first row
        self.head, self.tail = dict[str, Tensor](), dict[str, Tensor]()       # the rows around them, at a checkpoint

    def __len__(self) -> int:
        return self.pushed - self.first

    def make_room(self, rows: Batch) -> None:
        for name in [name for name in rows if name not in self.columns]:
            self.columns[name] = rows[name].new_zeros(self.capacity, *rows[name].shape[1:], device=self.device)
            self.hands[name] = self.at_hand(self.columns[name])

    def cut(self, row: int, obs: Tensor) -> None:
        """The episode ends with this row, without a terminal state; `obs` [*shape] followed it."""
        at = row % self.capacity
        if not bool(self.columns["done"][at]):
            self.columns["done"][at] = 1
            self.finals.push(torch.tensor([row], device=self.device), obs[None].to(self.device), self.first)
            self.finals.sort()
            self.chunks = {start: chunk for start, chunk in self.chunks.items() if start + self.starts().step <= row}

    def starts(self) -> range:
        """The first rows of all whole chunks, by number; none where the whole buffer is smaller than one."""
        size = max(CHUNK // sum(column[0].nbytes for column in self.columns.values()), 1) if self.columns else 1
        if size > self.capacity:
            return range(self.first, self.first, size)
        begin = min(-(-self.first // size) * size, self.pushed)
        return range(begin, max(self.pushed // size * size, begin), size)

    def places(self, begin: int, end: int) -> Tensor:
        """Where the rows of these numbers stand."""
        return torch.arange(begin, end, device=self.device) % self.capacity

    def read(self, begin: int, end: int) -> dict[str, Tensor]:
        """The rows of these numbers, in the order of the columns' names."""
        at = self.places(begin, end)
        return {name: self.columns[name][at] for name in sorted(self.columns)}

    def write(self, begin: int, rows: Batch) -> None:
        """Put rows back, from number `begin` on, those that a buffer of this size can hold."""
        self.make_room(rows)
        end = begin + length(rows)
        skip = min(max(self.pushed - self.capacity - begin, 0), end - begin)
        for name, row in rows.items():
            self.columns[name][self.places(begin + skip, end)] = row[skip:].to(self.device)

    def state_dict(self) -> dict[str, Any]:
        whole = self.starts()
        self.chunks = {at: self.chunks.get(at) or Chunk(partial(self.read, at, at + whole.step)) for at in whole}
        self.head, self.tail = self.read(self.first, whole.start), self.read(whole.stop, self.pushed)
        return super().state_dict()

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """A smaller buffer than the one that was saved keeps the newest rows."""
        self.columns, self.head, self.chunks, self.tail, self.finals = {}, {}, {}, {}, Finals(self.device)
        super().load_state_dict(state)
        begin = self.pushed - length(self.tail)
        self.write(begin, self.tail)
        sizes = set[int]()
        for at, chunk in self.chunks.items():
            rows = chunk.read()
            sizes.add(length(rows))
            self.write(at, rows)
            self.chunks[at] = Chunk(partial(self.read, at, at + length(rows)), chunk.name, chunk.size)
        begin = min([begin, *self.chunks]) - length(self.head)
        self.write(begin, self.head)
        self.first, self.head, self.tail = max(begin, self.pushed - self.capacity), {}, {}
        if sizes != {self.starts().step}:               # written by a lab with chunks of another size
            self.chunks = {}


def hand(device: torch.device) -> Callable[[Tensor], Any]:
    """How a tensor on `device` comes to hand: on a CPU as an array in the same memory."""
    return Tensor.numpy if device.type == "cpu" else Tensor.detach


def length(rows: Batch) -> int:
    return len(next(iter(rows.values()), ()))
