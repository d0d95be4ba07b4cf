"""How long a run goes on, and when it looks up from its work; counts are in the unit of its stream."""

from dataclasses import dataclass


@dataclass
class Periods:
    """In the stream's own unit; each fires when a multiple of it is crossed."""

    log: int
    evaluate: int
    save: int


@dataclass
class Budget:
    """Ends at whichever is reached first; counts what was done before a resume."""

    steps: float = float("inf")             # in the stream's own unit
    updates: float = float("inf")
    seconds: float = float("inf")           # of training, all sittings together

    def used(self, count: int, updates: int, seconds: float) -> float:
        """The share of it; 1 where it is used up."""
        return max(count / self.steps, updates / self.updates, seconds / self.seconds)


def after(count: int, period: int) -> int:
    """The first multiple of `period` past `count`."""
    return (count // period + 1) * period
