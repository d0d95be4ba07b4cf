"""A small network asked in numpy answers what it answers in torch."""

import numpy as np
import pytest
import torch
from torch import nn

from lab import compute
from lab.compute import Compute
from lab.config import ComputeConfig
from lab_models import mlp
from lab_models.plugin import MLP


def quick(net):
    answer = Compute(ComputeConfig(device="cpu")).quick(net)
    return lambda obs: torch.as_tensor(answer(obs))


@pytest.mark.parametrize("activation", ["relu", "tanh", "gelu"])
@pytest.mark.parametrize("norm", ["none", "layer"])
@pytest.mark.parametrize("shape", [(4,), (2, 3)])
def test_it_answers_what_the_network_answers(activation, norm, shape):
    """Also with layers that it does not know: torch answers then."""
    net = nn.Sequential(mlp.build(MLP(hidden=[8, 7], activation=activation, norm=norm), shape, 3))
    for part in net.modules():
        if isinstance(part, nn.LayerNorm):
            nn.init.normal_(part.weight), nn.init.normal_(part.bias)
    obs = torch.randn(5, *shape)
    torch.testing.assert_close(quick(net)(obs), net(obs).detach())
    assert not quick(net)(obs).requires_grad and quick(net)(obs).dtype is torch.float32


def test_what_is_learned_or_loaded_is_seen_at_once():
    net, other = (mlp.build(MLP(hidden=[8]), (4,), 3) for _ in range(2))
    answer, obs = quick(net), torch.randn(2, 4)
    optimizer = torch.optim.Adam(net.parameters(), 0.1, fused=True)
    net(obs).sum().backward()
    optimizer.step()
    torch.testing.assert_close(answer(obs), net(obs).detach())
    net.load_state_dict(other.state_dict())
    torch.testing.assert_close(answer(obs), other(obs).detach())


@pytest.mark.parametrize("net", [
    nn.Sequential(nn.Linear(4, 3, bias=False)), nn.Sequential(nn.ReLU(), nn.Linear(4, 3)),
    nn.Sequential(nn.Linear(4, 3), nn.ReLU(), nn.Tanh()), nn.Sequential(nn.Linear(4, 4), nn.Linear(4, 3)),
    nn.Linear(4, 3), nn.Sequential(nn.Linear(4, 3), nn.Sequential(nn.Tanh(), nn.Linear(3, 2)))])
def test_other_forms_answer_too(net):
    obs = torch.randn(6, 4)
    torch.testing.assert_close(quick(net)(obs), net(obs).detach())


class Residual(nn.Sequential):
    def forward(self, x):
        return x + super().forward(x)


def hooked():
    net = nn.Sequential(nn.Linear(4, 4))
    net[0].register_forward_hook(lambda module, args, out: 2 * out)
    return net


@pytest.mark.parametrize("net", [
    Residual(nn.Linear(4, 4)), nn.Sequential(nn.Linear(4, 4), Residual(nn.Linear(4, 4), nn.ReLU())), hooked(),
    nn.Sequential(nn.utils.spectral_norm(nn.Linear(4, 4))),
    nn.Sequential(nn.utils.parametrizations.weight_norm(nn.Linear(4, 4)))])
def test_what_only_looks_like_plain_layers_is_asked_itself(net):
    net.eval()
    obs = torch.randn(3, 4)
    for parameter in net.parameters():
        parameter.data += 0.5                 # of what is worked out from them nothing is known yet
    torch.testing.assert_close(quick(net)(obs), net(obs).detach())


def test_numpy_is_for_small_networks(monkeypatch):
    net = mlp.build(MLP(hidden=[8]), (4,), 3)
    of = Compute(ComputeConfig(device="cpu")).quick
    assert isinstance(of(net)(torch.zeros(1, 4)), np.ndarray)
    monkeypatch.setattr(compute, "QUICK", 10)
    assert isinstance(of(net)(torch.zeros(1, 4)), torch.Tensor)
