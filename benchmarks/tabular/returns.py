"""Returns of the final greedy policies where the dynamics are not known: Blackjack, and CartPole in bins.

    python -m benchmarks.tabular.returns [--quick] [--seeds 0:5] [--agents ...] [--envs ...]

Each run is `python -m lab +agent=AGENT env=ENV seed=SEED` with the default budget, without a run folder. Optima for
comparison: CartPole-v1 500; Blackjack-v1 -0.0431 (by dynamic programming over its rules, an infinite deck).
"""

import statistics
import sys
from typing import Any

from .. import common
from .training import made, train
from .values import AGENTS

EPISODES = {"Blackjack": 20_000, "CartPole": 100}         # of the last evaluation


def row(agent: str, env: str, seeds: list[int], overrides: list[str]) -> dict[str, Any]:
    runs = [train(made(agent, env, seed, *overrides)) for seed in seeds]
    values = [run["eval/return/mean"] for run in runs]
    print(f"  {agent} {env}: {min(values):.4f} to {max(values):.4f}", file=sys.stderr, flush=True)
    return {"agent": agent, "env": env, "steps": int(runs[0]["steps"]), "min": f"{min(values):.4f}",
            "mean": f"{statistics.fmean(values):.4f}", "max": f"{max(values):.4f}", "seeds": len(seeds),
            "seconds": f"{statistics.median(run['wall_s'] for run in runs):.1f}",
            "values": " ".join(f"{value:.4f}" for value in values)}


def main() -> None:
    parser = common.options(__doc__)
    parser.add_argument("--seeds", type=common.seeds, default=list(range(5)), help="default 0:5")
    parser.add_argument("--agents", nargs="+", choices=AGENTS, default=list(AGENTS))
    parser.add_argument("--envs", nargs="+", choices=list(EPISODES), default=list(EPISODES))
    args = parser.parse_args()
    seeds, less = (args.seeds[:1], ["budget.steps=5_000"]) if args.quick else (args.seeds, [])
    rows = [row(agent, env, seeds, [*less, f"evaluate.episodes={50 if args.quick else EPISODES[env]}"])
            for env in args.envs for agent in args.agents]
    common.report(rows, {"seeds": " ".join(map(str, seeds)), "episodes": EPISODES,
                         "seconds": "of one run on the wall, median; the last evaluation included"}, args.quick)


if __name__ == "__main__":
    main()
