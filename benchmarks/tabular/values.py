"""Exact values of the final greedy policies, by agent, environment and seed.

    python -m benchmarks.tabular.values [--quick] [--seeds 0:10] [--agents ...] [--envs ...]

Each run is `python -m lab +agent=AGENT env=ENV seed=SEED` with the default budget, without a run folder. The value is
the expected undiscounted return under the registered time limit, by dynamic programming over Gymnasium's own table.
"optimum" is that of the best policy that sees the time, "stationary" that of the best one for the agent's discount.
"""

import statistics
import sys
from typing import Any

from lab.world import World
from lab_tabular.exact import optimal_policy, optimum, policy_value
from lab_tabular.table import known

from .. import common
from .training import made, train

AGENTS = ("q_learning", "sarsa", "expected_sarsa", "double_q_learning")
ENVS = ("FrozenLake", "FrozenLake/dry", "FrozenLake8x8", "CliffWalking", "CliffWalkingSlippery-v1", "Taxi")
DRY = "+env.options.is_slippery=false"


def chosen(env: str) -> tuple[str, list[str]]:
    """The name for the command line and further overrides."""
    name, _, dry = env.partition("/")
    return name, [DRY] if dry else []


def best(agent: str, env: str) -> tuple[float, float]:
    """The two optima of the docstring."""
    name, more = chosen(env)
    it = made(agent, name, 0, *more)
    table = known(World(it.cfg, it.compute).make_env())
    assert table is not None
    horizon = table.limit or it.cfg.evaluate.max_steps
    return optimum(table, horizon), policy_value(table, optimal_policy(table, it.cfg.agent.discount), horizon)


def row(agent: str, env: str, seeds: list[int], overrides: list[str]) -> dict[str, Any]:
    name, more = chosen(env)
    runs = [train(made(agent, name, seed, *more, *overrides)) for seed in seeds]
    values, (most, stationary) = [run["eval/value/exact"] for run in runs], best(agent, env)
    print(f"  {agent} {env}: {min(values):.4f} to {max(values):.4f}", file=sys.stderr, flush=True)
    return {"agent": agent, "env": env, "steps": int(runs[0]["steps"]), "optimum": f"{most:.4f}",
            "stationary": f"{stationary:.4f}", "min": f"{min(values):.4f}", "mean": f"{statistics.fmean(values):.4f}",
            "max": f"{max(values):.4f}",
            "as_stationary": sum(abs(value - stationary) < 1e-6 for value in values), "seeds": len(seeds),
            "seconds": f"{statistics.median(run['wall_s'] for run in runs):.1f}",
            "values": " ".join(f"{value:.4f}" for value in values)}


def main() -> None:
    parser = common.options(__doc__)
    parser.add_argument("--seeds", type=common.seeds, default=list(range(10)), help="default 0:10")
    parser.add_argument("--agents", nargs="+", choices=AGENTS, default=list(AGENTS))
    parser.add_argument("--envs", nargs="+", choices=ENVS, default=list(ENVS))
    args = parser.parse_args()
    seeds, less = (args.seeds[:2], ["budget.steps=100_000"]) if args.quick else (args.seeds, [])
    rows = [row(agent, env, seeds, less) for env in args.envs for agent in args.agents]
    common.report(rows, {"seeds": " ".join(map(str, seeds)),
                         "as_stationary": "runs that reach the value of `stationary`",
                         "seconds": "of one run on the wall, median; the last evaluation included"}, args.quick)


if __name__ == "__main__":
    main()
