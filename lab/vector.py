"""What every kind of Envs does, however its copies are stepped. T steps, N environments."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor

from .compute import Compute
from .contract import Act, Batch
from .errors import EnvError
from .normalize import Normalizer
from .spaces import About, dtype_of, to_env
from .state import Saved


class Vector(Saved):
    """N copies as one source of rows; a subclass says how they are stepped."""

    first, total = 0, 0           # where these are some of `total` copies: the number of the first

    def prepare(self, of: About, n: int, compute: Compute, name: str) -> None:
        """Everything that is there before the first reset."""
        self.n, self.compute, self.name, self.id = n, compute, name, of.id
        self.observation_space, self.action_space = of.observation_space, of.action_space
        self.stack, self.padding = of.stack, of.padding   # frames in obs [stack, ...]; see lab.spaces.stack_of
        self.shape, self.dtype = of.observation_space.shape, dtype_of(of.observation_space)
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

    def __len__(self) -> int:
        return self.n

    def seed(self, i: int, episode: int) -> int:
        return self.compute.seed_for(f"{self.name}/{self.first + i}/{episode}")

    def collect(self, act: Act, steps: int, count: int = 0) -> dict[str, Tensor]:
        """[T, N, ...] obs, action, reward, next_obs, terminal (no future to bootstrap from) and done (a new episode).

        Where observations are stacks of frames also `reset`: 1 where the next row begins with a new stack. With a
        normaliser `act` sees normalised observations, and the rows are raw. The action is the policy's own: what lies
        beyond the bounds of a Box is clipped on its way to the environment.
        Raises EnvError where an environment raises or returns what is not a finite value of its space's shape.
        """
        rows, device, actions = self.empty(steps), self.compute.device, []
        act = self.normalizer.seeing(act) if self.normalizer else act
        for t in range(steps):
            rows["obs"][t] = self.obs
            actions.append(act(torch.from_numpy(rows["obs"][t]).to(device), count + t * self.n))       # [N, ...]
            self.step(self.choices(actions[t]), rows, t)
        self.check(rows, count)
        if self.normalizer:
            self.normalizer.learn(rows)
        batch = {"action": torch.stack(actions)}
        for name, row in rows.items():
            batch[name] = torch.from_numpy(row).to(device)
        return batch

    def empty(self, steps: int) -> dict[str, np.ndarray]:
        shape = (steps, self.n)
        rows = {"obs": np.zeros((*shape, *self.obs.shape[1:]), self.dtype), "reward": np.zeros(shape, np.float32),
                "next_obs": np.zeros((*shape, *self.obs.shape[1:]), self.dtype),
                "terminal": np.zeros(shape, np.float32), "done": np.zeros(shape, np.float32)}
        return {**rows, "reset": np.zeros(shape, np.float32)} if self.stack > 1 else rows

    def choices(self, action: Tensor) -> Any:
        """Of a policy, as `step` takes them."""
        return to_env(self.action_space, action)

    def step(self, choices: Any, rows: dict[str, np.ndarray], t: int) -> None:
        """One step of every environment, written into place `t` of `rows`, each [T, N, ...]."""
        raise NotImplementedError

    def normalized(self, batch: Batch) -> Batch:
        """What a stream hands out: raw rows on the scale of the statistics, or the batch itself."""
        return self.normalizer.batch(batch) if self.normalizer else batch

    def ended(self, i: int) -> None:
        """The books of copy `i` for its next episode."""
        self.episodes[i] += 1
        self.returns[i], self.lengths[i] = 0.0, 0
        self.frames[:, i] = self.frames[:, i].sum(), 0

    def check(self, rows: dict[str, np.ndarray], count: int) -> None:
        """Raises EnvError where a reward or an observation is not finite."""
        for name in ("reward", "next_obs", "obs"):
            if rows[name].dtype.kind == "f" and not np.isfinite(rows[name]).all():
                t, i = np.argwhere(~np.isfinite(rows[name]))[0][:2]
                what, at = "a reward" if name == "reward" else "an observation", count + t * self.n
                raise self.error(int(i), f"returned {what} that is not finite", f"step {at:,} of the run")

    def error(self, i: int, what: str, where: str = "") -> EnvError:
        self.spoiled()                        # a resume begins new episodes: this one cannot be trusted
        where = where or f"step {self.lengths[i]} of its episode {self.episodes[i]}"
        return EnvError(f"environment {self.id} (copy {self.first + i} of {self.total or self.n}, {where}) {what}")

    def spoiled(self) -> None:
        raise NotImplementedError

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
        return super().state_dict() | ({"normalizer": self.normalizer.state_dict()} if self.normalizer else {})

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        super().load_state_dict(self.accepted(state))

    def accepted(self, state: Mapping[str, Any]) -> dict[str, Any]:
        """The part of the environments; that of the normaliser is put back.

        Raises ValueError where it is of other environments, or normalised otherwise.
        """
        if (n := len(state["episodes"])) != self.n:
            raise ValueError(f"it holds {n} environments and this run has {self.n}")
        if len(state["recorder"].get("actions", range(self.logs))) != self.logs:
            raise ValueError("one of the checkpoint and this run has vector.mode=native, the other not")
        if ("normalizer" in state) != (self.normalizer is not None):
            raise ValueError("one of the checkpoint and this run has normalised observations or rewards, the other not")
        if self.normalizer:
            self.normalizer.load_state_dict(state["normalizer"])
        return {name: value for name, value in state.items() if name not in ("normalizer", "generators")}

    @property
    def logs(self) -> int:
        """Objects that are followed, each with its log of actions."""
        return self.n

    def describe(self) -> list[str]:
        """What a user should know at the start."""
        raise NotImplementedError

    def close(self) -> None:
        raise NotImplementedError
