"""What an autoencoder makes of pictures, as grids of them. n examples, Z latent numbers, K classes."""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from lab.figures import shown, tiles

from .judges import Judge
from .learners import Reconstructor
from .variational import Variational

COLUMNS, STEPS, MOST = 10, 11, 12             # of a grid; along a latent number; latent numbers that are walked
MOVED, FRAMES = 5, 60                         # pictures that change into one another, and how many steps that takes
FAR = 3.0                                     # deviations to either side of a walk
Picture = Any


class Album:
    """An evaluator: pictures alone. Of the split that the judge looks at, the first examples."""

    def __init__(self, judge: Judge):
        self.judge, self.learner, self.data = judge, judge.learner, judge.data

    def __call__(self) -> Mapping[str, Any]:
        x, label, draws = next(iter(self.judge.parts()))
        n = min(len(x), COLUMNS)
        with torch.no_grad():
            terms = self.learner.terms(x, label, draws)
        label, codes = None if label is None else label[:n], terms["code"]
        rows = [terms["target"], self.learner.net.likelihood.mean(terms["said"])]
        if terms["seen"] is not terms["target"]:
            rows.insert(1, terms["seen"])
        found = {"reconstructions": tiles(shown(torch.cat([each[:n] for each in rows])), n)}
        if n > 1:
            found["interpolation"] = film(between(codes[:min(n, MOVED)]), self.learner, label)
        if isinstance(self.learner, Variational):
            found["traversals"] = traversals(self.learner, codes, label)
        return {f"{self.judge.prefix}{name}": picture for name, picture in found.items()}


def between(codes: Tensor) -> Tensor:
    """[n, ...] -> the codes on the way from each to the next, and from the last to the first: [T, n, ...]."""
    share = torch.linspace(0, 1, FRAMES + 1, device=codes.device)[:-1].view(-1, *[1] * codes.ndim)
    return (1 - share) * codes + share * codes.roll(-1, 0)


def film(codes: Tensor, learner: Reconstructor, label: Tensor | None) -> Picture:
    """Of codes [T, n, ...], n pictures side by side: [T, H, W, 3]."""
    label = None if label is None else label[:codes.shape[1]]
    frames = [tiles(shown(learner.decoded(each, label)), codes.shape[1]) for each in codes]
    return torch.stack([torch.from_numpy(frame) for frame in frames]).numpy()


def traversals(learner: Variational, codes: Tensor, label: Tensor | None) -> Picture:
    """From -3 to 3 deviations of the prior along the latent numbers that vary most in `codes` [n, Z], a row for each;
    the others are those of the first code.
    """
    places = torch.linspace(-FAR, FAR, STEPS, device=codes.device)
    numbers = codes.var(0, correction=0).argsort(descending=True)[:MOST]
    walked = codes[:1].repeat(len(numbers) * STEPS, 1)                                      # [rows * STEPS, Z]
    row = torch.arange(len(walked), device=codes.device)
    walked[row, numbers.repeat_interleave(STEPS)] = places.repeat(len(numbers))
    return tiles(shown(learner.decoded(walked, None if label is None else label[:1].expand(len(walked)))), STEPS)
