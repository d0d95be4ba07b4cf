"""The targets and losses of value learning: by hand, and against the slow and obvious way."""

import math

import pytest
import torch

from lab_dqn.distributional import Atoms, Drawn, Fractions, Implicit
from lab_dqn.heads import Dueling, NoisyLinear, chances, noisy
from lab_dqn.maths import huber, project, quantile_huber, rescale, soft_policy, taken, unscale
from lab_dqn.recurrent import returns_within
from lab_dqn.remembering import RecurrentQ
from lab_dqn.sac import entropy, soft_value


def tensor(*values):
    return torch.tensor(values, dtype=torch.float32)


def test_what_was_taken():
    out = torch.arange(12.0).view(2, 3, 2)
    assert taken(out, torch.tensor([2, 0])).tolist() == [[4.0, 5.0], [6.0, 7.0]]


@pytest.mark.parametrize("delta, expected", [(1.0, [2.5, 0.125, 0.5]), (0.5, [2.75, 0.25, 0.75]),
                                             (4.0, [1.125, 0.03125, 0.125])])
def test_huber_by_hand(delta, expected):
    """Errors 3, 0.5 and -1: e * e / (2 delta) up to delta, |e| - delta / 2 beyond."""
    assert huber(tensor(3, 0.5, -1), delta).tolist() == expected


def slow_projection(support, probability, goal):
    """Every atom's mass, one at a time, in proportion to how near its two neighbours are (Bellemare et al. 2017)."""
    low, high, step = support[0], support[-1], support[1] - support[0]
    out = [0.0] * len(support)
    for mass, place in zip(probability, goal, strict=True):
        place = min(max(place, low), high)
        for j, atom in enumerate(support):
            out[j] += mass * min(max(1 - abs(place - atom) / step, 0), 1)
    return out


def test_a_projection_by_hand():
    """Support 0, 1, 2: half at 0.25 gives 3/8 and 1/8 to 0 and 1; a quarter at 2 stays; a quarter at 9 is held at 2."""
    out = project(tensor(0, 1, 2), tensor([0.5, 0.25, 0.25]), tensor([0.25, 2, 9]))
    assert out.tolist() == [[0.375, 0.125, 0.5]]


@pytest.mark.parametrize("atoms", [2, 3, 51])
@pytest.mark.parametrize("seed", range(4))
def test_projections_are_what_the_slow_way_gives(atoms, seed):
    rng = torch.Generator().manual_seed(seed)
    support = torch.linspace(-3, 5, atoms, dtype=torch.float64)
    probability = torch.rand(20, atoms, generator=rng, dtype=torch.float64).softmax(-1)
    goal = torch.randn(20, 1, generator=rng, dtype=torch.float64) * 4 + 0.9 * support
    goal[0] = support                                     # exactly on the atoms: nothing moves
    out = project(support, probability, goal)
    expected = [slow_projection(support.tolist(), *row)
                for row in zip(probability.tolist(), goal.tolist(), strict=True)]
    torch.testing.assert_close(out, torch.tensor(expected, dtype=torch.float64))
    torch.testing.assert_close(out.sum(-1), torch.ones(20, dtype=torch.float64))
    torch.testing.assert_close(out[0], probability[0])


def test_the_mean_survives_a_projection_inside_the_support():
    support = torch.linspace(-10, 10, 51)
    probability, goal = torch.rand(5, 51).softmax(-1), torch.rand(5, 51) * 18 - 9
    torch.testing.assert_close(project(support, probability, goal) @ support, (probability * goal).sum(-1),
                               atol=1e-4, rtol=0)


def slow_quantile_huber(quantile, tau, goal, delta):
    total = 0.0
    for theta, fraction in zip(quantile, tau, strict=True):
        for sample in goal:
            u = sample - theta
            size = abs(u)
            loss = u * u / (2 * delta) if size < delta else size - delta / 2
            total += abs(fraction - (u < 0)) * loss / len(goal)
    return total


def test_a_quantile_loss_by_hand():
    """Quantiles 0 and 2 at 1/4 and 3/4, one sample 1: errors 1 and -1, losses 1/2, sides 1/4 and 1/4."""
    assert quantile_huber(tensor([0, 2]), tensor([0.25, 0.75]), tensor([1]), 1.0).tolist() == [0.25]


@pytest.mark.parametrize("delta", [0.5, 1.0])
@pytest.mark.parametrize("samples", [1, 5, 8])
def test_quantile_losses_are_what_the_slow_way_gives(samples, delta):
    quantile, tau, goal = torch.randn(6, 5) * 2, torch.rand(6, 5), torch.randn(6, samples) * 2
    expected = [slow_quantile_huber(*row, delta) for row in zip(quantile.tolist(), tau.tolist(), goal.tolist(),
                                                                strict=True)]
    torch.testing.assert_close(quantile_huber(quantile, tau, goal, delta), torch.tensor(expected))


def test_a_quantile_loss_is_least_at_the_quantiles():
    """Of the samples 0 to 99: a quarter of them lies below 25."""
    goal, quantile = torch.arange(100.0)[None], torch.nn.Parameter(torch.zeros(1, 3))
    optimizer = torch.optim.Adam([quantile], 0.5)
    for _ in range(600):
        optimizer.zero_grad()
        quantile_huber(quantile, tensor([0.25, 0.5, 0.9]), goal, 0.01).sum().backward()
        optimizer.step()
    torch.testing.assert_close(quantile.data, tensor([24.5, 49.5, 89.5]), atol=1.2, rtol=0)


def test_a_soft_policy_by_hand():
    """Values 1 and 1 + log 3 at temperature 1: 1/4 and 3/4."""
    policy, scaled_log = soft_policy(tensor([1, 1 + math.log(3)]), 1.0)
    torch.testing.assert_close(policy, tensor([0.25, 0.75]))
    torch.testing.assert_close(scaled_log, tensor([math.log(0.25), math.log(0.75)]))


def test_a_soft_policy_at_a_small_temperature_keeps_its_digits():
    policy, scaled_log = soft_policy(tensor([100, 99.9, 0]), 0.03)
    assert scaled_log[0, 2].item() == pytest.approx(-100 - 0.03 * math.log(1 + math.exp(-0.1 / 0.03)), rel=1e-6)
    assert policy.sum().item() == pytest.approx(1) and policy.isfinite().all()


@pytest.mark.parametrize("value, expected", [(0, 0), (3, 1.003), (-3, -1.003), (8, 2.008), (1e6, 1000.0005 - 1 + 1e3)])
def test_values_are_rescaled_and_back(value, expected):
    """sqrt(4) - 1 + 0.003."""
    x = torch.tensor(value, dtype=torch.float64)
    assert rescale(x).item() == pytest.approx(expected) and unscale(rescale(x)).item() == pytest.approx(value)


@pytest.mark.parametrize("terminal, done, total, factor, at, there", [
    ([0, 0, 0, 0, 0], [0, 0, 0, 0, 0], [1 + 2 / 2, 2 + 4 / 2, 4 + 8 / 2], [1 / 4] * 3, [2, 3, 4], [1, 1, 1]),
    ([0, 1, 0, 0, 0], [0, 1, 0, 0, 0], [1 + 2 / 2, 2, 4 + 8 / 2], [0, 0, 1 / 4], [2, 2, 4], [1, 1, 1]),
    ([0, 0, 0, 0, 0], [0, 1, 0, 0, 0], [1, 0, 4 + 8 / 2], [1 / 2, 1, 1 / 4], [1, 1, 4], [1, 0, 1])])
def test_returns_within_a_sequence_by_hand(terminal, done, total, factor, at, there):
    """Rewards 1, 2, 4, 8, two steps, a discount of a half. A time limit after step 1: step 0 ends at state 1, and
    step 1 has no return.
    """
    columns = [tensor(*values)[:, None].expand(5, 2) for values in ([1, 2, 4, 8, 16], terminal, done)]
    found = returns_within(*columns, 2, 0.5)
    for came, expected in zip(found, (total, factor, at, there), strict=True):
        assert came[:, 0].tolist() == came[:, 1].tolist() == expected


def test_soft_values_by_hand():
    """Policy 1/4 and 3/4, q 2 and 6, temperature 0.5: 5 plus half the entropy."""
    logits = tensor([0, math.log(3)])
    spread = -(0.25 * math.log(0.25) + 0.75 * math.log(0.75))
    assert entropy(logits).item() == pytest.approx(spread)
    assert soft_value(logits, tensor([2, 6]), torch.tensor(0.5)).item() == pytest.approx(5 + spread / 2)


def test_a_dueling_head_by_hand():
    """V 1 and advantages 1, 2, 6, whose mean is 3: -1, 0, 4."""
    head = Dueling(1, 3)
    for layer, weights in ((head.value[0], [[1.0]]), (head.advantage[0], [[1.0], [2.0], [6.0]])):
        layer.weight.data, layer.bias.data = torch.tensor(weights), torch.zeros(len(weights))
    assert head(torch.ones(1, 1)).tolist() == [[-1.0, 0.0, 4.0]]


def test_a_dueling_head_of_distributions_is_centred_for_each_atom():
    head = Dueling(4, 3, atoms=5, hidden=7)
    out, value = head(torch.randn(6, 4)), head.value
    assert out.shape == (6, 3, 5) and [type(layer).__name__ for layer in value] == ["Linear", "ReLU", "Linear",
                                                                                    "Unflatten"]
    features = torch.randn(6, 4)
    torch.testing.assert_close(head(features).mean(1), value(features)[:, 0])


def test_noise_by_hand():
    """y = (mu + sigma * e_out * e_in) x, e = sign(n) sqrt|n|; without noise y = mu x."""
    layer = NoisyLinear(2, 1, sigma=0.5)
    layer.weight.data, layer.bias.data = torch.tensor([[1.0, 2.0]]), torch.tensor([3.0])
    layer.weight_sigma.data, layer.bias_sigma.data = torch.tensor([[0.5, 0.25]]), torch.tensor([0.125])
    layer.noise = torch.tensor([[2.0, -1.0]]), torch.tensor([[3.0]])
    x = torch.tensor([[1.0, 10.0]])
    assert layer(x).tolist() == [[1 + 20 + 3 + 3 * (0.5 * 2 * 1 - 0.25 * 10) + 3 * 0.125]]
    layer.calm()
    assert layer(x).tolist() == [[24.0]]


def test_noise_has_the_right_size_and_every_environment_its_own():
    layer = NoisyLinear(16, 4, sigma=0.5)
    assert layer.weight_sigma[0, 0].item() == layer.bias_sigma[0].item() == 0.5 / 4
    rng = torch.Generator().manual_seed(0)
    layer.draw(rng, rows=3, noises=3)
    out = layer(torch.ones(3, 16))
    assert len({round(row[0].item(), 6) for row in out}) == 3
    layer.draw(rng, rows=3, noises=1)
    assert torch.equal(layer(torch.ones(3, 16))[0], layer(torch.ones(3, 16))[2])


def test_every_linear_layer_becomes_a_noisy_one_and_no_other():
    net = noisy(torch.nn.Sequential(torch.nn.Conv2d(1, 1, 1), torch.nn.Flatten(),
                                    torch.nn.Sequential(torch.nn.Linear(4, 3), torch.nn.ReLU()), Dueling(3, 2)), 0.5)
    assert len(list(chances(net))) == 3 and not any(isinstance(m, torch.nn.Linear) for m in net.modules())
    assert net(torch.zeros(2, 1, 2, 2)).shape == (2, 2)


def test_expected_returns_of_distributions():
    atoms = Atoms(torch.nn.Identity(), -1, 1, 3)
    assert atoms(tensor([0, 0, math.log(2)])[None]).tolist() == [[pytest.approx((-1 + 2) / 4)]]
    fractions = Fractions(torch.nn.Identity())
    assert fractions(tensor([1, 2, 6])[None]).tolist() == [[3.0]]
    assert fractions.taus(torch.zeros(2, 4)).tolist() == [[0.125, 0.375, 0.625, 0.875]]


def test_implicit_quantiles_are_those_of_the_fractions_drawn():
    part = Implicit(3, torch.nn.Linear(3, 2), samples=5)
    net = Drawn(torch.nn.Sequential(torch.nn.Identity(), part))
    rng = torch.Generator().manual_seed(0)
    part.draw(rng, rows=4, noises=1)
    out = net.net(torch.ones(4, 3))
    assert out.shape == (4, 2, 5) and net.taus(out[:, 0]).shape == (4, 5)
    assert len(set(part.tau.flatten().tolist())) == 20
    phi = part.embed(torch.cos(math.pi * torch.arange(64) * part.tau[1, 2])).relu()
    torch.testing.assert_close(out[1, :, 2], part.head(phi))
    part.calm()
    assert net(torch.ones(4, 3)).shape == (4, 2) and net.net(torch.ones(4, 3)).shape == (4, 2, 32)
    assert torch.equal(net(torch.ones(1, 3)), net(torch.ones(1, 3)))


def test_a_sequence_is_its_steps_one_after_another_and_the_memory_is_emptied():
    q = RecurrentQ(torch.nn.Identity(), 3, 4, torch.nn.Linear(4, 2))
    obs, memory, fresh = torch.randn(5, 2, 3), torch.randn(2, 8), torch.zeros(5, 2)
    fresh[3, 1] = 1
    values, last = q.unroll(obs, memory, fresh)
    for t in range(5):
        one, memory = q(obs[t], memory * (1 - fresh[t][:, None]))
        torch.testing.assert_close(values[t], one)
    torch.testing.assert_close(last, memory)
    alone, _ = q.unroll(obs[3:, 1:], torch.zeros(1, 8), torch.zeros(2, 1))
    torch.testing.assert_close(values[3:, 1:], alone)
