"""What stands after the features of a Q-network. B rows, F features, A actions, Z atoms or quantiles."""

import math
from collections.abc import Iterator

import torch
from torch import Generator, Tensor, nn
from torch.nn.functional import linear


class Chance(nn.Module):
    """A module whose forward pass depends on random numbers; they are drawn before it, from a named generator."""

    def draw(self, rng: Generator, rows: int, noises: int) -> None:
        """For a batch of `rows` rows; `noises` is 1 where all may share one, or the number of rows."""
        raise NotImplementedError

    def calm(self) -> None:
        """The same output every time, until the next draw."""
        raise NotImplementedError


class NoisyLinear(Chance):
    """A linear layer [B, in] -> [B, out] with factorised Gaussian noise on its weights (Fortunato et al. 2018, 3)."""

    def __init__(self, inputs: int, outputs: int, sigma: float):
        super().__init__()
        bound = 1 / math.sqrt(inputs)
        self.weight = nn.Parameter(torch.empty(outputs, inputs).uniform_(-bound, bound))
        self.bias = nn.Parameter(torch.empty(outputs).uniform_(-bound, bound))
        self.weight_sigma = nn.Parameter(torch.full((outputs, inputs), sigma * bound))
        self.bias_sigma = nn.Parameter(torch.full((outputs,), sigma * bound))
        self.noise: tuple[Tensor, Tensor] | None = None

    def draw(self, rng: Generator, rows: int, noises: int) -> None:
        outputs, inputs = self.weight.shape
        normal = torch.randn(noises, inputs + outputs, generator=rng, device=rng.device)
        shaped = normal.sign() * normal.abs().sqrt()
        self.noise = shaped[:, :inputs], shaped[:, inputs:]

    def calm(self) -> None:
        self.noise = None

    def forward(self, x: Tensor) -> Tensor:
        mean = linear(x, self.weight, self.bias)
        if self.noise is None:
            return mean
        between = (len(self.noise[0]), *[1] * (x.ndim - 2), -1)         # rows may be many for each noise, [B, N, in]
        inward, outward = (part.view(between) for part in self.noise)
        return mean + outward * linear(x * inward, self.weight_sigma, self.bias_sigma)


def noisy(net: nn.Module, sigma: float) -> nn.Module:
    """The same network with every linear layer a noisy one."""
    for name, layer in net.named_children():
        if isinstance(layer, nn.Linear):
            setattr(net, name, NoisyLinear(layer.in_features, layer.out_features, sigma).to(layer.weight.device))
        else:
            noisy(layer, sigma)
    return net


class Dueling(nn.Module):
    """V + A - mean A (Wang et al. 2016, eq. 9), each with a hidden layer of its own unless `hidden` is 0.

    [..., F] -> [..., A], or [..., A, Z] with `atoms`.
    """

    def __init__(self, features: int, n_actions: int, atoms: int | None = None, hidden: int = 0):
        super().__init__()
        shape = () if atoms is None else (atoms,)
        self.value, self.advantage = (stream(features, n, hidden, (n, *shape)) for n in (1, n_actions))
        self.axis = -1 - len(shape)

    def forward(self, features: Tensor) -> Tensor:
        advantage = self.advantage(features)
        both: Tensor = self.value(features) + advantage - advantage.mean(self.axis, keepdim=True)
        return both


def stream(features: int, outputs: int, hidden: int, shape: tuple[int, ...]) -> nn.Sequential:
    """[..., features] -> [..., *shape]"""
    before: list[nn.Module] = [nn.Linear(features, hidden), nn.ReLU()] if hidden else []
    last = nn.Linear(hidden or features, math.prod(shape))
    return nn.Sequential(*before, last, *([nn.Unflatten(-1, shape)] if len(shape) > 1 else []))


def chances(net: nn.Module) -> Iterator[Chance]:
    return (module for module in net.modules() if isinstance(module, Chance))
