"""State as plain data: a tree of JSON, the tensors that it names, and the chunks that it holds."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from .chunks import Chunk


def flatten(value: Any, path: str, tensors: dict[str, Tensor], chunks: list[Chunk] | None = None) -> Any:
    """JSON for all but tensors and arrays, which go to `tensors`, and chunks, which go to `chunks`; without that list
    a chunk is a dictionary like others. Raises TypeError for what is not plain data.
    """
    if isinstance(value, Chunk):
        if chunks is None:
            return flatten(value.read(), path, tensors)
        chunks.append(value)
        return {"chunk": len(chunks) - 1}
    if isinstance(value, Tensor):
        return {"tensor": store(value.detach().to("cpu", copy=True).contiguous(), path, tensors)}
    if isinstance(value, np.ndarray) and value.dtype.kind in "biuf" and value.dtype.isnative and value.itemsize <= 8:
        return {"array": [store(torch.from_numpy(np.array(value, order="C")), path, tensors), str(value.dtype)]}
    if isinstance(value, dict):
        if odd := [key for key in value if not (key is None or isinstance(key, int | float | str))]:
            raise TypeError(f"{path}: the key {odd[0]!r} cannot be saved; use strings or numbers")
        return {"dict": [[key, flatten(item, f"{path}/{key}", tensors, chunks)] for key, item in value.items()]}
    if isinstance(value, list | tuple):
        items = [flatten(item, f"{path}/{i}", tensors, chunks) for i, item in enumerate(value)]
        return {"tuple" if isinstance(value, tuple) else "list": items}
    if isinstance(value, float) and (value != value or value in (float("inf"), float("-inf"))):
        return {"float": str(value)}
    if value is None or isinstance(value, bool | int | float | str):
        return value
    kind = type(value).__name__ + (f" of {value.dtype}" if isinstance(value, np.ndarray) else "")
    raise TypeError(f"{path}: a {kind} cannot be saved; turn it into tensors, numbers or strings")


def store(tensor: Tensor, path: str, tensors: dict[str, Tensor]) -> str:
    """The name under which it is kept: {"a/b": x, "a": {"b": y}} makes one path of two."""
    while path in tensors:
        path += "'"
    tensors[path] = tensor
    return path


def restore(node: Any, tensors: Mapping[str, Tensor], chunks: Sequence[Chunk] = ()) -> Any:
    if not isinstance(node, dict):
        return node
    ((kind, body),) = node.items()
    if kind == "tensor":
        return tensors[body]
    if kind == "array":
        return tensors[body[0]].numpy().astype(body[1], copy=False)
    if kind == "chunk":
        return chunks[body]
    if kind == "float":
        return float(body)
    if kind == "dict":
        return {key: restore(item, tensors, chunks) for key, item in body}
    items = [restore(item, tensors, chunks) for item in body]
    return tuple(items) if kind == "tuple" else items
