"""Recurrent networks for text. B texts, S tokens that are read, T that are said, D width, U units, L layers."""

import math
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from lab.text import ENDLESS, EncoderDecoder, Reader

from .plugin import Recurrent, RNNSeq2Seq

KINDS = {"rnn": nn.RNN, "lstm": nn.LSTM, "gru": nn.GRU}


def cells(kind: str, cfg: Recurrent, units: int, bidirectional: bool = False) -> nn.RNNBase:
    return KINDS[kind](cfg.width, units, cfg.layers, batch_first=True, bidirectional=bidirectional,
                       dropout=cfg.dropout if cfg.layers > 1 else 0.0)


class State:
    """After what was read: [L, B, U], of an LSTM two of them; None before anything."""

    def __init__(self, value: Any = None):
        self.value = value


class Recurring(Reader):
    """Embedding, cells, a layer back to the width where it is another, and a head."""

    def __init__(self, cfg: Recurrent, kind: str, vocabulary: int):
        super().__init__(cfg.width, ENDLESS)
        units = cfg.units or cfg.width
        self.embed, self.drop, self.body = nn.Embedding(vocabulary, cfg.width), nn.Dropout(cfg.dropout), cells(
            kind, cfg, units)
        self.back = nn.Identity() if units == cfg.width else nn.Linear(units, cfg.width)
        self.head = nn.Linear(cfg.width, vocabulary, bias=False)
        nn.init.normal_(self.embed.weight, std=1 / math.sqrt(cfg.width))
        if cfg.tie:
            self.head.weight = self.embed.weight

    def forward(self, x: Tensor, length: Tensor | None = None) -> Tensor:
        return self.read(x, State())

    def memory(self, batch: int) -> State:
        return State()

    def read(self, x: Tensor, memory: State) -> Tensor:
        found, memory.value = self.body(self.drop(self.embed(x)), memory.value)             # [B, T, U]
        out: Tensor = self.back(self.drop(found))
        return out


def reader(cfg: Recurrent, vocabulary: int, longest: int) -> Recurring:
    """Role "causal"."""
    return Recurring(cfg, cfg.name.removesuffix("_lm"), vocabulary)


@dataclass
class Memory:
    """The state of what is said, and what was read, with where that is."""

    state: Any                                        # [L, B, U], of an LSTM two of them
    found: Tensor                                     # [B, S, U]
    there: Tensor                                     # [B, 1, S]


class Attending(EncoderDecoder):
    """The state of the decoder begins as that of the encoder; a weighted mean of what was read joins what it says."""

    def __init__(self, cfg: RNNSeq2Seq, vocabulary: tuple[int, int]):
        super().__init__(cfg.width, (ENDLESS, ENDLESS))
        units = cfg.units or cfg.width
        self.embed, self.embed_y = (nn.Embedding(size, cfg.width) for size in vocabulary)
        self.drop = nn.Dropout(cfg.dropout)
        self.encoder, self.decoder = cells(cfg.cell, cfg, units, bidirectional=True), cells(cfg.cell, cfg, units)
        self.both, self.bridge = nn.Linear(2 * units, units), nn.Linear(2 * units, units)
        self.ask, self.join = nn.Linear(units, units, bias=False), nn.Linear(2 * units, cfg.width, bias=False)
        self.head = nn.Linear(cfg.width, vocabulary[1], bias=False)
        for part in (self.embed, self.embed_y):
            nn.init.normal_(part.weight, std=1 / math.sqrt(cfg.width))
        if cfg.tie:
            self.head.weight = self.embed_y.weight

    def memory(self, x: Tensor, length: Tensor) -> Memory:
        packed = pack_padded_sequence(self.drop(self.embed(x)), length.cpu(), batch_first=True, enforce_sorted=False)
        steps, state = self.encoder(packed)
        found, _ = pad_packed_sequence(steps, batch_first=True)                             # [B, S, 2 U]
        there = torch.arange(found.shape[1], device=x.device) < length[:, None]             # [B, S]
        state = tuple(map(self.bridged, state)) if isinstance(state, tuple) else self.bridged(state)
        return Memory(state, self.both(found), there[:, None])

    def bridged(self, state: Tensor) -> Tensor:
        """[2 L, B, U] of both directions to [L, B, U]."""
        out: Tensor = self.bridge(torch.cat([state[0::2], state[1::2]], -1)).tanh()
        return out

    def read(self, y: Tensor, memory: Memory) -> Tensor:
        said, memory.state = self.decoder(self.drop(self.embed_y(y)), memory.state)         # [B, T, U]
        scores = self.ask(said) @ memory.found.mT                                           # [B, T, S]
        shares = scores.masked_fill(~memory.there, -torch.inf).softmax(-1)
        joined = torch.cat([shares @ memory.found, said], -1)                               # [B, T, 2 U]
        out: Tensor = self.drop(self.join(joined).tanh())                                   # equation 5
        return out

    def forward(self, x: Tensor, length: Tensor, y: Tensor) -> Tensor:
        return self.read(y, self.memory(x, length))

    def choose(self, memory: Memory, rows: Tensor) -> Memory:
        state = memory.state
        state = tuple(part[:, rows] for part in state) if isinstance(state, tuple) else state[:, rows]
        return Memory(state, memory.found[rows], memory.there[rows])


def translator(cfg: RNNSeq2Seq, vocabulary: tuple[int, int], longest: tuple[int, int]) -> Attending:
    """Role "encoder_decoder"."""
    return Attending(cfg, vocabulary)
