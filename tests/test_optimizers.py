"""The optimizers that the lab offers, as a run saves and loads them."""

import pytest
import torch
from torch import nn

from lab import builtin, optimizers, plain

KINDS = {"adam": builtin.Adam(), "adamw": builtin.AdamW(), "sgd": builtin.SGD(momentum=0.9),
         "rmsprop": builtin.RMSprop()}


def made(name):
    """Two convolutions whose weights lie with the channels last, and an optimizer of them."""
    torch.manual_seed(0)
    net = nn.Sequential(nn.Conv2d(2, 3, 3), nn.ReLU(), nn.Conv2d(3, 4, 3)).to(memory_format=torch.channels_last)
    build = getattr(optimizers, name)
    return net, optimizers.overridable(build(KINDS[name], net.parameters(), fused=name != "rmsprop"))


def train(net, optimizer, seeds):
    for seed in seeds:
        optimizer.zero_grad()
        picture = torch.randn(4, 2, 7, 7, generator=torch.Generator().manual_seed(seed))
        net(picture).square().mean().backward()
        optimizer.step()


def through_a_file(state):
    """As a checkpoint has it: every tensor in the order of its axes."""
    tensors = {}
    tree = plain.flatten(state, "", tensors)
    assert all(each.is_contiguous() for each in tensors.values())
    return plain.restore(tree, tensors)


@pytest.mark.parametrize("name", KINDS)
def test_weights_with_the_channels_last_resume_to_the_bit(name):
    """A fused step goes through the memory of weight and moments side by side, so that both must lie alike."""
    net, optimizer = made(name)
    train(net, optimizer, range(3))
    again, other = made(name)
    again.load_state_dict(through_a_file(net.state_dict()))
    other.load_state_dict(through_a_file(optimizer.state_dict()))
    train(net, optimizer, range(3, 6))
    train(again, other, range(3, 6))
    for one, two in zip(net.parameters(), again.parameters(), strict=True):
        assert torch.equal(one, two)
        assert one.stride() == two.stride()
