"""The console during training, on standard error: a live bar on a terminal, plain lines anywhere else."""

import math
import os
import sys
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import TextIO

from rich.console import Console, Group
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from .pace import Pace, Sample, clock, number

PREFERRED = ("eval/return/mean", "episode/return", "eval/test/accuracy", "eval/test/rmse", "eval/accuracy", "eval/loss")
PERIOD = 0.25                     # seconds between two looks at the count
GONE = (OSError, ValueError)      # what a closed terminal or a broken pipe raises


@dataclass(frozen=True)
class Moment:
    """What there is to show: `done` from 0 to 1, or None where nobody knows."""

    count: int
    done: float | None
    head: str
    figures: str

    def __str__(self) -> str:
        return f"{self.head}  {self.figures}".rstrip()


class Progress:
    """Shows how far a run is, while it is open. Nothing of it is in the training loop: a thread reads the count.

    `total` is the count at the end, `unit` its unit; where there is no total, `fraction` says how much of the budget
    is used, from 0 to 1. Plain lines come at most once in `every` seconds, except evaluations and the last one.
    """

    def __init__(self, total: int | None, unit: str, read: Callable[[], int],
                 fraction: Callable[[], float] | None = None, every: float = 2.0):
        self.total, self.unit, self.read, self.fraction = total, unit, read, fraction
        self.pace, self.latest = Pace(), dict[str, float]()
        self.view: Bar | Lines = Bar(sys.stderr) if interactive(sys.stderr) else Lines(sys.stderr, every)
        self.over = threading.Event()
        self.thread = threading.Thread(target=self._watch, name="lab-progress", daemon=True)

    def __enter__(self) -> "Progress":
        self._look()
        self.thread.start()
        return self

    def __exit__(self, *failure: object) -> None:
        self.over.set()
        self.thread.join(timeout=2)
        self._look()
        self.view.close(self._moment())

    def update(self, metrics: Mapping[str, float]) -> None:
        """Take the metrics of a record, and show those of them that matter most."""
        self.latest = {**self.latest, **metrics}
        self.view.show(self._moment(), at_once=any(name.startswith("eval/") for name in metrics))

    def note(self, text: str) -> None:
        """A line of its own, above the bar."""
        self.view.note(text)

    def _watch(self) -> None:
        while not self.over.wait(PERIOD):
            self._look()
            self.view.tick(self._moment())

    def _done(self, count: int) -> float | None:
        done = self.fraction() if self.fraction else count / self.total if self.total else None
        return None if done is None else min(max(done, 0.0), 1.0)

    def _look(self) -> None:
        count = self.read()
        self.pace.add(Sample(time.monotonic(), count, self._done(count) or 0.0))

    def _moment(self) -> Moment:
        count = self.read()
        done, rate = self._done(count), self.pace.rate
        parts = [f"{count:,}/{self.total:,} {self.unit}" if self.total else f"{count:,} {self.unit}"]
        parts += [] if done is None else [f"{math.floor(100 * done + 1e-9)}%"]
        parts += [f"{number(float(f'{rate:.3g}'))} {self.unit}/s"] if rate else []
        parts += [f"{clock((1 - done) / self.pace.speed)} left"] if done and done < 1 and self.pace.speed else []
        shown = [f"{name} {number(self.latest[name])}" for name in figures(self.latest)]
        return Moment(count, done, "  ".join(parts), "  ".join(shown))


class Lines:
    """Plain text without escape codes, for files, pipes and simple terminals."""

    def __init__(self, stream: TextIO | None, every: float):
        self.stream, self.every, self.next = stream, every, 0.0
        self.last: tuple[int, str] | None = None

    def tick(self, moment: Moment) -> None:
        """Lines come with the records only."""

    def show(self, moment: Moment, at_once: bool) -> None:
        if at_once or time.monotonic() >= self.next:
            self.next, self.last = time.monotonic() + self.every, (moment.count, moment.figures)
            self.note(str(moment))

    def close(self, moment: Moment) -> None:
        if self.last != (moment.count, moment.figures):
            self.note(str(moment))

    def note(self, text: str) -> None:
        with suppress(*GONE):
            if self.stream is not None:
                print(text, file=self.stream, flush=True)


class Bar:
    """One or two live lines at the bottom of a terminal."""

    def __init__(self, stream: TextIO):
        # Standard output and error stay as they are: a forked environment that prints must not meet our locks.
        self.live = Live(console=Console(file=stream), auto_refresh=False, redirect_stdout=False, redirect_stderr=False)

    def tick(self, moment: Moment) -> None:
        with suppress(*GONE):
            if not self.live.is_started:
                self.live.start()
                self.live.console.show_cursor()          # a killed run must not leave a terminal without one
            self.live.update(self.rows(moment), refresh=True)

    def show(self, moment: Moment, at_once: bool) -> None:
        """The next tick shows it."""

    def close(self, moment: Moment) -> None:
        self.tick(moment)
        with suppress(*GONE):
            self.live.stop()

    def note(self, text: str) -> None:
        with suppress(*GONE):
            self.live.console.print(text, markup=False, highlight=False, soft_wrap=True)

    def rows(self, moment: Moment) -> Group:
        """The bar with how far and how fast; below it the figures, which would not fit beside."""
        bar = ProgressBar(total=None if moment.done is None else 1.0, completed=moment.done or 0.0, width=20,
                          complete_style="cyan", finished_style="green")
        row = Table.grid(padding=(0, 1))
        row.add_row(bar, Text(moment.head, no_wrap=True, overflow="ellipsis"))
        return Group(row, *([Text(moment.figures, no_wrap=True, overflow="ellipsis")] if moment.figures else []))


def interactive(stream: TextIO | None) -> bool:
    """Whether escape codes may be written there."""
    try:
        return stream is not None and stream.isatty() and os.environ.get("TERM") != "dumb"
    except ValueError:            # closed
        return False


def figures(metrics: Mapping[str, float]) -> list[str]:
    """The two or three names that matter most: of training first, of evaluation last."""
    names = [name for name in PREFERRED if name in metrics][:2]
    evaluated = [name for name in metrics if name.startswith("eval/")]
    if not any(name in evaluated for name in names):
        names += evaluated[:1]
    names += [name for name in metrics if name.startswith("loss/")][: 3 - len(names)]
    return sorted(names, key=lambda name: name.startswith("eval/"))
