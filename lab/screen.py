"""What the lab says, on the screen: beside the progress bar while there is one."""

import logging
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Protocol


class Noting(Protocol):
    def note(self, text: str) -> None: ...


class Screen(logging.Handler):
    progress: Noting | None = None

    def emit(self, record: logging.LogRecord) -> None:
        text = f"lab: {record.getMessage()}"
        if self.progress is not None:
            self.progress.note(text)
        else:
            with suppress(OSError, ValueError):           # a closed terminal stops no training
                print(text, file=sys.stderr)

    @contextmanager
    def beside(self, progress: Noting) -> Iterator[None]:
        """While the bar is there."""
        self.progress = progress
        try:
            yield
        finally:
            self.progress = None


SCREEN = Screen()


def complain(error: Exception) -> None:
    """One paragraph for a user; others' messages may have many lines."""
    with suppress(OSError, ValueError):
        print(f"lab: {' '.join(str(error).split())}", file=sys.stderr)


def install() -> None:
    """Once, by the command line; a program that uses the lab as a library keeps its own handlers."""
    log = logging.getLogger("lab")
    log.setLevel(logging.INFO)
    log.propagate = False                 # Hydra's own handlers would say everything twice
    if SCREEN not in log.handlers:
        log.addHandler(SCREEN)
