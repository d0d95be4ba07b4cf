"""Four ways to look ahead, one table to keep. N environments, S states, A actions, C = S * A cells."""

from typing import ClassVar

import torch
from torch import Tensor

from lab.compute import Compute
from lab.contract import Batch, Learner, Metrics
from lab.schedules import linear

from .maths import decayed, epsilon_greedy, expected, repeated, td_target
from .plugin import Tabular
from .states import States


class QLearning(Learner):
    """Off-policy control (Watkins 1989): the value of what follows is that of the best action there.

    A batch of N transitions is one step: where n of them meet in one cell, its value moves 1 - (1 - rate)**n of the
    way to the mean of their n targets, as far as n steps one after another towards that mean would go. The rate is
    that of the first of them.
    """

    saved: ClassVar[tuple[str, ...]] = ("q", "visits", "steps", "rng")
    tables = 1

    def __init__(self, states: States, n_actions: int, cfg: Tabular, compute: Compute):
        self.states, self.n_actions, self.cfg = states, n_actions, cfg
        self.steps, self.rng = 0, compute.rng("explore")          # transitions learned from; every random choice
        self.q = torch.zeros(self.tables, states.size, n_actions, dtype=torch.float64, device=compute.device)
        self.visits = torch.ones_like(self.q)                     # the number of the next one
        self.rows, self.cells, self.cell_visits = self.q.view(-1, n_actions), self.q.view(-1), self.visits.view(-1)

    def epsilon(self, count: int) -> float:
        return linear(count, self.cfg.epsilon_start, self.cfg.epsilon_end, self.cfg.epsilon_steps)

    def num_parameters(self) -> int:
        return self.q.numel()

    def values(self, state: Tensor) -> Tensor:
        """[N, A] of what is known about each action."""
        return self.rows.index_select(0, state)

    def greedy(self, obs: Tensor) -> Tensor:
        return self.values(self.states(obs)).argmax(-1)                                     # [N]

    def act(self, obs: Tensor, count: int) -> Tensor:
        """Epsilon-greedy, each environment with its own coin."""
        return epsilon_greedy(self.values(self.states(obs)), self.epsilon(count), self.rng)

    def update(self, batch: Batch) -> Metrics:
        """One step on transitions [N]."""
        self.steps += len(batch["action"])
        row, future = self.look_ahead(self.states(batch["obs"]), self.states(batch["next_obs"]), batch["done"])
        target = td_target(batch["reward"], batch["terminal"], future, self.cfg.discount)   # [N]
        cell = torch.add(batch["action"], row, alpha=self.n_actions)                        # [N]
        error, rate = self.move(cell, target)
        return {"loss/td": error.abs().mean(), "q/mean": self.q.mean(), "rate/mean": rate.mean(),
                "explore/epsilon": torch.full((), self.epsilon(self.steps), device=error.device)}

    def look_ahead(self, state: Tensor, next_state: Tensor, done: Tensor) -> tuple[Tensor, Tensor]:
        """The row of the tables that learns, and the value of what follows, both [N]."""
        return state, self.values(next_state).amax(-1)

    def move(self, cell: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
        """Move every cell towards the mean of its targets; returns errors and rates, [N]."""
        visit = self.cell_visits.index_select(0, cell)                                      # the number of this one
        self.cell_visits.index_add_(0, cell, torch.ones_like(visit))
        times = self.cell_visits.index_select(0, cell) - visit                              # in this batch
        rate = decayed(self.cfg.rate, self.cfg.rate_decay, visit)
        error = target - self.cells.index_select(0, cell)
        self.cells.index_add_(0, cell, error * repeated(rate, times) / times)
        return error, rate


class Sarsa(QLearning):
    """On-policy control (Rummery & Niranjan 1994): the action whose value is the target's is the one executed next."""

    saved = (*QLearning.saved, "planned", "fresh")

    def __init__(self, states: States, n_actions: int, cfg: Tabular, compute: Compute):
        super().__init__(states, n_actions, cfg, compute)
        self.planned = torch.zeros(cfg.num_envs, dtype=torch.int64, device=compute.device)
        self.fresh = torch.ones(cfg.num_envs, device=compute.device)      # 1 where an episode begins, not yet planned

    def act(self, obs: Tensor, count: int) -> Tensor:
        return torch.where(self.fresh > 0, super().act(obs, count), self.planned)

    def look_ahead(self, state: Tensor, next_state: Tensor, done: Tensor) -> tuple[Tensor, Tensor]:
        """Where an episode was truncated the plan for its last state serves the target alone."""
        values = self.values(next_state)
        self.planned, self.fresh = epsilon_greedy(values, self.epsilon(self.steps), self.rng), done
        return state, values.gather(-1, self.planned[:, None])[:, 0]


class ExpectedSarsa(QLearning):
    """On-policy control without the noise of the next action (van Seijen et al. 2009)."""

    def look_ahead(self, state: Tensor, next_state: Tensor, done: Tensor) -> tuple[Tensor, Tensor]:
        return state, expected(self.values(next_state), self.epsilon(self.steps))


class DoubleQLearning(QLearning):
    """Two tables (van Hasselt 2010): a coin says which learns; it chooses the action, the other says what it is worth.

    Actions are chosen by the sum of both.
    """

    tables = 2

    def values(self, state: Tensor) -> Tensor:
        return self.rows.index_select(0, state) + self.rows.index_select(0, state + self.states.size)

    def look_ahead(self, state: Tensor, next_state: Tensor, done: Tensor) -> tuple[Tensor, Tensor]:
        size = self.states.size
        shift = size * torch.randint(2, state.shape, generator=self.rng, device=state.device)         # 0; S: the second
        best = self.rows.index_select(0, next_state + shift).argmax(-1)                     # [N]
        other = next_state + size - shift
        return state + shift, self.cells.index_select(0, torch.add(best, other, alpha=self.n_actions))
