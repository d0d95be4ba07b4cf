"""What the attributes of an object hold, as plain data, and back into another object of its kind. No pickle.

    state = Encoder().encode(env)                # nested dicts, lists, numbers, strings and arrays
    Decoder().decode(state, new_env, "env")      # the objects of new_env stay who they are; what they hold is replaced

Functions, windows and the objects of most C libraries are left out; whether an environment then goes on as it would
have, `lab.env_state.probe` tries. Names in the data never choose code: only an object that is there can be filled.
"""

import copy
import sys
from collections import deque
from collections.abc import Callable
from enum import Enum
from types import MemberDescriptorType, SimpleNamespace
from typing import Any, NamedTuple

import numpy as np
from gymnasium import Space

from .env_holders import HOLDERS, short
from .errors import ResumeError

PLAIN = (type(None), bool, int, float, str)
MISSING: Any = object()                                   # the new environment has nothing in this place
LEFT_OUT = {"type": "left out"}
NOT_STATE = sys.stdlib_module_names | {"Box2D", "OpenGL", "glfw", "matplotlib", "mujoco", "numpy", "pygame", "torch"}
CONSTANTS = {"spec", "_cached_spec", "_saved_kwargs", "_ezpickle_args", "_ezpickle_kwargs", "mujoco_renderer", "P"}
OF_SPACE = {"_np_random", "spaces", "feature_space", "stacked_feature_space", "node_space", "edge_space"}
MUTABLE: dict[str, Callable[[Any], Any]] = {
    "builtins.list": lambda node: [], "builtins.dict": lambda node: {}, "builtins.set": lambda node: set(),
    "collections.deque": lambda node: deque(maxlen=node["maxlen"])}


class Encoder:
    """One pass over an object; what is met twice is written once."""

    def __init__(self) -> None:
        self.seen: dict[int, tuple[int, Any]] = {}        # id() -> number, and the object, so that its id stays its own

    def encode(self, value: Any) -> Any:
        if type(value) in PLAIN:
            return value
        if id(value) in self.seen:
            return {"type": "shared", "id": self.seen[id(value)][0]}
        for kind, codec in CODECS.items():
            if codec.owns(value):
                number = len(self.seen)
                self.seen[id(value)] = number, value
                return {"type": kind, "class": class_of(value), "id": number, **codec.read(value, self)}
        return LEFT_OUT


class Decoder:
    """One pass over a state, beside the object that it fills."""

    def __init__(self) -> None:
        self.made: dict[int, Any] = {}                    # number -> what came of it
        self.path: list[str] = []

    def decode(self, node: Any, target: Any, name: str) -> Any:
        """The new value for a place that holds `target`. Raises ResumeError where an object has no place."""
        if not isinstance(node, dict):
            return node
        if node["type"] == "shared":
            return self.made[node["id"]]
        self.path.append(name)
        if node == LEFT_OUT:
            value = self.misfit("something that cannot be saved", target) if target is MISSING else target
        else:
            value = self.made[node["id"]] = CODECS[node["type"]].write(node, target, self)
        self.path.pop()
        return value

    def fit(self, node: dict[str, Any], target: Any) -> Any:
        return target if class_of(target) == node["class"] else self.misfit(node["class"], target)

    def misfit(self, saved: str, target: Any) -> Any:
        here = "nothing" if target is MISSING else class_of(target)
        raise ResumeError(f"the environment cannot be put back: {'.'.join(self.path)} was {saved} and is {here} in a "
                          "new one. Resume with the versions that saved it; run.json lists them")


def class_of(value: Any) -> str:
    return f"{getattr(type(value), '__module__', 'builtins')}.{type(value).__qualname__}"    # SWIG's have none


def is_array(value: Any) -> bool:
    """Or one number of numpy, of a kind that a checkpoint can store."""
    known = type(value) is np.ndarray or isinstance(value, np.generic)
    return known and value.dtype.kind in "biuf" and value.dtype.itemsize <= 8


def write_array(node: dict[str, Any], target: Any, decoder: Decoder) -> Any:
    return node["data"].copy() if node["class"] == "numpy.ndarray" else node["data"][()]


def read_items(value: Any, encoder: Encoder) -> dict[str, Any]:
    return {"items": [encoder.encode(item) for item in value], "maxlen": getattr(value, "maxlen", None)}


def items(node: dict[str, Any], target: Any, decoder: Decoder) -> list[Any]:
    old = list(target) if isinstance(target, list | tuple | deque) else []
    old += [MISSING] * (len(node["items"]) - len(old))
    return [decoder.decode(item, old[i], str(i)) for i, item in enumerate(node["items"])]


def write_fixed(node: dict[str, Any], target: Any, decoder: Decoder) -> Any:
    values = items(node, target, decoder)
    if node["class"] in ("builtins.tuple", "builtins.frozenset"):
        return tuple(values) if node["class"].endswith("tuple") else frozenset(values)
    return type(decoder.fit(node, target))(*values)       # a named tuple


def container(node: dict[str, Any], target: Any, decoder: Decoder) -> Any:
    """An empty one, known before its items are made: they may hold it. A defaultdict keeps its default."""
    new = MUTABLE[node["class"]](node) if node["class"] in MUTABLE else copy.copy(decoder.fit(node, target))
    new.clear()
    decoder.made[node["id"]] = new
    return new


def write_items(node: dict[str, Any], target: Any, decoder: Decoder) -> Any:
    new = container(node, target, decoder)
    (new.update if isinstance(new, set) else new.extend)(items(node, target, decoder))
    return new


def read_dict(value: Any, encoder: Encoder) -> dict[str, Any]:
    return {"keys": [encoder.encode(key) for key in value], "items": [encoder.encode(item) for item in value.values()]}


def write_dict(node: dict[str, Any], target: Any, decoder: Decoder) -> Any:
    new, old = container(node, target, decoder), target if isinstance(target, dict) else {}
    for key_node, item in zip(node["keys"], node["items"], strict=True):
        key = decoder.decode(key_node, MISSING, "key")
        new[key] = decoder.decode(item, old.get(key, MISSING), str(key))
    return new


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
    nodes = {name: encoder.encode(item) for name, item in attributes(value).items()}
    return {"attributes": {name: node for name, node in nodes.items() if node is not LEFT_OUT}}


def write_object(node: dict[str, Any], target: Any, decoder: Decoder) -> Any:
    target = decoder.fit(node, target)
    if getattr(getattr(target, "__dataclass_params__", None), "frozen", False):
        target = copy.copy(target)                        # others may hold it as a constant
    decoder.made[node["id"]] = target
    old = attributes(target)
    for name, child in node["attributes"].items():
        value = decoder.decode(child, old.get(name, MISSING), name)
        if isinstance(getattr(type(target), name, None), MemberDescriptorType):
            object.__setattr__(target, name, value)       # a slot
        else:
            vars(target)[name] = value
    return target


def write_holder(node: dict[str, Any], target: Any, decoder: Decoder) -> Any:
    """In place where one is there, since a closure may hold it too."""
    kind = HOLDERS[short(node["class"])]
    if class_of(target) != node["class"]:
        target = kind.new(node["state"]) if kind.new else decoder.misfit(node["class"], target)
    kind.set(target, node["state"])
    return target


class Codec(NamedTuple):
    owns: Callable[[Any], bool]
    read: Callable[[Any, Encoder], dict[str, Any]]
    write: Callable[[dict[str, Any], Any, Decoder], Any]


CODECS = {     # the first that owns a value writes it
    "array": Codec(is_array, lambda v, _: {"data": np.array(v, order="C")}, write_array),
    "enum": Codec(lambda v: isinstance(v, Enum), lambda v, encoder: {"value": encoder.encode(v.value)},
                  lambda node, old, into: type(into.fit(node, old))(into.decode(node["value"], MISSING, "value"))),
    "fixed": Codec(lambda v: isinstance(v, tuple | frozenset), read_items, write_fixed),
    "items": Codec(lambda v: isinstance(v, list | set | deque), read_items, write_items),
    "dict": Codec(lambda v: isinstance(v, dict), read_dict, write_dict),
    "holder": Codec(lambda v: short(class_of(v)) in HOLDERS,
                    lambda v, _: {"state": HOLDERS[short(class_of(v))].get(v)}, write_holder),
    "object": Codec(is_object, read_object, write_object),
}
