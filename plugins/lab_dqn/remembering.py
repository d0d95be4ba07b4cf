"""A Q-network with a memory, and how it acts. T steps, N environments, B sequences, A actions, H units, M = 2 H."""

from typing import ClassVar

import torch
from torch import Tensor, nn

from lab.compute import Compute
from lab.state import Saved

from .dqn import Coins
from .others import R2D2


class RecurrentQ(nn.Module):
    """Features, an LSTM (Hochreiter & Schmidhuber 1997), and values; its memory is hidden and cell state, [N, M]."""

    def __init__(self, body: nn.Module, features: int, units: int, head: nn.Module):
        super().__init__()
        self.body, self.cell, self.head, self.units = body, nn.LSTMCell(features, units), head, units

    def forward(self, obs: Tensor, memory: Tensor) -> tuple[Tensor, Tensor]:
        """One step: [N, ...] and [N, M] -> values [N, A] and the next memory [N, M]."""
        hidden, cell = self.cell(self.body(obs), memory.chunk(2, -1))
        return self.head(hidden), torch.cat([hidden, cell], -1)

    def unroll(self, obs: Tensor, memory: Tensor, fresh: Tensor) -> tuple[Tensor, Tensor]:
        """[T, B, ...] from `memory` [B, M], emptied where `fresh` [T, B] is 1: values [T, B, A], the last memory."""
        features, outputs = self.body(obs.flatten(0, 1)).unflatten(0, obs.shape[:2]), []
        for seen, kept in zip(features, 1 - fresh, strict=True):
            hidden, cell = self.cell(seen, (memory * kept[:, None]).chunk(2, -1))
            memory = torch.cat([hidden, cell], -1)
            outputs.append(hidden)
        return self.head(torch.stack(outputs)), memory


class Actor(Saved):
    """Greedy, with a memory of each environment's episode."""

    saved: ClassVar[tuple[str, ...]] = ("memory",)

    def __init__(self, q: RecurrentQ, n: int, device: torch.device):
        self.q = q
        self.memory = torch.zeros(n, 2 * q.units, device=device)                            # [N, M]

    def begin(self, fresh: Tensor) -> None:
        """Episodes begin where `fresh` [N] is true: nothing is remembered of those before."""
        kept = self.memory if len(self.memory) == len(fresh) else self.memory.new_zeros(len(fresh), 2 * self.q.units)
        self.memory = torch.where(fresh[:, None], 0.0, kept)

    @torch.no_grad()
    def __call__(self, obs: Tensor, count: int = 0) -> Tensor:
        values, self.memory = self.q(obs, self.memory)
        return values.argmax(-1)                                                            # [N]


class Explorer(Actor):
    """Epsilon-greedy."""

    saved = ("memory", "coins")

    def __init__(self, q: RecurrentQ, n: int, n_actions: int, cfg: R2D2, compute: Compute):
        super().__init__(q, n, compute.device)
        self.coins = Coins(n_actions, cfg, compute)
        self.recalled: list[Tensor] = []              # the memory before each step since the last `recall`

    def __call__(self, obs: Tensor, count: int = 0) -> Tensor:
        self.recalled.append(self.memory)
        return torch.as_tensor(self.coins.mixed(super().__call__(obs), count), device=obs.device)               # [N]

    def recall(self) -> dict[str, Tensor]:
        """Of the steps since the last call: the `memory` [T, N, M] before each, `fresh` [T, N] where there was none."""
        memory, self.recalled = torch.stack(self.recalled), []
        return {"memory": memory, "fresh": (memory == 0).all(-1).float()}
