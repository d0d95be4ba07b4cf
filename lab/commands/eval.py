"""lab eval RUN: how good is what a run has learned, over fresh episodes?"""

import json

import numpy as np

from ..errors import within
from ..evaluate import EpisodeReturn, interval
from .runs import parser, trained


def main(argv: list[str]) -> int:
    """Prints mean, standard deviation and 95 % interval of the return of the greedy policy."""
    args = parser("eval", "Evaluate the greedy policy of a run over fresh episodes.")
    args.add_argument("--episodes", type=int, default=100)
    args.add_argument("--json", action="store_true", help="print JSON, with every return")
    given = args.parse_intermixed_args(argv)
    within("--episodes", given.episodes, 1, 1_000_000)
    within("--seed", given.seed, 0, 2**63 - 1)
    cfg, made, world, count = trained(given.run, given.seed, given.changes)
    assert made.experiment.policy is not None
    played = EpisodeReturn(world.make_env, made.experiment.policy, given.episodes, made.compute, cfg.evaluate.max_steps,
                           name="eval").play()
    returns, lengths = np.array(played, np.float64).T                    # [E]
    report = {"run": str(given.run), "agent": cfg.agent.name, "count": count, "episodes": given.episodes,
              "seed": given.seed, "mean": returns.mean(), "std": returns.std(), "interval": interval(returns),
              "min": returns.min(), "max": returns.max(), "length": lengths.mean()}
    if given.json:
        print(json.dumps({**report, "returns": returns.tolist()}))
    else:
        print(f"{cfg.agent.name} at {count:,}: return {report['mean']:.2f} ± {report['interval']:.2f} (95 % interval), "
              f"std {report['std']:.2f}, min {report['min']:g}, max {report['max']:g}, length {report['length']:.1f}, "
              f"{given.episodes} episodes, seed {given.seed}")
    return 0
