"""What all that say tokens share. B texts, T tokens of each, M of them that are to be said, V different ones."""

import math
from collections.abc import Callable, Mapping
from itertools import islice
from typing import Any, cast

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from lab.compute import Compute
from lab.config import OneLossConfig
from lab.contract import Batch, Evaluator, Experiment, Stream
from lab.data.loaded import Data
from lab.data.token_file import Tokens
from lab.layers import rows, summary
from lab.modules import evaluating
from lab.one_loss import OneLoss
from lab.text import groups
from lab.world import World

NUMBERS = 2**24                   # logits that are looked at together
NONE = -100                       # in place of a token: it does not count


class Speaker(OneLoss):
    """Steps down the mean cross-entropy of tokens."""

    def __init__(self, net: Any, world: World, cfg: OneLossConfig, smoothing: float = 0.0):
        super().__init__(net, world.optimizer(groups(net)), cfg, world.compute)
        self.rng, self.smoothing = world.compute.rng("text"), smoothing

    def seen(self, batch: Batch, rng: torch.Generator) -> Batch:
        """What the network is shown of a batch, and what it is to say: "y", NONE where nothing. Who draws saves `rng`.
        """
        return batch

    def said(self, net: Any, batch: Batch) -> Tensor:
        """Logits [B, M, V] for what `seen` gives."""
        raise NotImplementedError

    def prepared(self, batch: Batch) -> Batch:
        return self.seen(batch, self.rng)

    def loss(self, batch: Batch) -> tuple[Tensor, Mapping[str, Tensor]]:
        with self.compute.autocast():
            logits = self.said(self.net, batch)                                             # [B, M, V]
        return cross_entropy(logits.flatten(0, 1).float(), batch["y"].flatten(), ignore_index=NONE,
                             label_smoothing=self.smoothing), {}

    def mass(self, batch: Batch) -> Tensor | int:
        return (batch["y"] != NONE).sum()


class Surprise:
    """An evaluator: how surprising the tokens of a split are; always the same ones are to be said.

    loss is the mean cross-entropy in nats, perplexity its exponential, accuracy the share of tokens that were the most
    likely.
    """

    def __init__(self, learner: Speaker, data: Data, split: str, prefix: str = ""):
        self.learner, self.data, self.split, self.prefix = learner, data, split, prefix

    def __call__(self) -> Mapping[str, Any]:
        return self.of(self.data.batches(self.split, self.size))

    @property
    def size(self) -> int:
        """Examples at a time."""
        about = self.data.about
        return max(NUMBERS // (about.vocabulary[-1] * (about.answer or about.shape[0])), 1)

    def of(self, batches: Any) -> Mapping[str, Any]:
        learner, net, rng = self.learner, self.learner.judged, self.data.compute.rng("evaluated text")
        found = torch.zeros(3, dtype=torch.float64)
        for batch in batches:
            batch = learner.seen(batch, rng)
            with torch.no_grad(), learner.compute.autocast():
                logits = learner.said(net, batch).flatten(0, 1).float()                     # [B M, V]
            y = batch["y"].flatten()
            lost = cross_entropy(logits, y, ignore_index=NONE, reduction="sum")
            found += torch.stack([lost, (logits.argmax(-1) == y).sum(), (y != NONE).sum()]).double().cpu()
        lost, right, count = found.tolist()
        return {f"{self.prefix}{name}": value for name, value in self.told(lost / count, right / count).items()}

    def told(self, nats: float, right: float) -> dict[str, float]:
        return {"loss": nats, "perplexity": math.exp(min(nats, 700)), "accuracy": right}

    def names(self) -> list[str]:
        """Of what it will find, by a first batch."""
        with evaluating([self.learner.judged]):
            return list(self.of(islice(self.data.batches(self.split, 1), 1)))


class NextSurprise(Surprise):
    """Where all tokens of a text are to be said, and nothing of it is lost in them, also bits_per_byte, which does not
    depend on what they are.
    """

    def told(self, nats: float, right: float) -> dict[str, float]:
        tokens = cast(Tokens, self.data.splits[self.split])
        bits = nats / math.log(2) * len(tokens.ids) / tokens.bytes if tokens.bytes else None
        return {**super().told(nats, right), **({} if bits is None else {"bits_per_byte": bits})}


Judge = Callable[[Speaker, Data, str, str], Evaluator]


def experiment(learner: Speaker, data: Data, call: Callable[[], Any], judge: Judge = Surprise,
               more: Mapping[str, Evaluator] | None = None, last: Mapping[str, Evaluator] | None = None,
               **uses: Any) -> Experiment:
    """Judged on the validation split while it trains, and on the test split at the end; `call` shows its layers."""
    stream: Stream = data.stream(learner.cfg.batch_size)
    found = rows(learner.net, call)
    closing = {"test": judge(learner, data, "test", "test/")} if "test" in data.splits else {}
    return Experiment(learner, stream, {data.judged: judge(learner, data, data.judged, ""), **(more or {})},
                      {**closing, **(last or {})}, summary(learner.net, found),
                      sum(row[-1] for row in found) * (learner.cfg.batch_size or 1), **uses)


def zeros(compute: Compute, length: int) -> Tensor:
    """A text to try a network with, [1, T]."""
    return torch.zeros(1, length, dtype=torch.long, device=compute.device)
