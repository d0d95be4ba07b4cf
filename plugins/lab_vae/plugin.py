"""Autoencoders and variational autoencoders. Light: the command line reads this file before torch is imported."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

from lab import Agent, Model, hookimpl
from lab.errors import UsageError, one_of, within

NORMS = ("none", "batch")
LIKELIHOODS = ("auto", "bernoulli", "gaussian", "discretized")
BINARIZED = ("none", "draw", "threshold")


@dataclass
class Mirrored:
    """An encoder and the decoder that is its mirror image."""

    name: str = ""
    activation: str = "relu"
    norm: str = "none"            # before each activation; batch: Ioffe & Szegedy 2015

    activations: ClassVar[tuple[str, ...]] = ("relu", "gelu", "silu", "tanh", "elu", "leaky_relu")

    def __post_init__(self) -> None:
        one_of("model.activation", self.activation, self.activations)
        one_of("model.norm", self.norm, NORMS)


@dataclass
class CoderMLP(Mirrored):
    """Fully connected layers on the flattened example; also glu, where half of the numbers gate the others."""

    name: str = "vae_mlp"
    hidden: list[int] = field(default_factory=lambda: [400])         # widths, the first next to the example
    activations = (*Mirrored.activations, "glu")

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.hidden or any(not 1 <= width <= 1_000_000 for width in self.hidden):
            raise UsageError(f"model.hidden is {list(self.hidden)}; expected one or more widths from 1 to 1,000,000")


@dataclass
class CoderConv(Mirrored):
    """Convolutions of 3 x 3, of which each halves height and width; back by nearest pixels (Odena et al. 2016)."""

    name: str = "vae_conv"
    norm: str = "batch"
    channels: list[int] = field(default_factory=lambda: [32, 64])    # of each halving
    blocks: int = 0               # residual blocks after each (He et al. 2016)

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.channels or any(not 1 <= width <= 10_000 for width in self.channels):
            raise UsageError(f"model.channels is {list(self.channels)}; expected one or more from 1 to 10,000")
        within("model.blocks", self.blocks, 0, 100)


@dataclass
class CoderResidual(CoderConv):
    """The same with residual blocks."""

    name: str = "vae_resnet"
    blocks: int = 1


@dataclass
class Reconstructing:
    """What all have. Targets are pixels from 0 to 1, and what is not a picture as data.prepare puts it on a scale."""

    name: str = ""
    batch_size: int = 128         # examples per optimizer step; 0: all of them
    latent: int = 16              # numbers in a code
    likelihood: str = "auto"      # of an example, given its code: bernoulli: pixels are chances; gaussian; discretized:
    # ^ a logistic distribution over the levels of a pixel (Salimans et al. 2017); auto: gaussian for tables and
    #   sequences, discretized for pictures of 3 to 32 levels, else bernoulli
    sigma: float = 0.0            # deviation of the Gaussian; 0: one number, learned (Rybkin et al. 2021)
    binarize: str = "none"        # pictures: draw: each pixel is 1 with the chance that it says, anew for every batch,
    # ^ once for evaluation (Salakhutdinov & Murray 2008); threshold: 1 above a half
    outlier: str = ""             # a class that is not learned: it is to be found at the end by what it costs to say
    # ^ at the mean of the code, without corruption; not of conditional_vae
    max_grad_norm: float = 1e12   # the gradient is scaled down to this norm

    def __post_init__(self) -> None:
        within("agent.batch_size", self.batch_size, 0, 10**9)
        within("agent.latent", self.latent, 1, 1_000_000)
        one_of("agent.likelihood", self.likelihood, LIKELIHOODS)
        within("agent.sigma", self.sigma, 0, 1e6)
        one_of("agent.binarize", self.binarize, BINARIZED)
        within("agent.max_grad_norm", self.max_grad_norm, 1e-9, 1e12)


@dataclass
class Autoencoder(Reconstructing):
    """Through a bottleneck (Hinton & Salakhutdinov 2006)."""

    name: str = "autoencoder"


@dataclass
class DenoisingAutoencoder(Reconstructing):
    """Sees a corrupted example, and says the whole one (Vincent et al. 2008, 2010)."""

    name: str = "denoising_autoencoder"
    noise: str = "mask"           # mask: numbers become 0; salt: pixels become 0 or 1; gaussian: something is added
    level: float = 0.3            # share of the numbers that are hidden or flipped; deviation of what is added

    def __post_init__(self) -> None:
        super().__post_init__()
        one_of("agent.noise", self.noise, ("mask", "salt", "gaussian"))
        within("agent.level", self.level, 0, 1 if self.noise != "gaussian" else 100)


@dataclass
class VAE(Reconstructing):
    """Kingma & Welling 2014."""

    name: str = "vae"
    beta: float = 1.0             # weight of the KL divergence from the prior (Higgins et al. 2017)
    kl_warmup: int = 0            # updates over which that weight grows from 0 (Bowman et al. 2016); 0: none
    free_bits: float = 0.0        # nats of each latent number that cost nothing (Kingma et al. 2016, section C.8)
    importance_samples: int = 16  # codes for the bound on the likelihood at the end (Burda et al. 2016); 0: none

    def __post_init__(self) -> None:
        super().__post_init__()
        within("agent.beta", self.beta, 0, 1e6)
        within("agent.kl_warmup", self.kl_warmup, 0, 10**12)
        within("agent.free_bits", self.free_bits, 0, 1e3)
        within("agent.importance_samples", self.importance_samples, 0, 10**6)


@dataclass
class BetaVAE(VAE):
    """Higgins et al. 2017."""

    name: str = "beta_vae"
    beta: float = 4.0


@dataclass
class ConditionalVAE(VAE):
    """Encoder and decoder know the class (Sohn et al. 2015)."""

    name: str = "conditional_vae"


@dataclass
class VQVAE(Reconstructing):
    """The code is a grid of vectors out of a book (van den Oord et al. 2017)."""

    name: str = "vq_vae"
    latent: int = 32              # numbers in a vector
    codes: int = 128              # vectors in the book
    places: int = 16              # vectors for an example, where the model is fully connected
    commitment: float = 0.25      # weight of the squared distance from the vectors of the book
    decay: float = 0.99           # per update, of the running means that the book consists of
    revive: float = 0.01          # a vector used less than this share of its due begins anew

    def __post_init__(self) -> None:
        super().__post_init__()
        within("agent.codes", self.codes, 2, 1_000_000)
        within("agent.places", self.places, 1, 1_000_000)
        within("agent.commitment", self.commitment, 0, 1e6)
        within("agent.decay", self.decay, 0, 0.9999999)
        within("agent.revive", self.revive, 1e-9, 1)


DEFAULT: dict[str, Any] = {"budget.epochs": 60, "optimizer.lr": 1e-3, "optimizer.schedule": "cosine"}
DIGITS: dict[str, Any] = {**DEFAULT, "budget.epochs": 300}
SAMPLED: dict[str, Any] = {**DIGITS, "agent.importance_samples": 100}
SMALL = ("model=vae_mlp", "model.hidden=[32]", "agent.batch_size=16", "agent.latent=4", "optimizer.lr=1e-2")
DRAWN, BOUNDED = (*SMALL, "agent.binarize=draw"), (*SMALL, "agent.likelihood=gaussian", "agent.kl_warmup=200")
BOOK = (*SMALL, "agent.likelihood=gaussian", "agent.codes=8", "agent.places=2", "agent.revive=0.5")


@hookimpl
def lab_agents() -> list[Agent]:
    plain = {"default": DEFAULT, "digits": DIGITS}
    kinds = ((Autoencoder, plain, DRAWN), (DenoisingAutoencoder, plain, SMALL),
             *((kind, {**plain, "digits": SAMPLED}, BOUNDED) for kind in (VAE, BetaVAE, ConditionalVAE)),
             (VQVAE, {"default": {**DEFAULT, "model.channels": [64]}, "digits": {**DIGITS, "model.channels": [64]}},
              BOOK))
    return [Agent(kind().name, kind, f"lab_vae.build:{kind().name}", learns_from="data", tuned=tuned, small=small)
            for kind, tuned, small in kinds]


@hookimpl
def lab_models() -> list[Model]:
    return [Model(kind().name, kind, f"lab_vae.coders:{build}", role="autoencoder")
            for kind, build in ((CoderMLP, "dense"), (CoderConv, "convolutional"), (CoderResidual, "convolutional"))]


@hookimpl
def lab_conf() -> Path:
    return Path(__file__).parent / "conf"
