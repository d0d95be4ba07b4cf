"""What the attributes of an object hold, as plain data. No pickle. `lab.env_decoder` puts it into another of its kind.

    state = encoded(env)                         # nested dicts, lists, numbers, strings and arrays

Functions, windows and the objects of most C libraries are left out; `lab.env_twin` compares them with those of a new
environment. What is known not to come back is refused: it may matter long after `lab.env_state.probe` has tried.
"""

import sys
from array import array
from collections import deque
from collections.abc import Callable
from enum import Enum
from io import IOBase
from operator import is_not
from types import SimpleNamespace
from typing import Any, NamedTuple, cast

import numpy as np
from gymnasium import Space

from .env_arrays import is_array, read_array, sharing
from .env_holders import CannotSave, Holder, class_of, holder, short, where

PLAIN = (type(None), bool, int, float, str)
LEFT_OUT = {"type": "left out"}
NOT_STATE = {"Box2D", "OpenGL", "glfw", "matplotlib", "mujoco", "numpy", "pygame", "torch"}
NOT_STATE |= sys.stdlib_module_names - {"queue"}
CONSTANTS = {"spec", "_cached_spec", "_saved_kwargs", "_ezpickle_args", "_ezpickle_kwargs", "mujoco_renderer", "P"}
OF_SPACE = {"_np_random", "spaces", "feature_space", "stacked_feature_space", "node_space", "edge_space"}
SUBCLASSED = ("fixed", "items", "dict", "holder")         # classes of its own that an environment makes from these
VALUES = (int, float, complex, str, bytes, np.ndarray, np.generic)
DEEP = 100                                                # levels; JSON has six for one of them, and ends near 1000
INTEGER_BITS = 10_000                                     # of an integer; Python reads some more from text
MAX_BYTES = 64 * 2**20                                    # in one environment; with more it holds a dataset


def encoded(value: Any) -> Any:
    """The state of an object. Raises CannotSave where it is known that it would not all come back, and whatever the
    object raises.
    """
    return Encoder().encoded(value, "env")


class Encoder:
    """One pass over an object; what is met twice is written once."""

    def __init__(self) -> None:
        self.seen: dict[int, tuple[int, Any]] = {}        # id() -> number, and the object, so that its id stays its own
        self.path: list[Any] = []                         # names, indices and keys
        self.left: dict[str, Any] = {}                    # path -> what is left out
        self.arrays: list[tuple[Any, np.ndarray]] = []    # each with its path
        self.bytes = 0                                    # about what it takes in a checkpoint

    def encoded(self, value: Any, name: str) -> Any:
        """All of it; see `encoded`."""
        state = self.encode(value, name)
        for one, other in sharing(self.arrays):
            raise CannotSave(f"{where(one)} and {where(other)} share their memory")
        if self.bytes > MAX_BYTES:
            raise CannotSave(f"{name} holds more than {MAX_BYTES:,} bytes, too much for every checkpoint")
        return state

    def encode(self, value: Any, name: Any) -> Any:
        self.bytes += 8
        if type(value) is int and value.bit_length() > INTEGER_BITS:
            raise CannotSave(f"{where([*self.path, name])} is an integer of {value.bit_length():,} bits")
        if type(value) in PLAIN:
            return value
        if id(value) in self.seen:
            return {"type": "shared", "id": self.seen[id(value)][0]}
        if len(self.path) == DEEP:
            raise CannotSave(f"{where(self.path[:8])}... is nested more than {DEEP} deep")
        self.path.append(name)
        kind = kind_of(value)
        node = self.node(kind, value) if kind else self.left_out(value)
        self.path.pop()
        return node

    def node(self, kind: str, value: Any) -> dict[str, Any]:
        number, name = len(self.seen), class_of(value)
        self.seen[id(value)] = number, value
        if kind == "array" or name == "builtins.bytes":
            self.bytes += value.nbytes if kind == "array" else len(value)
        if name == "numpy.ndarray" and value.size:
            self.arrays.append((tuple(self.path), value))
        node = {"type": kind, "class": name, "id": number, **KINDS[kind].read(value, self)}
        if kind in SUBCLASSED and short(name)[0] not in NOT_STATE:
            node |= read_object(value, self)
        return node

    def left_out(self, value: Any) -> dict[str, Any]:
        path, objects = where(self.path), isinstance(value, np.ndarray) and value.dtype.hasobject
        if is_iterator(value) or objects or isinstance(value, bytearray | array):
            raise CannotSave(f"{path} is {class_of(value)}{' of objects' * objects}, which cannot be saved")
        self.left[path] = value
        return LEFT_OUT


def is_iterator(value: Any) -> bool:
    """Not a file that nobody reads, such as a log."""
    written = isinstance(value, IOBase) and (value.closed or not value.readable())
    return hasattr(value, "__next__") and not written


def kind_of(value: Any) -> str:
    """What writes it; "" for what is left out."""
    return next((kind for kind, each in KINDS.items() if each.owns(value)), "")


def is_state(value: Any) -> bool:
    """Whether it is written, and not left out."""
    return type(value) in PLAIN or bool(kind_of(value))


def read_items(value: Any, encoder: Encoder) -> dict[str, Any]:
    """Raises CannotSave for a set that would be gone through in another order: what it held before is in it still."""
    if isinstance(value, set | frozenset) and any(map(is_not, value, set(list(value)))):
        raise CannotSave(f"{where(encoder.path)} is a set whose order would be another")
    return {"items": [encoder.encode(item, i) for i, item in enumerate(value)],
            "maxlen": getattr(value, "maxlen", None)}


def read_dict(value: Any, encoder: Encoder) -> dict[str, Any]:
    return {"keys": [encoder.encode(key, "key") for key in value],
            "items": [encoder.encode(item, key) for key, item in value.items()]}


def attributes(value: Any) -> dict[str, Any]:
    """Those in __dict__ and __slots__; of a space, only its generators."""
    state = object.__getstate__(value)                    # None, the dict, or (the dict or None, the slots)
    parts = state if isinstance(state, tuple) else (state,)
    found = {name: item for part in parts for name, item in (part or {}).items() if name not in CONSTANTS}
    return {name: item for name, item in found.items() if name in OF_SPACE} if isinstance(value, Space) else found


def is_object(value: Any) -> bool:
    """Not of the standard library: threads, sockets and functions are no state. Not more than its attributes."""
    package, _ = short(class_of(value))
    own = package not in NOT_STATE and not isinstance(value, (type, *VALUES))
    return own or isinstance(value, SimpleNamespace)


def read_object(value: Any, encoder: Encoder) -> dict[str, Any]:
    nodes = {name: encoder.encode(item, name) for name, item in attributes(value).items()}
    return {"attributes": {name: node for name, node in nodes.items() if node is not LEFT_OUT},
            "left": [name for name, node in nodes.items() if node is LEFT_OUT]}


def read_holder(value: Any, encoder: Encoder) -> dict[str, Any]:
    try:
        return {"state": cast(Holder, holder(value)).get(value)}
    except CannotSave as error:
        raise CannotSave(f"{where(encoder.path)} {error}") from None


class Kind(NamedTuple):
    owns: Callable[[Any], bool]
    read: Callable[[Any, Encoder], dict[str, Any]]


KINDS = {     # the first that owns a value writes it
    "array": Kind(is_array, lambda v, _: read_array(v)),
    "enum": Kind(lambda v: isinstance(v, Enum), lambda v, encoder: {"value": encoder.encode(v.value, "value")}),
    "fixed": Kind(lambda v: isinstance(v, tuple | frozenset), read_items),
    "items": Kind(lambda v: isinstance(v, list | set | deque), read_items),
    "dict": Kind(lambda v: isinstance(v, dict), read_dict),
    "holder": Kind(lambda v: holder(v) is not None, read_holder),
    "object": Kind(is_object, read_object),
}
