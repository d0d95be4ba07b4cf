"""How actions are drawn, for each kind of action space. N environments, B rows, A actions.

A distribution turns the outputs of a network, [B, outputs], into actions [B, ...] and their log-probabilities [B]; its
entropy is [B], or one for all rows. Both are in nats.
"""

import math

import torch
from gymnasium.spaces import Box, Discrete, MultiBinary, MultiDiscrete, Space
from torch import Tensor, nn

from .maths import categorical_entropy, categorical_log_prob, gaussian_entropy, gaussian_log_prob


def gumbel(logits: Tensor, rng: torch.Generator) -> Tensor:
    """Logits plus noise, the largest of which is a draw from their softmax (Maddison et al. 2014)."""
    return logits - torch.empty_like(logits).exponential_(generator=rng).log_()


class Categorical(nn.Module):
    """One of A actions; the outputs are logits [B, A], actions are [B]."""

    def __init__(self, n_actions: int):
        super().__init__()
        self.outputs = n_actions

    def mode(self, logits: Tensor) -> Tensor:
        return logits.argmax(-1)                                                                # [B]

    def sample(self, logits: Tensor, rng: torch.Generator) -> Tensor:
        return gumbel(logits, rng).argmax(-1)                                                   # [B]

    def log_prob(self, logits: Tensor, action: Tensor) -> Tensor:
        return categorical_log_prob(logits, action)

    def entropy(self, logits: Tensor) -> Tensor:
        return categorical_entropy(logits)


class Categoricals(nn.Module):
    """Independent choices, entry i of an action being one of sizes[i]; actions are [B, *shape]."""

    def __init__(self, sizes: list[int], shape: tuple[int, ...]):
        super().__init__()
        self.sizes, self.shape, self.outputs = sizes, shape, sum(sizes)

    def mode(self, logits: Tensor) -> Tensor:
        chosen = [part.argmax(-1) for part in torch.split(logits, self.sizes, -1)]              # of [B]
        return torch.stack(chosen, -1).view(-1, *self.shape)

    def sample(self, logits: Tensor, rng: torch.Generator) -> Tensor:
        return self.mode(gumbel(logits, rng))

    def log_prob(self, logits: Tensor, action: Tensor) -> Tensor:
        parts = zip(torch.split(logits, self.sizes, -1), action.flatten(1).unbind(-1), strict=True)
        return torch.stack([categorical_log_prob(*part) for part in parts]).sum(0)              # [B]

    def entropy(self, logits: Tensor) -> Tensor:
        return torch.stack([categorical_entropy(part) for part in torch.split(logits, self.sizes, -1)]).sum(0)


class Gaussian(nn.Module):
    """Independent entries around the outputs, their spread the same for all observations; actions are [B, *shape]."""

    def __init__(self, shape: tuple[int, ...], log_std: float):
        super().__init__()
        self.shape, self.outputs = shape, math.prod(shape)
        self.log_std = nn.Parameter(torch.full((self.outputs,), log_std))

    def mode(self, mean: Tensor) -> Tensor:
        return mean.view(-1, *self.shape)

    def sample(self, mean: Tensor, rng: torch.Generator) -> Tensor:
        noise = torch.empty_like(mean).normal_(generator=rng)                                   # [B, A]
        return self.mode(mean + self.log_std.exp() * noise)

    def log_prob(self, mean: Tensor, action: Tensor) -> Tensor:
        return gaussian_log_prob(mean, self.log_std, action.view(mean.shape))

    def entropy(self, mean: Tensor) -> Tensor:
        return gaussian_entropy(self.log_std)


Distribution = Categorical | Categoricals | Gaussian


def distribution_for(space: Space[object], log_std: float) -> Distribution | None:
    """What fits actions of `space`, if anything does; `log_std` is the first of a Gaussian."""
    if isinstance(space, Discrete):
        return Categorical(int(space.n))
    if isinstance(space, MultiDiscrete):
        return Categoricals(space.nvec.flatten().tolist(), space.shape)
    if isinstance(space, MultiBinary):
        return Categoricals([2] * math.prod(space.shape), space.shape)
    if isinstance(space, Box) and space.dtype.kind == "f":
        return Gaussian(space.shape, log_std)
    return None
