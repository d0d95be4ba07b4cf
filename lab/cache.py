"""The lab's folder of files that it has downloaded or made, and that can be had again."""

import os
from contextlib import suppress
from pathlib import Path

import pooch

from .errors import UsageError


def folder(name: str) -> Path:
    """Of a dataset, or of something else by name. The environment variable LAB_CACHE says where it lies."""
    return Path(os.environ.get("LAB_CACHE") or pooch.os_cache("pluglab")).expanduser() / name


def write(file: Path, body: bytes) -> None:
    """The whole file or none of it; where another process was faster, its stays. Raises UsageError where it cannot be.
    """
    part = file.with_name(f"{file.name}.{os.getpid()}")
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        part.write_bytes(body)
        try:
            os.link(part, file)
        except FileExistsError:
            pass
        except OSError:                           # a file system that has no links
            part.replace(file)
    except OSError as error:
        raise UsageError(f"{file} cannot be written ({error.strerror}): LAB_CACHE names another folder for what "
                         "the lab keeps") from error
    finally:
        with suppress(OSError):
            part.unlink()
