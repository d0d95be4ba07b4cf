"""Episodes as films."""

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import gymnasium as gym
import numpy as np
import torch

from . import signals
from .compute import Compute
from .contract import Policy
from .envs import Envs
from .errors import EnvError, UsageError

FRAMES = 250                      # of one film; a longer episode is thinned evenly
LOG = logging.getLogger("lab")


@dataclass
class Video:
    """An evaluator: films of `episodes` episodes, uint8 [T, H, W, 3]. Where nothing can be drawn it says so, once."""

    make: Callable[[str | None], gym.Env[Any, Any]]       # render_mode -> env
    policy: Policy
    episodes: int
    compute: Compute
    max_steps: int
    name: str = "video"           # of the random numbers: another name, other episodes

    def __call__(self) -> Mapping[str, Any]:
        try:
            return {f"video/{i}": thinned(film) for i, film in enumerate(self.films())}
        except (UsageError, EnvError) as error:
            LOG.warning("no video: %s", error)
            return {}

    def films(self) -> list[list[np.ndarray]]:
        """The frames of each episode. Raises UsageError where the environment cannot draw."""
        envs = Envs(lambda: self.make("rgb_array"), 1, self.compute, self.name)
        try:
            return [self.film(envs) for _ in range(self.episodes)]
        finally:
            envs.close()

    def film(self, envs: Envs) -> list[np.ndarray]:
        frames, rows = [self.frame(envs)], None
        while len(frames) <= self.max_steps and (rows is None or not rows["done"].any()):
            signals.check()
            with torch.no_grad():
                rows = envs.collect(lambda obs, count: self.policy(obs), 1)
            frames.append(self.frame(envs))
        return frames[:-1] if rows is not None and rows["done"].any() else frames     # the last is of the next episode

    def frame(self, envs: Envs) -> np.ndarray:
        try:
            frame = envs.envs[0].render()
        except Exception as error:
            raise UsageError(f"{envs.id} could not draw itself ({error})") from error
        if not isinstance(frame, np.ndarray) or frame.ndim != 3:
            raise UsageError(f"{envs.id} offers no rgb_array pictures")
        return frame


def thinned(film: list[np.ndarray]) -> np.ndarray:
    """[T, H, W, 3] with at most FRAMES frames."""
    keep = np.linspace(0, len(film) - 1, min(len(film), FRAMES)).round().astype(int)
    return np.stack([film[i] for i in keep])
