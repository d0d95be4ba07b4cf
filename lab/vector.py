"""Copies of an environment beside their steps: what is known of them, their books and their state. N environments."""

import logging
from collections.abc import Mapping
from typing import Any

import numpy as np

from .compute import Compute
from .env_state import Tier
from .errors import EnvError
from .normalize import Normalizer
from .recorder import MEANING
from .spaces import About, dtype_of, whole
from .state import Saved

LOG = logging.getLogger("lab")


class Vector(Saved):
    """N copies and their books; `lab.envs.Envs` says how they are stepped."""

    recorder: Any                 # brings them back
    envs: list[Any]
    as_one = False                # one object holds all copies, and their numbers of episodes are one array
    first, total = 0, 0           # where these are some of `total` copies: the number of the first

    def prepare(self, of: About, n: int, compute: Compute, name: str) -> None:
        """Everything that is there before the first reset."""
        self.n, self.compute, self.name, self.id = n, compute, name, of.id
        self.observation_space, self.action_space = of.observation_space, of.action_space
        self.stack, self.padding = of.stack, of.padding   # frames in obs [stack, ...]; see lab.spaces.stack_of
        self.shape, self.dtype = of.observation_space.shape, dtype_of(of.observation_space)
        self.whole = whole(of.observation_space)          # what integers, bytes or booleans may be observed
        start = getattr(of.observation_space, "start", 0)
        self.start = start if np.any(start) else None     # integer observations count from here; ours from 0
        self.episodes: Any = [0] * n                      # [N] numbers of the episodes in progress
        self.returns: Any = [0.0] * n                     # [N] and what they brought, and took, so far
        self.lengths: Any = [0] * n
        self.frames = np.zeros((2, n), np.int64)          # of the episodes that are over, and of those in progress
        self.lost: list[int] = []                         # copies whose episode a resume could not bring back
        self.finished: list[tuple[float, int]] = []       # (return, length) of episodes not yet reported
        self.obs = np.zeros((n, *(self.shape or ())), self.dtype)            # [N, ...] where to act next
        self.normalizer: Normalizer | None = None
        of_obs, number = (self.obs.shape[1:], np.dtype(self.dtype)), ((), np.dtype(np.float32))
        self.columns = {"obs": of_obs, "reward": number, "next_obs": of_obs, "terminal": number, "done": number}
        self.real = ["reward"] if self.whole else ["reward", "next_obs", "obs"]      # what must be finite
        if self.stack > 1:
            self.columns["reset"] = number                # shape and dtype of what `collect` returns for one copy

    def __len__(self) -> int:
        return self.n

    def seed(self, i: int, episode: int) -> int:
        return self.compute.seed_for(f"{self.name}/{self.first + i}/{episode}")

    def ended(self, i: int) -> None:
        """The books of copy `i` for its next episode."""
        self.episodes[i] += 1
        self.returns[i], self.lengths[i] = 0.0, 0
        if self.frames[1, i]:
            self.frames[:, i] = self.frames[:, i].sum(), 0

    def error(self, i: int, what: str, where: str = "") -> EnvError:
        self.spoiled()                        # a resume begins new episodes: this one cannot be trusted
        where = where or f"step {self.lengths[i]} of its episode {self.episodes[i]}"
        return EnvError(f"environment {self.id} (copy {self.first + i} of {self.total or self.n}, {where}) {what}")

    def spoiled(self) -> None:
        """What the copies were doing cannot be brought back."""
        self.recorder.lost()

    def metrics(self) -> dict[str, float]:
        """Of the episodes that ended since the last call; frames where the environment counts them, since the start."""
        finished, self.finished = self.finished, []
        frames = int(self.frames.sum())
        found = {"env/frames": float(frames)} if frames else {}
        if not finished:
            return found
        returns, lengths = np.array(finished, np.float64).T
        return {**found, "episode/return": float(returns.mean()), "episode/length": float(lengths.mean()),
                "episode/count": float(len(finished))}

    def state_dict(self) -> dict[str, Any]:
        self.recorder.midst = self.lengths[0] > 0
        return super().state_dict() | ({"normalizer": self.normalizer.state_dict()} if self.normalizer else {})

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Raises ValueError where it is of other environments, ResumeError where they cannot be brought back."""
        super().load_state_dict(self.accepted(state))
        self.lost = self.restored()
        self.say_lost(self.recorder.level)
        if self.normalizer:
            self.normalizer.running[self.lost] = 0

    def accepted(self, state: Mapping[str, Any]) -> dict[str, Any]:
        """The part of the environments; that of the normaliser is put back.

        Raises ValueError where it is of other environments, or normalised otherwise.
        """
        if (n := len(state["episodes"])) != self.n:
            raise ValueError(f"it holds {n} environments and this run has {self.n}")
        if isinstance(state["episodes"], np.ndarray) != self.as_one:
            raise ValueError("one of the checkpoint and this run has vector.mode=native, the other not: leave "
                             "vector.mode as it was")
        if ("normalizer" in state) != (self.normalizer is not None):
            raise ValueError("one of the checkpoint and this run has normalised observations or rewards, the other not")
        if self.normalizer:
            self.normalizer.load_state_dict(state["normalizer"])
        return {name: value for name, value in state.items() if name not in ("normalizer", "generators")}

    def say_lost(self, level: Tier) -> None:
        if self.lost:
            why = f"environment state: {MEANING[level]}" if level is Tier.BOUNDARY else "they could not be brought back"
            LOG.warning("%d of %d environments begin a new episode: %s", len(self.lost), self.n, why)

    def restored(self) -> list[int]:
        """Bring all copies back; those for which that could not be, and which began a new episode."""
        return [i for i in range(self.n) if not self.restore(i)]

    def restore(self, i: int) -> bool:
        """Bring copy `i` back into its episode; where that cannot be, begin the next one."""
        held, obs = self.recorder.restore(i)
        if obs is not None:               # replayed: did the environment repeat itself?
            obs = obs if self.start is None else obs - self.start
            held = np.array_equal(np.asarray(obs, self.dtype), self.obs[i], equal_nan=True) or self.recorder.strayed()
        if not held:
            self.restart(i)
        return bool(held)

    def restart(self, i: int) -> None:
        """Begin the next episode of copy `i`."""
        raise NotImplementedError

    def describe(self) -> list[str]:
        """What a user should know at the start."""
        return [self.recorder.describe()]

    def close(self) -> None:
        for env in self.envs:
            env.close()
