"""A network that reads one text and says another. B texts, S tokens that are read, T that are said, D width."""

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from lab.text import EncoderDecoder

from .parts import Store
from .plugin import EncoderDecoder as Config
from .readers import Embedding, Stack, begun, head, last


@dataclass
class Memory:
    """What was said so far, and what each layer can look at of what was read, with where that is."""

    stores: list[Store]
    others: list[tuple[Tensor, Tensor]]               # keys and values [B, H, S, K]
    there: Tensor                                     # [B, 1, 1, S]


class Transformed(EncoderDecoder):
    """An encoder, and a decoder whose layers look at it."""

    def __init__(self, cfg: Config, vocabulary: tuple[int, int], longest: tuple[int, int]):
        super().__init__(cfg.width, longest)
        self.embed, self.encoder = Embedding(cfg, vocabulary[0], longest[0]), Stack(cfg, longest[0], causal=False)
        self.embed_y = Embedding(cfg, vocabulary[1], longest[1])
        self.decoder = Stack(cfg, longest[1], causal=True, crossed=True)
        self.head = head(cfg, vocabulary[1])
        begun(self, cfg.layers)
        if cfg.tie:
            last(self.head).weight = self.embed_y.tokens.weight

    def read_all(self, x: Tensor, length: Tensor) -> tuple[list[tuple[Tensor, Tensor]], Tensor]:
        """For each layer of the decoder keys and values; and where a text is, [B, 1, 1, S]."""
        found = self.encoder(self.embed(x), length)                                         # [B, S, D]
        there = (torch.arange(x.shape[1], device=x.device) < length[:, None])[:, None, None]
        return [block.cross.looked_at(found) for block in self.decoder.blocks], there

    def forward(self, x: Tensor, length: Tensor, y: Tensor) -> Tensor:
        others, there = self.read_all(x, length)
        out: Tensor = self.decoder(self.embed_y(y), others=others, other_mask=there)
        return out

    def memory(self, x: Tensor, length: Tensor) -> Memory:
        others, there = self.read_all(x, length)
        attention = self.decoder.blocks[0].attention
        stores = [Store(len(x), attention.heads, self.longest[1], self.width // attention.heads, keys)
                  for keys, _ in others]
        return Memory(stores, others, there)

    def read(self, y: Tensor, memory: Memory) -> Tensor:
        out: Tensor = self.decoder(self.embed_y(y, memory.stores[0].filled), stores=memory.stores,
                                   others=memory.others, other_mask=memory.there)
        return out

    def choose(self, memory: Memory, rows: Tensor) -> Memory:
        return Memory([store.take(rows) for store in memory.stores],
                      [(keys[rows], values[rows]) for keys, values in memory.others], memory.there[rows])


def build(cfg: Config, vocabulary: tuple[int, int], longest: tuple[int, int]) -> Any:
    """Role "encoder_decoder"."""
    return Transformed(cfg, vocabulary, longest)
