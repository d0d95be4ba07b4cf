"""Vector environments that a library brings itself: rows, refusals, and coming back in mid-episode."""

from functools import partial

import gymnasium as gym
import numpy as np
import pytest
import torch
from gymnasium import spaces
from gymnasium.vector import AutoresetMode, SyncVectorEnv, VectorEnv
from gymnasium.vector.utils import batch_space

from lab import checkpoint
from lab.compose import composed
from lab.compute import Compute
from lab.config import ComputeConfig
from lab.env_state import Tier
from lab.envs import Envs
from lab.errors import EnvError, UsageError
from lab.gymnasium_envs import CARTPOLE
from lab.native import NativeEnvs
from lab.spaces import About, about
from lab.streams import Steps
from lab.testing import checks, maker
from lab.world import Exhibition, World

COMPUTE = Compute(ComputeConfig(device="cpu"), seed=7)
SAME, LATE, BY_HAND = AutoresetMode.SAME_STEP, AutoresetMode.NEXT_STEP, AutoresetMode.DISABLED
SPACE, ACTIONS = spaces.Box(-1000, 1000, (1,), np.float32), spaces.Discrete(2)


class Counting(VectorEnv):
    """Shows 100 * episode + step; copy i plays episodes of 2 + i steps, each paying its step."""

    def __init__(self, n, mode=SAME, truncates=False, hidden=False):
        self.num_envs, self.metadata, self.truncates = n, {"autoreset_mode": mode}, truncates
        self.single_observation_space, self.single_action_space = SPACE, ACTIONS
        self.observation_space, self.action_space = batch_space(SPACE, n), batch_space(ACTIONS, n)
        self.episode, self.t, self.seeds, self.luck = np.full(n, -1), np.zeros(n, int), [], None
        self.hidden = iter(range(10**9)) if hidden else None

    def reset(self, *, seed=None, options=None):
        mask = (options or {}).get("reset_mask", np.ones(self.num_envs, bool))
        self.seeds.append(seed)
        if mask.all():
            self.episode[:] = -1
        self.episode[mask] += 1
        self.t[mask] = 0
        return self.obs(), {}

    def obs(self):
        return (100 * self.episode + self.t).astype(np.float32)[:, None]

    def step(self, action):
        self.t += 1
        over, obs, reward, info = self.t == 2 + np.arange(self.num_envs), self.obs(), self.t.astype(np.float64), {}
        if over.any() and self.metadata["autoreset_mode"] is SAME:
            info["final_obs"] = np.array([obs[i] if over[i] else None for i in range(self.num_envs)], object)
            self.episode[over] += 1
            self.t[over] = 0
            obs = self.obs()
        nothing = np.zeros(self.num_envs, bool)
        return obs, reward, nothing if self.truncates else over, over if self.truncates else nothing, info


OF = About("Counting-v0", SPACE, ACTIONS)


def native(kind=Counting, n=2, compute=COMPUTE, of=OF, **options):
    return NativeEnvs(lambda m: kind(m, **options), n, compute, of)


def zeros(obs, count):
    return torch.zeros(len(obs), dtype=torch.int64)


def column(rows, name, i):
    return rows[name][:, i].flatten().tolist()


@pytest.mark.parametrize("mode", [SAME, BY_HAND])
@pytest.mark.parametrize("truncates", [False, True])
def test_rows_hold_the_true_successor_and_say_how_an_episode_ended(mode, truncates):
    envs = native(mode=mode, truncates=truncates)
    rows = envs.collect(zeros, 6)
    assert column(rows, "obs", 0) == [0, 1, 100, 101, 200, 201] and column(rows, "obs", 1) == [0, 1, 2, 100, 101, 102]
    assert column(rows, "next_obs", 0) == [1, 2, 101, 102, 201, 202]
    assert column(rows, "next_obs", 1) == [1, 2, 3, 101, 102, 103]
    assert column(rows, "done", 0) == [0, 1] * 3 and column(rows, "done", 1) == [0, 0, 1] * 2
    assert torch.equal(rows["terminal"], torch.zeros(6, 2) if truncates else rows["done"])
    assert column(rows, "reward", 1) == [1, 2, 3] * 2 and envs.episodes.tolist() == [3, 2]
    assert envs.metrics() == {"episode/return": (3 * 3 + 2 * 6) / 5, "episode/length": 12 / 5, "episode/count": 5}


def test_every_episode_has_a_seed_of_its_own_where_resets_are_left_to_the_lab():
    envs = native(mode=BY_HAND)
    envs.collect(zeros, 3)
    by_copy = [COMPUTE.seed_for(f"train/0/{k}") for k in range(3)], [COMPUTE.seed_for(f"train/1/{k}") for k in range(3)]
    assert envs.envs[0].vector.seeds == [[by_copy[0][0], by_copy[1][0]], [by_copy[0][1], by_copy[1][0]],
                                         [by_copy[0][1], by_copy[1][1]]]
    assert "each episode from its own seed" in envs.describe()[0]
    assert "only the first episodes seeded" in native().describe()[0]


def test_stepped_as_one_cartpole_is_it_is_the_same_to_the_bit():
    """Gymnasium's own vector environment, with the seeds of single ones."""
    cfg = composed(["+agent=dqn", "env=CartPole", "vector.mode=native", "compute.device=cpu"])
    world = World(cfg, COMPUTE)
    vector, single = world.envs(5), Envs(world.make_env, 5, COMPUTE, "train", Tier.EXACT)
    generator = torch.Generator()

    def act(obs, count):
        return torch.randint(2, (5,), generator=generator)

    for _ in range(2):
        rows = [(generator.manual_seed(3), envs.collect(act, 300))[1] for envs in (vector, single)]
        assert all(torch.equal(rows[0][name], rows[1][name]) for name in rows[0]) and rows[0]["done"].sum() > 20
    assert vector.metrics() == single.metrics() and vector.recorder.level is Tier.EXACT
    assert type(Exhibition(cfg, COMPUTE).envs(2)) is Envs


def test_cartpole_has_the_time_limit_that_it_is_given():
    """Where both come at once it fell."""
    cfg = composed(["+agent=dqn", "env=CartPole", "env.max_episode_steps=12", "vector.mode=native",
                    "compute.device=cpu"])
    world = World(cfg, COMPUTE)
    vector, single = world.envs(5), Envs(world.make_env, 5, COMPUTE, "train", Tier.EXACT)
    generator = torch.Generator()

    def act(obs, count):
        return torch.randint(2, (5,), generator=generator)

    rows, plain = [(generator.manual_seed(3), envs.collect(act, 200))[1] for envs in (vector, single)]
    assert all(torch.equal(rows[name], plain[name]) for name in rows)
    assert 0 < rows["terminal"].sum() < rows["done"].sum() and max(length for _, length in vector.finished) == 12


def test_cartpole_has_the_options_that_it_is_registered_with():
    gym.register("lab/Paid-v0", "gymnasium.envs.classic_control.cartpole:CartPoleEnv", max_episode_steps=50,
                 vector_entry_point=CARTPOLE, kwargs={"sutton_barto_reward": True})
    try:
        for options, rewards in ((), [0, -1]), (("+env.options.sutton_barto_reward=false",), [1, 1]):
            cfg = composed(["+agent=dqn", "env=gym", "env.id=lab/Paid-v0", "compute.device=cpu", *options])
            world = World(cfg, COMPUTE)
            single, cfg.vector.mode = Envs(world.make_env, 2, COMPUTE, "train"), "native"
            rows, plain = (envs.collect(zeros, 12) for envs in (world.envs(2), single))
            assert all(torch.equal(rows[name], plain[name]) for name in rows)
            assert [rows["reward"][0, 0], rows["reward"][rows["done"] > 0][0]] == rewards
    finally:
        del gym.registry["lab/Paid-v0"]


class Told(Counting):
    """Says what to learn from."""

    def step(self, action):
        obs, reward, terminated, truncated, info = super().step(action)
        info["learning_reward"], info["learning_terminal"] = np.sign(reward), self.t == 1
        info["episode_frame_number"] = 4 * self.t
        return obs, reward, terminated, truncated, info


def test_what_is_learned_from_and_what_is_reported():
    envs = native(Told, mode=BY_HAND)
    rows = envs.collect(zeros, 3)
    assert column(rows, "reward", 1) == [1, 1, 1] and column(rows, "terminal", 1) == [1, 0, 1]
    assert column(rows, "done", 1) == [1, 0, 1] and column(rows, "next_obs", 1) == [1, 2, 3]
    assert envs.metrics() == {"episode/return": (3 + 6) / 2, "episode/length": 2.5, "episode/count": 2,
                              "env/frames": 4 * 3 + 4 * 3}


class Clipped(gym.Env):
    """Pays 10 with its third and last step, of which a sign is learned from; 4 frames a step."""

    observation_space, action_space = SPACE, ACTIONS

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.t = 0
        return np.zeros(1, np.float32), {}

    def step(self, action):
        self.t += 1
        reward = 10.0 if self.t == 3 else 0.5
        info = {"learning_reward": np.sign(reward), "episode_frame_number": 4 * self.t}
        return np.full(1, self.t, np.float32), reward, self.t == 3, False, info


@pytest.mark.parametrize("mode", [SAME, BY_HAND])
def test_the_last_step_of_an_episode_says_it_too(mode):
    """Gymnasium keeps what it said in `final_info` where a new episode begins in the same step."""
    envs = NativeEnvs(lambda n: SyncVectorEnv([Clipped] * n, autoreset_mode=mode), 2, COMPUTE, about(Clipped()))
    rows = envs.collect(zeros, 8)
    assert rows["reward"].unique().tolist() == [1] and rows["done"].sum() == 4
    assert envs.metrics() == {"episode/return": 11, "episode/length": 3, "episode/count": 4, "env/frames": 2 * 4 * 8}


def on_disk(envs, folder):
    checkpoint.write(folder, 1, envs.state_dict(), 1)
    return checkpoint.newest(folder, print)[1]


class Hidden(Counting):
    """Pays by a number that nobody can read: it counts all steps."""

    def __init__(self, n, **options):
        super().__init__(n, **options)
        self.count = iter(range(10**9))

    def reset(self, *, seed=None, options=None):
        if not options:
            self.count = iter(range(10**9))
        return super().reset(seed=seed, options=options)

    def step(self, action):
        obs, _, *rest = super().step(action)
        return obs, next(self.count) + action.astype(np.float64), *rest


@pytest.mark.parametrize("kind, tier", [(Counting, Tier.EXACT), (Hidden, Tier.REPLAY)])
def test_it_goes_on_to_the_bit(kind, tier, tmp_path, caplog):
    def act(obs, count):
        return torch.randint(2, (2,), generator=generator)

    generator, envs, other = torch.Generator().manual_seed(0), native(kind), native(kind)
    assert envs.recorder.level is tier
    envs.collect(act, 41)
    on_disk(envs, tmp_path)
    envs.collect(act, 2)
    state, then = on_disk(envs, tmp_path), generator.get_state()
    expected, reported = envs.collect(act, 90), envs.metrics()
    other.collect(act, 9)
    other.load_state_dict(state)
    generator.set_state(then)
    rows = other.collect(act, 90)
    assert all(torch.equal(rows[name], expected[name]) for name in rows) and other.metrics() == reported
    assert "new episode" not in caplog.text and envs.recorder.level is tier


def test_what_cannot_be_brought_back_begins_anew(tmp_path, caplog):
    """After a failure, and again after that."""
    envs = native(Hidden)
    envs.collect(zeros, 3)
    envs.spoiled()
    other = native(Hidden)
    other.load_state_dict(on_disk(envs, tmp_path))
    assert other.lost == [0, 1] and other.episodes.tolist() == [2, 2] and "2 of 2 environments begin" in caplog.text
    other.state_dict(), other.collect(zeros, 70)          # past the steps by which the checkpoint is verified
    assert other.recorder.level is Tier.REPLAY and "did not hold" not in caplog.text
    assert [start for start, actions in other.recorder.history(0)] == [1]        # the first one left nothing behind
    third = native(Hidden)
    third.load_state_dict(on_disk(other, tmp_path))
    assert third.lost == [] and torch.equal(third.collect(zeros, 5)["reward"], other.collect(zeros, 5)["reward"])


@pytest.mark.parametrize("n", [1, 2])
@pytest.mark.parametrize("tier", [Tier.EXACT, Tier.BOUNDARY])
def test_states_of_another_mode_are_refused(n, tier, tmp_path):
    state = on_disk(native(n=n), tmp_path)
    single = Envs(lambda: gym.make("CartPole-v1"), n, COMPUTE, tier=tier)
    with pytest.raises(ValueError, match=r"vector\.mode=native, the other not: leave vector\.mode as it was"):
        single.load_state_dict(state)
    with pytest.raises(ValueError, match=r"vector\.mode=native, the other not"):
        native(n=n).load_state_dict(on_disk(single, tmp_path))


class Wrong(Counting):
    """Breaks its spaces in one way."""

    def __init__(self, n, what="", late=False, **options):
        super().__init__(n, **options)
        self.what, self.steps, self.late = what, 0, late

    def reset(self, *, seed=None, options=None):
        obs, info = super().reset(seed=seed, options=options)
        return {"shape": obs[:, 0], "dtype": obs.astype(np.float64), "bounds": obs + 5000, "fewer": obs[:1]}.get(
            self.what, obs), info

    def step(self, action):
        self.steps += 1
        obs, reward, terminated, truncated, info = super().step(action)
        if self.late and self.steps < 5:
            return obs, reward, terminated, truncated, info
        if self.what == "raises":
            raise RuntimeError("no fuel")
        return ({"step shape": obs[:, 0], "step dtype": obs.astype(np.int64), "step bounds": obs - 9999}.get(
            self.what, obs), {"reward": reward[:1], "text": np.array(["a"] * self.num_envs)}.get(self.what, reward),
            {"terminated": terminated[0]}.get(self.what, terminated), truncated, info)


@pytest.mark.parametrize("what, text", [
    ("shape", r"breaks its own space in reset: float32 \[2\]"), ("dtype", r"in reset: float64 \[2, 1\]"),
    ("bounds", r"in reset: float32 \[2, 1\] from 5000 to 5000; it promises"), ("fewer", r"in reset: float32 \[1, 1\]"),
    ("step shape", r"in step: float32 \[2\]"), ("step dtype", r"in step: int64 \[2, 1\]"),
    ("step bounds", r"in step: float32 \[2, 1\] from -99"), ("reward", r"returned rewards float64 \[1\] .*expected 2"),
    ("text", "returned rewards <U1"), ("terminated", r"returned terminations bool \[\]"),
    ("raises", "raised RuntimeError: no fuel")])
def test_one_that_breaks_its_own_spaces_is_refused_at_assembly(what, text):
    with pytest.raises(UsageError, match=text):
        native(Wrong, what=what)


@pytest.mark.parametrize("what, text", [
    ("step shape", r"returned observations float32 \[2\]; its space promises float32 \[2, 1\]"),
    ("step dtype", r"returned observations int64"), ("reward", r"returned rewards float64 \[1\] .*expected 2 numbers"),
    ("raises", "raised RuntimeError: no fuel")])
def test_and_later_it_is_an_error_that_says_when(what, text):
    envs = native(Wrong, what=what, late=True)
    with pytest.raises(EnvError, match=f"2 copies in one, . steps into .* {text}"):
        envs.collect(zeros, 9)


def moved(n):
    """Its masked reset begins all copies anew."""
    vector = Counting(n, mode=BY_HAND)
    reset = vector.reset
    vector.reset = lambda seed=None, options=None: reset(seed=seed)
    return vector


@pytest.mark.parametrize("make, of, text", [
    (partial(Counting, mode=LATE), OF, "begins new episodes one step late .*NEXT_STEP.*Use vector.mode=sync or async"),
    (partial(Counting, mode=None), OF, "says autoreset_mode=None in its metadata"),
    (lambda n: Counting(n + 1), OF, "has 3 copies where 2 were asked for"),
    (moved, OF, "moved the copy that was not to be reset"),
    (Counting, OF._replace(observation_space=spaces.Discrete(2)), r"has observations Box.* a single one Discrete\(2\)"),
    (Counting, OF._replace(action_space=spaces.Discrete(3)), r"has actions Discrete\(2\), a single one Discrete\(3\)")])
def test_what_cannot_be_trusted_is_refused(make, of, text):
    with pytest.raises(UsageError, match=text):
        NativeEnvs(make, 2, COMPUTE, of)


@pytest.mark.parametrize("overrides, text", [
    (["env=Acrobot"], "Acrobot-v1 has no vector environment of its own"),
    (["env=gym", "env.id=CartPol-v1"], "Did you mean 'CartPole-v1'"),
    (["env=gym", "env.id=os:x"], "import the module")])
def test_which_environments_have_one(overrides, text):
    world = World(composed(["+agent=dqn", "vector.mode=native", *overrides]), COMPUTE)
    with pytest.raises(UsageError, match=text):
        world.envs(2)


def test_gymnasiums_own_vector_of_single_environments_takes_its_seeds_as_a_list():
    one = partial(gym.make, "MountainCar-v0", max_episode_steps=7)
    envs = NativeEnvs(lambda n: SyncVectorEnv([one] * n, autoreset_mode=BY_HAND), 3, COMPUTE, about(one()))
    single = Envs(one, 3, COMPUTE)
    a, b = envs.collect(zeros, 30), single.collect(zeros, 30)
    assert all(torch.equal(a[name], b[name]) for name in a)


def test_atari_by_ale_py(tmp_path):
    """Its rows are those of single games, rounding aside, up to the first end; a resume replays."""
    pytest.importorskip("ale_py")
    cfg = composed(["+agent=dqn", "env=Atari", "env.game=breakout", "env.sticky=0", "env.episodic_life=true",
                    "vector.mode=native", "compute.device=cpu"])
    world = World(cfg, COMPUTE)
    vector, single = world.envs(2), Envs(world.make_env, 2, COMPUTE)
    assert vector.recorder.level is Tier.REPLAY and (vector.stack, vector.padding) == (4, "zero")
    generator = torch.Generator()

    def act(obs, count):
        return torch.randint(4, (2,), generator=generator)

    a, b = ((generator.manual_seed(1), envs.collect(act, 130))[1] for envs in (vector, single))
    assert a["done"].sum() >= 4 and a["reset"].sum() == 0
    for name in a:
        assert (a[name].int() - b[name].int()).abs().max() <= (1 if "obs" in name else 0), name
    assert vector.metrics() == single.metrics() == {"env/frames": 2 * 4 * 130}
    state, then = on_disk(vector, tmp_path), generator.get_state()
    expected = vector.collect(act, 60)
    vector.load_state_dict(state)
    generator.set_state(then)
    rows = vector.collect(act, 60)
    assert all(torch.equal(rows[name], expected[name]) for name in rows) and vector.lost == []


def by_ale_py(steps, seed, *overrides):
    """Two native copies after `steps` with random actions, and their rows."""
    pytest.importorskip("ale_py")
    world = World(composed(["+agent=dqn", "env=Atari", "vector.mode=native", "compute.device=cpu", *overrides]),
                  COMPUTE)
    envs, generator = world.envs(2), torch.Generator().manual_seed(seed)
    actions = int(envs.action_space.n)
    return envs, envs.collect(lambda obs, count: torch.randint(actions, (2,), generator=generator), steps)


def test_rewards_of_ale_py_are_clipped_for_learning_and_reported_as_they_are():
    game = ("env.game=ms_pacman", "env.sticky=0", "env.max_frames=1200")
    envs, clipped = by_ale_py(310, 0, *game)
    _, raw = by_ale_py(310, 0, *game, "env.clip_reward=false")
    assert raw["reward"].max() >= 10 and torch.equal(clipped["reward"], raw["reward"].sign())
    first = [column(raw, "reward", i)[:column(raw, "done", i).index(1) + 1] for i in range(2)]
    assert sorted(value for value, _ in envs.finished) == sorted(map(sum, first)) and max(map(sum, first)) >= 10


@pytest.mark.parametrize("sticky", [0.0, 1.0])
def test_actions_of_ale_py_always_and_never_stick(sticky):
    """Always: whatever is chosen, nothing is done."""
    (_, a), (_, b) = (by_ale_py(40, seed, "env.game=pong", f"env.sticky={sticky}") for seed in (1, 2))
    assert torch.equal(a["obs"], b["obs"]) is (sticky == 1.0)


def test_games_of_ale_py_are_truncated_after_so_many_frames():
    """50 frames are 13 steps of 4, as of a game alone."""
    envs, rows = by_ale_py(30, 0, "env.game=pong", "env.max_frames=50")
    ends = [step + 1 for step, done in enumerate(column(rows, "done", 0)) if done]
    assert ends == [13, 26] and rows["terminal"].sum() == 0 and [length for _, length in envs.finished] == [13] * 4


def test_a_stream_says_how_its_environments_are_stepped():
    assert any("2 copies stepped by Counting" in note for note in Steps(native(), zeros).notes())


@pytest.mark.parametrize("mode", ["native", "async"])
@pytest.mark.parametrize("check", [checks.same_seed_same_run, checks.evaluation_is_neutral, checks.resume_is_exact],
                         ids=lambda check: check.__name__)
def test_promises_hold_however_copies_are_stepped(check, mode, tmp_path):
    """The generators of the spaces too, which Gymnasium seeds by chance."""
    check(maker("dqn", "env=CartPole", f"vector.mode={mode}"), tmp_path)
