"""A text that belongs to another one. B pairs, S tokens that are read, T that are said, W that can be."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import pad

from lab.contract import Batch, Evaluator, Experiment
from lab.data.blocks import trimmed
from lab.data.loaded import Data
from lab.data.sides import Side, warn
from lab.text import EncoderDecoder
from lab.world import World

from .attention import MOST, attention, names
from .beam import Marks, Said, beam, greedy
from .plugin import Seq2Seq
from .quality import quality, table
from .tokens import NONE, Speaker, experiment

TOGETHER = 100                    # texts that are said at a time


class Teacher(Speaker):
    """Each token by what is read and the right ones before it. Tokens W and W + 1 are the beginning and the end."""

    cfg: Seq2Seq

    def __init__(self, net: EncoderDecoder, world: World, cfg: Seq2Seq):
        super().__init__(net, world, cfg, cfg.label_smoothing)
        size = world.data.about.vocabulary[1]
        self.marks = Marks(size, size + 1, world.data.about.answer)

    def seen(self, batch: Batch, rng: torch.Generator) -> Batch:
        batch = trimmed(batch)
        y, length = batch["y"], batch["y_length"][:, None]                                  # [B, T], [B, 1]
        place = torch.arange(y.shape[1] + 1, device=y.device)
        longer = pad(y, (0, 1))
        right = torch.where(place < length, longer, torch.where(place == length, self.marks.end, NONE))
        before = pad(y, (1, 0), value=self.marks.begin)
        return {"x": batch["x"], "length": batch["length"], "before": before, "y": right}

    def said(self, net: EncoderDecoder, batch: Batch) -> Tensor:
        logits: Tensor = net.head(net(batch["x"], batch["length"], batch["before"]))
        return logits


class Sayer:
    """Says what belongs to texts: for `lab translate`, and to be judged."""

    def __init__(self, learner: Teacher, data: Data):
        self.learner, self.data, self.cfg = learner, data, learner.cfg

    def __call__(self, texts: Sequence[str], width: int = 0) -> Iterator[str]:
        """As it comes, with warnings of what is not read; `width` is that of the beam, 0: that of the run."""
        if not texts:
            return
        side = Side.of(texts, self.data.tokenizers[0], self.data.about.shape[0])
        warn("what is given", side.counts(), self.data.about.shape[0])
        for i in range(0, len(texts), TOGETHER):
            batch = {"x": side.tokens[i:i + TOGETHER], "length": side.length[i:i + TOGETHER]}
            yield from map(self.data.tokenizers[-1].decode, self.of(batch, width))

    def of(self, batch: Batch, width: int = 0) -> Said:
        """The tokens of what belongs to x [B, S]."""
        learner, width = self.learner, width or self.cfg.beam
        batch = {name: batch[name].to(self.data.compute.device) for name in ("x", "length")}
        batch["x"] = batch["x"][:, :int(batch["length"].max())]
        given = (learner.judged, batch["x"], batch["length"], learner.marks)
        return greedy(*given) if width == 1 else beam(*given, width, self.cfg.length_penalty)


class Quality:
    """An evaluator: how good is what it says of the first `count` texts of a split."""

    def __init__(self, sayer: Sayer, split: str, count: int, prefix: str = "", shown: int = 20):
        self.sayer, self.split, self.count, self.prefix, self.shown = sayer, split, count, prefix, shown

    def __call__(self) -> Mapping[str, Any]:
        data = self.sayer.data
        held = data.splits[self.split].take(torch.arange(min(self.count, len(data.splits[self.split]))))
        parts = torch.split(torch.arange(len(held)), TOGETHER)
        said, right, read = Said(), Said(), Said()
        for batch in held.batches(parts, data.compute.device):
            said += self.sayer.of(batch)
            right += rows(batch["y"], batch["y_length"])
            read += rows(batch["x"], batch["length"])
        found = quality(read, said, right, data.tokenizers[-1].decode, self.sayer.cfg.bleu)
        shown = table(data, read[:self.shown], said, right)
        return {**{f"{self.prefix}said/{name}": value for name, value in found.items()}, f"{self.prefix}said": shown}


def rows(tokens: Tensor, length: Tensor) -> Said:
    return [row[:n] for row, n in zip(tokens.tolist(), length.tolist(), strict=True)]


def seq2seq(cfg: Seq2Seq, world: World) -> Experiment:
    data, about = world.data, world.data.about
    vocabulary = (about.vocabulary[0], about.vocabulary[1] + 2)
    net: EncoderDecoder = world.model(vocabulary, (about.shape[0], about.answer + 1), role="encoder_decoder")
    learner = Teacher(net, world, cfg)
    sayer = Sayer(learner, data)
    first = "test" if "test" in data.splits else data.judged
    more: dict[str, Evaluator] = {"said": Quality(sayer, data.judged, cfg.said)} if cfg.said else {}
    last: dict[str, Evaluator] = {"attention": looks(learner, data, first)}
    if cfg.said and "test" in data.splits:
        last["said"] = Quality(sayer, "test", 10 * cfg.said, "test/")
    one = {name: tensor.to(world.compute.device) for name, tensor in next(data.batches("train", 1)).items()}
    return experiment(learner, data, lambda: learner.said(net, learner.seen(one, learner.rng)), more=more, last=last,
                      translate=sayer)


def looks(learner: Teacher, data: Data, split: str) -> Evaluator:
    """Of a first pair: the layers of what reads and of what says."""
    def pair() -> Batch:
        found = learner.seen(next(data.batches(split, 1)), learner.rng)
        return {**found, "x": found["x"][:, :MOST], "length": found["length"].clamp(max=MOST),
                "before": found["before"][:, :MOST]}

    def told(key: str, tokenizer: Any) -> list[str]:
        return names(tokenizer, pair()[key][0].tolist())

    def looking(layer: str) -> list[str]:
        return told("x", data.tokenizers[0]) if layer.startswith("encoder") else told("before", data.tokenizers[-1])

    def looked_at(layer: str) -> list[str]:
        own = layer.startswith("decoder") and not layer.endswith("cross")
        return told("before", data.tokenizers[-1]) if own else told("x", data.tokenizers[0])

    return attention(lambda: learner.judged, lambda: learner.said(learner.judged, pair()), looking, looked_at)
