"""How fast something goes, how long it will take, and both in few characters."""

import math
from collections import deque
from dataclasses import dataclass

WINDOW = 10.0                     # seconds over which a rate is taken


@dataclass(frozen=True)
class Sample:
    seconds: float
    count: int
    done: float                   # from 0 to 1


class Pace:
    """Counts per second (`rate`) and fraction per second (`speed`), over the last ten seconds.

    After a longer gap, as when the process was stopped (Ctrl-Z), the last ones stay until new samples come.
    """

    def __init__(self) -> None:
        self.samples = deque[Sample]()
        self.rate: float | None = None
        self.speed: float | None = None

    def add(self, new: Sample) -> None:
        self.samples.append(new)
        while new.seconds - self.samples[0].seconds > WINDOW:
            self.samples.popleft()
        old = self.samples[0]
        if (span := new.seconds - old.seconds) > 0.1:
            self.rate, self.speed = (new.count - old.count) / span, (new.done - old.done) / span


def number(value: float) -> str:
    """Three significant digits, whole from 100 on: 0.0012, 12.3, 480, 8,100."""
    return f"{value:,.0f}" if 100 <= abs(value) < 1e15 else f"{value:.3g}"


def clock(seconds: float) -> str:
    """0:04, 12:34 or 1:02:03."""
    minutes, left = divmod(math.ceil(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{left:02}" if hours else f"{minutes}:{left:02}"
