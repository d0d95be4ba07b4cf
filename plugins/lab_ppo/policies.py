"""Policies for each kind of action space, and the networks behind them. N environments, B rows, A actions, F features.

A policy turns the outputs of a network [B, outputs] into actions; `evaluate` gives the log-probability of actions and
the entropy, both [B].
"""

import math

import torch
from gymnasium.spaces import Box, Discrete, MultiBinary, MultiDiscrete, Space
from torch import Tensor, nn

from .maths import categorical, gaussian


class Categorical(nn.Module):
    """One of A actions; the outputs are logits [B, A], actions are [B]."""

    def __init__(self, n_actions: int):
        super().__init__()
        self.outputs = n_actions

    def mode(self, logits: Tensor) -> Tensor:
        return logits.argmax(-1)                                                                # [B]

    def sample(self, logits: Tensor, rng: torch.Generator) -> Tensor:
        """The largest of logits plus Gumbel noise, -log of an exponential (Maddison et al. 2014)."""
        return (logits - torch.empty_like(logits).exponential_(generator=rng).log_()).argmax(-1)    # [B]

    def evaluate(self, logits: Tensor, action: Tensor) -> tuple[Tensor, Tensor]:
        return categorical(logits, action)


class Choices(nn.Module):
    """Independent choices, entry i of the action being one of sizes[i]; actions are [B, *shape]."""

    def __init__(self, sizes: list[int], shape: tuple[int, ...]):
        super().__init__()
        self.sizes, self.shape, self.outputs = sizes, shape, sum(sizes)

    def mode(self, logits: Tensor) -> Tensor:
        chosen = [part.argmax(-1) for part in torch.split(logits, self.sizes, -1)]                     # of [B]
        return torch.stack(chosen, -1).view(-1, *self.shape)

    def sample(self, logits: Tensor, rng: torch.Generator) -> Tensor:
        """As Categorical, for every entry."""
        return self.mode(logits - torch.empty_like(logits).exponential_(generator=rng).log_())

    def evaluate(self, logits: Tensor, action: Tensor) -> tuple[Tensor, Tensor]:
        parts = zip(torch.split(logits, self.sizes, -1), action.flatten(1).unbind(-1), strict=True)
        log_prob, entropy = zip(*(categorical(*part) for part in parts), strict=True)           # of [B]
        return torch.stack(log_prob).sum(0), torch.stack(entropy).sum(0)


class Gaussian(nn.Module):
    """Independent entries around the outputs, with one spread for all observations; actions are [B, *shape]."""

    def __init__(self, shape: tuple[int, ...], log_std: float):
        super().__init__()
        self.shape, self.outputs = shape, math.prod(shape)
        self.log_std = nn.Parameter(torch.full((self.outputs,), log_std))

    def mode(self, mean: Tensor) -> Tensor:
        return mean.view(-1, *self.shape)

    def sample(self, mean: Tensor, rng: torch.Generator) -> Tensor:
        noise = torch.empty_like(mean).normal_(generator=rng)                                   # [B, A]
        return self.mode(mean + self.log_std.exp() * noise)

    def evaluate(self, mean: Tensor, action: Tensor) -> tuple[Tensor, Tensor]:
        return gaussian(mean, self.log_std, action.flatten(1))


Policy = Categorical | Choices | Gaussian


def policy_for(space: Space[object], log_std: float) -> Policy | None:
    """None for a space that has no policy here."""
    if isinstance(space, Discrete):
        return Categorical(int(space.n))
    if isinstance(space, MultiDiscrete):
        return Choices(space.nvec.flatten().tolist(), space.shape)
    if isinstance(space, MultiBinary):
        return Choices([2] * math.prod(space.shape), space.shape)
    if isinstance(space, Box) and space.dtype.kind == "f" and space.shape:
        return Gaussian(space.shape, log_std)
    return None


class ActorCritic(nn.Module):
    """What a policy is made from [B, outputs], and the values of states [B, 1]; from one body or from two."""

    def __init__(self, bodies: list[nn.Module], features: int, outputs: int):
        super().__init__()
        self.bodies = nn.ModuleList(bodies)
        self.actor_head, self.critic_head = nn.Linear(features, outputs), nn.Linear(features, 1)
        orthogonal(self.bodies, math.sqrt(2))
        orthogonal(self.actor_head, 0.01)
        orthogonal(self.critic_head, 1.0)

    def actor(self, obs: Tensor) -> Tensor:
        outputs: Tensor = self.actor_head(self.bodies[0](obs))
        return outputs

    def critic(self, obs: Tensor) -> Tensor:
        value: Tensor = self.critic_head(self.bodies[-1](obs))
        return value

    def forward(self, obs: Tensor) -> tuple[Tensor, Tensor]:
        features = [body(obs) for body in self.bodies]                                          # of [B, F]
        return self.actor_head(features[0]), self.critic_head(features[-1])


def orthogonal(net: nn.Module, gain: float) -> None:
    """Orthogonal weights times `gain` and no biases, in every linear and convolutional layer (Saxe et al. 2014)."""
    for layer in net.modules():
        if isinstance(layer, nn.Linear | nn.Conv2d):
            nn.init.orthogonal_(layer.weight, gain)
            if layer.bias is not None:
                nn.init.zeros_(layer.bias)
