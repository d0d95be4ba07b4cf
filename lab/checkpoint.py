"""A checkpoint is a folder of plain data: tensors.safetensors, tree.json and their sha256. Nothing in it is code."""

import errno
import json
import os
import shutil
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
import safetensors.torch
import torch
from torch import Tensor

from .errors import DiskError, ResumeError

SCHEMA = 1
FILES = ("tensors.safetensors", "tree.json")


def flatten(value: Any, path: str, tensors: dict[str, Tensor]) -> Any:
    """JSON for everything but tensors and arrays, which go to `tensors`. Raises TypeError for what is not plain data."""
    if isinstance(value, Tensor):
        tensors[path] = value.detach().to("cpu", copy=True).contiguous()
        return {"tensor": path}
    if isinstance(value, np.ndarray) and value.dtype.kind in "biuf":
        tensors[path] = torch.from_numpy(np.array(value, order="C"))
        return {"array": [path, str(value.dtype)]}
    if isinstance(value, dict):
        return {"dict": [[key, flatten(item, f"{path}/{key}", tensors)] for key, item in value.items()]}
    if isinstance(value, list | tuple):
        items = [flatten(item, f"{path}/{i}", tensors) for i, item in enumerate(value)]
        return {"tuple" if isinstance(value, tuple) else "list": items}
    if isinstance(value, float) and (value != value or value in (float("inf"), float("-inf"))):
        return {"float": str(value)}
    if value is None or isinstance(value, bool | int | float | str):
        return value
    raise TypeError(f"{path}: a {type(value).__name__} cannot be saved; turn it into tensors, numbers or strings")


def restore(node: Any, tensors: dict[str, Tensor]) -> Any:
    if not isinstance(node, dict):
        return node
    ((kind, body),) = node.items()
    if kind == "tensor":
        return tensors[body]
    if kind == "array":
        return tensors[body[0]].numpy().astype(body[1], copy=False)
    if kind == "float":
        return float(body)
    if kind == "dict":
        return {key: restore(item, tensors) for key, item in body}
    items = [restore(item, tensors) for item in body]
    return tuple(items) if kind == "tuple" else items


def write(folder: Path, count: int, state: dict[str, Any], keep: int) -> Path:
    """Write aside, force to disk, rename, read back: whatever happens, a checkpoint is whole or absent.

    Keeps the newest `keep`. Raises DiskError where there is no space or permission; the older ones are untouched.
    """
    tensors: dict[str, Tensor] = {}
    tree = json.dumps(flatten(state, "run", tensors), allow_nan=False).encode()
    data = dict(zip(FILES, (safetensors.torch.save(tensors), tree), strict=True))
    hashes = {name: sha256(body).hexdigest() for name, body in data.items()}
    data["manifest.json"] = json.dumps({"schema": SCHEMA, "count": count, "sha256": hashes}).encode()
    part, final = folder / f".part-{os.getpid()}", folder / f"{count:012}"
    try:
        shutil.rmtree(part, ignore_errors=True)
        part.mkdir(parents=True)
        for name, body in data.items():
            write_file(part / name, body)
        sync(part)
        if final.exists():
            shutil.rmtree(final)
        os.rename(part, final)
        sync(folder)
        verify(final)
    except OSError as error:
        need = sum(map(len, data.values()))
        shutil.rmtree(part, ignore_errors=True)
        raise disk_error(error, folder, need) from error
    for old in found(folder)[keep:]:
        shutil.rmtree(old, ignore_errors=True)
    return final


def write_file(path: Path, body: bytes) -> None:
    with open(path, "wb") as out:
        out.write(body)
        out.flush()
        os.fsync(out.fileno())


def disk_error(error: OSError, path: Path, need: int = 0) -> DiskError:
    if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
        free = shutil.disk_usage(path if path.exists() else path.parent).free
        return DiskError(f"no space to write in {path}: needed {need / 1e6:.1f} MB, free {free / 1e6:.1f} MB")
    return DiskError(f"cannot write in {path}: {error.strerror or error}")


def verify(path: Path) -> dict[str, bytes]:
    """The files of a checkpoint. Raises ValueError, saying what is wrong, where one is missing or altered."""
    try:
        manifest = json.loads((path / "manifest.json").read_bytes())
        if manifest["schema"] > SCHEMA:
            raise ValueError(f"written by a newer lab (schema {manifest['schema']}, this one reads up to {SCHEMA})")
        data = {name: (path / name).read_bytes() for name in FILES}
        bad = [name for name in FILES if sha256(data[name]).hexdigest() != manifest["sha256"][name]]
    except FileNotFoundError as error:
        raise ValueError(f"incomplete, {Path(error.filename).name} is missing") from None
    except (KeyError, TypeError, json.JSONDecodeError, UnicodeDecodeError) as error:
        raise ValueError(f"manifest.json is damaged ({error})") from None
    if bad:
        raise ValueError(f"damaged, the content of {' and '.join(bad)} does not match its sha256")
    return data


def read(path: Path) -> dict[str, Any]:
    """The state in one checkpoint. Raises ValueError where it is damaged."""
    data = verify(path)
    return dict(restore(json.loads(data[FILES[1]]), safetensors.torch.load(data[FILES[0]])))


def found(folder: Path) -> list[Path]:
    """Checkpoints, newest first; a folder half written has another name."""
    return sorted((path for path in folder.glob("[0-9]*") if path.name.isdigit()), reverse=True)


def newest(folder: Path, say: Callable[[str], None]) -> tuple[Path, dict[str, Any]]:
    """The newest checkpoint that is intact; `say` is told of each one skipped. Raises ResumeError where none is."""
    skipped = []
    for path in found(folder):
        try:
            state = read(path)
        except (OSError, ValueError) as error:
            skipped.append(f"checkpoint {int(path.name)}: {error}")
            continue
        for line in skipped:
            say(f"{line}; using {int(path.name)}")
        return path, state
    if skipped:
        raise ResumeError(f"no checkpoint in {folder} is intact: {'; '.join(skipped)}. Nothing was changed.")
    raise ResumeError(f"{folder} holds no checkpoint: the run never reached its first save. Start it again.")


def sync(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
