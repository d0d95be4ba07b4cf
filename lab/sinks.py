"""Where metrics go beside metrics.jsonl: TensorBoard's event file, and the trackers that plugins bring."""

import errno
import io
import logging
import math
import time
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from functools import cached_property
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from omegaconf import OmegaConf
from tensorboard.compat.proto.event_pb2 import Event, SessionLog
from tensorboard.compat.proto.summary_pb2 import Summary
from tensorboard.summary.writer.record_writer import RecordWriter

from . import media, projector, summaries
from .folder import read_run, records
from .run_folder import RunFolder
from .saved_config import read_config

LOG = logging.getLogger("lab")
EVENTS = "events.out.tfevents."   # TensorBoard looks for "tfevents" in the names of files
UNCHARTED = {"time", "system"}    # groups that depend on the clock or the machine: not in the overview


class Sink:
    """A place for metrics. Every method does nothing, so that a tracker overrides only what it needs.

    An exception in any of them costs the run this one sink: a warning, and training continues without it.
    """

    repair = "metrics.jsonl has every value"          # the last words of that warning

    def start(self, config: Mapping[str, Any]) -> None:
        """First of all, at every sitting: the resolved config, as plain containers."""

    def restart(self, count: int) -> None:
        """At a resume from a checkpoint: what was written after `count` no longer holds and will come again."""

    def write(self, count: int, metrics: Mapping[str, float], wall_time: float) -> None:
        """Values at `count`, the x axis; `wall_time` in seconds since 1970. A value may be nan or inf."""

    def media(self, count: int, name: str, path: Path) -> None:
        """A file: .png and .gif are images, .md is Markdown, .json a histogram as `lab.media.histogram` makes it,
        .csv a table, .pr the JSON of `lab.media.Counts`, .npz the arrays of `lab.media.Codes`.
        """

    def close(self, status: str) -> None:
        """The end of this sitting, with the status of run.json: "finished", "failed" or another word."""


class Guarded(Sink):
    """Several sinks as one that never raises: one that fails is closed and dropped, with a single warning."""

    def __init__(self, sinks: Iterable[Sink]):
        self.sinks = list(sinks)

    def open(self, name: str, build: Callable[[], Sink], config: Mapping[str, Any]) -> None:
        """Add what `build` makes, and start it."""
        try:
            sink = build()
            sink.start(config)
            self.sinks.append(sink)
        except Exception as error:
            LOG.warning("%s could not be opened (%s: %s); training continues without it", name, type(error).__name__,
                        error)

    def start(self, config: Mapping[str, Any]) -> None:
        self._each("start", config)

    def restart(self, count: int) -> None:
        self._each("restart", count)

    def write(self, count: int, metrics: Mapping[str, float], wall_time: float) -> None:
        self._each("write", count, metrics, wall_time)

    def media(self, count: int, name: str, path: Path) -> None:
        self._each("media", count, name, path)

    def close(self, status: str) -> None:
        self._each("close", status)

    def _each(self, method: str, *args: Any) -> None:
        for sink in list(self.sinks):
            try:
                getattr(sink, method)(*args)
            except Exception as error:
                self.sinks.remove(sink)
                LOG.warning("%s failed in %s (%s: %s); training continues without it. %s",
                            type(sink).__name__, method, type(error).__name__, error, sink.repair)
                with suppress(Exception):
                    sink.close("dropped")


class TensorBoard(Sink):
    """The event file of a run, in its own folder; made at the first event.

    Every event is written at once, without a thread: it survives a kill, and a full disk is an exception here.
    One event holds all scalars of a write, which is several times faster and smaller than one for each.
    """

    def __init__(self, folder: Path):
        self.folder, self.groups = Path(folder), set[str]()
        self.repair = f"metrics.jsonl has every value; repair the view with: lab tensorboard --rebuild {folder}"

    @cached_property
    def file(self) -> "EventFile":
        return EventFile(self.folder)

    def start(self, config: Mapping[str, Any]) -> None:
        """The config as text, and the run's one row in the hparams table; once in a run's life."""
        yaml = OmegaConf.to_yaml(OmegaConf.create(dict(config)))
        self.file.add(0, summaries.text("config", f"```yaml\n{yaml}```"), summaries.hparams(config, time.time()))

    def restart(self, count: int) -> None:
        self.file.write(Event(wall_time=time.time(), step=count + 1, session_log=SessionLog(status=SessionLog.START)))

    def write(self, count: int, metrics: Mapping[str, float], wall_time: float) -> None:
        event = Event(wall_time=wall_time, step=count)
        for name, value in metrics.items():
            event.summary.value.add(tag=name, simple_value=value)
        self.file.write(event)
        groups = {name.partition("/")[0] for name in metrics} - UNCHARTED
        if not groups <= self.groups:
            self.groups |= groups
            self.file.add(count, summaries.layout(sorted(self.groups)))

    def media(self, count: int, name: str, path: Path) -> None:
        """Raises KeyError for a kind of file that TensorBoard does not show."""
        if path.suffix == ".npz":
            return projector.show(path, name)
        self.file.add(count, summaries.MEDIA[path.suffix](name, path.read_bytes()), wall_time=path.stat().st_mtime)

    def close(self, status: str) -> None:
        try:
            self.file.add(0, *summaries.hparams_end(status, time.time()))
        finally:
            self.file.close()


class EventFile:
    """A new event file in `folder`."""

    def __init__(self, folder: Path):
        # Readers take files in the order of their names, so that of a resumed run must come after those it continues.
        seconds = [int(path.name.split(".")[3]) + 1 for path in folder.glob(f"{EVENTS}[0-9]*")]
        self.path = folder / f"{EVENTS}{max([int(time.time()), *seconds]):010}.lab"
        self.raw = self.path.open("xb", buffering=0)
        self.write(Event(wall_time=time.time(), file_version="brain.Event:2"))

    def write(self, event: Any) -> None:
        """Raises OSError where the record could not be written whole."""
        record = io.BytesIO()
        RecordWriter(record).write(event.SerializeToString())
        if self.raw.write(record.getvalue()) != record.tell():
            raise OSError(errno.ENOSPC, "no space for the whole record", str(self.path))

    def add(self, count: int, *values: Any, wall_time: float | None = None) -> None:
        """Summary values as one event, by default of now."""
        self.write(Event(wall_time=wall_time or time.time(), step=count, summary=Summary(value=values)))

    def close(self) -> None:
        self.raw.close()


def rebuild(folder: Path) -> Path:
    """Make the event file of a run anew from metrics.jsonl, config.yaml and media/, and remove the old ones.

    Nothing in the folder is executed. Returns the new file. Raises ResumeError where the folder is no run, RunInUse
    where it is being trained.
    """
    folder = Path(folder)
    about, config, lines = read_run(folder), read_config(folder), records(folder)
    started = (folder / "metrics.jsonl").stat().st_mtime - lines[-1]["time"] if lines else time.time()
    lock = RunFolder(folder, str(about.get("agent")), keep=1)
    with lock, TemporaryDirectory(dir=folder, prefix=".rebuild-") as scratch:
        board = TensorBoard(Path(scratch))
        board.start(config)
        for line in lines:
            values = {name: math.nan if value is None else value for name, value in line["metrics"].items()}
            board.write(line["count"], values, started + line["time"])
        for count, name, path in media.placed(folder):
            try:
                board.media(count, name, path)
            except Exception as error:        # a picture that is damaged, or of a kind that is not shown
                LOG.warning("%s is left out: %s: %s", path, type(error).__name__, error)
        board.close(str(about.get("status")))
        for path in folder.glob(f"{EVENTS}*"):
            path.unlink()
        return board.file.path.rename(folder / board.file.path.name)

