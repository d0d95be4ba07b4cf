"""Schedules as pure functions of a step, in absolute units: training longer holds the last value."""

import math


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


def warmed_up(step: int, warmup: int) -> float:
    """A factor that climbs in equal steps to 1, which it reaches at step `warmup`."""
    return 1.0 if step >= warmup else (step + 1) / (warmup + 1)
