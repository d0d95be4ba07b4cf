"""Methods that predict classes or numbers. N examples, D numbers each, K classes or targets."""

from typing import Any

import numpy as np
from sklearn.metrics import hinge_loss, log_loss
from torch import Tensor

from lab import metrics

from .learner import Fitted
from .methods import Estimator

SMALLEST = float(np.finfo(np.float32).eps)    # chance: what a tree holds for impossible costs 15.9 nats where it comes
TOP = 5                           # right is also who has the class among so many; where there are more classes


class Classes(Fitted):
    """Answers with the logarithms of the chances of K classes, or with scores where a method has no chances."""

    def learn(self, model: Estimator, x: np.ndarray, y: np.ndarray | None) -> None:
        model.fit(x, y)

    def said(self, model: Estimator, x: np.ndarray) -> np.ndarray:
        if hasattr(model, "predict_proba"):
            return np.log(np.maximum(model.predict_proba(x), SMALLEST))
        found = np.asarray(model.decision_function(x))
        return found if found.ndim == 2 else np.stack([-found / 2, found / 2], 1)           # [N] of two classes

    def measured(self, x: np.ndarray, y: np.ndarray | None) -> dict[str, float]:
        found = self.said(self.held, x)
        right, labels = float((found.argmax(1) == y).mean()), np.arange(found.shape[1])
        if hasattr(self.held, "predict_proba"):
            chances = np.exp(found) / np.exp(found).sum(1, keepdims=True)
            return {"loss/train": float(log_loss(y, chances, labels=labels)), "train/accuracy": right}
        return {"loss/train": hinge(found, y), "train/accuracy": right}


def hinge(scores: np.ndarray, y: Any) -> float:
    """Of scores [N, K] for labels [N], mean max(0, 1 - what the label has more than the best of the others)."""
    if scores.shape[1] == 2:
        return float(hinge_loss(y, scores[:, 1] - scores[:, 0], labels=[0, 1]))
    return float(hinge_loss(y, scores, labels=np.arange(scores.shape[1])))


def of_chances(logits: Tensor, y: Tensor) -> dict[str, float]:
    return metrics.classification(logits, y, TOP)


def of_scores(scores: Tensor, y: Tensor) -> dict[str, float]:
    """Of scores [N, K], which order the classes and are no chances: without loss in nats and calibration."""
    found = metrics.classification(scores, y, TOP)
    return {name: value for name, value in found.items() if name not in ("loss", "ece")} | {
        "loss/hinge": hinge(scores.cpu().numpy(), y.cpu().numpy())}


class Numbers(Fitted):
    """Learns targets on the scale of their mean and deviation in the training split; answers in their units."""

    mean, deviation = np.zeros(1), np.ones(1)                                               # [K]

    def learn(self, model: Estimator, x: np.ndarray, y: np.ndarray | None) -> None:
        assert y is not None
        self.mean, deviation = y.mean(0, np.float64), y.std(0, dtype=np.float64)
        self.deviation = np.where(deviation > 0, deviation, 1)
        scaled = (y - self.mean) / self.deviation
        model.fit(x.astype(np.float64), scaled if scaled.shape[1] > 1 else scaled[:, 0])

    def said(self, model: Estimator, x: np.ndarray) -> np.ndarray:
        found = np.asarray(model.predict(x.astype(np.float64))).reshape(len(x), -1)         # [N, K]
        return found * self.deviation + self.mean

    def measured(self, x: np.ndarray, y: np.ndarray | None) -> dict[str, float]:
        """The loss is the mean squared error in deviations, as that of a regressor."""
        error = self.said(self.held, x) - y
        return {"loss/train": float(np.square(error / self.deviation).mean()), "train/mae": float(np.abs(error).mean())}

