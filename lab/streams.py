"""Where batches come from when the world is an environment. T steps, N environments, K gradient steps, B rows."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

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
        return self.envs.normalized({name: row[0] for name, row in rows.items()})

    def metrics(self) -> dict[str, float]:
        return self.envs.metrics()

    def close(self) -> None:
        self.envs.close()

    def notes(self) -> list[str]:
        return self.envs.describe()


class Ring(Saved):
    """The newest `capacity` rows, on the device."""

    saved = ("pushed", "filled")

    def __init__(self, capacity: int, device: torch.device):
        self.capacity, self.device, self.pushed = capacity, device, 0
        self.rows: dict[str, Tensor] = {}

    def __len__(self) -> int:
        return min(self.pushed, self.capacity)

    def push(self, rows: Batch) -> None:
        """Append rows [T, N, ...] as T * N, the oldest giving way."""
        if not self.rows:
            self.rows = {name: row.new_zeros(self.capacity, *row.shape[2:]) for name, row in rows.items()}
        end = self.pushed + next(iter(rows.values())).shape[:2].numel()
        at = torch.arange(self.pushed, end, device=self.device)[-self.capacity:] % self.capacity
        for name, ring in self.rows.items():
            ring[at] = rows[name].flatten(0, 1)[-self.capacity:]
        self.pushed = end

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Raises ValueError where the buffer has another size."""
        self.rows = {}
        super().load_state_dict(state)

    @property
    def filled(self) -> dict[str, Tensor]:
        return {name: ring[:len(self)] for name, ring in self.rows.items()}

    @filled.setter
    def filled(self, rows: dict[str, Tensor]) -> None:
        self.rows = {}
        for name, row in rows.items():
            if len(row) != len(self):
                raise ValueError(f"it holds {len(row)} rows, with which a buffer of {self.capacity} cannot go on")
            self.rows[name] = row.new_zeros(self.capacity, *row.shape[1:], device=self.device)
            self.rows[name][:len(row)] = row


def n_step(reward: Tensor, terminal: Tensor, done: Tensor, discount: float) -> tuple[Tensor, Tensor, Tensor]:
    """What n steps [n, ...] come to, up to the end of their episode (Sutton & Barto 2018, eq. 7.1).

    Returns their discounted reward, the discount of the value that follows (0 after a terminal step) and the index of
    the last step taken, each [...]. A truncated episode ends the sum too, and its last state is worth its value.
    """
    going = torch.cat([torch.ones_like(done[:1]), (1 - done[:-1]).cumprod(0)])           # [n, ...] 1 while it lasts
    power = discount ** torch.arange(len(done), device=done.device).view(-1, *[1] * (done.ndim - 1))
    last = going.sum(0, keepdim=True).long() - 1                                            # [1, ...]
    follows = power.expand_as(going).gather(0, last) * discount * (1 - terminal.gather(0, last))
    return (going * power * reward).sum(0), follows[0], last[0]


@dataclass(frozen=True)
class Sampling:
    """How much a replay collects and draws for one update."""

    every: int                    # steps of each environment before it
    warmup: int                   # environment steps before the first
    shape: tuple[int, int]        # K minibatches of B rows
    n_steps: int                  # of reward in a row
    discount: float               # per step


class Replay(Stream):
    """Samples of everything seen lately, [K, B, ...].

    A row is obs, action, the discounted `reward` of n steps, `next_obs` after them and the `discount` of its value.
    """

    saved = ("count", "envs", "ring", "rng")

    def __init__(self, envs: Envs, act: Act, ring: Ring, sampling: Sampling, rng: torch.Generator):
        self.envs, self.act, self.ring, self.sampling, self.rng = envs, act, ring, sampling, rng
        self.window = (sampling.n_steps - 1) * envs.n             # rows from a step to the last of its n
        self.warmup = max(sampling.warmup, self.window + 1)
        self.ahead = envs.n * torch.arange(sampling.n_steps, device=ring.device).view(-1, 1, 1)       # [n, 1, 1] rows

    def next(self) -> Batch | None:
        steps = self.sampling.every
        self.ring.push(self.envs.collect(self.act, steps, self.count))
        self.count += steps * self.envs.n
        return self.sample() if self.count >= self.warmup else None

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """An episode that was lost ends with its last row: no return reaches across."""
        super().load_state_dict(state)
        for i in self.envs.lost if self.ring.rows else ():
            self.ring.rows["done"][(self.ring.pushed - self.envs.n + i) % self.ring.capacity] = 1

    def sample(self) -> Batch:
        """Drawn uniformly, with replacement, from the rows whose n steps are all there."""
        ring, rows, plan = self.ring, self.ring.rows, self.sampling
        oldest, held = max(ring.pushed - ring.capacity, 0), min(ring.pushed, ring.capacity)
        age = torch.randint(held - self.window, plan.shape, generator=self.rng, device=ring.device)           # [K, B]
        steps = (oldest + age + self.ahead) % ring.capacity                                     # [n, K, B]
        reward, terminal, done = rows["reward"][steps], rows["terminal"][steps], rows["done"][steps]
        reward, discount, last = n_step(reward, terminal, done, plan.discount)                  # each [K, B]
        begin, end = steps[0], steps.gather(0, last[None])[0]                                   # [K, B]
        return {"obs": rows["obs"][begin], "action": rows["action"][begin], "reward": reward, "discount": discount,
                "next_obs": rows["next_obs"][end]}

    def metrics(self) -> dict[str, float]:
        return self.envs.metrics()

    def close(self) -> None:
        self.envs.close()

    def notes(self) -> list[str]:
        return [self.envs.recorder.describe()]
