"""N copies of an environment with known dynamics, stepped together as tensors on the compute device. T steps."""

from typing import Any

import gymnasium as gym
import numpy as np
import torch
from torch import Tensor

from lab.compute import Compute
from lab.contract import Act, Batch, Stream
from lab.envs import name_of
from lab.state import Saved

from .table import Table


class TableEnvs(Saved):
    """What `lab.envs.Envs` does, for the same process, without a Python step: next states are drawn from the table.

    An episode that ends begins anew at once (autoreset in the same step), and `next_obs` is always the true successor.
    Probabilities are met to 2**-24, the resolution of a float32 draw.
    """

    saved = ("obs", "running", "ended", "rng")

    def __init__(self, env: gym.Env[Any, Any], table: Table, n: int, compute: Compute, name: str = "train"):
        self.env, self.id, self.n, self.device = env, name_of(env), n, compute.device
        self.observation_space, self.action_space = env.observation_space, env.action_space
        _, self.n_actions, self.outcomes = table.probability.shape
        self.limit = float("inf") if table.limit is None else table.limit
        self.rng = compute.rng(f"{name}/table")
        self.split = self.floats(np.cumsum(table.probability, -1).reshape(-1, self.outcomes)[:, :-1])   # [S * A, K - 1]
        self.next_state = torch.tensor(table.next_state.ravel(), device=self.device)        # [S * A * K]
        self.reward, self.terminal = self.floats(table.reward.ravel()), self.floats(table.terminal.ravel())
        starts = np.flatnonzero(table.start)
        self.starts = torch.tensor(starts, device=self.device)                              # [M]
        self.start_split = self.floats(np.cumsum(table.start[starts])[:-1])                 # [M - 1]
        self.running = torch.zeros(3, n, dtype=torch.float64, device=self.device)          # 1, return and length so far
        self.ended = torch.zeros_like(self.running)       # number, return and length of episodes not yet reported
        self.running[0], (_, self.returns, self.lengths) = 1, self.running
        self.obs = self.first().expand(n).clone()                                           # [N] where to act next

    def floats(self, values: np.ndarray) -> Tensor:
        return torch.tensor(values, dtype=torch.float32, device=self.device)

    def __len__(self) -> int:
        return self.n

    def draw(self) -> Tensor:
        """[N] uniform from 0 to 1."""
        return torch.rand(self.n, generator=self.rng, device=self.device)

    def first(self) -> Tensor:
        """[N] where an episode begins, or [1] where they all begin in one state."""
        if len(self.starts) == 1:
            return self.starts
        return self.starts.index_select(0, torch.searchsorted(self.start_split, self.draw(), right=True))

    def outcome(self, action: Tensor) -> Tensor:
        """[N] which of all outcomes of the table."""
        pair = torch.add(action, self.obs, alpha=self.n_actions)                            # [N]
        if self.outcomes == 1:
            return pair
        drawn = (self.split.index_select(0, pair) <= self.draw()[:, None]).sum(-1)          # [N] 0 .. K - 1
        return torch.add(drawn, pair, alpha=self.outcomes)

    def collect(self, act: Act, steps: int, count: int = 0) -> dict[str, Tensor]:
        """[T, N] obs, action, reward, next_obs, terminal (no future to bootstrap from) and done (a new episode)."""
        rows = [self.step(act(self.obs, count + t * self.n)) for t in range(steps)]
        return {name: torch.stack([row[name] for row in rows]) for name in rows[0]}

    def step(self, action: Tensor) -> dict[str, Tensor]:
        """One step of every environment, each entry [N]."""
        obs, outcome = self.obs, self.outcome(action)
        next_obs, reward = self.next_state.index_select(0, outcome), self.reward.index_select(0, outcome)
        terminal = self.terminal.index_select(0, outcome)
        self.returns += reward
        self.lengths += 1
        over = (self.lengths >= self.limit).logical_or_(terminal)
        done = over.float()
        self.ended.addcmul_(self.running, done)
        self.running[1:] *= 1 - done
        self.obs = torch.where(over, self.first(), next_obs)
        return {"obs": obs, "action": action, "reward": reward, "next_obs": next_obs, "terminal": terminal,
                "done": done}

    def metrics(self) -> dict[str, float]:
        number, returns, lengths = self.ended.sum(-1).tolist()
        self.ended.zero_()
        if not number:
            return {}
        return {"episode/return": returns / number, "episode/length": lengths / number, "episode/count": number}

    def close(self) -> None:
        self.env.close()


class TableSteps(Stream):
    """The last transition of every environment, each seen once: [N]."""

    saved = ("count", "envs")

    def __init__(self, envs: TableEnvs, act: Act):
        self.envs, self.act = envs, act

    def next(self) -> Batch:
        batch = self.envs.step(self.act(self.envs.obs, self.count))
        self.count += len(self.envs)
        return batch

    def metrics(self) -> dict[str, float]:
        return self.envs.metrics()

    def close(self) -> None:
        self.envs.close()

    def notes(self) -> list[str]:
        return [f"fast path: {len(self.envs)} copies of {self.envs.id}, steps drawn from its transition table",
                "environment state: exact: saved and resumed in mid-episode"]
