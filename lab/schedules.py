"""Schedules as pure functions of a step, in absolute units: training longer holds the last value."""

import logging
import math
from typing import Any

from torch.optim import Optimizer

from .builtin import OptimizerConfig

LOG = logging.getLogger("lab")


def linear(step: int, start: float, end: float, duration: int) -> float:
    """`start` at step 0, `end` from `duration` on, a straight line between."""
    return end if step >= duration else start + (end - start) * step / duration


def cosine(step: int, start: float, end: float, duration: int) -> float:
    """`start` at step 0, `end` from `duration` on, half a cosine between (Loshchilov & Hutter 2017, eq. 5)."""
    return end if step >= duration else end + (start - end) * (1 + math.cos(math.pi * step / duration)) / 2


def constant(step: int, start: float, end: float, duration: int) -> float:
    """`start` for ever."""
    return start


SHAPES = {"constant": constant, "linear": linear, "cosine": cosine}


def scheduled(optimizer: Optimizer, cfg: OptimizerConfig) -> Optimizer:
    """Sets the learning rate before each step; the number of steps taken is saved in the parameter groups.

    It climbs in equal steps to its full size, which it reaches after `warmup`; `shape` counts from the first step too.
    """
    shape = SHAPES[cfg.schedule]

    def set_rate(optimizer: Optimizer, args: Any, kwargs: Any) -> None:
        for group in optimizer.param_groups:
            step = group.get("steps", 0)
            if step == cfg.decay and cfg.final == 0 and cfg.schedule != "constant":
                LOG.warning("the learning rate is 0 after %s optimizer steps: nothing is learned from here on; "
                            "optimizer.decay and optimizer.final say how it falls", f"{step:,}")
            climb = min((step + 1) / (cfg.warmup + 1), 1)
            group["lr"] = climb * shape(step, cfg.lr, cfg.lr * cfg.final, cfg.decay)
            group["steps"] = step + 1

    optimizer.register_step_pre_hook(set_rate)
    return optimizer
