"""Tabular value learning. Light: the command line reads this file before torch is imported."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from lab import Agent, hookimpl
from lab.errors import one_of, within


@dataclass
class Tabular:
    """What all four agents share. Steps are environment steps, all environments together.

    The rate of the k-th visit to a (state, action) is rate / k**rate_decay, polynomial as in Even-Dar & Mansour 2003,
    Learning Rates for Q-learning; rate_decay 0 keeps it constant.
    """

    name: str = "?"
    num_envs: int = 16
    discount: float = 0.99        # gamma, per step
    rate: float = 1.0             # alpha of the first visit
    rate_decay: float = 0.6       # omega; above 0.5 and up to 1 converges, 0 tracks and suits deterministic worlds
    epsilon_start: float = 1.0    # share of random actions
    epsilon_end: float = 0.05
    epsilon_steps: int = 200_000  # over which epsilon falls in a straight line
    fast_path: str = "auto"       # auto: draw steps from the transition table where it is known; never
    # of a Box; one number per dimension, or one for all
    bins: list[int] = field(default_factory=lambda: [8])
    low: list[float] = field(default_factory=list)            # where the bins begin; empty: at the bounds of the Box
    high: list[float] = field(default_factory=list)           # where they end; what lies beyond belongs to the last

    def __post_init__(self) -> None:
        within("agent.num_envs", self.num_envs, 1, 1_000_000)
        within("agent.discount", self.discount, 0, 1)
        within("agent.rate", self.rate, 1e-9, 1)
        within("agent.rate_decay", self.rate_decay, 0, 1)
        within("agent.epsilon_start", self.epsilon_start, 0, 1)
        within("agent.epsilon_end", self.epsilon_end, 0, 1)
        within("agent.epsilon_steps", self.epsilon_steps, 1, 10**15)
        for each in self.bins:
            within("agent.bins", each, 1, 1_000_000)
        one_of("agent.fast_path", self.fast_path, ("auto", "never"))


@dataclass
class QLearning(Tabular):
    """Watkins 1989, Learning from Delayed Rewards; Sutton & Barto 2018, section 6.5."""

    name: str = "q_learning"


@dataclass
class Sarsa(Tabular):
    """Rummery & Niranjan 1994; Sutton & Barto 2018, section 6.4."""

    name: str = "sarsa"


@dataclass
class ExpectedSarsa(Tabular):
    """van Seijen et al. 2009; Sutton & Barto 2018, section 6.6."""

    name: str = "expected_sarsa"


@dataclass
class DoubleQLearning(Tabular):
    """van Hasselt 2010, Double Q-learning; Sutton & Barto 2018, section 6.7."""

    name: str = "double_q_learning"


def row(budget: int, epsilon: float, decay: float, **more: Any) -> dict[str, Any]:
    """Epsilon falls from `epsilon` to 0 over the first nine tenths of `budget` steps."""
    agent = {"num_envs": 1024, "epsilon_start": epsilon, "epsilon_end": 0.0, "epsilon_steps": budget * 9 // 10,
             "rate_decay": decay, **more}
    return {"budget.steps": budget, **{f"agent.{name}": value for name, value in agent.items()}}


CART_POLE = {"num_envs": 32, "bins": [4, 4, 10, 10], "low": [-2.4, -3.0, -0.21, -3.0], "high": [2.4, 3.0, 0.21, 3.0]}
BLACKJACK = {"num_envs": 64, "discount": 1.0}
DEFAULT = row(500_000, 1.0, 0.6, num_envs=16)
OFF_POLICY = {                    # learns about the greedy policy whatever it does: may explore as much as it likes
    "default": DEFAULT,
    "FrozenLake-v1": row(2_000_000, 1.0, 0.6),
    "FrozenLake8x8-v1": row(4_000_000, 1.0, 0.5, discount=0.995),
    "CliffWalking-v1": row(1_000_000, 1.0, 0.0),
    "CliffWalkingSlippery-v1": row(4_000_000, 0.6, 0.5),
    "Taxi-v4": row(2_000_000, 1.0, 0.0),
    "Blackjack-v1": row(300_000, 1.0, 0.8, **BLACKJACK),
    "CartPole-v1": row(300_000, 1.0, 0.5, **CART_POLE),
}
ON_POLICY = {                     # learns about what it does: explores little, and forgets what it did before
    "default": DEFAULT,
    "FrozenLake-v1": row(2_000_000, 0.1, 0.3),
    "FrozenLake8x8-v1": row(4_000_000, 0.1, 0.25, discount=0.995),
    "CliffWalking-v1": row(1_000_000, 0.001, 0.6, num_envs=512, rate=0.5),
    "CliffWalkingSlippery-v1": row(4_000_000, 0.003, 0.3),
    "Taxi-v4": row(4_000_000, 0.3, 0.5),
    "Blackjack-v1": row(300_000, 0.3, 0.8, **BLACKJACK),
    "CartPole-v1": row(300_000, 0.3, 0.5, **CART_POLE),
}

SMALL = ("agent.num_envs=4", "agent.epsilon_steps=250", "agent.epsilon_end=0.1", "agent.discount=0.9")


@hookimpl
def lab_agents() -> list[Agent]:
    tables = {QLearning: OFF_POLICY, Sarsa: ON_POLICY, ExpectedSarsa: ON_POLICY, DoubleQLearning: OFF_POLICY}
    return [Agent(config.name, config, "lab_tabular.build:build", tuned=tuned, small=SMALL)
            for config, tuned in tables.items()]


@hookimpl
def lab_conf() -> Path:
    return Path(__file__).parent / "conf"
