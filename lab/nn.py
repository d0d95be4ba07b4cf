"""What stands before a network, whatever the observations are, and what it is made of. B batch."""

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import torch
from gymnasium.spaces import Box, Discrete, MultiDiscrete, Space
from torch import Tensor, nn
from torch.nn.functional import one_hot

from .errors import UsageError

ZERO = np.float32(0)
Activation = Callable[[np.ndarray], Any]                              # in place
ACTIVATIONS: dict[type, Activation] = {
    nn.Identity: lambda x: None, nn.ReLU: lambda x: np.maximum(x, ZERO, out=x), nn.Tanh: lambda x: np.tanh(x, out=x)}


def dense(wide: int, narrow: int, activation: type[nn.Module], normed: bool = False) -> list[nn.Module]:
    """A fully connected layer and its activation, [B, wide] -> [B, narrow]; a GLU is given twice as many, of which the
    second half gates the first (Dauphin et al. 2017). `normed`: with batch norm between them.
    """
    width = 2 * narrow if activation is nn.GLU else narrow
    return [nn.Linear(wide, width, bias=not normed), *([nn.BatchNorm1d(width)] if normed else []), activation()]


class Coder(nn.Module):
    """What a model of role "autoencoder" is.

    encode: [B, *shape] -> [B, *inner]; decode: [B, *inner] -> [B, P, *shape], P numbers for each of an example;
    `activation` goes between layers.
    """

    def __init__(self, encode: nn.Module, decode: nn.Module, inner: tuple[int, ...], activation: type[nn.Module]):
        super().__init__()
        self.encode, self.decode, self.inner, self.activation = encode, decode, inner, activation


class Rivals(nn.Module):
    """What a model of role "rivals" is.

    generator: [B, inputs] -> [B, *shape]; critic: [B, *shape] -> features [B, width]. What comes before and after, such
    as classes and the last layer of the critic, belongs to the agent.
    """

    def __init__(self, generator: nn.Module, critic: nn.Module, width: int):
        super().__init__()
        self.generator, self.critic, self.width = generator, critic, width


class Denoiser(nn.Module):
    """What a model of role "denoiser" is.

    body: (noisy examples [B, *shape], what is told of them [B, width]) -> [B, *shape]. What is told, such as how noisy
    they are, belongs to the agent.
    """

    def __init__(self, body: nn.Module, width: int):
        super().__init__()
        self.body, self.width = body, width


class OneHot(nn.Module):
    """Integers as indicator vectors: [B] or [B, k] -> [B, sum of `sizes`]."""

    def __init__(self, sizes: list[int]):
        super().__init__()
        self.sizes = sizes

    def forward(self, obs: Tensor) -> Tensor:
        columns = obs.view(len(obs), len(self.sizes)).unbind(-1)
        return torch.cat([one_hot(column, size) for column, size in zip(columns, self.sizes, strict=True)], -1).float()


class Scale(nn.Module):
    """Integers or booleans as floats, divided by `largest`; under autocast in its type, as the next layer would."""

    def __init__(self, largest: int):
        super().__init__()
        self.largest = largest

    def forward(self, obs: Tensor) -> Tensor:
        kind = obs.device.type
        dtype = torch.get_autocast_dtype(kind) if torch.is_autocast_enabled(kind) else torch.float32
        return obs.to(dtype).div_(self.largest)


def reading(space: Space[object]) -> tuple[list[nn.Module], tuple[int, ...]]:
    """What turns observations of `space` into floats, and the shape that a network then sees.

    Raises UsageError for observations that have no such form.
    """
    if isinstance(space, Discrete):
        return [OneHot([int(space.n)])], (int(space.n),)
    if isinstance(space, MultiDiscrete) and len(space.shape) == 1:
        return [OneHot(space.nvec.tolist())], (int(space.nvec.sum()),)
    if isinstance(space, Box):
        kind = space.dtype.kind
        return [] if kind == "f" else [Scale(255 if space.dtype == "uint8" else 1)], space.shape
    raise UsageError(f"a network cannot see {space}; it needs Box, Discrete or MultiDiscrete observations")


def width(body: nn.Module, space: Space[object]) -> int:
    """The features of a body that maps observations of `space` to [B, features]."""
    device = next((p.device for p in body.parameters()), torch.device("cpu"))
    dtype = torch.float32 if isinstance(space, Box) and space.dtype.kind == "f" else torch.int64
    training = body.training
    with torch.no_grad():
        features: Tensor = body.eval()(torch.zeros(1, *(space.shape or ()), dtype=dtype, device=device))   # [1, F]
    body.train(training)
    return features.shape[-1]


def dense_layers(net: nn.Module) -> list[tuple[np.ndarray, np.ndarray, Activation]]:
    """Weights [in, out], biases [out] and activations, which share the memory of the parameters.

    Empty where it is anything but fully connected layers on a CPU, each with at most one activation, and no hooks.
    """
    layers = list[tuple[np.ndarray, np.ndarray, Activation]]()
    before: type = nn.Identity
    for part in flat(net):
        if type(part) is nn.Linear and plain(part):
            layers.append((part.weight.detach().numpy().T, part.bias.detach().numpy(), ACTIVATIONS[nn.Identity]))
        elif before is nn.Linear and type(part) in ACTIVATIONS and plain(part):
            layers[-1] = (*layers[-1][:2], ACTIVATIONS[type(part)])
        else:
            return []
        before = type(part)
    return layers


def plain(part: nn.Module) -> bool:
    """Whether it is its class and its parameters alone: float32 on a CPU, nothing hooked to it, none worked out."""
    own = all(isinstance(p, nn.Parameter) and p.dtype is torch.float32 and p.device.type == "cpu"
              for p in part._parameters.values())
    hooked = part._forward_hooks or part._forward_pre_hooks
    return own and not hooked and len(part._parameters) == 2 * (type(part) is nn.Linear)


def flat(net: nn.Module) -> Iterator[nn.Module]:
    """Its layers in the order in which they are applied."""
    if type(net) is not nn.Sequential or net._forward_hooks or net._forward_pre_hooks:
        yield net
    else:
        for part in net:
            yield from flat(part)
