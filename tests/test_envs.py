"""Copies of an environment stepped together: what each row holds, what is refused, and coming back in mid-episode."""

import logging
import os
import random

import gymnasium as gym
import numpy as np
import pytest
import torch
from gymnasium import spaces

from lab import checkpoint
from lab.compute import Compute
from lab.config import ComputeConfig
from lab.env_state import Tier, probe
from lab.envs import Envs, standard
from lab.errors import EnvError, UsageError
from lab.evaluate import EpisodeReturn, interval
from lab.state import seed_globals
from lab.testing.envs import TinyBox, TinyHidden, TinyTired

COMPUTE = Compute(ComputeConfig(device="cpu"), seed=7)


class Counts(gym.Env):
    """Shows 100 * episode + step. Episodes of `length` steps, each paying its step; they end as `end` says."""

    observation_space, action_space = spaces.Box(-np.inf, np.inf, (1,), np.float32), spaces.Discrete(2)

    def __init__(self, length=3, end="terminated"):
        self.length, self.end, self.episode, self.t, self.seeds, self.actions = length, end, -1, 0, [], []

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.episode, self.t, self.seeds = self.episode + 1, 0, [*self.seeds, seed]
        return self.obs(), {}

    def step(self, action):
        self.t, self.actions = self.t + 1, [*self.actions, action]
        over = self.t == self.length
        return self.obs(), self.reward(), over and self.end != "truncated", over and self.end != "terminated", {}

    def obs(self):
        return np.array([100 * self.episode + self.t], np.float32)

    def reward(self):
        return float(self.t)


def envs_of(*made, tier=Tier.BOUNDARY, compute=COMPUTE):
    queue = list(made)
    return Envs(lambda: queue.pop(0), len(made), compute, tier=tier)


def zeros(obs, count):
    return torch.zeros(len(obs), dtype=torch.int64)


def at_random(seed=0):
    rng = torch.Generator().manual_seed(seed)
    return lambda obs, count: torch.randint(3, obs.shape[:1], generator=rng)


def column(rows, name, i=0):
    return rows[name][:, i].flatten().tolist()


@pytest.mark.parametrize("end, terminal", [("terminated", [0, 0, 1] * 2), ("truncated", [0] * 6),
                                           ("both", [0, 0, 1] * 2)])
def test_ends_by_termination_and_by_truncation(end, terminal):
    rows = envs_of(Counts(end=end)).collect(zeros, 6)
    assert column(rows, "obs") == [0, 1, 2, 100, 101, 102]
    assert column(rows, "next_obs") == [1, 2, 3, 101, 102, 103]      # the true successor, not the next first
    assert column(rows, "reward") == [1, 2, 3, 1, 2, 3]
    assert column(rows, "terminal") == terminal and column(rows, "done") == [0, 0, 1] * 2


def test_rows_are_steps_by_environments():
    """Two copies with episodes of other lengths; a second call goes on where the first ended."""
    envs = envs_of(Counts(2), Counts(3))
    for call in range(2):
        rows = envs.collect(zeros, 3)
        assert {name: tuple(row.shape) for name, row in rows.items()} == {
            "obs": (3, 2, 1), "next_obs": (3, 2, 1), "action": (3, 2), "reward": (3, 2), "terminal": (3, 2),
            "done": (3, 2)}
        assert column(rows, "obs", 0) == ([0, 1, 100], [101, 200, 201])[call]
        assert column(rows, "obs", 1) == ([0, 1, 2], [100, 101, 102])[call]
        assert column(rows, "done", 0) == ([0, 1, 0], [1, 0, 1])[call] and column(rows, "done", 1) == [0, 0, 1]


def test_actions_come_from_the_policy_that_sees_obs_and_count():
    seen = []

    def act(obs, count):
        seen.append((obs.flatten().tolist(), count))
        return torch.tensor([len(seen) % 2, 1])

    a, b = Counts(9), Counts(9)
    rows = envs_of(a, b).collect(act, 3, count=40)
    assert seen == [([0, 0], 40), ([1, 1], 42), ([2, 2], 44)]
    assert a.actions == [1, 0, 1] and b.actions == [1, 1, 1] and rows["action"].tolist() == [[1, 1], [0, 1], [1, 1]]


def test_every_episode_has_a_seed_of_its_own():
    a, b = Counts(1), Counts(1)
    envs_of(a, b).collect(zeros, 3)
    assert a.seeds == [COMPUTE.seed_for(f"train/0/{episode}") for episode in range(4)]
    assert b.seeds == [COMPUTE.seed_for(f"train/1/{episode}") for episode in range(4)]
    assert len({*a.seeds, *b.seeds}) == 8


def test_returns_and_lengths_of_finished_episodes_once():
    envs = envs_of(Counts(2), Counts(4))
    envs.collect(zeros, 4)                                # returns 3, 3 and 10; lengths 2, 2 and 4
    assert envs.metrics() == {"episode/return": pytest.approx(16 / 3), "episode/length": pytest.approx(8 / 3),
                              "episode/count": 3}
    assert envs.metrics() == {}
    envs.collect(zeros, 1)
    assert envs.metrics() == {}


class Shown(Counts):
    """Shows whatever sample its space gives, drawn anew at each step; takes any action."""

    def __init__(self, space, action_space=None):
        super().__init__(length=5)
        self.observation_space, self.action_space, self.shown = space, action_space or spaces.Discrete(2), []

    def obs(self):
        self.observation_space.seed(len(self.shown))
        self.shown.append(self.observation_space.sample())
        return self.shown[-1]


@pytest.mark.parametrize("space, shape, dtype, flat", [
    (spaces.Box(-1, 1, (2, 3), np.float64), (2, 3), torch.float32, np.asarray),
    (spaces.Box(0, 255, (4, 4), np.uint8), (4, 4), torch.uint8, np.asarray),
    (spaces.Box(-9, 9, (2,), np.int32), (2,), torch.int32, np.asarray),
    (spaces.Box(-1, 1, (), np.float32), (1,), torch.float32, lambda obs: [obs]),
    (spaces.Box(0, 255, (), np.uint8), (1,), torch.uint8, lambda obs: [obs]),
    (spaces.Discrete(5), (), torch.int64, np.asarray),
    (spaces.Discrete(5, start=-2), (), torch.int64, lambda obs: obs + 2),
    (spaces.MultiDiscrete([3, 4]), (2,), torch.int64, np.asarray),
    (spaces.MultiDiscrete([3, 4], start=[1, -1]), (2,), torch.int64, lambda obs: obs - [1, -1]),
    (spaces.MultiBinary(3), (3,), torch.int8, np.asarray),
    (spaces.Tuple([spaces.Discrete(3), spaces.Discrete(9, start=4)]), (2,), torch.int64,
     lambda obs: [obs[0], obs[1] - 4]),
    (spaces.Tuple([spaces.Discrete(3), spaces.Box(0, 1, (2,), np.float32)]), (5,), torch.float32,
     lambda obs: [*np.eye(3)[obs[0]], *obs[1]]),
    (spaces.Dict(a=spaces.Box(0, 1, (2,), np.float32), b=spaces.Discrete(2)), (4,), torch.float32,
     lambda obs: [*obs["a"], *np.eye(2)[obs["b"]]])])
def test_observations_of_every_kind_of_space(space, shape, dtype, flat):
    env = Shown(space)
    rows = envs_of(standard(env)).collect(zeros, 4)
    assert rows["obs"].dtype is rows["next_obs"].dtype is dtype and rows["obs"].shape == (4, 1, *shape)
    expected = np.stack([np.asarray(flat(each), np.float64) for each in env.shown])
    np.testing.assert_allclose(rows["obs"][:, 0].numpy().astype(np.float64), expected[:4], rtol=1e-6)
    np.testing.assert_allclose(rows["next_obs"][:, 0].numpy().astype(np.float64), expected[1:5], rtol=1e-6)


@pytest.mark.parametrize("space", [spaces.Text(5), spaces.Sequence(spaces.Discrete(2)),
                                   spaces.Dict(a=spaces.Sequence(spaces.Discrete(2))),
                                   spaces.Graph(spaces.Box(0, 1, (1,)), None)])
def test_observations_that_are_no_array_are_refused(space):
    with pytest.raises(UsageError, match=r"Shown has observations .* cannot be made one array"):
        standard(Shown(space))


@pytest.mark.parametrize("space, given, taken", [
    (spaces.Discrete(3), torch.tensor([2]), 2), (spaces.Discrete(3, start=5), torch.tensor([2]), 7),
    (spaces.Box(-1, 1, (2,), np.float64), torch.tensor([[0.5, -1.0]]), np.array([0.5, -1.0])),
    (spaces.MultiDiscrete([3, 3]), torch.tensor([[1, 2]]), np.array([1, 2]))])
def test_actions_arrive_as_the_space_wants_them(space, given, taken):
    env = Shown(spaces.Discrete(2), space)
    rows = envs_of(env).collect(lambda obs, count: given, 1)
    assert type(env.actions[0]) is type(taken) and np.array_equal(env.actions[0], taken)
    assert not isinstance(taken, np.ndarray) or env.actions[0].dtype == space.dtype
    assert torch.equal(rows["action"][0], given)


class Faulty(Counts):
    """Does something wrong two steps into its second episode, or in the reset of the third; counted from 0."""

    def __init__(self, what, wrong):
        super().__init__(length=5)
        self.what, self.wrong = what, wrong

    def now(self, what):
        return self.what == what and (self.episode, self.t) == ((2, 0) if what == "reset" else (1, 3))

    def answer(self):
        if isinstance(self.wrong, Exception):
            raise self.wrong
        return self.wrong

    def obs(self):
        return self.answer() if self.now("obs") or self.now("reset") else super().obs()

    def reward(self):
        return self.answer() if self.now("reward") else super().reward()


STEP, RESET, AT = "step 2 of its episode 1", "step 0 of its episode 2", "step 64 of the run"
FAULTS = [
    ("obs", RuntimeError("lost a wheel"), STEP, "raised RuntimeError: lost a wheel"),
    ("obs", np.zeros(2), STEP, r"returned an observation of shape \(2,\), its space has \(1,\)"),
    ("obs", np.float32(1), STEP, r"returned an observation of shape \(\)"),
    ("obs", None, STEP, "an observation of shape"),
    ("obs", np.array(["x"]), STEP, "an observation that is no number: array"),
    ("obs", [None], AT, "that is not finite"),
    ("obs", np.array([np.nan]), AT, "returned an observation that is not finite"),
    ("obs", np.array([-np.inf]), AT, "an observation that is not finite"),
    ("reward", float("nan"), AT, "a reward that is not finite"),
    ("reward", np.float32("inf"), AT, "a reward that is not finite"),
    ("reward", 1e300, AT, "a reward that is not finite"),      # in float32
    ("reward", "1.0", STEP, "returned the reward '1.0', a str; expected a number"),
    ("reward", np.ones(1), STEP, "returned the reward .*, a ndarray; expected a number"),
    ("reward", None, STEP, "returned the reward None, a NoneType"),
    ("reward", 1j, STEP, "returned the reward 1j, a complex"),
    ("reset", ValueError("no map"), RESET, "raised ValueError in reset: no map"),
    ("reset", np.zeros((1, 1)), RESET, r"\(1, 1\) from reset, its space has"),
    ("reset", np.array(["x"]), RESET, "returned an observation that is no number from reset"),
    ("reset", np.array([np.nan]), "step 70 of the run", "an observation that is not finite")]


@pytest.mark.parametrize("what, wrong, where, text", FAULTS, ids=[f"{what} {wrong!r}" for what, wrong, *_ in FAULTS])
@pytest.mark.parametrize("steps", [1, 5])
@pytest.mark.filterwarnings("ignore:overflow")
def test_what_no_agent_can_learn_from_is_an_error_that_says_where(steps, what, wrong, where, text):
    envs = envs_of(Counts(), Faulty(what, wrong))
    for done in range(0, 5, steps):
        envs.collect(zeros, steps, 50 + 2 * done)
    with pytest.raises(EnvError, match=text) as error:
        for done in range(5, 15, steps):
            envs.collect(zeros, steps, 50 + 2 * done)
    assert str(error.value).startswith("environment Counts (copy 1 of 2, ") and where in str(error.value)


@pytest.mark.filterwarnings("ignore:overflow")
@pytest.mark.parametrize("what, wrong", [("obs", RuntimeError()), ("obs", np.array([np.nan])), ("reset", ValueError()),
                                         ("reward", float("nan"))])
@pytest.mark.parametrize("tier", list(Tier))
def test_restored_after_a_failure_it_begins_new_episodes(tier, what, wrong, tmp_path, caplog):
    envs = envs_of(Counts(), Faulty(what, wrong), tier=tier)
    with pytest.raises(EnvError):
        envs.collect(zeros, 5), envs.collect(zeros, 5), envs.collect(zeros, 5)
    before = list(envs.episodes)
    checkpoint.write(tmp_path, 1, envs.state_dict(), 1)
    again = Envs(Counts, 2, COMPUTE, tier=tier)
    with caplog.at_level(logging.WARNING, "lab"):
        again.load_state_dict(checkpoint.newest(tmp_path, print)[1])
    assert again.episodes == [episode + 1 for episode in before] and again.lengths == [0, 0] and again.returns == [0, 0]
    assert "2 of 2 environments begin a new episode" in caplog.text
    assert torch.isfinite(again.collect(zeros, 7)["obs"]).all()
    if tier in (Tier.EXACT, Tier.REPLAY):                 # and from then on as any other
        third = Envs(Counts, 2, COMPUTE, tier=tier)
        third.load_state_dict(on_disk(again, tmp_path))
        assert third.episodes == again.episodes and equal(third.collect(zeros, 7), again.collect(zeros, 7))


class Lying(TinyBox):
    """Its attributes are all there is to know, until it is old: then it draws from a list that nobody can read."""

    def __init__(self):
        super().__init__()
        self.age = 0

    def reset(self, *, seed=None, options=None):
        self.hidden = logging.Logger("no state")
        self.hidden.numbers = np.random.default_rng(seed).normal(size=100).tolist()
        return super().reset(seed=seed, options=options)

    def push(self, action):
        self.age += 1
        return super().push(action) + (self.hidden.numbers.pop() if self.age > 300 else 0.0)


class Chance(TinyBox):
    """Not even the seed repeats it."""

    def push(self, action):
        return int.from_bytes(os.urandom(1)) / 256


def limited(kind):
    return lambda: gym.wrappers.TimeLimit(kind(), 15)


def probed(kind):
    return probe(limited(kind), lambda episode: COMPUTE.seed_for(f"probe/{episode}"))


def some(kind, tier, n=3):
    return Envs(limited(kind), n, COMPUTE, tier=tier)


def on_disk(envs, folder):
    checkpoint.write(folder, 1, envs.state_dict(), 1)
    return checkpoint.newest(folder, print)[1]


def equal(a, b):
    return all(torch.equal(a[name], b[name]) for name in a)


@pytest.mark.parametrize("kind, tier", [(TinyBox, Tier.EXACT), (TinyHidden, Tier.EPISODE_REPLAY),
                                        (TinyTired, Tier.REPLAY)])
def test_each_exact_tier_goes_on_to_the_bit(kind, tier, tmp_path, caplog):
    """Saved in mid-episode and twice, restored into copies that were somewhere else."""
    assert probed(kind) is tier
    envs, act = some(kind, tier), at_random()
    envs.collect(act, 37)
    on_disk(envs, tmp_path)
    envs.collect(act, 30)
    state, rng = on_disk(envs, tmp_path), act.__closure__[0].cell_contents.get_state()
    assert min(envs.episodes) > 1 and max(envs.lengths) > 0
    expected, reported = envs.collect(act, 80), envs.metrics()
    other, again = some(kind, tier), at_random(9)
    other.collect(again, 11)
    other.load_state_dict(state)
    again.__closure__[0].cell_contents.set_state(rng)
    assert equal(other.collect(again, 80), expected) and other.metrics() == reported
    assert "new episode" not in caplog.text


def test_without_an_exact_tier_a_resume_begins_new_episodes_and_says_so(tmp_path, caplog):
    assert probed(Chance) is Tier.BOUNDARY
    envs = some(Chance, Tier.BOUNDARY)
    envs.collect(at_random(), 20)
    other = some(Chance, Tier.BOUNDARY)
    other.load_state_dict(on_disk(envs, tmp_path))
    assert other.episodes == [episode + 1 for episode in envs.episodes] and other.lengths == [0, 0, 0]
    assert "3 of 3 environments begin a new episode: environment state: not exact" in caplog.text
    assert "not exact" in other.recorder.describe()


def drawing(act):
    """A policy that draws from numpy's global generator, as those of Stable-Baselines3 do."""
    return lambda obs, count: act(obs, count + np.random.randint(2))


@pytest.mark.parametrize("n", [1, 3])
@pytest.mark.parametrize("policy", [lambda act: act, drawing])
@pytest.mark.parametrize("tier", [Tier.EXACT, Tier.EPISODE_REPLAY])
def test_an_environment_that_lies_is_found_out_at_the_first_checkpoint_in_its_midst(tier, policy, n, tmp_path, caplog):
    """What was exact is tried by replay of the episode next, which does not hold either."""
    assert probed(Lying) is Tier.EXACT
    envs, act = some(Lying, tier, n), policy(at_random())
    on_disk(envs, tmp_path)                               # before the first step, as every run does
    envs.collect(act, 330)                                # where the first copy begins an episode: nothing to find out
    on_disk(envs, tmp_path)
    envs.collect(act, 5)
    assert envs.recorder.level is tier and not caplog.text
    on_disk(envs, tmp_path)
    envs.collect(act, 64)
    assert envs.recorder.level is (Tier.EPISODE_REPLAY if tier is Tier.EXACT else Tier.BOUNDARY)
    assert caplog.text.count("the first checkpoint did not hold (step ") == 1
    for _ in range(3 if tier is Tier.EXACT else 0):
        on_disk(envs, tmp_path)
        envs.collect(act, 64)
    assert envs.recorder.level is Tier.BOUNDARY
    assert caplog.text.count("the first checkpoint did not hold") == 1 + (tier is Tier.EXACT)
    other = some(Lying, Tier.EXACT, n)
    other.load_state_dict(on_disk(envs, tmp_path))
    assert other.episodes == [episode + 1 for episode in envs.episodes]
    assert other.recorder.level is Tier.BOUNDARY          # what the run has found out stays so


class Scribbles(TinyBox):
    """Writes into the action that it is given."""

    def __init__(self):
        super().__init__()
        self.action_space = spaces.MultiDiscrete([2], start=[3])

    def step(self, action):
        action -= 3
        return super().step(int(action[0]))


@pytest.mark.parametrize("tier", [Tier.EXACT, Tier.EPISODE_REPLAY])
def test_an_action_is_kept_as_it_was_given(tier, caplog):
    """And counts from where its space does."""
    envs, rng = Envs(limited(Scribbles), 2, COMPUTE, tier=tier), torch.Generator().manual_seed(0)
    for _ in range(6):
        envs.state_dict()
        envs.collect(lambda obs, count: torch.randint(2, (2, 1), generator=rng), 30)
    assert envs.recorder.level is tier and not caplog.text


def test_a_reward_may_be_an_array_without_axes():
    class Wrapped(TinyBox):
        def step(self, action):
            obs, reward, *rest = super().step(action)
            return obs, np.array(reward), *rest

    plain, wrapped = (Envs(limited(kind), 2, COMPUTE).collect(zeros, 9) for kind in (TinyBox, Wrapped))
    assert torch.equal(plain["reward"], wrapped["reward"])


class Globe(TinyBox):
    """Draws from numpy's one generator, which a checkpoint holds too."""

    def push(self, action):
        return super().push(action) + 0.1 * np.random.rand()


@pytest.mark.parametrize("n", [1, 3])
@pytest.mark.parametrize("policy", [lambda act: act, drawing])
def test_draws_from_a_global_generator_are_no_lie(n, policy, caplog):
    envs, act = Envs(limited(Globe), n, COMPUTE, tier=Tier.EXACT), policy(at_random())
    for _ in range(10):
        envs.state_dict()
        envs.collect(act, 30)
    assert envs.recorder.level is Tier.EXACT and not caplog.text


class Mapped(TinyBox):
    """Part of it follows from the seed of the episode, where nobody can read it; it draws when it is made."""

    def __init__(self):
        super().__init__()
        self.luck = np.random.rand()

    def reset(self, *, seed=None, options=None):
        slope = np.random.default_rng(seed).normal()
        self.ground = lambda place: slope * place
        return super().reset(seed=seed, options=options)

    def push(self, action):
        return super().push(action) + 0.05 * self.ground(self.place)


class Reuses(TinyBox):
    """Its observations are one array, written again and again."""

    def __init__(self):
        super().__init__()
        self.row = np.zeros(2, np.float32)

    def obs(self):
        self.row[:] = super().obs()
        return self.row


@pytest.mark.parametrize("kind", [TinyBox, Mapped, Reuses])
@pytest.mark.parametrize("every", [1, 5, 20, 70, 200])
def test_an_honest_one_is_not_accused_however_often_it_is_saved(every, kind, caplog):
    envs, act = Envs(limited(kind), 2, COMPUTE, tier=Tier.EXACT), at_random()
    for _ in range(400 // every):
        envs.state_dict()
        envs.collect(act, every)
    assert envs.recorder.level is Tier.EXACT and not caplog.text


def test_two_checkpoints_are_verified_and_no_more():
    """The one before the first step, and the first in the midst of an episode; each in an environment of its own.
    Besides, each checkpoint makes one, to try whether attributes can be put into it.
    """
    made = []

    class Counted(TinyBox):
        def __init__(self):
            super().__init__()
            made.append(self)

    envs, act = Envs(limited(Counted), 1, COMPUTE, tier=Tier.EXACT), at_random()
    for _ in range(20):
        envs.state_dict()
        envs.collect(act, 8)
    assert len(made) - 20 in (2, 3)                          # the second may come before the first is through


@pytest.mark.parametrize("kind", [TinyBox, Mapped])
def test_saving_and_its_verification_change_nothing(kind):
    often, never = some(kind, Tier.EXACT), some(kind, Tier.EXACT)
    act, other, before = at_random(), at_random(), np.random.get_state()[1].tolist()
    for _ in range(20):
        often.state_dict()
        assert equal(often.collect(act, 7), never.collect(other, 7))
    assert np.random.get_state()[1].tolist() == before


def test_what_was_replayed_is_compared_with_what_was_seen(tmp_path, caplog):
    """An environment whose episode does not come again as it was begins the next one."""
    envs = some(Chance, Tier.EPISODE_REPLAY)
    envs.collect(at_random(), 20)
    other = some(Chance, Tier.EPISODE_REPLAY)
    other.load_state_dict(on_disk(envs, tmp_path))
    moved = [length > 0 for length in envs.lengths]
    assert other.episodes == [episode + lost for episode, lost in zip(envs.episodes, moved, strict=True)]
    assert f"{sum(moved)} of 3 environments begin a new episode: they could not be brought back" in caplog.text
    assert "an environment cannot be put back: its replay came to another observation" in caplog.text


def test_another_number_of_copies_is_refused():
    with pytest.raises(ValueError, match="it holds 3 environments and this run has 2"):
        some(TinyBox, Tier.EXACT, 2).load_state_dict(some(TinyBox, Tier.EXACT, 3).state_dict())


def test_a_state_is_not_moved_by_what_happens_next():
    envs, act = some(TinyHidden, Tier.EPISODE_REPLAY), at_random()
    envs.collect(act, 20)
    state = envs.state_dict()
    actions = [log["actions"].tolist() for log in state["recorder"]["logs"]]
    other = some(TinyHidden, Tier.EPISODE_REPLAY)
    other.load_state_dict(state)
    other.collect(act, 9), envs.metrics()
    assert [log["actions"].tolist() for log in state["recorder"]["logs"]] == actions != [[], [], []]


def first_action(obs):
    return torch.zeros(len(obs), dtype=torch.int64)


@pytest.mark.parametrize("episodes", [1, 3, 16, 20])
def test_evaluation_by_hand(episodes):
    """Episodes of 4 steps return 1 + 2 + 3 + 4."""
    look = EpisodeReturn(lambda: Counts(4), first_action, episodes, COMPUTE, 1000)
    assert look() == {"return/mean": 10, "return/std": 0, "return/min": 10, "return/max": 10, "length/mean": 4}
    assert len(look.play()) == episodes


def test_evaluation_without_a_time_limit_ends():
    """After 5 steps of an episode that would go on for ever: 1 + 2 + 3 + 4 + 5. Each copy plays several of them."""
    assert EpisodeReturn(lambda: Counts(10**9), first_action, 40, COMPUTE, 5).play() == [(15.0, 5)] * 40


def test_evaluation_plays_the_same_episodes_every_time_and_closes_what_it_opens():
    closed = []

    class Watched(TinyBox):
        def close(self):
            closed.append(self)

    look = EpisodeReturn(Watched, first_action, 20, COMPUTE, 50)
    assert look.play() == look.play() and len(set(look.play())) == 20 and len(closed) == 48
    assert look.play() != EpisodeReturn(Watched, first_action, 20, COMPUTE, 50, name="other").play()


class GlobeOfPython(TinyBox):
    """Draws from every generator that there is one of."""

    def push(self, action):
        return super().push(action) + 0.1 * (random.random() + np.random.rand() + float(torch.rand(())))


def test_so_do_environments_that_draw_from_global_generators_which_are_put_back():
    look, drawn = EpisodeReturn(limited(GlobeOfPython), first_action, 5, COMPUTE, 50), []
    for _ in range(2):
        seed_globals(3)
        drawn.append((random.random(), np.random.rand(), float(torch.rand(()))))
        returns = look.play()
        drawn.append((random.random(), np.random.rand(), float(torch.rand(()))))
    assert look.play() == returns and drawn[:2] == drawn[2:] and len(set(returns)) == 5
    seed_globals(3)
    assert [(random.random(), np.random.rand(), float(torch.rand(()))) for _ in range(2)] == drawn[:2]
    other = Compute(ComputeConfig(device="cpu"), seed=8)
    assert EpisodeReturn(limited(GlobeOfPython), first_action, 5, other, 50).play() != returns


def test_short_episodes_are_not_favoured():
    """Copies of one env whose episodes take turns at 1 and 9 steps: ten of each, whoever is faster."""
    class Turns(Counts):
        def reset(self, *, seed=None, options=None):
            self.length = 1 if seed % 2 else 9
            return super().reset(seed=seed)

    look = EpisodeReturn(Turns, first_action, 40, COMPUTE, 50)
    lengths = [length for _, length in look.play()]
    asked = [1 if COMPUTE.seed_for(f"evaluate/{i % 16}/{i // 16}") % 2 else 9 for i in range(40)]
    assert sorted(lengths) == sorted(asked)


def test_the_interval_by_hand():
    """Of 1, 2, 3, 4: deviation sqrt(5 / 3), error of the mean sqrt(5 / 12), times 1.96."""
    assert interval([1, 2, 3, 4]) == pytest.approx(1.959964 * (5 / 12) ** 0.5) and np.isnan(interval([1]))
