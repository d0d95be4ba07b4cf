"""What stands before a network, and the networks themselves."""

import numpy as np
import pytest
import torch
from gymnasium import spaces
from torch import nn

from lab.assembly import assemble
from lab.compose import composed
from lab.errors import UsageError
from lab.host import host
from lab.modules import count_parameters
from lab.nn import OneHot, Scale, reading, width
from lab_models import cnn, mlp
from lab_models.plugin import CNN, MLP, Auto

SMALL = {"channels": [4, 5], "kernels": [3, 2], "strides": [2, 1]}


def test_what_it_sees():
    assert OneHot([3])(torch.tensor([2, 0])).tolist() == [[0, 0, 1], [1, 0, 0]]
    assert OneHot([2, 3])(torch.tensor([[1, 0], [0, 2]])).tolist() == [[0, 1, 1, 0, 0], [1, 0, 0, 0, 1]]
    assert Scale(255)(torch.tensor([[0, 51, 255]], dtype=torch.uint8)).tolist() == [[0.0, pytest.approx(0.2), 1.0]]
    assert Scale(1)(torch.tensor([[True, False]])).tolist() == [[1.0, 0.0]]


@pytest.mark.parametrize("space, shape, before", [
    (spaces.Discrete(5), (5,), OneHot), (spaces.MultiDiscrete([2, 3]), (5,), OneHot),
    (spaces.Box(-1, 1, (4,), np.float32), (4,), None), (spaces.Box(-1, 1, (2, 3), np.float64), (2, 3), None),
    (spaces.Box(0, 255, (8, 8), np.uint8), (8, 8), Scale), (spaces.Box(-9, 9, (3,), np.int32), (3,), Scale)])
def test_every_kind_of_observation_reaches_the_network_as_floats(space, shape, before):
    layers, seen = reading(space)
    assert seen == shape and [type(layer) for layer in layers] == [before] * (before is not None)
    obs = torch.as_tensor(np.stack([space.sample() for _ in range(3)]))
    out = nn.Sequential(*layers)(obs if layers else obs.float())
    assert out.dtype is torch.float32 and out.shape == (3, *shape) and out.abs().max() <= 9


@pytest.mark.parametrize("space", [spaces.Dict(), spaces.MultiDiscrete([[2, 2], [2, 2]]), spaces.Text(3)])
def test_what_it_cannot_see(space):
    with pytest.raises(UsageError, match="a network cannot see"):
        reading(space)


def test_a_body_is_a_network_without_its_last_layer():
    net = mlp.build(MLP(hidden=[7, 6]), (3,), 2)
    body = mlp.build(MLP(hidden=[7, 6]), (3,), None)
    assert [type(a) for a in net] == [*(type(b) for b in body), nn.Linear]
    assert width(body, spaces.Box(-1, 1, (3,))) == 6 and body.training


SPACES = [spaces.Discrete(5), spaces.MultiDiscrete([2, 3]), spaces.Box(0, 255, (5,), np.uint8)]


@pytest.mark.parametrize("space", SPACES)
def test_the_features_of_every_kind_of_observation_are_counted(space):
    layers, shape = reading(space)
    assert width(nn.Sequential(*layers, mlp.build(MLP(hidden=[4]), shape, None)), space) == 4


@pytest.mark.parametrize("shape", [(2, 10, 9), (10, 9, 2)])
def test_a_picture_may_have_its_channels_first_or_last(shape):
    """By hand: 10 x 9, kernel 3, stride 2 makes 4 x 4; kernel 2, stride 1 makes 3 x 3 of 5 channels."""
    net = cnn.build(CNN(hidden=[6], **SMALL), shape, 3)
    assert net(torch.zeros(8, *shape)).shape == (8, 3)
    assert net[-3].in_features == 5 * 3 * 3
    weights = 4 * 2 * 9 + 4 + 5 * 4 * 4 + 5 + 45 * 6 + 6 + 6 * 3 + 3
    assert sum(p.numel() for p in net.parameters()) == weights == count_parameters(net)


def test_channels_last_are_what_channels_first_are():
    first, last = (cnn.build(CNN(hidden=[6], **SMALL), shape, 3) for shape in ((2, 10, 9), (10, 9, 2)))
    last.load_state_dict({name.replace(name.split(".")[0], str(int(name.split(".")[0]) + 1)): value
                          for name, value in first.state_dict().items()})
    picture = torch.rand(4, 2, 10, 9)
    assert torch.equal(first(picture), last(picture.movedim(1, -1)))


def test_the_network_of_mnih_2015():
    """3,136 features into 512 units; doi:10.1038/nature14236, methods."""
    net = cnn.build(CNN(), (4, 84, 84), 18)
    convolutions = 32 * 4 * 64 + 32 + 64 * 32 * 16 + 64 + 64 * 64 * 9 + 64
    assert count_parameters(net) == convolutions + 3136 * 512 + 512 + 512 * 18 + 18


def test_auto_takes_what_fits():
    assert any(isinstance(layer, nn.Conv2d) for layer in cnn.auto(Auto(**SMALL), (2, 10, 9), 3))
    assert [type(each) for each in cnn.auto(Auto(), (4,), 3)] == [type(each) for each in mlp.build(MLP(), (4,), 3)]


@pytest.mark.parametrize("shape, convolutions", [
    ((10, 10, 4), [(16, 3, 1)]), ((4, 10, 10), [(16, 3, 1)]), ((3, 35, 90), [(16, 3, 1)]), ((3, 3, 1), [(16, 3, 1)]),
    ((3, 36, 36), [(32, 8, 4), (64, 4, 2), (64, 3, 1)]), ((36, 90, 3), [(32, 8, 4), (64, 4, 2), (64, 3, 1)])])
def test_auto_has_small_kernels_for_small_pictures(shape, convolutions):
    """By hand: 36 pixels become 8, then 3, then 1; 35 become 7, then 2."""
    net = cnn.auto(Auto(), shape, 3)
    assert [(each.out_channels, each.kernel_size[0], each.stride[0]) for each in net
            if isinstance(each, nn.Conv2d)] == convolutions
    assert net(torch.zeros(5, *shape)).shape == (5, 3)


def test_auto_takes_kernels_that_were_asked_for_as_they_are():
    assert [each.kernel_size[0] for each in cnn.auto(Auto(**SMALL), (10, 10, 4), 3) if isinstance(each, nn.Conv2d)
            ] == [3, 2]
    with pytest.raises(UsageError, match="do not fit a picture"):
        cnn.auto(Auto(kernels=[8, 4, 4]), (10, 10, 4), 3)


BLIND = {"q_learning", "sarsa", "expected_sarsa", "double_q_learning"}
CONTINUOUS = {"sb3_sac", "sb3_td3", "sb3_tqc", "sb3_crossq"}


ACTING = {name for name in host().names("agent") if host().entry("agent", name).learns_from == "env"}


@pytest.mark.parametrize("agent", sorted(ACTING - BLIND - CONTINUOUS))
def test_every_agent_that_sees_pictures_starts_on_a_small_one(agent):
    pytest.importorskip("minatar")
    cfg = composed([f"+agent={agent}", "env=MinAtarBreakout", "compute.device=cpu", "evaluate.videos=0"])
    assemble(cfg).experiment.stream.close()


@pytest.mark.parametrize("shape, text", [
    ((4,), r"model=cnn sees pictures, .* these inputs have the shape \[4\]: use model=mlp"),
    ((10, 10, 4), "do not fit a picture of the shape .* a kernel of 4 meets 1 x 1; use smaller kernels"),
    ((3, 3), "use model=mlp")])
def test_what_is_no_picture_for_it(shape, text):
    with pytest.raises(UsageError, match=text):
        cnn.build(CNN(), shape, 2)


def test_every_convolution_has_all_it_needs():
    with pytest.raises(UsageError, match="have 1, 3 and 3 entries; each convolution needs one of each"):
        CNN(channels=[8])
