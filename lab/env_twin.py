"""An environment is saved where another one, its twin, takes what is saved and has the same of what is left out.

A function that stands for another by now, a tensor or a bound method's object are no plain data: what the new
environment has in their place must be the same. Windows, locks and the like cannot be compared, and are not.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import partial
from types import FunctionType, MethodType
from typing import Any
from weakref import ref

from .env_decoder import MISSING, Decoder
from .env_encoder import Encoder, is_iterator, is_state
from .env_encoder import attributes as attributes_of
from .env_holders import CannotSave, class_of
from .env_walk import Env, same

IMMUTABLE = (type(None), bool, int, float, str, bytes, complex, tuple, frozenset)
IDENTITY: Any = object.__eq__


@contextmanager
def spare(make: Callable[[], Env]) -> Iterator[Env]:
    """An environment for as long as it is needed."""
    env = make()
    try:
        yield env
    finally:
        with suppress(Exception):
            env.close()


def attributes(env: Env, twin: Env, seed: int) -> dict[str, Any]:
    """The state of `env`, whose episode began with `seed`, tried on `twin`, which is reset and takes it.

    Raises CannotSave or ResumeError where it would not all come back, and whatever the environments raise.
    """
    encoder, decoder = Encoder(), Decoder()
    state = encoder.encoded(env, "env")
    twin.reset(seed=seed)                                 # many environments make their objects there
    decoder.decode(state, twin, "env")
    twins = Twins(encoder, decoder)
    for path, value in encoder.left.items():
        if not twins.alike(value, decoder.left.get(path, MISSING)):
            name = getattr(value, "__qualname__", class_of(value))
            raise CannotSave(f"{path} is {name}, which cannot be saved, and that of a new one is not the same")
    return dict(state)


class Twins:
    """Whether what one environment has, and its state leaves out, is what another has that took this state."""

    def __init__(self, encoder: Encoder, decoder: Decoder):
        self.seen, self.made = encoder.seen, decoder.made
        self.known: dict[tuple[int, int], Any] = {}       # id() of two that are compared already; they stay alive

    def alike(self, was: Any, now: Any) -> bool:
        """Raises CannotSave where that cannot be known."""
        if was is now or (id(was), id(now)) in self.known or not comparable(was):
            return True
        self.known[id(was), id(now)] = was, now
        if class_of(was) != class_of(now) or is_iterator(was):
            return False
        if id(was) in self.seen and not isinstance(was, IMMUTABLE):
            return self.made.get(self.seen[id(was)][0]) is now
        if is_state(was):
            return same(Encoder().encoded(was, class_of(was)), Encoder().encoded(now, class_of(now)))
        return self.function(was, now) if callable(was) else equal(was, now)

    def function(self, was: Any, now: Any) -> bool:
        """The same code, and alike in what it keeps."""
        kept, keeps = holds(was), holds(now)
        return code(was) == code(now) and len(kept) == len(keeps) and all(map(self.alike, kept, keeps))


def comparable(value: Any) -> bool:
    """Not a lock, a window or another object that is equal to nothing but itself."""
    return is_state(value) or is_iterator(value) or callable(value) or type(value).__eq__ is not IDENTITY


def code(function: Any) -> Any:
    """What a function does, or what a class is called."""
    if isinstance(function, partial):
        return code(function.func)
    if isinstance(function, MethodType):
        return code(function.__func__)
    if isinstance(function, FunctionType):
        return function.__code__
    return getattr(function, "__module__", None), getattr(function, "__qualname__", None)


def holds(function: Any) -> list[Any]:
    """What a function, a method or a weak reference keeps from where it was made."""
    if isinstance(function, partial):
        return [*function.args, *function.keywords.values(), *holds(function.func)]
    if isinstance(function, ref):
        return [function()]
    if hasattr(function, "__self__"):                     # a method
        return [function.__self__, *holds(getattr(function, "__func__", None))]
    if not isinstance(function, FunctionType):
        return []
    found = [*(function.__defaults__ or ()), *(function.__kwdefaults__ or {}).values()]
    for cell in function.__closure__ or ():
        with suppress(ValueError):                        # an empty one
            found.append(cell.cell_contents)
    return found


def equal(was: Any, now: Any) -> bool:
    with suppress(Exception):
        return same(was, now) and same(attributes_of(was), attributes_of(now))
    return False
