"""Stored sequences for a learner with a memory. T steps, N environments, K gradient steps, B sequences, M memory."""

import torch
from torch import Tensor

from lab.contract import Batch
from lab.envs import Envs
from lab.priorities import Prioritised, Priority
from lab.replay import Ring, Sampling

from .remembering import Explorer


class Sequences(Prioritised):
    """[K, T, B, ...] of obs, action, reward, terminal, done and `fresh`, whether an episode begins with this step; the
    `memory` [K, B, M] before the first; `weight` and `leaf` [K, B].

    They may reach across the end of an episode: the memory is emptied there.
    """

    def __init__(self, envs: Envs, actor: Explorer, ring: Ring, sampling: Sampling, rng: torch.Generator,
                 priority: Priority, length: int):
        super().__init__(envs, actor, ring, sampling, rng, priority)
        self.actor, self.after = actor, length * envs.n
        self.warmup = self.begins()
        self.ahead = ring.at_hand(envs.n * torch.arange(length, device=ring.device).view(-1, 1))   # [T, 1] in rows

    def next(self) -> Batch | None:
        steps = self.sampling.every
        rows = self.envs.collect(self.actor, steps, self.count)
        rows.pop("next_obs")                            # sequences end at the last state before a time limit
        self.ring.push({**rows, **self.actor.recall()})
        self.count += steps * self.envs.n
        return self.sample() if self.count >= self.warmup else None

    def batch(self, rows: Tensor) -> Batch:
        ring, pick = self.ring, self.ring.pick
        places = (ring.at_hand(rows[:, None]) + self.ahead) % ring.capacity                     # [K, T, B]
        found = {name: pick(ring.hands[name], places) for name in ("action", "reward", "terminal", "done", "fresh")}
        found["obs"] = pick(ring.hands["obs"], places) if ring.stack == 1 else ring.stacks(places)
        found["memory"] = pick(ring.hands["memory"], places[:, 0])
        return self.envs.normalized({name: torch.as_tensor(each) for name, each in found.items()})
