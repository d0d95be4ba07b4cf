"""Steps an environment, writes down what came back, and compares: what `lab.env_state` tries environments with."""

import copy
from collections.abc import Callable, Mapping
from time import perf_counter
from typing import Any

import gymnasium as gym
import numpy as np

Env = gym.Env[Any, Any]
Move = tuple[str, Any]                                    # ("reset", seed) or ("step", action)
Seen = Mapping[str, Any]                                  # what came back: of PARTS, the first after a reset
PARTS = ("obs", "reward", "terminated", "truncated")
ENDS = PARTS[2:]                                          # arrays of many copies in one, which goes on
NUMBERS = (np.ndarray, np.generic, bool, int, float)
SECONDS = 0.1                                             # of one walk: a slow environment is judged by fewer steps
LEAST = 6                                                 # moves of one, however slow


def same(a: Any, b: Any) -> bool:
    """Numbers and arrays equal in dtype, shape and bytes, so that NaN is NaN; dicts, lists and tuples item by item."""
    if isinstance(a, NUMBERS) and isinstance(b, NUMBERS):
        a, b = np.asarray(a), np.asarray(b)
        alike = a.dtype == b.dtype and a.shape == b.shape
        return bool(alike and (np.all(a == b) if a.dtype == object else a.tobytes() == b.tobytes()))
    if type(a) is not type(b):
        return False
    if isinstance(a, dict):
        return a.keys() == b.keys() and all(same(a[key], b[key]) for key in a)
    if isinstance(a, list | tuple):
        return len(a) == len(b) and all(map(same, a, b))
    return bool(np.all(np.asarray(a == b)))


def odd(was: Seen, now: Seen) -> str:
    """The first part in which two answers differ, with the values, or ""."""
    for part in was:
        a, b = was[part], now[part]
        if same(a, b):
            continue
        if isinstance(a, np.ndarray) and isinstance(b, np.ndarray) and (a.shape, a.dtype) == (b.shape, b.dtype):
            at = next(i for i in np.ndindex(a.shape) if not same(a[i], b[i]))
            return f"{part}{list(at)} was {a[at]}, then {b[at]}"
        return f"{part} was {a}, then {b}"
    return ""


class Walk:
    """Steps an environment, gives each episode its seed, and writes down what it did and what came back."""

    def __init__(self, env: Env, seed_for: Callable[[int], int], sample_action: Callable[[], Any]):
        self.env, self.seed_for, self.sample_action, self.done = env, seed_for, sample_action, True
        self.episodes: list[tuple[int, list[Any]]] = []

    def run(self, steps: int, least: int = LEAST) -> list[tuple[Move, Seen]]:
        """At most `steps` moves; fewer where the environment is slow, but not fewer than `least`."""
        end, moves = perf_counter() + SECONDS, list[tuple[Move, Seen]]()
        while len(moves) < min(steps, least) or (len(moves) < steps and perf_counter() < end):
            moves.append(self.move())
        return moves

    def move(self) -> tuple[Move, Seen]:
        if self.done:
            self.episodes.append((self.seed_for(len(self.episodes)), []))
            move: Move = ("reset", self.episodes[-1][0])
        else:
            move = ("step", self.sample_action())
            self.episodes[-1][1].append(move[1])
        seen = play(self.env, move)
        self.done = any(np.ndim(seen[end]) == 0 and seen[end] for end in ENDS if end in seen)
        return move, seen


def play(env: Env, move: Move) -> Seen:
    """Copies, both ways: an environment may write into an action and use the array of an observation again."""
    name, value = move
    came = env.reset(seed=value)[:1] if name == "reset" else env.step(copy.deepcopy(value))[:4]
    return dict(zip(PARTS, copy.deepcopy(came), strict=False))


def sampler(env: Env) -> Callable[[], Any]:
    """Random actions from a copy of the space: sampling moves the generator of the environment's own."""
    space = copy.deepcopy(env.action_space)
    space.seed(0)
    return lambda: int(space.sample()) if isinstance(space, gym.spaces.Discrete) else space.sample()
