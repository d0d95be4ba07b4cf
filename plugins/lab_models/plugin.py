"""Network architectures. Light: the command line reads this file before torch is imported."""

from dataclasses import dataclass, field
from pathlib import Path

from lab import Model, hookimpl
from lab.errors import UsageError, one_of, within

ACTIVATIONS = ("relu", "gelu", "silu", "tanh", "elu", "leaky_relu")
NORMS = ("none", "layer", "batch")


@dataclass
class Linear:
    """One layer: linear regression, or logistic regression."""

    name: str = "linear"


@dataclass
class MLP:
    """Fully connected layers on the flattened input."""

    name: str = "mlp"
    hidden: list[int] = field(default_factory=lambda: [256, 256])    # width of each hidden layer
    activation: str = "relu"
    norm: str = "none"            # before each activation: none; batch (Ioffe & Szegedy 2015); layer, of the fully
    # ^ connected layers alone (Ba et al. 2016)
    dropout: float = 0.0          # share of each hidden layer that is zeroed (Srivastava et al. 2014)

    def __post_init__(self) -> None:
        if any(not 1 <= width <= 1_000_000 for width in self.hidden):
            raise UsageError(f"model.hidden is {list(self.hidden)}; expected widths from 1 to 1,000,000")
        one_of("model.activation", self.activation, ACTIVATIONS)
        one_of("model.norm", self.norm, NORMS)
        within("model.dropout", self.dropout, 0, 0.999)


@dataclass
class CNN(MLP):
    """Convolutions, then fully connected layers; as it comes the network of Mnih et al. 2015."""

    name: str = "cnn"
    hidden: list[int] = field(default_factory=lambda: [512])
    channels: list[int] = field(default_factory=lambda: [32, 64, 64])    # of each convolution
    kernels: list[int] = field(default_factory=lambda: [8, 4, 3])        # height and width
    strides: list[int] = field(default_factory=lambda: [4, 2, 1])
    padding: str = "valid"        # valid: none; same: a convolution of stride 1 leaves height and width as they are
    pool: int = 1                 # after each convolution the largest of so many by so many pixels; 1: all of them

    def __post_init__(self) -> None:
        super().__post_init__()
        if not len(self.channels) == len(self.kernels) == len(self.strides):
            counts = f"{len(self.channels)}, {len(self.kernels)} and {len(self.strides)}"
            raise UsageError(f"model.channels, .kernels and .strides have {counts} entries; each convolution needs one "
                             "of each")
        for key in ("channels", "kernels", "strides"):
            for value in getattr(self, key):
                within(f"model.{key}", value, 1, 10_000)
        one_of("model.padding", self.padding, ("valid", "same"))
        within("model.pool", self.pool, 1, 100)
        if self.padding == "same" and (even := [kernel for kernel in self.kernels if kernel % 2 == 0]):
            raise UsageError(f"model.padding=same needs kernels of an odd size, which has a middle; {even[0]} is even")


@dataclass
class Auto(CNN):
    """What fits the input: convolutions for pictures, and fully connected layers.

    Left as they come, the convolutions for pictures of less than 36 pixels are those of Young & Tian 2019: one, of 16
    channels, kernel 3 and stride 1.
    """

    name: str = "auto"
    hidden: list[int] = field(default_factory=lambda: [256, 256])


@dataclass
class ResNet:
    """He et al. 2016, arXiv:1512.03385, with the stem of section 4.2: for small pictures."""

    name: str = "resnet"
    depth: int = 20               # layers: 6 n + 2, three stages (section 4.2), or 18 and 34, four stages (table 1)
    width: int = 16               # channels of the first stage, twice as many in each that follows
    activation: str = "relu"
    dropout: float = 0.0          # before the last layer

    def __post_init__(self) -> None:
        if self.depth not in (18, 34) and (self.depth < 8 or (self.depth - 2) % 6):
            raise UsageError(f"model.depth is {self.depth}; expected 18, 34 or 6 n + 2, such as 20, 32, 44 or 56")
        within("model.width", self.width, 1, 10_000)
        within("model.dropout", self.dropout, 0, 0.999)
        one_of("model.activation", self.activation, ACTIVATIONS)


@dataclass
class ResNet18(ResNet):
    """18 layers in four stages, 64 channels in the first."""

    name: str = "resnet18"
    depth: int = 18
    width: int = 64


@dataclass
class Recurrent:
    """Reads a sequence step by step, or a picture row by row; a linear layer follows."""

    name: str = ""
    units: int = 128              # of each layer, in each direction
    layers: int = 1               # one upon the other
    bidirectional: bool = False   # a second network reads from the end (Schuster & Paliwal 1997)
    output: str = "last"          # what is passed on: last: the state after the last step; mean or max over the steps
    output_norm: str = "none"     # layer: LayerNorm of what is passed on (Ba et al. 2016)
    dropout: float = 0.0          # between the layers, and before the last one

    def __post_init__(self) -> None:
        within("model.units", self.units, 1, 100_000)
        within("model.layers", self.layers, 1, 100)
        within("model.dropout", self.dropout, 0, 0.999)
        one_of("model.output", self.output, ("last", "mean", "max"))
        one_of("model.output_norm", self.output_norm, ("none", "layer"))


@dataclass
class RNN(Recurrent):
    """Elman 1990."""

    name: str = "rnn"
    activation: str = "tanh"

    def __post_init__(self) -> None:
        super().__post_init__()
        one_of("model.activation", self.activation, ("tanh", "relu"))


@dataclass
class LSTM(Recurrent):
    """Hochreiter & Schmidhuber 1997, with the forget gate of Gers et al. 2000."""

    name: str = "lstm"
    forget_bias: float = 1.0      # of the forget gate at the start; 1: Jozefowicz et al. 2015; more: remembers longer


@dataclass
class GRU(Recurrent):
    """Cho et al. 2014, arXiv:1406.1078."""

    name: str = "gru"
    update_bias: float = 0.0      # of the update gate at the start; above 0 the state is kept longer


@hookimpl
def lab_models() -> list[Model]:
    recurrent = [Model(kind().name, kind, "lab_models.recurrent:build", role="sequence") for kind in (RNN, LSTM, GRU)]
    return [Model("linear", Linear, "lab_models.mlp:linear"), Model("mlp", MLP, "lab_models.mlp:build"),
            Model("cnn", CNN, "lab_models.cnn:build"), Model("auto", Auto, "lab_models.cnn:auto"),
            Model("resnet", ResNet, "lab_models.resnet:build"), Model("resnet18", ResNet18, "lab_models.resnet:build"),
            *recurrent]


@hookimpl
def lab_conf() -> Path:
    return Path(__file__).parent / "conf"
