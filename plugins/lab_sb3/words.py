"""What a config says in words and Stable-Baselines3 wants as objects."""

from typing import Any

import numpy as np
import torch
from stable_baselines3.common.noise import ActionNoise, NormalActionNoise, OrnsteinUhlenbeckActionNoise
from stable_baselines3.common.utils import LinearSchedule
from torch import nn

from lab.errors import one_of

from .configs import Continuous
from .limits import network

CHOICES: dict[str, dict[str, type]] = {       # of policy_kwargs
    "activation_fn": {"relu": nn.ReLU, "tanh": nn.Tanh, "elu": nn.ELU, "gelu": nn.GELU, "silu": nn.SiLU,
                      "leaky_relu": nn.LeakyReLU, "sigmoid": nn.Sigmoid},
    "optimizer_class": {"adam": torch.optim.Adam, "adamw": torch.optim.AdamW, "rmsprop": torch.optim.RMSprop,
                        "sgd": torch.optim.SGD}}


NOISES = {"NormalActionNoise": "normal", "OrnsteinUhlenbeckActionNoise": "ornstein-uhlenbeck"}


def schedule(value: Any) -> Any:
    """0.001 as it is; lin_0.001 falls in a straight line to 0 and stays there."""
    text = str(value)
    if text.startswith("lin_"):
        return LinearSchedule(float(text.removeprefix("lin_")), 0.0, 1.0)
    return None if value is None else float(value)


def noise(cfg: Continuous, shape: tuple[int, ...]) -> ActionNoise | None:
    """For actions of this shape."""
    if cfg.noise_type == "none":
        return None
    kind = NormalActionNoise if cfg.noise_type == "normal" else OrnsteinUhlenbeckActionNoise
    return kind(np.zeros(shape), cfg.noise_std * np.ones(shape))


def classes(kwargs: dict[str, Any]) -> dict[str, Any]:
    """policy_kwargs with the classes that their words name.

    Raises UsageError for an unknown word and for what is no network of a reasonable size.
    """
    network(kwargs)
    found = dict(kwargs)
    for name in kwargs.keys() & CHOICES.keys():
        one_of(f"agent.policy_kwargs.{name}", str(kwargs[name]), CHOICES[name])
        found[name] = CHOICES[name][kwargs[name]]
    return found
