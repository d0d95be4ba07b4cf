"""What the attributes of an object hold, as plain data. No pickle. `lab.env_decoder` puts it into another of its kind.

    state = encoded(env)                         # nested dicts, lists, numbers, strings and arrays

Functions, windows and the objects of most C libraries are left out; `lab.env_twin` compares them with those of a new
environment. What is known not to come back is refused: it may matter long after `lab.env_state.probe` has tried.
"""

import sys
from array import array
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from enum import Enum
from functools import partial
from itertools import pairwise
from types import FunctionType, SimpleNamespace
from typing import Any, NamedTuple
from weakref import ref

import numpy as np
from gymnasium import Space

from .env_holders import HOLDERS, CannotSave, class_of, short

PLAIN = (type(None), bool, int, float, str)
LEFT_OUT = {"type": "left out"}
NOT_STATE = {"Box2D", "OpenGL", "glfw", "matplotlib", "mujoco", "numpy", "pygame", "torch"}
NOT_STATE |= sys.stdlib_module_names - {"queue"}
CONSTANTS = {"spec", "_cached_spec", "_saved_kwargs", "_ezpickle_args", "_ezpickle_kwargs", "mujoco_renderer", "P"}
OF_SPACE = {"_np_random", "spaces", "feature_space", "stacked_feature_space", "node_space", "edge_space"}
REMADE = {"numpy.ndarray", "builtins.list", "builtins.dict", "builtins.set", "collections.deque"}
DEEP = 100                                                # levels; JSON has six for one of them, and ends near 1000
BITS = 10_000                                             # of an integer; Python reads some more from text
MAX_BYTES = 64 * 2**20                                    # in one environment; with more it holds a dataset
byte_bounds: Any = getattr(np, "byte_bounds", None) or np.lib.array_utils.byte_bounds      # of numpy 1 and 2


def encoded(value: Any) -> Any:
    """The state of an object. Raises CannotSave where it is known that it would not all come back, and whatever the
    object raises.
    """
    return Encoder().encoded(value, "env")


def nbytes(node: Any) -> int:
    """About what a state takes in a checkpoint."""
    if isinstance(node, dict | list | tuple):
        return sum(map(nbytes, node.values() if isinstance(node, dict) else node))
    return node.nbytes if isinstance(node, np.ndarray) else 8


class Encoder:
    """One pass over an object; what is met twice is written once."""

    def __init__(self) -> None:
        self.seen: dict[int, tuple[int, Any]] = {}        # id() -> number, and the object, so that its id stays its own
        self.path: list[str] = []
        self.left: dict[str, Any] = {}                    # path -> what is left out
        self.remade: set[int] = set()                     # id() of what the other object will have a new one of
        self.arrays: list[tuple[int, int, str]] = []      # where in memory they begin and end
        self.held: list[tuple[str, Any]] = []             # what functions hold

    def encoded(self, value: Any, name: str) -> Any:
        """All of it; see `encoded`."""
        state = self.encode(value, name)
        self.check()
        if nbytes(state) > MAX_BYTES:
            raise CannotSave(f"{name} holds more than {MAX_BYTES:,} bytes, too much for every checkpoint")
        return state

    def encode(self, value: Any, name: str) -> Any:
        if type(value) is int and value.bit_length() > BITS:
            raise CannotSave(f"{'.'.join(self.path)}.{name} is an integer of {value.bit_length():,} bits")
        if type(value) in PLAIN:
            return value
        if id(value) in self.seen:
            return {"type": "shared", "id": self.seen[id(value)][0]}
        if len(self.path) == DEEP:
            raise CannotSave(f"{'.'.join(self.path[:8])}... is nested more than {DEEP} deep")
        self.path.append(name)
        kind = kind_of(value)
        node = self.node(kind, value) if kind else self.left_out(value)
        self.path.pop()
        return node

    def node(self, kind: str, value: Any) -> dict[str, Any]:
        number, name, path = len(self.seen), class_of(value), ".".join(self.path)
        self.seen[id(value)] = number, value
        if name in REMADE:
            self.remade.add(id(value))
        if name == "numpy.ndarray" and value.size:
            self.arrays.append((*byte_bounds(value), path))
        return {"type": kind, "class": name, "id": number, **KINDS[kind].read(value, self)}

    def left_out(self, value: Any) -> dict[str, Any]:
        path, objects = ".".join(self.path), isinstance(value, np.ndarray) and value.dtype.hasobject
        if hasattr(value, "__next__") or objects or isinstance(value, bytearray | array):
            raise CannotSave(f"{path} is {class_of(value)}{' of objects' * objects}, which cannot be saved")
        self.held += [(path, each) for each in holds(value)]
        self.left[path] = value
        return LEFT_OUT

    def check(self) -> None:
        """Raises CannotSave where two places share what in another object will be two things."""
        for path, value in self.held:
            if id(value) in self.remade or hasattr(value, "__next__"):
                raise CannotSave(f"{path} holds a {class_of(value)}, and a new one would hold another")
        for (_, end, one), (begin, _, other) in pairwise(sorted(self.arrays)):
            if begin < end:
                raise CannotSave(f"{one} and {other} share their memory")


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


def kind_of(value: Any) -> str:
    """What writes it; "" for what is left out."""
    return next((kind for kind, each in KINDS.items() if each.owns(value)), "")


def is_state(value: Any) -> bool:
    """Whether it is written, and not left out."""
    return type(value) in PLAIN or bool(kind_of(value))


def is_array(value: Any) -> bool:
    """Or one number of numpy, of a kind that a checkpoint can store."""
    known = type(value) is np.ndarray or isinstance(value, np.generic)
    return known and value.dtype.kind in "biuf" and value.dtype.itemsize <= 8 and value.dtype.isnative


def read_items(value: Any, encoder: Encoder) -> dict[str, Any]:
    return {"items": [encoder.encode(item, str(i)) for i, item in enumerate(value)],
            "maxlen": getattr(value, "maxlen", None)}


def read_dict(value: Any, encoder: Encoder) -> dict[str, Any]:
    return {"keys": [encoder.encode(key, "key") for key in value],
            "items": [encoder.encode(item, str(key)) for key, item in value.items()]}


def attributes(value: Any) -> dict[str, Any]:
    """Those in __dict__ and __slots__; of a space, only its generators."""
    state = object.__getstate__(value)                    # None, the dict, or (the dict or None, the slots)
    parts = state if isinstance(state, tuple) else (state,)
    found = {name: item for part in parts for name, item in (part or {}).items() if name not in CONSTANTS}
    return {name: item for name, item in found.items() if name in OF_SPACE} if isinstance(value, Space) else found


def is_object(value: Any) -> bool:
    """Not of the standard library: threads, sockets and functions are no state."""
    package, _ = short(class_of(value))
    return isinstance(value, SimpleNamespace) or (package not in NOT_STATE and not isinstance(value, type))


def read_object(value: Any, encoder: Encoder) -> dict[str, Any]:
    nodes = {name: encoder.encode(item, name) for name, item in attributes(value).items()}
    return {"attributes": {name: node for name, node in nodes.items() if node is not LEFT_OUT},
            "left": [name for name, node in nodes.items() if node is LEFT_OUT]}


def read_holder(value: Any, encoder: Encoder) -> dict[str, Any]:
    try:
        return {"state": HOLDERS[short(class_of(value))].get(value)}
    except CannotSave as error:
        raise CannotSave(f"{'.'.join(encoder.path)} {error}") from None


class Kind(NamedTuple):
    owns: Callable[[Any], bool]
    read: Callable[[Any, Encoder], dict[str, Any]]


KINDS = {     # the first that owns a value writes it
    "array": Kind(is_array, lambda v, _: {"data": np.array(v, order="C")}),
    "enum": Kind(lambda v: isinstance(v, Enum), lambda v, encoder: {"value": encoder.encode(v.value, "value")}),
    "fixed": Kind(lambda v: isinstance(v, tuple | frozenset), read_items),
    "items": Kind(lambda v: isinstance(v, list | set | deque), read_items),
    "dict": Kind(lambda v: isinstance(v, dict), read_dict),
    "holder": Kind(lambda v: short(class_of(v)) in HOLDERS, read_holder),
    "object": Kind(is_object, read_object),
}
