"""Examples that are read when they are asked for, by processes that read ahead. N examples, B in a batch."""

import math
import multiprocessing
import signal
import threading
import warnings
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from hashlib import sha256
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader

from .. import signals
from ..contract import Batch
from ..devices import room
from ..errors import DataError, LabError, UsageError
from ..team import START, context, held_back
from ..worker import follow
from .dataset import Held, Split

LEFT_ALONE = (signal.SIGINT, signal.SIGHUP, signal.SIGUSR1)       # the parent decides, and may still save
INPUT = Callable[[int], np.ndarray]           # number of an example -> its x, uint8 or float32


class Read(Split):
    """`read(i)` is the input of example i. It can be sent to another process; a LabError that it raises is shown.

    `identity` stands for the content of all of them: it is another where any of them is another.
    """

    def __init__(self, read: INPUT, y: Tensor | None, identity: str, rows: Tensor):
        self.read, self.y, self.identity, self.rows = read, y, identity, rows       # rows [N]: the numbers for `read`

    def __len__(self) -> int:
        return len(self.rows)

    def batches(self, orders: Iterable[Tensor], device: torch.device, workers: int = 0) -> Iterator[Batch]:
        asked = deque[Tensor]()                   # what has been asked for and has not come yet

        def numbers() -> Iterator[list[int]]:
            for rows in orders:
                asked.append(rows)
                yield self.rows[rows].tolist()

        for x in ahead(Inputs(self.read), numbers(), device, workers):
            rows = asked.popleft()
            batch = {"x": x} if self.y is None else {"x": x, "y": self.y[rows]}
            yield {name: tensor.to(device, non_blocking=True) for name, tensor in batch.items()}

    def take(self, rows: Tensor) -> "Read":
        return Read(self.read, None if self.y is None else self.y[rows], self.identity, self.rows[rows])

    def fingerprint(self) -> str:
        found = sha256(self.identity.encode())
        for tensor in (self.rows, self.y):
            if tensor is not None:
                found.update(f"{tensor.dtype} {list(tensor.shape)}".encode())
                found.update(tensor.contiguous().view(torch.uint8).numpy().data)
        return found.hexdigest()


class Loaded(Held):
    """All inputs of a split that could be read, in memory: the same data, so that a run can go on with either."""

    def __init__(self, source: Read, x: Tensor):
        super().__init__(x=x, **({} if source.y is None else {"y": source.y}))
        self.source = source

    def take(self, rows: Tensor) -> "Loaded":
        return Loaded(self.source.take(rows), self.tensors["x"][rows])

    def fingerprint(self) -> str:
        return self.source.fingerprint()


def held(splits: Mapping[str, Read], shape: tuple[int, ...], share: float) -> Mapping[str, Split]:
    """In memory, where bytes of this shape take no more than a `share` of what is free; else as they are.

    Raises DataError where an input cannot be read.
    """
    total = sum(map(len, splits.values())) * math.prod(shape)
    if total > share * room(torch.device("cpu")):
        return splits
    found = dict[str, Split]()
    for name, split in splits.items():
        x = torch.empty((len(split), *shape), dtype=torch.uint8)
        with ThreadPoolExecutor() as pool:
            deque(pool.map(partial(fill, x, split), range(len(split))), maxlen=0)
        found[name] = Loaded(split, x)
    return found


def fill(x: Tensor, split: Read, i: int) -> None:
    x[i] = torch.from_numpy(split.read(int(split.rows[i])))


@contextmanager
def opening() -> Iterator[None]:
    """At the start, what cannot be read is a mistake of the user."""
    try:
        yield
    except DataError as error:
        raise UsageError(str(error)) from error


class Inputs:
    """What a process that reads ahead holds: a batch by the numbers of its examples, or why there is none."""

    def __init__(self, read: INPUT):
        self.read = read

    def __getitem__(self, numbers: list[int]) -> np.ndarray | str:
        """[B, ...]"""
        found = []
        for i in numbers:
            try:
                found.append(self.read(i))
            except LabError as error:
                return str(error)
            except Exception as error:
                return f"example {i + 1:,} cannot be read: {type(error).__name__}: {error}"
        return np.stack(found)


def ahead(inputs: Inputs, numbers: Iterator[list[int]], device: torch.device, workers: int) -> Iterator[Tensor]:
    """The inputs of each of `numbers`, in this order, [B, ...] on the host.

    Raises DataError where one cannot be read, and where a process that reads ahead has died.
    """
    source, begun = started(inputs, numbers, device, workers), False
    try:
        for x in source:
            begun = True
            if isinstance(x, str):
                raise DataError(x)
            yield x
    except (RuntimeError, OSError, EOFError) as error:
        signals.check()                       # what ended it may have asked us to stop too
        raise DataError(f"a process that reads ahead has ended: {error}{'' if begun else START}. data.workers=0 reads "
                        "in this process") from error
    finally:
        if workers:
            source._shutdown_workers()        # and not when the last traceback that holds it is forgotten


def started(inputs: Inputs, numbers: Iterator[list[int]], device: torch.device, workers: int) -> Any:
    """A generator of its own: the loader draws a number, which would shift all that is drawn after it."""
    try:
        with held_back(signal.SIGINT), warnings.catch_warnings():
            warnings.filterwarnings("ignore", "This DataLoader will create")        # more of them than cores, as asked
            return iter(DataLoader[Any](
                inputs, sampler=numbers, batch_size=None, num_workers=workers,  # type: ignore[arg-type]
                pin_memory=device.type == "cuda", generator=torch.Generator(), worker_init_fn=begin,
                multiprocessing_context=context() if workers else None))
    except Exception as error:
        raise UsageError(f"the data cannot be sent to a process that reads ahead ({type(error).__name__}: {error}); "
                         "data.workers=0 reads in this process") from error


def begin(number: int) -> None:
    """Of each process. It ends with its parent, which the loader's own watch does not see from a forkserver."""
    for each in LEFT_ALONE:
        signal.signal(each, signal.SIG_IGN)
    threading.Thread(target=follow, args=(multiprocessing.parent_process(),), daemon=True).start()
