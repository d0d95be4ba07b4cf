"""A network that learns from data: the preparation, then the chosen model. B examples, T steps."""

import copy

import torch
from torch import Tensor, nn

from ..errors import Diverged, UsageError
from ..layers import Row, rows
from ..modules import mixes
from ..world import World
from .dataset import About
from .loaded import Data


class Network(nn.Module):
    """[B, ...] as the data has them, and the lengths [B] of sequences, to [B, outputs]."""

    def __init__(self, front: nn.Module, body: nn.Module, steps: bool = False, ragged: bool = False):
        super().__init__()
        self.front, self.body, self.steps, self.ragged = front, body, steps, ragged
        self.last: nn.Module = nn.Identity()      # what an agent does to the outputs

    def forward(self, x: Tensor, length: Tensor | None = None) -> Tensor:
        x = self.front(x)
        out = self.body(as_rows(x), length if self.ragged else None) if self.steps else self.body(x)
        last: Tensor = self.last(out)
        return last


def single(out: Tensor) -> Tensor:
    """Outputs in single precision; those in double are numbers that need it."""
    return out if out.dtype == torch.float64 else out.float()


def told(out: Tensor) -> Tensor:
    """The same, of a network that is to be used. Raises Diverged for NaN and for infinity; minus infinity is a class
    that cannot be.
    """
    if not (out < torch.inf).all():
        raise Diverged("the network says what is no number: it has diverged; use an earlier checkpoint of the run, or "
                       "train anew with a smaller optimizer.lr")
    return single(out)


def as_rows(x: Tensor) -> Tensor:
    """A picture [B, C, H, W] as its rows from top to bottom, [B, H, C * W]; sequences as they are."""
    return x if x.ndim == 3 else x.movedim(1, 2).flatten(2)


def network(world: World, outputs: int | None = None) -> Network:
    """The chosen model behind the fitted preparation; the features before its last layer where `outputs` is None.

    A model of role "sequence" reads sequences, and pictures row by row. Raises UsageError where model and data do not
    fit.
    """
    about, (front, shape) = world.data.about, world.data.front
    if getattr(world.cfg.model, "name", None) not in world.models("sequence"):
        if about.ragged:
            raise UsageError(f"model={world.cfg.model.name} sees inputs of one size, and these sequences are of "
                             "several lengths; use model=lstm, gru or rnn")
        roles = ("net",) if about.kind == "table" else ("net", "sequence")
        return Network(copy.deepcopy(front), world.model(shape, outputs, role=roles)).to(world.compute.device)
    if about.kind == "table":
        raise UsageError(f"model={world.cfg.model.name} reads sequences [steps, numbers] or the rows of pictures; an "
                         f"example of this data is a table's row of {shape[0]} numbers: use model=mlp")
    steps = shape if about.kind == "sequence" else (shape[1], shape[0] * shape[2])
    body = world.model(steps, outputs, role="sequence")
    return Network(copy.deepcopy(front), body, steps=True, ragged=about.ragged).to(world.compute.device)


def enough_examples(net: nn.Module, size: int, key: str = "model.norm") -> None:
    """Raises UsageError where a step has one example, `size`, and layers, by `key`, need the variance of several."""
    if size == 1 and mixes(net):
        raise UsageError(f"a step has one example, by agent.batch_size or because there are no more, and {key}=batch "
                         f"needs the variance of several; use {key}=none, or more examples")


def must_have_target(agent: str, data: Data) -> None:
    """Raises UsageError for data with nothing to predict."""
    if data.about.outputs:
        return
    if getattr(data.cfg, "target", None) == "":
        raise UsageError(f"data.target is missing: name the column that {agent} is to predict")
    raise UsageError(f"{agent} learns a target, and data={data.cfg.name} has none; use an agent that needs none, "
                     "such as +agent=kmeans, pca or vae")


def whole_examples(agent: str, data: Data) -> None:
    """Raises UsageError for data that an agent which learns the examples themselves cannot have."""
    if data.about.ragged:
        raise UsageError(f"{agent} learns examples of one size, and these sequences are of several lengths")
    if data.cfg.augment.mixup:
        raise UsageError(f"data.augment.mixup mixes targets, and {agent} learns the examples themselves")


def layers(net: Network, about: About) -> list[Row]:
    """Of a network, as one example of the data goes through them."""
    device = next(net.buffers()).device
    x = torch.zeros(1, *about.shape, device=device)
    length = torch.tensor([about.shape[0]], device=device) if about.ragged else None
    return rows(net, lambda: net(x, length))
