"""Pictures that a network halves again and again. H and W pixels."""

import math

from .errors import UsageError

Size = tuple[int, ...]


def halves(model: str, times: int, shape: Size, instead: str) -> list[Size]:
    """[H, W] of a picture of `shape` [C, H, W], the whole first, then after each of `times` halvings, rounded up.

    Raises UsageError for what is no picture, and for one that is halved away; `instead` is a model that sees anything.
    """
    if len(shape) != 3:
        raise UsageError(f"model={model} is for pictures, [channels, height, width]; these examples have the shape "
                         f"{list(shape)}: use model={instead}")
    most = math.ceil(math.log2(min(shape[1:])))
    if times > most:
        fewer = "use fewer of model.channels" if most else f"use model={instead}"
        raise UsageError(f"model={model} halves a picture {times} times, and one of {shape[1]} x {shape[2]} can be "
                         f"halved {most}; {fewer}")
    sides: list[Size] = [shape[1:]]
    for _ in range(times):
        sides.append(tuple(-(-side // 2) for side in sides[-1]))
    return sides
