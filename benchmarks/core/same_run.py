"""Whether two finished runs came to the same, to the bit, apart from what depends on the clock."""

from pathlib import Path
from typing import Any

from torch import Tensor, equal, uint8

from lab import checkpoint, plain
from lab.folder import records

CLOCK = ("time/", "system/")


def differences(a: Path, b: Path) -> list[str]:
    """Of the newest checkpoints and of metrics.jsonl, in words; empty where they are the same."""
    (count_a, tree_a, tensors_a), (count_b, tree_b, tensors_b) = state(a), state(b)
    found = ["the count"] * (count_a != count_b) + ["the tree"] * (tree_a != tree_b)
    found += [f"tensor {name}" for name in sorted(tensors_a.keys() ^ tensors_b.keys())]
    found += [f"tensor {name}" for name in sorted(tensors_a.keys() & tensors_b.keys())
              if not same(tensors_a[name], tensors_b[name])]
    lines_a, lines_b = lines(a), lines(b)
    found += ["the number of metrics lines"] * (len(lines_a) != len(lines_b))
    return found + [f"metrics line {i}" for i, (x, y) in enumerate(zip(lines_a, lines_b, strict=False)) if x != y]


def state(folder: Path) -> tuple[str, Any, dict[str, Tensor]]:
    """Of the newest checkpoint: its count, everything but tensors, and the tensors by name."""
    newest, tensors = checkpoint.found(folder / "checkpoints")[0], dict[str, Tensor]()
    return newest.name, plain.flatten(clockless(checkpoint.read(newest)), "", tensors), tensors


def lines(folder: Path) -> list[Any]:
    return [(line["count"], line["updates"], clockless(line["metrics"])) for line in records(folder)]


def clockless(node: Any) -> Any:
    if not isinstance(node, dict):
        return node
    return {key: clockless(value) for key, value in node.items() if key != "seconds" and not str(key).startswith(CLOCK)}


def same(a: Tensor, b: Tensor) -> bool:
    """To the bit: also the kind of a NaN and the sign of a zero."""
    return a.shape == b.shape and a.dtype == b.dtype and equal(*(each.reshape(-1).view(uint8) for each in (a, b)))
