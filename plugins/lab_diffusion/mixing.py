"""Examples and noise, mixed and taken apart. B examples; `alpha` and `sigma` [B, ...] are the parts of the two.

What a network sees at time t is z = alpha x + sigma e, with e from the standard normal distribution and alpha^2 +
sigma^2 = 1: nothing but the example x at t = 0, nearly nothing but noise at t = 1.
"""

import math

import torch
from torch import Tensor

LAST = 0.999                      # the time at which samples begin: at 1 noise alone says nothing of an example
LOW, HIGH = 0.1, 20.0             # variance per time of the linear schedule (Song et al. 2021b, appendix C)


def parts(schedule: str, t: Tensor) -> tuple[Tensor, Tensor]:
    """alpha and sigma at times t from 0 to 1, of the same shape.

    cosine: Salimans & Ho 2022, section 2, of Nichol & Dhariwal 2021, equation 17, without an offset; linear: Song et
    al. 2021b, equation 33, the limit of Ho et al. 2020, section 4, for many steps.
    """
    if schedule == "cosine":
        angle = 0.5 * math.pi * t
        return angle.cos(), angle.sin()
    log = -0.5 * t * LOW - 0.25 * t.square() * (HIGH - LOW)                                 # of alpha
    return log.exp(), (-torch.expm1(2 * log)).sqrt()


def wanted(predict: str, x: Tensor, noise: Tensor, alpha: Tensor, sigma: Tensor) -> Tensor:
    """What a network is to say of a mixture: v = alpha e - sigma x (Salimans & Ho 2022, appendix D), e or x."""
    if predict == "v":
        return alpha * noise - sigma * x
    return noise if predict == "noise" else x


def example(predict: str, said: Tensor, z: Tensor, alpha: Tensor, sigma: Tensor) -> Tensor:
    """The example in a mixture z, of what was said of it."""
    if predict == "v":
        return alpha * z - sigma * said
    return (z - sigma * said) / alpha if predict == "noise" else said


def less(z: Tensor, x: Tensor, now: tuple[Tensor, Tensor], then: tuple[Tensor, Tensor], eta: float,
         fresh: Tensor | None) -> Tensor:
    """From z at `now` to an earlier time, `then`, where x is taken for the example (Song et al. 2021a, equation 12).

    `fresh` noise replaces a part of that in z, which grows with `eta`; none at 0.
    """
    (alpha, sigma), (alpha_then, sigma_then) = now, then
    noise = (z - alpha * x) / sigma
    if fresh is None:
        return alpha_then * x + sigma_then * noise
    new = eta * sigma_then / sigma * (1 - (alpha / alpha_then).square()).clamp(min=0).sqrt()
    return alpha_then * x + (sigma_then.square() - new.square()).clamp(min=0).sqrt() * noise + new * fresh


def times(n: int, first: Tensor) -> Tensor:
    """[n] from 0 to 1, evenly apart, from `first`, 0-d, on: of lower variance than n draws (Kingma et al. 2021)."""
    return (first + torch.arange(n, device=first.device) / n) % 1
