"""Network architectures. Light: the command line reads this file before torch is imported."""

from dataclasses import dataclass, field
from pathlib import Path

from lab import Model, hookimpl
from lab.errors import UsageError, one_of, within

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


@dataclass
class CNN(MLP):
    """Convolutions, then fully connected layers; as it comes the network of Mnih et al. 2015."""

    name: str = "cnn"
    hidden: list[int] = field(default_factory=lambda: [512])
    channels: list[int] = field(default_factory=lambda: [32, 64, 64])    # of each convolution
    kernels: list[int] = field(default_factory=lambda: [8, 4, 3])        # height and width
    strides: list[int] = field(default_factory=lambda: [4, 2, 1])

    def __post_init__(self) -> None:
        super().__post_init__()
        if not len(self.channels) == len(self.kernels) == len(self.strides):
            counts = f"{len(self.channels)}, {len(self.kernels)} and {len(self.strides)}"
            raise UsageError(f"model.channels, .kernels and .strides have {counts} entries; each convolution needs one "
                             "of each")
        for key in ("channels", "kernels", "strides"):
            for value in getattr(self, key):
                within(f"model.{key}", value, 1, 10_000)


@dataclass
class Auto(CNN):
    """What fits the input: convolutions for pictures, and fully connected layers.

    Left as they come, the convolutions for pictures of less than 36 pixels are those of Young & Tian 2019: one, of 16
    channels, kernel 3 and stride 1.
    """

    name: str = "auto"
    hidden: list[int] = field(default_factory=lambda: [256, 256])


@hookimpl
def lab_models() -> list[Model]:
    return [Model("mlp", MLP, "lab_models.mlp:build"), Model("cnn", CNN, "lab_models.cnn:build"),
            Model("auto", Auto, "lab_models.cnn:auto")]


@hookimpl
def lab_conf() -> Path:
    return Path(__file__).parent / "conf"
