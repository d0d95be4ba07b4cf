"""The networks that an object holds."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from .state import Saved


def modules(part: object) -> dict[str, nn.Module]:
    """Every network in the attributes of `part`, in lists, dicts and Saved parts there; each once, by its path."""
    return dict(held(part, "", set()))


def held(value: Any, path: str, seen: set[int]) -> Iterator[tuple[str, nn.Module]]:
    if id(value) in seen:
        return
    seen.add(id(value))
    if isinstance(value, nn.Module):
        yield path, value
        return
    for name, item in items(value, top=not path):
        yield from held(item, f"{path}.{name}" if path else str(name), seen)


def items(value: Any, top: bool) -> list[tuple[Any, Any]]:
    if isinstance(value, dict):
        return list(value.items())
    if isinstance(value, list | tuple):
        return list(enumerate(value))
    return list(vars(value).items()) if top or isinstance(value, Saved) else []


def count_parameters(part: object) -> int:
    """Parameters that are learned in every network that `part` holds, each once: not those of a copy that follows."""
    return sum({id(p): p.numel() for module in modules(part).values() for p in module.parameters()
                if p.requires_grad}.values())


def mixes(net: nn.Module) -> bool:
    """Whether what it says of an example depends on the others in the batch."""
    return any(isinstance(part, _BatchNorm) for part in net.modules())


@contextmanager
def evaluating(learner: object) -> Iterator[None]:
    """Batch statistics and dropout stand still meanwhile."""
    training = [each for module in modules(learner).values() for each in module.modules() if each.training]
    for module in training:
        module.training = False
    try:
        yield
    finally:
        for module in training:
            module.training = True
