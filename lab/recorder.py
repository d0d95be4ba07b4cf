"""Environments in mid-episode as plain data, in the tier that `lab.env_state` found for them."""

import copy
import logging
from collections.abc import Callable
from typing import Any

import gymnasium as gym

from .env_state import Tier, read_attributes, restore, same
from .errors import ResumeError
from .state import Saved, frozen_rng

LOG = logging.getLogger("lab")
WITNESS = 64                      # steps by which a checkpoint is verified
VERIFIED = 2                      # checkpoints: the one before the first step, and the first in the midst
Env = gym.Env[Any, Any]

MEANING = {
    Tier.EXACT: "exact: saved and resumed in mid-episode",
    Tier.EPISODE_REPLAY: "exact by replay of the episode in progress",
    Tier.REPLAY: "exact by replay of every step since the start: a resume takes as long as the steps took",
    Tier.BOUNDARY: "not exact: this environment does not repeat itself, a resume begins a new episode",
}


class Recorder(Saved):
    """Follows N environments so that they can be brought back, each episode from its own seed."""

    saved = ("inner", "actions", "past")

    def __init__(self, envs: list[Env], make: Callable[[], Env], seed: Callable[[int, int], int], tier: Tier):
        self.envs, self.make, self.seed, self.level = envs, make, seed, tier
        self.actions: list[Any] = [[] for _ in envs]                  # of the episode in progress; None: lost
        self.past: list[list[list[Any]]] = [[] for _ in envs]         # of the episodes before it, for a full replay
        self.broken, self.checkpoints = False, 0                      # checkpoints that are or were verified
        self.midst = False                                            # whether copy 0 has made a step in its episode
        self.inner: list[Any] = [None for _ in envs]                  # attributes of each, at the last checkpoint
        self.begun = seed(0, 0)                                       # the seed of copy 0's episode in progress
        self.first: tuple[int, Any] = self.begun, None                # copy 0 then: its seed and attributes
        self.witness: list[tuple[Any, Any, Any]] | None = None        # (action, obs, reward) since a checkpoint
        self.replayed = tier in (Tier.EPISODE_REPLAY, Tier.REPLAY)
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
            self.begun = self.seed(i, episode)

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
        if exact and self.checkpoints < VERIFIED:
            self.first, self.witness, self.active = (self.begun, self.inner[0]), [], True
            self.checkpoints += self.midst or not self.checkpoints
        return super().state_dict()

    def verify(self) -> None:
        """Do what the live environment did since the checkpoint in another one: is it the same?"""
        witness, self.witness, self.active = self.witness or [], None, self.replayed
        with frozen_rng():
            try:
                seed, attributes = self.first
                env, _ = restore(self.make, Tier.EXACT, [(seed, [])], attributes)
                held = all(same(env.step(action)[:2], (obs, reward)) for action, obs, reward in witness)
                env.close()
            except Exception as error:
                LOG.debug("verification raised", exc_info=error)
                held = False
        if not held:
            self.level = Tier.BOUNDARY
            LOG.warning("the first checkpoint did not hold: %s", self.describe())

    def restore(self, i: int, episode: int) -> tuple[bool, Any]:
        """Bring copy `i` back; whether that can be, and its observation where it was replayed."""
        lost = self.inner[i] is None if self.level is Tier.EXACT else self.actions[i] is None
        if lost:                              # what begins anew has no past, as a later replay of it assumes
            self.envs[i].close()
            self.envs[i] = self.make()
        if self.level is Tier.BOUNDARY or lost:
            return False, None
        logs = [*self.past[i], self.actions[i]]
        episodes = [(self.seed(i, number), actions) for number, actions in enumerate(logs, episode + 1 - len(logs))]
        try:
            env, obs = restore(self.make, self.level, episodes, self.inner[i])
        except Exception as error:
            raise ResumeError(f"the environment could not be brought back: {type(error).__name__}: {error}") from error
        self.envs[i].close()
        self.envs[i] = env
        return True, obs
