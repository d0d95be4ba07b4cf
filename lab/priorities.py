"""Prioritised replay (Schaul et al. 2016). C leaves, K gradient steps, B draws, W children."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from .contract import Act, Batch
from .envs import Envs
from .replay import Replay, Ring, Sampling
from .rows import hand
from .state import Saved

WIDTH = 64
LEAF = 9                          # bytes that a row takes in the tree: 8, and its share of the nodes above


class SumTree(Saved):
    """Each node is the sum of W children, in tensors: a draw is a few gathers for the whole batch.

    A tree of a million leaves has three levels below its root. Parents are added up anew from their children: nothing
    drifts.
    """

    saved = ("capacity", "leaves")

    def __init__(self, capacity: int, device: torch.device):
        self.capacity = capacity
        self.levels: list[Tensor] = []                  # from the leaves up, each [nodes / W, W], in float64
        nodes = capacity
        while not self.levels or len(self.levels[-1]) > 1:
            self.levels.append(torch.zeros(-(-nodes // WIDTH), WIDTH, dtype=torch.float64, device=device))
            nodes = len(self.levels[-1])

    @property
    def leaves(self) -> Tensor:
        return self.levels[0]

    @leaves.setter
    def leaves(self, values: Tensor) -> None:
        """Put in place; the sums follow."""
        for below, above in zip(self.levels, self.levels[1:], strict=False):
            above.view(-1)[:len(below)] = below.sum(-1)

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Raises ValueError where it has another number of leaves."""
        if state["capacity"] != self.capacity:
            raise ValueError(f"its priorities are of a buffer of {state['capacity']} steps and this one has "
                             f"{self.capacity}: leave agent.buffer_size as it was")
        super().load_state_dict(state)

    def __setitem__(self, leaf: Tensor, value: Tensor | float) -> None:
        """Set the leaves [B]; where one comes twice, on a CPU the last holds."""
        value = torch.as_tensor(value, dtype=torch.float64, device=leaf.device)
        at_hand = hand(leaf.device)                     # the threads of torch would each have a last of their own
        at_hand(self.leaves.view(-1))[at_hand(leaf)] = at_hand(value)
        for below, above in zip(self.levels, self.levels[1:], strict=False):
            leaf = leaf // WIDTH
            above.view(-1)[leaf] = below[leaf].sum(-1)

    def __getitem__(self, leaf: Tensor) -> Tensor:
        return self.levels[0].view(-1)[leaf]

    @property
    def total(self) -> Tensor:
        return self.levels[-1].sum()

    def find(self, mass: Tensor) -> Tensor:
        """The leaf [...] at which the sum from the left passes `mass` [...], from 0 to the total; none that is 0."""
        leaf = torch.zeros_like(mass, dtype=torch.int64)                                        # [...]
        for level in reversed(self.levels):
            sums = level[leaf].cumsum(-1)                                                       # [..., W]
            mass = torch.minimum(mass, torch.nextafter(sums[..., -1], torch.zeros_like(mass)))  # after rounding too
            child = (sums <= mass[..., None]).sum(-1)                                           # [...]
            before = sums.gather(-1, (child - 1).clamp(min=0)[..., None])[..., 0]
            mass = torch.where(child > 0, mass - before, mass)
            leaf = leaf * WIDTH + child
        return leaf

    def draw(self, shape: tuple[int, int], rng: torch.Generator) -> Tensor:
        """Leaves [K, B], each with a probability in proportion to its value, one from each B-th of the total."""
        uniform = torch.rand(shape, generator=rng, dtype=torch.float64, device=rng.device)      # [K, B]
        strata = torch.arange(shape[1], device=rng.device)
        return self.find((strata + uniform) / shape[1] * self.total)


@dataclass(frozen=True)
class Priority:
    """Schaul et al. 2016, eq. 1 and section 3.4."""

    exponent: float               # alpha: 0 is uniform
    importance: float             # beta at the start; it reaches 1 in a straight line
    steps: int                    # environment steps over which it does
    least: float = 1e-6           # epsilon, added to every error


class Prioritised(Replay):
    """Samples in proportion to their error when they were last learned from; new ones as the worst so far.

    A row has besides its `weight`, which makes up for being drawn too often, and the `leaf` to report its error for.
    """

    saved = (*Replay.saved, "tree", "highest", "low", "high")

    def __init__(self, envs: Envs, act: Act, ring: Ring, sampling: Sampling, rng: torch.Generator, priority: Priority):
        super().__init__(envs, act, ring, sampling, rng)
        self.priority, self.tree = priority, SumTree(ring.capacity, ring.device)
        self.highest = torch.ones((), dtype=torch.float64, device=ring.device)
        self.low, self.high = 0, 0                      # row numbers in the tree

    def sample(self) -> Batch | None:
        self.renew()
        if self.high <= self.low:
            return None
        plan, tree, newest = self.priority, self.tree, self.ring.pushed - 1
        leaf = tree.draw(self.sampling.shape, self.rng)                                         # [K, B]
        beta = plan.importance + (1 - plan.importance) * min(self.count / plan.steps, 1.0)
        weight = (tree[leaf] / tree.total) ** -beta                                             # [K, B]
        weight = (weight / weight.amax(-1, keepdim=True)).float()
        return {**self.batch(newest - (newest - leaf) % self.ring.capacity), "weight": weight, "leaf": leaf}

    def renew(self) -> None:
        """Rows whose steps have come can be drawn now, those that are overwritten no longer."""
        low, high = self.ring.first + self.before, self.ring.pushed - self.after
        self.tree[self.leaves(self.low, min(low, self.high))] = 0.0
        self.tree[self.leaves(max(high, self.low), self.high)] = 0.0          # with more steps than before a resume
        self.tree[self.leaves(max(self.high, low), high)] = self.highest
        self.low, self.high = low, max(high, low)

    def leaves(self, begin: int, end: int) -> Tensor:
        return torch.arange(begin, max(begin, end), device=self.ring.device) % self.ring.capacity

    def report(self, leaf: Tensor, error: Tensor) -> None:
        """`error` [K, B] of the rows that a batch gave the leaves [K, B]; see SumTree for those that came twice."""
        value = (error.abs().double() + self.priority.least) ** self.priority.exponent
        self.highest = torch.maximum(self.highest, value.max())
        self.tree[leaf.flatten()] = value.flatten()
