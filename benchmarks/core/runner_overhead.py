"""Microseconds per update that the Runner adds over a loop written by hand around the same learner and stream.

    python -m benchmarks.core.runner_overhead [--quick] [--trials 15]

    by hand     the loop below: keeps the metrics, stacks and averages them once per log
    runner      lab.runner.Runner with its meter, its checks and a log to memory
    with files  the same, logging to metrics.jsonl and TensorBoard

Twice: with an almost empty learner, where the difference is all there is, and with a small DQN on CartPole. The sides
take turns in one process, in blocks of updates, each side with a twin of the same learner and stream. A block of the
Runner ends with a log, which is in the clock, and without the evaluation and the save that a whole run ends with.
"""

import argparse
import statistics
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torch

from lab.assembly import assemble
from lab.budget import Budget, Periods
from lab.compose import composed
from lab.compute import Compute
from lab.config import ComputeConfig
from lab.contract import Batch, Experiment, Learner, Metrics, Stream
from lab.runner import Runner
from lab.testing import next_batch

from .. import common
from .records import NEVER, Files, Memory

TARGET = 5.0
SMALL = ("agent.batch_size=32", "agent.train_every=4", "agent.gradient_steps=1", "model.hidden=[32]")     # little noise
Block = Callable[[int], None]     # trains for so many updates


class Nothing(Learner):
    """Three metrics and no work."""

    def __init__(self) -> None:
        self.metrics = {name: torch.tensor(0.5) for name in ("loss/a", "loss/b", "grad/norm")}

    def update(self, batch: Batch) -> Metrics:
        return self.metrics


class Ticks(Stream):
    """The same batch again and again."""

    saved = ("count",)

    def __init__(self) -> None:
        self.batch: Batch = {"obs": torch.zeros(1, 1)}

    def next(self) -> Batch:
        self.count += 1
        return self.batch


class Blocks(Runner):
    """Ends a budget with the last log alone: many budgets make one run."""

    def finish(self) -> None:
        self.log()


@dataclass
class Pair:
    name: str
    make: Callable[[], tuple[Experiment, Compute]]
    updates: int                  # per block
    log_every: int                # in the stream's unit, as a default run would


def empty() -> tuple[Experiment, Compute]:
    return Experiment(Nothing(), Ticks()), Compute(ComputeConfig(device="cpu", threads=1))


def dqn() -> tuple[Experiment, Compute]:
    made = assemble(composed(["+agent=dqn", "env=CartPole", "compute.device=cpu", "compute.threads=1", *SMALL]))
    return made.experiment, made.compute


def by_hand(pair: Pair) -> Block:
    made, _ = pair.make()
    next_batch(made.stream)           # the warm-up is over
    learner, stream, lines = made.learner, made.stream, list[list[float]]()

    def block(updates: int) -> None:
        kept, due = list[Metrics](), stream.count + pair.log_every
        for _ in range(updates):
            kept.append(learner.update(stream.next()))
            if stream.count >= due:
                lines.append(means(kept))
                kept, due = [], due + pair.log_every

    return block


def means(kept: list[Metrics]) -> list[float]:
    return torch.stack([row[name] for row in kept for name in row]).view(len(kept), -1).mean(0).tolist()


def by_runner(pair: Pair, record: Any) -> Block:
    made, compute = pair.make()
    next_batch(made.stream)
    runner = Blocks(Experiment(made.learner, made.stream), compute, record, Periods(pair.log_every, NEVER, NEVER))
    return lambda updates: runner.run(Budget(updates=runner.updates + updates))


def measure(pair: Pair, trials: int) -> list[dict[str, Any]]:
    common.one_thread()
    with tempfile.TemporaryDirectory() as folder:
        blocks = {"by hand": by_hand(pair), "runner": by_runner(pair, Memory()),
                  "with files": by_runner(pair, Files(Path(folder)))}
        for block in blocks.values():
            block(min(pair.updates, 2_000))
        works = {side: partial(common.timed, partial(block, pair.updates)) for side, block in blocks.items()}
        found = common.interleaved(works, trials)
    return [row(pair, side, found) for side in blocks]


def row(pair: Pair, side: str, found: dict[str, list[dict[str, float]]]) -> dict[str, Any]:
    """Microseconds per update; `added` is the median over trials of the difference to the loop by hand beside it."""
    cells: dict[str, Any] = {"learner": pair.name, "side": side}
    for clock in ("wall_s", "cpu_s"):
        mine, base = ([1e6 * each[clock] / pair.updates for each in found[name]] for name in (side, "by hand"))
        added = [a - b for a, b in zip(mine, base, strict=True)]
        name = clock.removesuffix("_s")
        cells |= {f"{name}_us": round(statistics.median(mine), 2), f"{name}_added_us": common.stats(added)}
    return {**cells, "updates": pair.updates, "trials": len(found[side])}


def main() -> None:
    args: argparse.Namespace = common.options(__doc__, trials=15).parse_args()
    trials, scale = (5, 5) if args.quick else (args.trials, 1)
    pairs = [Pair("empty", empty, 50_000 // scale, 1_000), Pair("dqn", dqn, 4_000 // scale, 500)]
    rows = [row for pair in pairs for row in measure(pair, trials)]
    common.report(rows, {"seeds": 0, "unit": "microseconds per update", "target": f"runner: wall_added_us <= {TARGET}",
                         "clocks": common.CLOCKS}, args.quick)


if __name__ == "__main__":
    main()
