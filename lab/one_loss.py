"""The learner of most agents: one network, one loss, one optimizer. B examples."""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from .average import Average
from .compute import Compute
from .config import OneLossConfig
from .contract import Batch, Learner, Metrics
from .errors import ResumeError, UsageError


class OneLoss(Learner):
    """Steps down the mean loss of batches; `accumulate` parts of a batch go through the network one by one."""

    saved = ("net", "optimizer", "average")

    def __init__(self, net: nn.Module, optimizer: Optimizer, cfg: OneLossConfig, compute: Compute):
        self.net, self.optimizer, self.cfg, self.compute = net, optimizer, cfg, compute
        self.average = Average(net, cfg.ema) if cfg.ema else None
        if cfg.accumulate > 1 and compute.jit_mode != "eager":
            raise UsageError(f"agent.accumulate={cfg.accumulate} cuts an update in parts, and compute.jit="
                             f"{compute.jit_mode} makes one graph of it: leave one of them out")
        self.names: tuple[str, ...] = ()          # of the tensors in a batch
        self.learn = compute.jit(self.improve) if cfg.accumulate == 1 else self.improve_in_parts

    def prepared(self, batch: Batch) -> Batch:
        """What the loss is of: here a learner draws what it needs by chance."""
        return batch

    def loss(self, batch: Batch) -> tuple[Tensor, Mapping[str, Tensor]]:
        """The mean over a batch, and what else to log of it; all 0-d."""
        raise NotImplementedError

    def mass(self, batch: Batch) -> Tensor | int:
        """How much a batch counts in the mean over several."""
        return len(batch[self.names[0]])

    @property
    def judged(self) -> nn.Module:
        """The network to evaluate and to use."""
        return self.net if self.average is None else self.average.net

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Raises ResumeError where one of both has no average."""
        if (state.get("average") is None) != (self.average is None):
            raise ResumeError(f"agent.ema={self.cfg.ema}: it cannot be switched on or off in the midst of a run")
        super().load_state_dict(state)

    def update(self, batch: Batch) -> Metrics:
        batch = self.prepared(batch)
        self.names = tuple(batch)
        loss, norm, told = self.learn(*batch.values())
        if self.average is not None:
            self.average.update()
        return {"loss/train": loss, **told, "grad/norm": norm}

    def improve(self, *tensors: Tensor) -> tuple[Tensor, Tensor, Mapping[str, Tensor]]:
        loss, told = self.loss(dict(zip(self.names, tensors, strict=True)))
        return loss.detach(), self.compute.minimize(loss, self.optimizer, self.cfg.max_grad_norm), told

    def improve_in_parts(self, *tensors: Tensor) -> tuple[Tensor, Tensor, Mapping[str, Tensor]]:
        """The same step, but for batch statistics and the order of sums, in a part of the memory."""
        self.optimizer.zero_grad()
        count = max(min(self.cfg.accumulate, len(tensors[0]) // 2), 1)       # of one example there is no variance
        whole = self.mass(dict(zip(self.names, tensors, strict=True)))
        total, told = torch.zeros((), device=tensors[0].device), dict[str, Tensor]()
        for part in zip(*(tensor.tensor_split(count) for tensor in tensors), strict=True):
            batch = dict(zip(self.names, part, strict=True))
            loss, found = self.loss(batch)
            share = self.mass(batch) / whole
            (loss * share).backward()  # type: ignore[no-untyped-call]
            total += loss.detach() * share
            told = {name: value * share + told.get(name, 0) for name, value in found.items()}
        grads = [p.grad for p in self.net.parameters() if p.grad is not None]
        norm = torch.linalg.vector_norm(torch.stack(torch._foreach_norm(grads)))
        self.compute.minimize(total, self.optimizer, self.cfg.max_grad_norm, norm)
        return total, norm, told
