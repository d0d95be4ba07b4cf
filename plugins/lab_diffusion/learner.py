"""A network that learns to take noise away (Ho et al. 2020). B examples, D numbers in each."""

import math

import torch
from torch import Tensor
from torch.optim import Optimizer

from lab import signals
from lab.average import Average
from lab.compute import Compute
from lab.contract import Batch, Learner, Metrics

from . import mixing
from .network import Told
from .plugin import DDPM


class Diffuser(Learner):
    """Steps down the squared error of what is said of examples with noise at times from 0 to 1."""

    saved = ("net", "optimizer", "average", "rng")

    def __init__(self, net: Told, optimizer: Optimizer, shape: tuple[int, ...], cfg: DDPM, compute: Compute):
        self.net, self.optimizer, self.shape, self.cfg, self.compute = net, optimizer, shape, cfg, compute
        self.average = Average(net, cfg.ema) if cfg.ema else None
        self.rng, self.learn = compute.rng("noise"), compute.jit(self.improve)

    @property
    def judged(self) -> Told:
        """The network that makes the samples."""
        made: Told = self.net if self.average is None else self.average.net                 # type: ignore[assignment]
        return made

    def update(self, batch: Batch) -> Metrics:
        x = self.net.scaled(batch["x"])
        found = self.learn(x, *self.draws(len(x), batch.get("y"), self.rng))
        if self.average is not None:
            self.average.update()
        return found

    def draws(self, n: int, label: Tensor | None, rng: torch.Generator) -> tuple[Tensor, Tensor, Tensor | None]:
        """Times [n], noise [n, *shape], and labels [n] of which some are kept back."""
        t = mixing.times(n, torch.rand((), generator=rng, device=rng.device))
        noise = torch.randn(n, *self.shape, generator=rng, device=rng.device)
        if not self.net.classes or label is None:
            return t, noise, None
        hidden = torch.rand(n, generator=rng, device=rng.device) < self.cfg.unlabelled
        return t, noise, torch.where(hidden, self.net.classes, label)

    def improve(self, x: Tensor, t: Tensor, noise: Tensor, label: Tensor | None) -> Metrics:
        loss = self.errors(self.net, x, t, noise, label).mean()
        norm = self.compute.minimize(loss, self.optimizer, self.cfg.max_grad_norm)
        return {"loss/train": loss.detach(), "grad/norm": norm}

    def errors(self, net: Told, x: Tensor, t: Tensor, noise: Tensor, label: Tensor | None) -> Tensor:
        """Of each example, the mean over its numbers: [B]."""
        alpha, sigma = self.parts(t)
        with self.compute.autocast():
            said = net(alpha * x + sigma * noise, t, label)
        off: Tensor = said.float() - mixing.wanted(self.cfg.predict, x, noise, alpha, sigma)
        return off.square().flatten(1).mean(-1)

    def parts(self, t: Tensor) -> tuple[Tensor, Tensor]:
        """alpha and sigma at times [n], each [n, 1, ...] as examples have axes."""
        alpha, sigma = (each.view(-1, *[1] * len(self.shape)) for each in mixing.parts(self.cfg.schedule, t))
        return alpha, sigma

    @torch.no_grad()
    def made(self, z: Tensor, label: Tensor | None, rng: torch.Generator | None = None) -> Tensor:
        """Noise [n, D] to examples as the data has them; with `rng` noise is added on the way.

        What is taken for the example stays within the range of the training examples (Ho et al. 2020, their code).
        """
        z, steps = z.view(-1, *self.shape), self.cfg.sampling_steps
        for i in range(steps, 0, -1):
            signals.check()
            t, then = (torch.full((len(z),), mixing.LAST * j / steps, device=z.device) for j in (i, i - 1))
            now = self.parts(t)
            x = mixing.example(self.cfg.predict, self.said(z, t, label), z, *now)
            x = x.clamp(self.net.low, self.net.high)          # where little but noise is left an error in it is large
            fresh = None if rng is None else torch.randn(z.shape, generator=rng, device=z.device)
            z = mixing.less(z, x, now, self.parts(then), self.cfg.eta, fresh)
        return self.net.scaled.back(z)

    def said(self, z: Tensor, t: Tensor, label: Tensor | None) -> Tensor:
        """Further than what is said with the label, away from what is said without (Ho & Salimans 2022, equation 6)."""
        classes, guidance = self.net.classes, self.cfg.guidance
        none = torch.full((len(z),), classes, device=z.device) if classes else None
        with self.compute.autocast():
            said: Tensor = self.judged(z, t, none if label is None else label)
            if label is not None and guidance:
                said = said + guidance * (said - self.judged(z, t, none))
        return said.float()

    @property
    def numbers(self) -> int:
        """D."""
        return math.prod(self.shape)
