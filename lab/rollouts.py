"""Batches for agents that learn from what they just did, and forget it. T steps, N environments."""

import torch
from torch import Tensor

from .contract import Act, Batch
from .envs import Envs
from .streams import OfEnvs


class Rollouts(OfEnvs):
    """The last `steps` transitions of every environment, each seen once, in the order of time: [T, N, ...].

    `next_obs` is the true successor of `obs`: where an episode was cut off by a time limit (`done`, not `terminal`)
    its value is what the rest of the episode is worth.
    """

    saved = ("count", "envs")

    def __init__(self, envs: Envs, act: Act, steps: int):
        self.envs, self.act, self.steps = envs, act, steps

    def next(self) -> Batch:
        rows = self.envs.collect(self.act, self.steps, self.count)                              # [T, N, ...]
        self.count += self.steps * self.envs.n
        return self.envs.normalized(rows)


def lambda_return(reward: Tensor, next_value: Tensor, terminal: Tensor, done: Tensor, discount: float,
                  lambda_: float) -> Tensor:
    """The discounted return from each step on, in reward units; all tensors are [T, ...] (Sutton & Barto 2018, 12.18).

        G[t] = reward[t] + discount * ((1 - lambda) * next_value[t] + lambda * G[t + 1])

    `lambda_` 0 trusts the values alone, 1 the rewards as far as they reach. The last step, and every one after which a
    new episode begins, is followed by `next_value` alone, and a terminal one by nothing.
    """
    goes_on = lambda_ * (1 - done)                                                              # [T, ...]
    goes_on[-1] = 0
    near = torch.addcmul(reward, discount * (1 - terminal) * (1 - goes_on), next_value)         # [T, ...]
    returns, last = [], torch.zeros_like(reward[0])
    for now, decay in zip(reversed(near.unbind()), reversed((discount * goes_on).unbind()), strict=True):
        last = torch.addcmul(now, decay, last)                                                  # [...]
        returns.append(last)
    return torch.stack(returns[::-1])
