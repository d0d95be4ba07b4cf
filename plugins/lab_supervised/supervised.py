"""Classification and regression, put together. B examples, K classes or numbers."""

from collections.abc import Mapping
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, huber_loss, mse_loss

from lab import figures, metrics, reports
from lab.contract import Experiment
from lab.data.judge import Judge, Measure
from lab.data.loaded import Data
from lab.data.network import enough_examples, layers, must_have_target, network
from lab.errors import UsageError
from lab.layers import summary
from lab.world import World

from .learner import Loss, Mass, Predictor
from .plugin import Classifier, Regressor


def classifier(cfg: Classifier, world: World) -> Experiment:
    data, about = world.data, world.data.about
    must_have_target(cfg.name, data)
    if about.targets:
        raise UsageError(f"the classifier learns classes, and data={data.cfg.name} has numbers to predict: "
                         f"{other(data, 'regressor', 'classes')}")
    if len(about.classes) < 2:
        raise UsageError(f"the classifier tells classes apart, and data={data.cfg.name} has only {about.classes[0]!r}")
    weights = None
    mass: Mass = len
    if cfg.class_weights == "balanced":
        weights = balanced(data.class_counts()).to(world.compute.device)
        mass = partial(weight_of, weights)
    loss: Loss = partial(cross_entropy, weight=weights, label_smoothing=cfg.label_smoothing)
    net = network(world, len(about.classes))
    learner = Predictor(net, loss, hits, world.optimizer(net.parameters()), cfg, world.compute, mass)
    measure = partial(metrics.classification, top_k=cfg.top_k)
    return experiment(world, learner, measure, partial(reports.classes_report, classes=about.classes))


def other(data: Data, agent: str, task: str) -> str:
    """What to do where the targets are not of the agent's kind."""
    return f"use +agent={agent}" + (f", or data.task={task}" if hasattr(data.cfg, "task") else "")


def balanced(counts: Tensor) -> Tensor:
    """Weights [K] in proportion to 1 / count, whose mean over the examples is 1."""
    return counts.sum() / (len(counts) * counts.clamp(min=1))


def weight_of(weights: Tensor, y: Tensor) -> Tensor | int:
    """By what torch divides the cross-entropy with `weights` [K] of labels [B]; of shares [B, K] it takes the mean."""
    return weights[y].sum() if y.ndim == 1 else len(y)


def hits(out: Tensor, y: Tensor) -> Mapping[str, Tensor]:
    """The share of a batch [B, K] whose largest output is that of the label [B], or of the largest share [B, K]."""
    return {"train/accuracy": (out.argmax(-1) == (y if y.ndim == 1 else y.argmax(-1))).float().mean()}


class Rescaled(nn.Module):
    """Numbers [B, K] on the scale of their mean and deviation, in their own units and of the type that they have."""

    mean: Tensor
    deviation: Tensor

    def __init__(self, y: Tensor):
        super().__init__()
        deviation = y.double().std(0, correction=0).to(y.dtype)
        self.register_buffer("mean", y.double().mean(0).to(y.dtype))
        self.register_buffer("deviation", torch.where(deviation > 0, deviation, 1))

    def forward(self, out: Tensor) -> Tensor:
        return out.float() * self.deviation + self.mean


def regressor(cfg: Regressor, world: World) -> Experiment:
    data, about = world.data, world.data.about
    must_have_target(cfg.name, data)
    y = data.splits["train"].y
    if not about.targets or y is None:
        raise UsageError(f"the regressor learns numbers, and data={data.cfg.name} has classes, such as "
                         f"{about.classes[0]!r}: {other(data, 'classifier', 'numbers')}")
    net = network(world, len(about.targets))
    net.last = own = Rescaled(y).to(world.compute.device)
    error = mse_loss if cfg.loss == "mse" else partial(huber_loss, delta=cfg.huber_delta)

    def loss(out: Tensor, y: Tensor) -> Tensor:
        return error(out / own.deviation, y / own.deviation)

    learner = Predictor(net, loss, errors, world.optimizer(net.parameters()), cfg, world.compute)

    def measure(out: Tensor, y: Tensor) -> Mapping[str, Any]:
        return {**metrics.regression(out, y, own.deviation, about.targets), "loss": float(loss(out, y))}

    return experiment(world, learner, measure, partial(reports.numbers_report, targets=about.targets))


def errors(out: Tensor, y: Tensor) -> Mapping[str, Tensor]:
    return {"train/mae": (out - y).abs().mean()}


def experiment(world: World, learner: Predictor, measure: Measure, report: Measure) -> Experiment:
    """Evaluated on the validation split while it trains, and on the test split at the end, there also by `report`."""
    data, stream = world.data, world.data.stream(learner.cfg.batch_size)
    enough_examples(learner.net, stream.size)

    def judge(split: str, measure: Measure, prefix: str = "") -> Judge:
        return Judge(lambda: learner.judged, data, split, measure, prefix)

    def whole(out: Tensor, y: Tensor) -> Mapping[str, Any]:
        mistakes = worst_pictures(data, out, y) if data.about.classes and data.about.kind == "picture" else {}
        return {**measure(out, y), **report(out, y), **mistakes}

    found = layers(learner.net, data.about)
    last = {"test": judge("test", whole, "test/")} if "test" in data.splits else {}
    return Experiment(learner, stream, {data.judged: judge(data.judged, measure)}, last,
                      summary(learner.net, found), sum(row[-1] for row in found) * stream.size,
                      lambda x, length=None: learner.judged(x, length))


def worst_pictures(data: Data, logits: Tensor, y: Tensor) -> Mapping[str, Any]:
    """The mistakes of the greatest loss on the test split, each with what it is and what was said."""
    rows = reports.worst(logits, y)
    if not len(rows):
        return {}
    x = next(data.splits["test"].batches([rows.cpu()], torch.device("cpu")))["x"]           # [n, C, H, W]
    said, chance = logits[rows].argmax(-1), logits[rows].softmax(-1).amax(-1)
    names = data.about.classes
    captions = [f"{names[a]}, said {names[b]} {p:.2f}" for a, b, p in zip(y[rows], said, chance, strict=True)]
    return {"mistakes": figures.captioned(list(figures.shown(x)), captions)}
