"""Where the examples of a split are among the codes. N examples, Z numbers in a code."""

from collections.abc import Mapping
from typing import Any

import torch

from lab.data.prepare import bright
from lab.figures import shown
from lab.media import Codes, pixels

from .judges import Judge

MOST = 2_000                      # examples that are shown


class Latent:
    """An evaluator: the codes of the first examples, with class and picture, for TensorBoard's projector."""

    def __init__(self, judge: Judge):
        self.judge = judge

    def __call__(self) -> Mapping[str, Any]:
        judge, points, pictures = self.judge, list[torch.Tensor](), list[torch.Tensor]()
        data, split = judge.data, judge.data.splits[judge.split]
        for x, label, draws in judge.parts():
            if sum(map(len, points)) >= MOST:
                break
            with torch.no_grad():
                points.append(judge.learner.terms(x, label, draws)["code"].flatten(1))      # [B, Z]
            pictures.append(bright(x).cpu())
        names = [] if split.y is None or not data.about.classes else [data.about.classes[k] for k in split.y[:MOST]]
        grids = shown(torch.cat(pictures)[:MOST]) if data.about.kind == "picture" else None
        return {f"{judge.prefix}codes": Codes(torch.cat(points)[:MOST].cpu().numpy(), names,
                                              None if grids is None else pixels(grids))}
