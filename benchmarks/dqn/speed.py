"""DQN on CartPole with rl-zoo3's hyperparameters: the lab against Stable-Baselines3, one thread each.

    python -m benchmarks.dqn.speed [--quick] [--trials 5] [--sides lab lab-compile sb3]

Each trial is a process of its own, and the sides take turns. The clock runs over training alone: SB3's `learn` (which
does not evaluate or save), and the lab's Runner with metrics.jsonl and the TensorBoard file, no evaluation and no
checkpoint. Imports, construction and, for lab-compile, compilation come before it; compilation is reported apart.
"""

import argparse
import json
import statistics
import sys
import tempfile
import time
from functools import partial
from pathlib import Path
from typing import Any

from .. import common

STEPS, QUICK, SEED, TARGET = 50_000, 10_000, 0, 0.6
SIDES = ("lab", "lab-compile", "sb3")
ZOO = "+experiment=dqn_cartpole_zoo"
# ^ SB3's target network is renewed every 10 steps, but only looked at between updates: once per 128 gradient steps.


def sb3(steps: int, seed: int) -> dict[str, Any]:
    from stable_baselines3 import DQN

    common.one_thread()
    model = DQN("MlpPolicy", "CartPole-v1", learning_rate=2.3e-3, batch_size=64, buffer_size=100_000, gamma=0.99,
                learning_starts=1000, target_update_interval=10, train_freq=256, gradient_steps=128, max_grad_norm=10,
                exploration_fraction=8000 / steps, exploration_final_eps=0.04, policy_kwargs={"net_arch": [256, 256]},
                seed=seed, device="cpu")
    took = common.timed(lambda: model.learn(steps))
    return {**took, "gradient_steps": model._n_updates, "steps": model.num_timesteps}


def lab(steps: int, seed: int, jit: str) -> dict[str, Any]:
    from lab.assembly import assemble
    from lab.budget import Budget, Periods
    from lab.compose import composed
    from lab.runner import Runner

    from ..core.records import NEVER, Files

    cfg = composed([ZOO, f"seed={seed}", f"budget.steps={steps}", f"compute.jit={jit}",
                    "compute.device=cpu", "compute.threads=1", "evaluate.videos=0"])
    made = assemble(cfg)
    compiling = warm(made) if jit != "eager" else 0.0
    with tempfile.TemporaryDirectory() as folder:
        runner = Runner(made.experiment, made.compute, Files(Path(folder)), Periods(cfg.log.every or 1, NEVER, NEVER))
        runner.evaluators, runner.closing = {}, {}
        took = common.timed(lambda: runner.run(Budget(steps=steps)))
    learner: Any = made.experiment.learner
    return {**took, "gradient_steps": learner.steps, "steps": runner.stream.count, "compile_s": compiling}


def warm(made: Any) -> float:
    """Seconds until the update is compiled: one update on a twin's batch, which the weights feel too."""
    from lab.assembly import assemble
    from lab.testing import next_batch

    batch = next_batch(assemble(made.cfg).experiment.stream)
    before = time.perf_counter()
    made.experiment.learner.update(batch)
    made.experiment.learner.steps = 0
    return time.perf_counter() - before


def trial(side: str, steps: int, seed: int) -> dict[str, Any]:
    return sb3(steps, seed) if side == "sb3" else lab(steps, seed, "compile" if side == "lab-compile" else "eager")


def compare(args: argparse.Namespace) -> None:
    steps = QUICK if args.quick else STEPS
    name = common.module_name()
    sides = {side: partial(common.in_process, name, "--trial", side, "--steps", str(steps)) for side in args.sides}
    found = common.interleaved(sides, args.trials)
    rows = [row(side, found) for side in args.sides]
    notes = {"seeds": SEED, "trials": args.trials, "steps": steps, "target": f"lab: wall_of_sb3 <= {TARGET}"}
    common.report(rows, {**notes, "clocks": common.CLOCKS}, args.quick)


def row(side: str, found: dict[str, list[dict[str, Any]]]) -> dict[str, Any]:
    mine, theirs = found[side], found.get("sb3", found[side])
    cells: dict[str, Any] = {"side": side}
    for clock in ("wall_s", "cpu_s"):
        a, b = [each[clock] for each in mine], [each[clock] for each in theirs]
        low, high = common.interval(lambda x, y: statistics.median(x) / statistics.median(y), a, b, resamples=2000)
        ratio = statistics.median(a) / statistics.median(b)
        cells |= {clock: common.stats(a), clock.replace("_s", "_of_sb3"): f"{ratio:.3f} [{low:.3f}, {high:.3f}]"}
    compiling = round(statistics.median(each.get("compile_s", 0.0) for each in mine), 2)
    return {**cells, "compile_s": compiling, **{key: mine[0][key] for key in ("steps", "gradient_steps")}}


def main() -> None:
    parser = common.options(__doc__)
    parser.add_argument("--sides", nargs="+", choices=SIDES, default=list(SIDES))
    parser.add_argument("--trial", choices=SIDES, help="one trial of one side, in this process")
    parser.add_argument("--steps", type=int, default=STEPS)
    args = parser.parse_args()
    if args.trial:
        print(json.dumps(trial(args.trial, args.steps, SEED)), file=sys.stdout)
    else:
        compare(args)


if __name__ == "__main__":
    main()
