"""All copies of an environment in one call: the vector environment that a library brings itself. N environments."""

from functools import partial
from typing import Any

import numpy as np
from torch import Tensor

from .compute import Compute
from .env_state import Tier, probe
from .envs import NUMBERLESS, Envs
from .errors import EnvError
from .joint import Joint
from .native_checks import MakeVector, fits, odd_numbers, spread
from .recorder import Recorder
from .spaces import About, to_array


class JointRecorder(Recorder):
    """Follows the one object that holds all copies; its one episode lasts from the start."""

    second = ()


class NativeEnvs(Envs):
    """Steps a `gymnasium.vector.VectorEnv`; see lab.joint for how its episodes begin.

    In the infos of a step `learning_reward` [N] and `learning_terminal` [N] mean what they mean in lab.envs. Raises
    UsageError where its reset or its first step breaks its own spaces, or where single environments have others.
    """

    as_one = True

    def __init__(self, make: MakeVector, n: int, compute: Compute, of: About, name: str = "train"):
        self.prepare(of, n, compute, name)
        self.returns, self.lengths, self.episodes = np.zeros(n), np.zeros(n, np.int64), np.zeros(n, np.int64)
        build = partial(self.joint, make, n)
        fits(make, of)
        self.envs: list[Any] = [build()]
        tier = probe(partial(self.joint, make, 2), lambda start: start)
        tier = Tier.REPLAY if tier is Tier.EPISODE_REPLAY else tier
        self.recorder = JointRecorder(self.envs, build, lambda i, start: start, tier)
        self.begin(0)

    def joint(self, make: MakeVector, n: int) -> Joint:
        return Joint(make(n), lambda i, k, m: self.compute.seed_for(f"{self.name}/{i}/{k}{f'/{m}' if m else ''}"))

    def begin(self, start: int) -> None:
        try:
            obs, _ = self.envs[0].reset(seed=start)
        except (Exception, SystemExit) as error:
            raise self.error(-1, f"raised {type(error).__name__} in reset: {error}") from error
        self.recorder.began(0, start)
        self.obs[:] = self.counted(obs)

    def counted(self, obs: Any) -> np.ndarray:
        """Integers from 0, whatever the space counts from. Raises EnvError for one that the space has not."""
        if self.whole and (wrong := self.whole.misfit(obs)):
            raise self.error(-1, f"returned observations {wrong}")
        return np.asarray(obs if self.start is None else obs - self.start)

    def choices(self, action: Tensor) -> np.ndarray:
        return to_array(self.action_space, action)

    def step(self, choices: Any, rows: dict[str, np.ndarray], t: int) -> None:
        recorder = self.recorder
        watched = recorder.active and recorder.look()
        kept = choices.copy() if watched else choices
        try:
            obs, reward, terminated, truncated, came = self.envs[0].step(choices)
        except (Exception, SystemExit) as error:
            raise self.error(-1, f"raised {type(error).__name__}: {error}") from error
        if wrong := broken(self, came["next_obs"], reward, terminated, truncated):
            raise self.error(-1, wrong)
        if np.shape(obs) != np.shape(came["next_obs"]):
            raise self.error(-1, f"returned observations {list(np.shape(obs))} from the reset of some copies")
        if watched:
            recorder.stepped(0, kept, obs, reward, terminated, truncated)
        terminal = np.asarray(terminated, bool)
        over = terminal | np.asarray(truncated, bool)                                       # [N]
        rows["next_obs"][t], self.obs[:] = self.counted(came["next_obs"]), self.counted(obs)
        rows["reward"][t] = self.said(came["told"], "learning_reward", reward)
        lost = self.said(came["told"], "learning_terminal", np.zeros(self.n, bool)).astype(bool)
        rows["terminal"][t], rows["done"][t] = terminal | lost, over | lost
        if self.stack > 1:
            rows["reset"][t] = over
        self.returns += reward
        self.lengths += 1
        self.frames[1] = self.said(came["told"], "episode_frame_number", self.frames[1])
        for i in np.flatnonzero(over):
            self.finished.append((float(self.returns[i]), int(self.lengths[i])))
            self.ended(int(i))

    def said(self, infos: Any, name: str, otherwise: Any) -> np.ndarray:
        """What the infos say of each copy [N]; Gymnasium marks in `_name` for which copies they say it."""
        if name not in infos:
            return np.asarray(otherwise)
        value, mask = infos[name], infos.get(f"_{name}")
        try:
            found = np.asarray(value if mask is None else np.where(mask, value, otherwise), np.float64)
        except NUMBERLESS:
            found = np.zeros(0)
        if found.shape != (self.n,) or not np.isfinite(found).all():
            raise self.error(-1, f"returned the {name} {spread(value)}; expected {self.n} numbers")
        return found

    def restart(self, i: int) -> None:
        raise NotImplementedError("copies that share one object begin their episodes by themselves")

    def error(self, i: int, what: str, where: str = "") -> EnvError:
        """`i` below 0: whichever copy it was."""
        if i >= 0:
            return super().error(i, what, where)
        self.spoiled()
        return EnvError(f"environment {self.id} ({self.n} copies in one, {self.lengths.max()} steps into the longest "
                        f"of their episodes) {what}")

    def restored(self) -> list[int]:
        """Bring all copies back; where that cannot be, all begin new episodes. Those that did."""
        held, obs = self.recorder.restore(0)
        if obs is not None:
            held = bool(np.array_equal(self.counted(obs), self.obs, equal_nan=True)) or self.recorder.strayed()
        if held:
            return []
        for i in range(self.n):
            self.ended(i)
        self.begin(self.recorder.logs[0].episode() + 1)
        return list(range(self.n))

    def describe(self) -> list[str]:
        seeds = "each episode from its own seed" if self.envs[0].masked else "only the first episodes seeded"
        return [f"{self.n} copies stepped by {type(self.envs[0].vector).__name__}, {seeds}", *super().describe()]


def broken(envs: Envs, obs: Any, reward: Any, terminated: Any, truncated: Any) -> str:
    """In what the answer of a vector environment is not what its spaces promise, or ""."""
    wanted, space = (envs.n, *(envs.shape or ())), envs.observation_space
    if np.shape(obs) != wanted or np.asarray(obs).dtype != space.dtype:
        return (f"returned observations {np.asarray(obs).dtype} {list(np.shape(obs))}; its space promises "
                f"{space.dtype} {list(wanted)}")
    return odd_numbers(envs.n, reward, terminated, truncated)
