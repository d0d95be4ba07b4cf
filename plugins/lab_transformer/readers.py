"""Networks that read text: GPT and BERT. B texts, T tokens of each, S with those before them, D width, V tokens."""

import math
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from lab.text import Reader

from .parts import Block, Store, ahead, norm
from .plugin import GPT, Transformer
from .positions import Bias, angles, sinusoids

DEVIATION = 0.02                  # of the weights at the start (Radford et al. 2018)


class Embedding(nn.Module):
    """Tokens [B, T], the first at place `begin`, to [B, T, D]."""

    def __init__(self, cfg: Transformer, vocabulary: int, longest: int):
        super().__init__()
        self.tokens, self.drop = nn.Embedding(vocabulary, cfg.width), nn.Dropout(cfg.dropout)
        self.places = nn.Embedding(longest, cfg.width) if cfg.positions == "learned" else None
        waves = sinusoids(longest, cfg.width) if cfg.positions == "sinusoidal" else None
        self.register_buffer("waves", waves, persistent=False)
        self.norm = norm(cfg, cfg.width) if cfg.norm_tokens else nn.Identity()
        self.scale = math.sqrt(cfg.width) if cfg.positions == "sinusoidal" else 1.0         # section 3.4

    def forward(self, x: Tensor, begin: int = 0) -> Tensor:
        found = self.tokens(x) * self.scale
        end = begin + x.shape[1]
        if self.places is not None:
            found = found + self.places.weight[begin:end]
        elif self.waves is not None:
            found = found + self.waves[begin:end]
        out: Tensor = self.drop(self.norm(found))
        return out


class Stack(nn.Module):
    """Layers, with what tells them the places of tokens: [B, T, D] -> [B, T, D]."""

    cos: Tensor
    sin: Tensor

    def __init__(self, cfg: Transformer, longest: int, causal: bool, crossed: bool = False):
        super().__init__()
        self.causal, self.recompute, size = causal, cfg.recompute, cfg.width // cfg.heads
        self.blocks = nn.ModuleList(Block(cfg, crossed) for _ in range(cfg.layers))
        self.last = norm(cfg, cfg.width) if cfg.placement == "pre" else nn.Identity()
        self.bias = Bias(cfg.heads, both=not causal) if cfg.positions == "relative" else None
        self.turns = cfg.positions == "rotary"
        if self.turns:
            turn = angles(torch.arange(longest), size)                                      # [longest, K / 2]
            self.register_buffer("cos", turn.cos(), persistent=False)
            self.register_buffer("sin", turn.sin(), persistent=False)

    def forward(self, x: Tensor, length: Tensor | None = None, stores: list[Store] | None = None,
                others: list[tuple[Tensor, Tensor]] | None = None, other_mask: Tensor | None = None) -> Tensor:
        """`stores` remember what was read before, one for each layer; `others` is what layers look at elsewhere."""
        begin, t = stores[0].filled if stores else 0, x.shape[1]
        mask, causal = self.mask(x, begin, length)
        turn = (self.cos[begin:begin + t].to(x.dtype), self.sin[begin:begin + t].to(x.dtype)) if self.turns else None
        for i, block in enumerate(self.blocks):
            given = (x, mask, causal, turn, stores[i] if stores else None, others[i] if others else None, other_mask)
            x = checkpoint(block, *given, use_reentrant=False) if self.recompute and self.training else block(*given)
        out: Tensor = self.last(x)
        return out

    def mask(self, x: Tensor, begin: int, length: Tensor | None) -> tuple[Tensor | None, bool]:
        """What may be looked at, [B or 1, H or 1, T, S], and whether it is just all that came before."""
        t, s = x.shape[1], begin + x.shape[1]
        if self.bias is None and length is None and (not self.causal or not begin):
            return None, self.causal
        inside = None
        if self.causal and t > 1:
            inside = ~ahead(t, s, x.device)[None, None]                                     # [1, 1, T, S]
        if length is not None:
            there = (torch.arange(s, device=x.device) < length[:, None])[:, None, None]     # [B, 1, 1, S]
            inside = there if inside is None else inside & there
        if self.bias is None:
            return inside, False
        places = torch.arange(s, device=x.device)
        bias = self.bias(places[begin:], places)[None].to(x.dtype)                          # [1, H, T, S]
        return (bias if inside is None else bias.masked_fill(~inside, -math.inf)), False


def head(cfg: Transformer, vocabulary: int) -> nn.Module:
    """[..., D] -> [..., V]"""
    if cfg.head == "plain":
        return nn.Linear(cfg.width, vocabulary, bias=False)
    return nn.Sequential(nn.Linear(cfg.width, cfg.width, cfg.bias), nn.GELU(), norm(cfg, cfg.width),
                         nn.Linear(cfg.width, vocabulary, cfg.bias))


def last(head: nn.Module) -> nn.Linear:
    """Its last layer."""
    found = head[-1] if isinstance(head, nn.Sequential) else head
    assert isinstance(found, nn.Linear)
    return found


class Transformed(Reader):
    """Embedding, layers and a head."""

    def __init__(self, cfg: Transformer, vocabulary: int, longest: int, causal: bool):
        super().__init__(cfg.width, longest)
        self.embed, self.body = Embedding(cfg, vocabulary, longest), Stack(cfg, longest, causal)
        self.head = head(cfg, vocabulary)
        begun(self, cfg.layers)
        if cfg.tie:
            last(self.head).weight = self.embed.tokens.weight

    def forward(self, x: Tensor, length: Tensor | None = None) -> Tensor:
        out: Tensor = self.body(self.embed(x), length)
        return out

    def memory(self, batch: int) -> list[Store]:
        attention = self.body.blocks[0].attention
        like = attention.out.weight
        return [Store(batch, attention.heads, self.longest, self.width // attention.heads, like)
                for _ in self.body.blocks]

    def read(self, x: Tensor, memory: Any) -> Tensor:
        out: Tensor = self.body(self.embed(x, memory[0].filled), stores=memory)
        return out


@torch.no_grad()
def begun(net: nn.Module, layers: int) -> None:
    """The weights of Radford et al. 2019, section 2.3: what is added to a token by each layer is less for many."""
    for name, p in net.named_parameters():
        if p.ndim == 2:
            added = name.endswith("out.weight")
            nn.init.normal_(p, std=DEVIATION / math.sqrt(2 * layers) if added else DEVIATION)
        elif name.endswith("bias"):
            nn.init.zeros_(p)


def build(cfg: Transformer, vocabulary: int, longest: int) -> Transformed:
    """Role "causal" of GPT, role "bidirectional" of BERT."""
    return Transformed(cfg, vocabulary, longest, isinstance(cfg, GPT))
