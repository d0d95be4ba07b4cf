"""N copies of a Gymnasium environment stepped together: tensors in, tensors out. T steps, N environments.

Every episode has its own seed, a function of the run's seed, the environment's index and the episode's number. An
episode that ends begins anew at once (autoreset in the same step), and `next_obs` is always the true successor.
"""

import copy
import logging
from collections.abc import Callable, Mapping
from typing import Any

import gymnasium as gym
import numpy as np

from .compute import Compute
from .env_state import Tier
from .recorder import MEANING, Recorder
from .spaces import about, name_of, standard
from .vector import Vector

__all__ = ["Envs", "Make", "name_of", "standard"]

LOG = logging.getLogger("lab")
Make = Callable[[], gym.Env[Any, Any]]
SCALARS = (float, int, bool, np.floating, np.integer, np.bool_)


class Envs(Vector):
    """The copies live in this process and are stepped one after another.

    What is learned from and what is reported may differ: an environment may say in the info of a step
    `learning_reward`, a number that rows hold in place of the reward, such as a clipped one, and `learning_terminal`,
    true where nothing that follows counts although the episode goes on, such as a lost life: the row is then terminal
    and done. Returns and lengths of episodes are those of the environment itself.
    """

    saved = ("obs", "episodes", "returns", "lengths", "frames", "finished", "recorder")

    def __init__(self, make: Make, n: int, compute: Compute, name: str = "train", tier: Tier = Tier.BOUNDARY):
        self.envs: list[Any] = [make() for _ in range(n)]
        self.prepare(about(self.envs[0]), n, compute, name)
        self.recorder = Recorder(self.envs, make, self.seed, tier)
        for i in range(n):
            self.obs[i] = self.reset(i)

    def step(self, choices: Any, rows: dict[str, np.ndarray], t: int) -> None:
        """One step of every environment, written into place `t` of `rows`, each [T, N, ...]."""
        watched = self.recorder.active        # an environment may write into the action that is kept
        for i, choice in enumerate(choices):
            try:
                obs, reward, terminated, truncated, info = self.envs[i].step(
                    copy.deepcopy(choice) if watched else choice)
            except (Exception, SystemExit) as error:
                raise self.error(i, f"raised {type(error).__name__}: {error}") from error
            if watched:
                self.recorder.stepped(i, choice, obs, reward)
            if np.shape(obs) != self.shape:
                raise self.error(i, f"returned an observation of shape {np.shape(obs)}, its space has {self.shape}")
            if not (isinstance(reward, SCALARS) or (isinstance(reward, np.ndarray) and reward.ndim == 0)):
                raise self.error(i, f"returned the reward {reward!r}, a {type(reward).__name__}; expected a number")
            try:
                rows["next_obs"][t, i] = self.obs[i] = obs if self.start is None else obs - self.start
            except (TypeError, ValueError) as error:
                raise self.error(i, f"returned an observation that is no number: {obs!r:.80}") from error
            rows["reward"][t, i], rows["terminal"][t, i] = reward, bool(terminated)
            self.returns[i] += float(reward)
            self.lengths[i] += 1
            if info:
                self.told(i, info, rows, t)
            if terminated or truncated:
                rows["done"][t, i] = 1
                if self.stack > 1:
                    rows["reset"][t, i] = 1
                self.finished.append((self.returns[i], self.lengths[i]))
                self.restart(i)

    def told(self, i: int, info: Mapping[str, Any], rows: dict[str, np.ndarray], t: int) -> None:
        """What the info of a step says about learning, and how many frames of the episode are over."""
        if not isinstance(info, Mapping):
            raise self.error(i, f"returned the info {info!r:.80}, a {type(info).__name__}; expected a dict")
        if "learning_reward" in info:
            try:
                rows["reward"][t, i] = info["learning_reward"]
            except (TypeError, ValueError) as error:
                came = f"{info['learning_reward']!r:.80}"
                raise self.error(i, f"returned the learning_reward {came}; expected a number") from error
        if info.get("learning_terminal"):
            rows["terminal"][t, i] = rows["done"][t, i] = 1
        if "episode_frame_number" in info:
            self.frames[1, i] = info["episode_frame_number"]

    def reset(self, i: int) -> Any:
        try:
            obs, _ = self.envs[i].reset(seed=self.seed(i, self.episodes[i]))
        except (Exception, SystemExit) as error:
            raise self.error(i, f"raised {type(error).__name__} in reset: {error}") from error
        self.recorder.began(i, self.episodes[i])
        if np.shape(obs) != self.shape:
            raise self.error(i, f"returned {np.shape(obs)} from reset, its space has the shape {self.shape}")
        try:
            return np.asarray(obs if self.start is None else obs - self.start, self.dtype)
        except (TypeError, ValueError) as error:
            raise self.error(i, f"returned an observation that is no number from reset: {obs!r:.80}") from error

    def restart(self, i: int) -> None:
        """Begin the next episode of copy `i`."""
        self.ended(i)
        self.obs[i] = self.reset(i)

    def spoiled(self) -> None:
        self.recorder.lost()

    def state_dict(self) -> dict[str, Any]:
        self.recorder.midst = self.lengths[0] > 0
        return super().state_dict()

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Raises ValueError where it is of other environments, ResumeError where they cannot be brought back."""
        super().load_state_dict(state)
        self.lost = self.restored()
        self.say_lost(self.recorder.level)

    def say_lost(self, level: Tier) -> None:
        if self.lost:
            why = f"environment state: {MEANING[level]}" if level is Tier.BOUNDARY else "they could not be brought back"
            LOG.warning("%d of %d environments begin a new episode: %s", len(self.lost), self.n, why)

    def restored(self) -> list[int]:
        """Bring all copies back; those for which that could not be, and which began a new episode."""
        return [i for i in range(self.n) if not self.restore(i)]

    def restore(self, i: int) -> bool:
        """Bring copy `i` back into its episode; where that cannot be, begin the next one."""
        held, obs = self.recorder.restore(i, self.episodes[i])
        if obs is not None:               # replayed: did the environment repeat itself?
            obs = obs if self.start is None else obs - self.start
            held = bool(np.array_equal(np.asarray(obs, self.dtype), self.obs[i], equal_nan=True))
        if not held:
            self.restart(i)
        return held

    def describe(self) -> list[str]:
        return [self.recorder.describe()]

    def close(self) -> None:
        for env in self.envs:
            env.close()

