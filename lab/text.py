"""What networks for text are. B texts, T tokens of each, V different ones, D numbers of each in the network."""

import re
from typing import Any

from torch import Tensor, nn

ENDLESS = 10**9                   # tokens that a network can read which needs nothing of them any more


def groups(net: nn.Module, decay: float = 1.0) -> list[dict[str, Any]]:
    """What a network learns, for its optimizer: `hidden` matrices, embeddings with the head, and vectors, whose weights
    do not decay. `decay` is the learning rate of each layer over that of the next.
    """
    outer = {id(part.weight) for part in net.modules() if isinstance(part, nn.Embedding)}
    outer |= {id(p) for name, part in net.named_modules() if name.endswith("head") for p in part.parameters()}
    top, parts = 1 + max((depth(name) for name, _ in net.named_parameters()), default=0), dict[Any, dict[str, Any]]()
    kinds: list[dict[str, Any]] = [{"hidden": True}, {}, {"weight_decay": 0.0}]
    for name, p in net.named_parameters():
        kind = 2 if p.ndim < 2 else 1 if id(p) in outer else 0
        below = top - (depth(name) or top * ("embed" not in name)) if decay != 1 else 0
        if p.requires_grad:
            parts.setdefault((kind, below), {"params": [], "rate": decay**below, **kinds[kind]})["params"].append(p)
    return list(parts.values())


def depth(name: str) -> int:
    """Of a parameter in a stack of layers: from 1 on; 0 of others."""
    found = re.search(r"\b(?:blocks|layers)\.(\d+)\.", name)
    return int(found[1]) + 1 if found else 0


class Reader(nn.Module):
    """What a model of role "causal" or "bidirectional" is.

    forward: tokens [B, T] and the lengths [B], or None where all have T, to features [B, T, D]. `embed`, `body` and
    `head` are its parts; the head, [..., D] -> logits [..., V], may share the weights of the embedding.
    """

    embed: nn.Module
    body: nn.Module
    head: nn.Module

    def __init__(self, width: int, longest: int):
        super().__init__()
        self.width, self.longest = width, longest             # D, and the tokens that it can read

    def memory(self, batch: int) -> Any:
        """Of one that is causal: what it has read of `batch` texts, as yet nothing."""
        raise NotImplementedError

    def read(self, x: Tensor, memory: Any) -> Tensor:
        """Features [B, T, D] of the next tokens [B, T], which `memory` takes in."""
        raise NotImplementedError


class EncoderDecoder(nn.Module):
    """What a model of role "encoder_decoder" is.

    forward: tokens [B, S] and their lengths [B], and the beginnings of what is said, [B, T], to features [B, T, D].
    """

    head: nn.Module

    def __init__(self, width: int, longest: tuple[int, int]):
        super().__init__()
        self.width, self.longest = width, longest             # D; S and T at most

    def memory(self, x: Tensor, length: Tensor) -> Any:
        """What there is to know of [B, S] before anything is said."""
        raise NotImplementedError

    def read(self, y: Tensor, memory: Any) -> Tensor:
        """Features [B, T, D] of the next tokens [B, T] of what is said, which `memory` takes in."""
        raise NotImplementedError

    def choose(self, memory: Any, rows: Tensor) -> Any:
        """The memory of these rows, which may come several times: for a beam."""
        raise NotImplementedError
