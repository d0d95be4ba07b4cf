"""A checkpoint is a folder of plain data: tensors.safetensors, tree.json and their sha256. Nothing in it is code.

Whatever is large and does not change stands beside the checkpoints, once for all of them: `lab.chunks`.
"""

import errno
import json
import os
import re
import shutil
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path
from typing import Any

import safetensors.torch
from torch import Tensor

from . import chunks
from .chunks import Chunk
from .errors import DiskError, ResumeError
from .plain import flatten, restore

SCHEMA = 1
FILES = ("tensors.safetensors", "tree.json")
SHARED = ("Only rows of the replay are damaged, in files that checkpoints share: put these back from a copy. The "
          "weights are intact: lab eval and lab play work")


def write(folder: Path, count: int, state: dict[str, Any], keep: int, best: int = -1) -> Path:
    """Write aside, force to disk, read back, rename: whatever happens, a checkpoint is whole or absent.

    Keeps the newest `keep`, and the one of the count `best`. Raises DiskError where there is no space or permission,
    or where the disk gives back something else; the older ones are untouched.
    """
    tensors, held = dict[str, Tensor](), list[Chunk]()
    tree = json.dumps(flatten(state, "run", tensors, held), allow_nan=False).encode()
    data = dict(zip(FILES, (safetensors.torch.save(tensors), tree), strict=True))
    manifest = {"schema": SCHEMA, "count": count,
                "sha256": {name: sha256(body).hexdigest() for name, body in data.items()}}
    part, final = folder / f".part-{os.getpid()}", folder / f"{count:012}"
    try:
        manifest["chunks"] = [chunks.write(folder, chunk) for chunk in held]
        if held:
            sync(folder / chunks.FOLDER)
        data["manifest.json"] = json.dumps(manifest).encode()
        for left in folder.glob(".part-*"):           # of a process that was killed
            shutil.rmtree(left, ignore_errors=True)
        part.mkdir(parents=True)
        for name, body in data.items():
            write_file(part / name, body)
        sync(part)
        verify(part)
        replace(part, final)
        sync(folder)
    except (OSError, ValueError) as error:
        need = sum(map(len, data.values())) + chunks.to_come(held)
        shutil.rmtree(part, ignore_errors=True)
        raise disk_error(error, folder, need) from error
    for old in [each for each in found(folder) if each != final][keep - 1:]:
        if count_of(old) != best:
            shutil.rmtree(old, ignore_errors=True)
    chunks.prune(folder, found(folder))
    return final


def replace(part: Path, final: Path) -> None:
    """Where there is one of this count already, it stays as `.old` until the new one has its place."""
    old = final.with_suffix(".old")
    if final.exists():
        shutil.rmtree(old, ignore_errors=True)
        os.rename(final, old)
    os.rename(part, final)
    shutil.rmtree(old, ignore_errors=True)


def write_file(path: Path, body: bytes) -> None:
    with open(path, "wb") as out:
        out.write(body)
        out.flush()
        os.fsync(out.fileno())


def disk_error(error: OSError | ValueError, path: Path, need: int = 0) -> DiskError:
    if isinstance(error, ValueError):
        return DiskError(f"what was written in {path} does not come back: {error}")
    if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
        free = shutil.disk_usage(path if path.exists() else path.parent).free
        return DiskError(f"no space to write in {path}: needed {need / 1e6:.1f} MB, free {free / 1e6:.1f} MB")
    return DiskError(f"cannot write in {path.absolute()}: {error.strerror or error}")


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
    except (KeyError, TypeError, RecursionError, json.JSONDecodeError, UnicodeDecodeError) as error:
        raise ValueError(f"manifest.json is damaged ({error})") from None
    if bad:
        raise ValueError(f"damaged, the content of {' and '.join(bad)} does not match its sha256")
    return data


def read(path: Path, whole: bool = True) -> dict[str, Any]:
    """The state in one checkpoint. Raises ValueError where it is damaged, in its chunks too if it is needed `whole`."""
    data, held = verify(path), chunks.held(path, now=whole)
    try:
        return dict(restore(json.loads(data[FILES[1]]), safetensors.torch.load(data[FILES[0]]), held))
    except Exception as error:        # of JSON, of safetensors or of restore: the sha256 fits, so a stranger wrote it
        raise ValueError(f"its content cannot be read ({type(error).__name__}: {error})") from None


def found(folder: Path) -> list[Path]:
    """Checkpoints, newest first; a folder half written has another name."""
    paths = [path for path in folder.glob("[0-9]*") if re.fullmatch(r"[0-9]+(\.old)?", path.name)]
    return sorted(paths, key=lambda path: (count_of(path), path.suffix == ""), reverse=True)


def count_of(path: Path) -> int:
    """Of the stream, when this checkpoint was written."""
    return int(path.stem)


def newest(folder: Path, say: Callable[[str], None], whole: bool = True) -> tuple[Path, dict[str, Any]]:
    """The newest checkpoint that is intact, see `read`; `say` is told of each one skipped.

    Raises ResumeError where none is.
    """
    skipped, rows = list[str](), True
    for path in found(folder):
        try:
            state = read(path, whole)
        except (OSError, ValueError) as error:
            skipped.append(f"checkpoint {count_of(path)}: {error}")
            rows = rows and isinstance(error, chunks.Damaged)
            continue
        for line in skipped:
            say(f"{line}; using {count_of(path)}")
        return path, state
    if skipped:
        advice = f". {SHARED}" if rows else ""
        raise ResumeError(f"no checkpoint in {folder} is intact: {'; '.join(skipped)}{advice}. Nothing was changed.")
    raise ResumeError(f"{folder} holds no checkpoint: the run never reached its first save. Start it again.")


def sync(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
