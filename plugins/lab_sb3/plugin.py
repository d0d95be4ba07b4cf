"""Agents of Stable-Baselines3 and sb3-contrib. Light: the command line reads this file before torch is imported."""

from pathlib import Path
from typing import Any

from lab import Agent, hookimpl

from .configs import A2C, DQN, PPO, QRDQN, SAC, SB3, TD3, TQC, TRPO, CrossQ

STEPS: dict[str, dict[str, Any]] = {"default": {"budget.steps": 100_000}}          # the hyperparameters stay SB3's own
FEWER: dict[str, dict[str, Any]] = {**STEPS, "Pendulum-v1": {"budget.steps": 20_000}}
ON_POLICY = ("agent.num_envs=4", "agent.n_steps=2", "agent.learning_rate=0.01", "+agent.policy_kwargs.net_arch=[8]")
OFF_POLICY = ("agent.num_envs=2", "agent.learning_rate=0.01", "+agent.policy_kwargs.net_arch=[16]",
              "agent.buffer_size=96", "agent.learning_starts=40", "agent.batch_size=16", "agent.train_freq=1")
GREEDY = ("agent.target_update_interval=14", "agent.exploration_fraction=1", "agent.exploration_final_eps=0.3",
          "agent.total_timesteps=600")
NOISY = ("agent.noise_type=ornstein-uhlenbeck", "agent.noise_std=0.5")
FLOAT32 = {"bf16_is_finite": "Stable-Baselines3 computes in float32 alone: compute.precision=bf16 is refused"}


def agent(name: str, config: type[SB3], small: tuple[str, ...], steps: dict[str, dict[str, Any]] = STEPS) -> Agent:
    return Agent(f"sb3_{name}", config, "lab_sb3.build:build", tuned=steps, small=small, not_checked=FLOAT32,
                 packages=("stable-baselines3", "sb3-contrib"))


@hookimpl
def lab_agents() -> list[Agent]:
    small_batch = (*ON_POLICY, "agent.batch_size=8")
    return [agent("ppo", PPO, (*small_batch, "agent.n_epochs=1")), agent("a2c", A2C, ON_POLICY),
            agent("trpo", TRPO, (*small_batch, "agent.n_critic_updates=1", "agent.cg_max_steps=3")),
            agent("dqn", DQN, (*OFF_POLICY, *GREEDY)),
            agent("qrdqn", QRDQN, (*OFF_POLICY, *GREEDY, "+agent.policy_kwargs.n_quantiles=8")),
            agent("sac", SAC, (*OFF_POLICY, *NOISY), FEWER), agent("td3", TD3, (*OFF_POLICY, *NOISY), FEWER),
            agent("tqc", TQC, (*OFF_POLICY, *NOISY), FEWER), agent("crossq", CrossQ, (*OFF_POLICY, *NOISY), FEWER)]


@hookimpl
def lab_conf() -> Path:
    return Path(__file__).parent / "conf"
