"""A vector environment as one environment that never ends: every copy whose episode is over begins anew by itself.

So all that can bring one environment back (lab.env_state, lab.recorder) can bring back N that share one object.
"""

from collections.abc import Callable
from typing import Any

import gymnasium as gym
import numpy as np
from gymnasium.vector import AutoresetMode, VectorEnv

from .errors import UsageError

Seed = Callable[[int, int, int], int]     # of copy i, its episode k, after the environment was started m times before
Mask = dict[str, Any] | None
TOLD = ("learning_reward", "learning_terminal", "episode_frame_number")      # see lab.envs
SEEDS: tuple[Callable[[list[int], np.ndarray], Any], ...] = (
    lambda seeds, mask: seeds,                                            # Gymnasium: one per copy
    lambda seeds, mask: np.array(seeds, np.int64)[mask])                  # ale-py: one per copy that is reset


class Joint(gym.Env[Any, Any]):
    """Observations, actions and rewards of all copies at once, [N, ...]; `reset(seed=m)` is its start number m.

    Where the vector environment leaves resets to its user (autoreset mode DISABLED, and `reset_mask`), each episode
    begins from a seed of its own. Where it begins new episodes in the same step, only the first ones do.
    Raises UsageError for one that begins new episodes a step later: its rows would hold a step that nobody made.
    """

    def __init__(self, vector: VectorEnv[Any, Any, Any], seed: Seed):
        self.vector, self.seed_of, self.n = vector, seed, vector.num_envs
        self.observation_space, self.action_space = vector.observation_space, vector.action_space
        self.masked = autoreset(vector) is AutoresetMode.DISABLED
        self.start, self.episodes, self.form = 0, [0] * self.n, 0
        for space in (vector.single_observation_space, vector.observation_space, vector.single_action_space,
                      vector.action_space):               # else their generators are another in every process
            space.seed(seed(0, 0, 0) % 2**30)

    def reset(self, *, seed: int | None = None, options: Mask = None) -> tuple[Any, dict[str, Any]]:
        self.start, self.episodes = seed or 0, [0] * self.n
        if not self.masked:
            return self.vector.reset(seed=self.seed_of(0, 0, self.start) % 2**30)    # to a C int, above it is none
        everyone = np.ones(self.n, bool)
        try:
            return self.reseed(everyone)
        except (TypeError, ValueError, AssertionError):
            self.form = 1 - self.form
            return self.reseed(everyone)

    def reseed(self, mask: np.ndarray) -> tuple[Any, dict[str, Any]]:
        """Begin the present episodes of the copies in `mask` [N]; the others stay where they are."""
        seeds = [self.seed_of(i, episode, self.start) for i, episode in enumerate(self.episodes)]
        return self.vector.reset(seed=SEEDS[self.form](seeds, mask), options={"reset_mask": mask})

    def step(self, action: Any) -> tuple[Any, Any, Any, Any, dict[str, Any]]:
        """Where each copy acts next, its reward, whether its episode ended [N], and in the info: `next_obs`, `told`."""
        obs, reward, terminated, truncated, info = self.vector.step(action)
        next_obs, done = obs, np.asarray(terminated, bool) | np.asarray(truncated, bool)
        if done.any():
            next_obs, obs = self.renew(np.array(obs), done, info)
        return obs, reward, terminated, truncated, {"next_obs": next_obs, "told": info}

    def renew(self, obs: np.ndarray, done: np.ndarray, info: Any) -> tuple[np.ndarray, np.ndarray]:
        """The last observations of the episodes that are over among all [N, ...], and where each copy acts next."""
        over = np.flatnonzero(done)
        for i in over:
            self.episodes[i] += 1
        if self.masked:
            return obs, self.reseed(done)[0]
        if "final_obs" not in info:
            raise ValueError("an episode ended and its infos have no final_obs, the observation that it ended with")
        last = obs.copy()
        for i in over:
            last[i] = info["final_obs"][i]
        self.overlay(info, done)
        return last, obs

    def overlay(self, info: Any, done: np.ndarray) -> None:
        """What ended episodes said with their last step stands in `final_info`: put it where the others say it."""
        final = info.get("final_info")
        for name in TOLD if isinstance(final, dict) else ():
            if name in final:
                said = done & np.asarray(final.get(f"_{name}", done), bool)                 # [N]
                before = np.asarray(info.get(name, np.zeros(self.n)))
                known = np.asarray(info.get(f"_{name}", np.full(self.n, name in info)), bool)
                info[name], info[f"_{name}"] = np.where(said, final[name], before), known | said

    def close(self) -> None:
        self.vector.close()


def autoreset(vector: VectorEnv[Any, Any, Any]) -> AutoresetMode:
    """Raises UsageError for a mode whose rows could not be trusted."""
    said = vector.metadata.get("autoreset_mode")
    known = {each.value: each for each in AutoresetMode} | {each.name: each for each in AutoresetMode}
    mode = said if isinstance(said, AutoresetMode) else known.get(str(said))
    if mode in (AutoresetMode.SAME_STEP, AutoresetMode.DISABLED):
        return mode
    what = "begins new episodes one step late (autoreset mode NEXT_STEP)" if mode else \
        f"says autoreset_mode={said!r} in its metadata"
    raise UsageError(f"{type(vector).__name__} {what}: vector.mode=native needs SAME_STEP, with final_obs in the "
                     "infos, or DISABLED, with reset_mask. Use vector.mode=sync or async")
