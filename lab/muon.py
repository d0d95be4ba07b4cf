"""Muon (Jordan et al. 2024, https://kellerjordan.github.io/posts/muon)."""

from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor

STEPS, COEFFICIENTS = 5, (3.4445, -4.7750, 2.0315)


def orthogonalized(x: Tensor) -> Tensor:
    """Matrices [..., R, C] to nearly the orthogonal ones nearest to them: the singular values go to about 1.

    Five steps of the iteration X <- a X + (b A + c A A) X with A = X X^T.
    """
    a, b, c = COEFFICIENTS
    tall = x.shape[-2] > x.shape[-1]
    x = x.mT if tall else x
    x = x / x.norm(dim=(-2, -1), keepdim=True).clamp(min=1e-7)
    for _ in range(STEPS):
        square = x @ x.mT
        x = a * x + (b * square + c * square @ square) @ x
    return x.mT if tall else x


class Muon(torch.optim.Optimizer):
    """Groups that are `hidden` take steps of orthogonalised Nesterov momentum, others those of AdamW."""

    def __init__(self, parameters: Iterable[Any], lr: float, momentum: float, betas: tuple[float, float], eps: float,
                 weight_decay: float):
        super().__init__(parameters, {"lr": lr, "momentum": momentum, "betas": betas, "eps": eps,
                                      "weight_decay": weight_decay, "hidden": False})
        for group in self.param_groups:
            for p in group["params"]:
                names = ("momentum",) if group["hidden"] else ("exp_avg", "exp_avg_sq")
                self.state[p] = {name: torch.zeros_like(p) for name in names}
            if not group["hidden"]:
                group["taken"] = 0

    @torch.no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> None:  # type: ignore[override]
        for group in self.param_groups:
            params = [p for p in group["params"] if p.grad is not None]
            if params:
                grads = [p.grad for p in params]
                changes = self.muon(group, params, grads) if group["hidden"] else self.adam(group, params, grads)
                torch._foreach_mul_(params, 1 - group["lr"] * group["weight_decay"])
                torch._foreach_add_(params, changes, alpha=-group["lr"])

    def muon(self, group: dict[str, Any], params: list[Tensor], grads: list[Any]) -> list[Tensor]:
        """Those of one shape together. The scale gives entries the root mean square 0.2, as AdamW's steps have it."""
        held = [self.state[p]["momentum"] for p in params]
        torch._foreach_lerp_(held, grads, 1 - group["momentum"])
        ahead = torch._foreach_lerp(grads, held, group["momentum"])
        found = dict[int, Tensor]()
        for shape in dict.fromkeys(p.shape for p in params):
            places = [i for i, p in enumerate(params) if p.shape == shape]
            scale = 0.2 * max(shape) ** 0.5
            found |= zip(places, scale * orthogonalized(torch.stack([ahead[i] for i in places])), strict=True)
        return [found[i] for i in range(len(params))]

    def adam(self, group: dict[str, Any], params: list[Tensor], grads: list[Any]) -> list[Tensor]:
        group["taken"] += 1
        (beta1, beta2), taken = group["betas"], group["taken"]
        first, second = ([self.state[p][name] for p in params] for name in ("exp_avg", "exp_avg_sq"))
        torch._foreach_lerp_(first, grads, 1 - beta1)
        torch._foreach_mul_(second, beta2)
        torch._foreach_addcmul_(second, grads, grads, 1 - beta2)
        below = torch._foreach_sqrt(torch._foreach_div(second, 1 - beta2**taken))
        torch._foreach_add_(below, group["eps"])
        return list(torch._foreach_div(torch._foreach_div(first, 1 - beta1**taken), below))
