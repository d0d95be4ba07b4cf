"""Puts an agent together: which estimator, what it can learn from, and how it is judged."""

import math
from collections.abc import Callable, Mapping
from dataclasses import asdict
from functools import partial
from typing import Any

import sklearn
import torch
from torch import Tensor

from lab import metrics, reports
from lab.contract import Evaluator, Experiment
from lab.data.dataset import About
from lab.data.judge import Judge
from lab.data.loaded import Data
from lab.data.network import must_have_target
from lab.errors import UsageError
from lab.world import Exhibition, World

from . import methods
from .finders import Clusters, Components
from .learner import Fitted, Whole
from .predictors import Classes, Numbers, of_chances, of_scores

FINDERS: dict[str, type[Clusters | Components]] = {"kmeans": Clusters, "pca": Components}
Measure = Callable[[Tensor, Tensor], Mapping[str, Any]]


def build(cfg: Any, world: World) -> Experiment:
    """Raises UsageError for what does not fit together."""
    data, about = world.data, world.data.about
    refuse_data(cfg, data)
    size = math.prod(data.front[1])           # D
    refuse_size(cfg, len(data.splits["train"]), size, world)
    stream = Whole(data.splits["train"], 0, world.compute, workers=data.cfg.workers,
                   notes=(*data.said, data.sizes()))
    make: methods.Make = getattr(methods, cfg.name)(cfg, about)
    settings = {**asdict(cfg), "data.prepare": data.cfg.prepare, "data.impute": data.cfg.impute}
    kind = FINDERS.get(cfg.name) or (Classes if about.classes else Numbers)
    learner = kind(cfg.name, make, settings, data, stream)
    learner.says_chances = cfg.name != "svm"
    name = data.judged
    last = {"test": judge(learner, data, "test", whole=True, prefix="test/")} if "test" in data.splits else {}
    said = f"`{make(learner.seed, 1)}` of scikit-learn {sklearn.__version__}, {size:,} numbers per example"
    return Experiment(learner, stream, {name: judge(learner, data, name)}, last, said,
                      predict=None if cfg.name in FINDERS else learner.net)


def refuse_data(cfg: Any, data: Data) -> None:
    """Raises UsageError for data that the method cannot learn from."""
    about, augment = data.about, data.cfg.augment
    if about.ragged:
        raise UsageError(f"{cfg.name} sees inputs of one size, and the sequences of data={data.cfg.name} are of "
                         "several lengths; use +agent=classifier or regressor with model=lstm, gru or rnn")
    if changes := [name for name, value in asdict(augment).items() if value]:
        raise UsageError(f"data.augment.{changes[0]}: {cfg.name} is fitted once, to the examples as they are; leave it "
                         "out")
    if cfg.name in FINDERS:
        return
    must_have_target(cfg.name, data)
    if cfg.name == "logistic_regression" and not about.classes:
        raise UsageError(f"logistic_regression learns classes, and data={data.cfg.name} has numbers to predict: use "
                         "+agent=linear_regression")
    if cfg.name == "linear_regression" and about.classes:
        raise UsageError(f"linear_regression learns numbers, and data={data.cfg.name} has classes: use "
                         "+agent=logistic_regression")
    if about.classes and len(about.classes) < 2:
        raise UsageError(f"{cfg.name} tells classes apart, and data={data.cfg.name} has only {about.classes[0]!r}")
    if not about.classes and getattr(cfg, "class_weight", "none") != "none":
        raise UsageError(f"agent.class_weight={cfg.class_weight}: data={data.cfg.name} has no classes")


def refuse_size(cfg: Any, n: int, size: int, world: World) -> None:
    """Raises UsageError for more clusters or components than there can be, and for examples that memory cannot hold."""
    if isinstance(world, Exhibition):
        return                                # where nothing is fitted the examples may be others
    if cfg.name == "kmeans" and (k := methods.clusters(cfg, world.data.about)) > n:
        raise UsageError(f"agent.n_clusters is {k}, and there are {n:,} examples; expected at most so many")
    if cfg.name == "pca" and cfg.n_components > min(n, size):
        raise UsageError(f"agent.n_components is {cfg.n_components:g}; {n:,} examples of {size:,} numbers have at most "
                         f"{min(n, size):,}")
    world.must_fit("examples", n, 12 * size)  # with 32 bits, and with 64 where the method computes so


def judge(learner: Fitted, data: Data, split: str, whole: bool = False, prefix: str = "") -> Evaluator:
    """On a split; of the `whole` also pictures, tables and curves. Nothing as long as nothing is learned."""
    if isinstance(learner, Clusters | Components):
        def found() -> Mapping[str, Any]:
            return {**learner.judge(split), **(learner.shown(data.about) if whole else {})}
    else:
        found = Judge(lambda: learner.net, data, split, measure(learner, data.about, whole))

    return lambda: {f"{prefix}{name}": value for name, value in found().items()} if learner.learned else {}


def measure(learner: Fitted, about: About, whole: bool) -> Measure:
    if isinstance(learner, Numbers):
        def errors(out: Tensor, y: Tensor) -> Mapping[str, Any]:
            return metrics.regression(out, y, torch.as_tensor(learner.deviation), about.targets)

        return joined(errors, partial(reports.numbers_report, targets=about.targets) if whole else None)
    chances, report = learner.says_chances, partial(reports.classes_report, classes=about.classes)
    return joined(of_chances if chances else of_scores, (report if chances else partial(uncalibrated, report))
                  if whole else None)


def joined(first: Measure, second: Measure | None) -> Measure:
    return first if second is None else lambda out, y: {**first(out, y), **second(out, y)}


def uncalibrated(report: Measure, out: Tensor, y: Tensor) -> Mapping[str, Any]:
    """Scores are no chances that could be compared with what comes true."""
    return {name: value for name, value in report(out, y).items() if name != "reliability"}
