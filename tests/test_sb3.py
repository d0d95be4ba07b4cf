"""Stable-Baselines3 on the lab's runner: the same weights as its own learn(), to the bit."""

import gymnasium as gym
import pytest
import sb3_contrib
import stable_baselines3 as sb3
import torch
from stable_baselines3.common.monitor import Monitor
from stable_baselines3.common.vec_env import DummyVecEnv

from lab.assembly import assemble, budget_of
from lab.compose import composed
from lab.runner import Periods, Runner

CART, PENDULUM = "CartPole-v1", "Pendulum-v1"
QUICK = ("compute.device=cpu", "evaluate.videos=0", "evaluate.episodes=2")


class Nowhere:
    """A record that keeps nothing."""

    def log(self, *args):
        pass

    media = save = log


def trained(agent, env, seed, steps, *overrides):
    """The learner of a run of the lab, evaluated and saved on the way."""
    made = assemble(composed([f"+agent=sb3_{agent}", "env=gym", f"env.id={env}", f"seed={seed}",
                              f"budget.steps={steps}", *QUICK, *overrides]))
    runner = Runner(made.experiment, made.compute, Nowhere(), Periods(100, steps // 2, 300))
    runner.run(budget_of(made.cfg, made.experiment))
    return made.experiment.learner


def plain(algorithm, env, seed, steps, num_envs=1, **hyperparameters):
    """A model that Stable-Baselines3 trained alone."""
    vector = DummyVecEnv([lambda: Monitor(gym.make(env)) for _ in range(num_envs)])
    torch.set_flush_denormal(False)
    return algorithm("MlpPolicy", vector, seed=seed, device="cpu", **hyperparameters).learn(steps)


def assert_same(learner, model):
    ours, theirs = learner.model.policy.state_dict(), model.policy.state_dict()
    assert list(ours) == list(theirs)
    assert [name for name in ours if not torch.equal(ours[name], theirs[name])] == []
    assert learner.model.num_timesteps == model.num_timesteps and learner.n_updates == model._n_updates


DEFAULTS = [                      # with the defaults of Stable-Baselines3
    ("ppo", sb3.PPO, CART, 4100), ("ppo", sb3.PPO, PENDULUM, 2100), ("a2c", sb3.A2C, CART, 1000),
    ("a2c", sb3.A2C, PENDULUM, 1000), ("dqn", sb3.DQN, CART, 1500), ("sac", sb3.SAC, PENDULUM, 450),
    ("td3", sb3.TD3, PENDULUM, 450), ("qrdqn", sb3_contrib.QRDQN, CART, 1000), ("tqc", sb3_contrib.TQC, PENDULUM, 300),
    ("trpo", sb3_contrib.TRPO, CART, 2100), ("crossq", sb3_contrib.CrossQ, PENDULUM, 250)]


@pytest.mark.parametrize("agent, algorithm, env, steps", DEFAULTS, ids=[f"{a}-{e}" for a, _, e, _ in DEFAULTS])
def test_the_same_weights_as_learn(agent, algorithm, env, steps):
    assert_same(trained(agent, env, 3, steps), plain(algorithm, env, 3, steps))
