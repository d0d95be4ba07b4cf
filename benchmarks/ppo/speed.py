"""PPO on CartPole with rl-zoo3's hyperparameters: the lab against Stable-Baselines3, one thread each.

    python -m benchmarks.ppo.speed [--quick] [--trials 5] [--sides lab lab-compile sb3]

8 environments, 32 steps of each, 20 epochs of one minibatch of 256. Each trial is a process of its own, and the sides
take turns. The clock runs over training alone: SB3's `learn` (which does not evaluate or save), and the lab's Runner
with metrics.jsonl and the TensorBoard file, no evaluation and no checkpoint. Imports, construction and the first
updates, with compilation where there is one, come before it; their time is reported apart.
"""

import argparse
import json
import statistics
import sys
import tempfile
from functools import partial
from pathlib import Path
from typing import Any

from .. import common

STEPS, QUICK, SEED, WARM, TARGET = 50_000, 10_000, 0, 512, 2
SIDES = ("lab", "lab-compile", "sb3")
ZOO = "+experiment=ppo_cartpole_zoo"


def sb3(steps: int, seed: int) -> dict[str, Any]:
    from stable_baselines3 import PPO
    from stable_baselines3.common.env_util import make_vec_env

    common.one_thread()

    def model() -> PPO:
        return PPO("MlpPolicy", make_vec_env("CartPole-v1", 8, seed=seed), n_steps=32, batch_size=256, n_epochs=20,
                   gamma=0.98, gae_lambda=0.8, ent_coef=0.0, vf_coef=0.5, max_grad_norm=0.5, seed=seed, device="cpu",
                   learning_rate=lambda left: 1e-3 * left, clip_range=lambda left: 0.2 * left)

    warming, trained = common.timed(lambda: model().learn(WARM)), model()
    took = common.timed(lambda: trained.learn(steps))
    return {**took, "warm_s": warming["wall_s"], "steps": trained.num_timesteps,
            "gradient_steps": trained._n_updates}


def lab(steps: int, seed: int, jit: str) -> dict[str, Any]:
    from lab.assembly import assemble
    from lab.compose import composed
    from lab.runner import Budget, Periods, Runner

    from ..core.records import NEVER, Files

    cfg = composed([ZOO, f"seed={seed}", f"compute.jit={jit}", "compute.device=cpu", "compute.threads=1",
                    "evaluate.videos=0"])
    made = assemble(cfg)
    with tempfile.TemporaryDirectory() as folder:
        runner = Runner(made.experiment, made.compute, Files(Path(folder)), Periods(cfg.log.every or 1, NEVER, NEVER))
        runner.evaluators, runner.closing = {}, {}
        warming = common.timed(lambda: runner.run(Budget(steps=WARM)))
        took = common.timed(lambda: runner.run(Budget(steps=WARM + steps)))
    learner: Any = made.experiment.learner
    return {**took, "warm_s": warming["wall_s"], "steps": learner.steps - WARM,
            "gradient_steps": learner.optimizer.param_groups[0]["steps"] - WARM // 256 * 20}


def trial(side: str, steps: int, seed: int) -> dict[str, Any]:
    return sb3(steps, seed) if side == "sb3" else lab(steps, seed, "compile" if side == "lab-compile" else "eager")


def compare(args: argparse.Namespace) -> None:
    steps = QUICK if args.quick else STEPS
    name = common.module_name()
    sides = {side: partial(common.in_process, name, "--trial", side, "--steps", str(steps)) for side in args.sides}
    found = common.interleaved(sides, args.trials)
    rows = [row(side, found) for side in args.sides]
    notes = {"seeds": SEED, "trials": args.trials, "steps": steps, "target": f"lab: of_sb3 >= {TARGET}"}
    common.report(rows, {**notes, "clocks": common.CLOCKS}, args.quick)


def row(side: str, found: dict[str, list[dict[str, Any]]]) -> dict[str, Any]:
    """Environment steps per second by both clocks, and how many times those of SB3 they are."""
    mine, theirs = found[side], found.get("sb3", found[side])
    cells: dict[str, Any] = {"side": side}
    for clock in ("wall", "cpu"):
        a, b = ([each["steps"] / each[f"{clock}_s"] for each in trials] for trials in (mine, theirs))
        low, high = common.interval(lambda x, y: statistics.median(x) / statistics.median(y), a, b, resamples=2000)
        ratio = statistics.median(a) / statistics.median(b)
        cells |= {f"steps_per_{clock}_s": common.stats(a, 0), f"{clock}_of_sb3": f"{ratio:.2f} [{low:.2f}, {high:.2f}]"}
    warming = round(statistics.median(each["warm_s"] for each in mine), 2)
    return {**cells, "warm_s": warming, **{key: mine[0][key] for key in ("steps", "gradient_steps")}}


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
