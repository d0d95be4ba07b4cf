"""A small GPT and nanoGPT's recipe for a CPU (Karpathy 2022), by hand in float32: what the lab is compared with."""

import math
from collections.abc import Iterator
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, gelu, scaled_dot_product_attention

LAYERS, HEADS, WIDTH, BLOCK, BATCH = 4, 4, 128, 64, 12
RATE, LAST, WARMUP = 1e-3, 1e-4, 100


class Block(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = (nn.LayerNorm(WIDTH, bias=False) for _ in range(2))
        self.into, self.out = nn.Linear(WIDTH, 3 * WIDTH, bias=False), nn.Linear(WIDTH, WIDTH, bias=False)
        self.wide, self.narrow = nn.Linear(WIDTH, 4 * WIDTH, bias=False), nn.Linear(4 * WIDTH, WIDTH, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        parts = self.into(self.first(x)).split(WIDTH, 2)
        q, k, v = (part.view(*x.shape[:2], HEADS, -1).transpose(1, 2) for part in parts)
        found = scaled_dot_product_attention(q, k, v, is_causal=True)
        x = x + self.out(found.transpose(1, 2).contiguous().view_as(x))
        out: Tensor = x + self.narrow(gelu(self.wide(self.second(x))))
        return out


class Plain(nn.Module):
    def __init__(self, vocabulary: int) -> None:
        super().__init__()
        self.tokens, self.places = nn.Embedding(vocabulary, WIDTH), nn.Embedding(BLOCK, WIDTH)
        self.blocks, self.last = nn.ModuleList(Block() for _ in range(LAYERS)), nn.LayerNorm(WIDTH, bias=False)
        self.head = nn.Linear(WIDTH, vocabulary, bias=False)
        for name, p in self.named_parameters():
            if p.ndim == 2:
                added = name.endswith(("out.weight", "narrow.weight"))
                nn.init.normal_(p, std=0.02 / math.sqrt(2 * LAYERS) if added else 0.02)
        self.tokens.weight = self.head.weight

    def forward(self, x: Tensor, y: Tensor) -> Tensor:
        found = self.tokens(x) + self.places(torch.arange(x.shape[1]))
        for block in self.blocks:
            found = block(found)
        logits = self.head(self.last(found))
        return cross_entropy(logits.view(-1, logits.shape[-1]), y.view(-1))


def texts(path: str) -> tuple[Tensor, Tensor, int]:
    """The first nine tenths of a text by letters, the last one, and how many different letters there are."""
    text = Path(path).read_text()
    known = {letter: i for i, letter in enumerate(sorted(set(text)))}
    ids, cut = torch.tensor([known[letter] for letter in text]), int(0.9 * len(text))
    return ids[:cut], ids[cut:], len(known)


def blocks(ids: Tensor) -> tuple[Tensor, Tensor]:
    """A batch at random places, and the letter that follows each of its letters."""
    begins = torch.randint(len(ids) - BLOCK, (BATCH,))
    return tuple(torch.stack([ids[i + ahead:i + ahead + BLOCK] for i in begins]) for ahead in (0, 1))   # type: ignore


def rate(update: int, updates: int) -> float:
    if update < WARMUP:
        return RATE * (update + 1) / (WARMUP + 1)
    share = (update - WARMUP) / max(updates - WARMUP, 1)
    return LAST + (RATE - LAST) * (1 + math.cos(math.pi * share)) / 2


def trained(net: Plain, ids: Tensor, updates: int) -> Iterator[Tensor]:
    """The loss of each of so many updates, as they are made."""
    parts = [{"params": [p for p in net.parameters() if p.ndim == 2], "weight_decay": 0.1},
             {"params": [p for p in net.parameters() if p.ndim < 2], "weight_decay": 0.0}]
    optimizer = torch.optim.AdamW(parts, RATE, (0.9, 0.99))
    for update in range(updates):
        for part in optimizer.param_groups:
            part["lr"] = rate(update, updates)
        loss = net(*blocks(ids))
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        nn.utils.clip_grad_norm_(net.parameters(), 1.0)
        optimizer.step()
        yield loss.detach()
