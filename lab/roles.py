"""What a model of each role is, and whether one is that."""

from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import Tensor, nn

from .errors import UsageError
from .modules import evaluating
from .nn import Coder, Denoiser, Rivals
from .state import frozen_rng
from .text import EncoderDecoder, Reader

KINDS: dict[str, type[nn.Module]] = {              # of others: any
    "autoencoder": Coder, "rivals": Rivals, "denoiser": Denoiser, "causal": Reader, "bidirectional": Reader,
    "encoder_decoder": EncoderDecoder}
Shape = tuple[int, ...]
Tried = Iterator[tuple[str, Tensor, Shape]]        # a part, what it makes of one example of zeros, the shape wanted


def coder(net: Any, device: torch.device, shape: Shape, said: int) -> Tried:
    yield "encoder", net.encode(torch.zeros(1, *shape, device=device)), net.inner
    yield "decoder", net.decode(torch.zeros(1, *net.inner, device=device)), (said, *shape)


def rivals(net: Any, device: torch.device, inputs: int, shape: Shape) -> Tried:
    yield "generator", net.generator(torch.zeros(1, inputs, device=device)), shape
    yield "critic", net.critic(torch.zeros(1, *shape, device=device)), (net.width,)


def denoiser(net: Any, device: torch.device, shape: Shape) -> Tried:
    given = (torch.zeros(1, *sizes, device=device) for sizes in (shape, (net.width,)))
    yield "body", net.body(*given), shape


TRIED: dict[str, Callable[..., Tried]] = {"autoencoder": coder, "rivals": rivals, "denoiser": denoiser}


def fitting(net: Any, role: str, name: str, device: torch.device, *arguments: Any) -> Any:
    """`net`, which the model `name` has built from `arguments` for its role, on the device.

    Raises UsageError where it is of another class than the role has, or makes something of another shape: a loss would
    stretch that to the shape of the data.
    """
    kind = KINDS.get(role, nn.Module)
    if not isinstance(net, kind):
        raise UsageError(f"the build of model={name} returned {type(net).__name__}, no {kind.__module__}."
                         f"{kind.__name__}, which role {role!r} has")
    net = net.to(device)
    if role not in TRIED:
        return net
    with torch.no_grad(), evaluating([net]), frozen_rng():
        for part, made, wanted in TRIED[role](net, device, *arguments):
            if tuple(made.shape) != (1, *wanted):
                raise UsageError(f"the {part} of model={name} makes {list(made.shape[1:])} of an example, expected "
                                 f"{list(wanted)}: this model does not fit the data, or its plugin has a mistake")
    return net
