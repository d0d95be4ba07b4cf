"""Seconds of training until CartPole is solved: the first of the looks, every 2,000 steps, at which 100 episodes bring
475 or more on average. A run that is not there after 50,000 steps counts as if it were there then.

    python -m benchmarks.value_learning.time_to_solve [--quick] [--seeds 0:10] [--sides pqn dqn ppo sb3_dqn]

The lab's agents are those of `python -m lab +agent=NAME env=CartPole`, Stable-Baselines3 has rl-zoo3's hyperparameters.
Each run is a process of its own, one thread, and the sides take turns; looks are not timed.
"""

import argparse
import json
import statistics
from typing import Any

import numpy as np

from .. import common
from .training import side_of, tester

LIMIT, EVERY, EPISODES, ENOUGH, TARGET = 50_000, 2_000, 100, 475, 0.2
SIDES = ("pqn", "dqn", "ppo", "sb3_dqn")


def trial(side: str, seed: int, limit: int) -> dict[str, Any]:
    learner, found = side_of(side, "CartPole", seed), dict[str, Any]()
    test = tester("CartPole", learner.policy, EPISODES, "solved")

    def look(steps: int, wall: float, cpu: float) -> bool:
        mean = float(np.mean(test()))
        found.update(steps=steps, wall_s=wall, cpu_s=cpu, mean=mean, solved=mean >= ENOUGH)
        return bool(found["solved"])

    learner.learn(limit, EVERY, look)
    return {"side": side, "seed": seed, **found}


def row(side: str, found: list[dict[str, Any]], against: list[dict[str, Any]]) -> dict[str, Any]:
    cells: dict[str, Any] = {"side": side, "solved": f"{sum(run['solved'] for run in found)} of {len(found)}",
                             "steps": common.stats([run["steps"] for run in found], 0)}
    for clock in ("wall_s", "cpu_s"):
        mine, theirs = [run[clock] for run in found], [run[clock] for run in against]
        low, high = common.interval(lambda a, b: statistics.median(a) / statistics.median(b), mine, theirs,
                                    resamples=2000)
        ratio = statistics.median(mine) / statistics.median(theirs)
        cells |= {clock: common.stats(mine), f"{clock[:-2]}_share": f"{ratio:.3f} [{low:.3f}, {high:.3f}]"}
    return cells


def main() -> None:
    parser = common.options(__doc__)
    parser.add_argument("--seeds", type=common.seeds, default=list(range(10)))
    parser.add_argument("--sides", nargs="+", default=list(SIDES))
    parser.add_argument("--trial", nargs=3, metavar=("SIDE", "SEED", "LIMIT"), help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.trial:
        print(json.dumps(trial(args.trial[0], int(args.trial[1]), int(args.trial[2]))))
        return
    limit, name = (4_000 if args.quick else LIMIT), common.module_name()
    found: dict[str, list[dict[str, Any]]] = {side: [] for side in args.sides}
    for seed in args.seeds[:2] if args.quick else args.seeds:
        for side in args.sides:
            found[side].append(common.in_process(name, "--trial", side, str(seed), str(limit)))
            print(f"  {found[side][-1]}", flush=True)
    rows = [row(side, found[side], found.get("sb3_dqn", found[side])) for side in args.sides]
    common.report(rows, {"seeds": args.seeds, "limit": limit, "every": EVERY, "enough": ENOUGH, "episodes": EPISODES,
                         "target": f"share of Stable-Baselines3's median at most {TARGET}", "clocks": common.CLOCKS},
                  args.quick)


if __name__ == "__main__":
    main()
