"""lab eval RUN: how good is what a run has learned, over fresh episodes or on the splits of its data?"""

import json
from argparse import Namespace
from typing import Any

import numpy as np
import torch

from ..assembly import Assembled
from ..config import LabConfig
from ..errors import UsageError, within
from ..evaluate import EpisodeReturn, interval
from ..folder import finite
from ..meter import number
from ..modules import evaluating
from ..runner import SHOWN
from ..world import World
from .runs import SEED, parser, trained

EPISODES = 100


def main(argv: list[str]) -> int:
    """Prints mean, standard deviation and 95 % interval of the return of the greedy policy, or metrics of the data."""
    args = parser("eval", "Evaluate what a run has learned: over fresh episodes, or on the splits of its data.")
    args.add_argument("--episodes", type=int, default=None, help=f"(default: {EPISODES})")
    args.add_argument("--json", action="store_true", help="print JSON, with every return or metric")
    given = args.parse_intermixed_args(argv)
    within("--episodes", EPISODES if given.episodes is None else given.episodes, 1, 1_000_000)
    within("--seed", SEED if given.seed is None else given.seed, 0, 2**63 - 1)
    cfg, made, world, count = trained(given.run, given.seed, given.changes)
    about = {"run": str(given.run), "agent": cfg.agent.name, "count": count}
    found = on_data(made, given) if made.experiment.policy is None else over_episodes(cfg, made, world, given)
    print(json.dumps(plain({**about, **found})) if given.json else f"{cfg.agent.name} at {count:,}:{text(found)}")
    return 0


def over_episodes(cfg: LabConfig, made: Assembled, world: World, given: Namespace) -> dict[str, Any]:
    assert made.experiment.policy is not None
    episodes = EPISODES if given.episodes is None else given.episodes
    played = EpisodeReturn(world.make_env, made.experiment.policy, episodes, made.compute, cfg.evaluate.max_steps,
                           name="eval").play()
    returns, lengths = np.array(played, np.float64).T                    # [E]
    return {"episodes": episodes, "seed": made.compute.seed, "mean": returns.mean(), "std": returns.std(),
            "interval": interval(returns), "min": returns.min(), "max": returns.max(), "length": lengths.mean(),
            "returns": returns.tolist()}


def on_data(made: Assembled, given: Namespace) -> dict[str, Any]:
    """What is evaluated while it trains and at the end, pictures and tables aside."""
    for option in ("episodes", "seed"):
        if getattr(given, option) is not None:
            raise UsageError(f"--{option}: {made.cfg.agent.name} learns from data and plays no episodes; leave it out")
    found: dict[str, Any] = {}
    with torch.no_grad(), evaluating(made.experiment.learner):
        for judge in (*made.experiment.evaluators.values(), *made.experiment.closing.values()):
            found |= judge()
    return {"metrics": {name: number(name, value) for name, value in found.items() if not isinstance(value, SHOWN)}}


def plain(found: Any) -> Any:
    """What is not finite is null: JSON has no name for it."""
    if isinstance(found, dict):
        return {name: plain(value) for name, value in found.items()}
    return finite(found) if isinstance(found, float) else found


def text(found: dict[str, Any]) -> str:
    if "metrics" in found:
        return "".join(f"\n{name:32} {value:.4f}" for name, value in found["metrics"].items())
    return (f" return {found['mean']:.2f} ± {found['interval']:.2f} (95 % interval), std {found['std']:.2f}, "
            f"min {found['min']:g}, max {found['max']:g}, length {found['length']:.1f}, "
            f"{found['episodes']} episodes, seed {found['seed']}")
