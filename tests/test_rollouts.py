"""Rollouts: every step once, in order and to the bit after a resume; and lambda-returns by hand."""

import gymnasium as gym
import numpy as np
import pytest
import torch
from gymnasium import spaces
from test_envs import Counts, column, envs_of, limited, on_disk
from test_streams import COMPUTE, at_random, generator, same_batches, zeros

from lab.env_state import Tier
from lab.envs import Envs
from lab.rollouts import Rollouts, lambda_return
from lab.testing.envs import TinyBox


@pytest.mark.parametrize("end", ["terminated", "truncated"])
def test_every_step_is_seen_once_in_the_order_of_time(end):
    stream = Rollouts(envs_of(Counts(2, end), Counts(3, end)), zeros, 4)
    first, second = stream.next(), stream.next()
    assert {name: tuple(row.shape) for name, row in first.items()} == {
        "obs": (4, 2, 1), "next_obs": (4, 2, 1), "action": (4, 2), "reward": (4, 2), "terminal": (4, 2),
        "done": (4, 2)}
    assert column(first, "obs", 0) == [0, 1, 100, 101] and column(second, "obs", 0) == [200, 201, 300, 301]
    assert column(first, "obs", 1) == [0, 1, 2, 100] and column(first, "next_obs", 1) == [1, 2, 3, 101]
    assert column(second, "obs", 1) == [101, 102, 200, 201]
    assert column(first, "done", 1) == [0, 0, 1, 0]
    assert column(first, "terminal", 1) == ([0, 0, 1, 0] if end == "terminated" else [0] * 4)
    assert stream.count == 16 and stream.metrics()["episode/count"] == 6
    assert "environment state" in stream.notes()[0]


def test_the_policy_is_told_the_count():
    counts = []
    stream = Rollouts(envs_of(Counts(), Counts()), lambda obs, count: counts.append(count) or zeros(obs, count), 3)
    stream.next(), stream.next()
    assert counts == [0, 2, 4, 6, 8, 10]


@pytest.mark.parametrize("batches", [0, 1, 7])
def test_a_rollout_stream_goes_on_to_the_bit(batches, tmp_path):
    whole, first, second = (Rollouts(Envs(limited(TinyBox), 2, COMPUTE, tier=Tier.EXACT), at_random(), 5)
                            for _ in range(3))
    for _ in range(batches):
        whole.next(), first.next()
    second.load_state_dict(on_disk(first, tmp_path))
    generator(second).set_state(generator(first).get_state())
    assert same_batches(whole, second) and whole.count == second.count == (batches + 15) * 10


class Taken(gym.Env):
    """Keeps the actions that reach it."""

    observation_space = spaces.Box(-1, 1, (1,), np.float32)

    def __init__(self, action_space):
        self.action_space, self.actions = action_space, []

    def reset(self, *, seed=None, options=None):
        return np.zeros(1, np.float32), {}

    def step(self, action):
        self.actions.append(action)
        return np.zeros(1, np.float32), 0.0, False, False, {}


@pytest.mark.parametrize("space, taken", [
    (spaces.Box(-1, 2, (2,), np.float32), [-1.0, 2.0]),
    (spaces.Box(np.array([-np.inf, 0], np.float32), np.array([0, np.inf], np.float32)), [-3.0, 5.0]),
    (spaces.Box(-4, 4, (2,), np.float64), [-3.0, 4.0])])
def test_actions_are_clipped_where_they_reach_the_environment_alone(space, taken):
    env = Taken(space)
    rows = Rollouts(envs_of(env), lambda obs, count: torch.tensor([[-3.0, 5.0]]), 1).next()
    assert env.actions[0].tolist() == taken and env.actions[0].dtype == space.dtype
    assert rows["action"].tolist() == [[[-3.0, 5.0]]]


def returns(lambda_, terminal, done, discount=0.5):
    """Of the rewards 1, 2, 4 where the states that follow are worth 8, 16 and 32."""
    columns = [torch.tensor(values, dtype=torch.float32)[:, None].expand(3, 2)
               for values in ([1, 2, 4], [8, 16, 32], terminal, done)]
    found = lambda_return(*columns, discount, lambda_)
    assert found.shape == (3, 2) and torch.equal(found[:, 0], found[:, 1])
    return found[:, 0].tolist()


@pytest.mark.parametrize("lambda_, terminal, done, expected", [
    (0.0, [0, 0, 0], [0, 0, 0], [1 + 8 / 2, 2 + 16 / 2, 4 + 32 / 2]),                # each its next value alone
    (1.0, [0, 0, 0], [0, 0, 0], [1 + 12 / 2, 2 + 20 / 2, 4 + 32 / 2]),               # rewards up to the last value
    (0.5, [0, 0, 0], [0, 0, 0], [1 + (8 + 11) / 4, 2 + (16 + 20) / 4, 20]),          # half of each
    (1.0, [0, 1, 0], [0, 1, 0], [1 + 2 / 2, 2, 20]),                                 # a terminal state has no future
    (0.5, [0, 1, 0], [0, 1, 0], [1 + (8 + 2) / 4, 2, 20]),
    (1.0, [0, 0, 0], [0, 1, 0], [1 + 10 / 2, 2 + 16 / 2, 20]),                       # cut off: its value, no further
    (1.0, [0, 0, 1], [0, 0, 1], [1 + 4 / 2, 2 + 4 / 2, 4])])
def test_lambda_returns_by_hand(lambda_, terminal, done, expected):
    assert returns(lambda_, terminal, done) == expected


def test_lambda_returns_are_the_mixture_of_n_step_returns():
    """Sutton & Barto 2018, eq. 12.3: (1 - l) * sum of l**(n - 1) * G[t:t+n], the longest with what is left."""
    rng = torch.Generator().manual_seed(0)
    reward, next_value = torch.randn(6, generator=rng), torch.randn(6, generator=rng)
    zero, discount, lambda_ = torch.zeros(6), 0.9, 0.7
    found = lambda_return(reward, next_value, zero, zero, discount, lambda_)
    for t in range(6):
        n_max = 6 - t
        each = [sum(discount**k * reward[t + k] for k in range(n)) + discount**n * next_value[t + n - 1]
                for n in range(1, n_max + 1)]
        weights = [(1 - lambda_) * lambda_**n for n in range(n_max - 1)] + [lambda_**(n_max - 1)]
        torch.testing.assert_close(found[t], sum(w * g for w, g in zip(weights, each, strict=True)))
