"""Batches from everything seen lately. T steps, N environments, C rows, S pictures, K gradient steps, B rows."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor

from .contract import Act, Batch
from .envs import Envs
from .errors import UsageError
from .rows import Rows
from .streams import OfEnvs, observation_bytes


def row_bytes(envs: Envs) -> int:
    """What one step takes: a picture of a stack or an observation, an action, and three numbers of 4 bytes."""
    action = max(np.dtype(envs.action_space.dtype).itemsize, 4) * math.prod(envs.action_space.shape or ())
    return observation_bytes(envs) // envs.stack + action + 12 + (envs.stack > 1)


class Ring(Rows):
    """The newest steps of N environments, every observation stored once.

    Row number t * N + i is step t of environment i. What follows it is row number + N; only where a time limit cut an
    episode short is the observation that followed kept apart. Of pictures that are stacked the newest alone is stored,
    and a stack is put together from the rows of the steps before.
    """

    saved = (*Rows.saved, "age")

    def __init__(self, capacity: int, device: torch.device, n: int = 1, stack: int = 1, padding: str = "reset"):
        super().__init__(capacity, device)
        self.n, self.stack, self.padding = n, stack, padding
        self.age = torch.zeros(n, dtype=torch.uint8, device=device)       # [N] rows before that the next stack shares
        self.back = torch.arange(stack - 1, -1, -1, device=device)                              # [S] pictures back

    def push(self, steps: Batch) -> None:
        """Append steps [T, N, ...], the oldest giving way; without `next_obs` nothing is kept of what ended them."""
        seen = self.pictures(steps) if self.stack > 1 else steps
        if not self.columns:
            self.make_room({name: each.flatten(0, 1) for name, each in seen.items() if name != "next_obs"})
        before, self.pushed = self.pushed, self.pushed + steps["done"].numel()
        self.first = max(self.first, self.pushed - self.capacity)
        new, begin, end = max(self.first - before, 0), before % self.capacity, self.pushed % self.capacity
        at = slice(begin, end) if begin < end and not new else self.at_hand(self.places(before + new, self.pushed))
        for name, hand in self.hands.items():
            rows = self.at_hand(seen[name])                                                     # [T, N, ...]
            hand[at] = rows.reshape(-1, *rows.shape[2:])[new:]
        cut = (steps["done"] > steps["terminal"]).flatten()                                     # [T * N]
        if "next_obs" in steps and cut.any():
            self.finals.push(before + cut.nonzero()[:, 0], steps["next_obs"].flatten(0, 1)[cut], self.first)

    def pictures(self, steps: Batch) -> Batch:
        """The newest picture of each stack [T, N, S, ...], and its `age`: how many of the rows before belong to it."""
        ages = list[Tensor]()
        for reset in steps["reset"]:
            ages.append(self.age)
            self.age = torch.where(reset > 0, 0, self.age.clamp(max=self.stack - 2) + 1)         # [N]
        kept = {name: rows for name, rows in steps.items() if name not in ("reset", "next_obs")}
        return {**kept, "obs": steps["obs"][:, :, -1], "age": torch.stack(ages)}

    def stacks(self, places: Any) -> Any:
        """Of pictures at `places` [...] the stacks that end with them: [..., S, *picture]."""
        age = torch.as_tensor(self.pick(self.hands["age"], places))[..., None]                  # [..., 1]
        pictures = torch.as_tensor(places)[..., None] - self.n * torch.minimum(self.back, age)  # [..., S]
        found = torch.as_tensor(self.pick(self.hands["obs"], self.at_hand(pictures % self.capacity)))
        if self.padding == "reset":                     # the first picture stands for those before it
            return found
        known = (self.back <= age).view(*pictures.shape, *[1] * (found.ndim - pictures.ndim))
        if self.device.type == "cpu" and bool(known.all()):               # mostly; a GPU would be waited for
            return found
        return torch.where(known, found, 0)

    def cut(self, row: int, obs: Tensor) -> None:
        """The episode ends with this row, without a terminal state; `obs` [*shape] followed it. A new one begins."""
        self.age[row % self.n] = 0
        super().cut(row, obs)


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


class Replay(OfEnvs):
    """Uniform samples, [K, B, ...].

    A row is obs, action, the discounted `reward` of n steps, `next_obs` after them and the `discount` of its value:
    0 after a terminal state, whose `next_obs` is then of any other state.
    """

    saved: ClassVar[tuple[str, ...]] = ("count", "envs", "ring", "rng")

    def __init__(self, envs: Envs, act: Act, ring: Ring, sampling: Sampling, rng: torch.Generator):
        self.envs, self.act, self.ring, self.sampling, self.rng = envs, act, ring, sampling, rng
        self.before, self.after = (ring.stack - 1) * envs.n, sampling.n_steps * envs.n      # rows that a sample needs
        self.warmup = self.begins()
        ahead = torch.arange(sampling.n_steps + 1, device=ring.device).view(-1, 1, 1)           # [n + 1, 1, 1] in steps
        self.ahead = ring.at_hand(envs.n * ahead)       # in rows

    def begins(self) -> int:
        """The step of the first batch. Raises UsageError where the buffer is too small for one sample."""
        least = self.before + self.after + self.envs.n
        if self.ring.capacity < least:
            raise UsageError(f"agent.buffer_size is {self.ring.capacity:,}; the steps that a sample needs, those of "
                             f"its {self.ring.stack} pictures included, of {self.envs.n} environments are {least:,}")
        return max(self.sampling.warmup, self.before + self.after + 1)

    def next(self) -> Batch | None:
        steps = self.sampling.every
        self.ring.push(self.envs.collect(self.act, steps, self.count))
        self.count += steps * self.envs.n
        return self.sample() if self.count >= self.warmup else None

    def sample(self) -> Batch | None:
        """Drawn with replacement from the rows whose pictures and n steps are all there.

        None where a resume asks for more steps than there are.
        """
        first, end = self.ring.first + self.before, self.ring.pushed - self.after
        return None if end <= first else self.batch(first + torch.randint(
            end - first, self.sampling.shape, generator=self.rng, device=self.ring.device))

    def batch(self, rows: Tensor) -> Batch:
        """What the row numbers [K, B] and their n steps come to."""
        ring, gamma = self.ring, self.sampling.discount
        pick, hands, last = ring.pick, ring.hands, torch.zeros((), dtype=torch.int64)
        pairs = places = (ring.at_hand(rows) + self.ahead) % ring.capacity                      # [n + 1, K, B]
        if len(places) == 2:
            reward, discount = pick(hands["reward"], places[0]), gamma * (1 - pick(hands["terminal"], places[0]))
        else:
            steps = [torch.as_tensor(pick(hands[name], places[:-1])) for name in ("reward", "terminal", "done")]
            reward, discount, last = n_step(steps[0], steps[1], steps[2], gamma)                # [K, B]
            every = torch.as_tensor(places)
            pairs = ring.at_hand(torch.stack([every[0], every.gather(0, last[None] + 1)[0]]))   # [2, K, B]
        obs, next_obs = pick(hands["obs"], pairs) if ring.stack == 1 else ring.stacks(pairs)    # [K, B, ...]
        if len(ring.finals.rows):
            next_obs = ring.finals.put(torch.as_tensor(next_obs), rows + last * ring.n)
        found = {"obs": obs, "action": pick(hands["action"], places[0]), "reward": reward, "discount": discount,
                 "next_obs": next_obs}
        batch = {name: torch.as_tensor(each) for name, each in found.items()}
        return self.envs.normalized(batch) if self.envs.normalizer else batch

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """An episode that was lost ends with its last row: no return reaches across."""
        super().load_state_dict(state)
        for i in self.envs.lost if self.ring.pushed else ():
            followed = torch.as_tensor(state["envs"]["obs"][i])
            self.ring.cut(self.ring.pushed - self.ring.n + i, followed)
