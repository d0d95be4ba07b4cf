"""Rows of a large buffer that will not change any more: each chunk is written once, however many checkpoints hold it.

A chunk is a file `<sha256>.safetensors` in the folder `chunks` beside the checkpoints, which name it in their manifest.
"""

import json
import os
import re
from collections.abc import Callable, Iterable
from contextlib import suppress
from functools import partial
from hashlib import sha256
from pathlib import Path

import safetensors.torch
from torch import Tensor

NAME = re.compile(r"[0-9a-f]{64}")
FOLDER = "chunks"


class Damaged(ValueError):
    """A chunk is missing or altered, and with it every checkpoint that holds it."""


class Chunk:
    """`read` gives its tensors; `name` is the sha256 of its file, and `size` its bytes, once there is one."""

    def __init__(self, read: Callable[[], dict[str, Tensor]], name: str = "", size: int = 0):
        self.read, self.name, self.size = read, name, size

    def __deepcopy__(self, memo: object) -> "Chunk":
        return self               # what never changes needs no copy


def path_of(folder: Path, name: str) -> Path:
    return folder / FOLDER / f"{name}.safetensors"


def write(folder: Path, chunk: Chunk) -> str:
    """Its name, under which it stands in `folder` from now on. Raises OSError, and ValueError for a disk that errs.

    A file that is there already is taken for it where it has the right size, and else written anew.
    """
    if chunk.name and size_of(path_of(folder, chunk.name)) == chunk.size:
        return chunk.name
    body = safetensors.torch.save({name: tensor.cpu().contiguous() for name, tensor in chunk.read().items()})
    name = sha256(body).hexdigest()
    final = path_of(folder, name)
    if size_of(final) != len(body):
        final.parent.mkdir(parents=True, exist_ok=True)
        part = final.with_suffix(".part")
        try:
            with open(part, "wb") as out:
                out.write(body)
                out.flush()
                os.fsync(out.fileno())
            verify(part, name)
            os.rename(part, final)
        except (OSError, ValueError):
            part.unlink(missing_ok=True)      # half a file takes space, which may be what is missing
            raise
    chunk.name, chunk.size = name, len(body)
    return name


def size_of(path: Path) -> int:
    """Of a file, in bytes; -1 where there is none."""
    return path.stat().st_size if path.exists() else -1


def to_come(chunks: Iterable[Chunk]) -> int:
    """The bytes of those that have no file yet."""
    return sum(tensor.nbytes for chunk in chunks if not chunk.name for tensor in chunk.read().values())


def verify(path: Path, name: str) -> None:
    """Raises Damaged, saying what is wrong, where the file is missing or altered."""
    try:
        with open(path, "rb") as body:
            digest = sha256()
            while block := body.read(2**22):
                digest.update(block)
    except FileNotFoundError:
        raise Damaged(f"incomplete, the chunk {path.name} is missing") from None
    if digest.hexdigest() != name:
        raise Damaged(f"damaged, the content of the chunk {path.name} does not match its sha256")


def held(checkpoint: Path, now: bool) -> list[Chunk]:
    """Those of a checkpoint, each read when it is asked for; verified `now`, all of them, or when they are read.

    Raises Damaged where one is missing or altered, ValueError where the manifest is damaged.
    """
    paths = {name: path_of(checkpoint.parent, name) for name in names_of(checkpoint)}
    if now:
        for name, path in paths.items():
            verify(path, name)
    read = safetensors.torch.load_file if now else verified
    return [Chunk(partial(read, path), name, size_of(path)) for name, path in paths.items()]


def verified(path: Path) -> dict[str, Tensor]:
    """Raises Damaged where the file is missing or altered."""
    verify(path, path.stem)
    return safetensors.torch.load_file(path)


def names_of(checkpoint: Path) -> list[str]:
    """Raises ValueError where the manifest is damaged."""
    names = json.loads((checkpoint / "manifest.json").read_bytes()).get("chunks", [])
    if not isinstance(names, list) or not all(isinstance(name, str) and NAME.fullmatch(name) for name in names):
        raise ValueError("manifest.json is damaged (a chunk has no name)")
    return names


def prune(folder: Path, checkpoints: Iterable[Path]) -> None:
    """Remove the files that none of these checkpoints holds, and what a write that was cut short has left."""
    used = set[str]()
    for checkpoint in checkpoints:
        try:
            used.update(names_of(checkpoint))
        except (FileNotFoundError, ValueError, AttributeError):
            continue                              # a damaged one will never be read
        except OSError:
            return                                # of this one nobody knows: another time
    for path in (folder / FOLDER).glob("*"):
        if NAME.fullmatch(path.stem) and (path.suffix == ".part" or path.stem not in used):
            with suppress(OSError):
                path.unlink()
