"""Worker processes: row for row what one process does, also after a resume; and what happens when one fails."""

import json
import os
import signal
import subprocess
import sys
import time
import traceback
from contextlib import suppress
from pathlib import Path

import gymnasium as gym
import numpy as np
import pytest
import torch
from gymnasium import spaces

from lab import asynchronous, checkpoint
from lab.asynchronous import AsyncEnvs
from lab.builtin import Gym
from lab.compute import Compute
from lab.config import ComputeConfig
from lab.env_state import Tier
from lab.envs import Envs
from lab.errors import EnvError, UsageError
from lab.replay import Ring
from lab.spaces import about
from lab.testing import checks, maker
from lab.testing.envs import TinyBox
from lab.testing.making import killed, undisturbed
from lab.worker import FromConfig

COMPUTE = Compute(ComputeConfig(device="cpu"), seed=7)
TINY = {"Box": Tier.EXACT, "Hidden": Tier.EPISODE_REPLAY, "Tired": Tier.REPLAY, "Continuous": Tier.EXACT}


def of(id):
    return FromConfig(Gym(id=id), gym.registry.get(id))


def pair(make, n=3, tier=Tier.BOUNDARY, workers=2):
    return AsyncEnvs(make, n, COMPUTE, about(make()), tier, workers), Envs(make, n, COMPUTE, tier=tier)


def acting(envs, generator):
    if isinstance(envs.action_space, spaces.Discrete):
        return lambda obs, count: torch.randint(int(envs.action_space.n), (len(obs),), generator=generator)
    return lambda obs, count: 3 * torch.randn(len(obs), *envs.action_space.shape, generator=generator)


def both(a, b, steps, seed=0):
    """Whether two collect the same rows under the same actions."""
    rows = [envs.collect(acting(envs, torch.Generator().manual_seed(seed)), steps) for envs in (a, b)]
    return all(torch.equal(rows[0][name], rows[1][name]) for name in rows[0]) and rows[0].keys() == rows[1].keys()


def on_disk(envs, folder):
    checkpoint.write(folder, 1, envs.state_dict(), 1)
    return checkpoint.newest(folder, print)[1]


@pytest.mark.parametrize("name", TINY)
def test_row_for_row_as_one_process_and_so_when_resumed(name, tmp_path, caplog):
    """Both ways across a checkpoint, and with another number of workers."""
    make, tier = of(f"lab/Tiny{name}-v0"), TINY[name]
    parallel, single = pair(make, tier=tier)
    assert both(parallel, single, 70) and parallel.metrics() == single.metrics()
    on_disk(parallel, tmp_path), on_disk(single, tmp_path)
    assert both(parallel, single, 31)
    state, plain = on_disk(parallel, tmp_path / "a"), on_disk(single, tmp_path / "b")
    expected = parallel.collect(acting(parallel, torch.Generator().manual_seed(5)), 60)
    reported = parallel.metrics()
    crossed = [AsyncEnvs(make, 3, COMPUTE, about(make()), tier, 3), Envs(make, 3, COMPUTE, tier=tier), parallel]
    for other, given in zip(crossed, (plain, state, state), strict=True):
        other.load_state_dict(given)
        rows = other.collect(acting(other, torch.Generator().manual_seed(5)), 60)
        assert all(torch.equal(rows[key], expected[key]) for key in rows) and other.metrics() == reported
        assert other.lost == []
    assert "new episode" not in caplog.text and "did not hold" not in caplog.text
    for envs in crossed:
        envs.close()


@pytest.mark.parametrize("agent", [pytest.param("dqn", marks=pytest.mark.slow), "r2d2"])
def test_an_agent_learns_what_it_learns_in_one_process_killed_and_resumed(agent, tmp_path):
    """With a memory of each episode too."""
    plain, make = maker(agent), maker(agent, "vector.mode=async", "vector.workers=2")
    whole, (single, log) = (undisturbed(each, tmp_path / str(i)) for i, each in enumerate((make, plain)))
    dead = tmp_path / "killed"
    checks.goes_on(57, killed(57, make, dead), whole, make, dead)
    assert not checks.differences(whole[0].learner.state_dict(), single.learner.state_dict()) and whole[1] == log


class Film(TinyBox):
    """Three pictures [3, 2, 2], newest last."""

    metadata = {**TinyBox.metadata, "frame_stack": (3, "zero")}
    observation_space = spaces.Box(0, 255, (3, 2, 2), np.uint8)

    def stacked(self, obs):
        picture = np.full((1, 2, 2), 1 + int(100 * abs(float(obs[0]))) % 200, np.uint8)
        self.film = np.concatenate([self.film[1:], picture])
        return self.film.copy()

    def reset(self, *, seed=None, options=None):
        self.film = np.zeros((3, 2, 2), np.uint8)
        obs, info = super().reset(seed=seed)
        return self.stacked(obs), info

    def step(self, action):
        obs, *rest = super().step(action)
        return (self.stacked(obs), *rest)


def test_stacks_of_frames_begin_anew_where_an_episode_does():
    """A replay puts each stack together from single pictures, and from what a worker said of resets."""
    parallel, single = pair(Film)
    assert (parallel.stack, parallel.padding) == (3, "zero") and both(parallel, single, 70)
    rows = parallel.collect(acting(parallel, torch.Generator().manual_seed(3)), 100)
    assert torch.equal(rows["reset"], rows["done"]) and rows["reset"].sum() > 5
    ring = Ring(300, torch.device("cpu"), 3, 3, "zero")
    ring.push(rows)
    at = np.arange(3 * 2, 300)                             # those that begin within these rows
    assert torch.equal(ring.stacks(at), rows["obs"].flatten(0, 1)[at])
    parallel.close()


@pytest.mark.parametrize("cores, workers", [(1, [3]), (2, [2, 1]), (64, [1, 1, 1])])
def test_no_number_of_workers_is_one_for_each_core_and_none_without_a_copy(cores, workers, monkeypatch):
    monkeypatch.setattr(asynchronous, "cores", lambda: cores)
    parallel, single = pair(of("lab/TinyBox-v0"), workers=0)
    assert sorted(map(len, parallel.shares), reverse=True) == workers and len(parallel.team) == len(workers)
    assert both(parallel, single, 20)
    parallel.close()


class Noise(TinyBox):
    """Draws from the global generator, which each worker has for itself."""

    def push(self, action):
        return float(np.random.normal())


def test_global_generators_of_the_workers_are_saved(tmp_path):
    envs = AsyncEnvs(Noise, 4, COMPUTE, about(Noise()), Tier.EXACT, 2)
    envs.collect(acting(envs, torch.Generator()), 20)
    state, then = on_disk(envs, tmp_path), envs.collect(acting(envs, torch.Generator().manual_seed(1)), 9)
    envs.load_state_dict(state)
    again = envs.collect(acting(envs, torch.Generator().manual_seed(1)), 9)
    assert torch.equal(then["next_obs"], again["next_obs"])
    assert not torch.equal(then["next_obs"][:, 0], then["next_obs"][:, 2])
    envs.close()


class Keeps(TinyBox):
    """Shows the action of the step before, which it has kept as it came."""

    action_space = spaces.Box(-9, 9, (1,), np.float32)

    def push(self, action):
        before, self.kept = getattr(self, "kept", action), action
        return float(before[0])


def test_an_action_belongs_to_its_environment():
    parallel, single = pair(Keeps)
    assert both(parallel, single, 30)
    parallel.close()


class Trouble(gym.Env):
    """At its fourth step under an odd seed it does what `what` says."""

    observation_space, action_space = spaces.Box(-1, 1, (1,), np.float32), spaces.Discrete(2)
    what = ""

    def reset(self, *, seed=None, options=None):
        self.odd, self.t = seed == COMPUTE.seed_for("train/2/0"), 0
        if self.what == "reset" and self.odd:
            raise ValueError("no map")
        return np.zeros(1, np.float32), {}

    def step(self, action):
        self.t += 1
        if self.odd and self.t == 4:
            if self.what == "raise":
                raise RuntimeError("lost a wheel")
            if self.what == "kill":
                os.kill(os.getpid(), signal.SIGKILL)
            if self.what == "exit":
                os._exit(3)
            if self.what == "nan":
                return np.full(1, np.nan, np.float32), 0.0, False, False, {}
        return np.zeros(1, np.float32), 0.0, False, False, {}


class Raises(Trouble):
    what = "raise"


class Killed(Trouble):
    what = "kill"


class Exits(Trouble):
    what = "exit"


class Nan(Trouble):
    what = "nan"


class Unset(Trouble):
    what = "reset"


@pytest.mark.parametrize("kind, text", [
    (Raises, r"environment Raises \(copy 2 of 4, step 3 of its episode 0\) raised RuntimeError: lost a wheel"),
    (Killed, r"environment Killed \(copy 2 of 4, in its episode 0\): its worker process ended by SIGKILL"),
    (Exits, r"environment Exits \(copy 2 of 4, in its episode 0\): its worker process ended with exit code 3"),
    (Nan, r"copy 2 of 4, step 12 of the run\) returned an observation that is not finite")])
def test_a_failure_names_the_copy_and_what_it_left_can_be_saved(kind, text, tmp_path, caplog):
    envs = AsyncEnvs(kind, 4, COMPUTE, about(kind()), Tier.EXACT, 2)
    with pytest.raises(EnvError, match=text) as raised:
        for t in range(5):
            envs.collect(acting(envs, torch.Generator()), 1, 4 * t)
    trace = "".join(traceback.format_exception(raised.value))
    assert ('raise RuntimeError("lost a wheel")' in trace) is (kind is Raises), "the line of the environment"
    state = on_disk(envs, tmp_path)
    envs.close()
    again = Envs(Trouble, 4, COMPUTE, tier=Tier.EXACT)
    again.load_state_dict(state)
    assert again.lost == [0, 1, 2, 3] and list(again.episodes) == [1] * 4 and "4 of 4 environments begin" in caplog.text


class Thing:
    pass


class Grows(TinyBox):
    """After action 2 it has an object that a new one does not have."""

    def push(self, action):
        if int(action) == 2:
            self.thing = Thing()
        return 0.1 * int(action)


def grows():
    return gym.wrappers.TimeLimit(Grows(), 10)


def test_a_tier_that_failed_in_one_worker_is_left_by_all(tmp_path, caplog):
    """With their next episodes, not only after the next checkpoint."""
    def act(obs, count):
        return torch.tensor([2, 0])

    envs = AsyncEnvs(grows, 2, COMPUTE, about(grows()), Tier.EXACT, 2)
    envs.collect(act, 3)
    assert on_disk(envs, tmp_path)["recorder"]["level"] == Tier.EPISODE_REPLAY is envs.recorder.level
    assert caplog.text.count("the environment cannot be saved (env.env.thing was ") == 1
    envs.collect(act, 25)
    state, other = on_disk(envs, tmp_path), AsyncEnvs(grows, 2, COMPUTE, about(grows()), Tier.EXACT, 2)
    other.load_state_dict(state)
    assert other.lost == [] and other.recorder.level is Tier.EPISODE_REPLAY and min(state["lengths"]) > 0
    a, b = envs.collect(act, 30), other.collect(act, 30)
    assert all(torch.equal(a[name], b[name]) for name in a)
    envs.close(), other.close()


def test_a_failure_at_the_start_is_one_of_assembly():
    with pytest.raises(EnvError, match=r"copy 2 of 4, step 0 of its episode 0\) raised ValueError in reset: no map"):
        AsyncEnvs(Unset, 4, COMPUTE, about(Trouble()), Tier.EXACT, 2)


def test_what_cannot_be_sent_is_refused():
    class Local(Trouble):
        pass

    with pytest.raises(UsageError, match=r"Trouble cannot be sent to a worker process .* use vector\.mode=sync"):
        AsyncEnvs(lambda: Local(), 2, COMPUTE, about(Trouble()), Tier.EXACT, 2)


def test_workers_end_when_they_are_closed_or_forgotten():
    envs = AsyncEnvs(Trouble, 2, COMPUTE, about(Trouble()), Tier.EXACT, 2)
    first = envs.team.processes
    envs.close(), envs.close()
    other = AsyncEnvs(Trouble, 2, COMPUTE, about(Trouble()), Tier.EXACT, 2)
    second = other.team.processes
    del other
    assert [each.exitcode for each in [*first, *second]] == [0] * 4


def gone(pid):
    """Whether a process is no more, or is only waiting for someone to ask how it ended."""
    with suppress(OSError):
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    return True


def wait_for(what, seconds=60):
    end = time.monotonic() + seconds
    while not (found := what()):
        assert time.monotonic() < end, "it takes too long"
        time.sleep(0.05)
    return found


@pytest.mark.skipif(not os.path.exists("/proc"), reason="looks for processes in /proc")
def test_stopped_and_killed_from_outside(tmp_path):
    """Ctrl-C reaches the whole group: the parent saves and all end quietly. Killed, it leaves no worker behind."""
    def run(*args):
        return subprocess.Popen(
            [sys.executable, "-m", "lab", *args], cwd=tmp_path, text=True, stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT, start_new_session=True, env={**os.environ, "OMP_NUM_THREADS": "1"})

    def children(process):
        return [pid for pid in os.listdir("/proc") if pid.isdigit() and group(pid) == process.pid]

    def group(pid):
        with suppress(OSError):
            return os.getpgid(int(pid))

    first = run("+agent=dqn", "env=CartPole", "vector.mode=async", "vector.workers=2", "agent.num_envs=2",
                "budget.steps=10_000_000", "compute.device=cpu", "evaluate.every=1_000_000_000", "evaluate.videos=0",
                "checkpoint.every=1_000", "hydra.run.dir=run", "model.hidden=[8]", "agent.gradient_steps=1")
    try:
        wait_for(lambda: len(list(tmp_path.glob("run/checkpoints/*"))) > 1)
        os.killpg(first.pid, signal.SIGINT)
        out, _ = first.communicate(timeout=60)
        assert first.returncode == 130 and "Traceback" not in out and "saved" in out, out
        wait_for(lambda: all(map(gone, children(first))))
        second = run("resume=run")
        wait_for(lambda: len(children(second)) >= 4)      # itself, the server, two workers; and a tracker of resources
        time.sleep(0.5)
        left = children(second)
        second.kill()
        second.communicate(timeout=60)
        wait_for(lambda: all(map(gone, left)))
        assert json.loads((tmp_path / "run/run.json").read_text())["agent"] == "dqn"
    finally:
        for process in (first, *([second] if "second" in dir() else [])):
            with suppress(OSError):
                os.killpg(process.pid, signal.SIGKILL)


@pytest.mark.skipif(not os.path.exists("/proc"), reason="looks for processes in /proc")
@pytest.mark.parametrize("there, more", [(3, 0.3), (5, 0)], ids=["the server imports", "a worker begins"])
def test_stopped_while_workers_begin_nothing_is_said(there, more, tmp_path):
    """Processes of the group: itself, a tracker of resources, the server, then the workers."""
    process = subprocess.Popen(
        [sys.executable, "-m", "lab", "+agent=dqn", "env=CartPole", "vector.mode=async", "vector.workers=2",
         "agent.num_envs=2", "compute.device=cpu"], cwd=tmp_path, text=True, stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT, start_new_session=True, env={**os.environ, "OMP_NUM_THREADS": "1"})
    try:
        wait_for(lambda: sum(in_group(pid, process.pid) or 0 for pid in os.listdir("/proc") if pid.isdigit()) >= there)
        time.sleep(more)
        os.killpg(process.pid, signal.SIGINT)
        out, _ = process.communicate(timeout=60)
        assert (process.returncode, out) == (130, "") and not list(tmp_path.iterdir())
    finally:
        with suppress(OSError):
            os.killpg(process.pid, signal.SIGKILL)


HANG = """
import time

import gymnasium as gym
import numpy as np
import torch

from lab.asynchronous import AsyncEnvs
from lab.compute import Compute
from lab.config import ComputeConfig
from lab.env_state import Tier
from lab.spaces import about


class Hang(gym.Env):
    observation_space, action_space = gym.spaces.Box(-1, 1, (1,)), gym.spaces.Discrete(2)

    def reset(self, *, seed=None, options=None):
        return np.zeros(1, np.float32), {}

    def step(self, action):
        while True:
            time.sleep(1)


if __name__ == "__main__":
    envs = AsyncEnvs(Hang, 2, Compute(ComputeConfig(device="cpu")), about(Hang()), Tier.BOUNDARY, 2)
    print("ready", flush=True)
    envs.collect(lambda obs, count: torch.zeros(2, dtype=torch.int64), 1)
"""


def test_a_step_that_never_returns_ends_with_the_parent(tmp_path):
    (tmp_path / "hang.py").write_text(HANG)
    process = subprocess.Popen([sys.executable, "hang.py"], cwd=tmp_path, text=True, stdout=subprocess.PIPE,
                               start_new_session=True, env={**os.environ, "OMP_NUM_THREADS": "1"})
    try:
        assert process.stdout.readline() == "ready\n"
        time.sleep(0.5)
        left = [pid for pid in os.listdir("/proc") if pid.isdigit() and in_group(pid, process.pid)]
        assert len(left) >= 4                             # itself, the server, two workers
        process.kill()
        process.wait(60)
        wait_for(lambda: all(map(gone, left)))
    finally:
        process.stdout.close()
        with suppress(OSError):
            os.killpg(process.pid, signal.SIGKILL)


def in_group(pid, leader):
    with suppress(OSError):
        return os.getpgid(int(pid)) == leader
