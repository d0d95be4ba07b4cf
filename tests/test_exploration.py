"""Random actions: who explores, how, and for how long an action is held."""

from math import pi

import numpy as np
import pytest

from lab.compute import Compute
from lab.config import ComputeConfig
from lab.errors import UsageError
from lab_dqn.configs import DQN
from lab_dqn.dqn import LONGEST, Coins


def coins(seed=0, n=1, actions=4, **changes):
    compute = Compute(ComputeConfig(device="cpu"), seed)
    return Coins(actions, DQN(num_envs=n, epsilon_steps=1, **changes), compute)


def lengths(track):
    """Of the runs of equal numbers in `track` [T]."""
    edges = np.flatnonzero(np.diff(track)) + 1
    return np.diff(np.concatenate([[0], edges, [len(track)]]))


def test_an_action_is_held_as_long_as_it_was_drawn_for():
    """Two environments. The first holds action 2 for 3 steps and meanwhile tosses no other; the second waits."""
    it = coins(n=2, epsilon_zeta=2.0)
    it.rng = type("Drawn", (), {"zipf": lambda self, a, n: np.array([3, 10**9])})()
    steps = [([True, False], [2, 1]), ([True, False], [1, 1]), ([False, True], [0, 3]), ([False, False], [0, 0])]
    found = [it.holding(np.array(explores), np.array(action)) for explores, action in steps]
    assert [each.tolist() for each, _ in found] == [[True, False], [True, False], [True, True], [False, True]]
    assert [action[0] for _, action in found[:3]] == [2, 2, 2] and [action[1] for _, action in found[2:]] == [3, 3]
    assert it.left.tolist() == [0, LONGEST - 2]


def test_lengths_are_distributed_as_the_paper_says():
    """All act at random, and begin at once. P(n) = n ** -2 / zeta(2), zeta(2) = pi ** 2 / 6; the tail is at LONGEST."""
    it, n, zeta = coins(n=4_096, epsilon_end=1.0, epsilon_zeta=2.0), 4_096, pi ** 2 / 6
    it.mixed(np.zeros(n, np.int64), 1)
    drawn = it.left + 1
    for length in (1, 2, 3):
        expected = length ** -2.0 / zeta
        assert (drawn == length).mean() == pytest.approx(expected, abs=4 * (expected * (1 - expected) / n) ** 0.5)
    tail = 1 - sum(length ** -2.0 for length in range(1, LONGEST)) / zeta
    assert drawn.max() == LONGEST and (drawn == LONGEST).mean() == pytest.approx(tail, abs=4 * (tail / n) ** 0.5)


def test_each_environment_holds_its_own():
    it = coins(n=8, actions=1000, epsilon_end=0.2, epsilon_zeta=1.5)
    acted = np.stack([it.mixed(np.full(8, -1), 1) for _ in range(400)])                     # [T, N]
    held = [lengths(np.where(track < 0, -np.arange(1, 401), track)).max() for track in acted.T]
    assert min(held) > 3, "every environment held an action for some steps"
    assert len({tuple(track) for track in acted.T}) == 8


def test_without_it_a_random_action_lasts_one_step():
    it = coins(n=1, actions=10**6, epsilon_end=1.0)
    acted = np.concatenate([it.mixed(np.zeros(1, np.int64), 1) for _ in range(200)])
    assert lengths(acted).max() == 1 and not it.left.any()


@pytest.mark.parametrize("value", [-1.0, 0.5, 1.0, 11.0, float("nan")])
def test_an_exponent_without_a_distribution_is_refused(value):
    with pytest.raises(UsageError, match="epsilon_zeta"):
        DQN(epsilon_zeta=value)
