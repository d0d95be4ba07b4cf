"""Diffusion models, put together. N examples, D numbers in each."""

import copy
from collections.abc import Mapping
from functools import partial
from typing import Any

import torch
from torch import Tensor

from lab import signals
from lab.codes import FromCodes, in_parts
from lab.contract import Evaluator, Experiment
from lab.data.gallery import Wall
from lab.data.loaded import Data
from lab.data.made import at_the_end
from lab.data.network import whole_examples
from lab.data.scaled import Scaled
from lab.errors import UsageError
from lab.layers import Row, rows, summary
from lab.world import World

from .learner import Diffuser
from .network import Told
from .plugin import DDPM

FEW = 2                           # rows of pictures while it trains: each takes many steps


def ddpm(cfg: DDPM, world: World) -> Experiment:
    """Raises UsageError where data and model do not fit together."""
    data, about = world.data, world.data.about
    whole_examples(cfg.name, data)
    if cfg.guidance and not about.classes:
        raise UsageError(f"agent.guidance={cfg.guidance:g} leads to a class, and data={data.cfg.name} has none; use 0")
    front, shape = data.front
    denoiser = world.model(shape, role="denoiser")
    told = len(about.classes) if cfg.unlabelled < 1 else 0
    scaled = Scaled(copy.deepcopy(front), about.kind).to(world.compute.device)
    net = Told(denoiser, told, scaled, ends(scaled, data)).to(world.compute.device)
    learner = Diffuser(net, world.optimizer(net.parameters()), shape, cfg, world.compute)
    return judged(learner, data, world.cfg.evaluate.samples)


def ends(scaled: Scaled, data: Data) -> tuple[Tensor, Tensor]:
    """The least and the greatest of each number of the training examples as the network sees them, [*shape]; of pixels
    what they can be, 0-d.
    """
    if scaled.front is None:
        return torch.tensor(-1.0), torch.tensor(1.0)
    found = [scaled(batch["x"]).aminmax(dim=0) for batch in data.batches("train")]
    return torch.stack([each.min for each in found]).amin(0), torch.stack([each.max for each in found]).amax(0)


def judged(learner: Diffuser, data: Data, most: int) -> Experiment:
    """With evaluations while it trains, and on the test split at the end, there also of what it makes."""
    last = "test" if "test" in data.splits else data.judged
    sample = FromNoise(learner) if learner.cfg.eta else FromCodes(learner.made, learner.numbers, learner.net.classes)
    during: dict[str, Evaluator] = {data.judged: Errors(learner, data, data.judged)}
    closing: dict[str, Evaluator] = {last: Errors(learner, data, last, f"{last}/"),
                                     **at_the_end(sample, data, last, most)}
    if data.about.kind == "picture":
        during["wall"] = Wall(sample, learner.compute, rows=FEW)
    stream, found = data.stream(learner.cfg.batch_size), layers(learner, data)
    return Experiment(learner, stream, during, closing, summary(learner.net, found),
                      sum(row[-1] for row in found) * stream.size, sample=sample)


def layers(learner: Diffuser, data: Data) -> list[Row]:
    """Of its network, as one example goes through them."""
    x = learner.net.scaled(next(data.batches("train", 1))["x"])
    label = torch.zeros(1, dtype=torch.int64, device=x.device) if learner.net.classes else None
    return rows(learner.net, lambda: learner.net(x, torch.zeros(1, device=x.device), label))


class FromNoise:
    """A `Sample` of lab.contract: noise is added at every step, so that there is no code to walk through."""

    def __init__(self, learner: Diffuser):
        self.learner, self.classes = learner, learner.net.classes

    def __call__(self, n: int, rng: torch.Generator, label: Tensor | None = None) -> Tensor:
        z = torch.randn(n, self.learner.numbers, generator=rng, device=rng.device)
        return in_parts(partial(self.learner.made, rng=rng), z, label)


class Errors:
    """An evaluator: the mean of what is minimised over a split, with the same random numbers at every call."""

    def __init__(self, learner: Diffuser, data: Data, split: str, prefix: str = ""):
        self.learner, self.data, self.split, self.prefix = learner, data, split, prefix

    def __call__(self) -> Mapping[str, Any]:
        learner, total = self.learner, 0.0
        for number, batch in enumerate(self.data.batches(self.split)):
            signals.check()
            rng = learner.compute.rng(f"evaluate/{self.split}/{number}")
            x = learner.net.scaled(batch["x"])
            with torch.no_grad():
                errors = learner.errors(learner.judged, x, *learner.draws(len(x), batch.get("y"), rng))
            total += float(errors.double().sum())
        return {f"{self.prefix}loss": total / len(self.data.splits[self.split])}

    def names(self) -> list[str]:
        return [f"{self.prefix}loss"]
