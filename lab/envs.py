"""N copies of a Gymnasium environment stepped together: tensors in, tensors out. T steps, N environments.

Every episode has its own seed, a function of the run's seed, the environment's index and the episode's number. An
episode that ends begins anew at once (autoreset in the same step), and `next_obs` is always the true successor.
"""

import copy
from collections.abc import Callable, Mapping
from math import isfinite
from typing import Any

import gymnasium as gym
import numpy as np
import torch
from gymnasium import spaces
from torch import Tensor

from .compute import Compute
from .contract import Act, Batch
from .env_state import Tier
from .errors import EnvError
from .joint import TOLD
from .recorder import Recorder
from .spaces import about, name_of, shape_of, standard, to_array
from .vector import Vector

__all__ = ["Envs", "Make", "name_of", "standard"]

Make = Callable[[], gym.Env[Any, Any]]
SCALARS = (float, int, bool, np.floating, np.integer, np.bool_)
NUMBERLESS = (TypeError, ValueError, OverflowError)       # raised where what was said cannot be written down


class Envs(Vector):
    """The copies live in this process and are stepped one after another.

    What is learned from and what is reported may differ: an environment may say in the info of a step
    `learning_reward`, a number that rows hold in place of the reward, such as a clipped one, and `learning_terminal`,
    true where nothing that follows counts although the episode goes on, such as a lost life: the row is then terminal
    and done. Returns and lengths of episodes are those of the environment itself.
    """

    saved = ("obs", "episodes", "returns", "lengths", "frames", "finished", "recorder")
    recording: Callable[..., Recorder] = Recorder
    plain = False                 # whether `step` takes actions as the policy counts them, in a list

    def __init__(self, make: Make, n: int, compute: Compute, name: str = "train", tier: Tier = Tier.BOUNDARY):
        self.envs: list[Any] = [make() for _ in range(n)]
        self.prepare(about(self.envs[0]), n, compute, name)
        self.plain = isinstance(self.action_space, spaces.Discrete) and not self.action_space.start
        self.recorder = self.recording(self.envs, make, self.seed, tier)
        for i in range(n):
            self.obs[i] = self.reset(i)

    def collect(self, act: Act, steps: int, count: int = 0) -> dict[str, Tensor]:
        """[T, N, ...] obs, action, reward, next_obs, terminal (no future to bootstrap from) and done (a new episode).

        Where observations are stacks of frames also `reset`: 1 where the next row begins with a new stack. With a
        normaliser `act` sees normalised observations, and the rows are raw. The action is the policy's own: what lies
        beyond the bounds of a Box is clipped on its way to the environment.
        Raises EnvError where an environment raises or returns what is not a finite value of its space's shape.
        """
        rows = {name: np.zeros((steps, self.n, *shape), dtype) for name, (shape, dtype) in self.columns.items()}
        device, actions = self.compute.device, list[Tensor]()
        begin: Callable[[Tensor], None] | None = getattr(act, "begin", None)
        act = self.normalizer.seeing(act) if self.normalizer else act
        try:
            for t in range(steps):
                rows["obs"][t] = self.obs
                if begin is not None:
                    begin(torch.from_numpy(np.asarray(self.lengths) == 0).to(device))
                actions.append(act(torch.from_numpy(rows["obs"][t]).to(device), count + t * self.n))       # [N, ...]
                self.step(actions[t].tolist() if self.plain else self.choices(actions[t]), rows, t)
            if not all(isfinite(np.vdot(rows[name], rows[name])) for name in self.real):      # or they are very large
                self.complain(rows, count)
        except EnvError:
            self.obs[:] = rows["obs"][0]      # nobody gets these steps: what followed the last ones is as it was
            raise
        if self.normalizer:
            self.normalizer.learn(rows)
        batch = {"action": torch.stack(actions)}
        for name, row in rows.items():
            batch[name] = torch.from_numpy(row).to(device)
        return batch

    def choices(self, action: Tensor) -> Any:
        """What a policy chose [N, ...] as `step` takes it: a list of int, or an array of the space's dtype."""
        space = self.action_space
        if isinstance(space, spaces.Discrete):
            return (action + int(space.start)).tolist() if space.start else action.tolist()
        return to_array(space, action)

    def normalized(self, batch: Batch) -> Batch:
        """What a stream hands out: raw rows on the scale of the statistics, or the batch itself."""
        return self.normalizer.batch(batch) if self.normalizer else batch

    def step(self, choices: Any, rows: dict[str, np.ndarray], t: int) -> None:
        """One step of every environment, written into place `t` of `rows`, each [T, N, ...]."""
        watched = self.recorder.active and self.recorder.look()
        for i, choice in enumerate(choices):
            try:
                obs, reward, terminated, truncated, info = self.envs[i].step(
                    copy.deepcopy(choice) if watched else choice)      # it may write into its action
            except (Exception, SystemExit) as error:
                raise self.error(i, f"raised {type(error).__name__}: {error}") from error
            if watched:
                self.recorder.stepped(i, choice, obs, reward, terminated, truncated)
            if getattr(obs, "shape", None) != self.shape and shape_of(obs) != self.shape:      # most are arrays
                raise self.error(i, f"returned an observation of shape {shape_of(obs)}, its space has {self.shape}")
            if self.whole and (wrong := self.whole.misfit(obs)):
                raise self.error(i, f"returned an observation {wrong}")
            ends = terminated is not False or truncated is not False
            if ends or not isinstance(reward, SCALARS):
                self.numbers(i, reward, terminated, truncated)
            try:
                rows["next_obs"][t, i] = self.obs[i] = obs if self.start is None else obs - self.start
            except NUMBERLESS as error:
                raise self.error(i, f"returned an observation that is no number: {obs!r:.80}") from error
            rows["reward"][t, i], rows["terminal"][t, i] = reward, bool(terminated)
            self.returns[i] += float(reward)
            self.lengths[i] += 1
            if info:
                self.told(i, info, rows, t)
            if ends and (terminated or truncated):
                self.over(i, rows, t)

    def told(self, i: int, info: Mapping[str, Any], rows: dict[str, np.ndarray], t: int) -> None:
        """What the info of a step says about learning, and how many frames of the episode are over."""
        if not isinstance(info, Mapping):
            raise self.error(i, f"returned the info {info!r:.80}, a {type(info).__name__}; expected a dict")
        try:
            if "learning_reward" in info:
                rows["reward"][t, i] = info["learning_reward"]
            if info.get("learning_terminal"):
                rows["terminal"][t, i] = rows["done"][t, i] = 1
            if "episode_frame_number" in info:
                self.frames[1, i] = info["episode_frame_number"]
        except NUMBERLESS as error:
            came = ", ".join(f"the {name} {info[name]!r:.80}" for name in TOLD if name in info)
            raise self.error(i, f"returned {came}; expected a number for each") from error

    def numbers(self, i: int, reward: Any, terminated: Any, truncated: Any) -> None:
        """Raises EnvError for one that is neither a number nor true or false; an array without axes may hold it."""
        for name, value in (("reward", reward), ("terminated", terminated), ("truncated", truncated)):
            alone = isinstance(value, np.ndarray) and value.ndim == 0 and value.dtype.kind in "biuf"
            if not (alone or isinstance(value, SCALARS)):
                what = f"returned the {name} {value!r:.80}, a {type(value).__name__}"
                raise self.error(i, f"{what}; expected {'a number' if name == 'reward' else 'true or false'}")

    def over(self, i: int, rows: dict[str, np.ndarray], t: int) -> None:
        """The episode of copy `i` ended with step `t`."""
        rows["done"][t, i] = 1
        if self.stack > 1:
            rows["reset"][t, i] = 1
        self.finished.append((self.returns[i], self.lengths[i]))
        self.restart(i)

    def reset(self, i: int) -> Any:
        try:
            obs, _ = self.envs[i].reset(seed=self.seed(i, self.episodes[i]))
        except (Exception, SystemExit) as error:
            raise self.error(i, f"raised {type(error).__name__} in reset: {error}") from error
        self.recorder.began(i, self.episodes[i])
        if shape_of(obs) != self.shape:
            raise self.error(i, f"returned {shape_of(obs)} from reset, its space has the shape {self.shape}")
        if self.whole and (wrong := self.whole.misfit(obs)):
            raise self.error(i, f"returned an observation in reset {wrong}")
        try:
            return np.asarray(obs if self.start is None else obs - self.start, self.dtype)
        except NUMBERLESS as error:
            raise self.error(i, f"returned an observation that is no number from reset: {obs!r:.80}") from error

    def complain(self, rows: dict[str, np.ndarray], count: int) -> None:
        """Raises EnvError, since a reward or an observation is not finite."""
        for name in self.real:
            if not np.isfinite(rows[name]).all():
                t, i = np.argwhere(~np.isfinite(rows[name]))[0][:2]
                what, at = "a reward" if name == "reward" else "an observation", count + t * self.n
                raise self.error(int(i), f"returned {what} that is not finite", f"step {at:,} of the run")

    def restart(self, i: int) -> None:
        """Begin the next episode of copy `i`."""
        self.ended(i)
        self.obs[i] = self.reset(i)
