"""What observations and actions look like: the spaces of Gymnasium as one array each."""

from typing import Any, NamedTuple

import gymnasium as gym
import numpy as np
from gymnasium import spaces, wrappers
from torch import Tensor

from .errors import UsageError

INTEGERS = (int, np.integer)
COUNTED = (spaces.Discrete, spaces.MultiDiscrete, spaces.MultiBinary, spaces.Box)     # actions that are drawn from
UNKNOWN = 1, "reset"
LONGEST = 256                     # frames of a stack whose age a byte can count
SAME_OBS = (wrappers.OrderEnforcing, wrappers.PassiveEnvChecker, wrappers.TimeLimit, wrappers.RecordEpisodeStatistics)


def standard(env: gym.Env[Any, Any]) -> gym.Env[Any, Any]:
    """An environment whose observations are one array, or a number that is counted: nested ones are joined.

    Raises UsageError for spaces that have no such form, such as text.
    """
    space = env.observation_space
    if isinstance(space, spaces.Tuple) and all(isinstance(part, spaces.Discrete) for part in space):
        joined = spaces.MultiDiscrete([part.n for part in space], start=[part.start for part in space])
        return wrappers.TransformObservation(env, np.asarray, joined)
    if isinstance(space, spaces.Dict | spaces.Tuple | spaces.MultiBinary) and space.is_np_flattenable:
        return wrappers.FlattenObservation(env)
    if isinstance(space, spaces.Box) and space.shape == ():
        return wrappers.ReshapeObservation(env, (1,))
    if isinstance(space, spaces.Box | spaces.Discrete | spaces.MultiDiscrete):
        return env
    raise UsageError(f"{name_of(env)} has observations {space}, which cannot be made one array; wrap the environment "
                     "so that it returns a Box, Discrete, MultiDiscrete or a Dict or Tuple of them")


def name_of(env: gym.Env[Any, Any]) -> str:
    return env.spec.id if env.spec else type(env.unwrapped).__name__


def dtype_of(space: gym.Space[Any]) -> Any:
    """float32 for every float: float64 observations are rounded; integers and bytes stay as they are."""
    kind = np.dtype(space.dtype).kind if space.dtype is not None else "f"
    if kind == "f":
        return np.float32
    return np.int64 if isinstance(space, spaces.Discrete | spaces.MultiDiscrete) else space.dtype


def shape_of(obs: Any) -> tuple[int, ...] | None:
    """None for nested lists of uneven lengths."""
    try:
        return tuple(np.shape(obs))
    except ValueError:
        return None


class Whole(NamedTuple):
    """Observations that are whole numbers: from `low` to `high`, entry by entry."""

    space: gym.Space[Any]
    dtype: np.dtype[Any]
    low: Any
    high: Any
    counted: bool                 # not every value of the dtype is one of them

    def misfit(self, obs: Any) -> str:
        """In what an observation [..., *shape] is none of these, or "". What is no number is an error of its own."""
        if isinstance(obs, INTEGERS):
            fits = self.low <= obs <= self.high
        else:
            obs = np.asarray(obs)
            if obs.dtype.kind not in "biuf" or (obs.dtype == self.dtype and not self.counted):
                return ""
            fits = obs.dtype.kind != "f" and bool(((obs >= self.low) & (obs <= self.high)).all())
        if fits:
            return ""
        seen = np.asarray(obs)
        return f"of {seen.dtype} from {seen.min():g} to {seen.max():g}, its space is of {self.dtype}: {self.space}"


def whole(space: gym.Space[Any]) -> Whole | None:
    """What its observations may be where they are whole numbers."""
    dtype = np.dtype(dtype_of(space))
    if isinstance(space, spaces.Discrete):
        return Whole(space, dtype, int(space.start), int(space.start + space.n) - 1, True)
    if isinstance(space, spaces.MultiDiscrete):
        return Whole(space, dtype, space.start, space.start + space.nvec - 1, True)
    if dtype.kind not in "biu":
        return None
    low, high = (0, 1) if dtype.kind == "b" else (int(np.iinfo(dtype).min), int(np.iinfo(dtype).max))
    return Whole(space, dtype, low, high, False)


def to_array(space: gym.Space[Any], action: Tensor) -> np.ndarray:
    """What a policy chose [N, ...] as an array of the space's dtype.

    A Box takes actions in its own units; what lies beyond its bounds becomes the bound. Policies count discrete ones
    from 0, whatever the space counts from.
    """
    values = action.cpu().numpy()
    if isinstance(space, spaces.Box):
        return np.asarray(np.clip(values, space.low, space.high), space.dtype)
    values = values.astype(space.dtype)
    return np.asarray(values + space.start) if isinstance(space, spaces.Discrete | spaces.MultiDiscrete) else values


def stack_of(env: gym.Env[Any, Any]) -> tuple[int, str]:
    """How many frames an observation [stack, ...] holds, newest last, and what is in the place of those before a reset.

    "reset": the first frame of the episode; "zero": zeros. Each observation is the one before, moved on by one frame.
    (1, "reset") where this is not known to hold, or where the stack is longer than 256 frames. An environment says
    it in its metadata: {"frame_stack": (4, "zero")}.
    """
    while isinstance(env, gym.Wrapper) and type(env) in SAME_OBS:
        env = env.env
    stack, padding = UNKNOWN if isinstance(env, gym.Wrapper) else env.metadata.get("frame_stack", UNKNOWN)
    if isinstance(env, wrappers.FrameStackObservation):
        stack, padding = env.stack_size, env.padding_type
    known = str(padding) in ("reset", "zero") and stack <= LONGEST
    return (int(stack), str(padding)) if known else UNKNOWN


class About(NamedTuple):
    """What is the same for all copies of an environment."""

    id: str
    observation_space: gym.Space[Any]
    action_space: gym.Space[Any]
    stack: int = 1                # frames in an observation [stack, ...]
    padding: str = "reset"        # what stands for frames before the first


def about(env: gym.Env[Any, Any]) -> About:
    return About(name_of(env), env.observation_space, env.action_space, *stack_of(env))
