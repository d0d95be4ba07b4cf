"""Writes one run. metrics.jsonl is the truth; the TensorBoard file and the console are views of the same values."""

import fcntl
import json
import logging
import os
import socket
import time
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from . import checkpoint, media
from .errors import DiskError, LabError, ResumeError, RunInUse
from .folder import finite, going_on, records

LOG = logging.getLogger("lab")
HELD = 10_000                     # lines kept in memory while the disk is full


class RunFolder:
    """Writes one run; a context in which no other process can. Raises RunInUse where one does."""

    def __init__(self, path: Path, agent: str, keep: int, say: Callable[[str], None] = LOG.warning):
        self.path, self.agent, self.keep, self.say, self.lock = path, agent, keep, say, -1
        self.checkpoints, self.metrics_file = path / "checkpoints", path / "metrics.jsonl"
        self.listeners: list[Callable[[int, float, Mapping[str, float]], None]] = []
        self.on_media: Callable[[int, str, Path], None] = lambda count, name, path: None
        self.held: list[str] = []             # lines that could not be written yet
        self.failed_saves, self.lines = 0, 0  # checkpoints in a row that failed; lines of metrics so far

    def __enter__(self) -> "RunFolder":
        path = self.path / ".lock"
        self.refuse_links([path])
        while not self.locked(path):      # who held it has removed it meanwhile: lock the one that is there now
            os.close(self.lock)
        with suppress(OSError):           # a full disk has no room for the name of who holds it
            os.ftruncate(self.lock, 0)
            os.pwrite(self.lock, f"process {os.getpid()} on {socket.gethostname()} since {time.ctime()}".encode(), 0)
        try:
            self.refuse_links(self.path.rglob("*"))
        except ResumeError:
            self.__exit__()
            raise
        return self

    def refuse_links(self, paths: Iterable[Path]) -> None:
        if link := next((each for each in paths if each.is_symlink()), None):
            raise ResumeError(f"{link} is a link, and the lab writes in no other place: put what it names there")

    def locked(self, path: Path) -> bool:
        """Lock the file; whether it is still the one at `path`. Raises RunInUse and DiskError."""
        try:
            self.lock = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
        except OSError as error:
            raise checkpoint.disk_error(error, self.path) from error
        owner = os.pread(self.lock, 1000, 0).decode(errors="replace").strip()
        try:
            fcntl.flock(self.lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(self.lock)
            raise RunInUse(f"{self.path} is in use by {owner or 'another process'}; stop that one first") from None
        except OSError:
            self.say(f"{self.path} is on a file system without locks: start no second process on it")
        return path.exists() and os.path.samestat(os.fstat(self.lock), path.stat())

    def __exit__(self, *failure: object) -> None:
        (self.path / ".lock").unlink(missing_ok=True)
        os.close(self.lock)

    def log(self, count: int, updates: int, seconds: float, metrics: Mapping[str, float]) -> None:
        """One line, to the file and to everyone who listens."""
        plain = {name: finite(value) for name, value in metrics.items()}
        self.append(json.dumps({"count": count, "updates": updates, "time": round(seconds, 3), "metrics": plain}))
        for listener in self.listeners:
            listener(count, seconds, metrics)

    def media(self, count: int, name: str, value: Any) -> None:
        """A picture, a film or a histogram, kept under media/ and shown by everyone who listens."""
        try:
            path = keep(self.path, name, count, value)
        except (OSError, ValueError, TypeError, LabError) as error:
            self.say(f"{name} was not written: {error}")
            return
        self.on_media(count, name, path)

    def append(self, line: str) -> None:
        """A full disk costs no training: the lines are held, with one warning, and written when there is space."""
        if len(self.held) == HELD:
            return
        self.held.append(line)
        self.lines += 1
        try:
            self.flush()
        except DiskError as error:
            if len(self.held) == 1:
                self.say(f"{error}; metrics are held in memory until there is space")

    def flush(self) -> None:
        """Write the lines that are held. Raises DiskError, with none of them written."""
        size = self.metrics_file.stat().st_size if self.metrics_file.exists() else 0
        try:
            with open(self.metrics_file, "a") as out:
                out.write("".join(f"{each}\n" for each in self.held))
                out.flush()
                self.held = []
        except OSError as error:
            with suppress(OSError):
                os.truncate(self.metrics_file, size)      # half a line would hide all that follow it
            raise checkpoint.disk_error(error, self.path) from error

    def save(self, count: int, state: Mapping[str, Any]) -> None:
        """A checkpoint. The first failure is a warning; the second in a row raises DiskError."""
        try:
            self.sync_metrics()
            whole = {"agent": self.agent, "lines": self.lines, **state}
            best = state.get("runner", {}).get("best", {}).get("count", -1)
            checkpoint.write(self.checkpoints, count, whole, self.keep, best)
            self.failed_saves = 0
        except DiskError as error:
            self.failed_saves += 1
            kept = checkpoint.found(self.checkpoints)
            if not kept:
                raise DiskError(f"{error}. Make space and start it again") from error
            advice = f"checkpoint {checkpoint.count_of(kept[0]):,} is kept"
            if self.failed_saves > 1:
                raise DiskError(f"{error}; {advice}. Make space, then: {going_on(self.path)}") from error
            self.say(f"{error}; {advice}; going on until the next one")

    def read(self, count: int) -> dict[str, Any]:
        """The checkpoint of this count, but for large buffers. Raises ResumeError where it is damaged."""
        try:
            return checkpoint.read(self.checkpoints / f"{count:012}", whole=False)
        except (OSError, ValueError) as error:
            raise ResumeError(f"the best checkpoint, of {count:,}, cannot be read: {error}") from error

    def must_be_saved(self) -> None:
        """Raises DiskError where the last checkpoint could not be written."""
        if self.failed_saves:
            raise DiskError(f"the last checkpoint could not be written in {self.checkpoints}. Make space, then: "
                            f"{going_on(self.path)}")

    def sync_metrics(self) -> None:
        """Raises DiskError where lines are still held."""
        if self.held:
            self.flush()
        if not self.metrics_file.exists():
            return
        try:
            with open(self.metrics_file, "rb") as file:
                os.fsync(file.fileno())
        except OSError as error:
            raise checkpoint.disk_error(error, self.path) from error

    def cut(self, lines: int) -> None:
        """Keep the lines that were there at a checkpoint."""
        kept = records(self.path)[:lines]
        self.lines = len(kept)
        body = "".join(f"{json.dumps(line)}\n" for line in kept)
        part = self.path / ".metrics.part"
        try:
            checkpoint.write_file(part, body.encode())
            os.replace(part, self.metrics_file)
        except OSError as error:
            raise checkpoint.disk_error(error, self.path, len(body)) from error

    def write_json(self, name: str, content: Any) -> None:
        self.write_text(name, json.dumps(content, indent=2, default=str) + "\n")

    def write_text(self, name: str, text: str) -> None:
        """The whole file or nothing; a failure is a warning."""
        part = self.path / f".{name}.part"
        try:
            checkpoint.write_file(part, text.encode())
            os.replace(part, self.path / name)
        except OSError as error:
            self.say(f"{checkpoint.disk_error(error, self.path)}; {name} was not written")


def keep(path: Path, name: str, count: int, value: Any) -> Path:
    """Write what `media.encoded` takes; returns its file."""
    kind, body = media.encoded(value)
    file = media.place(path, name, count, kind)
    checkpoint.write_file(file, body)
    return file
