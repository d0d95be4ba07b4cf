"""What the package offers. Light: every command reads this file, so torch stays in noise.py."""

from dataclasses import dataclass
from pathlib import Path

from lab import Agent, hookimpl
from lab.errors import within


@dataclass
class Noise:
    name: str = "noise"
    num_envs: int = 1
    scale: float = 1.0            # of the reported reward

    def __post_init__(self) -> None:
        within("agent.num_envs", self.num_envs, 1, 1024)


@hookimpl
def lab_agents() -> list[Agent]:
    idle = "it learns nothing"
    return [Agent("noise", Noise, "lab_noise.noise:build", tuned={"default": {"budget.steps": 1_000}},
                  not_checked={"an_update_changes_the_learner": idle, "overfits_one_batch": idle})]


@hookimpl
def lab_conf() -> Path:
    return Path(__file__).parent / "conf"
