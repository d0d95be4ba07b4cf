"""Losses, penalties and changes of adversarial networks, by hand and against finite differences."""

import math

import pytest
import torch
from torch import nn

from lab_gan import losses
from lab_gan.changes import changed
from lab_gan.plugin import CHANGES, R1GAN

LN2 = math.log(2)
REAL, MADE = torch.tensor([0.0, 2.0]), torch.tensor([0.0, -1.0])


@pytest.mark.parametrize("kind, expected", [
    ("non_saturating", (LN2 + math.log1p(math.exp(-2))) / 2 + (LN2 + math.log1p(math.exp(-1))) / 2),
    ("least_squares", ((1 + 1) / 2 + (0 + 1) / 2) / 2), ("hinge", (1 + 0) / 2 + (1 + 0) / 2),
    ("wasserstein", -0.5 - 1.0)])
def test_what_a_critic_steps_down_by_hand(kind, expected):
    assert losses.of_critic(kind, REAL, MADE).item() == pytest.approx(expected)


@pytest.mark.parametrize("kind, expected", [
    ("non_saturating", (LN2 + math.log1p(math.e)) / 2), ("least_squares", (1 + 4) / 2 / 2), ("hinge", 0.5),
    ("wasserstein", 0.5)])
def test_what_a_generator_steps_down_by_hand(kind, expected):
    assert losses.of_generator(kind, MADE).item() == pytest.approx(expected)


@pytest.mark.parametrize("kind, expected", [
    ("non_saturating", (0.5 + 0.5) / 2), ("least_squares", (0.5 + 1.0) / 2), ("hinge", 0.5), ("wasserstein", 0.5)])
def test_what_a_critic_tells_apart_by_hand(kind, expected):
    """0 is neither real nor made where 0 is the middle; of least squares the middle is 1/2."""
    assert losses.right(kind, REAL, MADE).item() == pytest.approx(expected)


def test_slopes_by_hand():
    """Of x^2 + 3 y at (2, 5): (4, 3), 25 squared."""
    x = torch.tensor([[2.0, 5.0], [0.0, 1.0]])
    assert losses.slopes(lambda x: x[:, 0] ** 2 + 3 * x[:, 1], x).tolist() == [25, 9]


@pytest.mark.parametrize("cost", [losses.away_from_one, torch.mean])
def test_the_gradient_of_a_penalty_is_that_of_finite_differences(cost):
    torch.manual_seed(0)
    net = nn.Sequential(nn.Linear(3, 5), nn.Tanh(), nn.Linear(5, 1)).double()
    x = torch.randn(4, 3).double()

    def penalty():
        return cost(losses.slopes(lambda x: net(x)[:, 0], x))

    penalty().backward()
    weight, step = net[0].weight, 1e-6
    for i, j in ((0, 0), (2, 1), (4, 2)):
        around = []
        for way in (step, -step):
            with torch.no_grad():
                weight[i, j] += way
            around.append(penalty().item())
            with torch.no_grad():
                weight[i, j] -= way
        assert weight.grad[i, j].item() == pytest.approx((around[0] - around[1]) / (2 * step), rel=1e-5, abs=1e-8)


def test_a_penalty_by_hand_also_where_nothing_slopes():
    """Norms 3, 1 and 0: (4 + 0 + 1) / 3, and a gradient at 0 that is a number."""
    squared = torch.tensor([9.0, 1.0, 0.0], requires_grad=True)
    found = losses.away_from_one(squared)
    found.backward()
    assert found.item() == pytest.approx(5 / 3, abs=1e-5) and squared.grad.isfinite().all()


def test_between_by_hand():
    found = losses.between(torch.ones(2, 1, 2, 2), torch.zeros(2, 1, 2, 2), torch.tensor([0.25, 1.0]))
    assert found.flatten(1)[:, 0].tolist() == [0.25, 1.0]


def test_changes_by_hand():
    x = torch.full((1, 1, 8, 8), 0.5)
    x[..., 0] = -0.5
    half = torch.full((1, 7), 0.5)
    assert torch.equal(changed(x, [], half), x)
    assert torch.allclose(changed(x, ["brightness"], torch.ones(1, 7)), x + 0.5)
    mean = x.mean()
    assert torch.allclose(changed(x, ["contrast"], torch.zeros(1, 7)), mean + (x - mean) / 2)
    assert torch.equal(changed(x, ["shift"], half), x)        # 1.5 of 3 places, rounded down: not at all
    right = changed(x, ["shift"], torch.tensor([[0.5, 0.5, 0.5, 0.9, 0.5, 0.5, 0.5]]))
    assert (right[..., 0] == -1).all() and (right[..., 1] == -0.5).all() and (right[..., 2:] == 0.5).all()
    cut = changed(x, ["cutout"], half)
    assert (cut[..., 2:6, 2:6] == -1).all() and int((cut == -1).sum()) == 16


@pytest.mark.parametrize("u, expected", [(0.0, [0.3, 0.3, 0.3]), (0.5, [0.9, 0.3, -0.3]), (1.0, [1.5, 0.3, -0.9])])
def test_saturation_by_hand(u, expected):
    """The distance from the mean of the three colours, times 0, 1 and 2."""
    x = torch.tensor([0.9, 0.3, -0.3]).view(1, 3, 1, 1)
    found = changed(x, ["saturation"], torch.tensor([[0.5] * 6 + [u]]))
    assert found.flatten().tolist() == pytest.approx(expected, abs=1e-6)


def test_the_weight_of_r1_is_half_of_its_gamma():
    """A critic 3 x has the squared slope 9; equation 9 with gamma = 10: 10 / 2 * 9."""
    cost = losses.slopes(lambda x: 3 * x[:, 0], torch.ones(2, 1)).mean()
    assert R1GAN().penalty_weight * cost.item() == 45


def test_a_gradient_passes_through_all_changes():
    x = torch.rand(3, 3, 8, 8, requires_grad=True)
    changed(x, list(CHANGES), torch.rand(3, 7)).square().sum().backward()
    assert x.grad.abs().sum() > 0 and x.grad.isfinite().all()
