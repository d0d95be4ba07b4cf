"""Autoencoders, plain and variational. B examples, Z latent numbers, P numbers that are said of each of an example."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor
from torch.optim import Optimizer

from lab.compute import Compute
from lab.contract import Batch, Learner, Metrics

from . import bounds
from .network import Coded
from .plugin import VAE, DenoisingAutoencoder, Reconstructing

Draws = Mapping[str, Tensor]      # random numbers for a batch, by what they are for


@dataclass(frozen=True)
class Target:
    """What is to be said of examples: of pictures pixels from 0 to 1, of others what the front makes of them."""

    kind: str                     # of data
    shape: tuple[int, ...]        # of a target
    binarize: str
    front: Callable[[Tensor], Tensor]

    def draws(self, n: int, rng: torch.Generator) -> dict[str, Tensor]:
        """For `n` examples."""
        if self.binarize != "draw":
            return {}
        return {"pixels": torch.rand(n, *self.shape, generator=rng, device=rng.device)}

    def __call__(self, x: Tensor, draws: Draws) -> Tensor:
        """[B, *shape], of the same shape."""
        if self.kind != "picture":
            return self.front(x)
        bright = x if x.is_floating_point() else x / 255
        if self.binarize == "none":
            return bright
        return (bright > draws.get("pixels", 0.5)).float()

    def seen(self, target: Tensor) -> Tensor:
        """A target as an encoder sees it."""
        return self.front(target) if self.kind == "picture" else target


class Reconstructor(Learner):
    """Steps down -log p(x | code), in nats."""

    saved: ClassVar[tuple[str, ...]] = ("net", "optimizer", "rng")

    def __init__(self, net: Coded, target: Target, optimizer: Optimizer, cfg: Reconstructing, compute: Compute):
        self.net, self.target, self.optimizer, self.cfg, self.compute = net, target, optimizer, cfg, compute
        self.rng = compute.rng("latent")
        self.learn = compute.jit(self.improve)

    def update(self, batch: Batch) -> Metrics:
        label = batch["y"] if self.net.classes else None
        return self.learn(batch["x"], label, self.draws(len(batch["x"]), self.rng), torch.tensor(self.weight()))

    def weight(self) -> float:
        """Of what is added to the loss."""
        return 0.0

    def improve(self, x: Tensor, label: Tensor | None, draws: Draws, weight: Tensor) -> Metrics:
        loss, told = self.loss(x, label, draws, weight)
        norm = self.compute.minimize(loss, self.optimizer, self.cfg.max_grad_norm)
        return {"loss/train": loss.detach(), **told, "grad/norm": norm}

    def draws(self, n: int, rng: torch.Generator) -> dict[str, Tensor]:
        """All the random numbers that `n` examples need."""
        return self.target.draws(n, rng)

    def loss(self, x: Tensor, label: Tensor | None, draws: Draws, weight: Tensor) -> tuple[Tensor, Metrics]:
        """The mean over a batch, 0-d, and its parts."""
        return self.terms(x, label, draws)["reconstruction"].mean(), {}

    def terms(self, x: Tensor, label: Tensor | None, draws: Draws) -> dict[str, Tensor]:
        """Of each example: its reconstruction in nats [B], its code [B, Z], what was seen and said of it."""
        target = self.target(x, draws)
        seen = self.corrupted(target, draws)
        with self.compute.autocast():
            code = self.net.encode(self.target.seen(seen), label)
            said = self.net.decode(code, label)
        said = said.float()                                   # [B, P, *shape]
        return {"reconstruction": self.net.likelihood.nats(said, target), "code": code.float(), "seen": seen,
                "target": target, "said": said}

    def corrupted(self, target: Tensor, draws: Draws) -> Tensor:
        return target

    @torch.no_grad()
    def decoded(self, code: Tensor, label: Tensor | None = None) -> Tensor:
        """The expected examples of codes [B, Z], [B, *shape]."""
        with self.compute.autocast():
            said = self.net.decode(code, label)
        return self.net.likelihood.mean(said.float())


class Denoiser(Reconstructor):
    """Sees less than it has to say."""

    cfg: DenoisingAutoencoder

    def draws(self, n: int, rng: torch.Generator) -> dict[str, Tensor]:
        draw = torch.randn if self.cfg.noise == "gaussian" else torch.rand
        return {**super().draws(n, rng), "noise": draw(n, *self.target.shape, generator=rng, device=rng.device)}

    def corrupted(self, target: Tensor, draws: Draws) -> Tensor:
        noise, level = draws["noise"], self.cfg.level
        if self.cfg.noise == "gaussian":
            return target + level * noise
        if self.cfg.noise == "mask":
            return torch.where(noise < level, 0, target)
        return torch.where(noise < level, (noise < level / 2).float(), target)


class Variational(Reconstructor):
    """Steps down the negative evidence lower bound (Kingma & Welling 2014, equation 10), in nats."""

    saved = (*Reconstructor.saved, "updates")
    cfg: VAE
    updates = 0

    def update(self, batch: Batch) -> Metrics:
        self.updates += 1
        return super().update(batch)

    def weight(self) -> float:
        return self.cfg.beta * min(self.updates / self.cfg.kl_warmup, 1.0) if self.cfg.kl_warmup else self.cfg.beta

    def draws(self, n: int, rng: torch.Generator) -> dict[str, Tensor]:
        code = torch.randn(n, self.net.latent, generator=rng, device=rng.device)            # [n, Z]
        return {**super().draws(n, rng), "code": code}

    def loss(self, x: Tensor, label: Tensor | None, draws: Draws, weight: Tensor) -> tuple[Tensor, Metrics]:
        terms = self.terms(x, label, draws)
        nats = terms["reconstruction"].mean()
        cost = bounds.with_free_bits(terms["kl"], self.cfg.free_bits)
        told = {"loss/reconstruction": nats.detach(), "loss/kl": terms["kl"].detach().sum(-1).mean()}
        return nats + weight * cost, told

    def terms(self, x: Tensor, label: Tensor | None, draws: Draws) -> dict[str, Tensor]:
        """Besides, the KL divergence of each latent number, [B, Z]."""
        target = self.target(x, draws)
        mean, log_var = self.posterior(target, label)         # [B, Z]
        code = mean + (0.5 * log_var).exp() * draws["code"]
        with self.compute.autocast():
            said = self.net.decode(code, label)
        said = said.float()                                   # [B, P, *shape]
        return {"reconstruction": self.net.likelihood.nats(said, target), "kl": bounds.kl(mean, log_var), "code": mean,
                "seen": target, "target": target, "said": said}

    def posterior(self, target: Tensor, label: Tensor | None) -> tuple[Tensor, Tensor]:
        """Mean and logarithm of the variance of the code, [B, Z] each."""
        with self.compute.autocast():
            found = self.net.encode(self.target.seen(target), label)
        mean, log_var = found.float().chunk(2, -1)
        return mean, log_var

    @torch.no_grad()
    def log_weights(self, target: Tensor, label: Tensor | None, samples: int, rng: torch.Generator) -> Tensor:
        """log p(x | z) p(z) / q(z | x) for `samples` codes z of each target: [B, S]."""
        mean, log_var = (each[:, None] for each in self.posterior(target, label))           # [B, 1, Z]
        noise = torch.randn(len(target), samples, self.net.latent, generator=rng, device=target.device)
        z = mean + (0.5 * log_var).exp() * noise                                            # [B, S, Z]
        again = None if label is None else label.repeat_interleave(samples)
        with self.compute.autocast():
            said = self.net.decode(z.flatten(0, 1), again)
        nats = self.net.likelihood.nats(said.float(), target.repeat_interleave(samples, 0)).view(len(target), samples)
        return -nats + bounds.standard_normal(z) - bounds.normal(z, mean, log_var)
