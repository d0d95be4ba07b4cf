"""The classical methods of scikit-learn. Light: the command line reads this file before torch is imported.

Settings have the names that scikit-learn gives them; what is not here has its default.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lab import Agent, hookimpl
from lab.errors import UsageError, one_of, within

KERNELS = ("linear", "poly", "rbf", "sigmoid")
FEATURES = ("auto", "sqrt", "log2", "all")


@dataclass
class Weighted:
    """What can classify."""

    name: str = ""
    class_weight: str = "none"    # balanced: each class counts alike, however many examples it has

    def __post_init__(self) -> None:
        one_of("agent.class_weight", self.class_weight, ("none", "balanced"))


@dataclass
class LogisticRegression(Weighted):
    """Cox 1958, of several classes at once (multinomial), by L-BFGS."""

    name: str = "logistic_regression"
    C: float = 1.0                # the sum of the losses counts so much beside half the squared weights
    max_iter: int = 1000          # steps of L-BFGS, at most
    tol: float = 1e-4             # it ends where no derivative of the mean loss is larger

    def __post_init__(self) -> None:
        super().__post_init__()
        within("agent.C", self.C, 1e-12, 1e12)
        within("agent.max_iter", self.max_iter, 1, 10**7)
        within("agent.tol", self.tol, 0, 1)


@dataclass
class LinearRegression:
    """Least squares with a penalty on the weights: ridge regression, Hoerl & Kennard 1970."""

    name: str = "linear_regression"
    alpha: float = 1.0            # of the squared weights beside the sum of squared errors in deviations; 0: none

    def __post_init__(self) -> None:
        within("agent.alpha", self.alpha, 0, 1e12)


@dataclass
class Tree(Weighted):
    """What trees have in common."""

    max_depth: int | None = None  # null: until the leaves are pure
    min_samples_leaf: int = 1     # examples in a leaf, at least

    def __post_init__(self) -> None:
        super().__post_init__()
        within("agent.max_depth", self.max_depth, 1, 10**6)
        within("agent.min_samples_leaf", self.min_samples_leaf, 1, 10**9)


@dataclass
class DecisionTree(Tree):
    """Breiman et al. 1984, by Gini impurity, or squared error for numbers."""

    name: str = "decision_tree"
    ccp_alpha: float = 0.0        # branches that gain less impurity than this per leaf are pruned

    def __post_init__(self) -> None:
        super().__post_init__()
        within("agent.ccp_alpha", self.ccp_alpha, 0, 1e9)


@dataclass
class RandomForest(Tree):
    """Breiman 2001: trees on bootstrap samples, whose answers are averaged."""

    name: str = "random_forest"
    n_estimators: int = 100       # trees
    max_features: str = "auto"    # columns tried at a split: sqrt, log2, all; auto: sqrt to classify, else all

    def __post_init__(self) -> None:
        super().__post_init__()
        within("agent.n_estimators", self.n_estimators, 1, 10**6)
        one_of("agent.max_features", self.max_features, FEATURES)


@dataclass
class SVM(Weighted):
    """Cortes & Vapnik 1995, classes one against one; Smola & Schölkopf 2004 for numbers. By LIBSVM: on one core, in a
    time that grows faster than the square of the number of examples.
    """

    name: str = "svm"
    kernel: str = "rbf"           # linear, poly, rbf, sigmoid
    C: float = 10.0               # of what is on the wrong side of its margin beside half the squared weights
    gamma: float = 0.0            # of poly, rbf, sigmoid; 0: 1 / (columns * their variance), "scale" in scikit-learn
    degree: int = 3               # of poly
    epsilon: float = 0.1          # errors up to this do not count, in deviations of the target; of numbers alone
    cache_size: int = 1000        # memory for the kernel, MB

    def __post_init__(self) -> None:
        super().__post_init__()
        one_of("agent.kernel", self.kernel, KERNELS)
        within("agent.C", self.C, 1e-12, 1e12)
        within("agent.gamma", self.gamma, 0, 1e12)
        within("agent.degree", self.degree, 0, 100)
        within("agent.epsilon", self.epsilon, 0, 1e9)
        within("agent.cache_size", self.cache_size, 1, 10**6)


@dataclass
class GradientBoosting(Weighted):
    """Friedman 2001, on columns in 255 bins as Ke et al. 2017: HistGradientBoosting of scikit-learn."""

    name: str = "gradient_boosting"
    learning_rate: float = 0.1    # each tree counts so much
    max_iter: int = 100           # rounds, each of one tree, or one for each of more than two classes
    max_leaf_nodes: int = 31      # of a tree
    min_samples_leaf: int = 20    # examples in a leaf, at least
    l2_regularization: float = 0.0
    early_stopping: bool = False  # a tenth of the training split is kept back, and ends it when its loss ends to fall

    def __post_init__(self) -> None:
        super().__post_init__()
        within("agent.learning_rate", self.learning_rate, 1e-9, 1e3)
        within("agent.max_iter", self.max_iter, 1, 10**6)
        within("agent.max_leaf_nodes", self.max_leaf_nodes, 2, 10**6)
        within("agent.min_samples_leaf", self.min_samples_leaf, 1, 10**9)
        within("agent.l2_regularization", self.l2_regularization, 0, 1e12)


@dataclass
class KMeans:
    """Lloyd 1982, from first centres far apart as Arthur & Vassilvitskii 2007."""

    name: str = "kmeans"
    n_clusters: int | None = None     # null: as many as there are classes, else 8
    n_init: int = 10              # the best of so many starts
    max_iter: int = 300           # of each

    def __post_init__(self) -> None:
        within("agent.n_clusters", self.n_clusters, 1, 10**6)
        within("agent.n_init", self.n_init, 1, 10**6)
        within("agent.max_iter", self.max_iter, 1, 10**7)


@dataclass
class PCA:
    """Principal components, Hotelling 1933, from all of the covariances."""

    name: str = "pca"
    n_components: float = 0.95    # below 1: as many as explain this share of the variance; else their number
    whiten: bool = False          # what comes out has variance 1

    def __post_init__(self) -> None:
        within("agent.n_components", self.n_components, 1e-9, 10**6)
        if self.n_components > 1 and self.n_components % 1:
            raise UsageError(f"agent.n_components is {self.n_components}; expected a share below 1, or a whole number")


DEFAULT = {"budget.epochs": 1}
# Chosen by the accuracy on Fashion-MNIST's validation split: .852; C=1 has .846 after as many steps.
PICTURES = {**DEFAULT, "agent.C": 0.03, "agent.max_iter": 300}
STATE = "its state is the data's hash, settings and seed: a fit changes none of them, and is repeated after a load"
FIT = {"an_update_changes_the_learner": STATE,
       "overfits_one_batch": "one update is one whole fit: the second is like the first",
       "bf16_is_finite": "scikit-learn computes with 32 or 64 bits, whatever the precision of networks"}
SAME = FIT | {"another_seed_another_run": "it draws nothing: every seed fits the same model"}
IRIS = "data=iris"


def agent(config: type, not_checked: dict[str, str], *small: str, **tuned: dict[str, Any]) -> Agent:
    return Agent(config.name, config, "lab_sklearn.build:build", learns_from="data",        # type: ignore[attr-defined]
                 tuned={"default": DEFAULT, **tuned}, small=small, not_checked=not_checked,
                 packages=("scikit-learn", "scipy"))


@hookimpl
def lab_agents() -> list[Agent]:
    return [agent(LogisticRegression, SAME, IRIS, "agent.max_iter=200", fashion_mnist=PICTURES, mnist=PICTURES),
            agent(LinearRegression, SAME, "data=diabetes"), agent(DecisionTree, FIT, IRIS),
            agent(RandomForest, FIT, IRIS, "agent.n_estimators=3"), agent(SVM, SAME, IRIS),
            agent(GradientBoosting, SAME, IRIS, "agent.max_iter=3"), agent(KMeans, FIT, IRIS, "agent.n_init=1"),
            agent(PCA, SAME, IRIS)]


@hookimpl
def lab_conf() -> Path:
    return Path(__file__).parent / "conf"
