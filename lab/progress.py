"""The console during training: a live bar on a terminal, plain lines anywhere else. All on standard error."""

import logging
import math
import os
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any, TextIO

from rich.console import Console
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

PREFERRED = ("eval/return/mean", "episode/return", "eval/accuracy", "eval/loss")
PERIOD = 0.25                     # seconds between looks at the count
WINDOW = 10.0                     # seconds over which the rate is taken
GONE = (OSError, ValueError)      # what a closed terminal or a broken pipe raises


class Progress:
    """Shows how far a run is, while it is open. Nothing of it stands in the training loop: a thread reads the count.

    `total` is the count at the end, or None where only `fraction` (0 to 1, of a budget in minutes) or nothing is known;
    `unit` is that of the count; `every` the seconds between plain lines (evaluations and the last are always shown).
    """

    def __init__(self, total: int | None, unit: str, read: Callable[[], int],
                 fraction: Callable[[], float] | None = None, every: float = 2.0):
        self.total, self.unit, self.read, self.fraction = total, unit, read, fraction
        self.pace, self.figures = Pace(), dict[str, float]()
        self.view: Bar | Lines = Bar() if interactive(sys.stderr) else Lines(sys.stderr, every)
        self.over = threading.Event()
        self.thread = threading.Thread(target=self._watch, name="lab-progress", daemon=True)

    def __enter__(self) -> "Progress":
        self._look()
        self.view.open()
        self.thread.start()
        return self

    def __exit__(self, *failure: object) -> None:
        self.over.set()
        self.thread.join(timeout=2)
        self._look()
        self.view.close(*self._state())

    def update(self, metrics: Mapping[str, float]) -> None:
        """Take the metrics of a record; the figures that matter most of them are shown."""
        self.figures |= {name: metrics[name] for name in chosen(metrics)}
        important = any(name.startswith("eval/") for name in metrics)
        self.view.show(*self._state(), important=important)

    def note(self, text: str) -> None:
        """A line of its own; the bar stays below it."""
        self.view.note(text)

    def _watch(self) -> None:
        while not self.over.wait(PERIOD):
            self._look()
            self.view.tick(*self._state())

    def _look(self) -> None:
        count = self.read()
        done = self.fraction() if self.fraction else count / self.total if self.total else None
        self.pace.add(Sample(time.monotonic(), time.process_time(), count, done))

    def _state(self) -> tuple[float | None, str]:
        """The fraction done, and the words beside it."""
        ...
