"""The estimators of scikit-learn by the names of the agents, and how many numbers they have learned."""

from collections.abc import Callable
from typing import Any

import numpy as np
from sklearn.cluster import KMeans
from sklearn.decomposition import PCA
from sklearn.ensemble import (
    HistGradientBoostingClassifier,
    HistGradientBoostingRegressor,
    RandomForestClassifier,
    RandomForestRegressor,
)
from sklearn.linear_model import LinearRegression, LogisticRegression, Ridge
from sklearn.multioutput import MultiOutputRegressor
from sklearn.svm import SVC, SVR
from sklearn.tree import DecisionTreeClassifier, DecisionTreeRegressor

from lab.data.dataset import About

from . import plugin

Estimator = Any                   # of scikit-learn, which has no types
Make = Callable[[int, int], Estimator]        # (seed, threads) -> one that is not fitted


def weighting(cfg: plugin.Weighted, about: About) -> dict[str, Any]:
    return {"class_weight": "balanced" if cfg.class_weight == "balanced" else None} if about.classes else {}


def each(about: About, estimator: Estimator) -> Estimator:
    """One for each number to predict, where it predicts one."""
    return MultiOutputRegressor(estimator) if len(about.targets) > 1 else estimator


def logistic_regression(cfg: plugin.LogisticRegression, about: About) -> Make:
    return lambda seed, threads: LogisticRegression(C=cfg.C, max_iter=cfg.max_iter, tol=cfg.tol,
                                                    **weighting(cfg, about))


def linear_regression(cfg: plugin.LinearRegression, about: About) -> Make:
    return lambda seed, threads: Ridge(cfg.alpha) if cfg.alpha else LinearRegression()


def decision_tree(cfg: plugin.DecisionTree, about: About) -> Make:
    kind = DecisionTreeClassifier if about.classes else DecisionTreeRegressor
    return lambda seed, threads: kind(max_depth=cfg.max_depth, min_samples_leaf=cfg.min_samples_leaf,
                                      ccp_alpha=cfg.ccp_alpha, random_state=seed, **weighting(cfg, about))


def random_forest(cfg: plugin.RandomForest, about: About) -> Make:
    kind = RandomForestClassifier if about.classes else RandomForestRegressor
    chosen = {"auto": "sqrt" if about.classes else None, "all": None}.get(cfg.max_features, cfg.max_features)
    return lambda seed, threads: kind(
        cfg.n_estimators, max_depth=cfg.max_depth, min_samples_leaf=cfg.min_samples_leaf, max_features=chosen,
        n_jobs=threads, random_state=seed, **weighting(cfg, about))


def svm(cfg: plugin.SVM, about: About) -> Make:
    own = {"C": cfg.C, "kernel": cfg.kernel, "gamma": cfg.gamma or "scale", "degree": cfg.degree,
           "cache_size": cfg.cache_size}
    if about.classes:
        return lambda seed, threads: SVC(**own, **weighting(cfg, about))
    return lambda seed, threads: each(about, SVR(**own, epsilon=cfg.epsilon))


def gradient_boosting(cfg: plugin.GradientBoosting, about: About) -> Make:
    kind = HistGradientBoostingClassifier if about.classes else HistGradientBoostingRegressor
    return lambda seed, threads: each(about, kind(
        learning_rate=cfg.learning_rate, max_iter=cfg.max_iter, max_leaf_nodes=cfg.max_leaf_nodes,
        min_samples_leaf=cfg.min_samples_leaf, l2_regularization=cfg.l2_regularization,
        early_stopping=cfg.early_stopping, random_state=seed, **weighting(cfg, about)))


def clusters(cfg: plugin.KMeans, about: About) -> int:
    return cfg.n_clusters or len(about.classes) or 8


def kmeans(cfg: plugin.KMeans, about: About) -> Make:
    k = clusters(cfg, about)
    return lambda seed, threads: KMeans(k, n_init=cfg.n_init, max_iter=cfg.max_iter, random_state=seed)


def pca(cfg: plugin.PCA, about: About) -> Make:
    """By all components, of which some are kept: other ways draw."""
    n = cfg.n_components if cfg.n_components < 1 else int(cfg.n_components)
    return lambda seed, threads: PCA(n, whiten=cfg.whiten, svd_solver="full")


def numbers(estimator: Estimator) -> int:
    """How many it has learned: weights, centres, components; support vectors and what each counts; of trees column and
    threshold of every split and what every leaf says.
    """
    if hasattr(estimator, "estimators_"):
        return sum(numbers(one) for one in np.ravel(estimator.estimators_))
    if hasattr(estimator, "tree_"):
        tree = estimator.tree_
        return int(2 * (tree.node_count - tree.n_leaves) + tree.n_leaves * np.prod(tree.value.shape[1:]))
    if hasattr(estimator, "_predictors"):
        trees = [tree for rounds in estimator._predictors for tree in rounds]
        leaves = sum(tree.get_n_leaf_nodes() for tree in trees)
        return int(2 * (sum(len(tree.nodes) for tree in trees) - leaves) + leaves)
    sets = (("support_vectors_", "dual_coef_", "intercept_"), ("cluster_centers_",), ("components_", "mean_"),
            ("coef_", "intercept_"))
    names = next(names for names in sets if hasattr(estimator, names[0]))
    return sum(np.size(getattr(estimator, name)) for name in names)
