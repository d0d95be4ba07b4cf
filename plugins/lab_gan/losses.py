"""What critics and generators step down, and penalties of a critic's gradient. B examples.

Losses are of what a critic says of real and of made examples, [B] each, and are means: 0-d.
"""

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn.functional import relu, softplus

Critic = Callable[[Tensor], Tensor]           # examples [B, ...] -> [B]


def of_critic(kind: str, real: Tensor, made: Tensor) -> Tensor:
    """non_saturating: Goodfellow et al. 2014, equation 1; least_squares: Mao et al. 2017, equation 9; hinge: Lim & Ye
    2017, equation 5; wasserstein: Arjovsky et al. 2017, equation 2.
    """
    if kind == "non_saturating":
        return softplus(-real).mean() + softplus(made).mean()
    if kind == "least_squares":
        return ((real - 1).square().mean() + made.square().mean()) / 2
    if kind == "hinge":
        return relu(1 - real).mean() + relu(1 + made).mean()
    return made.mean() - real.mean()


def of_generator(kind: str, made: Tensor) -> Tensor:
    """Of the same papers; non_saturating: section 3 of the first."""
    if kind == "non_saturating":
        return softplus(-made).mean()
    if kind == "least_squares":
        return (made - 1).square().mean() / 2
    return -made.mean()


def right(kind: str, real: Tensor, made: Tensor) -> Tensor:
    """The share that a critic tells apart rightly, 0-d; with the wasserstein loss, of pairs in the right order."""
    if kind == "wasserstein":
        return (real > made).float().mean()
    middle = 0.5 if kind == "least_squares" else 0.0
    return ((real > middle).float().mean() + (made < middle).float().mean()) / 2


def slopes(critic: Critic, x: Tensor) -> Tensor:
    """The squared norm of the critic's gradient at each of x [B, ...]: [B], to be stepped down itself."""
    x = x.detach().requires_grad_(True)
    (gradient,) = torch.autograd.grad(critic(x).sum(), x, create_graph=True)
    return gradient.flatten(1).square().sum(-1)


def between(real: Tensor, made: Tensor, share: Tensor) -> Tensor:
    """`share` [B] of each real example, and the rest of a made one: [B, ...]."""
    part = share.view(-1, *[1] * (real.ndim - 1))
    return part * real + (1 - part) * made


def away_from_one(squared: Tensor) -> Tensor:
    """(norm - 1)^2 of squared norms [B], the mean: Gulrajani et al. 2017, equation 3. At 0 its slope is 0."""
    return ((squared + 1e-12).sqrt() - 1).square().mean()
