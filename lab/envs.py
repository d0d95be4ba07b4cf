"""N copies of a Gymnasium environment stepped together: tensors in, tensors out. T steps, N environments.

Every episode has its own seed, a function of the run's seed, the environment's index and the episode's number. An
episode that ends begins anew at once (autoreset in the same step), and `next_obs` is always the true successor.
"""

import copy
import logging
from collections.abc import Callable
from typing import Any

import gymnasium as gym
import numpy as np
import torch
from gymnasium import spaces
from torch import Tensor

from .compute import Compute
from .contract import Act
from .env_state import Tier
from .errors import EnvError, UsageError
from .recorder import Recorder
from .state import Saved

LOG = logging.getLogger("lab")
Make = Callable[[], gym.Env[Any, Any]]
SCALARS = (float, int, bool, np.floating, np.integer, np.bool_)


def standard(env: gym.Env[Any, Any]) -> gym.Env[Any, Any]:
    """An environment whose observations are one array or one number: nested ones are joined.

    Raises UsageError for spaces that have no such form, such as text.
    """
    space = env.observation_space
    if isinstance(space, spaces.Tuple) and all(isinstance(part, spaces.Discrete) for part in space):
        joined = spaces.MultiDiscrete([part.n for part in space], start=[part.start for part in space])
        return gym.wrappers.TransformObservation(env, lambda obs: np.asarray(obs, np.int64), joined)
    if isinstance(space, spaces.Dict | spaces.Tuple | spaces.MultiBinary) and space.is_np_flattenable:
        return gym.wrappers.FlattenObservation(env)
    if isinstance(space, spaces.Box | spaces.Discrete | spaces.MultiDiscrete):
        return env
    raise UsageError(f"{name_of(env)} has observations {space}, which cannot be made one array; wrap the environment "
                     "so that it returns a Box, Discrete, MultiDiscrete or a Dict or Tuple of them")


def name_of(env: gym.Env[Any, Any]) -> str:
    return env.spec.id if env.spec else type(env.unwrapped).__name__


class Envs(Saved):
    saved = ("obs", "episodes", "returns", "lengths", "finished", "recorder")

    def __init__(self, make: Make, n: int, compute: Compute, name: str = "train", tier: Tier = Tier.BOUNDARY):
        self.envs, self.n, self.compute, self.name = [make() for _ in range(n)], n, compute, name
        self.observation_space, self.action_space = self.envs[0].observation_space, self.envs[0].action_space
        space, self.id = self.observation_space, name_of(self.envs[0])
        self.shape, self.dtype, start, self.stack = space.shape, dtype_of(space), getattr(space, "start", 0), 1
        self.start = start if np.any(start) else None     # integer observations count from here; ours from 0
        self.episodes, self.returns, self.lengths = [0] * n, [0.0] * n, [0] * n
        self.lost: list[int] = []                         # copies whose episode a resume could not bring back
        self.finished: list[tuple[float, int]] = []       # (return, length) of episodes not yet reported
        self.recorder = Recorder(self.envs, make, self.seed, tier)
        self.obs = np.zeros((n, *(self.shape or ())), self.dtype)            # [N, ...] where to act next
        for i in range(n):
            self.obs[i] = self.reset(i)

    def __len__(self) -> int:
        return self.n

    def seed(self, i: int, episode: int) -> int:
        return self.compute.seed_for(f"{self.name}/{i}/{episode}")

    def collect(self, act: Act, steps: int, count: int = 0) -> dict[str, Tensor]:
        """[T, N, ...] obs, action, reward, next_obs, terminal (no future to bootstrap from) and done (a new episode).

        Raises EnvError where an environment raises or returns what is not a finite value of its space's shape.
        """
        shape, device, actions = (steps, self.n), self.compute.device, []
        rows = {"obs": np.zeros((*shape, *self.obs.shape[1:]), self.dtype), "reward": np.zeros(shape, np.float32),
                "next_obs": np.zeros((*shape, *self.obs.shape[1:]), self.dtype),
                "terminal": np.zeros(shape, np.float32), "done": np.zeros(shape, np.float32)}
        for t in range(steps):
            rows["obs"][t] = self.obs
            actions.append(act(torch.from_numpy(rows["obs"][t]).to(device), count + t * self.n))       # [N, ...]
            self.step(actions[t], rows, t)
        self.check(rows, count)
        batch = {name: torch.from_numpy(row).to(device) for name, row in rows.items()}
        return {"action": torch.stack(actions), **batch}

    def step(self, action: Tensor, rows: dict[str, np.ndarray], t: int) -> None:
        """One step of every environment, written into place `t` of `rows`, each [T, N, ...]."""
        watched = self.recorder.active        # an environment may write into the action that is kept
        for i, choice in enumerate(self.to_env(action)):
            try:
                obs, reward, terminated, truncated, _ = self.envs[i].step(copy.deepcopy(choice) if watched else choice)
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
            if terminated or truncated:
                rows["done"][t, i] = 1
                self.finished.append((self.returns[i], self.lengths[i]))
                self.restart(i)

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
        self.episodes[i] += 1
        self.returns[i], self.lengths[i] = 0.0, 0
        self.obs[i] = self.reset(i)

    def to_env(self, action: Tensor) -> Any:
        space = self.action_space
        if isinstance(space, spaces.Discrete):
            return (action + int(space.start)).tolist() if space.start else action.tolist()
        if isinstance(space, spaces.Box):         # what a Gaussian draws has no bounds
            return action.cpu().numpy().clip(space.low, space.high).astype(space.dtype)
        values = action.cpu().numpy().astype(space.dtype)
        return values + space.start if isinstance(space, spaces.MultiDiscrete) else values

    def check(self, rows: dict[str, np.ndarray], count: int) -> None:
        """Raises EnvError where a reward or an observation is not finite."""
        for name in ("reward", "next_obs", "obs"):
            if rows[name].dtype.kind == "f" and not np.isfinite(rows[name]).all():
                t, i = np.argwhere(~np.isfinite(rows[name]))[0][:2]
                what, at = "a reward" if name == "reward" else "an observation", count + t * self.n
                raise self.error(int(i), f"returned {what} that is not finite", f"step {at:,} of the run")

    def error(self, i: int, what: str, where: str = "") -> EnvError:
        self.recorder.lost()                  # a resume begins new episodes: this one cannot be trusted
        where = where or f"step {self.lengths[i]} of its episode {self.episodes[i]}"
        return EnvError(f"environment {self.id} (copy {i} of {self.n}, {where}) {what}")

    def state_dict(self) -> dict[str, Any]:
        self.recorder.midst = self.lengths[0] > 0
        return super().state_dict()

    def load_state_dict(self, state: Any) -> None:
        """Raises ValueError where it is of another number of environments."""
        if (n := len(state["episodes"])) != self.n:
            raise ValueError(f"it holds {n} environments and this run has {self.n}")
        super().load_state_dict(state)
        self.lost = [i for i in range(self.n) if not self.restore(i)]
        if self.lost:
            why = self.recorder.describe() if self.recorder.level is Tier.BOUNDARY else "they could not be brought back"
            LOG.warning("%d of %d environments begin a new episode: %s", len(self.lost), self.n, why)

    def restore(self, i: int) -> bool:
        """Bring copy `i` back into its episode; where that cannot be, begin the next one."""
        held, obs = self.recorder.restore(i, self.episodes[i])
        if obs is not None:               # replayed: did the environment repeat itself?
            obs = obs if self.start is None else obs - self.start
            held = bool(np.array_equal(np.asarray(obs, self.dtype), self.obs[i], equal_nan=True))
        if not held:
            self.restart(i)
        return held

    def metrics(self) -> dict[str, float]:
        finished, self.finished = self.finished, []
        if not finished:
            return {}
        returns, lengths = np.array(finished, np.float64).T
        return {"episode/return": float(returns.mean()), "episode/length": float(lengths.mean()),
                "episode/count": float(len(finished))}

    def close(self) -> None:
        for env in self.envs:
            env.close()


def dtype_of(space: gym.Space[Any]) -> Any:
    """float32 for every float: float64 observations are rounded; integers and bytes stay as they are."""
    kind = np.dtype(space.dtype).kind if space.dtype is not None else "f"
    if kind == "f":
        return np.float32
    return np.int64 if isinstance(space, spaces.Discrete | spaces.MultiDiscrete) else space.dtype
