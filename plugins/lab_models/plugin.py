"""Network architectures. Light: the command line reads this file before torch is imported."""

from dataclasses import dataclass, field
from pathlib import Path

from lab import Model, hookimpl
from lab.errors import UsageError, one_of

ACTIVATIONS = ("relu", "gelu", "silu", "tanh", "elu", "leaky_relu")
NORMS = ("none", "layer")


@dataclass
class MLP:
    """Fully connected layers on the flattened input."""

    name: str = "mlp"
    hidden: list[int] = field(default_factory=lambda: [256, 256])    # width of each hidden layer
    activation: str = "relu"
    norm: str = "none"            # none; layer: LayerNorm before each activation (Ba et al. 2016)

    def __post_init__(self) -> None:
        if any(not 1 <= width <= 1_000_000 for width in self.hidden):
            raise UsageError(f"model.hidden is {list(self.hidden)}; expected widths from 1 to 1,000,000")
        one_of("model.activation", self.activation, ACTIVATIONS)
        one_of("model.norm", self.norm, NORMS)


@hookimpl
def lab_models() -> list[Model]:
    return [Model("mlp", MLP, "lab_models.mlp:build", role="net")]


@hookimpl
def lab_conf() -> Path:
    return Path(__file__).parent / "conf"
