"""Values by dynamic programming over known dynamics, float64. S states, A actions, K outcomes."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from .table import Table

TOLERANCE = 1e-10                 # of a value, in reward units


def policy_value(table: Table, action: np.ndarray, horizon: int) -> float:
    """Expected undiscounted return of an episode of at most `horizon` steps under the policy `action` [S].

    Finite-horizon policy evaluation (Puterman 1994, section 4.2), the mean over start states; it stops early where
    another step would change nothing, so a policy that never ends is worth `horizon` steps of its rewards.
    """
    s = np.arange(len(action))
    p, reward, follow = table.probability[s, action], table.reward[s, action], table.next_state[s, action]    # [S, K]
    gain, stay = (p * reward).sum(-1), p * (1 - table.terminal[s, action])                  # [S], [S, K]
    value = np.zeros(len(action))
    for _ in range(horizon):
        before, value = value, gain + (stay * value[follow]).sum(-1)
        if np.abs(value - before).max() < TOLERANCE:
            break
    return float(table.start @ value)


def backup(table: Table, value: np.ndarray, discount: float = 1.0) -> np.ndarray:
    """[S, A] expected reward plus discounted `value` [S] of what follows (Sutton & Barto 2018, eq. 4.6)."""
    future = discount * (1 - table.terminal) * value[table.next_state]
    return np.asarray((table.probability * (table.reward + future)).sum(-1))


def optimum(table: Table, horizon: int) -> float:
    """The largest expected undiscounted return in at most `horizon` steps, by a policy that sees the time."""
    value = np.zeros(len(table.start))
    for _ in range(horizon):
        before, value = value, backup(table, value).max(-1)
        if np.abs(value - before).max() < TOLERANCE:
            break
    return float(table.start @ value)


def optimal_policy(table: Table, discount: float) -> np.ndarray:
    """[S] the best stationary policy for discounted returns without a time limit (value iteration); `discount` < 1."""
    value, change = np.zeros(len(table.start)), np.inf
    while change > TOLERANCE:
        before, value = value, backup(table, value, discount).max(-1)
        change = np.abs(value - before).max()
    return np.asarray(backup(table, value, discount).argmax(-1))


@dataclass
class ExactValue:
    """An evaluator: the exact value of a deterministic policy, no episode played."""

    table: Table
    policy: Callable[[Tensor], Tensor]        # states [S] -> actions [S]
    horizon: int                              # steps of an episode where the environment has no limit
    device: torch.device

    def __call__(self) -> dict[str, float]:
        every = torch.arange(len(self.table.start), device=self.device)
        action = self.policy(every).cpu().numpy()
        return {"value/exact": policy_value(self.table, action, self.table.limit or self.horizon)}
