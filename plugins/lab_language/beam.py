"""The most likely text. B texts that are read, K beginnings of each that are followed, W tokens that can be said."""

from dataclasses import dataclass, field

import torch
from torch import Tensor

from lab.text import EncoderDecoder

Said = list[list[int]]                        # the tokens of each text


@dataclass(frozen=True)
class Marks:
    """The tokens with which a text begins and ends, and the most that there are between them."""

    begin: int
    end: int
    limit: int


@torch.no_grad()
def greedy(net: EncoderDecoder, x: Tensor, length: Tensor, marks: Marks) -> Said:
    """Always the most likely token."""
    begin, end, limit = marks.begin, marks.end, marks.limit
    memory, new = net.memory(x, length), torch.full((len(x), 1), begin, device=x.device)
    said, over = list[Tensor](), torch.zeros(len(x), dtype=torch.bool, device=x.device)
    for _ in range(limit + 1):
        logits = net.head(net.read(new, memory)[:, -1]).float()                             # [B, W]
        logits[:, begin] = -torch.inf
        new = logits.argmax(-1, keepdim=True)
        said.append(new)
        over |= new[:, 0] == end
        if over.all():
            break
    return [until(row, end) for row in torch.cat(said, 1).tolist()]


def until(row: list[int], end: int) -> list[int]:
    return row[:row.index(end)] if end in row else row


def penalty(length: int, alpha: float) -> float:
    """By which log chances of so many tokens are divided (Wu et al. 2016, equation 14)."""
    return ((5 + length) / 6) ** alpha


@dataclass
class Ends:
    """The best texts that have come to their end, at most `most`: (log chance over its penalty, tokens)."""

    most: int
    found: list[tuple[float, list[int]]] = field(default_factory=list)

    def add(self, score: float, tokens: list[int]) -> None:
        self.found = sorted([*self.found, (score, tokens)], key=lambda each: -each[0])[:self.most]

    def over(self, best: float) -> bool:
        """Whether nothing can come of what goes on and has at best this score."""
        return len(self.found) == self.most and self.found[-1][0] >= best


@torch.no_grad()
def beam(net: EncoderDecoder, x: Tensor, length: Tensor, marks: Marks, k: int, alpha: float) -> Said:
    """Of each text the best of `k` that have ended; where none has at the limit the best of those that go on.

    At each step the `k` most likely beginnings that have not ended go on. A text is at its end when none of them can
    become better than the `k` that have ended, their log chances being divided by `penalty`.
    """
    begin, end, limit = marks.begin, marks.end, marks.limit
    b, rows = len(x), torch.arange(len(x), device=x.device)
    memory = net.choose(net.memory(x, length), rows.repeat_interleave(k))
    said = torch.full((b * k, 1), begin, device=x.device)
    scores = torch.full((b, k), -torch.inf, device=x.device)
    scores[:, 0] = 0                                                    # all beginnings are the same at first
    ends, live = [Ends(k) for _ in range(b)], set(range(b))
    for t in range(1, limit + 2):
        logits = net.head(net.read(said[:, -1:], memory)[:, -1]).float()                    # [B K, W]
        logits[:, begin] = -torch.inf
        width = logits.shape[-1]
        chances = (scores.view(-1, 1) + logits.log_softmax(-1)).view(b, -1)                 # [B, K W]
        best, places = chances.topk(2 * k)                                                  # [B, 2 K]
        parents, tokens = places // width + rows[:, None] * k, places % width
        over = tokens == end
        for i, j in over.nonzero().tolist():
            if i in live and best[i, j] > -torch.inf:
                ends[i].add(float(best[i, j]) / penalty(t, alpha), said[parents[i, j], 1:].tolist())
        going = (over * 2 * k + torch.arange(2 * k, device=x.device)).argsort(dim=1)[:, :k]     # the others, best first
        scores = best.masked_fill(over, -torch.inf).gather(1, going)
        parents, tokens = parents.gather(1, going).view(-1), tokens.gather(1, going).view(-1, 1)
        said, memory = torch.cat([said[parents], tokens], 1), net.choose(memory, parents)
        live = {i for i in live if not ends[i].over(float(scores[i, 0]) / penalty(limit + 1, alpha))}
        if not live:
            break
    return [each.found[0][1] if each.found else until(said[i * k, 1:].tolist(), end) for i, each in enumerate(ends)]
