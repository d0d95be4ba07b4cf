"""Training with a look at the policy every so often, of the lab and of Stable-Baselines3; the looks are not timed."""

import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from lab.assembly import Assembled, assemble, budget_of
from lab.budget import Budget, Periods
from lab.compose import composed
from lab.contract import Policy
from lab.evaluate import EpisodeReturn
from lab.modules import evaluating
from lab.runner import Runner
from lab.state import frozen_rng
from lab.world import World

from .. import common
from ..core.records import NEVER, Memory
from . import zoo

Look = Callable[[int, float, float], bool]        # (steps, wall seconds, cpu seconds) -> whether to stop


class Clock:
    """Runs while something learns."""

    def __init__(self) -> None:
        self.wall, self.cpu = 0.0, 0.0
        self.go()

    def go(self) -> None:
        self.since = time.perf_counter(), time.process_time()

    def stop(self) -> None:
        self.wall += time.perf_counter() - self.since[0]
        self.cpu += time.process_time() - self.since[1]


def tester(env: str, policy: Policy, episodes: int, name: str) -> Callable[[], list[float]]:
    """Plays `episodes` episodes, the same ones for all sides and seeds; their undiscounted returns."""
    cfg = composed(["+agent=dqn", f"env={env}", "seed=0", "compute.device=cpu"])
    compute = assembled(cfg).compute
    test = EpisodeReturn(World(cfg, compute).make_env, policy, episodes, compute, cfg.evaluate.max_steps, name)

    def play() -> list[float]:
        with frozen_rng(), torch.no_grad():
            return [score for score, _ in test.play()]

    return play


def assembled(cfg: Any) -> Assembled:
    common.one_thread()
    return assemble(cfg)


class Lab:
    """An agent of the lab as it comes, with `overrides`."""

    def __init__(self, agent: str, env: str, seed: int, overrides: Sequence[str] = ()):
        cfg = composed([f"+agent={agent}", f"env={env}", f"seed={seed}", "compute.device=cpu", "evaluate.videos=0",
                        *overrides])
        self.made = assembled(cfg)
        self.runner = Runner(self.made.experiment, self.made.compute, Memory(), Periods(NEVER, NEVER, NEVER))
        self.runner.evaluators, self.runner.closing = {}, {}
        self.budget = budget_of(cfg, self.made.experiment)

    def policy(self, obs: Tensor) -> Tensor:
        with evaluating(self.made.experiment.learner):
            policy = self.made.experiment.policy
            assert policy is not None
            return policy(obs)

    def learn(self, steps: int, every: int, look: Look) -> None:
        clock = Clock()
        clock.stop()
        for until in range(every, steps + 1, every):
            self.runner.finished = -1
            clock.go()
            self.runner.run(Budget(steps=until))
            clock.stop()
            if look(self.runner.stream.count, clock.wall, clock.cpu):
                return


class SB3:
    """Stable-Baselines3 with rl-zoo3's hyperparameters."""

    def __init__(self, side: str, env: str, seed: int):
        common.one_thread()
        self.model = zoo.model(side, env, seed)

    def policy(self, obs: Tensor) -> Tensor:
        return torch.as_tensor(self.model.predict(obs.numpy(), deterministic=True)[0])

    def learn(self, steps: int, every: int, look: Look) -> None:
        from stable_baselines3.common.callbacks import BaseCallback

        clock = Clock()

        class Looking(BaseCallback):
            def _on_step(self) -> bool:
                if self.num_timesteps % every:
                    return True
                clock.stop()
                stop = look(self.num_timesteps, clock.wall, clock.cpu)
                clock.go()
                return not stop

        self.model.learn(steps, callback=Looking())


def side_of(side: str, env: str, seed: int, overrides: Sequence[str] = ()) -> Lab | SB3:
    return SB3(side, env, seed) if side in zoo.SIDES else Lab(side, env, seed, overrides)


def curve(learner: Lab | SB3, env: str, steps: int, points: int, episodes: int) -> Iterator[dict[str, Any]]:
    """The mean return at `points` places on the way."""
    found, test = list[dict[str, Any]](), tester(env, learner.policy, episodes, "curve")

    def look(count: int, wall: float, cpu: float) -> bool:
        found.append({"steps": count, "mean": float(np.mean(test())), "wall_s": wall, "cpu_s": cpu})
        return False

    learner.learn(steps, steps // points, look)
    yield from found
