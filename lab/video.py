"""Episodes as films."""

import logging
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import gymnasium as gym
import numpy as np

from . import media, signals
from .compute import Compute
from .contract import Policy, acting
from .envs import Envs
from .errors import UsageError

LOG = logging.getLogger("lab")


@dataclass
class Video:
    """An evaluator: films of `episodes` episodes, uint8 [T, H, W, 3]. Where nothing can be drawn it says so, once.

    A film is thinned evenly while it grows: twice `frames` of at most `width` pixels are all that memory holds.
    """

    make: Callable[[str | None], gym.Env[Any, Any]]       # render_mode -> env
    policy: Policy
    episodes: int
    compute: Compute
    max_steps: int
    name: str = "video"           # of the random numbers: another name, other episodes
    frames: int = 250             # of one film
    width: int = 320              # pixels

    def __call__(self) -> Mapping[str, Any]:
        try:
            return {f"video/{i}": np.stack(film) for i, film in enumerate(self.films())}
        except Exception as error:            # a film is never worth a run
            LOG.warning("no video: %s", error)
            return {}

    def films(self) -> Iterator[list[np.ndarray]]:
        """The frames of each episode. Raises UsageError where the environment cannot draw."""
        envs = Envs(lambda: self.make("rgb_array"), 1, self.compute, self.name)
        try:
            for _ in range(self.episodes):
                yield self.film(envs)
        finally:
            envs.close()

    def film(self, envs: Envs) -> list[np.ndarray]:
        film, step, every, done, episode = list[np.ndarray](), 0, 1, False, envs.episodes[0]
        while not done and step < self.max_steps:
            if step % every == 0:
                film.append(self.frame(envs))
            if len(film) == 2 * self.frames:
                film, every = film[::2], 2 * every
            signals.check()
            envs.collect(acting(self.policy), 1)
            done, step = envs.episodes[0] > episode, step + 1      # not at a lost life: the game goes on
        if not done:
            envs.restart(0)
        return thinned(film, self.frames)

    def frame(self, envs: Envs) -> np.ndarray:
        try:
            frame = envs.envs[0].render()
        except Exception as error:
            raise UsageError(f"{envs.id} could not draw itself ({error})") from error
        if not isinstance(frame, np.ndarray) or frame.ndim != 3:
            raise UsageError(f"{envs.id} offers no rgb_array pictures")
        return np.asarray(media.shrink(media.picture(frame), self.width))


def thinned(film: list[np.ndarray], frames: int) -> list[np.ndarray]:
    """At most so many of them, evenly."""
    keep = np.linspace(0, len(film) - 1, min(len(film), frames)).round().astype(int)
    return [film[i] for i in keep]
