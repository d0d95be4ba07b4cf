"""N copies of an environment with known dynamics, stepped together as tensors on the compute device. T steps."""

from typing import Any

import gymnasium as gym
import numpy as np
import torch
from torch import Tensor

from lab.compute import Compute
from lab.contract import Act
from lab.envs import name_of
from lab.state import Saved

from .table import Table


class TableEnvs(Saved):
    """What `lab.envs.Envs` does, for the same process, without a Python step: next states are drawn from the table.

    An episode that ends begins anew at once (autoreset in the same step), and `next_obs` is always the true successor.
    Probabilities are met to 2**-24, the resolution of a float32 draw.
    """

    saved = ("obs", "returns", "lengths", "episodes", "return_sum", "length_sum", "rng")

    def __init__(self, env: gym.Env[Any, Any], table: Table, n: int, compute: Compute, name: str = "train"):
        self.env, self.id, self.n, device = env, name_of(env), n, compute.device
        self.observation_space, self.action_space = env.observation_space, env.action_space
        self.n_actions, self.outcomes = table.probability.shape[1:]
        self.limit = float("inf") if table.limit is None else table.limit
        self.rng = compute.rng(f"{name}/table")
        split = np.cumsum(table.probability, -1)[..., :-1].reshape(-1, self.outcomes - 1)
        self.split = torch.tensor(split, dtype=torch.float32, device=device)                # [S * A, K - 1]
        self.next_state = torch.tensor(table.next_state.ravel(), device=device)             # [S * A * K]
        self.reward = torch.tensor(table.reward.ravel(), dtype=torch.float32, device=device)
        self.terminal = torch.tensor(table.terminal.ravel(), dtype=torch.float32, device=device)
        starts = np.flatnonzero(table.start)
        self.starts = torch.tensor(starts, device=device)                                   # [M]
        self.start_split = torch.tensor(np.cumsum(table.start[starts])[:-1], dtype=torch.float32, device=device)
        self.returns, self.lengths, self.episodes, self.return_sum, self.length_sum = (
            torch.zeros(n, dtype=torch.float64, device=device) for _ in range(5))           # the last three: ended ones
        self.obs = self.first(torch.rand(n, generator=self.rng, device=device))             # [N] where to act next

    def __len__(self) -> int:
        return self.n

    def first(self, draw: Tensor) -> Tensor:
        """Where an episode begins, for uniform draws [N]."""
        return self.starts[torch.searchsorted(self.start_split, draw, right=True)]

    def collect(self, act: Act, steps: int, count: int = 0) -> dict[str, Tensor]:
        """[T, N] obs, action, reward, next_obs, terminal (no future to bootstrap from) and done (a new episode)."""
        rows = [self.step(act(self.obs, count + t * self.n)) for t in range(steps)]
        return {name: torch.stack([row[name] for row in rows]) for name in rows[0]}

    def step(self, action: Tensor) -> dict[str, Tensor]:
        """One step of every environment, each entry [N]."""
        obs, draw = self.obs, torch.rand(2, self.n, generator=self.rng, device=self.obs.device)
        pair = torch.add(action, obs, alpha=self.n_actions)                                 # [N]
        outcome = pair
        if self.outcomes > 1:
            at = (self.split.index_select(0, pair) <= draw[0, :, None]).sum(-1)
            outcome = torch.add(at, pair, alpha=self.outcomes)
        next_obs, reward = self.next_state.index_select(0, outcome), self.reward.index_select(0, outcome)
        terminal = self.terminal.index_select(0, outcome)
        self.returns += reward
        self.lengths += 1
        ended = (self.lengths >= self.limit) | (terminal > 0)
        self.obs = torch.where(ended, self.first(draw[1]), next_obs)
        done = ended.float()
        self.count(done)
        return {"obs": obs, "action": action, "reward": reward, "next_obs": next_obs, "terminal": terminal, "done": done}

    def count(self, done: Tensor) -> None:
        """Keep return and length of the episodes that ended, and begin those of the next."""
        self.episodes += done
        self.return_sum.addcmul_(self.returns, done)
        self.length_sum.addcmul_(self.lengths, done)
        self.returns *= 1 - done
        self.lengths *= 1 - done

    def metrics(self) -> dict[str, float]:
        sums = torch.stack((self.return_sum, self.length_sum, self.episodes)).sum(-1).tolist()
        for each in (self.return_sum, self.length_sum, self.episodes):
            each.zero_()
        if not sums[2]:
            return {}
        return {"episode/return": sums[0] / sums[2], "episode/length": sums[1] / sums[2], "episode/count": sums[2]}

    def close(self) -> None:
        self.env.close()
