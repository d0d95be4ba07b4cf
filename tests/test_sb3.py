"""Stable-Baselines3 on the lab's runner: the same weights as its own learn(), to the bit."""

import inspect
from dataclasses import fields
from pathlib import Path

import gymnasium as gym
import numpy as np
import pytest
import sb3_contrib
import stable_baselines3 as sb3
import torch
from stable_baselines3.common.monitor import Monitor
from stable_baselines3.common.noise import NormalActionNoise, OrnsteinUhlenbeckActionNoise
from stable_baselines3.common.utils import LinearSchedule
from stable_baselines3.common.vec_env import DummyVecEnv

from lab import checkpoint
from lab.assembly import assemble, budget_of
from lab.budget import Budget, Periods
from lab.compose import composed
from lab.host import host
from lab.runner import Runner
from lab.testing.making import Disk
from lab_sb3.build import ALGORITHMS
from lab_sb3.experiment import OURS

CART, PENDULUM = "CartPole-v1", "Pendulum-v1"
QUICK = ("compute.device=cpu", "evaluate.videos=0", "evaluate.episodes=1")
KINDS = {"ppo": sb3.PPO, "a2c": sb3.A2C, "dqn": sb3.DQN, "sac": sb3.SAC, "td3": sb3.TD3, "trpo": sb3_contrib.TRPO,
         "qrdqn": sb3_contrib.QRDQN, "tqc": sb3_contrib.TQC, "crossq": sb3_contrib.CrossQ}


class Nowhere:
    """A record that keeps nothing."""

    def log(self, *args):
        pass

    media = save = log


def assembled(agent, env, seed, steps, *overrides):
    return assemble(composed([f"+agent=sb3_{agent}", "env=gym", f"env.id={env}", f"seed={seed}",
                              f"budget.steps={steps}", *QUICK, *overrides]))


def trained(*what):
    """The learner of a run of the lab, logged, saved and evaluated on the way."""
    made = assembled(*what)
    budget = budget_of(made.cfg, made.experiment)
    Runner(made.experiment, made.compute, Nowhere(), Periods(100, int(budget.steps) // 2, 90)).run(budget)
    return made.experiment.learner


def plain(agent, env, seed, steps, num_envs=1, **hyperparameters):
    """A model that Stable-Baselines3 trained alone."""
    torch.set_flush_denormal(False)
    vector = DummyVecEnv([lambda: Monitor(gym.make(env)) for _ in range(num_envs)])
    return KINDS[agent]("MlpPolicy", vector, seed=seed, device="cpu", **hyperparameters).learn(steps)


def assert_same(learner, model):
    ours, theirs = learner.model.policy.state_dict(), model.policy.state_dict()
    assert list(ours) == list(theirs)
    assert [name for name in ours if not torch.equal(ours[name], theirs[name])] == []
    assert learner.model.num_timesteps == model.num_timesteps and learner.n_updates == model._n_updates > 0


@pytest.mark.parametrize("agent, env, seed, steps", [
    ("ppo", CART, 0, 2000), ("a2c", CART, 1, 500), ("a2c", PENDULUM, 2, 300), ("dqn", CART, 3, 600),
    ("sac", PENDULUM, 4, 130), ("td3", PENDULUM, 5, 150), ("qrdqn", CART, 6, 200), ("tqc", PENDULUM, 7, 120)])
def test_with_its_defaults_the_same_weights_as_learn(agent, env, seed, steps):
    assert_same(trained(agent, env, seed, steps), plain(agent, env, seed, steps))


class Skewed(gym.Env):
    """Shows how far beyond its bounds an action was: a scaled one may be, by a rounding error."""

    observation_space = gym.spaces.Box(-9, 9, (1,), np.float32)
    action_space = gym.spaces.Box(np.float32([-0.3]), np.float32([0.9]))

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        return self.np_random.uniform(-1, 1, 1).astype(np.float32), {}

    def step(self, action):
        beyond = float(action[0]) - float(self.action_space.high[0])
        return np.float32([1e7 * max(beyond, -1e-7)]), -float(np.square(action[0])), False, False, {}


class Half(Skewed):
    """Its bounds are said in half the precision, in which no action comes."""

    action_space = gym.spaces.Box(np.float16([-0.3]), np.float16([0.9]), dtype=np.float16)

    def step(self, action):
        obs, _, *rest = super().step(action)
        return obs, float(action.dtype == np.float32), *rest


gym.register("lab/Skewed-v0", Skewed, max_episode_steps=20)
gym.register("lab/Half-v0", Half, max_episode_steps=20)
CASES = {
    "skewed bounds": ("td3", "lab/Skewed-v0", {
        "noise_type": "normal", "noise_std": 3.0, "batch_size": 32, "learning_starts": 20}),
    "bounds of half precision": ("ppo", "lab/Half-v0", {"n_steps": 64}),
    "several environments": ("ppo", CART, {"num_envs": 3, "n_steps": 64, "n_epochs": 2}),
    "a schedule": ("ppo", CART, {"n_steps": 64, "learning_rate": "lin_0.01", "clip_range": "lin_0.3"}),
    "bounds of actions": ("ppo", PENDULUM, {"num_envs": 2, "n_steps": 64, "use_sde": True, "sde_sample_freq": 4}),
    "batch renormalization": ("crossq", PENDULUM, {"learning_starts": 150, "policy_delay": 2}),
    "trust region": ("trpo", CART, {"num_envs": 2, "n_steps": 64}),
    "as many gradient steps as steps": ("dqn", CART, {
        "num_envs": 2, "train_freq": 3, "gradient_steps": -1, "target_update_interval": 20, "n_steps": 3,
        "buffer_size": 200, "exploration_fraction": 0.5}),
    "whole episodes": ("dqn", CART, {"train_freq": [1, "episode"], "gradient_steps": 4, "learning_starts": 0}),
    "noise with memory": ("td3", PENDULUM, {
        "num_envs": 2, "noise_type": "ornstein-uhlenbeck", "noise_std": 0.3, "batch_size": 32, "gradient_steps": 2}),
    "noise": ("sac", PENDULUM, {"noise_type": "normal", "ent_coef": 0.1, "batch_size": 32, "learning_starts": 10}),
    "state-dependent noise": ("sac", PENDULUM, {
        "use_sde": True, "use_sde_at_warmup": True, "ent_coef": "auto_0.5", "batch_size": 32, "sde_sample_freq": 5})}
STEPS = 230


@pytest.mark.parametrize("name", CASES)
def test_with_other_values_too(name):
    agent, env, values = CASES[name]
    overrides = [f"agent.{key}={str(value).replace(chr(39), '')}" for key, value in values.items()]
    learner = trained(agent, env, 11, STEPS, "+agent.policy_kwargs.net_arch=[16]", *overrides)
    assert_same(learner, plain(agent, env, 11, STEPS, policy_kwargs={"net_arch": [16]}, **dict(objects(values))))


def objects(values):
    """As Stable-Baselines3 takes them."""
    kinds = {"normal": NormalActionNoise, "ornstein-uhlenbeck": OrnsteinUhlenbeckActionNoise}
    for key, value in values.items():
        if key == "noise_type":
            yield "action_noise", kinds[value](np.zeros(1), values.get("noise_std", 0.1) * np.ones(1))
        elif str(value).startswith("lin_"):
            yield key, LinearSchedule(float(value[4:]), 0.0, 1.0)
        elif key != "noise_std":
            yield key, tuple(value) if isinstance(value, list) else value


@pytest.mark.parametrize("agent, env", [("a2c", CART), ("dqn", CART), ("td3", PENDULUM)])
def test_a_run_that_was_interrupted_ends_in_them_too(agent, env, tmp_path):
    what = (agent, env, 13, STEPS, "agent.num_envs=2", "+agent.policy_kwargs.net_arch=[16]")
    first, periods = assembled(*what), Periods(100, 200, 10**9)
    killed = Runner(first.experiment, first.compute, Disk(tmp_path), periods)
    killed.run(Budget(updates=17))
    made = assembled(*what)
    resumed = Runner(made.experiment, made.compute, Disk(tmp_path), periods)
    resumed.load(checkpoint.newest(tmp_path, print)[1])
    resumed.run(Budget(steps=STEPS))
    model = plain(agent, env, 13, STEPS, num_envs=2, policy_kwargs={"net_arch": [16]})
    assert_same(made.experiment.learner, model)


def test_pictures_are_seen_as_stable_baselines3_sees_them(picture):
    learner = trained("a2c", picture, 0, 40)
    env = DummyVecEnv([lambda: Monitor(gym.make(picture))])
    assert_same(learner, sb3.A2C("CnnPolicy", env, seed=0, device="cpu").learn(40))


class Picture(gym.Env):
    """Noise, 36 x 40 pixels in colour; an episode lasts 7 steps."""

    observation_space, action_space = gym.spaces.Box(0, 255, (36, 40, 3), np.uint8), gym.spaces.Discrete(2)
    metadata = {"render_modes": []}

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        return self.look(), {}

    def look(self):
        return self.np_random.integers(0, 256, (36, 40, 3), np.uint8)

    def step(self, action):
        return self.look(), float(action), False, False, {}


@pytest.fixture
def picture():
    if "test/Picture-v0" not in gym.registry:
        gym.register("test/Picture-v0", Picture, max_episode_steps=7)
    return "test/Picture-v0"


EXCLUDED = {"self", "policy", "env", "policy_kwargs", "action_noise", "replay_buffer_class", "replay_buffer_kwargs",
            "optimize_memory_usage", "rollout_buffer_class", "rollout_buffer_kwargs", "stats_window_size",
            "tensorboard_log", "verbose", "seed", "device", "_init_setup_model"}


@pytest.mark.parametrize("agent", KINDS)
def test_names_and_defaults_are_those_of_stable_baselines3(agent):
    parameters = inspect.signature(KINDS[agent]).parameters
    theirs = {name: each.default for name, each in parameters.items() if name not in EXCLUDED}
    config = host().entry("agent", f"sb3_{agent}").config
    assert {each.name: each.default for each in fields(config) if each.name not in OURS} == theirs


def test_the_values_of_the_zoo():
    agent = composed(["+experiment=sb3_dqn_cartpole_zoo"]).agent
    assert (agent.train_freq, agent.gradient_steps, agent.total_timesteps) == (256, 128, 50_000)
    assert agent.policy_kwargs == {"net_arch": [256, 256]}


def test_every_agent_is_in_the_guide():
    text = (Path(__file__).parent.parent / "docs" / "sb3.md").read_text()
    assert [agent for agent in ALGORITHMS if f"`{agent}`" not in text] == []


def test_every_agent_is_tested_here():
    assert {f"sb3_{agent}" for agent in KINDS} == set(ALGORITHMS)
    assert set(ALGORITHMS) == {name for name in host().names("agent") if name.startswith("sb3_")}
