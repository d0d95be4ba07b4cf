"""The class of a text. B texts, T tokens of each, D width, K classes."""

from collections.abc import Mapping
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from lab import metrics, reports
from lab.contract import Batch, Experiment
from lab.data.judge import Judge, Measure
from lab.errors import UsageError
from lab.layers import rows, summary
from lab.one_loss import OneLoss
from lab.text import Reader, groups
from lab.world import World

from .plugin import TextClassifier

ROLES = ("causal", "bidirectional")


class Classed(nn.Module):
    """Tokens [B, T] and lengths [B] to logits [B, K]."""

    def __init__(self, reader: Reader, pool: str, dropout: float, classes: int):
        super().__init__()
        self.reader, self.pool, self.drop = reader, pool, nn.Dropout(dropout)
        reader.head = nn.Identity()           # which says tokens
        self.head = nn.Linear(reader.width, classes)

    def forward(self, x: Tensor, length: Tensor) -> Tensor:
        out: Tensor = self.head(self.drop(pooled(self.reader(x, length), length, self.pool)))
        return out


def pooled(found: Tensor, length: Tensor, pool: str) -> Tensor:
    """Features [B, T, D] of all tokens to [B, D]; what is beyond the lengths [B] does not count."""
    if pool == "first":
        return found[:, 0]
    if pool == "last":
        return found[torch.arange(len(found), device=found.device), length - 1]
    inside = (torch.arange(found.shape[1], device=found.device) < length[:, None])[:, :, None]         # [B, T, 1]
    if pool == "max":
        return found.masked_fill(~inside, -torch.inf).amax(1)
    return found.masked_fill(~inside, 0).sum(1) / length[:, None]


class Classifier(OneLoss):
    """Steps down the mean cross-entropy of classes."""

    net: Classed
    judged: Classed
    cfg: TextClassifier

    def loss(self, batch: Batch) -> tuple[Tensor, Mapping[str, Tensor]]:
        with self.compute.autocast():
            out = self.net(batch["x"], batch["length"])
        out = out.float()                                     # [B, K]
        hits = (out.detach().argmax(-1) == batch["y"]).float().mean()
        return cross_entropy(out, batch["y"], label_smoothing=self.cfg.label_smoothing), {"train/accuracy": hits}


def text_classifier(cfg: TextClassifier, world: World) -> Experiment:
    data, about = world.data, world.data.about
    if len(about.classes) < 2:
        came = f"only the class {about.classes[0]!r}" if about.classes else "no classes"
        raise UsageError(f"text_classifier tells classes apart, and data={data.cfg.name} has {came}")
    reader: Reader = world.model(about.vocabulary[0], about.shape[0], role=ROLES)
    if cfg.pool == "auto":
        cfg.pool = "last" if world.cfg.model.name in world.models("causal") else "mean"
    if cfg.freeze and (rank := getattr(world.cfg.model, "lora", 0)) and world.run is None:
        raise UsageError(f"agent.freeze=true learns the last layer alone, and model.lora={rank} changes of the others; "
                         "leave one of them out")
    if cfg.freeze:
        reader.requires_grad_(False)
    net = Classed(reader, cfg.pool, cfg.dropout, len(about.classes)).to(world.compute.device)
    learner = Classifier(net, world.optimizer(groups(net, cfg.layer_decay)), cfg, world.compute)
    stream, device = data.stream(cfg.batch_size), world.compute.device

    def judge(split: str, measure: Measure, prefix: str = "") -> Judge:
        return Judge(lambda: learner.judged, data, split, measure, prefix)                  # type: ignore[arg-type]

    measure = partial(metrics.classification, top_k=cfg.top_k)

    def whole(out: Tensor, y: Tensor) -> Mapping[str, Any]:
        return {**measure(out, y), **reports.classes_report(out, y, classes=about.classes)}

    last = {"test": judge("test", whole, "test/")} if "test" in data.splits else {}
    x = torch.zeros(1, about.shape[0], dtype=torch.long, device=device)
    found = rows(net, lambda: net(x, torch.full((1,), about.shape[0], device=device)))
    return Experiment(learner, stream, {data.judged: judge(data.judged, measure)}, last, summary(net, found),
                      sum(row[-1] for row in found) * stream.size, lambda x, length=None: learner.judged(x, length))
