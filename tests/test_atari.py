"""Games of Atari: what a step shows, what is learned from and what is reported, and coming back in mid-episode."""

import importlib
import itertools

import numpy as np
import pytest
import torch

from lab import atari
from lab.builtin import Atari
from lab.compose import composed
from lab.compute import Compute
from lab.config import ComputeConfig, world_name
from lab.env_state import Tier, probe
from lab.envs import Envs
from lab.errors import UsageError
from lab.evaluate import EpisodeReturn
from lab.spaces import about
from lab.tuned import rows

pytest.importorskip("ale_py")
COMPUTE = Compute(ComputeConfig(device="cpu"), seed=7)


def game(name="breakout", **options):
    return atari.build(Atari(game=name, **options))


def play(env, steps, seed=0):
    """(obs, reward, terminated, truncated, info) of each step; a game that is over begins anew."""
    rng, seen = np.random.default_rng(seed), [(env.reset(seed=seed)[0], 0.0, False, False, {})]
    for _ in range(steps):
        seen.append(env.step(int(rng.integers(env.action_space.n))))
        if seen[-1][2] or seen[-1][3]:
            break
    return seen


@pytest.mark.parametrize("options, shape", [({}, (4, 84, 84)), ({"grayscale": False, "stack": 2}, (2, 84, 84, 3)),
                                            ({"screen": 64, "stack": 1}, (1, 64, 64))])
def test_an_observation_is_the_one_before_moved_on_by_one_screen(options, shape):
    env = game(**options)
    seen = play(env, 30)
    first = seen[0][0]
    assert about(env).stack == shape[0] and about(env).padding == "zero" and first.shape == shape
    assert not first[:-1].any() and first[-1].any() and env.observation_space.contains(first)
    for (before, *_), (obs, *_) in itertools.pairwise(seen):
        assert np.array_equal(obs[:-1], before[1:]) and obs.dtype == np.uint8


def test_an_episode_depends_on_its_seed_alone():
    env = game("pong", noop_max=30)
    a = play(env, 40, seed=3)
    play(env, 70, seed=4)
    b, c = play(env, 40, seed=3), play(game("pong", noop_max=30), 40, seed=3)
    for other in (b, c):
        assert all(np.array_equal(x[0], y[0]) and x[1:] == y[1:] for x, y in zip(a, other, strict=True))
    frames = {env.reset(seed=seed)[1]["episode_frame_number"] for seed in range(40)}
    assert len(frames) > 10 and max(frames) <= 30


def test_a_frame_repeats_the_action_before_with_a_probability():
    """Each frame by its own draw; what is repeated is the action that was executed."""
    env, done = game("pong", frame_skip=1, sticky=0.25), []
    act = env.ale.act
    env.ale = type("Ale", (), {"__getattr__": lambda self, name: getattr(act.__self__, name),
                               "act": lambda self, action: done.append(action) or act(action)})()
    env.reset(seed=0)
    wanted = [env.known()[2 + t % 2] for t in range(800)]
    for t in range(800):
        env.step(2 + t % 2)
    kept = [t for t in range(800) if done[t] != wanted[t]]
    assert all(done[t] == done[t - 1] for t in kept if t)
    differs = [t for t in range(1, 800) if wanted[t] != done[t - 1]]
    assert 0.2 < len(kept) / len(differs) < 0.3


@pytest.mark.parametrize("sticky", [0.0, 1.0])
def test_always_and_never_sticky(sticky):
    """Always: no action is ever executed but the one before the first, which is none."""
    a, b = (play(game("pong", sticky=sticky), 30, seed) for seed in (1, 2))
    assert all(np.array_equal(x[0], y[0]) for x, y in zip(a, b, strict=True)) is (sticky == 1.0)


def test_a_step_holds_its_action_for_frames():
    one, four = game("pong", frame_skip=1, sticky=0.0, stack=1), game("pong", sticky=0.0, stack=1)
    one.reset(seed=0), four.reset(seed=0)
    for _ in range(40):
        screens = [one.step(3) for _ in range(4)]
        _, reward, *_, info = four.step(3)
        assert reward == sum(each[1] for each in screens)
        assert info["episode_frame_number"] == screens[-1][-1]["episode_frame_number"]


def test_a_step_shows_the_brighter_of_its_last_two_frames():
    """The ball of Breakout flies: often the step shows what neither frame does."""
    one, four = game(frame_skip=1, sticky=0.0, stack=1), game(sticky=0.0, stack=1)
    crop = lambda picture: picture[100:184, 40:124]       # noqa: E731
    one.shrink = four.shrink = crop
    one.reset(seed=0), four.reset(seed=0)
    both = 0
    for _ in range(60):
        frames = [one.step(1)[0][0] for _ in range(4)]
        shown = four.step(1)[0][0]
        assert np.array_equal(shown, np.maximum(frames[2], frames[3]))
        both += not (np.array_equal(shown, frames[2]) or np.array_equal(shown, frames[3]))
    assert both > 5


def test_a_new_game_has_no_action_before_its_first():
    """What sticks at its first frame is none, whatever the last game ended with."""
    env, done = game(sticky=1.0), []
    env.reset(seed=0)
    env.last = 3
    env.reset(seed=1)
    act = env.ale.act
    env.ale = type("Ale", (), {"__getattr__": lambda self, name: getattr(act.__self__, name),
                               "act": lambda self, action: done.append(action) or act(action)})()
    env.step(3)
    assert done == [0] * 4


def test_screens_are_averaged_over_areas():
    picture = np.random.default_rng(0).integers(0, 256, (210, 160), np.uint8)
    exact = np.zeros((84, 84))
    for i in range(84):
        for j in range(84):
            rows = np.clip(np.minimum(np.arange(210) + 1, (i + 1) * 2.5) - np.maximum(np.arange(210), i * 2.5), 0, 1)
            wide = 160 / 84
            columns = np.clip(np.minimum(np.arange(160) + 1, (j + 1) * wide)
                              - np.maximum(np.arange(160), j * wide), 0, 1)
            exact[i, j] = rows @ picture @ columns / (2.5 * wide)
    shrunk = atari.shrinking((210, 160), 84)(picture)
    assert shrunk.dtype == np.uint8 and np.abs(shrunk - exact).max() <= 0.5 + 1e-3
    colour = np.stack([picture, picture // 2, picture // 3], -1)
    first = atari.shrinking((210, 160), 84)(colour)[..., 0]       # where it is just between two, either is right
    assert first.dtype == np.uint8 and np.abs(first - exact).max() <= 0.5 + 1e-3


def rows_of(cfg, steps=400):
    envs = Envs(lambda: atari.build(cfg), 1, COMPUTE)
    rng = np.random.default_rng(0)

    def act(obs, count):
        return torch.tensor(rng.integers(4, size=1))

    return envs, {name: row[:, 0].numpy() for name, row in envs.collect(act, steps).items()}


def test_a_lost_life_ends_what_is_learned_and_not_the_game():
    """Five lives of Breakout: terminal four times, without a reset, then the game is over; returns are of the game."""
    cfg = {"game": "breakout", "sticky": 0.0, "stack": 2}
    plain, off = rows_of(Atari(**cfg))
    told, on = rows_of(Atari(**cfg, episodic_life=True))
    assert np.array_equal(on["obs"], off["obs"]) and np.array_equal(on["reward"], off["reward"])
    over = np.flatnonzero(off["done"])[0]
    assert np.array_equal(off["done"], off["terminal"]) and np.array_equal(on["terminal"], on["done"])
    assert on["terminal"][:over].sum() == 4 and on["terminal"][over] == 1 and np.array_equal(off["done"], on["reset"])
    at = np.flatnonzero(on["done"][:over])
    assert np.array_equal(on["obs"][at + 1], on["next_obs"][at])         # the game goes on
    a, b = plain.metrics(), told.metrics()
    assert a == b and a["episode/count"] == off["done"].sum() and a["env/frames"] > 1000


def test_rewards_are_clipped_for_learning_and_reported_as_they_are():
    envs, clipped = rows_of(Atari(game="ms_pacman", sticky=0.0), 700)
    _, raw = rows_of(Atari(game="ms_pacman", sticky=0.0, clip_reward=False), 700)
    assert set(clipped["reward"].tolist()) == {0.0, 1.0} and raw["reward"].max() >= 10
    assert np.array_equal(clipped["reward"], np.sign(raw["reward"]))
    ended = raw["reward"][:np.flatnonzero(raw["done"])[0] + 1].sum()
    assert envs.finished[0][0] == ended > 1


@pytest.mark.parametrize("episodic_life", [False, True])
def test_evaluation_counts_games_and_their_own_points(episodic_life):
    cfg = Atari(game="breakout", episodic_life=episodic_life)
    played = EpisodeReturn(lambda: atari.build(cfg), lambda obs: torch.ones(len(obs), dtype=torch.int64), 2, COMPUTE,
                           10_000).play()
    assert len(played) == 2 and min(length for _, length in played) > 100


def test_an_episode_is_truncated_after_so_many_frames():
    seen = play(game("pong", max_frames=50), 100)
    assert len(seen) == 14 and seen[-1][2:4] == (False, True) and seen[-1][4]["episode_frame_number"] == 50


def test_it_is_resumed_exactly():
    cfg = Atari(game="breakout", noop_max=3)
    assert probe(lambda: atari.build(cfg), lambda episode: 5 + episode) is Tier.EXACT


def test_drawn_before_the_first_step_it_shows_its_own_episode():
    env = atari.build(Atari(game="pong"), "rgb_array")
    env.reset(seed=0)
    first = env.render()
    assert first.shape == (210, 160, 3) and np.array_equal(first, env.render())
    for _ in range(30):
        env.step(2)
    assert not np.array_equal(first, env.render())
    env.reset(seed=1)
    assert np.array_equal(first, env.render())


def test_the_command_line_names_a_game():
    cfg = composed(["+agent=dqn", "env=Atari", "env.game=ms_pacman"])
    assert world_name(cfg) == "Atari/ms_pacman" and cfg.env.sticky == 0.25 and not cfg.env.episodic_life


def test_tuned_values_of_one_game_of_all_games_and_of_any_world():
    table = {"default": {"a": 0, "b": 0, "c": 0}, "Atari": {"a": 1, "b": 1}, "Atari/pong": {"a": 2}}
    assert rows(table, "Atari/pong", "Atari", None) == [table["Atari/pong"], table["Atari"],
                                                                         table["default"]]
    assert rows(table, "CartPole-v1", "gym", None) == [table["default"]] and rows({}, "x") == []


@pytest.mark.parametrize("options, text", [
    ({"game": "pongg"}, "env.game=pongg is no game of Atari. Did you mean 'pong'"),
    ({"game": "MsPacman"}, "Did you mean 'ms_pacman'"),
    ({"game": "pong", "mode": 77}, "env.mode=77: pong has 0, 1"),
    ({"game": "pong", "difficulty": 9}, "env.difficulty=9: pong has 0, 1")])
def test_what_there_is_not(options, text):
    with pytest.raises(UsageError, match=text.replace("[", r"\[")):
        game(options.pop("game"), **options)


@pytest.mark.parametrize("key, value", [("sticky", 1.5), ("frame_skip", 0), ("stack", 0), ("screen", 500),
                                        ("noop_max", -1), ("max_frames", 0)])
def test_values_out_of_range(key, value):
    with pytest.raises(UsageError, match=f"env.{key} is {value}"):
        Atari(**{key: value})


def test_without_the_library_it_names_the_extra(monkeypatch):
    real = importlib.import_module

    def missing(name, *rest):
        if name.startswith("ale_py"):
            raise ImportError(name)
        return real(name, *rest)

    monkeypatch.setattr(atari.importlib, "import_module", missing)
    with pytest.raises(UsageError, match=r"pluglab\[atari\]"):
        game("pong")


def test_an_id_that_is_not_of_the_game_is_refused():
    with pytest.raises(UsageError, match=r"env\.id=Atari/breakout follows from the game; set env\.game"):
        composed(["+agent=dqn", "env=Atari", "env.id=Atari/breakout"])
    assert composed(["+agent=dqn", "env=Atari", "env.game=breakout"]).env.id == "Atari/breakout"
