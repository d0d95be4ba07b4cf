"""The long form of an evaluation: pictures, tables and curves. N examples, K classes, T thresholds, M bins."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from . import figures
from .media import Counts, Table
from .metrics import BINS, per_class, slugs, torchmetrics

THRESHOLDS = 101                  # of TensorBoard's curves, evenly from 0 to 1
POINTS = 1_000                    # of a curve that is drawn
CURVES = 30                       # classes up to which each has a curve in TensorBoard


def classes_report(logits: Tensor, y: Tensor, classes: Sequence[str]) -> dict[str, Any]:
    """Of logits [N, K] for labels [N]: measures of each class, confusion matrix, calibration, and the curves of one
    class against the rest: ROC, and precision over recall.
    """
    by, k, logits, y = torchmetrics().classification, len(classes), logits.float().cpu(), y.cpu()
    chances = logits.softmax(-1)                                                            # [N, K]
    matrix = by.multiclass_confusion_matrix(logits, y, num_classes=k).numpy()               # [K, K]
    found: dict[str, Any] = per_class(logits, y, classes)
    found |= {"confusion": figures.confusion(matrix, classes), "confusion_counts": table(matrix, classes)}
    false, true, _ = by.multiclass_roc(chances, y, num_classes=k)                           # K of [points] each
    precision, recall, _ = by.multiclass_precision_recall_curve(chances, y, num_classes=k)
    found["roc"] = figures.curves(lines(classes, false, true), "false positive rate", "true positive rate")
    found["precision_recall"] = figures.curves(lines(classes, recall, precision), "recall", "precision")
    found["reliability"] = figures.reliability(*binned(chances, y))
    for i, name in enumerate(slugs(classes)[:CURVES]):
        found[f"pr/{name}"] = counted(chances[:, i], y == i)
    return found


def lines(classes: Sequence[str], x: Sequence[Tensor], y: Sequence[Tensor]) -> list[tuple[str, Any, Any]]:
    """Of each class its name and at most some `POINTS` of its curve."""
    def some(of: Tensor) -> Any:
        return of[torch.linspace(0, len(of) - 1, min(POINTS, len(of))).round().long()].numpy()

    return [(name, some(across), some(up)) for name, across, up in zip(classes, x, y, strict=True)]


def table(matrix: Any, classes: Sequence[str]) -> Table:
    """Counts [K, K], rows the true classes, with the names of both."""
    quoted = ['"' + name.replace('"', '""') + '"' for name in classes]
    rows = [",".join(["true", *quoted]), *(",".join([name, *map(str, row)])
                                           for name, row in zip(quoted, matrix.tolist(), strict=True))]
    return Table("\n".join(rows) + "\n")


def counted(chance: Tensor, there: Tensor) -> Counts:
    """At each of `THRESHOLDS`, of chances [N] of what is `there` [N]: how many are taken for it, rightly or not."""
    thresholds = torch.linspace(0, 1, THRESHOLDS)
    taken = chance >= thresholds[:, None]                                                   # [T, N]
    true, all_taken, positive = (taken & there).sum(1), taken.sum(1), int(there.sum())
    false = all_taken - true
    return Counts(true.tolist(), false.tolist(), (len(there) - positive - false).tolist(), (positive - true).tolist())


def binned(chances: Tensor, y: Tensor) -> tuple[Any, Any, Any]:
    """By the chance [N, K] of what is said: mean chance, share that is right, and number in each of M bins."""
    confidence, said = chances.max(-1)                                                      # [N]
    place = (confidence * BINS).long().clamp(max=BINS - 1).numpy()
    counts = np.bincount(place, minlength=BINS)
    sums = [np.bincount(place, each.double().numpy(), BINS) for each in (confidence, said == y)]
    return sums[0] / np.maximum(counts, 1), sums[1] / np.maximum(counts, 1), counts


def worst(logits: Tensor, y: Tensor, most: int = 25) -> Tensor:
    """The wrong answers of the greatest loss, at most so many, the worst first: [n] of the N examples."""
    losses = cross_entropy(logits.float(), y, reduction="none").masked_fill(logits.argmax(-1) == y, -1)
    order = losses.argsort(descending=True)[:most]
    return order[losses[order] >= 0]


def numbers_report(out: Tensor, y: Tensor, targets: Sequence[str]) -> dict[str, Any]:
    """Of predictions [N, K] for numbers [N, K]: what was said over what is true."""
    true, said = y.cpu().numpy(), out.cpu().numpy()
    return {f"predicted/{name}": figures.scatter(true[:, i], said[:, i], "true", "predicted")
            for i, name in enumerate(slugs(targets))}
