"""Which checkpoint a command looks at."""

import os
import sys
from functools import partial
from pathlib import Path
from typing import Any

from .checkpoint import count_of, newest, read
from .errors import ResumeError
from .folder import read_run


def chosen(path: Path) -> tuple[Path, Path, dict[str, Any]]:
    """The run, one of its checkpoints, and the state in that, but for rows of data.

    `path` is the checkpoint, or the run: then it is the best where the run keeps the best, else the newest. Raises
    ResumeError where there is no run or no intact checkpoint.
    """
    if os.path.isfile(path / "manifest.json"):
        run = path.resolve().parent.parent
        read_run(run)
        return run, path, intact(path)
    read_run(path)
    at, state = newest(path / "checkpoints", partial(print, file=sys.stderr), whole=False)
    try:
        best = int(state["runner"]["best"]["count"])
    except (KeyError, TypeError, ValueError):
        best = -1                                 # nobody chose one, or a stranger wrote it
    if best in (-1, count_of(at)):
        return path, at, state
    at = path / "checkpoints" / f"{best:012}"
    return path, at, intact(at)


def intact(at: Path) -> dict[str, Any]:
    """Raises ResumeError where it is not."""
    try:
        return read(at, whole=False)
    except (OSError, ValueError) as error:
        raise ResumeError(f"{at}: {error}") from None
