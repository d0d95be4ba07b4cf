"""Stored sequences for a learner with a memory. T steps, N environments, K gradient steps, B sequences, M memory."""

import torch
from torch import Tensor

from lab.contract import Batch
from lab.envs import Envs
from lab.priorities import Prioritised, Priority
from lab.replay import Ring, Sampling

from .remembering import Actor


class Sequences(Prioritised):
    """[K, T, B, ...] of obs, action, reward, terminal, done and `fresh`, whether an episode begins with this step; the
    `memory` [K, B, M] before the first; `weight` and `leaf` [K, B].

    They may reach across the end of an episode: the memory is emptied there.
    """

    def __init__(self, envs: Envs, actor: Actor, ring: Ring, sampling: Sampling, rng: torch.Generator,
                 priority: Priority, length: int):
        super().__init__(envs, actor, ring, sampling, rng, priority)
        self.actor, self.after = actor, length * envs.n
        self.warmup = self.begins()
        self.ahead = envs.n * torch.arange(length, device=ring.device).view(-1, 1)             # [T, 1] rows

    def next(self) -> Batch | None:
        steps = self.sampling.every
        rows = self.envs.collect(self.actor, steps, self.count)
        self.ring.push({**rows, **self.actor.recall()})
        self.count += steps * self.envs.n
        return self.sample() if self.count >= self.warmup else None

    def batch(self, rows: Tensor) -> Batch:
        ring, numbers = self.ring, rows[:, None] + self.ahead                                   # [K, T, B]
        at = numbers % ring.capacity
        found = {name: ring.columns[name][at] for name in ("action", "reward", "terminal", "done", "fresh")}
        obs = ring.columns["obs"][at] if ring.stack == 1 else ring.stacks(numbers)
        return self.envs.normalized({"obs": obs, **found, "memory": ring.columns["memory"][at[:, 0]]})
