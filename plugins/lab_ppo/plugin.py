"""Proximal policy optimisation. Light: the command line reads this file before torch is imported."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lab import Agent, hookimpl
from lab.errors import UsageError, within


@dataclass
class PPO:
    """Schulman et al. 2017, arXiv:1707.06347. Steps are environment steps unless it says otherwise.

    Rollouts, epochs and minibatches are by default those of rl-zoo3 for Atari, the rest as in Stable-Baselines3 2.9.2.
    """

    name: str = "ppo"
    num_envs: int = 8
    rollout_steps: int = 128      # of each environment per update
    epochs: int = 4               # passes over a rollout per update
    batch_size: int = 256         # rows per gradient step; divides num_envs * rollout_steps
    discount: float = 0.99        # gamma, per step
    gae_lambda: float = 0.95      # 0: values alone; 1: rewards alone, up to the end of the rollout
    clip: float = 0.2             # epsilon: how far a probability ratio may go from 1
    clip_decay: int = 0           # steps over which it goes to clip * clip_final in a straight line; 0: it stays
    clip_final: float = 0.0       # the last clip as a share of the first
    value_clip: float | None = None     # how far a value may go in one update, in units of the return; None: anywhere
    value_coef: float = 0.5       # weight of the squared error of the values
    entropy_coef: float = 0.0     # weight of the policy's entropy, in nats
    entropy_decay: int = 0        # as clip_decay
    entropy_final: float = 0.0    # as clip_final
    normalize_advantage: bool = True    # to mean 0 and deviation 1 in each minibatch
    max_grad_norm: float = 0.5
    target_kl: float | None = None      # nats; an update ends with the epoch that has moved the policy further
    log_std: float = 0.0          # of a Gaussian policy at the start: the natural logarithm of its deviation
    shared_body: bool | None = None     # one network below policy and value; None: for pictures alone

    def __post_init__(self) -> None:
        within("agent.num_envs", self.num_envs, 1, 4096)
        within("agent.rollout_steps", self.rollout_steps, 1, 1_000_000)
        within("agent.epochs", self.epochs, 1, 1000)
        within("agent.batch_size", self.batch_size, 2 if self.normalize_advantage else 1, 10**9)
        rows = self.num_envs * self.rollout_steps
        if rows < 2:
            raise UsageError("agent.num_envs=1 times agent.rollout_steps=1 is one row, which has no deviation; use "
                             "more of either")
        if rows % self.batch_size:
            raise UsageError(
                f"agent.batch_size={self.batch_size} does not divide the {rows:,} rows of an update (agent.num_envs="
                f"{self.num_envs} times agent.rollout_steps={self.rollout_steps}); {near(rows, self.batch_size)}")
        within("agent.discount", self.discount, 0, 1)
        within("agent.gae_lambda", self.gae_lambda, 0, 1)
        within("agent.clip", self.clip, 1e-9, 1e12)
        within("agent.value_clip", self.value_clip, 1e-9, 1e12)
        within("agent.value_coef", self.value_coef, 0, 1e12)
        within("agent.entropy_coef", self.entropy_coef, 0, 1e12)
        for name in ("clip", "entropy"):
            within(f"agent.{name}_decay", getattr(self, f"{name}_decay"), 0, 10**12)
            within(f"agent.{name}_final", getattr(self, f"{name}_final"), 0, 1)
        within("agent.max_grad_norm", self.max_grad_norm, 1e-9, 1e12)
        within("agent.target_kl", self.target_kl, 1e-9, 1e12)
        within("agent.log_std", self.log_std, -20, 5)


def near(rows: int, size: int) -> str:
    """What to do about a minibatch that does not divide the rows: the nearest sizes that do."""
    divisors = [n for n in range(2, min(rows, 10**6) + 1) if rows % n == 0]
    nearest = sorted(sorted(divisors, key=lambda n: abs(n - size))[:3])
    return f"use one that does, such as {' or '.join(map(str, nearest))}"


MUJOCO = {
    "budget.steps": 1_000_000, "agent.num_envs": 1, "agent.rollout_steps": 2048, "agent.epochs": 10,
    "agent.batch_size": 64, "optimizer.schedule": "linear", "optimizer.decay": 156_480}
ATARI = {
    "budget.steps": 10_000_000, "agent.num_envs": 8, "agent.rollout_steps": 128, "agent.epochs": 4,
    "agent.batch_size": 256, "agent.clip": 0.1, "agent.clip_decay": 10_000_000, "agent.entropy_coef": 0.01,
    "model.hidden": [512], "model.activation": "relu", "optimizer.lr": 2.5e-4, "optimizer.schedule": "linear",
    "optimizer.decay": 156_256}

TUNED: dict[str, dict[str, Any]] = {
    "default": {"budget.steps": 500_000, "model.hidden": [64, 64], "model.activation": "tanh", "optimizer.lr": 3e-4,
                "optimizer.eps": 1e-5},
    # rl-zoo3 2.9.2, hyperparams/ppo.yml, which normalises the observations of Acrobot, MountainCar and BipedalWalker. A
    # schedule ends with the budget: CartPole's are 391 updates of 20 gradient steps.
    "CartPole-v1": {
        "budget.steps": 100_000, "agent.rollout_steps": 32, "agent.epochs": 20, "agent.batch_size": 256,
        "agent.discount": 0.98, "agent.gae_lambda": 0.8, "agent.clip_decay": 100_000, "optimizer.lr": 1e-3,
        "optimizer.schedule": "linear", "optimizer.decay": 7_820},
    "Acrobot-v1": {
        "budget.steps": 1_000_000, "agent.num_envs": 16, "agent.rollout_steps": 256, "agent.epochs": 4,
        "agent.batch_size": 64, "agent.gae_lambda": 0.94},
    "MountainCar-v0": {
        "budget.steps": 1_000_000, "agent.num_envs": 16, "agent.rollout_steps": 16, "agent.epochs": 4,
        "agent.batch_size": 64, "agent.gae_lambda": 0.98},
    "LunarLander-v3": {
        "budget.steps": 1_000_000, "agent.num_envs": 16, "agent.rollout_steps": 1024, "agent.epochs": 4,
        "agent.batch_size": 64, "agent.discount": 0.999, "agent.gae_lambda": 0.98, "agent.entropy_coef": 0.01},
    "Pendulum-v1": {              # there with noise that depends on the state (gSDE), here without
        "budget.steps": 100_000, "agent.num_envs": 4, "agent.rollout_steps": 1024, "agent.epochs": 10,
        "agent.batch_size": 64, "agent.discount": 0.9, "optimizer.lr": 1e-3},
    "BipedalWalker-v3": {
        "budget.steps": 5_000_000, "agent.num_envs": 32, "agent.rollout_steps": 2048, "agent.epochs": 10,
        "agent.batch_size": 64, "agent.discount": 0.999, "agent.clip": 0.18},
    # CleanRL, ppo_continuous_action.py, as Schulman et al. 2017, table 3; it normalises observations and rewards.
    **{f"{name}-v5": MUJOCO for name in ("Ant", "HalfCheetah", "Hopper", "Humanoid", "InvertedDoublePendulum",
                                        "InvertedPendulum", "Reacher", "Swimmer", "Walker2d")},
    # rl-zoo3's "atari".
    **{f"ALE/{name}-v5": ATARI for name in ("BeamRider", "Breakout", "Enduro", "Pong", "Qbert", "Seaquest",
                                            "SpaceInvaders")},
}

SMALL = ("agent.num_envs=2", "agent.rollout_steps=4", "agent.epochs=2", "agent.batch_size=4", "agent.discount=0.9",
         "agent.clip_decay=300", "agent.entropy_coef=0.01", "agent.entropy_decay=400", "model.hidden=[16]",
         "optimizer.lr=3e-3")


@hookimpl
def lab_agents() -> list[Agent]:
    return [Agent("ppo", PPO, "lab_ppo.ppo:build", learns_from="env", tuned=TUNED, small=SMALL)]


@hookimpl
def lab_conf() -> Path:
    return Path(__file__).parent / "conf"
