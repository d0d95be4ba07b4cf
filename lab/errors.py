"""What can go wrong, each with the exit code of the command. The message says what, where and what to do."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from difflib import get_close_matches

MANY, TOO_MANY = 30, 40         # names that are too many to be listed where one of them is near, and where none is


class LabError(Exception):
    """Shown to the user as one paragraph, never as a traceback."""

    exit_code = 1                 # an agent or an environment failed


class UsageError(LabError):
    """A bad command or config; raised before anything is created."""

    exit_code = 2


class Diverged(LabError):
    """A loss or a gradient stopped being finite; the weights are those of before."""

    exit_code = 3


class ResumeError(LabError):
    """A checkpoint or a run folder that cannot be continued."""

    exit_code = 4


class DiskError(LabError):
    """No space, or no permission."""

    exit_code = 5


class RunInUse(LabError):
    """Another live process trains in this run folder."""

    exit_code = 6


class EnvError(LabError):
    """An environment raised, or returned something that no agent can learn from."""


class DataError(LabError):
    """A part of a dataset that cannot be read, found out when training came to it."""


@contextmanager
def making(what: str) -> Iterator[None]:
    """Raises UsageError where that cannot be made, whatever its author raises."""
    try:
        yield
    except LabError:
        raise
    except (Exception, SystemExit) as error:
        raise UsageError(f"{what} cannot be made: {type(error).__name__}: {' '.join(str(error).split())}") from error


def first_line(error: BaseException) -> str:
    return " ".join(str(error).split("\n")[0].split())


def nearest(name: str, known: Iterable[str], meant: str = "",
            many: str = "`python -m lab --help` lists all {}.") -> str:
    """A clause for error messages: what was `meant`, else the nearest right name, if any is near, then all of them.

    `many` is said in place of all where there are many and one is near, or far too many.
    """
    names = sorted(known)
    lower = {each.lower(): each for each in names}
    near = [meant] if meant else [lower[each] for each in get_close_matches(str(name).lower(), lower, 1)]
    if len(names) > (MANY if near else TOO_MANY):
        return f"{f'Did you mean {near[0]!r}? ' if near else ''}{many.format(len(names))}"
    hint = f"Did you mean {near[0]!r}? " if near else ""
    return f"{hint}Known: {', '.join(names) or 'none'}."


def closest(name: str, known: Iterable[str]) -> str:
    """The same for names that the help does not list, such as columns."""
    return nearest(name, known, many="There are {}.")


def within(name: str, value: float | None, low: float, high: float) -> None:
    """Raises UsageError unless low <= value <= high; None passes."""
    if value is not None and not low <= value <= high:
        raise UsageError(f"{name} is {value}; expected a number from {low:,} to {high:,}")


def one_of(name: str, value: str, known: Iterable[str]) -> None:
    """Raises UsageError, with the nearest right one, unless `value` is among `known`."""
    if value not in known:
        raise UsageError(f"{name}={value} is not known. {nearest(value, known)}")
