"""Films of episodes, however long they are and whatever goes wrong with them."""

import gymnasium as gym
import numpy as np
import pytest
import torch

from lab.compute import Compute
from lab.config import ComputeConfig
from lab.testing.envs import TinyBox
from lab.video import Video

COMPUTE = Compute(ComputeConfig(device="cpu"), seed=3)


class Drawn(TinyBox):
    """Every pixel of a frame is the number of its step; an episode has `length` of them."""

    def __init__(self, length):
        super().__init__()
        self.render_mode, self.length, self.age, self.drawn = "rgb_array", length, 0, []

    def reset(self, **options):
        self.age = 0
        return super().reset(**options)

    def step(self, action):
        obs, reward, _, _, info = super().step(action)
        self.age += 1
        return obs, reward, self.age == self.length, False, info

    def render(self):
        self.drawn.append(self.age)
        return np.full((600, 640, 3), self.age % 256, np.uint8)


def video(env, **settings):
    def policy(obs):
        return torch.zeros(len(obs), dtype=torch.int64)

    return Video(lambda mode: env, policy, 2, COMPUTE, **{"max_steps": 100, "frames": 5, "width": 64, **settings})


@pytest.mark.parametrize("length, frames", [
    (1, [0]), (4, [0, 1, 2, 3]), (5, [0, 1, 2, 3, 4]), (9, [0, 2, 4, 6, 8]), (20, [0, 4, 8, 12, 16]),
    (1000, [0, 32, 48, 64, 96])])
def test_a_film_is_thinned_evenly_while_it_grows(length, frames):
    """At most 100 steps are played; a frame stands before each of them."""
    films = video(Drawn(length))()
    assert [film[:, 0, 0, 0].tolist() for film in films.values()] == [frames] * 2
    assert list(films) == ["video/0", "video/1"] and films["video/0"].shape == (len(frames), 60, 64, 3)


@pytest.mark.parametrize("max_steps", [1, 4])
def test_a_film_has_a_frame_before_each_of_its_steps_and_no_more(max_steps):
    env = Drawn(1000)
    films = video(env, max_steps=max_steps)()
    assert [film[:, 0, 0, 0].tolist() for film in films.values()] == [list(range(max_steps))] * 2


def test_frames_may_say_how_opaque_they_are():
    env = Drawn(3)
    env.render = lambda: np.full((6, 8, 4), 7, np.uint8)
    assert video(env)()["video/0"].shape == (3, 6, 8, 3)


def test_no_more_than_twice_its_frames_are_held(monkeypatch):
    held = []
    monkeypatch.setattr("lab.video.thinned", lambda film, frames: held.append(len(film)) or film[:frames])
    env = Drawn(97)
    video(env)()
    assert max(held) < 10 and len(env.drawn) < 60


@pytest.mark.parametrize("fault", [RuntimeError("no card"), NotImplementedError(), gym.error.Error("no mode")])
def test_what_a_film_cannot_do_is_said_and_no_more(fault, caplog):
    env = Drawn(9)
    env.render = lambda: (_ for _ in ()).throw(fault)
    assert video(env)() == {} and caplog.text.count("no video: ") == 1
