"""Batches of a split, each epoch in an order of its own. B examples in a batch, N in the split."""

from collections.abc import Generator, Iterator, Mapping
from itertools import pairwise
from typing import Any, ClassVar

import torch
from torch import Tensor

from ..compute import Compute
from ..contract import Batch, Stream
from ..errors import ResumeError
from .augment import Augmented
from .dataset import Split


class Shuffled(Stream):
    """Every example once in every epoch; the order of epoch e depends on the seed and e alone.

    The last batch of an epoch has what is left; one example alone, which has no variance, joins the batch before it.
    `batch_size` 0, or more than there are examples: all of them at once.
    """

    saved: ClassVar[tuple[str, ...]] = ("count", "data")
    unit = "examples"
    each = 1                      # how much an example counts

    def __init__(self, split: Split, batch_size: int, compute: Compute, augmented: Augmented | None = None,
                 workers: int = 0, notes: tuple[str, ...] = ()):
        self.split, self.compute, self.workers, self.said = split, compute, workers, list(notes)
        self.augmented, self.data = augmented or None, split.fingerprint()
        self.n = self.examples()
        self.size = min(batch_size or self.n, self.n)
        alone = self.size > 1 and self.n % self.size == 1
        self.epoch_length, self.epoch_updates = self.n * self.each, -(-self.n // self.size) - alone
        self.source: Generator[tuple[Batch, Tensor, int]] | None = None         # the batches from `reached` on
        self.reached = 0

    def examples(self) -> int:
        """Of an epoch."""
        return len(self.split)

    def next(self) -> Batch:
        if self.source is None or self.reached != self.count:
            self.source = self.batches(self.count)
        batch, rows, epoch = next(self.source)
        self.count += len(rows) * self.each
        self.reached = self.count
        return self.augmented(batch, rows, epoch) if self.augmented else batch

    def close(self) -> None:
        """End the processes that read ahead."""
        if self.source is not None:
            self.source.close()
        self.source = None

    def batches(self, count: int) -> Generator[tuple[Batch, Tensor, int]]:
        """From `count` on, each with its rows and epoch; readers may be several batches ahead."""
        orders = self.orders(count)
        for batch in self.split.batches((rows for rows, _ in self.orders(count)), self.compute.device, self.workers):
            yield batch, *next(orders)

    def orders(self, count: int) -> Iterator[tuple[Tensor, int]]:
        """The rows [B] of each batch from `count` on, and their epoch."""
        epoch, start = divmod(count // self.each, self.n)
        while True:
            rest = self.order(epoch)[start:]              # all of it, also where batches had another size before
            alone = self.size > 1 and len(rest) % self.size == 1
            for begin, end in pairwise([0, *range(self.size, len(rest) - alone, self.size), len(rest)]):
                yield rest[begin:end], epoch
            epoch, start = epoch + 1, 0

    def order(self, epoch: int) -> Tensor:
        """Of all examples in an epoch: [N], on the host."""
        rng = torch.Generator().manual_seed(self.compute.seed_for(f"shuffle/{epoch}"))
        return torch.randperm(self.n, generator=rng)

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Raises ResumeError where the data is not that of the checkpoint."""
        if state.get("data") != self.data:
            raise ResumeError("the training data has changed since the checkpoint: put back the files that the run "
                              "began with and leave out data.*, or start a new run")
        super().load_state_dict(state)

    def notes(self) -> list[str]:
        return self.said


class Even(Shuffled):
    """All batches have as many examples, `parts` times `batch_size` or all: they run on from one epoch into the next.

    An epoch is still every example once, and need not be a whole number of batches; of data with fewer examples than a
    batch some are in it more than once. What augmentation does to a batch is that of the epoch in which it begins.
    """

    def __init__(self, split: Split, batch_size: int, *given: Any, parts: int = 1, **more: Any):
        super().__init__(split, batch_size, *given, **more)
        self.size *= parts
        self.epoch_updates = self.n / self.size

    def orders(self, count: int) -> Iterator[tuple[Tensor, int]]:
        at, (epoch, start) = count, divmod(count, self.n)
        rest = self.order(epoch)[start:]
        while True:
            while len(rest) < self.size:
                epoch += 1
                rest = torch.cat([rest, self.order(epoch)])
            yield rest[:self.size], at // self.n
            rest, at = rest[self.size:], at + self.size
