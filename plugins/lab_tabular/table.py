"""Environments whose dynamics are known: S states, A actions, K outcomes of each pair."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import gymnasium as gym
import numpy as np
from gymnasium import spaces, wrappers
from gymnasium.envs.toy_text.cliffwalking import CliffWalkingEnv
from gymnasium.envs.toy_text.frozen_lake import FrozenLakeEnv
from gymnasium.envs.toy_text.taxi import TaxiEnv

KNOWN = (FrozenLakeEnv, CliffWalkingEnv, TaxiEnv)         # whose step and reset only draw from P and its start
PLAIN = (wrappers.OrderEnforcing, wrappers.PassiveEnvChecker, wrappers.TimeLimit)     # change no step but the last


@dataclass(frozen=True)
class Table:
    """A finite Markov decision process. Outcomes beyond those of a pair have probability 0."""

    probability: np.ndarray       # [S, A, K]
    next_state: np.ndarray        # [S, A, K]
    reward: np.ndarray            # [S, A, K]
    terminal: np.ndarray          # [S, A, K] 1 where the episode ends, else 0
    start: np.ndarray             # [S] probability that an episode begins here
    limit: int | None             # steps after which an episode is truncated


def known(env: gym.Env[Any, Any]) -> Table | None:
    """The table that `env` draws from; None unless it is certain that `env` does that and nothing else.

    Certain means: `step` and `reset` are Gymnasium's own functions (a subclass may bring another table), a passenger
    is not fickle, and no wrapper but those that `gymnasium.make` puts on.
    """
    layers = list(unwrapped(env))
    core, limits = layers[-1], [layer._max_episode_steps for layer in layers if type(layer) is wrappers.TimeLimit]
    own = any(type(core).step is kind.step and type(core).reset is kind.reset for kind in KNOWN)
    plain = all(type(layer) in PLAIN for layer in layers[:-1])
    replaced = any({"step", "reset"} & vars(layer).keys() for layer in layers)
    if not own or not plain or replaced or getattr(core, "fickle_passenger", False) or not counted_from_zero(core):
        return None
    return table_of(core, min(limits, default=None))


def unwrapped(env: gym.Env[Any, Any]) -> Iterator[gym.Env[Any, Any]]:
    """From the outermost wrapper to the environment itself."""
    while isinstance(env, gym.Wrapper):
        yield env
        env = env.env
    yield env


def counted_from_zero(env: gym.Env[Any, Any]) -> bool:
    return all(isinstance(space, spaces.Discrete) and space.start == 0
               for space in (env.observation_space, env.action_space))


def table_of(env: Any, limit: int | None) -> Table | None:
    """From `P` {state: {action: [(probability, next state, reward, terminated)]}}; None where it is no distribution."""
    n_states, n_actions = int(env.observation_space.n), int(env.action_space.n)
    pairs = [env.P[s][a] for s in range(n_states) for a in range(n_actions)]
    k = max(len(pair) for pair in pairs)
    padded = [[*pair, *[(0.0, 0, 0.0, True)] * (k - len(pair))] for pair in pairs]
    rows = np.array(padded, np.float64).reshape(n_states, n_actions, k, 4)
    probability, start = rows[..., 0], np.array(env.initial_state_distrib, np.float64)
    if not (np.allclose(probability.sum(-1), 1, atol=1e-9) and np.isclose(start.sum(), 1, atol=1e-9)):
        return None
    return Table(probability, rows[..., 1].astype(np.int64), rows[..., 2], rows[..., 3], start, limit)
