"""What a network consists of, as a table: layers, shapes, parameters and operations. B examples, T steps."""

import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import PackedSequence, pad_packed_sequence

from .halving import Doubled
from .modules import evaluating

Row = tuple[str, str, str, int, int]              # name, kind, shape of its output, parameters, operations


def operations(layer: nn.Module, given: Tensor, out: Tensor) -> int:
    """Multiplications and additions of one layer for what it was given, two for each weight that is used; 0 for others.

    Of fully connected, convolutional and recurrent layers, which do nearly all of the work.
    """
    if isinstance(layer, nn.Linear):
        return 2 * out.numel() * layer.in_features
    if isinstance(layer, Doubled) and layer.exact(given):
        return 2 * out.numel() * layer.in_channels * 4
    if isinstance(layer, nn.Conv1d | nn.Conv2d | nn.Conv3d):
        return 2 * out.numel() * layer.in_channels // layer.groups * math.prod(layer.kernel_size)
    if isinstance(layer, nn.RNNBase):
        weights = sum(value.numel() for name, value in layer.named_parameters() if name.startswith("weight"))
        return 2 * weights * given.numel() // layer.input_size                  # of every step of every example
    return 0


def tensor(value: Any) -> Tensor | None:
    """The first in what a layer was given or gives back, [B, ...]; sequences unpacked."""
    if isinstance(value, PackedSequence):
        return pad_packed_sequence(value, batch_first=True)[0]
    found = map(tensor, value) if isinstance(value, tuple) else [value]
    return next((each for each in found if isinstance(each, Tensor)), None)


def rows(net: nn.Module, call: Callable[[], Any]) -> list[Row]:
    """The layers of `net` in the order in which `call` goes through them."""
    found, hooks = list[Row](), list[Any]()

    def note(name: str) -> Callable[..., None]:
        def hook(layer: nn.Module, given: tuple[Any, ...], out: Any) -> None:
            out, first = tensor(out), tensor(given)
            if out is None or first is None:
                return
            own = sum(p.numel() for p in layer.parameters(recurse=False))
            shape = " x ".join(map(str, out.shape[1:]))
            found.append((name, type(layer).__name__, shape, own, operations(layer, first, out) // len(out)))
        return hook

    for name, layer in net.named_modules():
        if not list(layer.children()):
            hooks.append(layer.register_forward_hook(note(name)))
    try:
        with torch.no_grad(), evaluating([net]):
            call()
    finally:
        for each in hooks:
            each.remove()
    return found


def summary(net: nn.Module, found: list[Row]) -> str:
    """The table as Markdown, sums in its last row; operations are of one example."""
    lines = [("layer", "kind", "output", "parameters", "operations"), *[("---",) * 5]]
    lines += [(name, kind, shape, f"{own:,}", f"{work:,}") for name, kind, shape, own, work in found]
    total = sum(p.numel() for p in net.parameters())
    lines.append(("sum", "", "", f"{total:,}", f"{sum(row[-1] for row in found):,}"))
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)
