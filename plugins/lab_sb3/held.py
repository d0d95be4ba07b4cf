"""State that Stable-Baselines3 keeps, where the lab can save it."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from stable_baselines3.common.buffers import ReplayBuffer

from lab.state import Saved


class Held:
    """An attribute of the object whose `model` has it, under the model's own name for it."""

    def __init__(self, name: str):
        self.name = name

    def __get__(self, owner: Any, kind: type) -> Any:
        return self if owner is None else getattr(owner.model, self.name)

    def __set__(self, owner: Any, value: Any) -> None:
        setattr(owner.model, self.name, value)


class Rows(Saved):
    """What a replay buffer holds; of its arrays, the part that is filled. R rows, N environments."""

    saved = ("pos", "filled")
    arrays = ("observations", "next_observations", "actions", "rewards", "dones", "timeouts")

    def __init__(self, buffer: ReplayBuffer):
        self.buffer = buffer

    @property
    def pos(self) -> int:
        """Where the next row goes."""
        return self.buffer.pos

    @pos.setter
    def pos(self, pos: int) -> None:
        self.buffer.pos = pos

    @property
    def filled(self) -> dict[str, np.ndarray]:
        """Each array [R, N, ...]."""
        return {name: getattr(self.buffer, name)[:self.buffer.size()] for name in self.arrays}

    @filled.setter
    def filled(self, rows: Mapping[str, np.ndarray]) -> None:
        """Raises ValueError where the buffer has another size; `pos` is that of these rows already."""
        size, capacity = len(rows["dones"]), self.buffer.buffer_size
        self.buffer.full = size != self.pos
        if size > capacity or (self.buffer.full and size != capacity) or size < self.pos:
            raise ValueError(f"it holds {size} rows, with which a buffer of {capacity} cannot go on")
        for name, row in rows.items():
            getattr(self.buffer, name)[:size] = row

    def end(self, i: int) -> None:
        """The last row of environment `i` is the last of its episode: no return reaches across."""
        if self.buffer.size():
            self.buffer.dones[self.pos - 1, i] = self.buffer.timeouts[self.pos - 1, i] = 1
