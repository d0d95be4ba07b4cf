"""A class that is not learned, and is to be found by what it costs to reconstruct. N examples."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import torch

from lab.data.loaded import Data
from lab.errors import UsageError, closest
from lab.figures import curves
from lab.metrics import torchmetrics
from lab.reports import lines

from .learners import Reconstructor


def without(data: Data, name: str) -> Data:
    """No example of the class `name`. Raises UsageError where there is no such class, or nothing but it."""
    classes = data.about.classes
    if not classes:
        raise UsageError(f"agent.outlier={name} is a class, and data={data.cfg.name} has none")
    if name not in classes:
        raise UsageError(f"agent.outlier={name} is not a class of data={data.cfg.name}. {closest(name, classes)}")
    kept = dict[str, torch.Tensor]()
    for part, split in data.splits.items():
        assert split.y is not None
        kept[part] = torch.nonzero(split.y != classes.index(name))[:, 0]
    if not len(kept["train"]):
        raise UsageError(f"agent.outlier={name} leaves no example to learn from")
    return replace(data, splits={part: data.splits[part].take(rows) for part, rows in kept.items() if len(rows)})


class Outliers:
    """An evaluator: of a whole split, how well -log p(x | code) tells the class that was not learned from the others.

    auroc is the chance that an outlier costs more than another example. Where there is none, or nothing else, nothing
    can be told apart, and there are no figures.
    """

    def __init__(self, learner: Reconstructor, whole: Data, split: str, name: str):
        self.learner, self.data, self.split, self.name = learner, whole, split, name

    def __call__(self) -> Mapping[str, Any]:
        y, by = self.data.splits[self.split].y, torchmetrics().classification
        assert y is not None
        out = (y == self.data.about.classes.index(self.name)).long()                        # [N]
        if out.all() or not out.any():
            return {}
        costs = torch.cat([self.learner.cost(batch["x"]) for batch in self.data.batches(self.split)]).cpu()     # [N]
        low, high = costs.aminmax()
        scores = (costs.double() - low) / (high - low).clamp(min=1e-12)                     # torchmetrics wants 0 to 1
        false, true, _ = by.binary_roc(scores, out)
        drawn = lines([self.name], [false], [true])
        found = {"auroc": float(by.binary_auroc(scores, out)),
                 "average_precision": float(by.binary_average_precision(scores, out)),
                 "roc": curves(drawn, "false positive rate", "true positive rate")}
        return {f"{self.split}/outlier/{name}": value for name, value in found.items()}
