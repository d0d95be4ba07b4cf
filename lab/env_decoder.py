"""What `lab.env_encoder` wrote of an object, back into another object of its kind.

    Decoder().decode(state, new_env, "env")      # the objects of new_env stay who they are; what they hold is replaced

Names in the data never choose code: only an object that is there can be filled.
"""

import copy
from collections import deque
from collections.abc import Callable
from types import MemberDescriptorType
from typing import Any

from .env_arrays import write_array
from .env_encoder import LEFT_OUT, attributes
from .env_holders import HOLDERS, class_of, holder, short, where
from .errors import ResumeError

MISSING: Any = object()                                   # the new environment has nothing in this place
MUTABLE: dict[str, Callable[[Any], Any]] = {
    "builtins.list": lambda node: [], "builtins.dict": lambda node: {}, "builtins.set": lambda node: set(),
    "collections.deque": lambda node: deque(maxlen=node["maxlen"])}


class Decoder:
    """One pass over a state, beside the object that it fills."""

    def __init__(self) -> None:
        self.made: dict[int, Any] = {}                    # number -> what came of it
        self.filled: dict[int, Any] = {}                  # id() -> an object of the new environment that has its state
        self.path: list[Any] = []                         # names, indices and keys
        self.left: dict[str, Any] = {}                    # path -> what stays, since the state leaves it out

    def decode(self, node: Any, target: Any, name: Any) -> Any:
        """The new value for a place that holds `target`. Raises ResumeError where an object has no place."""
        if not isinstance(node, dict):
            return node
        if node["type"] == "shared":
            return self.made[node["id"]]
        self.path.append(name)
        if node == LEFT_OUT:
            value = self.misfit("something that cannot be saved", target) if target is MISSING else target
            self.stays(value)
        else:
            value = self.made[node["id"]] = WRITERS[node["type"]](node, target, self)
            if "attributes" in node:
                fill(value, node, self)
        self.path.pop()
        return value

    def stays(self, value: Any, *name: str) -> None:
        self.left[where([*self.path, *name])] = value

    def fit(self, node: dict[str, Any], target: Any) -> Any:
        return target if class_of(target) == node["class"] else self.misfit(node["class"], target)

    def misfit(self, saved: str, target: Any) -> Any:
        here = "nothing" if target is MISSING else class_of(target)
        raise ResumeError(f"{where(self.path)} was {saved} and is {here} in a new one")


def items(node: dict[str, Any], target: Any, decoder: Decoder) -> list[Any]:
    old = list(target) if isinstance(target, list | tuple | deque) else []
    old += [MISSING] * (len(node["items"]) - len(old))
    return [decoder.decode(item, old[i], i) for i, item in enumerate(node["items"])]


def write_fixed(node: dict[str, Any], target: Any, decoder: Decoder) -> Any:
    values = items(node, target, decoder)
    if node["class"] in ("builtins.tuple", "builtins.frozenset"):
        return tuple(values) if node["class"].endswith("tuple") else frozenset(values)
    kind = type(decoder.fit(node, target))
    return getattr(kind, "_make", kind)(values)           # named tuples have one


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


def write_dict(node: dict[str, Any], target: Any, decoder: Decoder) -> Any:
    new, old = container(node, target, decoder), target if isinstance(target, dict) else {}
    for key_node, item in zip(node["keys"], node["items"], strict=True):
        key = decoder.decode(key_node, MISSING, "key")
        new[key] = decoder.decode(item, old.get(key, MISSING), key)
    return new


def write_object(node: dict[str, Any], target: Any, decoder: Decoder) -> Any:
    target = decoder.fit(node, target)
    frozen = getattr(getattr(target, "__dataclass_params__", None), "frozen", False)
    if frozen or id(target) in decoder.filled:            # others hold it, as a constant or with a state of its own
        target = copy.copy(target)
    decoder.filled[id(target)] = target
    return target


def fill(target: Any, node: dict[str, Any], decoder: Decoder) -> None:
    old = attributes(target)
    for name in node["left"]:
        decoder.stays(old.get(name, MISSING), name)
    for name, child in node["attributes"].items():
        put(target, name, decoder.decode(child, old.get(name, MISSING), name))
    for name in old.keys() - node["attributes"].keys() - set(node["left"]):
        remove(target, name)


def put(target: Any, name: str, value: Any) -> None:
    if is_slot(target, name):
        object.__setattr__(target, name, value)
    else:
        vars(target)[name] = value


def remove(target: Any, name: str) -> None:
    if is_slot(target, name):
        object.__delattr__(target, name)
    else:
        del vars(target)[name]


def is_slot(target: Any, name: str) -> bool:
    return isinstance(getattr(type(target), name, None), MemberDescriptorType)


def write_enum(node: dict[str, Any], target: Any, decoder: Decoder) -> Any:
    return type(decoder.fit(node, target))(decoder.decode(node["value"], MISSING, "value"))


def write_holder(node: dict[str, Any], target: Any, decoder: Decoder) -> Any:
    """In place where one is there and takes it, since a closure may hold it too."""
    kind = HOLDERS.get(short(node["class"])) or holder(decoder.fit(node, target))
    if kind is None:
        return decoder.misfit(node["class"], target)
    if kind.set is None:
        return kind.new(node["state"]) if kind.new else decoder.misfit(node["class"], target)
    if class_of(target) != node["class"] or id(target) in decoder.filled:
        target = kind.new(node["state"]) if kind.new else decoder.misfit(node["class"], target)
    decoder.filled[id(target)] = target
    kind.set(target, node["state"])
    return target


WRITERS: dict[str, Callable[[Any, Any, Decoder], Any]] = {
    "array": lambda node, target, decoder: write_array(node), "enum": write_enum, "fixed": write_fixed,
    "items": write_items, "dict": write_dict, "holder": write_holder, "object": write_object}
