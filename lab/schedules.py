"""Schedules as pure functions of a step, in absolute units: training longer holds the last value."""

import logging
import math
from collections.abc import Callable, Sequence
from functools import partial
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


def one_cycle(step: int, start: float, end: float, duration: int) -> float:
    """From `start` / 25 up to `start` in three tenths of `duration`, then down to `end` (Smith & Topin 2018)."""
    top = max(int(0.3 * duration), 1)
    return cosine(step, start / 25, start, top) if step < top else cosine(step - top, start, end, duration - top)


def step_down(step: int, start: float, end: float, duration: int, drops: Sequence[float], factor: float) -> float:
    """`start`, multiplied by `factor` at each of the shares `drops` of `duration` (He et al. 2016, section 4.2)."""
    return start * factor ** sum(step >= share * duration for share in drops)


SHAPES = {"constant": constant, "linear": linear, "cosine": cosine, "one_cycle": one_cycle}


def scheduled(optimizer: Optimizer, cfg: OptimizerConfig, rate: float = 1.0, per_update: int = 1) -> Optimizer:
    """Sets the learning rate before each step; the number of steps taken is saved in the parameter groups.

    It climbs in equal steps to its full size, which it reaches after `warmup`; `shape` counts from the first step too.
    Both count one for every `per_update` steps. All rates are `rate` times those of `cfg`.
    """
    drops = partial(step_down, drops=cfg.drops, factor=cfg.factor)
    shape: Callable[[int, float, float, int], float] = SHAPES.get(cfg.schedule, drops)

    def warn(taken: int) -> None:
        if taken == 0 and cfg.schedule != "constant" and cfg.warmup >= cfg.decay:
            LOG.warning("optimizer.warmup=%s: the learning rate climbs until the end of its schedule, after %s steps "
                        "of the optimizer; a shorter one leaves some of the run its full size", f"{cfg.warmup:,}",
                        f"{cfg.decay:,}")
        if taken == cfg.decay * per_update and cfg.final == 0 and cfg.schedule not in ("constant", "step"):
            LOG.warning("the learning rate is 0 after %s optimizer steps: nothing is learned from here on; "
                        "optimizer.decay and optimizer.final say how it falls", f"{taken // per_update:,}")

    def set_rate(optimizer: Optimizer, args: Any, kwargs: Any) -> None:
        if (first := optimizer.param_groups[0].get("steps", 0)) in (0, cfg.decay * per_update):
            warn(first)
        for group in optimizer.param_groups:
            taken = group.get("steps", 0)
            step = taken // per_update
            climb = min((step + 1) / (cfg.warmup + 1), 1)
            group["lr"] = rate * group.get("rate", 1.0) * climb * shape(step, cfg.lr, cfg.lr * cfg.final, cfg.decay)
            group["steps"] = taken + 1

    optimizer.register_step_pre_hook(set_rate)
    return optimizer
