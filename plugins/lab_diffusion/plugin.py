"""Diffusion models. Light: the command line reads this file before torch is imported."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from lab import Agent, Model, hookimpl
from lab.errors import UsageError, one_of, within

SCHEDULES = ("cosine", "linear")
TARGETS = ("v", "noise", "example")


@dataclass
class DenoiserMLP:
    """Fully connected residual blocks on the flattened example."""

    name: str = "denoiser_mlp"
    width: int = 128
    blocks: int = 3

    def __post_init__(self) -> None:
        within("model.width", self.width, 1, 1_000_000)
        within("model.blocks", self.blocks, 1, 1000)


@dataclass
class UNet:
    """Down to a small picture and up again, each size told what was seen on the way down (Ho et al. 2020, appendix B).

    Residual blocks with group norms, which what is told scales and shifts (Nichol & Dhariwal 2021, section 3.1).
    """

    name: str = "unet"
    channels: list[int] = field(default_factory=lambda: [32, 64])    # at each size; each halves height and width
    blocks: int = 1               # residual ones at each size, on either side
    heads: int = 2                # of the attention at the smallest size; 0: none
    groups: int = 8               # of the norms, at most

    def __post_init__(self) -> None:
        if not self.channels or any(not 1 <= width <= 10_000 for width in self.channels):
            raise UsageError(f"model.channels is {list(self.channels)}; expected one or more from 1 to 10,000")
        within("model.blocks", self.blocks, 1, 100)
        within("model.heads", self.heads, 0, 1000)
        if self.heads and self.channels[-1] % self.heads:
            raise UsageError(f"model.heads={self.heads} does not divide the last of model.channels, "
                             f"{self.channels[-1]}")
        within("model.groups", self.groups, 1, 10_000)


@dataclass
class DDPM:
    """Learns to take noise away (Ho et al. 2020), in continuous time (Song et al. 2021b).

    Where the data has classes it is told them, most of the time: an example is made of the class that is asked for.
    """

    name: str = "ddpm"
    batch_size: int = 128         # examples per optimizer step; 0: all of them
    schedule: str = "cosine"      # of the noise (Nichol & Dhariwal 2021); linear: of its variance (Ho et al. 2020)
    predict: str = "v"            # v: a mean of both (Salimans & Ho 2022); noise; example
    unlabelled: float = 0.1       # share of the examples whose class is kept back (Ho & Salimans 2022); 1: all
    guidance: float = 0.0         # how much further than its class says from what is said without (their equation 6)
    sampling_steps: int = 50      # from noise to an example (DDIM, Song et al. 2021a)
    eta: float = 0.0              # noise added at each of them: 0: none; 1: as of Ho et al. (their equation 16)
    ema: float = 0.999            # decay per step of an average of the network, which makes the samples; 0: none
    max_grad_norm: float = 1.0    # the gradient is scaled down to this norm

    def __post_init__(self) -> None:
        within("agent.batch_size", self.batch_size, 0, 10**9)
        one_of("agent.schedule", self.schedule, SCHEDULES)
        one_of("agent.predict", self.predict, TARGETS)
        within("agent.unlabelled", self.unlabelled, 0, 1)
        within("agent.guidance", self.guidance, 0, 100)
        if self.guidance and not 0 < self.unlabelled < 1:
            raise UsageError(f"agent.guidance={self.guidance:g} needs what is said with a class and without; came "
                             f"agent.unlabelled={self.unlabelled:g}, use a share between, such as 0.1")
        within("agent.sampling_steps", self.sampling_steps, 1, 100_000)
        within("agent.eta", self.eta, 0, 1)
        within("agent.ema", self.ema, 0, 0.9999999)
        within("agent.max_grad_norm", self.max_grad_norm, 1e-9, 1e12)


DEFAULT: dict[str, Any] = {"budget.epochs": 60, "optimizer.lr": 1e-3, "optimizer.schedule": "cosine"}
DIGITS: dict[str, Any] = {**DEFAULT, "budget.epochs": 100, "model.channels": [24, 48]}
SMALL = ("model=denoiser_mlp", "model.width=32", "model.blocks=1", "agent.batch_size=16", "agent.ema=0.9",
         "agent.sampling_steps=4", "optimizer.lr=1e-2")


@hookimpl
def lab_agents() -> list[Agent]:
    return [Agent("ddpm", DDPM, "lab_diffusion.build:ddpm", learns_from="data",
                  tuned={"default": DEFAULT, "digits": DIGITS}, small=SMALL)]


@hookimpl
def lab_models() -> list[Model]:
    return [Model("unet", UNet, "lab_diffusion.unet:build", role="denoiser"),
            Model("denoiser_mlp", DenoiserMLP, "lab_diffusion.dense:build", role="denoiser")]


@hookimpl
def lab_conf() -> Path:
    return Path(__file__).parent / "conf"
