"""Puts an agent together: the environments, the model and what learn() would have made of them."""

import copy
import math
import warnings
from dataclasses import fields
from typing import Any

import gymnasium as gym
import numpy as np
import stable_baselines3
import torch
from gymnasium.spaces import Box, Discrete, MultiDiscrete
from stable_baselines3.common.on_policy_algorithm import OnPolicyAlgorithm
from stable_baselines3.common.preprocessing import is_image_space

from lab.contract import Experiment
from lab.env_state import Tier, probe
from lab.envs import name_of
from lab.errors import UsageError, within
from lab.tuned import usual_steps
from lab.world import Exhibition, World

from .configs import DQN, SB3, Continuous
from .learners import Delayed, OffPolicy, OnPolicy
from .streams import Greedy, Model, Noisy, Rollouts
from .vector import SeededOnce, Vector
from .words import classes, noise, schedule

OURS = {"name", "num_envs", "policy", "policy_kwargs", "total_timesteps", "noise_type", "noise_std"}
SMALLEST = 36                     # pixels on a side that the network of CnnPolicy needs
REFUSALS = (AssertionError, ArithmeticError, LookupError, MemoryError, RuntimeError, TypeError, ValueError)


def experiment(algorithm: type[Model], cfg: SB3, world: World) -> Experiment:
    """`algorithm`: of Stable-Baselines3 or sb3-contrib. Raises UsageError for whatever does not fit it."""
    compute = world.compute
    compute.precision = "fp32"                                # whatever `auto` would come to
    within("agent.total_timesteps", cfg.total_timesteps, 1, 10**15)
    vector = vectorized(cfg, world)
    model, notes = made(algorithm, cfg, vector, compute.device, compute.seed)
    delayed = hasattr(model, "policy_delay")
    kind = OnPolicy if isinstance(model, OnPolicyAlgorithm) else Delayed if delayed else OffPolicy
    learner = kind(model, compute)
    stream = Rollouts if kind is OnPolicy else Greedy if isinstance(cfg, DQN) else Noisy
    total = cfg.total_timesteps or world.cfg.budget.steps or usual_steps(world.cfg) or 100_000
    return Experiment(learner, stream(model, vector, total, notes), policy=learner.greedy)


def vectorized(cfg: SB3, world: World) -> Vector:
    """The environments, not begun yet. Raises UsageError for spaces that the algorithm does not learn with."""
    env = world.make_env()
    space, action, name = env.observation_space, env.action_space, name_of(env)
    env.close()
    wanted = Discrete if isinstance(cfg, DQN) else Box if isinstance(cfg, Continuous) else object
    if not isinstance(action, wanted):
        hint = "sb3_ppo and sb3_a2c take both, " + ("sb3_sac continuous ones" if wanted is Discrete else
                                                    "sb3_dqn discrete ones")
        raise UsageError(f"{cfg.name} needs a {wanted.__name__} action space; {name} has {action}. {hint}")
    if isinstance(action, Box) and np.dtype(action.dtype).kind != "f":
        raise UsageError(f"{name} has actions {action}, whole numbers; Stable-Baselines3 would hand it fractions. Wrap "
                         "it so that it takes Discrete or MultiDiscrete actions, or a Box of floats")
    for each in (space, action):
        if isinstance(each, Discrete | MultiDiscrete) and np.any(each.start):
            raise UsageError(f"{name} has {each}, which counts from {each.start}; Stable-Baselines3 counts from 0")
    if hasattr(cfg, "buffer_size") and world.compute.device.type == "cpu":
        size = np.dtype(space.dtype).itemsize * math.prod(space.shape or ())
        world.must_fit("agent.buffer_size", cfg.buffer_size, 2 * size + 4 * math.prod(action.shape or (2,)) + 12)

    world.tried()

    def make() -> gym.Env[Any, Any]:
        return SeededOnce(world.make_env())

    cpu = copy.copy(world.compute)
    cpu.device = torch.device("cpu")                          # a vector env speaks numpy
    exhibited = isinstance(world, Exhibition)
    tier = Tier.BOUNDARY if exhibited else probe(make, lambda episode: cpu.seed_for(f"probe/{episode}"))
    return Vector(make, cfg.num_envs, cpu, tier)


def made(algorithm: type[Model], cfg: SB3, vector: Vector, device: torch.device, seed: int) -> tuple[Model, list[str]]:
    """The model, and what to know about it. Raises UsageError for a value that Stable-Baselines3 refuses."""
    space, shape = vector.observation_space, vector.observation_space.shape or ()
    picture = is_image_space(space) and sorted(shape)[1] >= SMALLEST
    policy = cfg.policy if cfg.policy != "auto" else "CnnPolicy" if picture else "MlpPolicy"
    given = {each.name: getattr(cfg, each.name) for each in fields(cfg) if each.name not in OURS}
    for name in ("learning_rate", "clip_range", "clip_range_vf"):
        if name in given:
            given[name] = schedule(given[name])
    if isinstance(given.get("train_freq"), list):
        given["train_freq"] = tuple(given["train_freq"])
    if isinstance(cfg, Continuous):
        given["action_noise"] = noise(cfg, vector.action_space.shape or ())
    kwargs = classes(cfg.policy_kwargs)
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        try:
            model = algorithm(policy, vector, seed=seed, device=device, policy_kwargs=kwargs or None, **given)
        except REFUSALS as error:
            raise UsageError(f"{cfg.name}: Stable-Baselines3 refuses this: {one_line(error)}") from error
    what = f"Stable-Baselines3 {stable_baselines3.__version__}: {algorithm.__name__}, {policy}, {cfg.num_envs} " \
           f"environment{'s' * (cfg.num_envs > 1)}"
    return model, [what, *(one_line(each.message) for each in said)]


def one_line(error: object) -> str:
    return " ".join(str(error).split())
