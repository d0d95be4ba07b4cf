"""Environments in mid-episode as plain data, in the tier that `lab.env_state` found for them."""

import logging
from collections.abc import Callable, Mapping
from contextlib import suppress
from functools import partial
from typing import Any

import gymnasium as gym

from . import signals
from .action_log import ActionLog
from .env_state import Episode, Tier, brief, probe, restore
from .env_twin import attributes, spare
from .state import Saved, frozen_rng
from .witness import REPLAYED, VERIFIED, Witness

LOG = logging.getLogger("lab")
Env = gym.Env[Any, Any]

MEANING = {
    Tier.EXACT: "exact: saved and resumed in mid-episode",
    Tier.EPISODE_REPLAY: "exact by replay of the episode in progress",
    Tier.REPLAY: "exact by replay of every step since the start: a resume takes as long as the steps took",
    Tier.BOUNDARY: "not exact: this environment does not repeat itself, a resume begins a new episode",
}


class Recorder(Saved):
    """Follows N environments so that they can be brought back, each episode from its own seed."""

    saved = ("level", "inner", "logs")
    second: tuple[Tier, ...] = (Tier.EPISODE_REPLAY,)     # what is tried where EXACT does not hold any more

    def __init__(self, envs: list[Env], make: Callable[[], Env], seed: Callable[[int, int], int], tier: Tier):
        self.envs, self.make, self.seed = envs, make, seed
        self.logs = [ActionLog() for _ in envs]           # actions, where they are replayed
        self.inner: list[Any] = [None for _ in envs]      # attributes of each, at the last checkpoint
        self.broken = False                               # one of them has failed
        self.midst = False                                # whether copy 0 has made a step in its episode
        self.told = ""                                    # why an environment could not be brought back
        self.follow(tier)

    def follow(self, tier: Tier) -> None:
        self.level, self.replayed = tier, tier in (Tier.EPISODE_REPLAY, Tier.REPLAY)
        self.witness: Witness | None = None               # of copy 0, since a checkpoint
        self.verified = 0                                 # checkpoints that are or were verified
        self.active = self.replayed                       # whether `look` and `stepped` must be called at every step

    def describe(self) -> str:
        return f"environment state: {MEANING[self.level]}"

    def began(self, i: int, episode: int) -> None:
        if i == 0 and self.witness is not None:
            self.verify(self.witness)
        self.logs[i].begin(episode, self.level is Tier.REPLAY)

    def look(self) -> bool:
        """A step comes next, copy 0 first; whether `stepped` is to hear of it."""
        if self.witness is not None:
            self.witness.look()
        return self.active

    def stepped(self, i: int, action: Any, *came: Any) -> None:
        """`came`: obs, reward, terminated, truncated."""
        if self.replayed:
            self.logs[i].append(action)
        if i == 0 and self.witness is not None and self.witness.add(action, came):
            self.verify(self.witness)

    def lost(self) -> None:
        """An environment failed: what they were doing cannot be brought back."""
        self.broken = True
        for log in self.logs:
            log.lose()

    def state_dict(self) -> dict[str, Any]:
        exact = self.level is Tier.EXACT and not self.broken
        self.inner = self.attributes() if exact else [None for _ in self.envs]
        saved = self.logs[0].whole if self.replayed else self.inner[0] is not None
        if saved and self.verified < VERIFIED and self.logs[0].count <= REPLAYED:
            self.witness, self.active = Witness(self.level, self.history(0), self.inner[0]), True
            self.verified += self.midst or not self.verified
        return super().state_dict()

    def attributes(self) -> list[Any]:
        """Of each copy, tried on a new one. Where they would not come back, none, and another tier from now on."""
        try:
            with frozen_rng(), spare(self.make) as twin:
                return [self.read(i, twin) for i in range(len(self.envs))]
        except Exception as error:
            self.step_down(f"the environment cannot be saved ({brief(error)})")
            return [None for _ in self.envs]

    def read(self, i: int, twin: Env) -> dict[str, Any]:
        """Of one copy; on a new twin where this one has taken the state of another copy and cannot take this."""
        env, seed = self.envs[i], self.seed(i, self.logs[i].episode())
        with suppress(Exception):
            return attributes(env, twin, seed)
        with spare(self.make) as new:
            return attributes(env, new, seed)

    def history(self, i: int) -> list[Episode]:
        """Seeds and actions of copy `i`, as far as its tier remembers them."""
        whole = isinstance(self.envs[i].action_space, gym.spaces.Discrete)       # actions were integers of Python
        return [(self.seed(i, episode), actions.tolist() if whole else actions)
                for episode, actions in self.logs[i].episodes()]

    def verify(self, witness: Witness) -> None:
        """Do what the live environment did since the checkpoint in another one: is it the same?"""
        self.witness, self.active = None, self.replayed
        if what := witness.odd(self.make):
            self.step_down(f"the first checkpoint did not hold ({what})")

    def step_down(self, why: str) -> None:
        """To the next tier that holds. What its episodes in progress have done so far is not known."""
        tiers = self.second if self.level is Tier.EXACT else ()
        self.leave_for(probe(self.make, partial(self.seed, 0), tiers=tiers) if tiers else Tier.BOUNDARY)
        LOG.warning("%s; from the next episode on, %s", why, self.describe())

    def leave_for(self, tier: Tier) -> None:
        """Another tier, unless it is the one already."""
        if tier is not self.level:
            self.follow(tier)
            for log in self.logs:
                log.lose()

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """The tier stays what the run found out about it."""
        super().load_state_dict(state)
        self.follow(Tier(state["level"]))

    def restore(self, i: int) -> tuple[bool, Any]:
        """Bring copy `i` back; whether that can be, and its observation where it was replayed."""
        lost = self.inner[i] is None if self.level is Tier.EXACT else not self.logs[i].whole
        if self.level is Tier.BOUNDARY and not lost:
            return False, None
        with suppress(Exception):
            self.envs[i].close()
        try:
            if not lost:
                self.envs[i], obs = restore(self.make, self.level, self.history(i), self.inner[i], signals.check)
                return True, obs
            self.tell("when it was saved, its tier, an environment or its process had just failed")
        except Exception as error:
            self.tell(brief(error))
        self.logs[i].lose()
        self.envs[i] = self.make()                        # what begins anew has no past, as a later replay assumes
        return False, None

    def strayed(self) -> bool:
        """A replay did not end where the environment was: it is not put back."""
        self.tell("its replay came to another observation")
        return False

    def tell(self, why: str) -> None:
        """Once, however many copies it holds for."""
        if why != self.told:
            self.told = why
            LOG.warning("an environment cannot be put back: %s", why)
