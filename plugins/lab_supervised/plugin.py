"""Learning from examples. Light: the command line reads this file before torch is imported."""

from dataclasses import dataclass
from pathlib import Path

from lab import Agent, hookimpl
from lab.config import OneLossConfig
from lab.errors import one_of, within


@dataclass
class Classifier(OneLossConfig):
    """Cross-entropy, in nats."""

    name: str = "classifier"
    label_smoothing: float = 0.0  # share of the target that all classes have alike (Szegedy et al. 2016, section 7)
    class_weights: str = "none"   # balanced: each class counts alike, however many examples it has
    top_k: int = 5                # right is also who has the class among so many; where there are more classes

    def __post_init__(self) -> None:
        super().__post_init__()
        within("agent.label_smoothing", self.label_smoothing, 0, 0.999)
        one_of("agent.class_weights", self.class_weights, ("none", "balanced"))
        within("agent.top_k", self.top_k, 2, 10_000)


@dataclass
class Regressor(OneLossConfig):
    """Targets on the scale of their mean and deviation in the training split; what is reported is in their units."""

    name: str = "regressor"
    loss: str = "mse"             # mse: squared error; huber (Huber 1964)
    huber_delta: float = 1.0      # error up to which it is quadratic, in deviations

    def __post_init__(self) -> None:
        super().__post_init__()
        one_of("agent.loss", self.loss, ("mse", "huber"))
        within("agent.huber_delta", self.huber_delta, 1e-9, 1e12)


DEFAULT = {"budget.epochs": 20, "agent.batch_size": 64, "optimizer.lr": 3e-3, "optimizer.schedule": "one_cycle",
           "model.channels": [32, 64], "model.kernels": [3, 3], "model.strides": [1, 1], "model.padding": "same",
           "model.pool": 2}
CLASSES = {**DEFAULT, "model.norm": "batch"}
CLASSIFIER = {
    "default": CLASSES,
    # Tuned on the splits 0 to 3 with the seeds 0 and 1; the GRU on split 0 with the seeds 0 to 2.
    "digits": {**CLASSES, "budget.epochs": 40, "agent.batch_size": 32, "agent.label_smoothing": 0.1,
               "data.augment.crop": 1, "model.pool": 1, "model.hidden": [128], "model.dropout": 0.5,
               "model.units": 256},
    # What does not look at neighbours only loses by pictures that are moved.
    "digits+linear": {"data.augment.crop": 0},
    "digits+mlp": {"data.augment.crop": 0, "model.dropout": 0.2, "model.hidden": [256, 256]},
    # Gates that begin open keep the first step for hundreds of others (Tallec & Ollivier 2018, section 2).
    "first_symbol": {**CLASSES, "agent.max_grad_norm": 1.0, "budget.epochs": 30, "optimizer.lr": 1e-2,
                     "model.units": 64, "model.forget_bias": 8.0, "model.update_bias": 5.0}}
REGRESSOR = {"default": DEFAULT}
SMALL = ("model=mlp", "agent.batch_size=16", "model.hidden=[16]", "agent.ema=0.9")


@hookimpl
def lab_agents() -> list[Agent]:
    agents = (("classifier", Classifier, CLASSIFIER), ("regressor", Regressor, REGRESSOR))
    return [Agent(name, config, f"lab_supervised.supervised:{name}", learns_from="data", tuned=rows, small=SMALL)
            for name, config, rows in agents]


@hookimpl
def lab_conf() -> Path:
    return Path(__file__).parent / "conf"
