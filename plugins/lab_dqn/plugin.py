"""Deep Q-learning. Light: the command line reads this file before torch is imported."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lab import Agent, hookimpl
from lab.errors import UsageError, within


@dataclass
class DQN:
    """Mnih et al. 2015, doi:10.1038/nature14236. Steps are environment steps unless it says otherwise."""

    name: str = "dqn"
    num_envs: int = 1
    discount: float = 0.99        # gamma, per step
    n_steps: int = 1              # steps of reward before the bootstrapped value; 1 in the paper
    buffer_size: int = 100_000    # transitions; 1e6 in the paper
    batch_size: int = 64          # transitions per gradient step
    warmup: int = 1_000           # steps before the first update
    train_every: int = 4          # steps of each environment between updates
    gradient_steps: int = 1       # minibatches per update
    target_every: int = 250       # gradient steps between copies of the network into the target
    epsilon_start: float = 1.0    # share of random actions
    epsilon_end: float = 0.05
    epsilon_steps: int = 10_000   # over which epsilon falls in a straight line
    huber_delta: float = 1.0      # error up to which the loss is quadratic, in units of the return
    max_grad_norm: float = 10.0

    def __post_init__(self) -> None:
        within("agent.num_envs", self.num_envs, 1, 4096)
        within("agent.discount", self.discount, 0, 1)
        within("agent.n_steps", self.n_steps, 1, 1000)
        within("agent.batch_size", self.batch_size, 1, 1_000_000)
        within("agent.buffer_size", self.buffer_size, self.batch_size, 10**9)
        if self.buffer_size < self.num_envs * (self.n_steps + 1):
            raise UsageError(f"agent.buffer_size is {self.buffer_size}; {self.num_envs} environments with "
                             f"{self.n_steps} steps need at least {self.num_envs * (self.n_steps + 1)}")
        within("agent.warmup", self.warmup, 1, 10**12)
        within("agent.train_every", self.train_every, 1, 1_000_000)
        within("agent.gradient_steps", self.gradient_steps, 1, 100_000)
        within("agent.target_every", self.target_every, 1, 10**9)
        within("agent.epsilon_start", self.epsilon_start, 0, 1)
        within("agent.epsilon_end", self.epsilon_end, 0, 1)
        within("agent.epsilon_steps", self.epsilon_steps, 1, 10**12)
        within("agent.huber_delta", self.huber_delta, 1e-9, 1e12)
        within("agent.max_grad_norm", self.max_grad_norm, 1e-9, 1e12)


TUNED: dict[str, dict[str, Any]] = {
    "default": {"budget.steps": 100_000},
    # Long returns carry the value of 500 steps quickly; tanh, being smooth, treats the rare starting states like their
    # neighbours; 0.995 sees a slow drift to the edge in time, and so does a loss that is quadratic up to 20.
    # Tuned on the seeds 0 to 23, 100 to 109, 204, 207, 302 and 308, those that had failed before among them.
    "CartPole-v1": {
        "budget.steps": 50_000, "agent.discount": 0.995, "agent.n_steps": 20, "agent.batch_size": 128,
        "agent.train_every": 8, "agent.gradient_steps": 4, "agent.target_every": 50, "agent.epsilon_end": 0.1,
        "agent.epsilon_steps": 8_000, "agent.huber_delta": 20.0, "model.hidden": [256, 256], "model.activation": "tanh",
        "optimizer.lr": 1e-3, "optimizer.schedule": "linear", "optimizer.decay": 24_504},
    # rl-zoo3 2.9.2, hyperparams/dqn.yml
    "Acrobot-v1": {
        "budget.steps": 100_000, "agent.batch_size": 128, "agent.buffer_size": 50_000, "agent.warmup": 128,
        "agent.train_every": 4, "agent.gradient_steps": 4, "agent.target_every": 250, "agent.epsilon_end": 0.1,
        "agent.epsilon_steps": 12_000, "optimizer.lr": 6.3e-4},
    "MountainCar-v0": {
        "budget.steps": 120_000, "agent.discount": 0.98, "agent.batch_size": 128, "agent.buffer_size": 10_000,
        "agent.train_every": 16, "agent.gradient_steps": 8, "agent.target_every": 300, "agent.epsilon_end": 0.07,
        "agent.epsilon_steps": 24_000, "optimizer.lr": 4e-3},
    "LunarLander-v3": {
        "budget.steps": 100_000, "agent.batch_size": 128, "agent.buffer_size": 50_000, "agent.warmup": 128,
        "agent.train_every": 4, "agent.gradient_steps": 4, "agent.target_every": 250, "agent.epsilon_end": 0.1,
        "agent.epsilon_steps": 12_000, "optimizer.lr": 6.3e-4},
}

SMALL = ("agent.num_envs=2", "agent.warmup=40", "agent.train_every=1", "agent.batch_size=16", "agent.buffer_size=64",
         "agent.target_every=7", "agent.n_steps=2", "agent.epsilon_steps=500", "model.hidden=[16]")


@hookimpl
def lab_agents() -> list[Agent]:
    return [Agent("dqn", DQN, "lab_dqn.dqn:build", learns_from="env", tuned=TUNED, small=SMALL)]


@hookimpl
def lab_conf() -> Path:
    return Path(__file__).parent / "conf"
