"""The variational autoencoder (Kingma & Welling 2014). B examples, Z latent numbers, S samples of a code."""

import torch
from torch import Tensor

from lab.contract import Batch, Metrics
from lab.data.prepare import back

from . import bounds
from .learners import Draws, Reconstructor
from .network import Coded
from .plugin import VAE


class Variational(Reconstructor):
    """Steps down the negative evidence lower bound (Kingma & Welling 2014, equation 10), in nats."""

    saved = (*Reconstructor.saved, "updates")
    net: Coded
    cfg: VAE
    updates = 0

    def update(self, batch: Batch) -> Metrics:
        self.updates += 1
        return super().update(batch)

    def weight(self) -> float:
        return self.cfg.beta * min(self.updates / self.cfg.kl_warmup, 1.0) if self.cfg.kl_warmup else self.cfg.beta

    def draws(self, n: int, rng: torch.Generator) -> Draws:
        return Draws(self.target.drawn(n, rng), torch.randn(n, self.net.latent, generator=rng, device=rng.device))

    def loss(self, x: Tensor, label: Tensor | None, draws: Draws, weight: Tensor) -> tuple[Tensor, Metrics]:
        terms = self.terms(x, label, draws)
        nats = terms["reconstruction"].mean()
        cost = bounds.with_free_bits(terms["kl"], self.cfg.free_bits)
        told = {"loss/reconstruction": nats.detach(), "loss/kl": terms["kl"].detach().sum(-1).mean()}
        return nats + weight * cost, told

    def terms(self, x: Tensor, label: Tensor | None, draws: Draws) -> dict[str, Tensor]:
        """Besides, the KL divergence of each latent number, [B, Z]."""
        target, noise = self.target(x, draws.pixels), draws.noise
        mean, log_var = self.posterior(target, label)         # [B, Z]
        code = mean if noise is None else mean + (0.5 * log_var).exp() * noise
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

    def example(self, code: Tensor, label: Tensor | None) -> Tensor:
        """The expected example of each code [B, Z], as the data has them."""
        found = self.decoded(code, label)
        return found.clamp(0, 1) if self.target.kind == "picture" else back(self.net.front, found)

    @torch.no_grad()
    def log_weights(self, target: Tensor, label: Tensor | None, samples: int, rng: torch.Generator) -> Tensor:
        """log p(x | z) p(z) / q(z | x) for `samples` codes z of each target: [B, S]; decoded in single precision."""
        mean, log_var = (each[:, None] for each in self.posterior(target, label))           # [B, 1, Z]
        noise = torch.randn(len(target), samples, self.net.latent, generator=rng, device=target.device)
        z = mean + (0.5 * log_var).exp() * noise                                            # [B, S, Z]
        again = None if label is None else label.repeat_interleave(samples)
        said = self.net.decode(z.flatten(0, 1), again)                                      # [B * S, P, *shape]
        nats = self.net.likelihood.nats(said, target.repeat_interleave(samples, 0)).view(len(target), samples)
        return -nats + bounds.standard_normal(z) - bounds.normal(z, mean, log_var)
