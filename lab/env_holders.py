"""Things that hand out their state and take it back, or are made of it: generators, values, simulators in C."""

import random
import sys
from collections.abc import Callable, Iterable
from decimal import Decimal
from fractions import Fraction
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.random import Generator, RandomState, SeedSequence

from .errors import ResumeError

BITS: dict[str, Any] = {name: getattr(np.random, name) for name in ("PCG64", "PCG64DXSM", "MT19937", "Philox", "SFC64")}


class CannotSave(Exception):
    """What an object holds would not come back from plain data."""


class Holder(NamedTuple):
    get: Callable[[Any], Any]                             # -> plain data
    set: Callable[[Any, Any], Any] | None                 # into one that is there; None: a new one is made each time
    new: Callable[[Any], Any] | None = None               # from plain data; None: only one that is there can be filled


def get_mujoco(data: Any) -> Any:
    """All that the next `mj_step` depends on, float64 [S]."""
    mujoco, kind = sys.modules["mujoco"], sys.modules["mujoco"].mjtState.mjSTATE_INTEGRATION
    state = np.empty(mujoco.mj_stateSize(data.model, kind))
    mujoco.mj_getState(data.model, data, state, kind)
    return state


def set_mujoco(data: Any, state: Any) -> None:
    mujoco = sys.modules["mujoco"]
    mujoco.mj_setState(data.model, data, state, mujoco.mjtState.mjSTATE_INTEGRATION)


def get_ale(ale: Any) -> Any:
    """uint8 [bytes] with the generator, which `cloneState` leaves out unless asked; None with sticky actions.

    Its states do not hold the action that a sticky one repeats (Machado et al. 2018, section 5.2).
    """
    sticky = ale.getFloat("repeat_action_probability") > 0
    return None if sticky else np.frombuffer(ale.cloneState(include_rng=True).serialize(), np.uint8).copy()


def set_ale(ale: Any, state: Any) -> None:
    if state is None:
        raise ResumeError("a game of Atari with sticky actions can be played again, but not put back")
    ale.restoreState(sys.modules["ale_py"].ALEState(state.tobytes()))


def get_generator(rng: Any) -> Any:
    """Raises CannotSave where it has spawned others: how many decides over the next, and is no part of its state."""
    if getattr(rng.bit_generator.seed_seq, "n_children_spawned", 0):
        raise CannotSave("has spawned other generators, whose number cannot be put back")
    return rng.bit_generator.state


def set_generator(rng: Any, state: Any) -> None:
    rng.bit_generator.state = state


HOLDERS = {    # (package, class); the packages of C libraries are loaded where there is such an object
    ("numpy", "Generator"): Holder(get_generator, set_generator,
                                   lambda state: Generator(BITS[state["bit_generator"]]())),
    ("numpy", "RandomState"): Holder(lambda rng: rng.get_state(legacy=False), lambda rng, state: rng.set_state(state),
                                     lambda state: RandomState(BITS[state["bit_generator"]]())),
    ("random", "Random"): Holder(random.Random.getstate, random.Random.setstate, lambda state: random.Random()),
    ("numpy", "SeedSequence"): Holder(lambda seeds: seeds.state, None, lambda state: SeedSequence(**state)),
    ("builtins", "bytes"): Holder(lambda v: np.frombuffer(v, np.uint8), None, lambda state: state.tobytes()),
    ("builtins", "complex"): Holder(lambda v: [v.real, v.imag], None, lambda state: complex(*state)),
    ("fractions", "Fraction"): Holder(str, None, Fraction),
    ("decimal", "Decimal"): Holder(str, None, Decimal),
    ("pathlib", "PosixPath"): Holder(str, None, Path),
    ("mujoco", "MjData"): Holder(get_mujoco, set_mujoco),
    ("ale_py", "ALEInterface"): Holder(get_ale, set_ale),
}


def holder(value: Any) -> Holder | None:
    """Of its class or of one that this is made from."""
    kind: Any = type(value)
    return holder_of(kind)


@cache
def holder_of(kind: Any) -> Holder | None:
    """Of a class that is made from another no new one is made: who knows what else it holds."""
    found = [HOLDERS.get(short(name(each))) for each in kind.__mro__]
    own, base = found[0], next(filter(None, found), None)
    return own or (base._replace(new=None) if base and base.set else None)


def short(full: str) -> tuple[str, str]:
    """Of "package.module.Class": packages move their classes between private modules."""
    return full.partition(".")[0], full.rpartition(".")[2]


def class_of(value: Any) -> str:
    return name(type(value))


def name(kind: type) -> str:
    return f"{getattr(kind, '__module__', 'builtins')}.{kind.__qualname__}"                  # SWIG's have none


def where(path: Iterable[Any]) -> str:
    """The place of an object: "env.players.0"."""
    return ".".join(map(str, path))
