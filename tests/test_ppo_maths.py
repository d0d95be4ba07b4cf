"""The formulas of PPO by hand, and its distributions against torch's own."""

import math

import numpy as np
import pytest
import torch
from gymnasium import spaces
from torch import distributions as theirs
from torch import nn

from lab_ppo.actor_critic import ActorCritic, orthogonal
from lab_ppo.distributions import Categorical, Categoricals, Gaussian, distribution_for
from lab_ppo.maths import approximate_kl, clipped_surrogate, clipped_value_loss, explained_variance, gae

CLIP = torch.tensor(0.2)


@pytest.mark.parametrize("terminal, done, next_value, expected", [
    ([0, 0, 0], [0, 0, 0], [4, 8, 16], [1.75, 3, 4]),       # errors 1, 2, 4: then 4, 2 + 4/4, 1 + 3/4
    ([0, 0, 1], [0, 0, 1], [4, 8, 16], [1.25, 1, -4]),      # the last error is 4 - 8
    ([0, 1, 0], [0, 1, 0], [4, 8, 16], [0.5, -2, 4]),       # the second is 2 - 4, and nothing comes to it
    ([0, 0, 0], [0, 1, 0], [4, 6, 16], [1.25, 1, 4])])      # cut off where it is worth 6: 2 + 6/2 - 4, and nothing more
def test_gae_by_hand(terminal, done, next_value, expected):
    """Rewards 1, 2, 4, values 2, 4, 8, a discount and a lambda of a half: errors count a quarter one step earlier."""
    columns = [torch.tensor(values, dtype=torch.float32)[:, None].expand(3, 2)
               for values in ([1, 2, 4], [2, 4, 8], next_value, terminal, done)]
    found = gae(*columns, 0.5, 0.5)
    assert found.shape == (3, 2) and found[:, 0].tolist() == found[:, 1].tolist() == expected


def test_gae_is_the_sum_of_discounted_errors():
    """Schulman et al. 2016, eq. 16."""
    rng = torch.Generator().manual_seed(0)
    reward, value = torch.randn(7, generator=rng), torch.randn(8, generator=rng)
    error = reward + 0.9 * value[1:] - value[:-1]
    expected = [sum((0.9 * 0.8)**k * error[t + k] for k in range(7 - t)) for t in range(7)]
    found = gae(reward, value[:-1], value[1:], torch.zeros(7), torch.zeros(7), 0.9, 0.8)
    torch.testing.assert_close(found, torch.stack(expected))


@pytest.mark.parametrize("ratio, advantage, expected", [
    (1.5, 2.0, 2.4),              # a gain counts up to 1.2 * 2
    (1.5, -2.0, -3.0),            # a loss counts in full
    (0.5, 2.0, 1.0),              # so does what a good action grown rare costs
    (0.5, -2.0, -1.6),            # a bad action grown rare: down to 0.8 * -2
    (1.1, 2.0, 2.2), (0.9, -2.0, -1.8), (3.0, 0.0, 0.0)])
def test_the_surrogate_by_hand(ratio, advantage, expected):
    found = clipped_surrogate(torch.tensor([ratio]).log(), torch.tensor([advantage]), CLIP)
    assert found.item() == pytest.approx(expected)


def test_the_surrogate_and_its_slope_are_those_of_the_paper():
    rng = torch.Generator().manual_seed(0)
    advantage = torch.randn(200, generator=rng)
    ours, papers = ((0.3 * torch.randn(200, generator=rng.manual_seed(1))).requires_grad_() for _ in range(2))
    ratio = papers.exp()
    expected = torch.min(ratio * advantage, ratio.clamp(0.8, 1.2) * advantage).mean()
    found = clipped_surrogate(ours, advantage, CLIP)
    found.backward(), expected.backward()
    torch.testing.assert_close(found, expected)
    torch.testing.assert_close(ours.grad, papers.grad)
    assert 0 < (ours.grad == 0).sum() < 150


def test_the_clipped_value_loss_by_hand():
    """The old value 1, a clip of 1. Towards 5 the values 2, 4 and 0 are held to 2, 2 and 0, and the worse one counts:
    9, 9 and 25. Towards 0 the value 3 is held to 2: 9.
    """
    value, target = torch.tensor([2.0, 4.0, 0.0, 3.0]), torch.tensor([5.0, 5.0, 5.0, 0.0])
    found = clipped_value_loss(value, torch.ones(4), target, 1.0)
    assert found.item() == (9 + 9 + 25 + 9) / 4


def test_approximate_kl_by_hand():
    """Ratios 1 and 2: 0 and 2 - 1 - log 2."""
    assert approximate_kl(torch.tensor([1.0, 2.0]).log()).item() == pytest.approx((1 - math.log(2)) / 2)


def test_approximate_kl_is_kl():
    old, new = theirs.Categorical(torch.tensor([0.5, 0.3, 0.2])), theirs.Categorical(torch.tensor([0.4, 0.4, 0.2]))
    torch.manual_seed(0)
    action = old.sample((200_000,))
    found = approximate_kl(new.log_prob(action) - old.log_prob(action))
    assert found.item() == pytest.approx(theirs.kl_divergence(old, new).item(), rel=0.03)


@pytest.mark.parametrize("value, expected", [([1, 2, 3], 1.0), ([5, 6, 7], 1.0), ([2, 2, 2], 0.0), ([3, 2, 1], -3.0)])
def test_explained_variance_by_hand(value, expected):
    target = torch.tensor([1.0, 2.0, 3.0])
    assert explained_variance(torch.tensor(value, dtype=torch.float32), target).item() == expected


def test_explained_variance_of_constant_returns_is_finite():
    assert explained_variance(torch.tensor([1.0, 2.0]), torch.zeros(2)).isfinite()


def reference(distribution, outputs):
    """What torch has for the same outputs."""
    if isinstance(distribution, Gaussian):
        return theirs.Independent(theirs.Normal(outputs, distribution.log_std.exp()), 1)
    return theirs.Categorical(logits=outputs)


@pytest.mark.parametrize("distribution", [Categorical(5), Gaussian((3,), -0.5)])
def test_log_probability_and_entropy_are_those_of_torch(distribution):
    torch.manual_seed(0)
    if isinstance(distribution, Gaussian):
        distribution.log_std.data = torch.tensor([-0.5, 0.0, 1.0])
    outputs = 3 * torch.randn(50, distribution.outputs)
    expected = reference(distribution, outputs)
    action = expected.sample()
    torch.testing.assert_close(distribution.log_prob(outputs, action), expected.log_prob(action))
    torch.testing.assert_close(distribution.entropy(outputs).expand(50), expected.entropy())


def test_independent_choices_are_the_sum_of_their_parts():
    """Sizes 2 and 3: the logits are [a, b | c, d, e]."""
    distribution, logits = Categoricals([2, 3], (2,)), torch.randn(50, 5, generator=torch.Generator().manual_seed(0))
    parts = theirs.Categorical(logits=logits[:, :2]), theirs.Categorical(logits=logits[:, 2:])
    action = torch.stack([torch.arange(50) % 2, torch.arange(50) % 3], -1)
    expected = sum(part.log_prob(action[:, i]) for i, part in enumerate(parts))
    torch.testing.assert_close(distribution.log_prob(logits, action), expected)
    torch.testing.assert_close(distribution.entropy(logits), sum(part.entropy() for part in parts))
    assert torch.equal(distribution.mode(logits), torch.stack([p.probs.argmax(-1) for p in parts], -1))


def test_actions_are_drawn_as_often_as_they_are_likely():
    rng, p = torch.Generator().manual_seed(0), torch.tensor([0.5, 0.3, 0.0, 0.2])
    action = Categorical(4).sample(p.log().expand(40_000, 4), rng)
    shares = torch.bincount(action, minlength=4) / 40_000
    assert shares.tolist() == pytest.approx(p.tolist(), abs=0.01) and shares[2] == 0         # four deviations
    pairs = Categoricals([4, 4], (2,)).sample(p.log().repeat(2).expand(40_000, 8), rng)
    both = (pairs == 0).all(-1).float().mean().item()
    assert both == pytest.approx(0.25, abs=0.01) and (pairs[:, 1] == 3).float().mean() == pytest.approx(0.2, abs=0.01)


def test_a_gaussian_is_drawn_around_its_mean():
    action = Gaussian((2,), math.log(3)).sample(torch.tensor([[10.0, -5.0]]).expand(40_000, 2),
                                                torch.Generator().manual_seed(0))
    assert action.mean(0).tolist() == pytest.approx([10, -5], abs=0.06)                      # four deviations
    assert action.std(0).tolist() == pytest.approx([3, 3], abs=0.06)


@pytest.mark.parametrize("space, kind, outputs", [
    (spaces.Discrete(4), Categorical, 4), (spaces.Discrete(3, start=5), Categorical, 3),
    (spaces.MultiDiscrete([2, 3, 4]), Categoricals, 9), (spaces.MultiDiscrete([[2, 3], [4, 5]]), Categoricals, 14),
    (spaces.MultiBinary(3), Categoricals, 6), (spaces.MultiBinary([2, 3]), Categoricals, 12),
    (spaces.Box(-1, 1, (3,)), Gaussian, 3), (spaces.Box(-1, 1, (2, 3), np.float64), Gaussian, 6),
    (spaces.Box(-1, 1, ()), Gaussian, 1)])
def test_every_kind_of_action_space_has_a_distribution_of_its_form(space, kind, outputs):
    distribution = distribution_for(space, -1.0)
    assert isinstance(distribution, kind) and distribution.outputs == outputs
    drawn = distribution.sample(torch.zeros(5, outputs), torch.Generator().manual_seed(0))
    for action in (drawn, distribution.mode(torch.randn(5, outputs))):
        assert action.shape == (5, *space.shape)
        shown = action.detach().numpy().astype(space.dtype) + getattr(space, "start", 0)
        assert all(isinstance(space, spaces.Box) or row in space for row in shown)
        assert distribution.log_prob(torch.zeros(5, outputs), action).shape == (5,)


@pytest.mark.parametrize("space", [spaces.Box(0, 9, (2,), np.int32), spaces.Dict(), spaces.Text(3)])
def test_others_have_none(space):
    assert distribution_for(space, 0.0) is None


def test_weights_are_orthogonal():
    net = nn.Sequential(nn.Linear(8, 6), nn.Tanh(), nn.Conv2d(2, 3, 2))
    orthogonal(net, 1.5)
    for layer, rows in ((net[0], 6), (net[2], 3)):
        flat = layer.weight.data.flatten(1)
        torch.testing.assert_close(flat @ flat.T, 1.5**2 * torch.eye(rows))
        assert not layer.bias.any()


@pytest.mark.parametrize("bodies", [1, 2])
def test_one_body_or_two(bodies):
    """Both heads on the same features, or each on its own."""
    net = ActorCritic(Categorical(3), [nn.Linear(4, 5) for _ in range(bodies)], 5)
    obs = torch.randn(6, 4)
    outputs, value = net(obs)
    assert outputs.shape == (6, 3) and value.shape == (6, 1)
    assert torch.equal(outputs, net.actor(obs)) and torch.equal(value, net.critic(obs))
    value.sum().backward()
    assert (net.bodies[0].weight.grad is None) is (bodies == 2) and net.bodies[-1].weight.grad is not None
    assert outputs.std() < 0.1 < value.std()
