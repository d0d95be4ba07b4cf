"""How fast something goes, how long it will take, and both in few characters."""

import math
from collections import deque
from dataclasses import dataclass

WINDOW = 10.0                     # seconds over which a rate is taken


@dataclass(frozen=True)
class Sample:
    seconds: float
    cpu: float                    # seconds of processor time
    count: int
    done: float


class Pace:
    """Counts per second (`rate`) and fraction per second (`speed`), over the last ten seconds.

    Time during which the process was stopped (Ctrl-Z, SIGSTOP) does not count: then the clock runs, but no processor.
    """

    def __init__(self) -> None:
        self.samples = deque[Sample]()
        self.rate: float | None = None
        self.speed: float | None = None

    def add(self, new: Sample) -> None:
        if self.samples and stopped(self.samples[-1], new):
            self.samples.clear()
        self.samples.append(new)
        while new.seconds - self.samples[0].seconds > WINDOW:
            self.samples.popleft()
        old = self.samples[0]
        if (span := new.seconds - old.seconds) > 0.1:
            self.rate, self.speed = (new.count - old.count) / span, (new.done - old.done) / span


def stopped(old: Sample, new: Sample) -> bool:
    gap = new.seconds - old.seconds
    return gap > 2 and new.cpu - old.cpu < gap / 10


def number(value: float) -> str:
    """Three significant digits, whole from 100 on: 0.0012, 12.3, 480, 8,100."""
    return f"{value:,.0f}" if 99.95 <= abs(value) < 1e15 else f"{value:.3g}"


def clock(seconds: float) -> str:
    """0:04, 12:34 or 1:02:03."""
    minutes, left = divmod(math.ceil(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{left:02}" if hours else f"{minutes}:{left:02}"
