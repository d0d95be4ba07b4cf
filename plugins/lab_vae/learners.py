"""Autoencoders. B examples, Z latent numbers, P numbers that are said of each of an example."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar, NamedTuple

import torch
from torch import Tensor
from torch.optim import Optimizer

from lab.compute import Compute
from lab.contract import Batch, Learner, Metrics
from lab.data.prepare import bright

from .network import Coded, Quantized
from .plugin import DenoisingAutoencoder, Reconstructing


class Draws(NamedTuple):
    """Random numbers for examples, None where there is no use for them, or where nothing is left to chance."""

    pixels: Tensor | None = None  # from 0 to 1, for black and white [B, *shape]; None: white above a half
    noise: Tensor | None = None   # for a code [B, Z], or what hides a part of the example [B, *shape]


@dataclass(frozen=True)
class Target:
    """What is to be said of examples: of pictures pixels from 0 to 1, of others what the front makes of them."""

    kind: str                     # of data
    shape: tuple[int, ...]        # of a target
    binarize: str
    front: Callable[[Tensor], Tensor]

    def drawn(self, n: int, rng: torch.Generator) -> Tensor | None:
        """What `n` examples need."""
        return torch.rand(n, *self.shape, generator=rng, device=rng.device) if self.binarize == "draw" else None

    def __call__(self, x: Tensor, pixels: Tensor | None = None) -> Tensor:
        """[B, *shape], of the same shape."""
        if self.kind != "picture":
            return self.front(x)
        if self.binarize == "none":
            return bright(x)
        return (bright(x) > (0.5 if pixels is None else pixels)).float()

    def seen(self, target: Tensor) -> Tensor:
        """A target as an encoder sees it."""
        return self.front(target) if self.kind == "picture" else target


class Reconstructor(Learner):
    """Steps down -log p(x | code), in nats."""

    saved: ClassVar[tuple[str, ...]] = ("net", "optimizer", "rng")

    def __init__(self, net: Coded | Quantized, target: Target, optimizer: Optimizer, cfg: Reconstructing,
                 compute: Compute):
        self.net, self.target, self.optimizer, self.cfg, self.compute = net, target, optimizer, cfg, compute
        self.rng = compute.rng("latent")
        self.learn = compute.jit(self.improve)

    def update(self, batch: Batch) -> Metrics:
        label = batch["y"] if self.net.classes else None
        weight = torch.full((), self.weight(), device=self.compute.device)
        return self.learn(batch["x"], label, weight, *self.draws(len(batch["x"]), self.rng))

    def logged(self, count: int) -> dict[str, float]:
        return self.net.likelihood.logged()

    def weight(self) -> float:
        """Of what is added to the loss."""
        return 0.0

    def improve(self, x: Tensor, label: Tensor | None, weight: Tensor, pixels: Tensor | None, noise: Tensor | None
                ) -> Metrics:
        loss, told = self.loss(x, label, Draws(pixels, noise), weight)
        norm = self.compute.minimize(loss, self.optimizer, self.cfg.max_grad_norm)
        return {"loss/train": loss.detach(), **told, "grad/norm": norm}

    def draws(self, n: int, rng: torch.Generator) -> Draws:
        """All the random numbers that `n` examples need."""
        return Draws(self.target.drawn(n, rng))

    def loss(self, x: Tensor, label: Tensor | None, draws: Draws, weight: Tensor) -> tuple[Tensor, Metrics]:
        """The mean over a batch, 0-d, and its parts."""
        return self.terms(x, label, draws)["reconstruction"].mean(), {}

    def terms(self, x: Tensor, label: Tensor | None, draws: Draws) -> dict[str, Tensor]:
        """Of each example: its reconstruction in nats [B], its code [B, Z], what was seen and said of it."""
        target = self.target(x, draws.pixels)
        seen = self.corrupted(target, draws.noise)
        with self.compute.autocast():
            code = self.net.encode(self.target.seen(seen), label)
            said = self.net.decode(code, label)
        said = said.float()                                   # [B, P, *shape]
        return {"reconstruction": self.net.likelihood.nats(said, target), "code": code.float(), "seen": seen,
                "target": target, "said": said}

    @torch.no_grad()
    def cost(self, x: Tensor) -> Tensor:
        """-log p(x | code) of examples as the data has them, in nats: [B].

        At the mean of the code, of examples that nothing is hidden of: equal ones cost the same, whatever is beside
        them. With agent.binarize=draw pixels are white above a half.
        """
        return self.terms(x, None, Draws())["reconstruction"]

    def corrupted(self, target: Tensor, noise: Tensor | None) -> Tensor:
        """As it is seen."""
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

    def draws(self, n: int, rng: torch.Generator) -> Draws:
        draw = torch.randn if self.cfg.noise == "gaussian" else torch.rand
        return Draws(self.target.drawn(n, rng), draw(n, *self.target.shape, generator=rng, device=rng.device))

    def corrupted(self, target: Tensor, noise: Tensor | None) -> Tensor:
        level = self.cfg.level
        if noise is None:
            return target
        if self.cfg.noise == "gaussian":
            return target + level * noise
        if self.cfg.noise == "mask":
            return torch.where(noise < level, 0, target)
        return torch.where(noise < level, (noise < level / 2).float(), target)
