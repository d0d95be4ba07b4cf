"""What values the hyperparameters may have; most of what Stable-Baselines3 would find out late or never."""

from collections.abc import Mapping
from dataclasses import fields
from itertools import pairwise
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

HEADS = {"n_critics": 100, "n_quantiles": 10_000, "features_dim": 10_000}       # of policy_kwargs, at most
WIDEST, DEEPEST, WEIGHTS = 100_000, 100, 10**8      # of a network: beyond them is a mistake, or a stranger's file


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


def network(kwargs: Mapping[str, Any]) -> None:
    """Raises UsageError for policy_kwargs that are no network, or one that takes all memory there is."""
    extractor = kwargs.get("features_extractor_kwargs")
    given = {**kwargs, **extractor} if isinstance(extractor, dict) else kwargs
    heads = {name: given.get(name, 1) for name in HEADS}
    for name, high in HEADS.items():
        if type(heads[name]) is not int or not 1 <= heads[name] <= high:
            raise UsageError(f"agent.policy_kwargs: {name} is {heads[name]!r:.80}; expected a whole number from 1 to "
                             f"{high:,}")
    arch = kwargs.get("net_arch")
    if isinstance(arch, list) and len(arch) == 1 and isinstance(arch[0], dict):      # as in old files
        arch = arch[0]
    for name, widths in arch.items() if isinstance(arch, dict) else () if arch is None else (("", arch),):
        key = f"agent.policy_kwargs.net_arch{name and f'.{name}'}"
        if not (isinstance(widths, list) and len(widths) <= DEEPEST
                and all(type(width) is int and 1 <= width <= WIDEST for width in widths)):
            raise UsageError(f"{key} is {widths!r:.80}; expected a list of at most {DEEPEST} widths from 1 to "
                             f"{WIDEST:,}, such as [64,64]")
        weights = heads["n_critics"] * sum(a * b for a, b in pairwise([*widths, heads["n_quantiles"]]))
        if weights > WEIGHTS:
            raise UsageError(f"{key} is {widths!r:.80}, a network of {weights:,} weights; at most {WEIGHTS:,} were "
                             "expected")
