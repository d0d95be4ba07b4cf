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
class Atari:
    """A game of the Arcade Learning Environment.

    The protocol is that of Machado et al. 2018, arXiv:1709.06009: sticky actions, an episode lasts until the game is
    over, the agent is not told of lives. The screen is that of Mnih et al. 2015, doi:10.1038/nature14236: the brighter
    of the last two frames, grey, 84 by 84, four in a stack. What else follows whom stands beside each key.
    """

    name: str = "Atari"
    id: str = "Atari/${.game}"    # follows the game
    game: str = "pong"            # as in `python -c "import ale_py.roms as r; print(r.get_all_rom_ids())"`
    sticky: float = 0.25          # probability that a frame repeats the action of the frame before (Machado)
    episodic_life: bool = False   # a lost life is terminal for learning, the game goes on; true: Mnih
    clip_reward: bool = True      # learn from the sign of the reward; returns are of the game itself (Mnih)
    frame_skip: int = 4           # frames per step, the action held (Mnih); 5 in Machado
    stack: int = 4                # screens per observation [stack, ...], newest last, zeros before the first (Mnih)
    screen: int = 84              # height and width in pixels, averaged over areas (Mnih)
    grayscale: bool = True        # false: three colours, observations [stack, height, width, 3]
    noop_max: int = 0             # an episode begins with up to so many frames of no action; 30: Mnih, 0: Machado
    full_action_space: bool = False   # all 18 actions (Machado) rather than those that the game knows (Mnih)
    max_frames: int = 108_000     # an episode is truncated after so many, 30 minutes (Mnih); 18_000 in Machado
    mode: int | None = None       # a flavour of the game (Machado, section 6); None: the first
    difficulty: int | None = None

    def __post_init__(self) -> None:
        if self.id not in (f"Atari/{self.game}", Atari.id):
            raise UsageError(f"env.id={self.id} follows from the game; set env.game, such as env.game=breakout")
        self.id = f"Atari/{self.game}"
        within("env.sticky", self.sticky, 0, 1)
        within("env.frame_skip", self.frame_skip, 1, 1_000)
        within("env.stack", self.stack, 1, 64)
        within("env.screen", self.screen, 8, 210)
        within("env.noop_max", self.noop_max, 0, 10_000)
        within("env.max_frames", self.max_frames, 1, 10**9)


SCHEDULES = ("constant", "linear", "cosine", "step", "one_cycle")


@dataclass
class OptimizerConfig:
    """The learning rate climbs over `warmup` steps and follows `schedule` from lr to lr * final over `decay` steps."""

    name: str = "adam"
    lr: float = 1e-3
    weight_decay: float = 0.0
    schedule: str = "constant"    # constant, linear, cosine, step, one_cycle
    warmup: int = 0               # optimizer steps
    decay: int = 0                # optimizer steps, to be held afterwards; 0: the whole run, where data says how many
    final: float = 0.0            # the last learning rate as a share of lr
    drops: list[float] = field(default_factory=lambda: [0.5, 0.75])     # of step: at these shares of decay ...
    factor: float = 0.1           # ... the rate is multiplied by this

    def __post_init__(self) -> None:
        one_of("optimizer.schedule", self.schedule, SCHEDULES)
        if not 0 < self.lr <= 10:
            raise UsageError(f"optimizer.lr is {self.lr}; expected a number above 0 and at most 10")
        within("optimizer.weight_decay", self.weight_decay, 0, 10)
        within("optimizer.warmup", self.warmup, 0, 10**12)
        within("optimizer.decay", self.decay, 0, 10**12)
        within("optimizer.factor", self.factor, 0, 1)
        for share in self.drops:
            within("optimizer.drops", share, 0, 1)
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
class Muon(AdamW):
    """Hidden matrices by their orthogonalised momentum (Jordan et al. 2024), at the scale of AdamW's steps (Liu et al.
    2025, arXiv:2502.16982, equation 4); AdamW for all else, and for agents that do not say which are hidden.
    """

    name: str = "muon"
    momentum: float = 0.95

    def __post_init__(self) -> None:
        super().__post_init__()
        within("optimizer.momentum", self.momentum, 0, 0.999999)


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
    return [Env("gym", Gym, "lab.gymnasium_envs:build", "lab.gymnasium_envs:build_vector"),
            Env("Atari", Atari, "lab.atari:build", "lab.atari_vector:build", packages=("ale-py",))]


@hookimpl
def lab_optimizers() -> list[Optimizer]:
    return [Optimizer("adam", Adam, "lab.optimizers:adam"), Optimizer("adamw", AdamW, "lab.optimizers:adamw"),
            Optimizer("muon", Muon, "lab.optimizers:muon"),
            Optimizer("sgd", SGD, "lab.optimizers:sgd"), Optimizer("rmsprop", RMSprop, "lab.optimizers:rmsprop")]
