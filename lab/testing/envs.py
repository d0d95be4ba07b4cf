"""Tiny environments that make mistakes visible: noise from their own generator, episodes that end in both ways."""

import itertools
from collections.abc import Generator
from typing import Any

import gymnasium as gym
import numpy as np
from gymnasium import spaces


class Tiny(gym.Env[Any, Any]):
    """A point that drifts on a line. Reaching an end is terminal; the time limit truncates. A step has two frames."""

    metadata = {"render_modes": ["rgb_array"], "render_fps": 30}

    def __init__(self, render_mode: str | None = None):
        self.render_mode, self.place, self.frames = render_mode, 0.0, 0

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Any, dict[str, Any]]:
        super().reset(seed=seed)
        self.place, self.frames = float(self.np_random.uniform(-1, 1)), 0
        return self.obs(), {}

    def step(self, action: Any) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        self.place += self.push(action) + float(self.np_random.normal(0, 0.3))
        reward, self.frames = 1.0 if self.place > 3 else -0.1 * abs(self.place), self.frames + 2
        return self.obs(), reward, abs(self.place) > 3, False, {"episode_frame_number": self.frames}

    def render(self) -> Any:
        picture = np.zeros((16, 16, 3), np.uint8)
        picture[:, int(np.clip(2 * self.place + 8, 0, 15))] = 255
        return picture

    def obs(self) -> Any:
        raise NotImplementedError

    def push(self, action: Any) -> float:
        raise NotImplementedError


class TinyBox(Tiny):
    """Box observations, Discrete actions."""

    observation_space: spaces.Space[Any] = spaces.Box(-10, 10, (2,), np.float32)
    action_space: spaces.Space[Any] = spaces.Discrete(3)

    def obs(self) -> Any:
        return np.array([self.place, self.place**2], np.float32)

    def push(self, action: Any) -> float:
        return 0.5 * (int(action) - 1)


class TinyDiscrete(TinyBox):
    """Discrete observations, Discrete actions, neither counted from 0."""

    observation_space = spaces.Discrete(9, start=1)
    action_space = spaces.Discrete(3, start=2)

    def obs(self) -> Any:
        return int(np.clip(round(self.place), -4, 4)) + 5

    def push(self, action: Any) -> float:
        return 0.5 * (int(action) - 3)


class TinyContinuous(TinyBox):
    """Box observations, Box actions."""

    action_space = spaces.Box(-1, 1, (1,), np.float32)

    def push(self, action: Any) -> float:
        return 0.5 * float(np.clip(action[0], -1, 1))


class TinyHidden(TinyBox):
    """Its state is where no one can read it: resumed by replay of the episode."""

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Any, dict[str, Any]]:
        obs, info = super().reset(seed=seed, options=options)
        self.walk = self.walking(np.random.default_rng(seed), float(obs[0]))
        next(self.walk)
        return obs, info

    def walking(self, rng: np.random.Generator, place: float) -> Generator[float, float, None]:
        while True:
            push = yield place
            place += push + float(rng.normal(0, 0.3))

    def step(self, action: Any) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        self.place = self.walk.send(self.push(action))
        return self.obs(), -0.1 * abs(self.place), abs(self.place) > 3, False, {}


class TinyTired(TinyHidden):
    """The longer it has lived, over all episodes, the more it drifts: resumed by replay of everything."""

    def __init__(self, render_mode: str | None = None):
        super().__init__(render_mode)
        self.age = itertools.count()

    def push(self, action: Any) -> float:
        return super().push(action) + 0.001 * next(self.age)


TINY: dict[str, Any] = {"lab/TinyBox-v0": TinyBox, "lab/TinyDiscrete-v0": TinyDiscrete,
                        "lab/TinyContinuous-v0": TinyContinuous}


HARD: dict[str, Any] = {"lab/TinyHidden-v0": TinyHidden, "lab/TinyTired-v0": TinyTired}


def register() -> None:
    for id, env in {**TINY, **HARD}.items():
        if id not in gym.registry:
            gym.register(id, env, max_episode_steps=15)
