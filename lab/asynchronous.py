"""Copies of an environment stepped by worker processes, side by side. T steps, N environments, W workers.

Row for row what one process does: each worker runs that code on its share of the copies, and the parent waits for all.
"""

import itertools
import os
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any

import gymnasium as gym
import numpy as np
from torch import Tensor

from .compute import Compute
from .devices import cores
from .env_state import Tier
from .envs import Envs
from .errors import EnvError, ResumeError
from .shares import WORST, Told, joined, lost, part
from .spaces import About, to_array
from .team import Team, context
from .worker import Job, Shared


class AsyncEnvs(Envs):
    """`make` must be something that can be sent to another process, such as lab.worker.FromConfig.

    Raises UsageError where it is not, EnvError where an environment fails at its reset.
    """

    def __init__(self, make: Callable[[], gym.Env[Any, Any]], n: int, compute: Compute, of: About, tier: Tier,
                 workers: int = 0):
        self.prepare(of, n, compute, "train")
        self.recorder: Any = Told(tier)                   # the workers have their own
        bounds = np.linspace(0, n, min(workers or cores(), n) + 1).round().astype(int).tolist()
        self.shares = [range(*pair) for pair in itertools.pairwise(bounds)]
        shared = self.memory()
        self.views = {name: each.view() for name, each in shared.items()}
        self.obs, self.frames, self.episodes = (self.views[name] for name in ("obs", "frames", "episodes"))
        self.team = Team(self.id, Where(self.shares, self.views["now"], self.episodes))
        try:
            for number, share in enumerate(self.shares):
                self.team.hire(Job(make, share.start, len(share), n, self.name, compute.seed, tier, shared, number,
                                   os.getcwd()))
            self.team.ready()
        except BaseException:
            self.close()
            raise

    def memory(self) -> dict[str, Shared]:
        space, n, number = self.action_space, self.n, np.dtype(np.int64)
        arrays = {name: ((n, *shape), dtype) for name, (shape, dtype) in self.columns.items() if name != "obs"}
        arrays |= {"obs": (self.obs.shape, self.obs.dtype), "frames": ((2, n), number), "episodes": ((n,), number),
                   "now": ((n,), number), "tier": ((1,), number),
                   "action": ((n, *(space.shape or ())), np.dtype(space.dtype))}
        return {name: Shared(context().RawArray("B", max(int(np.prod(shape)) * dtype.itemsize, 1)), shape, dtype.str)
                for name, (shape, dtype) in arrays.items()}

    def choices(self, action: Tensor) -> np.ndarray:
        return to_array(self.action_space, action)

    def step(self, choices: Any, rows: dict[str, np.ndarray], t: int) -> None:
        self.views["action"][:], before = choices, self.episodes.copy()
        try:
            for finished in self.team.all("advance"):
                self.finished += finished
        except EnvError:
            self.spoiled()
            raise
        for name, row in rows.items():
            if name != "obs":
                row[t] = self.views[name]
        self.lengths = np.where(self.episodes > before, 0, np.asarray(self.lengths) + 1)

    def spoiled(self) -> None:
        with suppress(EnvError):
            self.team.all("spoiled")

    def restart(self, i: int) -> None:
        worker = next(number for number, share in enumerate(self.shares) if i in share)
        self.team.ask(worker, "restart", i - self.shares[worker].start)
        self.team.answer(worker)

    def state_dict(self) -> dict[str, Any]:
        """As of one process, and the global generators of each worker."""
        for worker in range(len(self.shares)):
            self.team.ask(worker, "read")
        read = [self.read(worker) for worker in range(len(self.shares))]
        state = {**joined([each["state"] for each in read]), "finished": list(self.finished)}
        self.recorder = Told(state["recorder"]["level"])
        own = {"normalizer": self.normalizer.state_dict()} if self.normalizer else {}
        return {**state, **own, "generators": [each["rng"] for each in read]}

    def read(self, worker: int) -> dict[str, Any]:
        """What a worker holds; of one that has died, that its episodes are lost."""
        try:
            held: dict[str, Any] = self.team.answer(worker)
            return held
        except EnvError:
            return {"state": lost(self, self.shares[worker]), "rng": None}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Raises ValueError where it is of other environments, ResumeError where they cannot be brought back."""
        rest, rng = self.accepted(state), state.get("generators", [])
        rng = rng if len(rng) == len(self.shares) else [None] * len(self.shares)     # saved by another number of them
        self.views["tier"][0] = WORST.index(Tier(rest["recorder"]["level"]))
        for worker, share in enumerate(self.shares):
            self.team.ask(worker, "write", {"state": part(rest, share), "rng": rng[worker]})
        try:
            self.lost = list(itertools.chain.from_iterable(self.team.answers()))
        except EnvError as error:
            raise ResumeError(str(error)) from error
        self.finished, self.lengths = list(rest["finished"]), np.array(rest["lengths"])
        self.lengths[self.lost] = 0
        if self.normalizer:
            self.normalizer.running[self.lost] = 0
        self.recorder = Told(Tier(rest["recorder"]["level"]))
        self.say_lost(self.recorder.level)

    def describe(self) -> list[str]:
        return [f"{self.n} copies stepped by {len(self.shares)} worker processes", self.recorder.describe()]

    def close(self) -> None:
        self.team.close()


class Where:
    """Which copy a worker was stepping last; it holds no environments, so that nothing keeps those alive."""

    def __init__(self, shares: list[range], now: np.ndarray, episodes: np.ndarray):
        self.shares, self.now, self.episodes = shares, now, episodes

    def __call__(self, worker: int) -> str:
        share, copy = self.shares[worker], int(self.now[worker])
        copy = copy if copy in share else share.start
        return f"copy {copy} of {self.shares[-1].stop}, in its episode {int(self.episodes[copy])}"
