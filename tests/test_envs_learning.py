"""What an environment may say beside its reward, stacks of frames, actions beyond their bounds, and the families."""

from pathlib import Path

import gymnasium as gym
import numpy as np
import pytest
import torch
import yaml
from gymnasium import spaces, wrappers

from lab.assembly import assemble
from lab.builtin import Gym
from lab.compose import composed
from lab.compute import Compute
from lab.config import ComputeConfig
from lab.envs import Envs
from lab.errors import EnvError, UsageError
from lab.evaluate import EpisodeReturn
from lab.gymnasium_envs import build
from lab.help import groups
from lab.spaces import about, standard, to_array
from lab.video import Video

COMPUTE = Compute(ComputeConfig(device="cpu"), seed=7)


class Lives(gym.Env):
    """Shows its step; pays 10 a step; loses a life at every third and ends with the last of two. Four frames a step."""

    observation_space, action_space = spaces.Box(0, 100, (1,), np.float32), spaces.Discrete(2)
    metadata = {"render_modes": ["rgb_array"]}

    def __init__(self, render_mode=None, told=None):
        self.render_mode, self.t, self.extra = render_mode, 0, told or {}

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.t = 0
        return np.zeros(1, np.float32), {}

    def step(self, action):
        self.t += 1
        info = {"learning_reward": 1.0, "learning_terminal": self.t == 3, "episode_frame_number": 4 * self.t}
        return np.array([self.t], np.float32), 10.0, self.t == 6, False, {**info, **self.extra}

    def render(self):
        return np.full((8, 8, 3), self.t, np.uint8)


def zeros(obs, count):
    return torch.zeros(len(obs), dtype=torch.int64)


def test_what_is_learned_from_and_what_is_reported():
    envs = Envs(Lives, 1, COMPUTE)
    rows = {name: row[:, 0].flatten().tolist() for name, row in envs.collect(zeros, 7).items()}
    assert rows["reward"] == [1] * 7 and rows["terminal"] == rows["done"] == [0, 0, 1, 0, 0, 1, 0]
    assert rows["obs"] == [0, 1, 2, 3, 4, 5, 0] and rows["next_obs"] == [1, 2, 3, 4, 5, 6, 1]
    assert envs.metrics() == {"episode/return": 60, "episode/length": 6, "episode/count": 1, "env/frames": 28}
    assert envs.episodes == [1] and envs.metrics() == {"env/frames": 28}
    envs.restart(0)
    assert envs.metrics() == {"env/frames": 28}


@pytest.mark.parametrize("max_steps, played", [(100, [(60.0, 6)] * 3), (4, [(40.0, 4)] * 3), (6, [(60.0, 6)] * 3)])
def test_evaluation_counts_episodes_and_returns_of_the_environment(max_steps, played):
    assert EpisodeReturn(Lives, lambda obs: zeros(obs, 0), 3, COMPUTE, max_steps).play() == played


def test_a_film_goes_on_when_a_life_is_lost():
    film = Video(Lives, lambda obs: zeros(obs, 0), 1, COMPUTE, 100)()["video/0"]
    assert film[:, 0, 0, 0].tolist() == [0, 1, 2, 3, 4, 5]


@pytest.mark.parametrize("told, text", [
    ({"learning_reward": "much"}, "returned the learning_reward 'much', .*; expected a number for each"),
    ({"episode_frame_number": None}, "the episode_frame_number None; expected a number for each"),
    ({"learning_terminal": np.zeros(2)}, r"the learning_terminal array\(\[0., 0.\]\), the episode_frame_number 4;"),
    ({"learning_reward": None}, "that is not finite"), ({"learning_reward": np.nan}, "a reward that is not finite")])
def test_what_cannot_be_learned_from(told, text):
    with pytest.raises(EnvError, match=text):
        Envs(lambda: Lives(told=told), 1, COMPUTE).collect(zeros, 2)


def test_an_info_that_is_no_dict():
    class Odd(Lives):
        def step(self, action):
            return *super().step(action)[:4], ["lives"]

    with pytest.raises(EnvError, match=r"returned the info \['lives'\], a list; expected a dict"):
        Envs(Odd, 1, COMPUTE).collect(zeros, 1)


def stacked(**options):
    return wrappers.TimeLimit(wrappers.FrameStackObservation(Lives(), 3, **options), 5)


@pytest.mark.parametrize("make, expected", [
    (stacked, (3, "reset")), (lambda: stacked(padding_type="zero"), (3, "zero")),
    (lambda: stacked(padding_type=np.ones(1, np.float32)), (1, "reset")),
    (lambda: wrappers.FrameStackObservation(Lives(), 256), (256, "reset")),
    (lambda: wrappers.FrameStackObservation(Lives(), 257), (1, "reset")), (Lives, (1, "reset")),
    (lambda: wrappers.TransformObservation(stacked(), lambda obs: obs[::-1], None), (1, "reset")),
    (lambda: wrappers.RecordEpisodeStatistics(stacked()), (3, "reset"))])
def test_stacks_are_known_where_their_rule_holds(make, expected):
    assert about(make())[3:] == expected


@pytest.mark.parametrize("padding", ["reset", "zero"])
def test_a_stack_can_be_rebuilt_from_its_newest_frames(padding):
    """As a replay would that keeps single frames: by `reset`, which is where a stack begins anew."""
    envs = Envs(lambda: stacked(padding_type=padding), 2, COMPUTE)
    assert (envs.stack, envs.padding) == (3, padding)
    rows = envs.collect(zeros, 17)
    newest = rows["obs"][:, :, -1]                                                          # [T, N, 1]
    for i in range(2):
        begin = 0
        for t in range(17):
            ages = [t - 2, t - 1, t]
            empty = newest[begin, i] if padding == "reset" else torch.zeros(1)
            frames = [newest[age, i] if age >= begin else empty for age in ages]
            assert torch.equal(rows["obs"][t, i], torch.stack(frames))
            assert torch.equal(rows["next_obs"][t, i][:-1], rows["obs"][t, i][1:])
            begin = t + 1 if rows["reset"][t, i] else begin
    assert rows["reset"].sum() == 6 and rows["done"].sum() > 6         # lives are lost in between


def test_without_stacks_there_is_no_column_for_them():
    assert "reset" not in Envs(Lives, 1, COMPUTE).collect(zeros, 1)


def test_actions_beyond_the_bounds_of_a_box_are_clipped_on_their_way():
    space = spaces.Box(np.float32([-1, -2]), np.float32([1, np.inf]))
    taken = to_array(space, torch.tensor([[5.0, -9.0], [0.5, 9.0]]))
    assert taken.tolist() == [[1, -2], [0.5, 9]] and taken.dtype == np.float32

    class Taking(Lives):
        action_space = spaces.Box(-2, 2, (1,), np.float64)

        def step(self, action):
            assert self.action_space.contains(action)
            return super().step(action)

    rows = Envs(Taking, 1, COMPUTE).collect(lambda obs, count: torch.full((1, 1), 7.0), 2)
    assert rows["action"].tolist() == [[[7]], [[7]]]                  # what the policy chose


FAMILY = {"HalfCheetah": "mujoco", "Hopper": "mujoco", "Walker2d": "mujoco", "Ant": "mujoco", "Humanoid": "mujoco",
          "Swimmer": "mujoco", "Atari": "ale_py", "LunarLander": "Box2D", "LunarLanderContinuous": "Box2D",
          "BipedalWalker": "Box2D"}
CONF = Path(__file__).parent.parent / "conf/env"
NAMES = sorted(path.stem for path in CONF.glob("*.yaml"))


def named(name):
    """The environment that a file in conf/env chooses; composing each would take longer than the rest."""
    return standard(build(Gym(id=yaml.safe_load((CONF / f"{name}.yaml").read_text())["id"])))


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", [name for name in NAMES if name not in ("none", "gym", "Atari")])
def test_every_name_makes_its_environment_and_copies_of_it_make_rows(name):
    if module := "minatar" if name.startswith("MinAtar") else FAMILY.get(name):
        pytest.importorskip(module)
    envs = Envs(lambda: named(name), 2, COMPUTE)
    space = envs.action_space

    def act(obs, count):
        return torch.from_numpy(np.stack([space.sample() - getattr(space, "start", 0) for _ in range(len(obs))]))

    rows = envs.collect(act, 3)
    assert rows["obs"].shape[:2] == (3, 2) and torch.isfinite(rows["obs"].float()).all()
    envs.close()


def test_pixels_of_minatar_are_booleans_with_the_channels_last():
    pytest.importorskip("minatar")
    envs = Envs(lambda: named("MinAtarSeaquest"), 1, COMPUTE)
    assert envs.collect(zeros, 1)["obs"].dtype is torch.bool and envs.shape == (10, 10, 10)


def test_a_name_on_the_command_line():
    assert set(NAMES) - {"none"} <= set(groups()["env"])
    cfg = composed(["+agent=dqn", "env=HalfCheetah", "vector.mode=async", "vector.workers=3"])
    assert (cfg.env.id, cfg.vector.mode, cfg.vector.workers) == ("HalfCheetah-v5", "async", 3)


def test_an_agent_trains_on_a_game_and_logs_its_frames(tmp_path):
    pytest.importorskip("ale_py")
    made = assemble(composed(["+agent=dqn", "env=Atari", "env.game=pong", "env.screen=16", "agent.warmup=8",
                              "agent.buffer_size=64", "agent.batch_size=4", "model=mlp", "model.hidden=[8]",
                              "compute.device=cpu"]))
    while made.experiment.stream.next() is None:
        pass
    count = made.experiment.stream.count
    assert made.experiment.stream.metrics()["env/frames"] == 4 * count


@pytest.mark.parametrize("space, shown, text", [
    (spaces.Box(0, 255, (2,), np.uint8), np.array([0.5, 0.25]), "of float64 from 0.25 to 0.5.*, its space is of uint8"),
    (spaces.Box(0, 255, (2,), np.uint8), np.array([1, 300]), "of int64 from 1 to 300.*, its space is of uint8"),
    (spaces.MultiDiscrete([3, 3]), np.array([1.5, 0]), "of float64 from 0 to 1.5.*, its space is of int64")])
@pytest.mark.parametrize("at", [0, 2])
def test_whole_numbers_are_never_cut_to_fit(space, shown, text, at):
    class Shows(Lives):
        observation_space = space

        def reset(self, *, seed=None, options=None):
            super().reset(seed=seed)
            return self.show(), {}

        def step(self, action):
            return self.show(super().step(action)), *super().step(action)[1:]

        def show(self, answer=None):
            return shown if self.t >= at else np.ones(2, np.int64)

    with pytest.raises(EnvError, match=text):
        Envs(Shows, 1, COMPUTE).collect(zeros, 3)


class Breaks(Lives):
    """Its reset or its first step is not what its spaces promise."""

    def __init__(self, at=0, wrong=None):
        super().__init__()
        self.at, self.wrong = at, wrong

    def reset(self, *, seed=None, options=None):
        obs, info = super().reset(seed=seed)
        return (np.zeros((2, 2)) if self.at == 0 else obs), info

    def step(self, action):
        _, *rest = super().step(action)
        if self.wrong == "raises":
            raise RuntimeError("no fuel")
        return np.zeros((2, 2)), *rest


@pytest.mark.parametrize("mode", ["sync", "async"])
@pytest.mark.parametrize("options, text", [
    ({"at": 0}, r"returned \(2, 2\) from reset, its space has the shape \(1,\)"),
    ({"at": 1}, r"returned an observation of shape \(2, 2\), its space has \(1,\).*at its first step"),
    ({"at": 1, "wrong": "raises"}, "raised RuntimeError: no fuel.*at its first step")])
def test_one_that_breaks_its_spaces_at_once_is_refused_at_assembly(mode, options, text):
    gym.register("lab/Breaks-v0", Breaks, kwargs=options)
    cfg = composed(["+agent=dqn", "env=gym", "env.id=lab/Breaks-v0", "compute.device=cpu"])
    cfg.vector.mode = mode
    try:
        with pytest.raises(UsageError, match=text):
            assemble(cfg)
    finally:
        del gym.registry["lab/Breaks-v0"]
