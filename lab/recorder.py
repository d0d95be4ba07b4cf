"""Environments in mid-episode as plain data, in the tier that `lab.env_state` found for them."""

import copy
import logging
from collections.abc import Callable, Mapping
from typing import Any

import gymnasium as gym

from .env_state import Episode, Tier, read_attributes, restore, same
from .errors import ResumeError
from .state import Saved, frozen_rng, rng_state, set_rng_state

LOG = logging.getLogger("lab")
WITNESS = 64                      # steps by which a checkpoint is verified
VERIFIED = 2                      # checkpoints: the one before the first step, and the first in the midst
REPLAYED = 10_000                 # steps that a verification replays at most
Env = gym.Env[Any, Any]

MEANING = {
    Tier.EXACT: "exact: saved and resumed in mid-episode",
    Tier.EPISODE_REPLAY: "exact by replay of the episode in progress",
    Tier.REPLAY: "exact by replay of every step since the start: a resume takes as long as the steps took",
    Tier.BOUNDARY: "not exact: this environment does not repeat itself, a resume begins a new episode",
}


class Recorder(Saved):
    """Follows N environments so that they can be brought back, each episode from its own seed."""

    saved = ("level", "inner", "actions", "past")

    def __init__(self, envs: list[Env], make: Callable[[], Env], seed: Callable[[int, int], int], tier: Tier):
        self.envs, self.make, self.seed = envs, make, seed
        self.actions: list[Any] = [[] for _ in envs]                  # of the episode in progress; None: lost
        self.past: list[list[list[Any]]] = [[] for _ in envs]         # of the episodes before it, for a full replay
        self.broken, self.checkpoints = False, 0                      # checkpoints that are or were verified
        self.midst = False                                            # whether copy 0 has made a step in its episode
        self.inner: list[Any] = [None for _ in envs]                  # attributes of each, at the last checkpoint
        self.episode = 0                                              # the number of copy 0's in progress
        self.then: tuple[list[Episode], Any, Any] = [], None, None    # copy 0 at a checkpoint: how it is brought back
        self.witness: list[tuple[Any, Any, Any]] | None = None        # (action, obs, reward) since then
        self.follow(tier)

    def follow(self, tier: Tier) -> None:
        self.level, self.replayed = tier, tier in (Tier.EPISODE_REPLAY, Tier.REPLAY)
        self.active = self.replayed                                   # whether `stepped` must be told of every step

    def describe(self) -> str:
        return f"environment state: {MEANING[self.level]}"

    def began(self, i: int, episode: int) -> None:
        if self.level is Tier.REPLAY and self.actions[i] is None:
            self.past[i] = []                                         # it begins anew in an environment without a past
        elif self.level is Tier.REPLAY and episode:
            self.past[i].append(self.actions[i])
        self.actions[i] = []
        if i == 0:
            if self.witness is not None:
                self.verify()
            self.episode = episode

    def stepped(self, i: int, action: Any, obs: Any, reward: Any) -> None:
        if self.replayed:
            self.actions[i].append(action)
        if i == 0 and self.witness is not None:
            self.witness.append(copy.deepcopy((action, obs, reward)))
            if len(self.witness) == WITNESS:
                self.verify()

    def lost(self) -> None:
        """An environment failed: what they were doing cannot be brought back."""
        self.broken, self.actions = True, [None for _ in self.envs]

    def state_dict(self) -> dict[str, Any]:
        exact = self.level is Tier.EXACT and not self.broken
        self.inner = [read_attributes(env) if exact else None for env in self.envs]
        saved = self.inner[0] is not None if exact else self.replayed and self.actions[0] is not None
        if saved and self.checkpoints < VERIFIED and len(self.actions[0]) + sum(map(len, self.past[0])) <= REPLAYED:
            self.then, self.witness, self.active = (self.history(0, self.episode), self.inner[0], rng_state()), [], True
            self.checkpoints += self.midst or not self.checkpoints
        return super().state_dict()

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """The tier stays what the run found out about it."""
        super().load_state_dict(state)
        self.follow(Tier(state["level"]))

    def history(self, i: int, episode: int) -> list[Episode]:
        """Seeds and actions of copy `i`, as far as its tier remembers them."""
        logs = [*self.past[i], list(self.actions[i])]
        return [(self.seed(i, number), actions) for number, actions in enumerate(logs, episode + 1 - len(logs))]

    def verify(self) -> None:
        """Do what the live environment did since the checkpoint in another one: is it the same?"""
        witness, self.witness, self.active = self.witness or [], None, self.replayed
        episodes, attributes, rng = self.then
        if len(self.envs) > 1 and not same(rng, rng_state()):
            return                            # they draw from one generator in turn: none can be judged alone
        with frozen_rng():
            try:
                env, _ = restore(self.make, self.level, episodes, attributes)
                set_rng_state(rng)
                held = all(same(env.step(action)[:2], (obs, reward)) for action, obs, reward in witness)
                env.close()
            except Exception as error:
                LOG.debug("verification raised", exc_info=error)
                held = False
        if not held:
            self.follow(Tier.BOUNDARY)
            LOG.warning("the first checkpoint did not hold: %s", self.describe())

    def restore(self, i: int, episode: int) -> tuple[bool, Any]:
        """Bring copy `i` back; whether that can be, and its observation where it was replayed."""
        lost = self.inner[i] is None if self.level is Tier.EXACT else self.actions[i] is None
        if lost:                              # what begins anew has no past, as a later replay of it assumes
            self.envs[i].close()
            self.envs[i] = self.make()
        if self.level is Tier.BOUNDARY or lost:
            return False, None
        try:
            env, obs = restore(self.make, self.level, self.history(i, episode), self.inner[i])
        except Exception as error:
            raise ResumeError(f"the environment could not be brought back: {type(error).__name__}: {error}") from error
        self.envs[i].close()
        self.envs[i] = env
        return True, obs
