"""How good predictions are, by torchmetrics. N examples, K classes or numbers."""

import re
import warnings
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

BINS = 15                         # of the expected calibration error (Guo et al. 2017)
AVERAGES = ("macro", "micro")


def torchmetrics() -> Any:
    """Imported when it is needed: that takes longer than torch itself. Its warnings of absent classes are left out."""
    import torchmetrics.functional as functional

    warnings.filterwarnings("ignore", "No (positive|negative) samples", UserWarning)
    warnings.filterwarnings("ignore", "Average precision score for one or more classes was `nan`", UserWarning)
    return functional


def slugs(names: Sequence[str]) -> list[str]:
    """Each as part of a metric's name, no two alike and none that of a mean over classes: those get a number."""
    plain = [re.sub(r"[^A-Za-z0-9_.@-]+", "_", name).strip("_") for name in names]
    found = list[str]()
    for i, name in enumerate(plain):
        clear = name and name not in AVERAGES and plain.count(name) == 1
        new = name if clear else f"{name}_{i}".strip("_")
        while not clear and new in (*plain, *found):
            new += "_"
        found.append(new)
    return found


def classification(logits: Tensor, y: Tensor, top_k: int = 0) -> dict[str, float]:
    """Of logits [N, K] for labels [N]: the loss in nats, accuracy, and by torchmetrics' multiclass functions the rest.

    "macro" is the mean over classes that occur or are said, "micro" counts all examples alike; ece is the expected
    calibration error, auroc and ap (average precision) the areas below the curves, one class against the rest, where
    there are examples of both.
    """
    by, k = torchmetrics().classification, logits.shape[1]
    logits = logits.float()
    found = {"loss": cross_entropy(logits, y), "accuracy": (logits.argmax(-1) == y).float().mean()}
    if 0 < top_k < k:
        found[f"accuracy_top{top_k}"] = (logits.topk(top_k).indices == y[:, None]).any(-1).float().mean()
    for average in AVERAGES:
        for name in ("precision", "recall", "f1_score"):
            measure = getattr(by, f"multiclass_{name}")
            found[f"{name.removesuffix('_score')}/{average}"] = measure(logits, y, num_classes=k, average=average)
    chances = logits.softmax(-1)
    counts = torch.bincount(y, minlength=k)
    both = (counts > 0) & (counts < len(y))
    for name, measure in (("auroc", by.multiclass_auroc), ("ap", by.multiclass_average_precision)):
        found[name] = measure(chances, y, num_classes=k, average="none")[both].mean()       # nan where there are none
    found["ece"] = by.multiclass_calibration_error(chances, y, num_classes=k, n_bins=BINS)
    return {name: float(value) for name, value in found.items()}


def per_class(logits: Tensor, y: Tensor, classes: Sequence[str]) -> dict[str, float]:
    """Precision, recall and F1 of each class: {"f1/cat": 0.9}."""
    by, k = torchmetrics().classification, len(classes)
    found = {name: getattr(by, f"multiclass_{name}")(logits, y, num_classes=k, average="none").tolist()
             for name in ("precision", "recall", "f1_score")}
    return {f"{name.removesuffix('_score')}/{each}": value for name, values in found.items()
            for each, value in zip(slugs(classes), values, strict=True)}


def regression(out: Tensor, y: Tensor, deviation: Tensor, targets: Sequence[str]) -> dict[str, float]:
    """Of predictions [N, K] for numbers [N, K]: the loss is the mean squared error in deviations [K] of the targets.

    In their units, and of each of several by itself: mean absolute error, root mean square error, R2. "r2" is the mean.
    """
    out, y = out.double(), y.double()
    found = {"loss": float(((out - y) / deviation).square().mean())}
    if len(targets) == 1:
        return found | errors(out, y)
    each = [errors(out[:, [i]], y[:, [i]]) for i in range(len(targets))]
    found["r2"] = sum(one["r2"] for one in each) / len(each)
    return found | {f"{kind}/{name}": value for name, one in zip(slugs(targets), each, strict=True)
                    for kind, value in one.items()}


def errors(out: Tensor, y: Tensor) -> dict[str, float]:
    """Of predictions [N, 1] for numbers [N, 1]."""
    by = torchmetrics().regression
    r2 = float(by.r2_score(out, y)) if len(y) > 1 else float("nan")
    return {"mae": float(by.mean_absolute_error(out, y)), "rmse": float(by.mean_squared_error(out, y).sqrt()), "r2": r2}
