"""Arrays and numbers of numpy as arrays that a checkpoint can store, and which arrays share their memory."""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

STORED = "biuf"                                           # kinds of numbers, of at most eight bytes each
AS_BYTES = STORED + "cSUmM"                               # and complex numbers, text, times: as the bytes they are
WORK: Any = 10_000                                        # that it may take to find out about two arrays
byte_bounds: Any = getattr(np, "byte_bounds", None) or np.lib.array_utils.byte_bounds      # of numpy 1 and 2


def is_array(value: Any) -> bool:
    """Not of objects or records, and not of a class of its own."""
    return (type(value) is np.ndarray or isinstance(value, np.generic)) and value.dtype.kind in AS_BYTES


def read_array(value: Any) -> dict[str, Any]:
    """`data` has its axes in the order in which they lie in memory: sums depend on it."""
    axes = sorted(range(value.ndim), key=lambda axis: -abs(value.strides[axis]))
    data = np.array(np.transpose(value, axes), order="C")
    node: dict[str, Any] = {"data": data, "axes": axes}
    if data.dtype.kind in STORED and data.itemsize <= 8 and data.dtype.isnative:
        return node
    return node | {"data": np.frombuffer(data.tobytes(), np.uint8), "dtype": data.dtype.str, "shape": data.shape}


def write_array(node: dict[str, Any]) -> Any:
    data = node["data"].copy()
    if "dtype" in node:
        data = data.view(np.dtype(node["dtype"])).reshape(node["shape"])
    back = data.transpose(np.argsort(node["axes"]))
    return back if node["class"] == "numpy.ndarray" else back[()]


def sharing(arrays: Sequence[tuple[Any, Any]]) -> Iterator[tuple[Any, Any]]:
    """Of (name, array) the names of each two that share memory, or may do so."""
    spans = sorted(((*byte_bounds(array), k) for k, (_, array) in enumerate(arrays)))
    near = list[tuple[int, int]]()                        # those that reach this far: their end, their number
    for begin, end, k in spans:
        near = [(far, other) for far, other in near if begin < far]
        yield from ((arrays[other][0], arrays[k][0]) for _, other in near
                    if np.may_share_memory(arrays[other][1], arrays[k][1], WORK))
        near.append((end, k))
