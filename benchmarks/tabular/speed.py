"""Environment steps per second while learning: the lab against a plain Q-learning loop over Gymnasium, one thread.

    python -m benchmarks.tabular.speed [--quick] [--trials 5] [--agents ...] [--envs ...]

The sides take turns. The lab's clock runs over its Runner with the defaults of `+agent=AGENT env=ENV`, logging (to
memory) every hundredth of the budget, without evaluation and checkpoints. The loop does what q_learning does, one
environment, one step at a time: the same rate, the same epsilon, ties at random.
"""

import statistics
from collections.abc import Callable
from functools import partial
from typing import Any

import gymnasium as gym
import numpy as np

from .. import common
from .training import made, train
from .values import AGENTS

ENVS = {"FrozenLake": "FrozenLake-v1", "CliffWalking": "CliffWalking-v1", "Taxi": "Taxi-v4"}
STEPS, LOOP_STEPS, QUICK = 2_000_000, 100_000, 0.1        # QUICK: share of them in a quick run


def lab(agent: str, env: str, steps: int) -> dict[str, float]:
    return train(made(agent, env, 0, f"budget.steps={steps}"), evaluate=False)


def loop(env: str, steps: int) -> dict[str, float]:
    cfg, made_env = made("q_learning", env, 0).cfg.agent, gym.make(ENVS[env], disable_env_checker=True)
    return {**common.timed(lambda: q_learning(made_env, cfg, steps)), "steps": steps}


def q_learning(env: Any, cfg: Any, steps: int) -> np.ndarray:
    """The table [S, A] after `steps` steps (Watkins 1989), as it is usually written."""
    rng = np.random.default_rng(0)
    q = np.zeros((env.observation_space.n, env.action_space.n))
    visits = np.zeros_like(q)
    obs, _ = env.reset(seed=0)
    for count in range(steps):
        share = min(count / cfg.epsilon_steps, 1.0)
        if rng.random() < cfg.epsilon_start + (cfg.epsilon_end - cfg.epsilon_start) * share:
            action = int(rng.integers(q.shape[1]))
        else:
            action = int(rng.choice(np.flatnonzero(q[obs] == q[obs].max())))
        next_obs, reward, terminated, truncated, _ = env.step(action)
        target = reward + (0.0 if terminated else cfg.discount * q[next_obs].max())
        visits[obs, action] += 1
        q[obs, action] += cfg.rate / visits[obs, action] ** cfg.rate_decay * (target - q[obs, action])
        obs = env.reset()[0] if terminated or truncated else next_obs
    return q


def rates(found: list[dict[str, float]], clock: str) -> list[float]:
    return [each["steps"] / each[clock] for each in found]


def row(side: str, env: str, mine: list[dict[str, float]], theirs: list[dict[str, float]]) -> dict[str, Any]:
    cells: dict[str, Any] = {"env": env, "side": side}
    for clock, name in (("wall_s", "steps_per_s"), ("cpu_s", "steps_per_cpu_s")):
        a, b = rates(mine, clock), rates(theirs, clock)
        low, high = common.interval(lambda x, y: statistics.median(x) / statistics.median(y), a, b, resamples=2000)
        cells |= {name: common.stats(a, 0), f"{name}_of_loop": f"{statistics.median(a) / statistics.median(b):.1f} "
                                                               f"[{low:.1f}, {high:.1f}]"}
    return cells


def main() -> None:
    parser = common.options(__doc__)
    parser.add_argument("--agents", nargs="+", choices=AGENTS, default=list(AGENTS))
    parser.add_argument("--envs", nargs="+", choices=list(ENVS), default=list(ENVS))
    args = parser.parse_args()
    share, rows = QUICK if args.quick else 1, []
    for env in args.envs:
        sides: dict[str, Callable[[], dict[str, float]]] = {
            agent: partial(lab, agent, env, int(STEPS * share)) for agent in args.agents}
        found = common.interleaved({**sides, "loop": partial(loop, env, int(LOOP_STEPS * share))}, args.trials)
        rows += [row(side, env, found[side], found["loop"]) for side in found]
    common.report(rows, {"trials": args.trials, "steps": f"{int(STEPS * share):,}, loop {int(LOOP_STEPS * share):,}",
                         "target": "q_learning steps_per_s >= 1,400,000",
                         "quoted": "medians, in brackets the 95 % bootstrap interval of the median; steps_per_cpu_s "
                                   "leaves out waiting for the processor on a shared machine"}, args.quick)


if __name__ == "__main__":
    main()
