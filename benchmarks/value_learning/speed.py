"""Environment steps per second of training, the lab against Stable-Baselines3 with equal hyperparameters.

    python -m benchmarks.value_learning.speed [--quick] [--trials 5] [--tasks dqn ppo atari]

dqn    CartPole with the defaults of Stable-Baselines3's DQN
ppo    CartPole with rl-zoo3's PPO: 8 environments, 32 steps, 20 epochs of 256
atari  20,000 agent steps of Pong: one gradient step of 32 for 4 steps, the network of Mnih et al. 2015, the lab's DQN
       and its Rainbow against Stable-Baselines3's plain DQN; both see the games through ALE, 4 frames a step

One thread; each trial is a process of its own, and the sides take turns. The clock runs over training alone, after the
first updates, whose time (with compilation, where there is one) is reported apart. The lab logs to metrics.jsonl and
TensorBoard as in a run; nobody evaluates or saves.
"""

import argparse
import json
import statistics
import tempfile
from collections.abc import Callable
from functools import partial
from itertools import product
from pathlib import Path
from typing import Any

from .. import common

SEED = 0
STEPS = {"dqn": 20_000, "ppo": 50_000, "atari": 20_000}
QUICK = {"dqn": 4_000, "ppo": 10_000, "atari": 400}
WARM = {"dqn": 1_000, "ppo": 512, "atari": 1_100}
SIDES = {"dqn": ("lab", "lab-compile", "sb3"), "ppo": ("lab", "lab-compile", "sb3"),
         "atari": ("lab", "lab-rainbow", "sb3")}
TARGETS = {"dqn": "lab-compile at least 3", "ppo": "at least 2", "atari": "lab at least 1.8, lab-rainbow at least 1"}
ATARI = ("env=Atari", "env.game=pong", "agent.num_envs=1", "agent.buffer_size=20_000", "agent.batch_size=32",
         "agent.warmup=1_000", "agent.train_every=4", "agent.gradient_steps=1", "agent.target_every=250",
         "optimizer.lr=1e-4", "optimizer.schedule=constant")
LAB = {
    "dqn": ("+agent=dqn", "env=CartPole", "agent.num_envs=1", "agent.discount=0.99", "agent.n_steps=1",
            "agent.buffer_size=1_000_000", "agent.batch_size=32", "agent.warmup=100", "agent.train_every=4",
            "agent.gradient_steps=1", "agent.target_every=2_500", "agent.epsilon_end=0.05", "agent.epsilon_steps=2_000",
            "agent.huber_delta=1", "model.hidden=[64,64]", "model.activation=relu", "optimizer.lr=1e-4",
            "optimizer.schedule=constant", "optimizer.decay=0"),
    "ppo": ("+experiment=ppo_cartpole_zoo",),
    "atari": ("+agent=dqn", *ATARI, "agent.epsilon_steps=2_000")}


def dqn() -> Any:
    from stable_baselines3 import DQN

    return DQN("MlpPolicy", "CartPole-v1", exploration_fraction=0.1, seed=SEED, device="cpu")


def ppo() -> Any:
    from stable_baselines3 import PPO
    from stable_baselines3.common.env_util import make_vec_env

    return PPO("MlpPolicy", make_vec_env("CartPole-v1", 8, seed=SEED), n_steps=32, batch_size=256, n_epochs=20,
               gamma=0.98, gae_lambda=0.8, ent_coef=0.0, vf_coef=0.5, max_grad_norm=0.5, seed=SEED, device="cpu",
               learning_rate=lambda left: 1e-3 * left, clip_range=lambda left: 0.2 * left)


def atari() -> Any:
    """On the lab's own game: one stack of four pictures, so that both sides see the same and pay the same for it."""
    from stable_baselines3 import DQN

    from lab.compose import composed
    from lab.compute import Compute
    from lab.world import World

    cfg = composed(LAB["atari"])
    env = World(cfg, Compute(cfg.compute)).make_env()
    return DQN("CnnPolicy", env, learning_rate=1e-4, buffer_size=20_000, learning_starts=1_000, batch_size=32,
               train_freq=4, gradient_steps=1, target_update_interval=1_000, exploration_fraction=0.1, seed=SEED,
               device="cpu")


MODELS: dict[str, Callable[[], Any]] = {"dqn": dqn, "ppo": ppo, "atari": atari}


def sb3(task: str, steps: int) -> dict[str, Any]:
    common.one_thread()
    model = MODELS[task]()
    warming = common.timed(lambda: model.learn(WARM[task]))
    before = model.num_timesteps
    took = common.timed(lambda: model.learn(steps, reset_num_timesteps=False))
    return {**took, "warm_s": warming["wall_s"], "steps": model.num_timesteps - before}


def lab(task: str, side: str, steps: int) -> dict[str, Any]:
    from lab.assembly import assemble
    from lab.budget import Budget, Periods
    from lab.compose import composed
    from lab.runner import Runner

    from ..core.records import NEVER, Files

    jit = "compile" if side.endswith("compile") else "eager"
    chosen = ("+agent=rainbow", *ATARI) if side == "lab-rainbow" else LAB[task]
    cfg = composed([*chosen, f"seed={SEED}", f"compute.jit={jit}", "compute.device=cpu", "compute.threads=1",
                    "evaluate.videos=0", f"budget.steps={WARM[task] + steps}"])
    made = assemble(cfg)
    with tempfile.TemporaryDirectory() as folder:
        runner = Runner(made.experiment, made.compute, Files(Path(folder)), Periods(cfg.log.every or 1, NEVER, NEVER))
        runner.evaluators, runner.closing = {}, {}
        warming = common.timed(lambda: runner.run(Budget(steps=WARM[task])))
        before, runner.finished = runner.stream.count, -1
        took = common.timed(lambda: runner.run(Budget(steps=WARM[task] + steps)))
    return {**took, "warm_s": warming["wall_s"], "steps": runner.stream.count - before}


def row(task: str, side: str, found: dict[str, list[dict[str, Any]]]) -> dict[str, Any]:
    cells: dict[str, Any] = {"task": task, "side": side}
    for clock in ("wall", "cpu"):
        mine, theirs = ([each["steps"] / each[f"{clock}_s"] for each in found[name]] for name in (side, "sb3"))
        low, high = common.interval(lambda a, b: statistics.median(a) / statistics.median(b), mine, theirs,
                                    resamples=2000)
        ratio = statistics.median(mine) / statistics.median(theirs)
        cells |= {f"steps_per_{clock}_s": common.stats(mine, 0),
                  f"{clock}_times_sb3": f"{ratio:.2f} [{low:.2f}, {high:.2f}]"}
    warm = statistics.median(each["warm_s"] for each in found[side])
    return {**cells, "warm_s": round(warm, 1), "target": TARGETS[task]}


def main() -> None:
    parser = common.options(__doc__)
    parser.add_argument("--tasks", nargs="+", choices=list(STEPS), default=list(STEPS))
    parser.add_argument("--trial", nargs=3, metavar=("TASK", "SIDE", "STEPS"), help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.trial:
        task, side, steps = args.trial[0], args.trial[1], int(args.trial[2])
        print(json.dumps(sb3(task, steps) if side == "sb3" else lab(task, side, steps)))
        return
    name, steps = common.module_name(), QUICK if args.quick else STEPS
    rows = []
    for task in args.tasks:
        run = partial(common.in_process, name, "--trial", task)
        sides = {side: partial(run, side, str(steps[task])) for side in SIDES[task]}
        found = common.interleaved(sides, args.trials)
        rows += [row(*pair, found) for pair in product([task], SIDES[task])]
    common.report(rows, {"seed": SEED, "trials": args.trials, "steps": steps, "clocks": common.CLOCKS}, args.quick)


if __name__ == "__main__":
    main()
