"""Does the resume check notice what is forgotten? Drop each name from each `saved`, one at a time."""

import shutil
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any
from unittest.mock import patch

from ..errors import LabError
from ..runner import Runner
from ..state import Saved
from .checks import KILLS, goes_on
from .making import Log, Make, killed, runner, undisturbed

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
    logs = {kill: killed(kill, make, folder / f"killed-{kill}") for kill in KILLS}
    names = [(kind, name) for kind in among or kinds(make, folder / "look") for name in kind.saved]
    return [f"{kind.__name__}.{name}" for kind, name in names if survives(kind, name, whole, logs, make, folder)]


def survives(kind: type[Saved], name: str, whole: tuple[Runner, Log], logs: Mapping[int, Log], make: Make,
             folder: Path) -> bool:
    """Whether the killed runs go on rightly from checkpoints without `name`."""
    with forgotten(kind, name), suppress(*CAUGHT):
        for kill, log in logs.items():
            copy = folder / kind.__name__ / name / str(kill)
            shutil.copytree(folder / f"killed-{kill}", copy)
            goes_on(kill, log, whole, make, copy)
        return True
    return False


@contextmanager
def forgotten(kind: type[Saved], name: str) -> Iterator[None]:
    """`name` is not saved, and not read from a checkpoint that has it; in subclasses that name it themselves it is."""
    real = kind.load_state_dict

    def load(self: Saved, state: Mapping[str, Any]) -> None:
        real(self, {key: value for key, value in state.items() if key != name or key in self.saved})

    rest = tuple(each for each in kind.saved if each != name)
    with patch.object(kind, "saved", rest), patch.object(kind, "load_state_dict", load):
        yield
