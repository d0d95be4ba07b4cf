"""Builders of torch's optimizers."""

from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor
from torch.optim import Optimizer

from .builtin import SGD, Adam, AdamW, Muon, RMSprop
from .compute import QuickAdam
from .muon import Muon as MuonOptimizer

Parameters = Iterable[Tensor] | Iterable[dict[str, Any]]      # or groups of them, as torch has them, with settings of
# ^ their own; `rate`: times the learning rate; `hidden`: matrices between other layers, for Muon


def adam(cfg: Adam, parameters: Parameters, fused: bool) -> Optimizer:
    return adam_of(cfg, list(parameters), fused, decoupled=False)


def adamw(cfg: AdamW, parameters: Parameters, fused: bool) -> Optimizer:
    return adam_of(cfg, list(parameters), fused, decoupled=True)


def each(parameters: list[Any]) -> list[Tensor]:
    """Those of all groups, where they are groups."""
    return [p for group in parameters for p in (group["params"] if isinstance(group, dict) else [group])]


def adam_of(cfg: Adam | AdamW, parameters: list[Any], fused: bool, decoupled: bool) -> Optimizer:
    settings: dict[str, Any] = {"lr": cfg.lr, "betas": (cfg.beta1, cfg.beta2), "eps": cfg.eps,
                                "weight_decay": cfg.weight_decay, "decoupled_weight_decay": decoupled}
    if fused and all(p.device.type == "cpu" and p.dtype is torch.float32 for p in each(parameters)):
        return QuickAdam(parameters, **settings)
    return torch.optim.Adam(parameters, **settings, fused=fused)


def sgd(cfg: SGD, parameters: Parameters, fused: bool) -> Optimizer:
    optimizer = torch.optim.SGD(parameters, cfg.lr, cfg.momentum, weight_decay=cfg.weight_decay, nesterov=cfg.nesterov,
                                fused=fused)
    for p in [p for group in optimizer.param_groups for p in group["params"] if cfg.momentum]:
        optimizer.state[p]["momentum_buffer"] = torch.zeros_like(p)  # unset in torch if the first step is skipped
    return optimizer


def laid_out(optimizer: Optimizer, state: dict[str, Any]) -> dict[str, Any]:
    """What was saved, each tensor in memory as its parameter is: a fused step takes the numbers as they lie."""
    parameters = [p for group in optimizer.param_groups for p in group["params"]]
    back = {i: {name: torch.empty_like(p, dtype=value.dtype).copy_(value) if is_like(value, p) else value
                for name, value in state["state"][i].items()} for i, p in enumerate(parameters) if i in state["state"]}
    return {**state, "state": back}


def is_like(value: Any, p: Tensor) -> bool:
    return isinstance(value, Tensor) and value.shape == p.shape


def overridable(optimizer: Optimizer) -> Optimizer:
    """A resume with another rate, decay or momentum takes it; torch by itself would put back the one that was saved."""
    given = [{name: value for name, value in group.items() if name != "params"} for group in optimizer.param_groups]

    def compare(optimizer: Optimizer) -> None:
        for group, now in zip(optimizer.param_groups, given, strict=True):
            if group.get("given") != repr(now):
                group.update(now, given=repr(now))

    compare(optimizer)
    optimizer.register_load_state_dict_pre_hook(laid_out)
    optimizer.register_load_state_dict_post_hook(compare)
    return optimizer


def muon(cfg: Muon, parameters: Parameters, fused: bool) -> Optimizer:
    return MuonOptimizer(parameters, cfg.lr, cfg.momentum, (cfg.beta1, cfg.beta2), cfg.eps, cfg.weight_decay)


def rmsprop(cfg: RMSprop, parameters: Parameters, fused: bool) -> Optimizer:
    """Torch has no fused one."""
    return torch.optim.RMSprop(parameters, cfg.lr, cfg.alpha, cfg.eps, cfg.weight_decay, centered=cfg.centered)
