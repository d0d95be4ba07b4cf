"""Does the resume check notice what is forgotten? Drop each name from each `saved`, one at a time."""

from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path
from unittest.mock import patch

from ..errors import LabError
from ..runner import Runner
from ..state import Saved
from .checks import KILLS, resumes_at, undisturbed
from .making import Log, Make, runner

CAUGHT = (AssertionError, KeyError, RuntimeError, ValueError, TypeError, AttributeError, IndexError, ZeroDivisionError,
          LabError)


def parts(root: object, seen: set[int] | None = None) -> Iterator[Saved]:
    """Every Saved object that `root` holds, also in lists and dicts, itself included."""
    seen = set() if seen is None else seen
    if id(root) in seen:
        return
    seen.add(id(root))
    if isinstance(root, Saved):
        yield root
    held = vars(root) if isinstance(root, Saved) else root
    for value in held.values() if isinstance(held, dict) else held if isinstance(held, list | tuple) else ():
        yield from parts(value, seen)


def kinds(make: Make, folder: Path) -> list[type[Saved]]:
    """The classes whose `saved` the agent relies on."""
    at, _ = runner(make(), folder)
    return list(dict.fromkeys(type(part) for root in (at.learner, at.stream, at.meter) for part in parts(root)))


def survivors(make: Make, folder: Path, among: Iterable[type[Saved]] | None = None) -> list[str]:
    """The names whose loss the check did not notice, as Class.name; good is none. `among`: these classes alone."""
    whole = undisturbed(make, folder / "whole")
    names = [(kind, name) for kind in among or kinds(make, folder / "look") for name in kind.saved]
    return [f"{kind.__name__}.{name}" for kind, name in names
            if survives(kind, name, whole, make, folder / kind.__name__ / name)]


def survives(kind: type[Saved], name: str, whole: tuple[Runner, Log], make: Make, folder: Path) -> bool:
    rest = tuple(each for each in kind.saved if each != name)
    with patch.object(kind, "saved", rest), suppress(*CAUGHT):
        for kill in KILLS:
            resumes_at(kill, whole, make, folder / str(kill))
        return True
    return False
