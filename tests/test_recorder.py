"""What environments do late: a checkpoint is never lost because of it, and what is no longer exact is said."""

import logging
import signal
import threading

import gymnasium as gym
import numpy as np
import pytest
import torch

from lab import checkpoint, signals
from lab.action_log import ActionLog
from lab.compute import Compute
from lab.config import ComputeConfig
from lab.env_state import Tier
from lab.envs import Envs
from lab.shares import joined
from lab.testing.envs import TinyBox, TinyContinuous, TinyHidden, TinyTired

COMPUTE = Compute(ComputeConfig(device="cpu"), seed=7)


def envs_of(kind, tier, n=2):
    return Envs(lambda: gym.wrappers.TimeLimit(kind(), 15), n, COMPUTE, tier=tier)


def at_random(seed=0):
    rng = torch.Generator().manual_seed(seed)
    return lambda obs, count: torch.randint(3, obs.shape[:1], generator=rng)


def pushes(obs, count):
    return torch.full((len(obs), 1), 0.5)


def on_disk(envs, folder):
    checkpoint.write(folder, 1, envs.state_dict(), 1)
    return checkpoint.newest(folder, print)[1]


def equal(a, b):
    return all(torch.equal(a[name], b[name]) for name in a)


class Enemy:
    def __init__(self, place):
        self.place = place


class Spawner(TinyBox):
    """From the sixth step of an episode on there is an object that a new environment does not have."""

    def reset(self, *, seed=None, options=None):
        self.enemies, self.t = [], 0
        return super().reset(seed=seed, options=options)

    def push(self, action):
        self.t += 1
        if self.t == 6:
            self.enemies.append(Enemy(0.01))
        return super().push(action) / 5 + sum(enemy.place for enemy in self.enemies)


class History(Spawner):
    """A list of states linked by one another, for as long as it lives."""

    last = None

    def push(self, action):
        before, self.last = self.last, Enemy(0.0)
        self.last.before = before
        return 0.1 * (int(action) - 1)


@pytest.mark.parametrize("kind, text", [
    (Spawner, r"env.env.enemies.0 was test_recorder.Enemy and is nothing in a new one"),
    (History, "env.env.last was test_recorder.Enemy and is nothing")])
def test_what_cannot_be_put_back_is_noticed_when_it_is_saved(kind, text, tmp_path, caplog):
    """A resume from there begins a new episode; later ones come back by replay."""
    envs, act = envs_of(kind, Tier.EXACT), at_random()
    on_disk(envs, tmp_path)
    while min(envs.lengths) < 7:
        envs.collect(act, 1)
    state = on_disk(envs, tmp_path)
    assert envs.recorder.level is Tier.EPISODE_REPLAY and text in caplog.text.replace("tests.", "")
    assert "from the next episode on, environment state: exact by replay of the episode" in caplog.text
    again = envs_of(kind, Tier.EXACT)
    again.load_state_dict(state)
    assert "put back: when it was saved, its tier, an environment or its process had just failed" in caplog.text
    assert again.lost == [0, 1] and "2 of 2 environments begin a new episode" in caplog.text
    envs.collect(act, 20)
    state, expected = on_disk(envs, tmp_path), envs.collect(at_random(5), 60)
    again.load_state_dict(state)
    assert max(state["lengths"]) > 0 and again.lost == [] and equal(again.collect(at_random(5), 60), expected)


class Waves(Spawner):
    """Two or three objects at the start, by the seed; where there are two a third comes late."""

    def reset(self, *, seed=None, options=None):
        answer = super().reset(seed=seed, options=options)
        self.enemies, self.odd = [Enemy(0.0) for _ in range(2 + seed % 2)], seed % 2
        return answer

    def push(self, action):
        self.enemies = self.enemies[:2 + self.odd] if self.t < 5 else [*self.enemies[:2], Enemy(0.0)]
        self.t += 1
        return 0.0


def test_a_new_environment_is_that_of_this_episode(caplog):
    """That one of another episode has a place for all says nothing."""
    envs = envs_of(Waves, Tier.EXACT, 1)
    odd = [envs.seed(0, episode) % 2 for episode in range(20)]
    while not (envs.episodes[0] > odd.index(1) and not odd[envs.episodes[0]] and envs.lengths[0] == 10):
        if odd[envs.episodes[0]]:
            envs.state_dict()
        assert envs.recorder.level is Tier.EXACT
        envs.collect(at_random(), 1)
    envs.state_dict()
    assert envs.recorder.level is Tier.EPISODE_REPLAY and "env.env.enemies.2 was" in caplog.text


class Armed(TinyBox):
    """It has an object from when it was made, until action 2."""

    def __init__(self):
        super().__init__()
        self.sword = Enemy(0.0)

    def push(self, action):
        self.sword = None if int(action) == 2 else self.sword
        return 0.0


def test_a_new_environment_is_not_what_another_copy_made_of_it(caplog):
    envs = envs_of(Armed, Tier.EXACT)
    envs.collect(lambda obs, count: torch.tensor([2, 0]), 3)
    held = [state["attributes"]["env"]["attributes"]["sword"] for state in envs.state_dict()["recorder"]["inner"]]
    assert held[0] is None and held[1]["class"].endswith("Enemy") and not caplog.text


def test_an_environment_that_cannot_be_closed_is_saved(caplog):
    class Stays(TinyBox):
        def close(self):
            raise RuntimeError("no")

    envs = envs_of(Stays, Tier.EXACT, 1)
    assert envs.state_dict()["recorder"]["inner"][0] is not None and not caplog.text


def test_what_is_nested_too_deep_for_a_checkpoint_ends_no_run(tmp_path, caplog):
    envs = envs_of(History, Tier.EXACT, 1)
    envs.collect(at_random(), 2000)
    on_disk(envs, tmp_path)
    assert envs.recorder.level is Tier.EPISODE_REPLAY and "is nested more than 100 deep" in caplog.text


def test_a_state_that_fits_no_new_environment_begins_a_new_episode(tmp_path, caplog):
    """As after a change of versions: told, and why; nothing is refused."""
    class Other(TinyBox):
        def reset(self, *, seed=None, options=None):
            self.enemies = Enemy(0.0)
            return super().reset(seed=seed, options=options)

    envs = envs_of(Other, Tier.EXACT)
    envs.collect(at_random(), 9)
    other = envs_of(TinyBox, Tier.EXACT)
    with caplog.at_level(logging.WARNING, "lab"):
        other.load_state_dict(on_disk(envs, tmp_path))
    assert other.lost == [0, 1] and other.episodes == [episode + 1 for episode in envs.episodes]
    assert caplog.text.count("an environment cannot be put back: env.env was ") == 1
    assert "2 of 2 environments begin a new episode: they could not be brought back" in caplog.text
    other.collect(at_random(), 9)


class Fuel(TinyBox):
    """Ends when it has none left, which only a lock knows of all that a new environment has."""

    def reset(self, *, seed=None, options=None):
        self.fuel = threading.Semaphore(9)
        return super().reset(seed=seed, options=options)

    def step(self, action):
        return np.zeros(2, np.float32), 0.0, not self.fuel.acquire(blocking=False), False, {}


def test_a_checkpoint_is_verified_by_the_ends_of_episodes_too(caplog):
    envs = envs_of(Fuel, Tier.EXACT, 1)
    envs.collect(at_random(), 5)
    envs.state_dict()
    envs.collect(at_random(), 20)
    assert "did not hold (step 5: terminated was True, then False)" in caplog.text
    assert envs.recorder.level is Tier.EPISODE_REPLAY


@pytest.mark.parametrize("kind, tier", [(TinyContinuous, Tier.EPISODE_REPLAY), (TinyContinuous, Tier.REPLAY)])
def test_the_actions_of_a_copy_are_one_array_in_a_checkpoint(kind, tier, tmp_path):
    envs = envs_of(kind, tier)
    envs.collect(pushes, 200)
    logs = on_disk(envs, tmp_path)["recorder"]["logs"]
    assert [log["actions"].dtype for log in logs] == [np.float32] * 2
    kept = 200 if tier is Tier.REPLAY else envs.lengths[0]
    assert len(logs[0]["actions"]) == kept and logs[0]["actions"].shape[1:] == (1,)
    assert envs.episodes[0] > 5 and len(logs[0]["begins"]) == (1 + envs.episodes[0] if tier is Tier.REPLAY else 1)


def test_a_log_by_hand():
    log = ActionLog()
    for episode, n in ((4, 2), (5, 0), (6, 100)):
        log.begin(episode, keep=episode > 4)
        for action in range(n):
            log.append([action, -action])
    again = ActionLog()
    again.load_state_dict(log.state_dict())
    again.append([7, 7])
    (a, first), (b, none), (c, last) = again.episodes()
    assert (a, b, c) == (4, 5, 6) == (4, 5, again.episode()) and first.tolist() == [[0, 0], [1, -1]]
    assert len(none) == 0 and last[:100].tolist() == [[k, -k] for k in range(100)] and last[100:].tolist() == [[7, 7]]
    again.lose(), again.append([8, 8])
    assert again.actions is None
    again.begin(7, keep=True), again.append([9, 9])       # what came before is not known
    assert [(number, actions.tolist()) for number, actions in again.episodes()] == [(7, [[9, 9]])]
    again.begin(8, keep=False)
    assert [(number, len(actions)) for number, actions in again.episodes()] == [(8, 0)]


def test_where_a_tier_failed_for_some_copies_the_others_begin_anew():
    """Those of another worker process hold no actions yet, which are not to be taken for all there were."""
    stepped_down, still = envs_of(TinyBox, Tier.EPISODE_REPLAY), envs_of(TinyBox, Tier.EXACT)
    stepped_down.collect(at_random(), 5), still.collect(at_random(), 5)
    recorder = joined([stepped_down.state_dict(), still.state_dict()])["recorder"]
    assert recorder["level"] is Tier.EPISODE_REPLAY
    assert [log["actions"] is None for log in recorder["logs"]] == [False, False, True, True]


@pytest.mark.parametrize("kind, tier", [(TinyBox, Tier.EXACT), (TinyHidden, Tier.EPISODE_REPLAY),
                                        (TinyTired, Tier.REPLAY), (Spawner, Tier.EXACT)])
def test_a_stop_that_is_asked_for_during_a_verification_waits_for_its_place(kind, tier, monkeypatch, caplog):
    """Rows of a collect that never returns would be lost to the learner, and the checkpoint with them."""
    envs, other = envs_of(kind, tier), envs_of(kind, tier)
    envs.state_dict()
    monkeypatch.setattr(signals.FLAGS, "stop", signal.SIGINT)
    rows = envs.collect(at_random(), 80)
    envs.state_dict()
    monkeypatch.undo()
    assert equal(rows, other.collect(at_random(), 80)) and ("did not hold" in caplog.text) is False
