"""Does `python -m lab +agent=dqn env=CartPole`, or another agent, solve CartPole? Pure defaults, one run per seed.

    python -m benchmarks.dqn.cartpole [--quick] [--agent dqn] [--seeds 0:10] [--processes 1] [OVERRIDES]

After the last step the greedy policy plays 100 fresh episodes, whose seeds share no name with those of training or of
evaluation; a run has solved CartPole when every one of them returns 500. There is no choice among checkpoints, and no
evaluation or checkpoint in between: evaluation changes nothing in training, so it is only left out of the time.
"""

import sys
from collections.abc import Sequence
from typing import Any

import numpy as np

from lab.assembly import assemble, budget_of
from lab.budget import Periods
from lab.compose import composed
from lab.evaluate import EpisodeReturn
from lab.runner import Runner
from lab.world import World

from .. import common
from ..core.records import NEVER, Memory

EPISODES, BEST, TARGET = 100, 500.0, "solved on at least 9 of 10 seeds"


def trial(agent: str, seed: int, overrides: Sequence[str]) -> dict[str, Any]:
    """One run: `returns` [EPISODES], seconds of training, steps."""
    common.one_thread()
    cfg = composed([f"+agent={agent}", "env=CartPole", f"seed={seed}", *overrides])
    made = assemble(cfg)
    runner = Runner(made.experiment, made.compute, Memory(), Periods(cfg.log.every or NEVER, NEVER, NEVER))
    runner.evaluators, runner.closing = {}, {}
    took = common.timed(lambda: runner.run(budget_of(cfg, made.experiment)))
    policy = made.experiment.policy
    assert policy is not None
    make_env, longest = World(cfg, made.compute).make_env, cfg.evaluate.max_steps
    test = EpisodeReturn(make_env, policy, EPISODES, made.compute, longest, name="test")
    return {"seed": seed, "returns": [score for score, _ in test.play()], "steps": runner.stream.count, **took}


def row(found: dict[str, Any]) -> dict[str, Any]:
    returns = np.array(found["returns"])
    return {"seed": found["seed"], "mean": round(float(returns.mean()), 2), "min": float(returns.min()),
            "solved": bool((returns >= BEST).all()), "steps": found["steps"],
            "wall_s": round(found["wall_s"], 1), "cpu_s": round(found["cpu_s"], 1)}


def runs(args: Any) -> list[dict[str, Any]]:
    """One after another, or `--processes` at a time; each printed when it is done."""
    rows = []
    overrides = [*args.overrides, *(["budget.steps=2000"] if args.quick else [])]
    with common.pool(args.processes) as pool:
        for found in pool.map(trial, [args.agent] * len(args.seeds), args.seeds, [overrides] * len(args.seeds)):
            rows.append(row(found))
            print(f"  {rows[-1]}", file=sys.stderr, flush=True)
    return rows


def main() -> None:
    parser = common.options(__doc__)
    parser.add_argument("--agent", default="dqn", help="of the family")
    parser.add_argument("--seeds", type=common.seeds, default=list(range(10)), help="such as 0:10 (the default) or 3,5")
    parser.add_argument("--processes", type=int, default=1, help="runs at a time")
    parser.add_argument("overrides", nargs="*", help="of the defaults, as for python -m lab")
    args = parser.parse_args()
    rows = runs(args)
    means, solved = [each["mean"] for each in rows], [each["solved"] for each in rows]
    low, high = common.interval(common.iqm, means)
    common.report(rows, {"agent": args.agent, "solved": f"{sum(solved)} of {len(solved)}", "target": TARGET,
                         "episodes": EPISODES,
                         "IQM of the means": f"{common.iqm(means):.2f}, 95 % interval [{low:.2f}, {high:.2f}]",
                         "overrides": " ".join(args.overrides) or "none", "processes": args.processes}, args.quick)


if __name__ == "__main__":
    main()
