"""Whether an agent can be made at all; only then is Stable-Baselines3 imported."""

import sys
from importlib import import_module

from lab.contract import Experiment
from lab.errors import UsageError
from lab.world import World

from .configs import SB3

ALGORITHMS = {
    "sb3_ppo": "stable_baselines3:PPO", "sb3_a2c": "stable_baselines3:A2C", "sb3_sac": "stable_baselines3:SAC",
    "sb3_td3": "stable_baselines3:TD3", "sb3_dqn": "stable_baselines3:DQN", "sb3_trpo": "sb3_contrib:TRPO",
    "sb3_qrdqn": "sb3_contrib:QRDQN", "sb3_tqc": "sb3_contrib:TQC", "sb3_crossq": "sb3_contrib:CrossQ"}


def build(cfg: SB3, world: World) -> Experiment:
    """Raises UsageError for what is not installed and for what Stable-Baselines3 cannot do."""
    package, _, algorithm = ALGORITHMS[cfg.name].partition(":")
    try:
        module = import_module(package)
    except ModuleNotFoundError as error:
        raise UsageError(f"{cfg.name} needs the package {error.name}, which is not installed: "
                         f'{sys.executable} -m pip install "pluglab[sb3]"') from error
    refuse(cfg, world)
    from .experiment import experiment

    return experiment(getattr(module, algorithm), cfg, world)


def refuse(cfg: SB3, world: World) -> None:
    """Raises UsageError for what the rest of the config asks for in vain, before anything is made."""
    compute, chosen = world.compute, world.cfg
    if compute.precision == "bf16":
        raise UsageError("compute.precision=bf16: Stable-Baselines3 computes in float32; use fp32 or auto")
    if compute.jit_mode != "eager":
        raise UsageError(f"compute.jit={compute.jit_mode}: Stable-Baselines3 runs its own code as it is; use eager")
    if compute.seed >= 2**32 - cfg.num_envs:
        raise UsageError(f"seed={compute.seed}: Stable-Baselines3 takes seeds below {2**32 - cfg.num_envs:,}")
    if chosen.optimizer is not None:
        raise UsageError(f"optimizer={chosen.optimizer.name}: {cfg.name} has its own optimizer; set "
                         "agent.learning_rate or +agent.policy_kwargs.optimizer_class=adamw")
    if chosen.model is not None:
        raise UsageError(f"model={chosen.model.name}: {cfg.name} makes its own network; set agent.policy or "
                         "+agent.policy_kwargs.net_arch=[64,64]")
