"""Observations and rewards on a common scale, by running statistics. T steps, N environments, M samples."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from gymnasium import spaces
from torch import Tensor

from .config import LabConfig, NormalizeConfig
from .contract import Act, Batch
from .errors import UsageError
from .state import Saved

TINY = 1e-8                       # added to a variance before its root is taken


class Moments(Saved):
    """Mean and sum of squared deviations of samples that come in batches, float64 (Chan, Golub & LeVeque 1979)."""

    saved = ("count", "mean", "square")

    def __init__(self, shape: tuple[int, ...]):
        self.count, self.mean, self.square = 0, np.zeros(shape), np.zeros(shape)

    def add(self, samples: np.ndarray) -> None:
        """Samples [M, *shape]."""
        mean = samples.mean(0, dtype=np.float64)
        self.merge(len(samples), mean, np.square(samples - mean, dtype=np.float64).sum(0))

    def merge(self, count: int, mean: np.ndarray, square: np.ndarray) -> None:
        total, apart = self.count + count, mean - self.mean
        self.square = self.square + square + np.square(apart) * (self.count * count / max(total, 1))
        self.mean = self.mean + apart * (count / max(total, 1))
        self.count = total

    def std(self) -> np.ndarray:
        """1 where there is nothing to go by."""
        return np.asarray(np.sqrt(self.square / self.count + TINY)) if self.count else np.ones_like(self.square)


class Normalizer(Saved):
    """Observations to mean 0 and deviation 1; rewards divided by the deviation of the discounted return so far.

    The return is summed along each copy, sum of discount**k * r[t - k] (Engstrom et al. 2020, section 3; the same in
    Stable-Baselines3's VecNormalize). What a collect brings takes hold at the beginning of the next: what was seen by
    the policy and what is learned from are on one scale. Before there is anything to go by they pass as they are.
    Rows are kept raw: a replay hands out old ones on the present scale. Nothing else but `learn` moves the statistics.
    """

    saved = ("known_obs", "known_return", "new_obs", "new_return", "running")

    def __init__(self, cfg: NormalizeConfig, shape: tuple[int, ...], n: int, discount: float, device: torch.device):
        self.cfg, self.discount, self.device = cfg, discount, device
        self.known_obs, self.new_obs = Moments(shape), Moments(shape)
        self.known_return, self.new_return = Moments(()), Moments(())
        self.running = np.zeros(n)                        # [N] the discounted return of each copy so far
        self.settle()

    def settle(self) -> None:
        """The numbers to normalise with, from what is known."""
        self.mean, self.std = (torch.tensor(values, dtype=torch.float32, device=self.device)
                               for values in (self.known_obs.mean, self.known_obs.std()))
        self.scale = float(self.known_return.std())

    def obs(self, obs: Tensor) -> Tensor:
        """[..., *shape] as the policy sees it."""
        return ((obs - self.mean) / self.std).clamp(-self.cfg.clip, self.cfg.clip) if self.cfg.obs else obs

    def reward(self, reward: Tensor) -> Tensor:
        """Of one step, or summed over some."""
        return (reward / self.scale).clamp(-self.cfg.clip, self.cfg.clip) if self.cfg.reward else reward

    def batch(self, batch: Batch) -> Batch:
        """A batch of raw rows as it is learned from: obs, next_obs and reward, whatever their leading axes."""
        how = {"obs": self.obs, "next_obs": self.obs, "reward": self.reward}
        return {name: how[name](value) if name in how else value for name, value in batch.items()}

    def seeing(self, act: Act) -> Act:
        """`act` on normalised observations. From here on what was learned so far holds."""
        for known, new in ((self.known_obs, self.new_obs), (self.known_return, self.new_return)):
            if new.count:
                known.merge(new.count, new.mean, new.square)
        self.new_obs, self.new_return = Moments(self.new_obs.mean.shape), Moments(())
        self.settle()
        return lambda obs, count: act(self.obs(obs), count)

    def learn(self, rows: Mapping[str, np.ndarray]) -> None:
        """Rows [T, N, ...]: the observations that were acted on, and the rewards."""
        if self.cfg.obs:
            self.new_obs.add(rows["obs"].reshape(-1, *self.new_obs.mean.shape))
        if self.cfg.reward:
            returns = np.empty(rows["reward"].shape)                                        # [T, N]
            for t, (reward, done) in enumerate(zip(rows["reward"], rows["done"], strict=True)):
                returns[t] = self.running * self.discount + reward
                self.running = returns[t] * (1 - done)
            self.new_return.add(returns.ravel())

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        super().load_state_dict(state)
        self.settle()


def normalizer(cfg: LabConfig, envs: Any) -> Normalizer:
    """As the config asks, for these environments. Raises UsageError for observations that are no real numbers."""
    space, discount = envs.observation_space, cfg.normalize.discount
    if cfg.normalize.obs and not (isinstance(space, spaces.Box) and np.dtype(space.dtype).kind == "f"):
        raise UsageError(f"normalize.obs=true needs observations that are real numbers, a Box of floats; {envs.id} has "
                         f"{space}. Leave it out; networks scale bytes themselves")
    discount = getattr(cfg.agent, "discount", 0.99) if discount is None else discount
    return Normalizer(cfg.normalize, tuple(space.shape or ()), len(envs), discount, envs.compute.device)
