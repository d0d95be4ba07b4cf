"""What one environment did after a checkpoint, to be done again by another that is brought back from there."""

import copy
from collections.abc import Sequence
from functools import partial
from typing import Any

from .env_state import Episode, Make, Tier, difference, restore
from .env_walk import PARTS, Move, Seen
from .state import frozen_rng, rng_state

LENGTH = 64                       # steps by which a checkpoint is verified
VERIFIED = 2                      # checkpoints: the one before the first step, and the first in the midst
REPLAYED = 10_000                 # steps that a verification replays at most


class Witness:
    """`tier`, `episodes` and `attributes` are what `lab.env_state.restore` needs."""

    def __init__(self, tier: Tier, episodes: Sequence[Episode], attributes: Any):
        self.restored = partial(restore, tier=tier, episodes=episodes, attributes=attributes)
        self.trace, self.rngs = list[tuple[Move, Seen]](), list[Any]()

    def look(self) -> None:
        """A step comes next. It may draw from the global generators, as policies and other environments may."""
        self.rngs.append(rng_state())

    def add(self, action: Any, came: Sequence[Any]) -> bool:
        """What it was given and what came back, of PARTS; whether that is enough."""
        self.trace.append(copy.deepcopy((("step", action), dict(zip(PARTS, came, strict=True)))))
        return len(self.trace) == LENGTH

    def odd(self, make: Make) -> str:
        """In what the other one differs, or ""."""
        with frozen_rng():
            return difference(self.trace, self.rngs, partial(self.restored, make))
