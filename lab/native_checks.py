"""Does a vector environment do what its spaces promise? Asked before anything is created. N environments."""

from collections.abc import Callable
from typing import Any

import numpy as np
from gymnasium.vector import VectorEnv

from .errors import UsageError
from .joint import Joint
from .spaces import About
from .state import frozen_rng

MakeVector = Callable[[int], VectorEnv[Any, Any, Any]]


def fits(make: MakeVector, of: About) -> None:
    """Raises UsageError where a vector environment of two copies does not do what its spaces promise."""
    vector, n = make(2), 2
    name = f"the vector environment of {of.id}, {type(vector).__name__},"
    with frozen_rng():
        try:
            check_spaces(name, vector, of, n)
            answers(name, vector, Joint(vector, lambda i, k, m: 1 + i + 10 * k))
        except UsageError:
            raise
        except (Exception, SystemExit) as error:
            raise UsageError(f"{name} raised {type(error).__name__}: {error}. Use vector.mode=sync or async") from error
        finally:
            vector.close()


def check_spaces(name: str, vector: VectorEnv[Any, Any, Any], of: About, n: int) -> None:
    if vector.num_envs != n:
        raise UsageError(f"{name} has {vector.num_envs} copies where {n} were asked for")
    for what, one, single in (("observations", vector.single_observation_space, of.observation_space),
                              ("actions", vector.single_action_space, of.action_space)):
        if one != single:
            raise UsageError(f"{name} has {what} {one}, a single one {single}: evaluation plays single ones. "
                             "Use vector.mode=sync or async, or options with which they agree")


def answers(name: str, vector: VectorEnv[Any, Any, Any], joint: Joint) -> None:
    """A reset, a step, and a reset of one copy alone."""
    vector.action_space.seed(0)
    first = joint.reset(seed=0)[0]
    obs, reward, terminated, truncated, came = joint.step(vector.action_space.sample())
    for when, seen in (("reset", first), ("step", came["next_obs"])):
        if not vector.observation_space.contains(seen):
            raise UsageError(f"{name} breaks its own space in {when}: {spread(seen)}; it promises "
                             f"{vector.observation_space}")
    if wrong := odd_numbers(joint.n, reward, terminated, truncated):
        raise UsageError(f"{name} {wrong}")
    if joint.masked:
        again = np.array(joint.reseed(np.array([True, False]))[0])
        if not np.array_equal(again[1], np.asarray(obs)[1], equal_nan=again.dtype.kind == "f"):
            raise UsageError(f"{name} has autoreset mode DISABLED, and its reset with reset_mask [True, False] moved "
                             "the copy that was not to be reset")


def odd_numbers(n: int, reward: Any, terminated: Any, truncated: Any) -> str:
    """Which of these is not one number for each of `n` copies, or ""."""
    for what, value in (("rewards", reward), ("terminations", terminated), ("truncations", truncated)):
        if np.shape(value) != (n,) or np.asarray(value).dtype.kind not in "biuf":
            return f"returned {what} {spread(value)}; expected {n} numbers"
    return ""


def spread(value: Any) -> str:
    """What an array looks like, in few words."""
    array = np.asarray(value)
    if array.dtype.kind not in "biuf" or not array.size:
        return f"{array.dtype} {list(array.shape)}"
    return f"{array.dtype} {list(array.shape)} from {array.min():g} to {array.max():g}"
