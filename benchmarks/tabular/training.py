"""One training run through the lab's own path, without a run folder: compose, assemble, Runner."""

from dataclasses import dataclass, field
from typing import Any

from lab.assembly import Assembled, assemble
from lab.budget import Budget, Periods
from lab.compose import composed
from lab.runner import Runner

from .. import common

NEVER = 10**15
QUIET = ("compute.device=cpu", "compute.threads=1", "evaluate.videos=0")


@dataclass
class Memory:
    """A record in memory: what was logged."""

    lines: list[dict[str, float]] = field(default_factory=list)

    def log(self, count: int, updates: int, seconds: float, metrics: Any) -> None:
        self.lines.append(dict(metrics))

    def media(self, count: int, name: str, value: Any) -> None:
        """Nothing is drawn."""

    def save(self, count: int, state: Any) -> None:
        """Nothing is kept."""


def made(agent: str, env: str, seed: int, *overrides: str) -> Assembled:
    """The experiment of `+agent=AGENT env=ENV`; `env` is a name of the config group, or an id with a "-v" in it."""
    world = [f"env={env}"] if "-v" not in env else ["env=gym", f"env.id={env}"]
    return assemble(composed([f"+agent={agent}", *world, f"seed={seed}", *QUIET, *overrides]))


def train(it: Assembled, evaluate: bool = True) -> dict[str, float]:
    """Spend the whole budget, logging each hundredth of it; the last value of each metric, wall_s and cpu_s."""
    common.one_thread()
    runner = Runner(it.experiment, it.compute, Memory(), Periods(it.cfg.log.every or 1, NEVER, NEVER))
    if not evaluate:
        runner.evaluators, runner.closing = {}, {}
    took = common.timed(lambda: runner.run(Budget(steps=it.cfg.budget.steps or NEVER)))
    return {**runner.final, **took, "steps": runner.stream.count}
