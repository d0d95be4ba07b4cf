"""The architectures: shapes, counted parameters, sequences read to their own ends, and operations by hand."""

import pytest
import torch
from torch import nn
from torch.nn.utils.rnn import pack_padded_sequence

from lab.data.network import Network
from lab.errors import UsageError
from lab.layers import rows, summary
from lab_data import first_symbol
from lab_data.plugin import FirstSymbol
from lab_models import cnn, mlp, recurrent, resnet
from lab_models.layers import convolution
from lab_models.plugin import CNN, GRU, LSTM, MLP, RNN, Linear, ResNet, ResNet18


def parameters(net):
    return sum(p.numel() for p in net.parameters())


@pytest.mark.parametrize("build, cfg, shape, count", [
    (mlp.linear, Linear(), (3, 2), 6 * 5 + 5),
    (mlp.build, MLP(hidden=[4]), (6,), 6 * 4 + 4 + 4 * 5 + 5),
    (mlp.build, MLP(hidden=[4], norm="batch"), (6,), 6 * 4 + 2 * 4 + 4 * 5 + 5),
    (cnn.build, CNN(channels=[2], kernels=[3], strides=[1], hidden=[]), (1, 6, 6), 9 * 2 + 2 + 2 * 16 * 5 + 5),
    (cnn.build, CNN(channels=[2], kernels=[3], strides=[1], hidden=[], padding="same", pool=2, norm="batch"),
     (1, 6, 6), 9 * 2 + 2 * 2 + 2 * 9 * 5 + 5)])
def test_counted_by_hand(build, cfg, shape, count):
    net = build(cfg, shape, 5)
    assert parameters(net) == count
    assert net(torch.zeros(2, *shape)).shape == (2, 5)
    assert build(cfg, shape, None)(torch.zeros(2, *shape)).ndim == 2


@pytest.mark.parametrize("depth, count", [(20, 272_474), (32, 466_906), (56, 855_770)])
def test_residual_networks_have_the_size_of_the_paper(depth, count):
    """Table 6 of He et al. 2016: 0.27, 0.46 and 0.85 million, with shortcuts that have no weights.

    Ours are convolutions of 1 x 1, 16 * 32 + 2 * 32 and 32 * 64 + 2 * 64 parameters more.
    """
    net = resnet.build(ResNet(depth=depth), (3, 32, 32), 10)
    convolutions = [layer for layer in net.modules() if isinstance(layer, nn.Conv2d) and layer.kernel_size == (3, 3)]
    assert len(convolutions) + 1 == depth
    assert parameters(net) == count


def test_resnet18_of_small_pictures():
    net = resnet.build(ResNet18(), (3, 32, 32), 10)
    assert parameters(net) == 11_173_962
    assert net(torch.zeros(2, 3, 32, 32)).shape == (2, 10)


def test_a_residual_block_passes_its_input_on():
    """With the second batch norm at zero a block of one shape is the activation of its input."""
    block = resnet.Block(2, 2, 1, "relu").eval()
    nn.init.zeros_(block.second[1].weight)
    x = torch.randn(1, 2, 4, 4)
    assert torch.equal(block(x), x.relu())


@pytest.mark.parametrize("depth", [19, 21, 7, 0])
def test_a_depth_that_has_no_stages(depth):
    with pytest.raises(UsageError, match=rf"model.depth is {depth}; expected 18, 34 or 6 n \+ 2"):
        ResNet(depth=depth)


@pytest.mark.parametrize("cfg", [RNN(units=5), LSTM(units=5, layers=2), GRU(units=5, bidirectional=True),
                                 GRU(units=5, output="mean"), LSTM(units=5, output="max", output_norm="layer"),
                                 RNN(units=5, bidirectional=True, output="mean", activation="relu")],
                         ids=lambda cfg: f"{cfg.name}-{cfg.output}")
def test_padding_changes_nothing(cfg):
    """A sequence in a padded batch says what it says alone, without the padding."""
    torch.manual_seed(0)
    net, x, length = recurrent.build(cfg, (7, 3), 4), torch.randn(4, 7, 3), torch.tensor([7, 1, 3, 5])
    together = net(x, length)
    alone = torch.cat([net(x[i:i + 1, :n]) for i, n in enumerate(length.tolist())])
    assert together.shape == (4, 4) and torch.allclose(together, alone, atol=1e-6)
    other = torch.where(torch.arange(7)[:, None] < length[:, None, None], x, 9.0)
    assert torch.equal(net(other, length), together)


def test_the_forget_gates_begin_open():
    cells = recurrent.build(LSTM(units=2, forget_bias=1.5), (7, 3), 4).cells
    assert (cells.bias_ih_l0.view(4, 2)[1] == 1.5).all() and (cells.bias_hh_l0.view(4, 2)[1] == 0).all()
    assert (cells.bias_ih_l0.view(4, 2)[0] != 1.5).all()


def test_the_update_gate_of_a_gru_may_begin_closed():
    """With a bias of 100 it keeps its state, whatever it reads."""
    cells = recurrent.build(GRU(units=3, update_bias=100.0), (7, 2), 4).cells
    before = torch.randn(1, 5, 3)
    assert torch.allclose(cells(torch.randn(5, 7, 2), before)[1], before)


@pytest.mark.parametrize("ragged", [True, False])
def test_lengths_are_looked_at_where_sequences_differ_alone(ragged):
    torch.manual_seed(0)
    body = recurrent.build(GRU(units=3), (4, 2), 2)
    net, x = Network(nn.Identity(), body, steps=True, ragged=ragged), torch.randn(2, 4, 2)
    assert torch.equal(net(x, torch.tensor([2, 4])), body(x)) is not ragged


def test_the_first_symbol_is_the_class():
    data = first_symbol.build(FirstSymbol(length=5, symbols=3, examples=40)).splits["train"].tensors
    assert data["x"].shape == (40, 5, 3) and data["x"].sum(-1).eq(1).all()
    assert torch.equal(data["x"][:, 0].argmax(-1), data["y"]) and set(data["y"].tolist()) == {0, 1, 2}
    assert not torch.equal(data["x"][:, 1].argmax(-1), data["y"])


def test_an_lstm_of_one_unit_by_hand():
    """Gates i, f, g, o from x = 1 with weights 1 and state 0: c = sigmoid(1) tanh(1), h = sigmoid(1) tanh(c)."""
    cells = recurrent.build(LSTM(units=1, forget_bias=0), (1, 1), None).cells
    for name, value in cells.named_parameters():
        nn.init.constant_(value, 1.0 if name.startswith("weight_ih") else 0.0)
    _, (h, c) = cells(torch.ones(1, 1, 1))
    assert c.item() == pytest.approx(0.731059 * 0.761594, abs=1e-5)
    assert h.item() == pytest.approx(0.731059 * 0.505576, abs=1e-5)


@pytest.mark.parametrize("build, cfg, shape, text", [
    (resnet.build, ResNet(), (30,), r"model=resnet sees pictures, .* shape \[30\]: use model=mlp"),
    (cnn.build, CNN(channels=[1] * 4, kernels=[3] * 4, strides=[1] * 4, padding="same", pool=2), (1, 8, 8),
     r"model.pool=2 after each of 4 convolutions leaves nothing of a picture of the shape \[1, 8, 8\]")])
def test_a_shape_that_does_not_fit(build, cfg, shape, text):
    with pytest.raises(UsageError, match=text):
        build(cfg, shape, 10)


def test_an_even_kernel_has_no_middle():
    with pytest.raises(UsageError, match=r"model.padding=same needs kernels of an odd size, which has a middle; 4 is"):
        CNN(channels=[8], kernels=[4], strides=[1], padding="same")


def test_operations_by_hand():
    """A convolution of 3 x 3 over 1 channel to 2, on 4 x 4 pixels: 2 * 9 operations for each of 2 * 16 numbers."""
    net = nn.Sequential(nn.Conv2d(1, 2, 3, padding=1), nn.Flatten(), nn.Linear(32, 3))
    found = rows(net, lambda: net(torch.zeros(5, 1, 4, 4)))
    assert found == [("0", "Conv2d", "2 x 4 x 4", 20, 2 * 9 * 32), ("1", "Flatten", "32", 0, 0),
                     ("2", "Linear", "3", 99, 2 * 32 * 3)]
    last = summary(net, found).splitlines()[-1]
    assert last == "| sum |  |  | 119 | 768 |"


def test_operations_of_a_recurrent_network():
    """4 gates of 5 units see 3 numbers and 5 units, at each of 7 steps."""
    cells = nn.LSTM(3, 5, batch_first=True)
    found = rows(cells, lambda: cells(torch.zeros(2, 7, 3)))
    assert found == [("", "LSTM", "7 x 5", 4 * 5 * (3 + 5) + 2 * 4 * 5, 2 * 7 * 4 * 5 * (3 + 5))]
    packed = pack_padded_sequence(torch.zeros(1, 7, 3), torch.tensor([7]), batch_first=True)
    assert rows(cells, lambda: cells(packed)) == found


@pytest.mark.parametrize("size, stride", [(8, 2), (7, 2), (9, 3)])
def test_a_convolution_that_leaves_out_pixels_sees_those_that_torch_sees(size, stride):
    ours = nn.Sequential(*convolution(3, 5, 1, stride, 0, bias=True))
    theirs = nn.Conv2d(3, 5, 1, stride)
    theirs.load_state_dict(ours[-1].state_dict())
    x = torch.randn(2, 3, size, size)
    assert torch.allclose(ours(x), theirs(x), atol=1e-6)


def test_a_summary_leaves_the_network_as_it_was():
    net = nn.Sequential(nn.BatchNorm1d(3), nn.Dropout(0.5)).train()
    before = {name: value.clone() for name, value in net.state_dict().items()}
    rows(net, lambda: net(torch.ones(4, 3)))
    assert net.training and net[1].training and not net[0]._forward_hooks
    assert all(torch.equal(value, before[name]) for name, value in net.state_dict().items())
