"""Where batches come from when the world is an environment. T steps, N environments, K gradient steps, B rows."""

import torch
from torch import Tensor

from . import signals
from .compute import Compute
from .contract import Act, Batch, Stream
from .envs import Envs
from .state import Saved


class Steps(Stream):
    """The last transition of every environment, each seen once: [N, ...]."""

    saved = ("count", "envs")

    def __init__(self, envs: Envs, act: Act):
        self.envs, self.act = envs, act

    def next(self) -> Batch:
        rows = self.envs.collect(self.act, 1, self.count)                # [1, N, ...]
        self.count += len(self.envs)
        return {name: row[0] for name, row in rows.items()}

    def metrics(self) -> dict[str, float]:
        return self.envs.metrics()

    def notes(self) -> list[str]:
        return [self.envs.recorder.describe()]


class Ring(Saved):
    """The newest `capacity` rows, on the device."""

    saved = ("pushed", "filled")

    def __init__(self, capacity: int, device: torch.device):
        self.capacity, self.device, self.pushed = capacity, device, 0
        self.rows: dict[str, Tensor] = {}

    def __len__(self) -> int:
        return min(self.pushed, self.capacity)

    def push(self, rows: Batch) -> None:
        """Append rows [M, ...], the oldest giving way."""
        if not self.rows:
            self.rows = {name: row.new_zeros(self.capacity, *row.shape[1:]) for name, row in rows.items()}
        new = len(next(iter(rows.values())))
        at = torch.arange(self.pushed, self.pushed + new, device=self.device)[-self.capacity:] % self.capacity
        for name, ring in self.rows.items():
            ring[at] = rows[name][-self.capacity:]
        self.pushed += new

    def sample(self, shape: tuple[int, ...], rng: torch.Generator) -> dict[str, Tensor]:
        """Rows drawn uniformly with replacement: [*shape, ...]."""
        at = torch.randint(min(self.pushed, self.capacity), shape, generator=rng, device=self.device)
        return {name: ring[at] for name, ring in self.rows.items()}

    @property
    def filled(self) -> dict[str, Tensor]:
        return {name: ring[:len(self)] for name, ring in self.rows.items()}

    @filled.setter
    def filled(self, rows: dict[str, Tensor]) -> None:
        for name, row in rows.items():
            self.rows[name] = row.new_zeros(self.capacity, *row.shape[1:], device=self.device)
            self.rows[name][:len(row)] = row


class Replay(Stream):
    """Samples of everything seen lately: after each `every` steps, K minibatches of B rows, [K, B, ...].

    The first batch comes after `warmup` environment steps.
    """

    saved = ("count", "envs", "ring", "rng")

    def __init__(self, envs: Envs, act: Act, ring: Ring, *, every: int, warmup: int, shape: tuple[int, int],
                 compute: Compute):
        self.envs, self.act, self.ring, self.every, self.warmup, self.shape = envs, act, ring, every, warmup, shape
        self.rng = compute.rng("replay")

    def next(self) -> Batch:
        self.collect(self.every)
        while self.count < self.warmup:
            signals.check()
            self.collect(self.every)
        return self.ring.sample(self.shape, self.rng)

    def collect(self, steps: int) -> None:
        rows = self.envs.collect(self.act, steps, self.count)            # [T, N, ...]
        self.count += steps * len(self.envs)
        self.ring.push({name: row.flatten(0, 1) for name, row in rows.items() if name != "done"})

    def metrics(self) -> dict[str, float]:
        return self.envs.metrics()

    def notes(self) -> list[str]:
        return [self.envs.recorder.describe()]
