"""The next token, and hidden ones. B texts, T tokens of each, M that are hidden, V different ones."""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from lab.contract import Batch, Evaluator, Experiment
from lab.data.loaded import Data
from lab.errors import UsageError
from lab.media import Text
from lab.text import EncoderDecoder, Reader
from lab.world import World

from .attention import MOST, attention, names
from .masking import chosen, counts, holes, inside, masked, without
from .plugin import LM, MLM, SpanCorruption
from .speaking import Writer
from .tokens import NextSurprise, Speaker, experiment, zeros


class Next(Speaker):
    """Each token by those before it."""

    def said(self, net: Reader, batch: Batch) -> Tensor:
        logits: Tensor = net.head(net(batch["x"]))
        return logits


def lm(cfg: LM, world: World) -> Experiment:
    data, compute = world.data, world.compute
    net: Reader = world.model(data.about.vocabulary[0], data.about.shape[0], role="causal")
    learner = Next(net, world, cfg)
    write = Writer(lambda: learner.judged, data.tokenizers[0], compute.device)
    if cfg.sample and (size := len(data.tokenizers[0].encode([cfg.prompt])[0])) > net.longest:
        raise UsageError(f"agent.prompt has {size:,} tokens, and data.block={data.about.shape[0]} is all that is read "
                         "at a time; use a shorter one")

    def made() -> Mapping[str, Any]:
        text = "".join(write(cfg.prompt, cfg.sample, compute.rng("said")))
        return {"made/text": Text(f"```\n{cfg.prompt}{text}\n```")}

    x = zeros(compute, data.about.shape[0])
    return experiment(learner, data, lambda: net.head(net(x)), NextSurprise, {"made": made} if cfg.sample else {},
                      {"attention": looks(learner, data)}, write=write)


def looks(learner: Speaker, data: Data) -> Evaluator:
    """At each other, the first tokens of the text by which it is judged."""
    def first() -> Tensor:
        found: Tensor = next(data.batches("test" if "test" in data.splits else data.judged, 1))["x"][:, :MOST]
        return found

    def told(layer: str) -> list[str]:
        return names(data.tokenizers[0], first()[0].tolist())

    return attention(lambda: learner.judged, lambda: learner.judged(first()), told, told)


class Hidden(Speaker):
    """A share of the tokens, by what stands on both sides of them. Token V stands for what is hidden."""

    saved = (*Speaker.saved, "rng")
    cfg: MLM

    def __init__(self, net: Reader, world: World, cfg: MLM):
        super().__init__(net, world, cfg)
        self.vocabulary = world.data.about.vocabulary[0]

    def seen(self, batch: Batch, rng: torch.Generator) -> Batch:
        x = batch["x"]
        places = chosen(*x.shape, self.cfg.share, rng)
        return {"x": masked(x, places, self.vocabulary, rng), "places": places, "y": x.gather(1, places)}

    def said(self, net: Reader, batch: Batch) -> Tensor:
        found = net(batch["x"])                                                             # [B, T, D]
        at = batch["places"][:, :, None].expand(-1, -1, found.shape[-1])
        logits: Tensor = net.head(found.gather(1, at))
        return logits


def mlm(cfg: MLM, world: World) -> Experiment:
    data = world.data
    net: Reader = world.model(data.about.vocabulary[0] + 1, data.about.shape[0], role="bidirectional")
    learner, x = Hidden(net, world, cfg), zeros(world.compute, data.about.shape[0])
    return experiment(learner, data, lambda: net.head(net(x)), last={"attention": looks(learner, data)})


class Spans(Speaker):
    """What is in holes of several tokens. Tokens from V on are the holes; the one after them begins what is said."""

    saved = (*Speaker.saved, "rng")
    cfg: SpanCorruption

    def __init__(self, net: EncoderDecoder, world: World, cfg: SpanCorruption, first: int, begin: int):
        super().__init__(net, world, cfg)
        self.first, self.begin = first, begin

    def seen(self, batch: Batch, rng: torch.Generator) -> Batch:
        x = batch["x"]
        hole = holes(*x.shape, self.cfg.share, self.cfg.length, rng)
        seen, y = without(x, hole, self.first), inside(x, hole, self.first)
        return {"x": seen, "length": x.new_full((len(x),), seen.shape[1]), "y": y,
                "before": torch.cat([x.new_full((len(x), 1), self.begin), y[:, :-1]], 1)}

    def said(self, net: EncoderDecoder, batch: Batch) -> Tensor:
        logits: Tensor = net.head(net(batch["x"], batch["length"], batch["before"]))
        return logits


def span_corruption(cfg: SpanCorruption, world: World) -> Experiment:
    data, block = world.data, world.data.about.shape[0]
    if block < 2:
        raise UsageError("span_corruption needs blocks of two tokens at least; use a larger data.block")
    hidden, count = counts(block, cfg.share, cfg.length)
    first = data.about.vocabulary[0]
    size = first + count + 1
    net: EncoderDecoder = world.model((size, size), (block - hidden + count, hidden + count), role="encoder_decoder")
    learner = Spans(net, world, cfg, first, size - 1)
    batch = learner.seen({"x": zeros(world.compute, block)}, world.compute.rng("summary"))
    return experiment(learner, data, lambda: learner.said(net, batch))
