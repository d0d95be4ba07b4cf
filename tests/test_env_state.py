"""Environments in mid-episode: which way each can be brought back, and that it then goes on bit for bit."""

import itertools
import os
import random

import gymnasium as gym
import numpy as np
import pytest
import torch
from gymnasium import spaces, wrappers

from lab import checkpoint, env_encoder, env_walk
from lab.env_decoder import Decoder
from lab.env_encoder import encoded
from lab.env_holders import CannotSave
from lab.env_state import Tier, probe, restore, same
from lab.env_twin import attributes

EXACT, EPISODE_REPLAY, REPLAY, BOUNDARY = Tier


class Base(gym.Env):
    """Ten steps an episode; the observation is one number that `draw` gives."""

    observation_space, action_space = spaces.Box(-np.inf, np.inf, (1,), np.float64), spaces.Discrete(2)

    def __init__(self, render_mode=None):
        self.t = 0

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.t = 0
        return self.observe(), {}

    def step(self, action):
        self.t += 1
        return self.observe(), float(action), self.t == 10, False, {}

    def observe(self):
        return np.array([self.draw()])


class Bag:
    """Anything."""

    def __init__(self, **things):
        vars(self).update(things)


class OwnGenerator(Base):
    """Ignores its seed: the generator is made once, from the machine's entropy."""

    def __init__(self, render_mode=None):
        self.rng = np.random.default_rng()

    def draw(self):
        return self.rng.random()


class Closure(Base):
    """Its state is a local variable of a Python generator: nobody can read it, but the seed repeats it."""

    def reset(self, *, seed=None, options=None):
        def numbers(rng):
            while True:
                yield rng.random()

        self.numbers = numbers(np.random.default_rng(seed))
        return super().reset(seed=seed)

    def draw(self):
        return next(self.numbers)


class ShortClosure(Closure):
    """Three steps an episode: four moves with the reset, so that every fourth moment has nothing to bring back."""

    def step(self, action):
        obs, reward, _, _, info = super().step(action)
        return obs, reward, self.t == 3, False, info


class Past(Base):
    """What it shows depends on every episode so far, kept as objects that a new environment does not have."""

    class Episode:
        def __init__(self, luck):
            self.luck = luck

    def __init__(self, render_mode=None):
        self.log = []

    def reset(self, *, seed=None, options=None):
        self.log.append(self.Episode(np.random.default_rng(seed).random()))
        return super().reset(seed=seed)

    def draw(self):
        return sum(episode.luck for episode in self.log) + self.t


class Entropy(Base):
    def draw(self):
        return int.from_bytes(os.urandom(4))


class GlobalGenerator(Base):
    """Draws from numpy's global generator, which every checkpoint holds beside the environments."""

    def draw(self):
        return np.random.random()


class Scrolls(Base):
    """Observations are one array, written again and again; actions are written into."""

    action_space = spaces.Box(-1, 1, (1,), np.float32)

    def __init__(self):
        self.row = np.zeros(1)

    def step(self, action):
        action *= 0.5
        self.row += action
        return super().step(action[0])

    def observe(self):
        return self.row


class Remembers(Base):
    """Without end; where nobody can read it, it counts its resets and shows them at the first step of an episode."""

    def __init__(self, render_mode=None):
        resets = itertools.count()
        self.next = lambda: next(resets)

    def reset(self, *, seed=None, options=None):
        self.first = float(self.next())
        return super().reset(seed=seed)

    def step(self, action):
        self.t += 1
        return self.observe(), 0.0, False, False, {}

    def draw(self):
        return self.first if self.t == 1 else 0.0


class Echo(Base):
    """Without end; where nobody can read it, it keeps the last action, and shows it at its 32nd step alone."""

    def reset(self, *, seed=None, options=None):
        last = [-1.0]
        self.swap = lambda action: (last[0], last.__setitem__(0, float(action)))[0]
        return super().reset(seed=seed)

    def step(self, action):
        self.t += 1
        self.shown = self.swap(action) if self.t == 32 else 0 * self.swap(action)
        return self.observe(), 0.0, False, False, {}

    def draw(self):
        return self.shown if self.t else 0.0


class After(Base):
    """Under seed 5, an episode begins with the last action of the episode before."""

    def reset(self, *, seed=None, options=None):
        self.first = getattr(self, "last", -1) if seed == 5 else 0
        return super().reset(seed=seed)

    def step(self, action):
        self.last = action
        return super().step(action)

    def draw(self):
        return float(self.first)


class Raises(Base):
    def draw(self):
        if self.t == 7:
            raise RuntimeError("the seventh step")
        return 0.0


class Drawn(gym.Wrapper):
    """Leaves a surface and a clock of pygame in the environment."""

    def step(self, action):
        self.env.render()
        return super().step(action)


def gym_make(id, *wrap, **options):
    def make():
        env = gym.make(id, **options)
        for wrapper in wrap:
            env = wrapper(env)
        return env

    return make


def needs(module, id, register=lambda module: None, **options):
    def make():
        found = pytest.importorskip(module)
        if id not in gym.registry:
            register(found)
        return gym.make(id, **options)

    return make


def minatar(game):
    return needs("minatar.gym", f"MinAtar/{game}-v1", lambda module: module.register_envs())


TIERS = {
    "CartPole": (gym_make("CartPole-v1"), EXACT),
    "CartPole, drawn": (gym_make("CartPole-v1", Drawn, render_mode="rgb_array"), EXACT),
    "CartPole + episode statistics": (gym_make("CartPole-v1", wrappers.RecordEpisodeStatistics), EXACT),
    "CartPole + NormalizeObservation": (gym_make("CartPole-v1", wrappers.NormalizeObservation), EXACT),
    "CartPole + NormalizeReward": (gym_make("CartPole-v1", wrappers.NormalizeReward), EXACT),
    "CartPole + FrameStack": (gym_make("CartPole-v1", lambda env: wrappers.FrameStackObservation(env, 4)), EXACT),
    "CartPole + TimeLimit": (gym_make("CartPole-v1", max_episode_steps=7), EXACT),
    "CartPole + TransformObservation": (
        gym_make("CartPole-v1", lambda env: wrappers.TransformObservation(env, lambda obs: 2 * obs, None)), EXACT),
    "Acrobot": (gym_make("Acrobot-v1"), EXACT),
    "MountainCar": (gym_make("MountainCar-v0"), EXACT),
    "Pendulum": (gym_make("Pendulum-v1"), EXACT),
    "FrozenLake": (gym_make("FrozenLake-v1"), EXACT),
    "Taxi": (gym_make("Taxi-v4"), EXACT),
    "CliffWalking": (gym_make("CliffWalking-v1"), EXACT),
    "Blackjack": (gym_make("Blackjack-v1"), EXACT),
    "LunarLander": (needs("Box2D", "LunarLander-v3"), EPISODE_REPLAY),     # its world lives in a C++ library
    "BipedalWalker": (needs("Box2D", "BipedalWalker-v3"), REPLAY),         # one b2World for all episodes
    "Hopper": (needs("mujoco", "Hopper-v5"), EXACT),
    "Ant": (needs("mujoco", "Ant-v5"), EPISODE_REPLAY),   # pays by a position that MuJoCo does not count as state
    "MinAtar Breakout": (minatar("Breakout"), EXACT),
    "MinAtar Seaquest": (minatar("Seaquest"), EXACT),
    "Atari": (needs("ale_py", "ALE/Breakout-v5", gym.register_envs, repeat_action_probability=0.0), EXACT),
    "Atari, sticky": (needs("ale_py", "ALE/Breakout-v5", gym.register_envs), EPISODE_REPLAY),
    "own generator": (OwnGenerator, EXACT),
    "global generator": (GlobalGenerator, EXACT),
    "arrays used again": (Scrolls, EXACT),
    "closure": (Closure, EPISODE_REPLAY),
    "closure, short episodes": (ShortClosure, EPISODE_REPLAY),
    "objects of past episodes": (Past, REPLAY),
    "remembers resets": (Remembers, REPLAY),
    "shows what it hides now and then": (Echo, EPISODE_REPLAY),
    "entropy of the machine": (Entropy, BOUNDARY),
    "raises": (Raises, BOUNDARY),
}
ALONE = ("global generator", "entropy of the machine", "raises")           # nothing to restore without more


def seed_for(episode):
    return 100 + episode


@pytest.mark.parametrize("name", TIERS)
def test_tier(name, monkeypatch):
    make, tier = TIERS[name]
    if "Atari" not in name:                               # which loads a file at every reset
        monkeypatch.setattr(env_walk, "perf_counter", lambda: 0.0)         # however busy this machine is
    assert probe(make, seed_for) is tier


def live(env, episodes, steps, act):
    """Step as training does, an episode that ends beginning anew under the next seed; every move and what came."""
    seen, done = [], not episodes
    for _ in range(steps):
        move = ("reset", seed_for(len(episodes))) if done else ("step", act())
        if done:
            episodes.append((move[1], []))
        else:
            episodes[-1][1].append(move[1])
        seen.append((move, env_walk.play(env, move)))
        done = bool(seen[-1][1].get("terminated") or seen[-1][1].get("truncated"))
    return seen


@pytest.mark.parametrize("name", [name for name in TIERS if name not in ALONE])
def test_what_a_checkpoint_brings_back_goes_on_bit_for_bit(name, tmp_path):
    make, tier = TIERS[name]
    env, episodes = make(), []
    act = env_walk.sampler(env)
    live(env, episodes, 61, act)
    while not episodes[-1][1]:
        live(env, episodes, 1, act)
    past, state = [(seed, list(actions)) for seed, actions in episodes], None
    if tier is EXACT:
        checkpoint.write(tmp_path, 61, {"env": attributes(env, make(), past[-1][0])}, keep=1)
        state = checkpoint.newest(tmp_path, print)[1]["env"]
    expected = live(env, episodes, 120, act)
    twin, _ = restore(make, tier, past, state)
    for move, seen in expected:
        assert env_walk.odd(seen, env_walk.play(twin, move)) == ""
    env.close(), twin.close()


def test_restored_by_replay_shows_the_latest_obs_and_at_a_boundary_the_first():
    make, episodes = TIERS["CartPole"][0], []
    env = make()
    (_, first), *_, (_, latest) = live(env, episodes, 5, lambda: 1)
    assert same(restore(make, REPLAY, episodes)[1], latest["obs"])
    assert same(restore(make, EPISODE_REPLAY, episodes)[1], latest["obs"])
    assert same(restore(make, BOUNDARY, episodes)[1], first["obs"])
    assert restore(make, EXACT, episodes, encoded(env))[1] is None


@pytest.mark.parametrize("tier", [REPLAY, EPISODE_REPLAY])
def test_a_long_replay_is_stopped_in_the_midst_of_an_episode(tier):
    def check():
        calls.append(getattr(env, "t", None))
        if len(calls) == 3:
            raise KeyboardInterrupt

    env, calls = Remembers(), []
    with pytest.raises(KeyboardInterrupt):
        restore(lambda: env, tier, [(1, [0] * 5000)], None, check)
    assert calls == [None, 256, 512]


@pytest.mark.parametrize("kind", [GlobalGenerator, Entropy, Raises])
def test_probing_moves_no_generator_and_closes_what_it_opens(kind):
    opened = []

    def make():
        env = kind()
        opened.append(env)
        env.close = lambda: opened.remove(env)
        return env

    random.seed(1), np.random.seed(1), torch.manual_seed(1)
    before = random.getstate(), np.random.get_state()[1].tolist(), torch.get_rng_state().tolist()
    probe(make, seed_for)
    assert before == (random.getstate(), np.random.get_state()[1].tolist(), torch.get_rng_state().tolist())
    assert opened == []


def test_attributes_too_large_for_every_checkpoint_are_no_state(monkeypatch):
    class Dataset(OwnGenerator):
        def __init__(self):
            super().__init__()
            self.rows = np.zeros(1000)

    assert probe(Dataset, seed_for) is EXACT
    monkeypatch.setattr(env_encoder, "MAX_BYTES", 5000)
    assert probe(OwnGenerator, seed_for) is EXACT
    assert probe(Dataset, seed_for) is BOUNDARY
    for large in (np.zeros(700), [0] * 700, bytes(6000), np.zeros(700, "M8[s]"), [Bag(n=0)] * 700):
        with pytest.raises(CannotSave, match="env holds more than 5,000 bytes"):
            encoded(Bag(it=large))


def test_probing_a_slow_environment_takes_few_steps(monkeypatch):
    clock = [0.0]
    monkeypatch.setattr(env_walk, "perf_counter", lambda: clock[0])

    class Slow(OwnGenerator):
        def draw(self):
            clock[0] += 0.1
            return super().draw()

    assert probe(Slow, seed_for) is EXACT
    assert clock[0] < 8                                   # 104 moves, each in two environments, would take 20.8 s


class Tenth(Base):
    """Every tenth step it shows what nobody can read."""

    def reset(self, *, seed=None, options=None):
        self.hidden = np.random.default_rng(seed).random(100).tolist().pop
        return super().reset(seed=seed)

    def step(self, action):
        obs, reward, _, _, info = super().step(action)
        return obs, reward, self.t == 50, False, info

    def draw(self):
        return self.hidden() if self.t % 10 == 9 else 0.0


@pytest.mark.parametrize("seconds", [0, 0.02, 1])
def test_the_tier_does_not_depend_on_the_speed_of_the_machine(seconds, monkeypatch):
    clock = itertools.count(step=seconds)
    monkeypatch.setattr(env_walk, "perf_counter", lambda: next(clock))
    assert probe(Tenth, seed_for) is EPISODE_REPLAY


def walk(node):
    yield node
    if isinstance(node, dict | list | tuple):
        assert not isinstance(node, dict) or all(isinstance(key, str | int) for key in node)
        for child in node.values() if isinstance(node, dict) else node:
            yield from walk(child)


@pytest.mark.parametrize("name", ["CartPole + FrameStack", "Taxi", "BipedalWalker", "MinAtar Breakout", "Hopper"])
def test_attributes_are_plain_data(name):
    env = TIERS[name][0]()
    live(env, [], 30, env_walk.sampler(env))
    for node in walk(encoded(env)):
        assert type(node) in (type(None), bool, int, float, str, np.ndarray, dict, list, tuple)
        assert type(node) is not np.ndarray or node.dtype.kind in "biuf"
    env.close()


def test_a_state_is_a_copy():
    env = Scrolls()
    env.reset(seed=0)
    state = encoded(env)
    env.step(np.ones(1, np.float32))
    Decoder().decode(state, env, "env")
    env.step(np.ones(1, np.float32))
    Decoder().decode(state, env, "env")
    assert env.row == 0
