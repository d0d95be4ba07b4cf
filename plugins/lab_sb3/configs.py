"""One config for each algorithm. Light: `plugin.py` reads it.

Hyperparameters have the names, the defaults and the meaning that Stable-Baselines3 gives them; a test compares them.
"""

from dataclasses import dataclass, field
from typing import Any

from lab.errors import UsageError, one_of

from .limits import check, numeric


@dataclass
class SB3:
    """What all of them share."""

    name: str = "?"
    num_envs: int = 1
    policy: str = "auto"          # MlpPolicy, CnnPolicy; auto: CnnPolicy for pictures
    policy_kwargs: dict[str, Any] = field(default_factory=dict)       # net_arch: [64, 64], activation_fn: tanh ...
    total_timesteps: int | None = None    # towards which schedules count, as in learn(); budget.steps at the start
    learning_rate: Any = 3e-4     # or lin_3e-4: in a straight line to 0 at total_timesteps
    gamma: float = 0.99

    def __post_init__(self) -> None:
        check(self)
        one_of("agent.policy", self.policy, ("auto", "MlpPolicy", "CnnPolicy"))
        numeric("agent.learning_rate", self.learning_rate, "lin", 10)


@dataclass
class OnPolicy(SB3):
    n_steps: int = 2048           # of each environment, before an update
    gae_lambda: float = 0.95
    normalize_advantage: bool = True
    use_sde: bool = False         # generalized State Dependent Exploration
    sde_sample_freq: int = -1


@dataclass
class PPO(OnPolicy):
    """Schulman et al. 2017."""

    batch_size: int = 64
    n_epochs: int = 10
    clip_range: Any = 0.2         # or lin_0.2
    clip_range_vf: Any = None
    ent_coef: float = 0.0
    vf_coef: float = 0.5
    max_grad_norm: float = 0.5
    target_kl: float | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        numeric("agent.clip_range", self.clip_range, "lin")
        if self.clip_range_vf is not None:
            numeric("agent.clip_range_vf", self.clip_range_vf, "lin")


@dataclass
class A2C(OnPolicy):
    """Mnih et al. 2016."""

    learning_rate: Any = 7e-4
    n_steps: int = 5
    gae_lambda: float = 1.0
    normalize_advantage: bool = False
    ent_coef: float = 0.0
    vf_coef: float = 0.5
    max_grad_norm: float = 0.5
    rms_prop_eps: float = 1e-5
    use_rms_prop: bool = True


@dataclass
class TRPO(OnPolicy):
    """Schulman et al. 2015; of sb3-contrib."""

    learning_rate: Any = 1e-3
    batch_size: int = 128
    cg_max_steps: int = 15
    cg_damping: float = 0.1
    line_search_shrinking_factor: float = 0.8
    line_search_max_iter: int = 10
    n_critic_updates: int = 10
    target_kl: float = 0.01
    sub_sampling_factor: int = 1


@dataclass
class OffPolicy(SB3):
    buffer_size: int = 1_000_000
    learning_starts: int = 100
    batch_size: int = 256
    train_freq: Any = 1           # steps of each environment before an update; [1, episode] counts episodes
    gradient_steps: int = 1       # per update; -1: as many as steps were taken, all environments together
    n_steps: int = 1              # of reward before the bootstrapped value

    def __post_init__(self) -> None:
        super().__post_init__()
        n, unit = self.train_freq if isinstance(self.train_freq, list) and len(self.train_freq) == 2 else (
            self.train_freq, "step")
        if not (type(n) is int and n > 0 and unit in ("step", "episode")):
            raise UsageError(f"agent.train_freq is {self.train_freq}; expected a number of steps, or [N, episode]")
        if unit == "episode" and self.num_envs > 1:
            raise UsageError(f"agent.train_freq={self.train_freq} counts episodes, which needs agent.num_envs=1; "
                             f"came {self.num_envs}")
        if self.n_steps > max(self.buffer_size // self.num_envs, 1):
            raise UsageError(f"agent.buffer_size is {self.buffer_size}; {self.num_envs} environments with "
                             f"agent.n_steps={self.n_steps} need at least {self.num_envs * self.n_steps}")
        if self.gradient_steps < -1 or not self.gradient_steps:
            raise UsageError(f"agent.gradient_steps is {self.gradient_steps}; expected 1 or more, or -1")


@dataclass
class DQN(OffPolicy):
    """Mnih et al. 2015."""

    learning_rate: Any = 1e-4
    batch_size: int = 32
    tau: float = 1.0
    train_freq: Any = 4
    target_update_interval: int = 10_000
    exploration_fraction: float = 0.1     # of total_timesteps
    exploration_initial_eps: float = 1.0
    exploration_final_eps: float = 0.05
    max_grad_norm: float | None = 10


@dataclass
class QRDQN(DQN):
    """Dabney et al. 2018; of sb3-contrib."""

    learning_rate: Any = 5e-5
    exploration_fraction: float = 0.005
    exploration_final_eps: float = 0.01
    max_grad_norm: float | None = None


@dataclass
class Continuous(OffPolicy):
    noise_type: str = "none"      # added to the action: none, normal, ornstein-uhlenbeck
    noise_std: float = 0.1        # of actions that are scaled to [-1, 1]

    def __post_init__(self) -> None:
        super().__post_init__()
        one_of("agent.noise_type", self.noise_type, ("none", "normal", "ornstein-uhlenbeck"))


@dataclass
class TD3(Continuous):
    """Fujimoto et al. 2018."""

    learning_rate: Any = 1e-3
    tau: float = 0.005
    policy_delay: int = 2
    target_policy_noise: float = 0.2
    target_noise_clip: float = 0.5


@dataclass
class Entropic(Continuous):
    ent_coef: Any = "auto"        # or a number, or auto_0.1: learned, from 0.1 on
    target_entropy: Any = "auto"
    use_sde: bool = False         # generalized State Dependent Exploration
    sde_sample_freq: int = -1
    use_sde_at_warmup: bool = False

    def __post_init__(self) -> None:
        super().__post_init__()
        numeric("agent.ent_coef", self.ent_coef, "auto")


@dataclass
class SAC(Entropic):
    """Haarnoja et al. 2018."""

    tau: float = 0.005
    target_update_interval: int = 1


@dataclass
class TQC(SAC):
    """Kuznetsov et al. 2020; of sb3-contrib."""

    top_quantiles_to_drop_per_net: int = 2


@dataclass
class CrossQ(Entropic):
    """Bhatt et al. 2024; of sb3-contrib."""

    learning_rate: Any = 1e-3
    policy_delay: int = 3
