"""Does the resume check notice what is forgotten? Drop each name from each `saved`, one at a time."""

from collections.abc import Iterator
from pathlib import Path
from unittest.mock import patch

from ..errors import LabError
from ..state import Saved
from .checks import resume_is_exact
from .making import Make, runner

KILLED = (AssertionError, KeyError, RuntimeError, ValueError, TypeError, AttributeError, IndexError, ZeroDivisionError,
          LabError)


def parts(root: object, seen: set[int] | None = None) -> Iterator[Saved]:
    """Every Saved object that `root` holds, itself included."""
    seen = set() if seen is None else seen
    if id(root) in seen:
        return
    seen.add(id(root))
    if isinstance(root, Saved):
        yield root
        for value in vars(root).values():
            yield from parts(value, seen)


def survivors(make: Make, folder: Path) -> list[str]:
    """The names whose loss no check noticed, as Class.name; good is none."""
    at, _ = runner(make(), folder / "look")
    classes = {type(part): None for root in (at.learner, at.stream, at.meter) for part in parts(root)}
    found = []
    for kind in classes:
        for name in kind.saved:
            rest = tuple(each for each in kind.saved if each != name)
            with patch.object(kind, "saved", rest):
                try:
                    resume_is_exact(make, folder / kind.__name__ / name)
                    found.append(f"{kind.__name__}.{name}")
                except KILLED:
                    pass
    return found
