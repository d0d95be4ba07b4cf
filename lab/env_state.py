"""The state of one environment in mid-episode as plain data, and how exactly it can be brought back.

Every episode begins with `reset(seed=...)` and a seed of its own, so the seed and the actions since then are a state
too. Which way holds for an environment nobody can know from its class: `probe` tries them.
"""

import copy
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from enum import StrEnum
from functools import partial
from itertools import chain, repeat
from typing import Any, NamedTuple

from .env_decoder import Decoder
from .env_holders import CannotSave
from .env_twin import attributes, spare
from .env_walk import Env, Move, Seen, Walk, odd, play, same, sampler
from .errors import ResumeError
from .state import frozen_rng, rng_state, set_rng_state

__all__ = ["Episode", "Tier", "probe", "restore", "same", "trials"]

Make = Callable[[], Env]
Episode = tuple[int, Any]                                 # its seed, its actions so far: a list or an array


class Tier(StrEnum):
    """How an environment is brought back, best first; the cost is that of a resume."""

    EXACT = "exact"                                       # its attributes
    EPISODE_REPLAY = "exact by episode replay"            # the episode's seed and actions
    REPLAY = "exact by replay"                            # the seeds and actions of all episodes
    BOUNDARY = "episode boundary"                         # not at all: the episode in progress starts anew


CHECKED = 256                                             # steps of a replay between two looks at whether to stop
TRIED = (Tier.EXACT, Tier.EPISODE_REPLAY, Tier.REPLAY)


def restore(make: Make, tier: Tier, episodes: Sequence[Episode], attributes: Mapping[str, Any] | None = None,
            check: Callable[[], None] = lambda: None) -> tuple[Env, Any]:
    """A new environment brought back by `tier`, and its latest obs; None where `attributes` were put back.

    `episodes`: all since the start for REPLAY; else the one in progress is enough. With BOUNDARY it begins anew.
    `check` is called before each, and every CHECKED steps. Raises ResumeError and whatever the environment or `check`
    raises.
    """
    env, obs = make(), None
    try:
        for seed, actions in episodes if tier is Tier.REPLAY else episodes[-1:]:
            check()
            obs = env.reset(seed=seed)[0]
            for number, action in enumerate(actions if tier in (Tier.REPLAY, Tier.EPISODE_REPLAY) else (), 1):
                obs = env.step(copy.deepcopy(action))[0]
                if number % CHECKED == 0:
                    check()
        if tier is Tier.EXACT and attributes is not None:
            Decoder().decode(attributes, env, "env")      # after a reset: many environments make their objects there
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
    unsaved: str                                          # why there are none, or ""
    rng: dict[str, Any]                                   # the global generators: they are in every checkpoint too


def trials(make: Make, seed_for: Callable[[int], int], sample_action: Callable[[], Any] | None = None,
           tiers: Sequence[Tier] = TRIED) -> Iterator[tuple[Tier, str]]:
    """Each of `tiers` with the first difference between an environment and its twin, or "".

    `seed_for(episode)` is the seed of an episode. Raises whatever the environment raises.
    """
    with spare(make) as env:
        snapshots, trace = observe(Walk(env, seed_for, sample_action or sampler(env)), make)
    for tier in tiers:
        why_not = ((tier is Tier.EXACT and at.unsaved) or
                   difference(trace[at.moves:], chain([at.rng], repeat(None)),
                              partial(restore, make, tier, at.episodes, at.attributes)) for at in snapshots)
        yield tier, next(filter(None, why_not), "")


def observe(walk: Walk, make: Make) -> tuple[list[Snapshot], list[tuple[Move, Seen]]]:
    """Snapshots, the first in mid-episode, and what happened from there on; two episodes are cut short.

    Four of them, one of a slow environment, for what matters only now and then, such as the action that a sticky one
    repeats; cut short, for what an environment should forget at a reset and does not. However slow, the first has 16
    moves before it and 24 after it.
    """
    snapshots, trace = list[Snapshot](), list[tuple[Move, Seen]]()
    slow = len(walk.run(24)) < 24
    walk.done = True
    walk.run(16, least=16)
    for _ in range(50):
        if walk.done or not walk.episodes[-1][1]:
            walk.run(1)
    for part in range(4):
        if not (slow and snapshots):
            snapshots.append(Snapshot(len(trace), copy.deepcopy(walk.episodes), *readable(walk, make), rng_state()))
        walk.done |= part == 2
        trace += walk.run(16)
    return snapshots, trace


def readable(walk: Walk, make: Make) -> tuple[dict[str, Any], str]:
    """The attributes of its environment and "", or nothing and why they cannot be saved."""
    try:
        with frozen_rng(), spare(make) as twin:
            return attributes(walk.env, twin, walk.episodes[-1][0]), ""
    except Exception as error:
        return {}, brief(error)


def brief(error: Exception) -> str:
    return str(error) if isinstance(error, CannotSave | ResumeError) else f"{type(error).__name__}: {error}"


def difference(trace: Sequence[tuple[Move, Seen]], rngs: Iterable[Any], twin: Callable[[], tuple[Env, Any]]) -> str:
    """The first thing in which a restored environment does not repeat `trace`, or "".

    `rngs`: the global generators before each move, None where they are as the move before has left them.
    """
    env: Any = None
    try:
        env, _ = twin()
        for step, ((move, seen), rng) in enumerate(zip(trace, rngs, strict=False), 1):
            if rng is not None:
                set_rng_state(rng)
            if what := odd(seen, play(env, move)):
                return f"step {step}: {what}"
        return ""
    except Exception as error:
        return brief(error)
    finally:
        with suppress(Exception):
            env.close()


def probe(make: Make, seed_for: Callable[[int], int], sample_action: Callable[[], Any] | None = None,
          tiers: Sequence[Tier] = TRIED) -> Tier:
    """The first of `tiers` that holds, found by trying on environments made for it; nothing else notices.

    An environment that raises is BOUNDARY: training will meet the error and can say where.
    """
    with frozen_rng(), warnings.catch_warnings(), suppress(Exception):
        warnings.simplefilter("ignore")
        for tier, why_not in trials(make, seed_for, sample_action, tiers):
            if not why_not:
                return tier
    return Tier.BOUNDARY
