"""Pictures that are doubled: as one transposed convolution, where it can be."""

import pytest
import torch
from torch.nn.functional import conv2d, interpolate

from lab.halving import Doubled, folded, halves
from lab.layers import rows


def test_weights_are_folded_by_hand():
    """One pixel of 1 becomes 2 x 2 of them; with weights of 1 in the middle alone that is all there is."""
    weight = torch.zeros(1, 1, 3, 3)
    weight[0, 0, 1, 1] = 1
    assert folded(weight)[0, 0].tolist() == [[0, 0, 0, 0], [0, 1, 1, 0], [0, 1, 1, 0], [0, 0, 0, 0]]
    weight = torch.tensor([1.0, 10, 100]).outer(torch.tensor([0.0, 1, 0]))[None, None]
    assert folded(weight)[0, 0, :, 1].tolist() == [100, 110, 11, 1]


@pytest.mark.parametrize("size", [(6, 8), (5, 8), (6, 7)])
def test_repeated_pixels_and_a_convolution(size):
    torch.manual_seed(0)
    part, x = Doubled(3, 4, size).double(), torch.randn(2, 3, 3, 4, dtype=torch.float64, requires_grad=True)
    right = conv2d(interpolate(x, size), part.weight, part.bias, padding=1)
    assert part.exact(x) is (size == (6, 8)) and torch.allclose(part(x), right)
    both = [torch.autograd.grad(out.square().sum(), (x, part.weight)) for out in (part(x), right)]
    assert all(torch.allclose(a, b) for a, b in zip(*both, strict=True))


def test_its_operations_are_those_that_are_done():
    part = Doubled(3, 4, (6, 8))
    assert rows(part, lambda: part(torch.zeros(1, 3, 3, 4)))[0][-1] == 2 * (6 * 8 * 4) * 3 * 4
    odd = Doubled(3, 4, (5, 8))
    assert rows(odd, lambda: odd(torch.zeros(1, 3, 3, 4)))[0][-1] == 2 * (5 * 8 * 4) * 3 * 9


def test_halvings_round_up():
    assert halves("m", 2, (1, 7, 10), "mlp") == [(7, 10), (4, 5), (2, 3)]
