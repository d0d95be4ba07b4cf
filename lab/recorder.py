"""Environments in mid-episode as plain data, in the tier that `lab.env_state` found for them."""

import logging
from collections.abc import Callable, Sequence
from typing import Any

import gymnasium as gym
import numpy as np

from .env_state import Tier, read_attributes, same, write_attributes
from .errors import EnvError
from .state import Saved, frozen_rng

LOG = logging.getLogger("lab")
WITNESS = 64                      # steps by which the first checkpoint is verified
Env = gym.Env[Any, Any]

MEANING = {
    Tier.EXACT: "exact: saved and resumed in mid-episode",
    Tier.EPISODE_REPLAY: "exact by replay of the episode in progress",
    Tier.REPLAY: "exact by replay of every step since the start: a resume takes as long as the steps took",
    Tier.BOUNDARY: "not exact: this environment does not repeat itself, a resume begins a new episode",
}


class Recorder(Saved):
    """Follows N environments so that they can be brought back, each episode from its own seed."""

    saved = ("tier", "inner", "actions", "past")

    def __init__(self, envs: Sequence[Env], make: Callable[[], Env], seed: Callable[[int, int], int], tier: Tier):
        self.envs, self.make, self.seed, self.level = envs, make, seed, tier
        self.actions: list[list[Any]] = [[] for _ in envs]            # of the episode in progress
        self.past: list[list[list[Any]]] = [[] for _ in envs]         # of the episodes before it, for a full replay
        self.broken, self.verified = False, tier is not Tier.EXACT
        self.loaded: list[Any] = []
        self.witness: list[tuple[Any, Any, float]] | None = None      # (action, obs, reward) since the first checkpoint

    @property
    def active(self) -> bool:
        """Whether `stepped` must be told of every step."""
        return self.level in (Tier.EPISODE_REPLAY, Tier.REPLAY) or self.witness is not None

    def describe(self) -> str:
        return f"environment state: {MEANING[self.level]}"

    def began(self, i: int, episode: int) -> None:
        if self.level is Tier.REPLAY and episode:
            self.past[i].append(self.actions[i])
        self.actions[i] = []
        if i == 0 and self.witness is not None:
            self.verify()

    def stepped(self, i: int, action: Any, obs: Any, reward: Any) -> None:
        if self.level in (Tier.EPISODE_REPLAY, Tier.REPLAY):
            self.actions[i].append(action)
        if i == 0 and self.witness is not None:
            self.witness.append((action, np.array(obs), float(reward)))
            if len(self.witness) == WITNESS:
                self.verify()

    def lost(self) -> None:
        """An environment failed: what it was doing cannot be brought back."""
        self.broken = True

    @property
    def tier(self) -> str:
        return str(Tier.BOUNDARY if self.broken else self.level)

    @tier.setter
    def tier(self, tier: str) -> None:
        self.level = Tier(tier)

    @property
    def inner(self) -> list[Any]:
        """The attributes of every environment; the first look at them starts their verification."""
        if self.tier != Tier.EXACT:
            return []
        states = [read_attributes(env) for env in self.envs]
        if not self.verified:
            self.verified, self.first, self.witness = True, states[0], []
        return states

    @inner.setter
    def inner(self, states: list[Any]) -> None:
        self.loaded = states

    def verify(self) -> None:
        """Do what the live environment did since the checkpoint in another one: is it the same?"""
        witness, self.witness = self.witness or [], None
        with frozen_rng():
            env = self.make()
            try:
                env.reset(seed=0)
                write_attributes(env, self.first)
                held = all(same(env.step(action)[:2], (obs, reward)) for action, obs, reward in witness)
            except Exception as error:
                LOG.debug("verification raised", exc_info=error)
                held = False
            finally:
                env.close()
        if not held:
            self.level = Tier.BOUNDARY
            LOG.warning("the first checkpoint did not hold: %s", self.describe())

    def restore(self, episodes: Sequence[int], obs: np.ndarray) -> list[int]:
        """Bring every environment back; returns the copies whose episode in progress is lost."""
        lost = [i for i, episode in enumerate(episodes) if not self.restore_one(i, episode, obs[i])]
        if lost:
            LOG.warning("%d of %d environments begin a new episode: %s", len(lost), len(self.envs), self.describe())
        return lost

    def restore_one(self, i: int, episode: int, obs: np.ndarray) -> bool:
        env, tier = self.envs[i], self.level
        if tier is Tier.BOUNDARY:
            return False
        try:
            if tier is Tier.EXACT:
                env.reset(seed=self.seed(i, episode))
                write_attributes(env, self.loaded[i])
                return True
            earlier = self.past[i] if tier is Tier.REPLAY else []
            for number, actions in enumerate([*earlier, self.actions[i]], episode - len(earlier)):
                now, _ = env.reset(seed=self.seed(i, number))
                for action in actions:
                    now = env.step(action)[0]
        except Exception as error:
            raise EnvError(f"the environment could not be brought back: {type(error).__name__}: {error}") from error
        return same(np.asarray(now, obs.dtype), obs)
