"""Tabular value learning. Light: the command line reads this file before torch is imported."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from lab import Agent, hookimpl
from lab.errors import UsageError, nearest, within


@dataclass
class Tabular:
    """What all four agents share. Steps are environment steps, all environments together.

    The rate of the k-th visit to a (state, action) is rate / k**rate_decay, polynomial as in Even-Dar & Mansour 2003
    (Learning Rates for Q-learning, section 4); rate_decay 0 keeps it constant.
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
    bins: list[int] = field(default_factory=lambda: [8])      # of a Box: for each dimension, or one number for all
    low: list[float] = field(default_factory=list)            # where the bins begin; empty: at the bounds of the Box
    high: list[float] = field(default_factory=list)           # where they end; what lies beyond counts as the last bin

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
        if self.fast_path not in ("auto", "never"):
            raise UsageError(f"agent.fast_path={self.fast_path} is not known. {nearest(self.fast_path, ('auto', 'never'))}")


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


TUNED: dict[str, dict[str, Any]] = {
    "default": {"budget.steps": 500_000},
}

SMALL = ("agent.num_envs=4", "agent.epsilon_steps=150", "agent.discount=0.9")


@hookimpl
def lab_agents() -> list[Agent]:
    configs = (QLearning, Sarsa, ExpectedSarsa, DoubleQLearning)
    return [Agent(config.name, config, "lab_tabular.build:build", tuned=TUNED, small=SMALL) for config in configs]


@hookimpl
def lab_conf() -> Path:
    return Path(__file__).parent / "conf"
