"""A generator and a critic that learn from each other. B examples, Z latent numbers."""

from collections.abc import Callable

import torch
from torch import Tensor
from torch.optim import Optimizer

from lab.average import Average
from lab.compute import Compute
from lab.contract import Batch, Metrics
from lab.modules import mixes
from lab.warned import Warns

from . import losses
from .changes import DRAWS, changed
from .networks import Critic, Generator
from .plugin import GAN

MEMORY, WON = 0.99, 0.99          # of a running mean of how much the critic tells apart; from where on it has won


class Adversaries(Warns):
    """`critic_steps` of the critic, each on an equal part of a batch, then one of the generator on as many examples."""

    saved = ("generator", "critic", "generator_optimizer", "critic_optimizer", "average", "rng", "right",
             "warned")

    def __init__(self, generator: Generator, critic: Critic, optimizers: tuple[Optimizer, Optimizer],
                 target: Callable[[Tensor], Tensor], cfg: GAN, compute: Compute):
        self.generator, self.critic, self.target, self.cfg, self.compute = generator, critic, target, cfg, compute
        self.generator_optimizer, self.critic_optimizer = optimizers
        self.average = Average(generator, cfg.ema) if cfg.ema else None
        self.rng, self.right = compute.rng("latent"), torch.full((), 0.5, device=compute.device)
        self.apart = mixes(critic)
        self.play_critic = self.improve_critic if cfg.penalty != "none" else compute.jit(self.improve_critic)
        self.play_generator = compute.jit(self.improve_generator)         # a penalty's gradient has one of its own

    @property
    def judged(self) -> Generator:
        """The generator that makes the samples."""
        made: Generator = self.generator if self.average is None else self.average.net      # type: ignore[assignment]
        return made

    def update(self, batch: Batch) -> Metrics:
        x, label = self.target(batch["x"]), batch["y"] if self.generator.classes else None
        parts = self.cfg.critic_steps
        labels = [None] * parts if label is None else label.tensor_split(parts)
        for real, told in zip(x.tensor_split(parts), labels, strict=True):
            found = self.play_critic(real, told, *self.draws(len(real), 2))
            self.clip()
        self.critic.requires_grad_(False)                     # its gradient is not needed, only what it passes on
        found = {**found, **self.play_generator(told, *self.draws(len(real), 1))}
        self.critic.requires_grad_(True)
        self.right.lerp_(found["critic/right"], 1 - MEMORY)
        if self.average is not None:
            self.average.update()
        return found

    def draws(self, n: int, sides: int) -> tuple[Tensor, Tensor]:
        """Codes [n, Z], and numbers from 0 to 1 for changes and for a place between two examples [n, 7 sides + 1]."""
        z = torch.randn(n, self.generator.latent, generator=self.rng, device=self.rng.device)
        return z, torch.rand(n, sides * DRAWS + 1, generator=self.rng, device=self.rng.device)

    def clip(self) -> None:
        if self.cfg.clip:
            with torch.no_grad():
                for weights in self.critic.parameters():
                    weights.clamp_(-self.cfg.clip, self.cfg.clip)

    def improve_critic(self, real: Tensor, label: Tensor | None, z: Tensor, u: Tensor) -> Metrics:
        cfg = self.cfg
        with self.compute.autocast():
            with torch.no_grad():
                made = self.generator(z, label)
            made = made.to(real.dtype)
            on_real, on_made = (said.float() for said in self.said(self.shown(real, u), self.shown(made, u, 1), label))
        loss, told = losses.of_critic(cfg.loss, on_real, on_made), dict[str, Tensor]()
        if cfg.penalty != "none":
            cost = self.penalty(real, made, label, u)
            loss, told = loss + cfg.penalty_weight * cost, {"loss/penalty": cost.detach()}
        norm = self.compute.minimize(loss, self.critic_optimizer)
        on_real, on_made = on_real.detach(), on_made.detach()
        return {"loss/critic": loss.detach(), **told, "critic/real": on_real.mean(), "critic/made": on_made.mean(),
                "critic/right": losses.right(cfg.loss, on_real, on_made), "grad/critic": norm}

    def shown(self, x: Tensor, u: Tensor, side: int = 0) -> Tensor:
        """Examples as the critic sees them, changed by the numbers for their side: real ones 0, made ones 1."""
        return changed(x, self.cfg.augment, u[:, side * DRAWS:(side + 1) * DRAWS]) if self.cfg.augment else x

    def penalty(self, real: Tensor, made: Tensor, label: Tensor | None, u: Tensor) -> Tensor:
        """Of the critic's slope at real examples (Mescheder et al. 2018, equation 9), or between real and made ones as
        it sees them (Gulrajani et al. 2017, equation 3): 0-d.
        """
        if self.cfg.penalty == "real":
            return losses.slopes(lambda x: self.critic(self.shown(x, u), label), real).mean()
        at = losses.between(self.shown(real, u), self.shown(made, u, 1), u[:, -1])
        return losses.away_from_one(losses.slopes(lambda x: self.critic(x, label), at))

    def said(self, real: Tensor, made: Tensor, label: Tensor | None) -> tuple[Tensor, Tensor]:
        """How real both seem, [B] each; seen together, which is faster, where the critic tells each by itself."""
        if self.apart:
            return self.critic(real, label), self.critic(made, label)
        on_real, on_made = self.critic(torch.cat([real, made]), None if label is None else label.repeat(2)).chunk(2)
        return on_real, on_made

    def improve_generator(self, label: Tensor | None, z: Tensor, u: Tensor) -> Metrics:
        with self.compute.autocast():
            made = self.generator(z, label)
            shown = self.shown(made.float() if self.cfg.augment else made, u)
            loss = losses.of_generator(self.cfg.loss, self.critic(shown, label).float())
        norm = self.compute.minimize(loss, self.generator_optimizer)
        return {"loss/generator": loss.detach(), "grad/generator": norm}

    def logged(self, count: int) -> dict[str, float]:
        self.warn()
        return {"critic/won": float(self.right)}

    def warning(self) -> str:
        """That the critic has won; of the wasserstein loss it is meant to. Else empty."""
        right = float(self.right)
        if right <= WON or self.cfg.loss == "wasserstein":
            return ""
        return (f"the critic tells {right:.1%} apart (critic/won): from one that has won the generator learns little; "
                "model.critic_norm=spectral, agent.penalty or agent.augment holds it back")
