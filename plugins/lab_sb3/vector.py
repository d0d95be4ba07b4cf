"""The lab's environments as Stable-Baselines3's vector env. N environments.

Every number is the one that DummyVecEnv of Monitor would hand over; what the lab adds is that they can be resumed in
mid-episode, that a failure says where it happened, and the metrics episode/...
"""

import copy
from collections.abc import Callable
from typing import Any

import gymnasium as gym
import numpy as np
import torch
from stable_baselines3.common.vec_env import VecEnv

from lab.compute import Compute
from lab.env_state import Tier
from lab.envs import Envs

Env = gym.Env[Any, Any]


class SeededOnce(gym.Wrapper[Any, Any, Any, Any]):
    """As DummyVecEnv treats an environment: seeded at its first reset alone, discrete actions as numpy's integers."""

    def __init__(self, env: Env):
        super().__init__(env)
        self.seeded, self.discrete = False, isinstance(env.action_space, gym.spaces.Discrete)

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Any, dict[str, Any]]:
        seed, self.seeded = None if self.seeded else seed, True
        return self.env.reset(seed=seed, options=options)

    def step(self, action: Any) -> Any:
        return self.env.step(np.int64(action) if self.discrete else action)


class Copies(Envs):
    """Copy i begins with the seed of the run plus i; actions reach it as Stable-Baselines3 made them."""

    def choices(self, action: torch.Tensor) -> Any:
        box = isinstance(self.action_space, gym.spaces.Box)   # clipped where that is wanted: what rounding leaves stays
        return action.numpy() if box else super().choices(action)

    def seed(self, i: int, episode: int) -> int:
        return self.compute.seed + i if episode == 0 else super().seed(i, episode)


class Vector(VecEnv):
    """N copies, made at once and begun by `reset`, in the order of Stable-Baselines3."""

    def __init__(self, make: Callable[[], Env], n: int, compute: Compute, tier: Tier):
        self.make, self.compute, self.tier, self.made = make, compute, tier, [make() for _ in range(n)]
        self.now: Callable[[], int] = int                     # steps so far, for error messages
        first = self.made[0]                  # its space may be that of its class: whoever draws from it has a copy
        super().__init__(n, first.observation_space, copy.deepcopy(first.action_space))

    def reset(self) -> np.ndarray:
        self.copies = Copies(self.take, self.num_envs, self.compute, "train", self.tier)
        return self.copies.obs.copy()                                                       # [N, ...]

    def take(self) -> Env:
        """One of those that were made at the start; later ones bring an episode back."""
        return self.made.pop(0) if self.made else self.make()

    def step_async(self, actions: np.ndarray) -> None:
        self.actions = torch.as_tensor(actions)               # [N, ...]

    def step_wait(self) -> tuple[np.ndarray, np.ndarray, np.ndarray, list[dict[str, Any]]]:
        rows = self.copies.collect(lambda obs, count: self.actions, 1, self.now())
        reward, done, terminal = (rows[name][0].numpy() for name in ("reward", "done", "terminal"))           # [N]
        infos: list[dict[str, Any]] = [{} for _ in range(self.num_envs)]
        for i in np.flatnonzero(done):
            infos[i] = {"terminal_observation": rows["next_obs"][0, i].numpy(), "TimeLimit.truncated": not terminal[i]}
        return self.copies.obs.copy(), reward, done > 0, infos

    def close(self) -> None:
        for env in self.made:
            env.close()
        self.copies.close()

    def get_attr(self, attr_name: str, indices: Any = None) -> list[Any]:
        return [env.get_wrapper_attr(attr_name) for env in self.chosen(indices)]

    def set_attr(self, attr_name: str, value: Any, indices: Any = None) -> None:
        for env in self.chosen(indices):
            env.set_wrapper_attr(attr_name, value)

    def env_method(self, method_name: str, *args: Any, indices: Any = None, **kwargs: Any) -> list[Any]:
        return [env.get_wrapper_attr(method_name)(*args, **kwargs) for env in self.chosen(indices)]

    def env_is_wrapped(self, wrapper_class: type[gym.Wrapper[Any, Any, Any, Any]], indices: Any = None) -> list[bool]:
        return [False for _ in self.chosen(indices)]

    def chosen(self, indices: Any) -> list[Env]:
        envs = self.made or self.copies.envs
        return envs if indices is None else [envs[i] for i in np.atleast_1d(indices)]
