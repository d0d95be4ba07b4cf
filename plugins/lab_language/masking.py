"""Texts with holes. B texts, T tokens of each, M holes, V different tokens."""

import torch
from torch import Tensor


def chosen(b: int, t: int, share: float, rng: torch.Generator) -> Tensor:
    """[B, M]: places of a share of the tokens, at least one, in ascending order, drawn for each text by itself."""
    count = max(round(share * t), 1)
    return torch.rand(b, t, generator=rng, device=rng.device).topk(count).indices.sort().values


def masked(x: Tensor, places: Tensor, vocabulary: int, rng: torch.Generator) -> Tensor:
    """[B, T] with `places` [B, M] hidden: 80 % of them are token `vocabulary`, which stands for what is hidden, 10 %
    any token, and 10 % as they were (Devlin et al. 2019, section 3.1).
    """
    was = x.gather(1, places)                                                               # [B, M]
    u = torch.rand(places.shape, generator=rng, device=rng.device)
    other = torch.randint(vocabulary, places.shape, generator=rng, device=rng.device)
    new = torch.where(u < 0.8, vocabulary, torch.where(u < 0.9, other, was))
    return x.scatter(1, places, new)


def parts(b: int, total: int, count: int, rng: torch.Generator) -> Tensor:
    """[B, count]: numbers of at least 1 whose sum is `total`, all such as likely (Raffel et al. 2020, their code)."""
    cuts = torch.rand(b, total - 1, generator=rng, device=rng.device).topk(count - 1).indices.sort().values + 1
    ends = torch.cat([cuts, cuts.new_full((b, 1), total)], 1)
    return ends.diff(dim=1, prepend=cuts.new_zeros(b, 1))


def counts(t: int, share: float, length: float) -> tuple[int, int]:
    """Of t tokens so many in holes, and so many holes, that a share is in holes of this mean length."""
    inside = min(max(round(share * t), 1), t - 1)
    return inside, min(max(round(inside / length), 1), inside, t - inside)


def holes(b: int, t: int, share: float, length: float, rng: torch.Generator) -> Tensor:
    """[B, T]: 0 outside of holes, else the number of the hole from 1 on. The first token is in none."""
    inside, count = counts(t, share, length)
    outside = parts(b, t - inside + 1, count + 1, rng)                                      # one too many at the end
    lengths = torch.stack([outside[:, :-1], parts(b, inside, count, rng)], 2).flatten(1)
    lengths = torch.cat([lengths, outside[:, -1:] - 1], 1)
    which = torch.arange(2 * count + 1, device=rng.device).repeat(b)                        # outside, hole, outside ...
    part = torch.repeat_interleave(which, lengths.flatten()).view(b, t)
    return torch.where(part % 2 == 1, part // 2 + 1, 0)


def without(x: Tensor, hole: Tensor, first: int) -> Tensor:
    """[B, T'] of [B, T]: what is outside of holes [B, T], each hole as one token, `first` for the first, and so on.

    All texts have as many holes, and as many tokens in them.
    """
    begins = (hole > 0) & (hole != torch.cat([torch.zeros_like(hole[:, :1]), hole[:, :-1]], 1))
    return torch.where(begins, first + hole - 1, x)[(hole == 0) | begins].view(len(x), -1)


def inside(x: Tensor, hole: Tensor, first: int) -> Tensor:
    """[B, T'']: the token of each hole, and behind it what is in it (Raffel et al. 2020, figure 2)."""
    marks = torch.arange(1, int(hole.max()) + 1, device=x.device).repeat(len(x), 1)         # [B, holes]
    tokens = torch.cat([first + marks - 1, x[hole > 0].view(len(x), -1)], 1)
    order = torch.cat([2 * marks, 2 * hole[hole > 0].view(len(x), -1) + 1], 1).argsort(dim=1, stable=True)
    return tokens.gather(1, order)
