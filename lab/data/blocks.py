"""Shuffled batches of text. N examples, B in a batch, T tokens of an example."""

from collections.abc import Generator, Mapping
from typing import Any

import torch
from torch import Tensor

from ..contract import Batch
from ..errors import ResumeError
from .dataset import Held
from .shuffled import Shuffled
from .token_file import Tokens

POOL = 50                         # batches whose examples are sorted by length together


class Blocks(Shuffled):
    """Of a long text, which each epoch cuts at other places: all its examples begin some tokens later."""

    unit = "tokens"
    split: Tokens

    def __init__(self, split: Tokens, batch_size: int, *given: Any, **more: Any):
        self.each = split.block
        super().__init__(split, batch_size, *given, **more)

    def batches(self, count: int) -> Generator[tuple[Batch, Tensor, int]]:
        for rows, epoch in self.orders(count):
            yield self.split.at(rows * self.split.block + self.shift(epoch), self.compute.device), rows, epoch

    def examples(self) -> int:
        """One less than there are, so that they can begin later."""
        return max(len(self.split) - 1, 1)

    def shift(self, epoch: int) -> int:
        rng = torch.Generator().manual_seed(self.compute.seed_for(f"shift/{epoch}"))
        spare = len(self.split.ids) - 1 - self.n * self.split.block
        return int(torch.randint(spare + 1, (), generator=rng))


class Alike(Shuffled):
    """Of texts of several lengths: those of a batch are nearly as long as each other, and no longer than needed."""

    saved = (*Shuffled.saved, "size")
    split: Held

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Raises ResumeError for batches of another size in the midst of an epoch, whose order depends on it."""
        own = self.size
        if state["size"] != own and state["count"] % self.n:
            raise ResumeError(f"agent.batch_size: this epoch began with batches of {state['size']}; they can be "
                              f"{own} when it is over")
        super().load_state_dict(state)
        self.size = own

    def order(self, epoch: int) -> Tensor:
        order = super().order(epoch)
        lengths = self.split.tensors["length"] + self.split.tensors.get("y_length", 0)
        rng = torch.Generator().manual_seed(self.compute.seed_for(f"batches/{epoch}"))
        pools = [pool[lengths[pool].argsort(stable=True)] for pool in torch.split(order, POOL * self.size)]
        *whole, last = torch.split(torch.cat(pools), self.size)
        return torch.cat([*(whole[i] for i in torch.randperm(len(whole), generator=rng)), last])

    def next(self) -> Batch:
        return trimmed(super().next())


def trimmed(batch: Batch) -> Batch:
    """Without the places that are beyond the length of all: x [B, T], y [B, T'] of pairs."""
    ends = {"x": "length", **({"y": "y_length"} if "y_length" in batch else {})}
    return {**batch, **{name: batch[name][:, :int(batch[length].max())] for name, length in ends.items()}}
