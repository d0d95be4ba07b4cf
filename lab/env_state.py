"""The state of one environment in mid-episode as plain data, and how exactly it can be brought back.

Every episode begins with `reset(seed=...)` and a seed of its own, so the seed and the actions since then are a state
too. Which way holds for an environment nobody can know from its class: `probe` tries them.
"""

import copy
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from enum import StrEnum
from functools import partial
from typing import Any, NamedTuple

import numpy as np

from . import signals
from .env_codec import LEFT_OUT, Decoder, Encoder
from .env_walk import Env, Move, Seen, Walk, odd, play, same, sampler
from .state import frozen_rng, rng_state, set_rng_state

__all__ = ["Episode", "Tier", "probe", "read_attributes", "restore", "same", "trials", "write_attributes"]

Make = Callable[[], Env]
Episode = tuple[int, list[Any]]                           # its seed, its actions so far
MAX_BYTES = 64 * 2**20                                    # in one environment; with more it holds a dataset


class Tier(StrEnum):
    """How an environment is brought back, best first; the cost is that of a resume."""

    EXACT = "exact"                                       # its attributes
    EPISODE_REPLAY = "exact by episode replay"            # the episode's seed and actions
    REPLAY = "exact by replay"                            # the seeds and actions of all episodes
    BOUNDARY = "episode boundary"                         # not at all: the episode in progress starts anew


def read_attributes(env: Env) -> dict[str, Any]:
    """Of every wrapper and of what is inside: None, numbers, strings, arrays, lists, tuples and dicts of them."""
    return dict(Encoder().encode(env))


def write_attributes(env: Env, state: Mapping[str, Any]) -> None:
    """Into an environment made in the same way. Raises ResumeError where it has no place for an object in `state`."""
    Decoder().decode(state, env, "env")


def restore(make: Make, tier: Tier, episodes: Sequence[Episode], attributes: Mapping[str, Any] | None = None
            ) -> tuple[Env, Any]:
    """A new environment brought back by `tier`, and its latest obs; None where `attributes` were put back.

    `episodes`: all since the start for REPLAY; else the one in progress is enough. With BOUNDARY it begins anew.
    Raises ResumeError and whatever the environment raises.
    """
    env, obs = make(), None
    try:
        for seed, actions in episodes if tier is Tier.REPLAY else episodes[-1:]:
            signals.check()
            obs = env.reset(seed=seed)[0]
            for action in actions if tier in (Tier.REPLAY, Tier.EPISODE_REPLAY) else ():
                obs = env.step(copy.deepcopy(action))[0]
        if tier is Tier.EXACT and attributes is not None:
            write_attributes(env, attributes)             # after a reset: many environments make their objects there
            obs = None
        return env, obs
    except BaseException:
        env.close()
        raise


class Snapshot(NamedTuple):
    """All that could bring an environment back to where it was."""

    moves: int                                            # made since the first snapshot
    episodes: list[Episode]
    attributes: dict[str, Any]
    rng: dict[str, Any]                                   # the global generators: they are in every checkpoint too


def trials(make: Make, seed_for: Callable[[int], int], sample_action: Callable[[], Any] | None = None
           ) -> Iterator[tuple[Tier, str]]:
    """Each tier above BOUNDARY, best first, with the first difference between an environment and its twin, or "".

    `seed_for(episode)` is the seed of an episode. Raises whatever the environment raises.
    """
    env = make()
    try:
        snapshots, trace = observe(Walk(env, seed_for, sample_action or sampler(env)))
    finally:
        with suppress(Exception):
            env.close()
    for tier in (Tier.EXACT, Tier.EPISODE_REPLAY, Tier.REPLAY):
        why_not = (difference(trace[at.moves:], at.rng, partial(restore, make, tier, at.episodes, at.attributes))
                   for at in snapshots)
        yield tier, next(filter(None, why_not), "")


def observe(walk: Walk) -> tuple[list[Snapshot], list[tuple[Move, Seen]]]:
    """Snapshots, the first in mid-episode, and what happened from there on; two episodes are cut short.

    Four of them, one of a slow environment, for what matters only now and then, such as the action that a sticky one
    repeats; cut short, for what an environment should forget at a reset and does not.
    """
    snapshots, trace = list[Snapshot](), list[tuple[Move, Seen]]()
    slow = len(walk.run(24)) < 24
    walk.done = True
    walk.run(16)
    for _ in range(50):
        if walk.done or not walk.episodes[-1][1]:
            walk.run(1)
    for part in range(4):
        if not (slow and snapshots):
            snapshots.append(Snapshot(len(trace), copy.deepcopy(walk.episodes), readable(walk.env), rng_state()))
        walk.done |= part == 2
        trace += walk.run(16)
    return snapshots, trace


def readable(env: Env) -> dict[str, Any]:
    """Its attributes; nothing where they cannot be read or are too much for every checkpoint."""
    with suppress(Exception):
        if nbytes(state := read_attributes(env)) <= MAX_BYTES:
            return state
    return dict(LEFT_OUT)


def nbytes(node: Any) -> int:
    """About what a state takes in a checkpoint."""
    if isinstance(node, dict | list | tuple):
        return sum(map(nbytes, node.values() if isinstance(node, dict) else node))
    return node.nbytes if isinstance(node, np.ndarray) else 8


def difference(trace: Sequence[tuple[Move, Seen]], rng: Mapping[str, Any], twin: Callable[[], tuple[Env, Any]]) -> str:
    """The first thing in which a restored environment does not repeat `trace`, or ""."""
    env: Any = None
    try:
        env, _ = twin()
        set_rng_state(rng)
        for step, (move, seen) in enumerate(trace, 1):
            if what := odd(seen, play(env, move)):
                return f"step {step}: {what}"
        return ""
    except Exception as error:
        return f"{type(error).__name__}: {error}"
    finally:
        with suppress(Exception):
            env.close()


def probe(make: Make, seed_for: Callable[[int], int], sample_action: Callable[[], Any] | None = None) -> Tier:
    """The best tier that holds, found by trying on environments made for it; nothing else notices.

    An environment that raises is BOUNDARY: training will meet the error and can say where.
    """
    with frozen_rng(), warnings.catch_warnings(), suppress(Exception):
        warnings.simplefilter("ignore")
        for tier, why_not in trials(make, seed_for, sample_action):
            if not why_not:
                return tier
    return Tier.BOUNDARY
