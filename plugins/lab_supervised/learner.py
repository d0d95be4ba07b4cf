"""One network, one loss, one optimizer. B examples, K outputs."""

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor
from torch.optim import Optimizer

from lab.average import Average
from lab.compute import Compute
from lab.contract import Batch, Learner, Metrics
from lab.data.network import Network
from lab.errors import ResumeError, UsageError

from .plugin import Supervised

Loss = Callable[[Tensor, Tensor], Tensor]                     # (outputs [B, K], targets [B, ...]) -> their mean, 0-d
Mass = Callable[[Tensor], Tensor | int]                       # targets [B, ...] -> how much they count in that mean
Look = Callable[[Tensor, Tensor], Mapping[str, Tensor]]       # the same -> what else to log of a batch, 0-d each


class Predictor(Learner):
    """Steps down the mean loss of batches; `accumulate` parts of a batch go through the network one by one."""

    saved = ("net", "optimizer", "average")

    def __init__(self, net: Network, loss: Loss, look: Look, optimizer: Optimizer, cfg: Supervised, compute: Compute,
                 mass: Mass = len):
        self.net, self.loss, self.look, self.optimizer, self.mass = net, loss, look, optimizer, mass
        self.cfg, self.compute = cfg, compute
        self.average = Average(net, cfg.ema) if cfg.ema else None
        if cfg.accumulate > 1 and compute.jit_mode != "eager":
            raise UsageError(f"agent.accumulate={cfg.accumulate} cuts an update in parts, and compute.jit="
                             f"{compute.jit_mode} makes one graph of it: leave one of them out")
        self.learn = compute.jit(self.improve) if cfg.accumulate == 1 else self.improve_in_parts

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Raises ResumeError where one of both has no average."""
        if (state.get("average") is None) != (self.average is None):
            raise ResumeError(f"agent.ema={self.cfg.ema}: it cannot be switched on or off in the midst of a run")
        super().load_state_dict(state)

    @property
    def judged(self) -> Network:
        """The network to evaluate and to use."""
        return self.net if self.average is None else self.average.net

    def update(self, batch: Batch) -> Metrics:
        loss, norm, told = self.learn(batch["x"], batch["y"], batch.get("length"))
        if self.average is not None:
            self.average.update()
        return {"loss/train": loss, **told, "grad/norm": norm}

    def improve(self, x: Tensor, y: Tensor, length: Tensor | None) -> tuple[Tensor, Tensor, Mapping[str, Tensor]]:
        with self.compute.autocast():
            out = self.net(x, length)
        out = out.float()                                     # [B, K]
        loss = self.loss(out, y)
        norm = self.compute.minimize(loss, self.optimizer, self.cfg.max_grad_norm)
        return loss.detach(), norm, self.look(out.detach(), y)

    def improve_in_parts(self, x: Tensor, y: Tensor, length: Tensor | None
                         ) -> tuple[Tensor, Tensor, Mapping[str, Tensor]]:
        """The same step, but for batch statistics and the order of sums, in a part of the memory."""
        self.optimizer.zero_grad()
        outs, total = [], torch.zeros((), device=x.device)
        parts = max(min(self.cfg.accumulate, len(x) // 2), 1)                # of one example there is no variance
        lengths = [None] * parts if length is None else length.tensor_split(parts)
        for part, target, steps in zip(x.tensor_split(parts), y.tensor_split(parts), lengths, strict=True):
            with self.compute.autocast():
                out = self.net(part, steps)
            outs.append(out.float())
            loss = self.loss(outs[-1], target) * (self.mass(target) / self.mass(y))
            loss.backward()                                   # type: ignore[no-untyped-call]
            total += loss.detach()
        grads = [p.grad for p in self.net.parameters() if p.grad is not None]
        norm = torch.linalg.vector_norm(torch.stack(torch._foreach_norm(grads)))
        self.compute.minimize(total, self.optimizer, self.cfg.max_grad_norm, norm)
        return total, norm, self.look(torch.cat(outs).detach(), y)
