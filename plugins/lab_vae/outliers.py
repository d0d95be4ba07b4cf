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

from .judges import Judge


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

    auroc is the chance that an outlier costs more than another example.
    """

    def __init__(self, judge: Judge, whole: Data, name: str):
        self.judge, self.place = replace(judge, data=whole), whole.about.classes.index(name)

    def __call__(self) -> Mapping[str, Any]:
        judge, split = self.judge, self.judge.data.splits[self.judge.split]
        assert split.y is not None
        with torch.no_grad():
            costs = torch.cat([judge.learner.terms(*part)["reconstruction"] for part in judge.parts()]).cpu()   # [N]
        out, by = (split.y == self.place).long(), torchmetrics().classification
        low, high = costs.aminmax()
        scores = (costs.double() - low) / (high - low).clamp(min=1e-12)                     # torchmetrics wants 0 to 1
        false, true, _ = by.binary_roc(scores, out)
        drawn = lines([judge.data.about.classes[self.place]], [false], [true])
        found = {"auroc": float(by.binary_auroc(scores, out)),
                 "average_precision": float(by.binary_average_precision(scores, out)),
                 "roc": curves(drawn, "false positive rate", "true positive rate")}
        return {f"{judge.prefix}outlier/{name}": value for name, value in found.items()}
