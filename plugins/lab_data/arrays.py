"""Arrays in a .npz file. N examples, C channels, H and W pixels, T steps, F numbers."""

import zipfile
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from lab.data.dataset import About, Column, Dataset, Held
from lab.data.files import file
from lab.errors import UsageError, closest

from .plugin import Npz

KINDS = {"uint8": {3: "picture", 4: "picture"}, "floats": {2: "table", 3: "sequence", 4: "picture"}}
CHANNELS = (1, 3, 4)


@dataclass(frozen=True)
class Array:
    """One of them, and where it stands, for messages."""

    at: str
    values: np.ndarray

    @property
    def said(self) -> str:
        return f"{self.at} is {self.values.dtype} of the shape {list(self.values.shape)}"


def build(cfg: Npz) -> Dataset:
    found = arrays(file(cfg.path), cfg)
    for name in ("y", "length"):
        if "x_test" in found and (name in found) != (f"{name}_test" in found):
            have, lack = (name, f"{name}_test") if name in found else (f"{name}_test", name)
            raise UsageError(f"{found[have].at} is there, and no {getattr(cfg, lack)!r}; expected both or neither")
    kind, splits = kind_of(found["x"]), {"train": split_of(found, "")}
    if "x_test" in found:
        splits["test"] = split_of(found, "_test")
        if (other := kind_of(found["x_test"])) != kind:
            raise UsageError(f"{found['x_test'].at}: an example is a {other}, and one of {cfg.x!r} is a {kind}")
    shape = tuple(splits["train"].tensors["x"].shape[1:])
    classes, targets = outputs(found["y"], splits["train"]) if "y" in found else ((), ())
    columns = tuple(map(Column, numbered(shape[0]))) if kind == "table" else ()
    ragged = kind == "sequence" and any(bool((each.tensors["length"] < shape[0]).any()) for each in splits.values())
    return Dataset(About(kind, shape, classes, targets, columns, ragged), splits)


def arrays(path: Path, cfg: Npz) -> Mapping[str, Array]:
    """{"x": ...}, those that are there. Raises UsageError for one that was asked for and is not."""
    found, defaults = dict[str, Array](), Npz(path=cfg.path)
    try:
        with zipfile.ZipFile(path) as archive:
            there = [name.removesuffix(".npy") for name in archive.namelist() if name.endswith(".npy")]
            for name in ("x", "y", "length", "x_test", "y_test", "length_test"):
                if (key := getattr(cfg, name)) in there:
                    found[name] = Array(f"{path}: {key!r}", read(path, archive, key))
                elif name == "x" or key != getattr(defaults, name):
                    raise UsageError(f"data.{name}={key}: {path} has no such array. {closest(key, there)}")
    except zipfile.BadZipFile as error:
        single = "; a single array is packed by numpy.savez('data.npz', x=array)" if path.suffix == ".npy" else ""
        raise UsageError(f"{path} is no .npz file, or a damaged one: {error}{single}") from None
    return found


def read(path: Path, archive: zipfile.ZipFile, key: str) -> np.ndarray:
    """Raises UsageError for one that is damaged, and for one of Python objects, whose reading could run their code."""
    try:
        with archive.open(f"{key}.npy") as stream:
            found: np.ndarray = np.lib.format.read_array(stream, allow_pickle=False)
            if stream.read(1):
                raise ValueError("there are more bytes than its shape says")
            return found
    except (ValueError, EOFError, OSError, zipfile.BadZipFile, zlib.error, RuntimeError, MemoryError) as error:
        if "Object arrays" in str(error):
            raise UsageError(f"{path}: {key!r} is an array of Python objects; expected numbers, such as "
                             f"{key}.astype('float32')") from None
        raise UsageError(f"{path}: {key!r} is damaged: {error}") from None


def kind_of(x: Array) -> str:
    floats = np.issubdtype(x.values.dtype, np.floating)
    kind = KINDS.get("floats" if floats else str(x.values.dtype), {}).get(x.values.ndim)
    if kind is None:
        raise UsageError(f"{x.said}; expected uint8 [N,H,W], [N,C,H,W] or [N,H,W,C], or floats [N,F], [N,T,F] or "
                         "[N,C,H,W], such as x.astype('float32')")
    return kind


def split_of(found: Mapping[str, Array], end: str) -> Held:
    """Those whose names end so: "" or "_test"."""
    x, y, length = found[f"x{end}"], found.get(f"y{end}"), found.get(f"length{end}")
    kind, n = kind_of(x), len(x.values)
    for each in (y, length):
        if each is not None and each.values.shape[:1] != (n,):
            raise UsageError(f"{each.said}; expected {n:,} of them, one for each of {x.at.rpartition(' ')[2]}")
    tensors = {} if y is None else {"y": target(y)}
    if kind == "sequence":
        steps = x.values.shape[1]
        tensors["length"] = np.full(n, steps) if length is None else lengths(length, steps)
        inside = np.arange(steps) < tensors["length"][:, None]                      # [N, T]
        tensors["x"] = narrowed(np.where(inside[:, :, None], x.values, 0))
    else:
        tensors["x"] = pictures(x) if kind == "picture" else narrowed(x.values)
    return Held(**{name: torch.from_numpy(np.ascontiguousarray(each)) for name, each in tensors.items()})


def narrowed(values: np.ndarray) -> np.ndarray:
    """float64 as it is, all else float32; what is too large for that is infinite, which the lab finds."""
    with np.errstate(over="ignore"):
        small = values.astype(np.float32)
    return np.where(np.isinf(small), small, values) if values.dtype == np.float64 else small


def pictures(x: Array) -> np.ndarray:
    """[N, C, H, W] with 1 or 3 channels. Raises UsageError for another number, and for floats beyond 0 to 1."""
    found = x.values
    if found.ndim == 3:
        found = found[:, None]
    elif found.shape[3] < found.shape[1]:
        found = np.moveaxis(found, 3, 1)
    if found.shape[1] not in CHANNELS:
        raise UsageError(f"{x.said}, pictures of {found.shape[1]} channels; expected 1, 3 or 4")
    found = found[:, :3] if found.shape[1] == 4 else found
    if found.dtype == np.uint8:
        return found
    if (beyond := (found < 0) | (found > 1)).any():
        place = tuple(np.argwhere(beyond)[0])
        raise UsageError(f"{x.at}, example {place[0] + 1:,} has a pixel of {found[place]:g}; expected floats from 0 to "
                         "1, or uint8")
    return found.astype(np.float32)


def lengths(length: Array, steps: int) -> np.ndarray:
    """[N] int64. Raises UsageError for one that is not from 1 to T."""
    values = length.values
    if values.ndim != 1 or not np.issubdtype(values.dtype, np.integer):
        raise UsageError(f"{length.said}; expected whole numbers [N]")
    if (wrong := np.flatnonzero((values < 1) | (values > steps))).size:
        raise UsageError(f"{length.at}, example {wrong[0] + 1:,} has {values[wrong[0]]} steps; expected 1 to {steps:,}")
    return values.astype(np.int64)


def target(y: Array) -> np.ndarray:
    """[N] int64 of labels, or [N, K] float32."""
    values = y.values
    if np.issubdtype(values.dtype, np.floating) and values.ndim in (1, 2):
        return narrowed(values.reshape(len(values), -1))
    if np.issubdtype(values.dtype, np.integer) and values.ndim == 1:
        return values.astype(np.int64)
    raise UsageError(f"{y.said}; expected whole numbers [N], the classes, or floats [N] or [N,K]")


def outputs(y: Array, train: Held) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The names of the classes and of the numbers to predict; one of them is empty."""
    values = train.tensors["y"]
    if values.dtype != torch.int64:
        return (), numbered(values.shape[1])
    largest = int(values.max()) if len(values) else -1
    if largest >= len(values):
        raise UsageError(f"{y.at} has the label {largest:,} among {len(values):,}; expected the classes 0 to K-1, each "
                         "with an example")
    return numbered(largest + 1), ()


def numbered(n: int) -> tuple[str, ...]:
    return tuple(map(str, range(n)))
