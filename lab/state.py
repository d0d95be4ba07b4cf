"""Declared state: a class lists the attributes that change, and saving follows from the list."""

import copy
import random
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, ClassVar

import numpy as np
import torch


class Saved:
    """An object whose changing attributes are named once, in `saved`."""

    saved: ClassVar[tuple[str, ...]] = ()

    def state_dict(self) -> dict[str, Any]:
        return {name: pack(getattr(self, name)) for name in self.saved}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Raises KeyError where both name different attributes, ValueError where a tensor does not fit."""
        if odd := set(self.saved) ^ set(state):
            raise KeyError(f"{type(self).__name__}: checkpoint and code disagree on {sorted(odd)}")
        for name in self.saved:
            try:
                setattr(self, name, unpack(getattr(self, name), state[name]))
            except ValueError as error:
                raise ValueError(f"{type(self).__name__}.{name}: {error}") from error


def pack(value: Any) -> Any:
    """Plain data: tensors, arrays, numbers, strings and containers of them."""
    if isinstance(value, torch.Generator):
        return value.get_state()
    if isinstance(value, np.random.Generator):
        return value.bit_generator.state
    if hasattr(value, "state_dict"):
        return value.state_dict()
    if isinstance(value, dict):
        return {key: pack(item) for key, item in value.items()}
    if isinstance(value, list) and value and isinstance(value[0], Saved):
        return [pack(item) for item in value]
    return value


def unpack(old: Any, new: Any) -> Any:
    """Restore in place where identity matters: an optimizer, a view or a captured graph holds on to its tensors.

    Raises ValueError for a tensor of another shape or type; one that grows is empty in a new object.
    """
    if isinstance(old, torch.Generator):
        old.set_state(new)
        return old
    if isinstance(old, np.random.Generator):
        old.bit_generator.state = new
        return old
    if hasattr(old, "load_state_dict"):
        old.load_state_dict(new)
        return old
    if isinstance(old, dict) and isinstance(new, dict) and old.keys() == new.keys():
        return {key: unpack(old[key], new[key]) for key in new}
    if isinstance(old, list) and old and isinstance(old[0], Saved) and len(old) == len(new):
        return [unpack(*pair) for pair in zip(old, new, strict=True)]
    if isinstance(old, torch.Tensor) and old.shape == new.shape and old.dtype == new.dtype:
        old.data.copy_(new)
        return old
    if isinstance(old, torch.Tensor) and isinstance(new, torch.Tensor):
        if old.numel():
            was, now = (f"{list(t.shape)} {t.dtype}" for t in (new, old))
            raise ValueError(f"the checkpoint has {was}, this run {now}")
        return new.to(old.device, copy=True)
    return copy.deepcopy(new)


def seed_globals(seed: int) -> None:
    """Plugins draw from `compute.rng(name)`; this is for the code of others, and for initial weights."""
    random.seed(seed)
    np.random.seed(seed % 2**32)
    torch.manual_seed(seed)


def rng_state() -> dict[str, Any]:
    """Every global generator, as plain data."""
    numpy = np.random.get_state(legacy=False)
    return {
        "python": random.getstate(),
        "numpy": numpy,
        "torch": torch.get_rng_state(),
        "cuda": torch.cuda.get_rng_state_all() if torch.cuda.is_available() else [],
    }


def set_rng_state(state: Mapping[str, Any]) -> None:
    random.setstate(state["python"])
    np.random.set_state(state["numpy"])
    torch.set_rng_state(state["torch"])
    if state["cuda"] and torch.cuda.is_available():
        torch.cuda.set_rng_state_all(state["cuda"])


@contextmanager
def frozen_rng() -> Iterator[None]:
    """Whatever draws inside, training continues as though it had not."""
    before = rng_state()
    try:
        yield
    finally:
        set_rng_state(before)
