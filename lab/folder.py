"""A run is a folder: its name, and what is read from it."""

import json
import os
import re
import shlex
import socket
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import datetime
from pathlib import Path
from typing import Any

from . import checkpoint
from .errors import DiskError, LabError, ResumeError, UsageError

# where runs are, seen from a folder above them
BELOW = ("*", "*/*", "*/*/*", "runs/*/*/*", "sweeps/*/*/*", "runs/sweeps/*/*/*")


def slug(text: str) -> str:
    """A name that is safe as one folder on every system."""
    return re.sub(r"[^A-Za-z0-9_.-]+", "-", text).strip("-.")[:80] or "none"


def create(by_hand: str | None, world: str, agent: str, seed: int) -> Path:
    """Make the folder of a new run; two runs never share one. Raises DiskError, or UsageError where it exists."""
    if by_hand is not None:
        return make(checked(by_hand))
    parent = make(Path("runs", slug(world), slug(agent)))
    while True:
        path = parent / f"{datetime.now():%Y%m%d-%H%M%S-%f}-s{seed}"
        try:
            path.mkdir()
        except FileExistsError:       # another run began in this microsecond
            continue
        except OSError as error:
            raise not_made(error, path) from error
        return path


def checked(name: str) -> Path:
    if len(name) > 1 and name[0] == name[-1] and name[0] in "\"'":
        name = name[1:-1]
    odd = any(text in name for text in ("${", "\0", "\n")) or any(len(part) > 200 for part in Path(name).parts)
    if odd or not name.strip():
        raise UsageError(f"hydra.run.dir={name!r} is not a folder name")
    path = Path(name)
    if path.exists() and (not path.is_dir() or any(path.iterdir())):
        raise UsageError(f"{path} exists already; choose another folder, or go on with it by resume={path}")
    return path


def make(path: Path, key: str = "hydra.run.dir") -> Path:
    """Raises DiskError, which names the `key` for another folder."""
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise not_made(error, path, key) from error
    return path


def not_made(error: OSError, path: Path, key: str = "hydra.run.dir") -> DiskError:
    return DiskError(f"{checkpoint.disk_error(error, path)}. Name another folder with {key}=FOLDER, or start the "
                     "run in another: without that it is written under runs/ there")


def going_on(path: Path) -> str:
    """The command that resumes a run."""
    return f"python -m lab resume={shlex.quote(str(path))}"


def finite(value: float) -> float | None:
    return value if value == value and abs(value) != float("inf") else None


def records(path: Path) -> list[dict[str, Any]]:
    """The lines of metrics.jsonl, up to the first that is torn."""
    found: list[dict[str, Any]] = []
    try:
        text = (path / "metrics.jsonl").read_text(errors="replace")
    except FileNotFoundError:
        return found
    for line in text.splitlines():
        try:
            found.append(checked_record(json.loads(line)))
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
            break
    return found


def checked_record(line: Any) -> dict[str, Any]:
    """Raises where it is none of ours."""
    record = {key: line[key] for key in ("count", "updates", "time", "metrics")}
    values = [value for value in record["metrics"].values() if value is not None]
    if not all(type(each) in (int, float) for each in (record["time"], *values)):
        raise TypeError("not a number")
    if not all(type(each) is int for each in (record["count"], record["updates"])):
        raise TypeError("not a whole number")
    return record


def read_run(path: Path) -> dict[str, Any]:
    """run.json of a run folder. Raises ResumeError where this is none."""
    try:
        run: dict[str, Any] = json.loads((path / "run.json").read_text())
        parts = (run, *run.get("sittings", []), run.get("versions", {}), run.get("plugins", {}))
        if not all(isinstance(each, dict) for each in parts):
            raise ValueError("not a mapping, or with strange parts")
        return run
    except (OSError, ValueError, TypeError, AttributeError, RecursionError) as error:
        text = error.strerror if isinstance(error, OSError) else error
        why = "it does not exist" if not os.path.exists(path) else f"it has no readable run.json ({text})"
        raise ResumeError(f"{path} is not a run folder: {why}. {near(path)}") from None


def near(path: Path) -> str:
    """A sentence that names the run around `path`, or the newest one below it."""
    around = next((each for each in path.absolute().parents if os.path.isfile(each / "run.json")), None)
    if around and os.path.exists(path):
        return f"It is part of the run {around}"
    below = list[Path]()
    with suppress(OSError):               # of a name that no system takes
        below = [file for where in BELOW for file in path.glob(f"{where}/run.json")]
    if below:
        return f"The newest run below it is {max(below, key=lambda file: file.stat().st_mtime).parent}"
    return "A run is made by +agent=NAME under runs/"


@contextmanager
def fitting(path: Path) -> Iterator[None]:
    """For the time in which a checkpoint is taken over: whatever does not fit is a ResumeError."""
    try:
        yield
    except LabError:
        raise
    except Exception as error:
        text = " ".join(str(error).split())[:500]
        if other := re.search(r"(size mismatch for|(Missing|Unexpected) key\(s\) in state_dict:) (\S+)", text):
            text = f"the networks differ, first in {other[3].rstrip(':,.')}; leave model.* out, or start a new run"
        raise ResumeError(f"the checkpoint of {path} does not fit this code and config: {text}") from error


def describe_process() -> dict[str, Any]:
    now = datetime.now().isoformat(timespec="seconds")
    return {"argv": sys.argv, "host": socket.gethostname(), "pid": os.getpid(), "started": now}
