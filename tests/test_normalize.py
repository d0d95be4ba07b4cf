"""Running statistics: what they are, who sees what, and that they are saved and stand still in evaluation."""

import dataclasses
import json
from pathlib import Path

import gymnasium as gym
import numpy as np
import pytest
import torch
from gymnasium import spaces

from lab import checkpoint
from lab.assembly import assemble
from lab.commands import eval as command
from lab.compose import composed
from lab.compute import Compute
from lab.config import ComputeConfig, NormalizeConfig
from lab.envs import Envs
from lab.errors import UsageError
from lab.normalize import Moments, Normalizer
from lab.streams import Steps
from lab.testing import checks, maker, survivors
from lab.testing.making import next_batch
from lab.world import World

COMPUTE = Compute(ComputeConfig(device="cpu"), seed=7)
ON = ("normalize.obs=true", "normalize.reward=true", "normalize.clip=3")


@pytest.mark.parametrize("sizes", [[1], [5, 1, 7], [100, 1]])
def test_moments_of_batches_are_those_of_all(sizes):
    samples = np.random.default_rng(0).normal(5, 3, (sum(sizes), 2, 3))
    moments, begin = Moments((2, 3)), 0
    assert np.array_equal(moments.std(), np.ones((2, 3)))
    for size in sizes:
        moments.add(samples[begin:begin + size])
        begin += size
    assert moments.count == sum(sizes)
    np.testing.assert_allclose(moments.mean, samples.mean(0), rtol=1e-12)
    np.testing.assert_allclose(moments.std(), np.sqrt(samples.var(0) + 1e-8), rtol=1e-9)


def test_moments_far_from_zero_lose_no_precision():
    samples, moments = 1e6 + np.random.default_rng(0).normal(0, 1e-2, (1000, 1)), Moments((1,))
    for each in samples:
        moments.add(each[None])
    np.testing.assert_allclose(moments.std(), np.sqrt(samples.var(0) + 1e-8), rtol=1e-6)


class Ramp(gym.Env):
    """Shows 10, 20, ... and pays 1, 2, ...; episodes of `length` steps."""

    observation_space, action_space = spaces.Box(-1e6, 1e6, (2,), np.float32), spaces.Discrete(2)

    def __init__(self, length=3):
        self.length, self.t = length, 0

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.t = 0
        return self.obs(), {}

    def step(self, action):
        self.t += 1
        return self.obs(), float(self.t), self.t == self.length, False, {}

    def obs(self):
        return np.array([10 * self.t, -self.t], np.float32)


def ramps(n=2, **options):
    envs, cfg = Envs(Ramp, n, COMPUTE), NormalizeConfig(**{"obs": True, "reward": True, "clip": 100.0, **options})
    envs.normalizer = Normalizer(cfg, (2,), n, 0.5, COMPUTE.device)
    return envs


def watching(seen):
    def act(obs, count):
        seen.append(obs.clone())
        return torch.zeros(len(obs), dtype=torch.int64)

    return act


def test_what_the_policy_sees_is_what_is_learned_from():
    """Rows are raw; the batch is normalised with the statistics that acted, those before this collect."""
    envs, first, second = ramps(), [], []
    rows = envs.collect(watching(first), 6)
    assert torch.equal(torch.stack(first), rows["obs"]) and torch.equal(envs.normalized(rows)["obs"], rows["obs"])
    again = envs.collect(watching(second), 6)
    seen = rows["obs"].reshape(-1, 2).double()
    expected = (again["obs"] - seen.mean(0)) / (seen.var(0, correction=0) + 1e-8).sqrt()
    assert torch.equal(again["obs"], rows["obs"])
    torch.testing.assert_close(torch.stack(second), expected.float())
    batch = envs.normalized(again)
    assert torch.equal(batch["obs"], torch.stack(second))
    torch.testing.assert_close(batch["next_obs"], ((again["next_obs"] - seen.mean(0)) / (seen.var(0, correction=0)
                                                                                       + 1e-8).sqrt()).float())
    assert batch["done"] is again["done"] and batch["action"] is again["action"]


def test_rewards_are_divided_by_the_deviation_of_the_discounted_return():
    """Rewards 1, 2, 3 and then anew, discount a half: returns 1, 2.5, 4.25."""
    envs = ramps()
    envs.collect(watching([]), 6)
    rows = envs.collect(watching([]), 6)
    std = np.sqrt(np.var([1, 2.5, 4.25]) + 1e-8)
    torch.testing.assert_close(envs.normalized(rows)["reward"], (rows["reward"].double() / std).float())
    assert rows["reward"][:3, 0].tolist() == [1, 2, 3] and envs.metrics()["episode/return"] == 6


def test_both_are_clipped_and_each_can_be_left_out():
    for options, obs, reward in (({"clip": 0.5}, 0.5, 0.5), ({"obs": False}, 20.0, None), ({"reward": False}, None, 3)):
        envs = ramps(**options)
        envs.collect(watching([]), 6)
        batch = envs.normalized(envs.collect(watching([]), 6))
        assert obs is None or batch["obs"].max() == obs
        assert reward is None or batch["reward"].max() == reward


def test_without_it_a_batch_is_the_same_object():
    envs, batch = Envs(Ramp, 2, COMPUTE), {"obs": torch.zeros(2, 2)}
    assert envs.normalized(batch) is batch and "normalizer" not in envs.state_dict()


def test_steps_hand_out_normalised_batches():
    stream = Steps(ramps(), watching(seen := []))
    for _ in range(4):
        batch = next_batch(stream)
        assert torch.equal(batch["obs"], seen[-1])
    assert batch["obs"].abs().max() < 3 and batch["reward"].max() < 3


def test_statistics_are_saved_and_restored_exactly(tmp_path):
    envs, other = ramps(), ramps()
    for _ in range(5):
        envs.collect(watching([]), 4)
    checkpoint.write(tmp_path, 1, envs.state_dict(), 1)
    other.load_state_dict(checkpoint.newest(tmp_path, print)[1])
    rows = {"obs": torch.randn(5, 2), "reward": torch.randn(5)}
    assert all(torch.equal(envs.normalized(rows)[name], other.normalized(rows)[name]) for name in rows)
    with pytest.raises(ValueError, match="normalised observations or rewards, the other not"):
        Envs(Ramp, 2, COMPUTE).load_state_dict(envs.state_dict())


def test_an_agent_with_it_keeps_the_promises(tmp_path):
    """Resumed in mid-episode to the bit, evaluated without a trace; and each saved name is missed when it is lost."""
    make = maker("dqn", *ON)
    checks.resume_is_exact(make, tmp_path / "resume")
    checks.evaluation_is_neutral(make, tmp_path / "evaluate")


def test_each_name_that_is_forgotten_is_noticed(tmp_path):
    make = maker("q_learning", "env=gym", "env.id=lab/TinyBox-v0", "agent.num_envs=2", *ON)
    assert survivors(make, tmp_path, [Normalizer, Moments]) == []


def test_evaluation_sees_the_scale_of_training_and_leaves_it(tmp_path):
    made = assemble(composed(["+agent=dqn", "env=CartPole", *ON, "compute.device=cpu", "evaluate.episodes=2",
                              "agent.warmup=20"]))
    for _ in range(30):
        made.experiment.stream.next()
    before = json.dumps(checks.flat(made.normalizer.state_dict())[0]), made.normalizer.mean.clone()
    obs, learner = torch.randn(64, 4), made.experiment.learner
    assert torch.equal(made.experiment.policy(obs), learner.greedy(made.normalizer.obs(obs)))
    made.experiment.evaluators["return"]()
    assert before[0] == json.dumps(checks.flat(made.normalizer.state_dict())[0])
    assert torch.equal(before[1], made.normalizer.mean) and before[1].any()


def test_eval_of_a_run_uses_its_statistics(lab, monkeypatch):
    """The same episodes as the last evaluation of the run, so the same returns."""
    code, _, err = lab("+agent=dqn", "env=CartPole", *ON, "compute.device=cpu", "budget.steps=300", "agent.warmup=50",
                       "evaluate.videos=0", "evaluate.episodes=3", "model.hidden=[16]", "hydra.run.dir=run")
    assert code == 0, err
    final = json.loads(Path("run/run.json").read_text())["final"]
    seen = []
    monkeypatch.setattr(Normalizer, "load_state_dict", lambda self, state, real=Normalizer.load_state_dict: (
        seen.append(state["known_obs"]["count"]), real(self, state)))
    monkeypatch.setattr(command, "EpisodeReturn", lambda *args, name, real=command.EpisodeReturn: real(*args))
    code, out, err = lab("eval", "run", "--episodes=3", "--seed=0", "--json")
    assert code == 0 and json.loads(out)["mean"] == final["eval/return/mean"] and seen[0] > 100


@pytest.mark.parametrize("overrides, text", [
    (["+agent=dqn", "env=FrozenLake", "normalize.obs=true"], r"needs observations that are real numbers.*FrozenLake-v1 "
                                                             r"has Discrete\(16\)"),
    (["+agent=q_learning", "env=FrozenLake", "normalize.reward=true"], "normalize.reward=true: q_learning does not "
     "train on the lab's copies .* agent.fast_path=never"),
    (["+agent=q_learning", "env=FrozenLake", "vector.mode=async"], "vector.mode=async: q_learning does not"),
    (["+agent=dqn", "env=CartPole", "normalize.clip=0"], "normalize.clip is 0"),
    (["+agent=dqn", "env=CartPole", "normalize.discount=1.5"], "normalize.discount is 1.5"),
    (["+agent=dqn", "env=CartPole", "vector.mode=threads"], "vector.mode=threads is not known"),
    (["+agent=dqn", "env=CartPole", "vector.worker=1"], "unknown key 'vector.worker'. Did you mean 'workers'")])
def test_what_cannot_be_is_refused_at_assembly(overrides, text):
    with pytest.raises(UsageError, match=text):
        assemble(composed([*overrides, "compute.device=cpu"]))


@pytest.mark.parametrize("given, agent, expected", [(None, 0.9, 0.9), (0.5, 0.9, 0.5), (0.0, 0.9, 0.0)])
def test_the_discount_is_the_agents_unless_it_is_given(given, agent, expected):
    cfg = composed(["+agent=dqn", "env=CartPole", "normalize.reward=true", f"agent.discount={agent}"])
    cfg.normalize = dataclasses.replace(cfg.normalize, discount=given)
    assert World(cfg, COMPUTE).envs(2).normalizer.discount == expected


def test_a_lost_episode_takes_its_running_return_with_it():
    """The new one begins at 0, as at every end."""
    def two():
        envs = Envs(Ramp, 2, COMPUTE)
        envs.normalizer = Normalizer(NormalizeConfig(reward=True), (2,), 2, 0.5, COMPUTE.device)
        return envs

    first, second = two(), two()
    first.collect(lambda obs, count: torch.zeros(2, dtype=torch.int64), 2)
    assert first.normalizer.running.tolist() == [2.5, 2.5]
    second.load_state_dict(first.state_dict())
    assert second.lost == [0, 1] and second.normalizer.running.tolist() == [0, 0]
