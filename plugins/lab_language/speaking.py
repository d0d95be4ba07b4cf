"""Text that a network goes on with. B texts, T tokens, V different ones."""

import logging
from collections import deque
from collections.abc import Callable, Iterator, Sequence

import torch
from tokenizers.decoders import DecodeStream
from torch import Tensor

from lab.data.tokenizer import Tokenizer
from lab.errors import UsageError
from lab.text import ENDLESS, Reader

LOG = logging.getLogger("lab")
Choose = Callable[[Tensor], Tensor]           # logits [B, V] -> tokens [B]


def likely(logits: Tensor, temperature: float, top_k: int = 0, top_p: float = 1.0) -> Tensor:
    """The chances [B, V] of tokens: logits over `temperature`, of the `top_k` most likely alone (0: of all), and of
    those that come before the chances of more likely ones are `top_p` together (Holtzman et al. 2020).
    """
    logits = logits / temperature
    if 0 < top_k < logits.shape[-1]:
        least = logits.topk(top_k).values[:, -1:]
        logits = logits.masked_fill(logits < least, -torch.inf)
    chances = logits.softmax(-1)
    if top_p < 1:
        ordered, places = chances.sort(dim=-1, descending=True, stable=True)
        late = ordered.cumsum(-1) - ordered >= top_p
        chances = chances.masked_fill(late.scatter(-1, places, late), 0)
        chances = chances / chances.sum(-1, keepdim=True)
    return chances


def chooser(rng: torch.Generator, temperature: float, top_k: int = 0, top_p: float = 1.0,
            never: Sequence[int] = ()) -> Choose:
    """By chance; with temperature 0 the most likely. Tokens in `never` are not chosen."""
    def choose(logits: Tensor) -> Tensor:
        logits = logits.float()
        logits[:, list(never)] = -torch.inf
        if temperature == 0:
            return logits.argmax(-1)
        return torch.multinomial(likely(logits, temperature, top_k, top_p), 1, generator=rng)[:, 0]

    return choose


@torch.no_grad()
def continued(net: Reader, x: Tensor, count: int, choose: Choose, remember: bool = True) -> Iterator[Tensor]:
    """The next `count` tokens [B] of texts [B, T], one after the other.

    When a text is as long as the network can read, the second half of it is read anew, and it goes on from there. A
    network that does not `remember` reads all of that for each token, with the same result.
    """
    memory, new, seen, length = net.memory(len(x)) if remember else None, x, deque([x]), x.shape[1]
    for _ in range(count):
        if length > net.longest:
            new = torch.cat([*seen], 1)[:, -max(net.longest // 2, 1):]
            memory, seen, length = net.memory(len(x)) if remember else None, deque([new]), new.shape[1]
        features = net.read(new, memory) if remember else net(torch.cat([*seen], 1))        # [B, T, D]
        new = choose(net.head(features[:, -1]))[:, None]
        if net.longest < ENDLESS or not remember:
            seen.append(new)
        length += 1
        yield new[:, 0]


class Writer:
    """Goes on from a prompt: for `lab sample`."""

    def __init__(self, net: Callable[[], Reader], tokenizer: Tokenizer, device: torch.device):
        self.net, self.tokenizer, self.device = net, tokenizer, device

    def __call__(self, prompt: str, count: int, rng: torch.Generator, temperature: float = 1.0, top_k: int = 0,
                 top_p: float = 1.0, remember: bool = True) -> Iterator[str]:
        """Piece by piece, without the prompt. Raises UsageError for one that is longer than the network can read."""
        net, tokenizer = self.net(), self.tokenizer
        if not prompt.isprintable() and any(0xD800 <= ord(letter) < 0xE000 for letter in prompt):
            raise UsageError("the prompt is not UTF-8")
        said = tokenizer.encode([prompt])[0].tolist()
        ids = said or [0]                             # of a prompt that is no token, such as a blank between words
        if len(ids) > net.longest:
            raise UsageError(f"the prompt has {len(ids):,} tokens, and this run reads {net.longest:,} at most; shorten "
                             "it, or train with a larger data.block")
        if missing := said.count(tokenizer.unknown):
            LOG.warning("%d of the %d tokens of the prompt are not in the vocabulary", missing, len(said))
        never = [] if tokenizer.unknown is None else [tokenizer.unknown]
        choose = chooser(rng, temperature, top_k, top_p, never)
        stream = DecodeStream(ids=ids, skip_special_tokens=False)
        told = tokenizer.decode(ids)
        for token in continued(net, torch.tensor([ids], device=self.device), count, choose, remember):
            if int(token) == tokenizer.end:
                break
            ids.append(int(token))
            piece = tokenizer.joined(stream.step(tokenizer.inner, int(token)) or "")
            told += piece
            yield piece
        whole = tokenizer.decode(ids)
        if whole.startswith(told):
            yield whole[len(told):]                   # the beginning of a letter that is never finished
