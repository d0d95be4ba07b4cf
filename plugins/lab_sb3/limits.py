"""What values the hyperparameters may have; most of what Stable-Baselines3 would find out late or never."""

from dataclasses import fields
from typing import Any

from lab.errors import UsageError, within

RANGES: dict[str, tuple[float, float]] = {
    "num_envs": (1, 4096), "n_steps": (1, 10**7), "batch_size": (1, 10**7),
    "n_epochs": (1, 10**5), "gamma": (0, 1), "gae_lambda": (0, 1), "vf_coef": (0, 1e6), "max_grad_norm": (1e-9, 1e12),
    "target_kl": (1e-12, 1e6), "sde_sample_freq": (-1, 10**9), "rms_prop_eps": (0, 1), "buffer_size": (1, 10**10),
    "learning_starts": (0, 10**12), "tau": (0, 1), "policy_delay": (1, 10**6), "target_policy_noise": (0, 1e6),
    "target_noise_clip": (0, 1e6), "noise_std": (0, 1e6), "target_update_interval": (1, 10**12),
    "exploration_fraction": (1e-12, 1), "exploration_initial_eps": (0, 1), "exploration_final_eps": (0, 1),
    "cg_max_steps": (1, 10**6), "cg_damping": (0, 1e6), "line_search_shrinking_factor": (1e-9, 1),
    "line_search_max_iter": (1, 10**6), "n_critic_updates": (1, 10**6), "sub_sampling_factor": (1, 10**6),
    "top_quantiles_to_drop_per_net": (0, 10**6)}


def numeric(key: str, value: Any, word: str, high: float = 1e6) -> None:
    """Raises UsageError unless `value` is a number up to `high`, or one after `word`, such as lin_0.001, or auto."""
    text = str(value)
    try:
        number = float(text.removeprefix(f"{word}_"))
    except ValueError:
        number = float("nan")
    if not (0 <= number <= high or text == word == "auto"):
        raise UsageError(f"{key} is {value}; expected a number from 0 to {high:,.0f}, {word}_NUMBER"
                         f"{' or auto' if word == 'auto' else ''}")


def check(cfg: Any) -> None:
    """Raises UsageError for the first field of `cfg` that is out of its range."""
    for name in [each.name for each in fields(cfg) if each.name in RANGES]:
        within(f"agent.{name}", getattr(cfg, name), *RANGES[name])
