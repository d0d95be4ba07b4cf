"""What Transformers are made of. B batch, T tokens, S tokens that are looked at, D width, H heads, K = D / H."""

import copy
import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import gelu, relu, scaled_dot_product_attention, silu

from .plugin import Transformer
from .positions import rotated

SIMPLE: dict[str, Callable[[Tensor], Tensor]] = {
    "relu": relu, "tanh": torch.tanh, "squared_relu": lambda x: relu(x).square()}


def norm(cfg: Transformer, width: int) -> nn.Module:
    if cfg.norm == "rms":
        return nn.RMSNorm(width, eps=cfg.epsilon)
    return nn.LayerNorm(width, eps=cfg.epsilon, bias=cfg.bias)


class Store:
    """Keys and values [B, H, S, K] of what one layer has read, in memory for as much as there can be."""

    def __init__(self, batch: int, heads: int, longest: int, size: int, like: Tensor):
        self.keys, self.values = (like.new_empty(batch, heads, longest, size) for _ in range(2))
        self.filled = 0

    def extended(self, keys: Tensor, values: Tensor) -> tuple[Tensor, Tensor]:
        """All of them, with the next [B, H, T, K]."""
        begin, self.filled = self.filled, self.filled + keys.shape[2]
        self.keys[:, :, begin:self.filled], self.values[:, :, begin:self.filled] = keys, values
        return self.keys[:, :, :self.filled], self.values[:, :, :self.filled]

    def take(self, rows: Tensor) -> "Store":
        """Of these texts."""
        found = copy.copy(self)
        found.keys, found.values = self.keys[rows], self.values[rows]
        return found


class Attention(nn.Module):
    """Vaswani et al. 2017, section 3.2: [B, T, D] looks at [B, S, D], itself where nothing else is given."""

    def __init__(self, cfg: Transformer, crossed: bool = False):
        super().__init__()
        self.heads, self.dropout, size = cfg.heads, cfg.dropout, cfg.width // cfg.heads
        self.crossed = crossed
        self.into = nn.Linear(cfg.width, (1 if crossed else 3) * cfg.width, bias=cfg.bias)
        self.other = nn.Linear(cfg.width, 2 * cfg.width, bias=cfg.bias) if crossed else None
        self.out = nn.Linear(cfg.width, cfg.width, bias=cfg.bias)
        self.norms = nn.ModuleList([norm(cfg, size), norm(cfg, size)]) if cfg.norm_heads else None

    def heads_of(self, x: Tensor, parts: int) -> tuple[Tensor, ...]:
        """[B, T, parts D] to so many [B, H, T, K]."""
        found = x.unflatten(-1, (parts, self.heads, -1))                                    # [B, T, parts, H, K]
        return found.permute(2, 0, 3, 1, 4).unbind()

    def looked_at(self, other: Tensor) -> tuple[Tensor, Tensor]:
        """Keys and values of what is looked at from outside, [B, H, S, K] each."""
        assert self.other is not None
        keys, values = self.heads_of(self.other(other), 2)
        return (keys if self.norms is None else self.norms[1](keys)), values

    def asked(self, x: Tensor, turn: tuple[Tensor, Tensor] | None, store: Store | None = None) -> tuple[Tensor, ...]:
        """Queries [B, H, T, K], and of itself also keys and values [B, H, S, K]."""
        query, *rest = self.heads_of(self.into(x), 1 if self.crossed else 3)
        if self.norms is not None:
            query, rest = self.norms[0](query), [self.norms[1](rest[0]), rest[1]] if rest else rest
        if turn is not None:
            query, rest[0] = rotated(query, *turn), rotated(rest[0], *turn)
        if store is not None and rest:
            rest = list(store.extended(*rest))
        return query, *rest

    def forward(self, x: Tensor, mask: Tensor | None = None, causal: bool = False,
                turn: tuple[Tensor, Tensor] | None = None, store: Store | None = None,
                other: tuple[Tensor, Tensor] | None = None) -> Tensor:
        """`mask` [B or 1, H or 1, T, S]: true where it may look, or what is added to the scores."""
        query, *own = self.asked(x, turn, store)
        keys, values = other or own
        found = scaled_dot_product_attention(query, keys, values, mask, self.dropout if self.training else 0.0,
                                             is_causal=causal)                              # [B, H, T, K]
        out: Tensor = self.out(found.transpose(1, 2).flatten(2))
        return out

    def weights(self, x: Tensor, mask: Tensor | None = None, causal: bool = False,
                turn: tuple[Tensor, Tensor] | None = None, other: tuple[Tensor, Tensor] | None = None) -> Tensor:
        """How much each looks at each, [B, H, T, S]: for pictures."""
        query, *own = self.asked(x, turn)
        keys, _ = other or own
        scores = query @ keys.transpose(-1, -2) / math.sqrt(query.shape[-1])
        if mask is not None:
            scores = scores.masked_fill(~mask, -math.inf) if mask.dtype == torch.bool else scores + mask
        if causal:
            scores = scores.masked_fill(ahead(*scores.shape[-2:], device=x.device), -math.inf)
        return scores.softmax(-1)


def ahead(t: int, s: int, device: Any = None) -> Tensor:
    """[t, s]: true where the last t of s tokens would see what follows them."""
    return torch.ones(t, s, dtype=torch.bool, device=device).triu(s - t + 1)


class Inner(nn.Module):
    """Each token by itself, [..., D] -> [..., D]."""

    def __init__(self, cfg: Transformer):
        super().__init__()
        self.activation = cfg.activation
        gated = 2 if cfg.activation == "swiglu" else 1
        wide = cfg.inner or (8 * math.ceil(cfg.width / 3) if gated == 2 else 4 * cfg.width)
        self.into, self.out = nn.Linear(cfg.width, gated * wide, cfg.bias), nn.Linear(wide, cfg.width, cfg.bias)

    def forward(self, x: Tensor) -> Tensor:
        x = self.into(x)
        if self.activation == "swiglu":
            a, gate = x.chunk(2, -1)
            x = a * silu(gate)
        elif self.activation.startswith("gelu"):
            x = gelu(x, approximate="tanh" if self.activation == "gelu_tanh" else "none")
        else:
            x = SIMPLE[self.activation](x)
        out: Tensor = self.out(x)
        return out


class Block(nn.Module):
    """A layer: attention, where it is crossed also to another text, and the part for each token by itself."""

    def __init__(self, cfg: Transformer, crossed: bool = False):
        super().__init__()
        self.post, self.drop = cfg.placement == "post", nn.Dropout(cfg.dropout)
        self.attention, self.inner = Attention(cfg), Inner(cfg)
        self.cross = Attention(cfg, crossed=True) if crossed else None
        self.norms = nn.ModuleList(norm(cfg, cfg.width) for _ in range(3 if crossed else 2))

    def forward(self, x: Tensor, mask: Tensor | None, causal: bool, turn: tuple[Tensor, Tensor] | None,
                store: Store | None = None, other: tuple[Tensor, Tensor] | None = None,
                other_mask: Tensor | None = None) -> Tensor:
        x = self.added(x, 0, lambda x: self.attention(x, mask, causal, turn, store))
        if self.cross is not None:
            cross = self.cross
            x = self.added(x, 1, lambda x: cross(x, other_mask, other=other))
        return self.added(x, -1, self.inner)

    def added(self, x: Tensor, i: int, part: Any) -> Tensor:
        normed = self.norms[i]
        found: Tensor = normed(x + self.drop(part(x))) if self.post else x + self.drop(part(normed(x)))
        return found
