"""Stopping cleanly: a handler only raises a flag, and the loops look at it where the state is whole."""

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType


class Stop(BaseException):
    """The user asked to stop. Not an Exception: no plugin's `except Exception` may swallow it."""

    def __init__(self, number: int):
        super().__init__(signal.Signals(number).name)
        self.exit_code = 128 + number         # 130 after Ctrl-C, 143 after SIGTERM


class Flags:
    """What has been asked since the last look."""

    def __init__(self) -> None:
        self.stop: int | None = None          # the signal that asks to stop
        self.save = False                     # SIGUSR1: save and go on
        self.any = False                      # one attribute for the hot loop to look at


FLAGS = Flags()


def check() -> None:
    """Call in any long wait, at a point where the state is whole. Raises Stop."""
    if FLAGS.stop is not None:
        raise Stop(FLAGS.stop)


def interrupted(number: int, frame: FrameType | None) -> None:
    """SIGINT while there is nothing to save. It is remembered: what it raises in a finalizer goes no further."""
    FLAGS.stop = number
    raise KeyboardInterrupt


@contextmanager
def handling() -> Iterator[None]:
    """First SIGINT or SIGTERM: stop at the next safe point. Second: at once. SIGUSR1: save and go on.

    Raises Stop for an interrupt that was dropped before.
    """
    check()
    FLAGS.__init__()  # type: ignore[misc]
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGUSR1)}
    owner = os.getpid()

    def on_signal(number: int, frame: FrameType | None) -> None:
        if os.getpid() != owner:              # a forked worker inherits the handler; its parent decides
            return
        FLAGS.any = True
        if number == signal.SIGUSR1:
            FLAGS.save = True
        elif FLAGS.stop is not None:
            os._exit(128 + number)
        else:
            FLAGS.stop = number

    try:
        for number in before:
            signal.signal(number, on_signal)
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
        FLAGS.__init__()  # type: ignore[misc]
