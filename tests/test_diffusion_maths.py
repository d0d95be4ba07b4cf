"""Mixing examples with noise and taking it away again, by hand."""

import math

import pytest
import torch

from lab_diffusion import mixing
from lab_diffusion.network import waves

HALF = math.sqrt(0.5)


def test_the_parts_of_example_and_noise_by_hand():
    """cosine: half of each variance at 1/2, a quarter of noise at 1/3; linear: its integral at 1 is 10.05."""
    alpha, sigma = mixing.parts("cosine", torch.tensor([0.0, 1 / 3, 0.5, 1.0]))
    assert alpha.tolist() == pytest.approx([1, math.sqrt(3) / 2, HALF, 0], abs=1e-6)
    assert sigma.tolist() == pytest.approx([0, 0.5, HALF, 1], abs=1e-6)
    alpha, sigma = mixing.parts("linear", torch.tensor([0.0, 1.0]))
    assert alpha.tolist() == pytest.approx([1, math.exp(-10.05 / 2)])
    assert sigma.tolist() == pytest.approx([0, math.sqrt(1 - math.exp(-10.05))])


@pytest.mark.parametrize("schedule", ["cosine", "linear"])
def test_the_parts_have_variance_one_and_noise_grows(schedule):
    alpha, sigma = mixing.parts(schedule, torch.linspace(0, 1, 101).double())
    assert torch.allclose(alpha.square() + sigma.square(), torch.ones(101).double())
    assert (sigma.diff() > 0).all()


def test_what_is_to_be_said_by_hand():
    """x = 2 and noise 1, of which 0.6 and 0.8 are mixed to 2: v = 0.6 - 1.6 = -1."""
    x, noise, alpha, sigma = (torch.tensor(value) for value in (2.0, 1.0, 0.6, 0.8))
    assert [mixing.wanted(kind, x, noise, alpha, sigma).item() for kind in ("v", "noise", "example")] == pytest.approx(
        [-1, 1, 2])


@pytest.mark.parametrize("kind", ["v", "noise", "example"])
def test_the_example_is_found_again(kind):
    torch.manual_seed(0)
    x, noise, (alpha, sigma) = torch.randn(5, 3), torch.randn(5, 3), mixing.parts("cosine", torch.rand(5, 1) * 0.9)
    said = mixing.wanted(kind, x, noise, alpha, sigma)
    assert torch.allclose(mixing.example(kind, said, alpha * x + sigma * noise, alpha, sigma), x, atol=1e-5)


def test_a_step_towards_an_example_by_hand():
    """z = 0.6 * 2 + 0.8 * 1: the same noise at 0.8 and 0.6 gives 1.6 + 0.6. With eta = 1 the variance of what is new is
    0.36 / 0.64 * (1 - 0.36 / 0.64) = 63 / 256, and 0.36 - 63 / 256 is left of the old: 0.36 in all."""
    z, x, fresh = (torch.tensor(value) for value in (2.0, 2.0, 1.0))
    now, then = ((torch.tensor(a), torch.tensor(s)) for a, s in ((0.6, 0.8), (0.8, 0.6)))
    assert mixing.less(z, x, now, then, 0.0, None).item() == pytest.approx(2.2)
    assert mixing.less(z, x, now, then, 1.0, fresh).item() == pytest.approx(
        1.6 + math.sqrt(0.36 - 63 / 256) + math.sqrt(63 / 256))


def test_times_are_evenly_apart():
    assert mixing.times(4, torch.tensor(0.6)).tolist() == pytest.approx([0.6, 0.85, 0.1, 0.35])


def test_waves_by_hand():
    """At 0 all sines are 0 and all cosines 1; the slowest turns one radian."""
    found = waves(torch.tensor([0.0, 1.0]))
    assert found[0].tolist() == [0.0] * 32 + [1.0] * 32
    assert found[1, 31].item() == pytest.approx(math.sin(1)) and found[1, 63].item() == pytest.approx(math.cos(1))
