"""What the lab itself offers, through the hooks that everyone uses. Light: no torch here."""

from dataclasses import dataclass, field
from typing import Any

from . import Env, Optimizer, hookimpl
from .errors import UsageError, one_of, within


@dataclass
class Gym:
    """Any registered Gymnasium environment."""

    name: str = "gym"
    id: str = ""
    options: dict[str, Any] = field(default_factory=dict)     # arguments of the environment itself
    max_episode_steps: int | None = None                      # None: as registered

    def __post_init__(self) -> None:
        if not self.id:
            raise UsageError("env.id is missing: name a registered environment, such as env=gym env.id=CartPole-v1")
        within("env.max_episode_steps", self.max_episode_steps, 1, 10**9)


@dataclass
class OptimizerConfig:
    """The learning rate climbs over `warmup` steps and follows `schedule` from lr to lr * final over `decay` steps."""

    name: str = "adam"
    lr: float = 1e-3
    weight_decay: float = 0.0
    schedule: str = "constant"    # constant, linear, cosine
    warmup: int = 0               # optimizer steps
    decay: int = 0                # optimizer steps; in absolute units: training longer holds the last value
    final: float = 0.0            # the last learning rate as a share of lr

    def __post_init__(self) -> None:
        one_of("optimizer.schedule", self.schedule, ("constant", "linear", "cosine"))
        if not 0 < self.lr <= 10:
            raise UsageError(f"optimizer.lr is {self.lr}; expected a number above 0 and at most 10")
        within("optimizer.weight_decay", self.weight_decay, 0, 10)
        within("optimizer.warmup", self.warmup, 0, 10**12)
        within("optimizer.decay", self.decay, 0 if self.schedule == "constant" else 1, 10**12)
        within("optimizer.final", self.final, 0, 1)


@dataclass
class Adam(OptimizerConfig):
    """Kingma & Ba 2015."""

    beta1: float = 0.9
    beta2: float = 0.999
    eps: float = 1e-8

    def __post_init__(self) -> None:
        super().__post_init__()
        within("optimizer.beta1", self.beta1, 0, 0.999999)
        within("optimizer.beta2", self.beta2, 0, 0.999999)
        within("optimizer.eps", self.eps, 0, 1)


@dataclass
class AdamW(Adam):
    """Loshchilov & Hutter 2019."""

    name: str = "adamw"
    weight_decay: float = 1e-2


@dataclass
class SGD(OptimizerConfig):
    name: str = "sgd"
    lr: float = 1e-2
    momentum: float = 0.0
    nesterov: bool = False

    def __post_init__(self) -> None:
        super().__post_init__()
        within("optimizer.momentum", self.momentum, 0, 0.999999)
        if self.nesterov and not self.momentum:
            raise UsageError("optimizer.nesterov=true needs optimizer.momentum above 0")


@dataclass
class RMSprop(OptimizerConfig):
    """Tieleman & Hinton 2012; centered as in Mnih et al. 2015."""

    name: str = "rmsprop"
    alpha: float = 0.99
    eps: float = 1e-8
    centered: bool = False

    def __post_init__(self) -> None:
        super().__post_init__()
        within("optimizer.alpha", self.alpha, 0, 0.999999)


@hookimpl
def lab_envs() -> list[Env]:
    return [Env("gym", Gym, "lab.gymnasium_envs:build")]


@hookimpl
def lab_optimizers() -> list[Optimizer]:
    return [Optimizer("adam", Adam, "lab.optimizers:adam"), Optimizer("adamw", AdamW, "lab.optimizers:adamw"),
            Optimizer("sgd", SGD, "lab.optimizers:sgd"), Optimizer("rmsprop", RMSprop, "lab.optimizers:rmsprop")]
