"""Learning language. Light: the command line reads this file before torch is imported."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from lab import Agent, hookimpl
from lab.config import OneLossConfig
from lab.errors import one_of, within


@dataclass
class LM(OneLossConfig):
    """Says the next token: cross-entropy, in nats (Bengio et al. 2003; Radford et al. 2018)."""

    name: str = "lm"
    batch_size: int = 32          # blocks of data.block tokens per optimizer step
    max_grad_norm: float = 1.0
    prompt: str = "\n"            # what it goes on from while it trains, to be looked at
    sample: int = 100             # tokens that it then says; 0: none

    def __post_init__(self) -> None:
        super().__post_init__()
        within("agent.sample", self.sample, 0, 100_000)


@dataclass
class MLM(OneLossConfig):
    """Says tokens that are hidden (Devlin et al. 2019)."""

    name: str = "mlm"
    batch_size: int = 32          # blocks of data.block tokens per optimizer step
    max_grad_norm: float = 1.0
    share: float = 0.15           # of the tokens, hidden

    def __post_init__(self) -> None:
        super().__post_init__()
        within("agent.share", self.share, 1e-6, 0.999)


@dataclass
class SpanCorruption(MLM):
    """Says what is in holes of several tokens (Raffel et al. 2020, section 3.1.4)."""

    name: str = "span_corruption"
    length: float = 3.0           # tokens in a hole, in the mean

    def __post_init__(self) -> None:
        super().__post_init__()
        within("agent.length", self.length, 1, 1_000)


@dataclass
class Seq2Seq(OneLossConfig):
    """Says a text that belongs to another one (Sutskever et al. 2014), each token by the right ones before it."""

    name: str = "seq2seq"
    batch_size: int = 128         # pairs per optimizer step
    max_grad_norm: float = 1.0
    label_smoothing: float = 0.1  # share of the target that all tokens have alike (Vaswani et al. 2017, section 5.4)
    beam: int = 1                 # beginnings that are followed at a time when it says a text; 1: the most likely token
    length_penalty: float = 0.6   # of a beam: log chances over ((5 + length) / 6)^this (Wu et al. 2016, equation 14)
    said: int = 200               # texts that it says to be judged by while it trains; at the end 10 times as many
    bleu: str = "13a"             # how sacrebleu cuts texts into words: 13a, intl, char, zh, ja-mecab, none

    def __post_init__(self) -> None:
        super().__post_init__()
        within("agent.label_smoothing", self.label_smoothing, 0, 0.999)
        within("agent.beam", self.beam, 1, 1_000)
        within("agent.length_penalty", self.length_penalty, 0, 10)
        within("agent.said", self.said, 0, 10**9)
        one_of("agent.bleu", self.bleu, ("13a", "intl", "char", "zh", "ja-mecab", "ko-mecab", "none"))


@dataclass
class TextClassifier(OneLossConfig):
    """Says the class of a text: cross-entropy, in nats."""

    name: str = "text_classifier"
    batch_size: int = 32          # texts per optimizer step
    max_grad_norm: float = 1.0
    pool: str = "auto"            # of what stands at the tokens: mean, max, first, last; auto: last of a network that
    # ^ reads from left to right, mean of others
    dropout: float = 0.1          # before the last layer
    label_smoothing: float = 0.0
    top_k: int = 5                # right is also who has the class among so many; where there are more classes
    freeze: bool = False          # learn the last layer alone
    layer_decay: float = 1.0      # the learning rate of a layer over that of the next (Howard & Ruder 2018)

    def __post_init__(self) -> None:
        super().__post_init__()
        one_of("agent.pool", self.pool, ("auto", "mean", "max", "first", "last"))
        within("agent.dropout", self.dropout, 0, 0.999)
        within("agent.label_smoothing", self.label_smoothing, 0, 0.999)
        within("agent.top_k", self.top_k, 2, 10_000)
        within("agent.layer_decay", self.layer_decay, 1e-6, 1)


@dataclass
class Word2Vec:
    """Words as vectors, by the words around them: negative sampling (Mikolov et al. 2013, arXiv:1310.4546)."""

    name: str = "word2vec"
    batch_size: int = 32          # blocks of data.block words per step
    method: str = "skip_gram"     # each word says those around it; cbow: is said by them
    width: int = 100              # numbers of each word
    window: int = 5               # words to each side, at most: for each word from 1 to so many
    negatives: float = 5.0        # words that are not said count so much for each that is
    shared: int = 64              # different ones of them in a step, the same for all words
    subsample: float = 1e-3       # of words more frequent than this some are left out; 0: none
    lr: float = 0.025             # falls in a line ...
    decay: int = 0                # ... over so many updates, to be held afterwards; 0: the whole run
    words: list[str] = field(default_factory=list)        # whose nearest ones are shown; []: the most frequent
    analogies: list[str] = field(default_factory=list)    # man:king:woman: what is to woman as king is to man?

    def __post_init__(self) -> None:
        within("agent.batch_size", self.batch_size, 0, 10**9)
        one_of("agent.method", self.method, ("skip_gram", "cbow"))
        within("agent.width", self.width, 1, 100_000)
        within("agent.window", self.window, 1, 10_000)
        within("agent.negatives", self.negatives, 1e-6, 10_000)
        within("agent.shared", self.shared, 1, 1_000_000)
        within("agent.subsample", self.subsample, 0, 1)
        within("agent.lr", self.lr, 1e-9, 10)
        within("agent.decay", self.decay, 0, 10**12)


DEFAULT: dict[str, Any] = {
    "budget.epochs": 10, "optimizer.lr": 4e-3, "optimizer.schedule": "cosine", "optimizer.warmup": 100,
    "optimizer.weight_decay": 0.1, "optimizer.beta2": 0.95}
ROWS = {**DEFAULT, "budget.epochs": 2, "evaluate.every": 20_000,      # of symbols: there are as many as one likes
        "model.layers": 2}
TINY = ("model.layers=1", "model.width=16", "agent.batch_size=8", "agent.ema=0.9")
SMALL = (*TINY, "data.block=16", "data.valid=0.01")


@hookimpl
def lab_agents() -> list[Agent]:
    def agent(config: type, kind: str, build: str, small: tuple[str, ...] = SMALL,
              tuned: Mapping[str, Any] | None = None) -> Agent:
        name = config.name        # type: ignore[attr-defined]
        return Agent(name, config, f"lab_language.{build}:{name}", learns_from="data", kinds=(kind,),
                     tuned={"default": DEFAULT, **(tuned or {})}, small=small)

    return [agent(LM, "text", "lm", (*SMALL, "agent.sample=4")), agent(MLM, "text", "lm"),
            agent(SpanCorruption, "text", "lm"), agent(TextClassifier, "texts", "classifier", TINY),
            agent(Seq2Seq, "pairs", "seq2seq", (*TINY, "data.examples=500", "agent.said=4", "budget.epochs=10"),
                  {"copy": {**ROWS, "budget.epochs": 1}, "reverse": ROWS, "sort": ROWS}),
            Agent("word2vec", Word2Vec, "lab_language.word2vec:word2vec", learns_from="data", kinds=("text",),
                  tuned={"default": {"budget.epochs": 5, "data.tokenizer": "words", "data.lowercase": True}},
                  small=("agent.width=16", "agent.batch_size=4", "data.block=32"))]


@hookimpl
def lab_conf() -> Path:
    return Path(__file__).parent / "conf"
