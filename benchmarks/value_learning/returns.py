"""Mean returns of the lab's agents as they come and of Stable-Baselines3 with rl-zoo3's hyperparameters.

The same steps, 100 fresh episodes with the greedy policy of the last step, 20 points of each learning curve.

    python -m benchmarks.value_learning.returns [--quick] [--envs CartPole ...] [--sides dqn sb3_dqn ...]
                                                [--seeds 0:10] [--processes 1]

Every environment and side has a CSV file of its own, to which each seed is added when it is done: the table can be made
in several sittings. Seeds that a file holds of the same commit, or of the same Stable-Baselines3, are not run again.
What is printed is the table of all that are there.
"""

import sys
from importlib import metadata
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np

from lab.version import git_commit

from .. import common
from .training import curve, side_of, tester
from .zoo import SIDES as SB3_SIDES
from .zoo import STEPS

ENVS = ("CartPole", "Acrobot", "MountainCar", "LunarLander")
SIDES = ("dqn", "qr_dqn", "sb3_dqn", "sb3_qrdqn")
FOLDER = common.RESULTS / "value_learning" / "returns"
EPISODES, POINTS, LOOK = 100, 20, 20


def trial(env: str, side: str, seed: int, steps: int) -> dict[str, Any]:
    learner = side_of(side, env, seed)
    points = list(curve(learner, env, steps, POINTS, LOOK))
    scores = np.array(tester(env, learner.policy, EPISODES, "test")())                      # [EPISODES]
    last = points[-1]
    return {"seed": seed, "mean": round(float(scores.mean()), 2), "std": round(float(scores.std()), 2),
            "min": float(scores.min()), "steps": last["steps"], "wall_s": round(last["wall_s"], 1),
            "cpu_s": round(last["cpu_s"], 1), "curve": " ".join(f"{point['mean']:.1f}" for point in points)}


def run(env: str, side: str, args: Any) -> None:
    """The seeds that the file does not hold yet; it is written after each."""
    steps, code = 2_000 if args.quick else STEPS[env], code_of(side)
    rows: dict[int, Any] = {int(row["seed"]): row for row in read(env, side, args.quick) if row.get("code") == code}
    left = [seed for seed in args.seeds if seed not in rows]
    jobs = [[value] * len(left) for value in (env, side)]
    notes = {"processes": args.processes, "episodes": EPISODES, "points": POINTS}
    with common.pool(args.processes) as pool:
        for found in pool.map(trial, *jobs, left, [steps] * len(left)):
            rows[found["seed"]] = {**found, "code": code}
            print(f"  {env} {side} {found}", file=sys.stderr, flush=True)
            common.write(file_of(env, side, args.quick), [rows[seed] for seed in sorted(rows)], notes)


def code_of(side: str) -> str:
    """What a number depends on."""
    if side in SB3_SIDES:
        return f"stable-baselines3 {metadata.version('stable-baselines3')}"
    return str(git_commit()).rstrip("+")


def file_of(env: str, side: str, quick: bool) -> Path:
    return (FOLDER.with_name("returns-quick") if quick else FOLDER) / f"{env}-{side}.csv"


def read(env: str, side: str, quick: bool = False) -> list[dict[str, str]]:
    return common.read(file_of(env, side, quick))


def summary(env: str, side: str, quick: bool) -> dict[str, Any]:
    rows = read(env, side, quick)
    means = [float(row["mean"]) for row in rows]
    low, high = common.interval(common.iqm, means)
    return {"env": env, "side": side, "seeds": len(rows), "IQM": f"{common.iqm(means):.1f} [{low:.1f}, {high:.1f}]",
            "least": min(means), "greatest": max(means), "steps": rows[0]["steps"],
            "cpu_s": common.stats([float(row["cpu_s"]) for row in rows], 0),
            "steps_per_cpu_s": round(int(rows[0]["steps"]) / float(np.median([float(row["cpu_s"]) for row in rows])))}


def main() -> None:
    parser = common.options(__doc__)
    parser.add_argument("--envs", nargs="+", choices=ENVS, default=list(ENVS))
    parser.add_argument("--sides", nargs="+", default=list(SIDES))
    parser.add_argument("--seeds", type=common.seeds, default=list(range(10)))
    parser.add_argument("--processes", type=int, default=1, help="runs at a time")
    args = parser.parse_args()
    for env, side in product(args.envs, args.sides):
        run(env, side, args)
    folder = FOLDER.with_name("returns-quick") if args.quick else FOLDER
    there = [tuple(path.stem.split("-", 1)) for path in sorted(folder.glob("*.csv"))]
    common.print_table([summary(env, side, args.quick) for env, side in there])


if __name__ == "__main__":
    main()
