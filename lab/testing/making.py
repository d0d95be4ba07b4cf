"""Small experiments with any agent, for the checks."""

import copy
import functools
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any, Protocol

from .. import checkpoint
from ..assembly import Assembled, assemble
from ..budget import Budget, Periods
from ..compose import composed
from ..config import LabConfig
from ..contract import Batch, Stream
from ..errors import UsageError
from ..host import host
from ..runner import Runner
from ..state import frozen_rng
from .envs import TINY, register

Log = list[tuple[int, dict[str, float]]]
NEVER = 10**12
PATIENCE = 100_000                # steps of a warm-up
STRIDES: dict[str, int] = {}      # config: counts per update
QUIET = ("compute.device=cpu", "compute.threads=1", "evaluate.episodes=2", "evaluate.videos=0")


class Make(Protocol):
    """Assembles the same experiment anew; `initial` seeds other first weights, `changes` are further overrides."""

    def __call__(self, *changes: str, initial: int | None = None) -> Assembled: ...


def maker(agent: str, *overrides: str) -> Make:
    """For an agent by name: small, on the kit's own tiny world unless the overrides name one.

    Raises UsageError where the agent fits none of the tiny worlds.
    """
    register()
    entry = host().entry("agent", agent)
    chosen = {each.partition("=")[0] for each in overrides}
    small = [each for each in getattr(entry, "small", ()) if each.partition(".")[0] not in chosen]    # model=other
    base = [f"+agent={agent}", *small, *overrides, *QUIET]
    own = bool({"env", "data"} & chosen)
    world = [] if own or getattr(entry, "learns_from", "env") != "env" else tiny_world(base)

    def make(*changes: str, initial: int | None = None) -> Assembled:
        return assemble(config([*base, *world, *changes]), initial)

    return make


def config(overrides: list[str]) -> LabConfig:
    """Later ones win where two name one key."""
    last = {each.partition("=")[0]: each for each in overrides}
    return copy.deepcopy(composed_once(tuple(last.values())))


@functools.cache
def composed_once(overrides: tuple[str, ...]) -> LabConfig:
    """Composing takes longer than most experiments of the checks."""
    return composed(overrides)


def tiny_world(base: list[str]) -> list[str]:
    refused = []
    for id in TINY:
        world = ["env=gym", f"env.id={id}"]
        try:
            assemble(config([*base, *world]))
        except UsageError as error:
            refused.append(f"{id}: {error}")
        else:
            return world
    raise UsageError(f"the agent fits none of the kit's tiny environments; name one with env=. {'; '.join(refused)}")


class Killed(Exception):
    """Stands for a power cut."""


class Disk:
    """Writes checkpoints as a run does, keeps the log in memory."""

    def __init__(self, folder: Path):
        self.folder, self.lines = folder, Log()

    def log(self, count: int, updates: int, seconds: float, metrics: Mapping[str, float]) -> None:
        clockless = {name: value for name, value in metrics.items() if not name.startswith(("time/", "system/"))}
        self.lines.append((count, clockless))

    def media(self, count: int, name: str, value: Any) -> None:
        """Pictures are not compared."""

    def save(self, count: int, state: Mapping[str, Any]) -> None:
        checkpoint.write(self.folder, count, dict(state), keep=1000)

    def read(self, count: int) -> dict[str, Any]:
        return checkpoint.read(self.folder / f"{count:012}")


def runner(made: Assembled, folder: Path, evaluate: int = NEVER) -> tuple[Runner, Log]:
    """A runner that logs every 20 updates' worth of count and evaluates every `evaluate`."""
    disk = Disk(folder)
    stride = per_update(made)
    short = replace(made.experiment, closing={})              # pictures of the end take longer than the run
    made_runner = Runner(short, made.compute, disk, Periods(20 * stride, evaluate * stride, NEVER))
    return made_runner, disk.lines


def per_update(made: Assembled) -> int:
    """Counts per update, found by trying on a twin, once for each config; warm-up aside."""
    if (known := repr(made.cfg)) not in STRIDES:
        with frozen_rng():
            stream = assemble(made.cfg).experiment.stream
            next_batch(stream)
            first = stream.count
            next_batch(stream)
        STRIDES[known] = max(stream.count - first, 1)
    return STRIDES[known]


def next_batch(stream: Stream) -> Batch:
    """Asks until there is one. Raises AssertionError where none comes."""
    for _ in range(PATIENCE):
        if (batch := stream.next()) is not None:
            return batch
    raise AssertionError(f"the stream was asked {PATIENCE:,} times and gave no batch")


def undisturbed(make: Make, folder: Path) -> tuple[Runner, Log]:
    """The run that the others are compared with, and its log."""
    whole, log = runner(make(), folder, evaluate=25)
    whole.run(Budget(updates=130))
    return whole, log


def killed(updates: int, make: Make, folder: Path) -> Log:
    """The log of a run that saves before update `updates` + 1 and dies."""
    at, log = runner(make(), folder, evaluate=25)
    original = at.stream.next

    def next_or_die() -> Batch | None:
        if at.updates == updates:
            at.save()
            raise Killed
        return original()

    at.stream.next = next_or_die  # type: ignore[method-assign]
    with suppress(Killed):
        at.run(Budget(updates=updates + 10))
    return log


def first_difference(a: list[Any], b: list[Any]) -> str:
    if len(a) != len(b):
        return f"{len(a)} lines and {len(b)}"
    return next((f"{x} and {y}" for x, y in zip(a, b, strict=True) if x != y), "nothing")
