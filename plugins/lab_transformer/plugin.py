"""Networks for text. Light: the command line reads this file before torch is imported."""

from dataclasses import dataclass
from pathlib import Path

from lab import Model, hookimpl
from lab.errors import UsageError, one_of, within

POSITIONS = ("rotary", "learned", "sinusoidal", "relative", "none")
ACTIVATIONS = ("gelu", "gelu_tanh", "relu", "squared_relu", "swiglu", "tanh")


def absolute(path: str) -> str:
    """A run may be resumed from another folder."""
    return str(Path(path).expanduser().absolute()) if path else ""


@dataclass
class Transformer:
    """Vaswani et al. 2017; as it comes with the parts of Touvron et al. 2023, arXiv:2302.13971."""

    name: str = ""
    layers: int = 4
    heads: int = 4
    width: int = 128              # of each token between the layers
    inner: int = 0                # of the two layers for each token by itself; 0: 4 width, of swiglu 8/3 width
    positions: str = "rotary"     # Su et al. 2021; learned; sinusoidal (Vaswani et al. 2017, section 3.5); relative: a
    # ^ bias by distance (Raffel et al. 2020, section 2.1); none
    norm: str = "rms"             # Zhang & Sennrich 2019; layer: Ba et al. 2016
    placement: str = "pre"        # of the norms: before each part (Xiong et al. 2020), or post: after it
    epsilon: float = 1e-5         # of the norms
    activation: str = "swiglu"    # Shazeer 2020; gelu, gelu_tanh (nearly the same), relu, tanh, squared_relu (So et
    # ^ al. 2021)
    bias: bool = False            # of linear layers and norms
    norm_heads: bool = False      # queries and keys are normed (Dehghani et al. 2023)
    norm_tokens: bool = False     # and tokens, before the first layer (Devlin et al. 2019, their code)
    head: str = "plain"           # transformed: another layer and a norm before the last one (the same)
    tie: bool = True              # the last layer has the weights of the embedding (Press & Wolf 2017)
    dropout: float = 0.0
    recompute: bool = False       # activations again on the way back, for less memory (Chen et al. 2016)
    init: str = ""                # a run whose network it begins with, but for the last layer; the rest of model.* and
    # ^ data.tokenizer are then as there
    lora: int = 0                 # rank of the changes of matrices that are learned (Hu et al. 2022); 0: all weights

    def __post_init__(self) -> None:
        self.init = absolute(self.init)
        within("model.lora", self.lora, 0, 10_000)
        within("model.layers", self.layers, 1, 1000)
        within("model.heads", self.heads, 1, 1000)
        within("model.width", self.width, 1, 1_000_000)
        within("model.inner", self.inner, 0, 10_000_000)
        within("model.dropout", self.dropout, 0, 0.999)
        one_of("model.positions", self.positions, POSITIONS)
        one_of("model.norm", self.norm, ("rms", "layer"))
        one_of("model.placement", self.placement, ("pre", "post"))
        one_of("model.activation", self.activation, ACTIVATIONS)
        one_of("model.head", self.head, ("plain", "transformed"))
        within("model.epsilon", self.epsilon, 0, 1)
        if self.width % self.heads:
            raise UsageError(f"model.heads={self.heads} do not divide model.width={self.width}; use a width such as "
                             f"{self.heads * max(round(self.width / self.heads), 1)}")
        if self.positions == "rotary" and self.width // self.heads % 2:
            raise UsageError(f"model.positions=rotary turns pairs of numbers, and a head has {self.width // self.heads}"
                             " of them; use an even number, or model.positions=learned")


@dataclass
class GPT(Transformer):
    """Reads from left to right (Radford et al. 2018)."""

    name: str = "gpt"


@dataclass
class Bert(Transformer):
    """Reads to both sides (Devlin et al. 2019)."""

    name: str = "bert"


@dataclass
class EncoderDecoder(Transformer):
    """Reads one text to both sides and says another one (Vaswani et al. 2017); `layers` of each."""

    name: str = "encoder_decoder"
    positions: str = "learned"    # what is read is looked at by what is there alone, so that places have to be in it


@dataclass
class ViT(Transformer):
    """Reads a picture as a row of its patches (Dosovitskiy et al. 2021)."""

    name: str = "vit"
    patch: int = 4                # height and width of a patch, in pixels
    positions: str = "learned"
    pool: str = "mean"            # of what stands at the patches: mean, or first: a token of its own before them
    tie: bool = False

    def __post_init__(self) -> None:
        super().__post_init__()
        within("model.patch", self.patch, 1, 10_000)
        one_of("model.pool", self.pool, ("mean", "first"))


@dataclass
class Recurrent:
    """Reads token by token."""

    name: str = ""
    width: int = 128              # of each token
    units: int = 0                # of each layer; 0: as many
    layers: int = 1               # one upon the other
    tie: bool = True              # the last layer has the weights of the embedding (Press & Wolf 2017)
    dropout: float = 0.0
    init: str = ""                # as of a Transformer

    def __post_init__(self) -> None:
        self.init = absolute(self.init)
        within("model.width", self.width, 1, 1_000_000)
        within("model.units", self.units, 0, 1_000_000)
        within("model.layers", self.layers, 1, 100)
        within("model.dropout", self.dropout, 0, 0.999)


@dataclass
class RNNReader(Recurrent):
    """Mikolov et al. 2010."""

    name: str = "rnn_lm"


@dataclass
class LSTMReader(Recurrent):
    """Sundermeyer et al. 2012."""

    name: str = "lstm_lm"


@dataclass
class GRUReader(Recurrent):
    """Cho et al. 2014."""

    name: str = "gru_lm"


@dataclass
class RNNSeq2Seq(Recurrent):
    """A recurrent network that looks at what a bidirectional one has read (Luong et al. 2015, global attention)."""

    name: str = "rnn_seq2seq"
    cell: str = "gru"             # or lstm
    width: int = 256

    def __post_init__(self) -> None:
        super().__post_init__()
        one_of("model.cell", self.cell, ("gru", "lstm"))


@hookimpl
def lab_models() -> list[Model]:
    return [Model("gpt", GPT, "lab_transformer.readers:build", role="causal",
                  begins="lab_transformer.huggingface:gpt2"),
            Model("bert", Bert, "lab_transformer.readers:build", role="bidirectional",
                  begins="lab_transformer.huggingface:bert"),
            Model("encoder_decoder", EncoderDecoder, "lab_transformer.translators:build", role="encoder_decoder"),
            Model("vit", ViT, "lab_transformer.vit:build"),
            *(Model(kind().name, kind, "lab_transformer.recurrent:reader", role="causal")
              for kind in (RNNReader, LSTMReader, GRUReader)),
            Model("rnn_seq2seq", RNNSeq2Seq, "lab_transformer.recurrent:translator", role="encoder_decoder")]


@hookimpl
def lab_conf() -> Path:
    return Path(__file__).parent / "conf"
