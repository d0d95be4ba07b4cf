"""Likelihoods and bounds of autoencoders, by hand; and against what is slow and obvious."""

import math

import numpy as np
import pytest
import torch
from torch.distributions import Normal

from lab_vae import bounds
from lab_vae.codebook import Codebook, perplexity
from lab_vae.likelihoods import (
    SMALLEST,
    Discretized,
    Gaussian,
    Likelihood,
    above,
    bernoulli,
    discretized,
    gaussian,
    levels,
)

LN2 = math.log(2)


def test_bernoulli_by_hand():
    """Logit 0 is a chance of 1/2: ln 2 nats for each pixel, whatever it is; logit ln 3 is 3/4."""
    x = torch.tensor([[0.0, 1.0], [0.5, 1.0]])
    said = torch.tensor([[0.0, 0.0], [0.0, math.log(3)]])
    assert bernoulli(said, x).tolist() == pytest.approx([2 * LN2, LN2 - math.log(3 / 4)])


def test_a_grey_pixel_costs_the_mean_over_its_draws():
    said, x = torch.tensor([[0.7]]), torch.tensor([[0.3]])
    drawn = 0.3 * bernoulli(said, torch.ones(1, 1)) + 0.7 * bernoulli(said, torch.zeros(1, 1))
    assert bernoulli(said, x).item() == pytest.approx(drawn.item())


def test_gaussian_by_hand():
    """Two deviations of 1/2 off: 2 + ln(1/2) + ln(2 pi) / 2."""
    found = gaussian(torch.tensor([[1.0]]), torch.tensor(0.5).log(), torch.tensor([[2.0]]))
    assert found.item() == pytest.approx(2 - LN2 + 0.5 * math.log(2 * math.pi))


def test_gaussian_is_that_of_torch():
    mean, sigma, x = torch.randn(5, 3), torch.rand(5, 3) + 0.1, torch.randn(5, 3)
    assert torch.allclose(gaussian(mean, sigma.log(), x), -Normal(mean, sigma).log_prob(x).sum(-1), atol=1e-5)


def test_two_levels_by_hand():
    """The logistic about 1/2 with scale 1/2: below 1/2 and above it are a half each."""
    said = torch.tensor([[0.5, 0.5]])
    assert discretized(said, torch.tensor(0.5).log(), torch.tensor([[0.0, 1.0]]), 2).item() == pytest.approx(2 * LN2)


@pytest.mark.parametrize("mean, scale", [(0.3, 0.1), (0.0, 0.02), (1.0, 3.0), (0.5, 0.001)])
@pytest.mark.parametrize("count", [2, 17, 256])
def test_the_levels_share_all_of_it(mean, scale, count):
    """The chances of all levels add up to 1, however narrow the distribution."""
    x = torch.linspace(0, 1, count, dtype=torch.float64)[:, None]
    nats = discretized(torch.full_like(x, mean), torch.tensor(scale, dtype=torch.float64).log(), x, count)
    assert nats.isfinite().all() and float((-nats).exp().sum()) == pytest.approx(1, abs=1e-6)


def test_a_level_has_the_difference_of_two_sigmoids():
    x, mean, scale = torch.tensor([[0.25, 0.75]]).double(), torch.tensor([[0.4, 0.4]]).double(), 0.2
    above, below = ((x + way * 0.125 - mean).div(scale).sigmoid() for way in (1, -1))
    expected = -(above - below).log().sum()
    assert discretized(mean, torch.tensor(scale).double().log(), x, 5).item() == pytest.approx(expected.item())


@pytest.mark.parametrize("values, count", [
    ([0, 1], 2), ([0, 0.5, 1], 3), (np.arange(17) / 16, 17), ([0, 0.25, 0.5, 1], 5), ([0.2], 6), ([0, 0.4, 1], 6),
    ([0, 2 / 255, 5 / 255, 1], 256), ([0, 0.0001, 1], 0), (np.arange(256) / 255, 256), (np.arange(300) / 299, 0)])
def test_levels_are_found_in_the_pixels(values, count):
    assert levels(torch.tensor(np.asarray(values), dtype=torch.float32)) == count


def test_what_is_said_is_read_by_its_likelihood():
    """The expected example; a learned deviation begins at half of the data's."""
    said = torch.tensor([[[0.0]], [[math.log(3)]]])           # [B, P, D]
    assert Likelihood().mean(said).flatten().tolist() == pytest.approx([0.5, 0.75])
    assert Gaussian(0.1).mean(said).flatten().tolist() == pytest.approx([0, math.log(3)])
    two = torch.tensor([[[math.log(3)], [-1.0]]])
    assert Discretized(17).mean(two).item() == pytest.approx(0.75)
    expected = discretized(torch.tensor([[0.75]]), above(SMALLEST, torch.tensor(-1.0)), torch.tensor([[0.5]]), 17)
    assert Discretized(17).nats(two, torch.tensor([[0.5]])).item() == pytest.approx(expected.item())
    assert Gaussian(0, spread=0.4).logged()["likelihood/sigma"] == pytest.approx(0.2, rel=0.01)
    assert [name for name, _ in Gaussian(0.1).named_parameters()] == []


def test_kl_by_hand():
    """Mean 1, variance 1: 1/2. Mean 0, variance e: (e - 2) / 2."""
    found = bounds.kl(torch.tensor([[1.0, 0.0, 0.0]]), torch.tensor([[0.0, 1.0, 0.0]]))
    assert found[0].tolist() == pytest.approx([0.5, (math.e - 2) / 2, 0])


def test_kl_is_the_mean_of_the_difference_of_densities():
    torch.manual_seed(0)
    mean, log_var = torch.tensor([0.7, -0.3]), torch.tensor([0.4, -1.0])
    z = mean + (0.5 * log_var).exp() * torch.randn(200_000, 2)
    drawn = (bounds.normal(z, mean, log_var) - bounds.standard_normal(z)).mean()
    assert bounds.kl(mean, log_var).sum().item() == pytest.approx(drawn.item(), abs=0.01)


def test_free_bits_by_hand():
    """Means over the batch 1 and 3: the first counts as 2."""
    terms = torch.tensor([[0.0, 2.0], [2.0, 4.0]])
    assert bounds.with_free_bits(terms, 2.0).item() == 5 and bounds.with_free_bits(terms, 0.0).item() == 4


def test_the_importance_bound_by_hand():
    """Weights 1 and 3: ln 2. With one sample it is the evidence lower bound's own integrand."""
    weights = torch.tensor([[0.0, math.log(3)]])
    assert bounds.importance_bound(weights).item() == pytest.approx(LN2)
    assert bounds.importance_bound(weights[:, :1]).item() == 0


def test_densities_are_those_of_torch():
    z, mean, log_var = torch.randn(4, 3), torch.randn(4, 3), torch.randn(4, 3)
    assert torch.allclose(bounds.standard_normal(z), Normal(0, 1).log_prob(z).sum(-1), atol=1e-5)
    assert torch.allclose(bounds.normal(z, mean, log_var), Normal(mean, (0.5 * log_var).exp()).log_prob(z).sum(-1),
                          atol=1e-4)


def test_active_units_and_bits_by_hand():
    """Variances 1, 0 and 0.0081; 8 ln 2 nats over 4 numbers are 2 bits each."""
    means = torch.tensor([[-1.0, 3.0, 0.09], [1.0, 3.0, -0.09]])
    assert bounds.active(means).item() == 1 and bounds.bits_per_dim(8 * LN2, 4) == pytest.approx(2)


def book(vectors, use):
    made = Codebook(len(vectors), len(vectors[0]))
    made.vectors.copy_(torch.tensor(vectors))
    made.use.copy_(torch.tensor(use))
    made.sums.copy_(made.vectors * made.use[:, None])
    return made


def test_the_nearest_vector_is_chosen():
    made, x = book([[0.0, 0.0], [1.0, 1.0], [4.0, 0.0]], [1.0, 1.0, 1.0]), torch.randn(50, 2) * 3
    slow = [min(range(3), key=lambda k: (row - made.vectors[k]).square().sum().item()) for row in x]
    assert made.nearest(x).tolist() == slow


def test_a_book_follows_by_hand():
    """Use 2 and 2, sums 0 and 4; three of 1 and one of 4 come. With decay 1/2: use 2.5 and 1.5, sums 1.5 and 4."""
    made = book([[0.0], [2.0]], [2.0, 2.0])
    x, chosen = torch.tensor([[1.0], [1.0], [1.0], [4.0]]), torch.tensor([0, 0, 0, 1])
    made.follow(x, chosen, 0.5, 0.01, torch.Generator())
    assert made.use.tolist() == [2.5, 1.5]
    assert made.vectors.flatten().tolist() == pytest.approx([1.5 / 2.5, 4 / 1.5], abs=1e-4)


def test_a_vector_that_nobody_uses_begins_anew():
    """At one of those that came, as if it had had its share, here 4 / 2."""
    made = book([[0.0], [100.0]], [2.0, 0.001])
    made.follow(torch.full((4, 1), 3.0), torch.zeros(4, dtype=torch.int64), 0.5, 0.1, torch.Generator())
    assert made.use.tolist() == [3.0, 2.0] and made.vectors[1].item() == pytest.approx(3.0, abs=1e-4)


@pytest.mark.parametrize("revive", [0.01, 0.1, 0.5])
def test_what_was_chosen_is_counted_without_what_was_revived(revive):
    """One vector of 64 stands for all: as if there were 1, however many begin anew, which look used."""
    made, rng = Codebook(64, 2), torch.Generator().manual_seed(0)
    for _ in range(200):
        made.follow(torch.randn(32, 2, generator=rng), torch.zeros(32, dtype=torch.int64), 0.9, revive, rng)
        assert perplexity(made.chosen).item() == pytest.approx(1)
    assert perplexity(made.use).item() > 2 or revive < 0.1


@pytest.mark.parametrize("level", [0, 1, 128, 255])
def test_a_pixel_of_256_levels_that_is_sure_costs_nothing(level):
    x = torch.tensor([[level / 255]])
    said = torch.stack([torch.logit(x, eps=1e-7), torch.full((1, 1), -50.0)], 1)              # [B, P, D]
    assert 0 <= Discretized(256).nats(said, x).item() < 1e-3


def test_perplexity_by_hand():
    """All alike: as many as there are. One alone: 1. A half and two quarters: 2 to the 1.5."""
    assert [perplexity(torch.tensor(use)).item() for use in ([3.0] * 5, [7.0, 0, 0], [2.0, 1.0, 1.0])] == pytest.approx(
        [5, 1, 2**1.5])


def test_a_scale_stays_above_the_least_and_can_come_back():
    assert above(-7.0, torch.tensor([-100.0, -7.0, 3.0])).tolist() == pytest.approx([-7, -7 + LN2, 3], abs=1e-4)
    learned = Gaussian(0, spread=2e-6)
    learned.nats(torch.zeros(1, 1, 1), torch.ones(1, 1)).backward()
    assert learned.log_sigma.grad.abs() > 0


@pytest.mark.parametrize("sigma", [1e-6, 0.01, 0.5])
def test_a_deviation_that_is_given_is_taken_as_it_is(sigma):
    """One deviation off: 1/2 + ln sigma + ln(2 pi) / 2."""
    found = Gaussian(sigma)
    nats = found.nats(torch.zeros(1, 1, 1), torch.tensor([[sigma]]))
    assert nats.item() == pytest.approx(0.5 + math.log(sigma) + 0.5 * math.log(2 * math.pi), rel=1e-5)
    assert found.logged()["likelihood/sigma"] == pytest.approx(sigma, rel=1e-5)
