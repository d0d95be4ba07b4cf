"""What one copy of an environment was given to do, so that it can be done again. T actions."""

from itertools import pairwise
from typing import Any

import numpy as np

from .state import Saved


class ActionLog(Saved):
    """The actions of the episodes from number `first` on, in one array that grows: one array in a checkpoint, too."""

    saved = ("first", "begins", "actions")

    def __init__(self) -> None:
        self.first, self.begins = 0, list[int]()          # where in `memory` each episode begins
        self.memory, self.count, self.whole = np.zeros(0), 0, True

    @property
    def actions(self) -> np.ndarray | None:
        """[T, ...]; None where some of the episode in progress are not known."""
        return self.memory[:self.count].copy() if self.whole else None

    @actions.setter
    def actions(self, actions: np.ndarray | None) -> None:
        self.whole = actions is not None
        self.memory = np.zeros(0) if actions is None else actions
        self.count = len(self.memory)

    def begin(self, episode: int, keep: bool) -> None:
        """An episode; those before it are kept or forgotten."""
        if not (keep and self.whole):
            self.first, self.begins, self.count, self.whole = episode, [], 0, True
        self.begins.append(self.count)

    def append(self, action: Any) -> None:
        if not self.whole:
            return
        if self.count == len(self.memory):
            like = np.asarray(action)
            memory = np.zeros((max(2 * self.count, 64), *like.shape), like.dtype)
            if self.count:
                memory[:self.count] = self.memory
            self.memory = memory
        self.memory[self.count] = action
        self.count += 1

    def lose(self) -> None:
        """Until the next episode begins."""
        self.whole = False

    def episode(self) -> int:
        """The number of the one in progress."""
        return self.first + len(self.begins) - 1

    def episodes(self) -> list[tuple[int, np.ndarray]]:
        """The number of each, and its actions."""
        parts = pairwise([*self.begins, self.count])
        return [(self.first + k, self.memory[begin:end]) for k, (begin, end) in enumerate(parts)]
