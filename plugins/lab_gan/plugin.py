"""Generative adversarial networks. Light: the command line reads this file before torch is imported."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from lab import Agent, Model, hookimpl
from lab.errors import UsageError, one_of, within

LOSSES = ("non_saturating", "least_squares", "hinge", "wasserstein")
PENALTIES = ("none", "interpolates", "real")
NORMS = ("none", "batch")
CRITIC_NORMS = ("none", "batch", "layer", "spectral")
CHANGES = ("brightness", "contrast", "saturation", "shift", "cutout")


@dataclass
class Rivals:
    """A generator, and a critic that is nearly its mirror image."""

    name: str = ""
    norm: str = "batch"           # of the generator, before each activation (Ioffe & Szegedy 2015)
    critic_norm: str = "none"     # layer: Ba et al. 2016; spectral: of the weights (Miyato et al. 2018); batch

    def __post_init__(self) -> None:
        one_of("model.norm", self.norm, NORMS)
        one_of("model.critic_norm", self.critic_norm, CRITIC_NORMS)


@dataclass
class RivalsMLP(Rivals):
    """Fully connected layers; leaky in the critic."""

    name: str = "gan_mlp"
    hidden: list[int] = field(default_factory=lambda: [256, 256])    # widths of the generator, backwards of the critic

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.hidden or any(not 1 <= width <= 1_000_000 for width in self.hidden):
            raise UsageError(f"model.hidden is {list(self.hidden)}; expected one or more widths from 1 to 1,000,000")


@dataclass
class RivalsConv(Rivals):
    """Convolutions without fully connected layers between them (Radford et al. 2016), for pictures of any size.

    The critic halves height and width by strides; the generator doubles them by nearest pixels (Odena et al. 2016).
    """

    name: str = "gan_conv"
    channels: list[int] = field(default_factory=lambda: [64, 32])    # of the generator, backwards of the critic

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.channels or any(not 1 <= width <= 10_000 for width in self.channels):
            raise UsageError(f"model.channels is {list(self.channels)}; expected one or more from 1 to 10,000")


@dataclass
class RivalsResidual(RivalsConv):
    """Residual blocks (Gulrajani et al. 2017, appendix C)."""

    name: str = "gan_resnet"


@dataclass
class GAN:
    """Goodfellow et al. 2014, with the loss that does not saturate."""

    name: str = "gan"
    batch_size: int = 64          # examples per step of the critic; 0: all of them
    latent: int = 32              # numbers that the generator begins with
    loss: str = "non_saturating"  # least_squares, hinge, wasserstein
    critic_steps: int = 1         # for each of the generator's
    critic_rate: float = 1.0      # learning rate of the critic, as a multiple of optimizer.lr (Heusel et al. 2017)
    penalty: str = "none"         # of the critic's gradient: interpolates: its norm is 1 between real and made examples
    # ^ (Gulrajani et al. 2017, equation 3); real: small at real ones (R1, Mescheder et al. 2018, equation 9)
    penalty_weight: float = 10.0  # of its mean: lambda of the first, half of gamma of the second
    clip: float = 0.0             # of the critic's weights after each step (Arjovsky et al. 2017); 0: none
    ema: float = 0.999            # decay per step of an average of the generator, which makes the samples; 0: none
    augment: list[str] = field(default_factory=list)      # changes of real and made pictures alike before the critic
    # ^ (DiffAugment, Zhao et al. 2020): brightness, contrast, saturation, shift, cutout

    def __post_init__(self) -> None:
        within("agent.batch_size", self.batch_size, 0, 10**9)
        within("agent.latent", self.latent, 1, 1_000_000)
        one_of("agent.loss", self.loss, LOSSES)
        within("agent.critic_steps", self.critic_steps, 1, 1000)
        within("agent.critic_rate", self.critic_rate, 1e-6, 1e6)
        one_of("agent.penalty", self.penalty, PENALTIES)
        within("agent.penalty_weight", self.penalty_weight, 0, 1e6)
        within("agent.clip", self.clip, 0, 1e6)
        within("agent.ema", self.ema, 0, 0.9999999)
        for change in self.augment:
            one_of("agent.augment", change, CHANGES)


@dataclass
class LSGAN(GAN):
    """Mao et al. 2017."""

    name: str = "lsgan"
    loss: str = "least_squares"


@dataclass
class HingeGAN(GAN):
    """Lim & Ye 2017."""

    name: str = "hinge_gan"
    loss: str = "hinge"


@dataclass
class WGAN(GAN):
    """Arjovsky et al. 2017."""

    name: str = "wgan"
    loss: str = "wasserstein"
    critic_steps: int = 5
    clip: float = 0.01


@dataclass
class WGANGP(GAN):
    """Gulrajani et al. 2017."""

    name: str = "wgan_gp"
    loss: str = "wasserstein"
    critic_steps: int = 5
    penalty: str = "interpolates"


@dataclass
class R1GAN(GAN):
    """Mescheder et al. 2018, with gamma = 10."""

    name: str = "r1_gan"
    penalty: str = "real"
    penalty_weight: float = 5.0


@dataclass
class ConditionalGAN(GAN):
    """The generator is told a class, and the critic sees whether it is that (Miyato & Koyama 2018)."""

    name: str = "conditional_gan"


DEFAULT: dict[str, Any] = {"budget.epochs": 100, "optimizer.lr": 2e-4, "optimizer.beta1": 0.5, "optimizer.beta2": 0.999}
DIGITS: dict[str, Any] = {**DEFAULT, "budget.epochs": 200, "optimizer.lr": 5e-4}
GRID: dict[str, Any] = {                        # heaps of points in the plane
    "budget.epochs": None, "budget.updates": 12_000, "optimizer.lr": 5e-4, "optimizer.beta1": 0.5,
    "optimizer.beta2": 0.999, "optimizer.schedule": "cosine", "agent.batch_size": 256, "agent.latent": 4,
    "model.hidden": [128, 128, 128], "model.norm": "none"}
RING: dict[str, Any] = {**GRID, "budget.updates": 4_000}
SMALL = ("model=gan_mlp", "model.hidden=[16]", "agent.batch_size=16", "agent.latent=4", "agent.ema=0.9")
RIVALS = "two networks pull at each other: the loss of one batch need not fall"


def agent(config: type, *small: str, **heaps: Any) -> Agent:
    """`heaps` of agent.KEY are for heaps of points, whose critics have to be steep."""
    own = {f"agent.{key}": value for key, value in heaps.items()}
    return Agent(config.name, config, f"lab_gan.build:{config.name}", learns_from="data",   # type: ignore[attr-defined]
                 tuned={"default": DEFAULT, "digits": DIGITS, "ring": RING | own, "grid": GRID | own},
                 small=(*SMALL, *small), not_checked={"overfits_one_batch": RIVALS})


@hookimpl
def lab_agents() -> list[Agent]:
    return [agent(GAN, "agent.augment=[shift,cutout,brightness,contrast]"), agent(LSGAN),
            agent(HingeGAN, "model.critic_norm=spectral"), agent(WGAN, "agent.critic_steps=2", clip=0.1),
            agent(WGANGP, "agent.critic_steps=2", penalty_weight=0.1), agent(R1GAN, penalty_weight=0.05),
            agent(ConditionalGAN)]


@hookimpl
def lab_models() -> list[Model]:
    return [Model(kind().name, kind, f"lab_gan.rivals:{build}", role="rivals")
            for kind, build in ((RivalsMLP, "dense"), (RivalsConv, "convolutional"), (RivalsResidual, "residual"))]


@hookimpl
def lab_conf() -> Path:
    return Path(__file__).parent / "conf"
