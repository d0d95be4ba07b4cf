"""Methods that find structure in the inputs alone. N examples, D numbers each, K clusters or components."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from sklearn.metrics import adjusted_rand_score, normalized_mutual_info_score, silhouette_score

from lab import figures
from lab.data.dataset import About
from lab.media import Table

from .learner import Fitted
from .methods import Estimator

LOOK = 2_000                      # examples of which the silhouette is computed, at most: it compares all pairs
SHOWN = 25                        # centres or components in a picture, at most


class Clusters(Fitted):
    """Answers with the distances [B, K] from all centres."""

    majority = np.zeros(0, np.int64)          # [K] the class that most examples of a cluster have in training

    def learn(self, model: Estimator, x: np.ndarray, y: np.ndarray | None) -> None:
        model.fit(x)
        if y is not None and y.ndim == 1:
            self.majority = majority(model.labels_, y, model.n_clusters)

    def said(self, model: Estimator, x: np.ndarray) -> np.ndarray:
        found: np.ndarray = model.transform(x)
        return found

    def measured(self, x: np.ndarray, y: np.ndarray | None) -> dict[str, float]:
        return {"loss/train": float(np.square(self.said(self.held, x).min(1)).mean()),
                "train/inertia": float(self.held.inertia_)}

    def judge(self, split: str) -> dict[str, float]:
        x, y = self.examples(split)
        distance, majority = self.answer(x), self.majority
        cluster, nearest = distance.argmin(1), np.square(distance.min(1).astype(np.float64))          # [N]
        found = {"inertia": float(nearest.sum()), **silhouette(x, cluster)}
        return found if y is None or y.ndim > 1 else found | agreement(cluster, y, majority)

    def shown(self, about: About) -> Mapping[str, Any]:
        return pictures("centres", self.model.cluster_centers_, about)


def majority(cluster: np.ndarray, y: np.ndarray, k: int) -> np.ndarray:
    """[K] the most frequent class of each of k clusters, the first of several; of [N] examples and their classes."""
    counts = np.zeros((k, y.max() + 1), np.int64)
    np.add.at(counts, (cluster, y), 1)
    return counts.argmax(1)


def silhouette(x: np.ndarray, cluster: np.ndarray) -> dict[str, float]:
    """How much nearer [N, D] are to their own cluster than to the next, -1 to 1 (Rousseeuw 1987); of some of them.

    Without, where they are all in one cluster or all in different ones.
    """
    rows = np.linspace(0, len(x) - 1, min(len(x), LOOK)).astype(int)
    there = len(np.unique(cluster[rows]))
    return {"silhouette": float(silhouette_score(x[rows], cluster[rows]))} if 1 < there < len(rows) else {}


def agreement(cluster: np.ndarray, y: np.ndarray, majority: np.ndarray) -> dict[str, float]:
    """Of clusters [N] and classes [N]; the accuracy is that of taking each cluster for its class in training, [K]."""
    return {"adjusted_rand_index": float(adjusted_rand_score(y, cluster)),
            "normalised_mutual_information": float(normalized_mutual_info_score(y, cluster)),
            "accuracy": float((majority[cluster] == y).mean())}


class Components(Fitted):
    """Answers with the K principal components of [B, D]."""

    def learn(self, model: Estimator, x: np.ndarray, y: np.ndarray | None) -> None:
        """From the covariances where they are fewer than the inputs: that is many times faster."""
        model.set_params(svd_solver="covariance_eigh" if x.shape[1] <= len(x) else "full")
        model.fit(x.astype(np.float64))

    def said(self, model: Estimator, x: np.ndarray) -> np.ndarray:
        found: np.ndarray = model.transform(x.astype(np.float64))
        return found

    def measured(self, x: np.ndarray, y: np.ndarray | None) -> dict[str, float]:
        return {"loss/train": rebuilt(self.held, x)["reconstruction/error"],
                "train/components": float(self.held.n_components_),
                "train/explained_variance_ratio": float(self.held.explained_variance_ratio_.sum())}

    def judge(self, split: str) -> dict[str, float]:
        x, _ = self.examples(split)
        model = self.model
        with self.limited():
            return rebuilt(model, x)

    def shown(self, about: About) -> Mapping[str, Any]:
        ratio = self.model.explained_variance_ratio_                                        # [K]
        rows = [f"{i + 1},{share:.6g},{ratio[:i + 1].sum():.6g}\n" for i, share in enumerate(ratio)]
        table = "component,explained_variance_ratio,cumulative\n" + "".join(rows)
        return {"explained_variance": Table(table), **pictures("components", self.model.components_, about)}


def rebuilt(model: Estimator, x: np.ndarray) -> dict[str, float]:
    """Of [N, D] from their components: mean squared error, and the share of the variance that they explain."""
    x = x.astype(np.float64)
    error = np.square(model.inverse_transform(model.transform(x)) - x).mean()
    variance = np.square(x - model.mean_).mean()
    return {"reconstruction/error": float(error),
            "explained_variance_ratio": float(1 - error / variance) if variance > 0 else 1.0}


def pictures(name: str, rows: np.ndarray, about: About) -> Mapping[str, Any]:
    """A grid of what has the shape of pictures: [K, D], each from its darkest to its brightest."""
    if about.kind != "picture" or about.shape[0] not in (1, 3):
        return {}
    found = rows[:SHOWN].reshape(-1, *about.shape)                                          # [K, C, H, W]
    low, high = (edge(found, axis=(1, 2, 3), keepdims=True) for edge in (np.min, np.max))
    grey = np.moveaxis((found - low) / np.maximum(high - low, 1e-12), 1, -1)                # [K, H, W, C]
    return {name: figures.captioned([each[..., 0] if each.shape[-1] == 1 else each for each in grey],
                                    [str(i + 1) for i in range(len(grey))])}
