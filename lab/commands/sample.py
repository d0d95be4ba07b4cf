"""lab sample RUN: new examples from what a run has learned to make."""

import io
import math
from argparse import Namespace
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ..assembly import Assembled
from ..contract import Sample
from ..data.dataset import About
from ..errors import UsageError, closest, within
from ..figures import shown, tiles
from ..media import gif, png
from ..modules import evaluating
from . import of_text
from .out import checked, write
from .parser import Parser
from .using import opened

STEPS, FPS = 60, 20               # of a walk
MOST, SEEN, FILMED = 1_000_000, 10_000, 400     # examples in a file, in a picture, and in a film
FORMATS = (".png", ".gif", ".npz")


def main(argv: list[str]) -> int:
    """A grid of pictures, a film of a walk through the codes, or the numbers themselves; of text what follows a prompt.
    """
    args = Parser("sample", "Make new examples with a run that has learned to.")
    args.add_argument("run", type=Path, help="a run folder, or one of its checkpoints")
    args.add_argument("-n", type=int, default=None, metavar="N", help="how many (default: 64; of texts: 1)")
    args.add_argument("--seed", type=int, default=0, help="another seed, others (default: 0)")
    args.add_argument("--out", type=Path, default=None, help="NAME.png: a grid (default: samples.png); NAME.gif: a "
                      "walk; NAME.npz: x [N, ...], y, and names of classes, columns; of texts NAME.txt")
    args.add_argument("--class", dest="label", default=None, metavar="NAME", help="of this class alone")
    of_text.options(args)
    given = args.parse_args(argv)
    _, made, about, _, count = opened(given.run, "sample", "write")
    if made.experiment.write is not None:
        return of_text.main(given, made, count)
    of_text.refuse(given, made.cfg.agent.name)
    return of_numbers(given, made, about, count)


def of_numbers(given: Namespace, made: Assembled, about: About, count: int) -> int:
    """Raises UsageError for what does not go together."""
    out, n, sample = given.out or Path("samples.png"), 64 if given.n is None else given.n, made.experiment.sample
    assert sample is not None
    kind = checked(out, FORMATS)
    if kind == ".gif" and n > FILMED:
        raise UsageError(f"-n is {n}; a film has all of its {STEPS} pictures in memory, each of at most {FILMED} "
                         "examples: use fewer, or NAME.png")
    within("-n", n, 1, MOST if kind == ".npz" else SEEN)
    if kind != ".npz" and about.kind != "picture":
        raise UsageError(f"--out {out}: an example of this data is a {about.kind}, no picture; use NAME.npz")
    if kind == ".gif" and not hasattr(sample, "walk"):
        raise UsageError(f"--out {out}: {made.cfg.agent.name} has no codes to walk through; use NAME.png")
    label = labels(about, given.label, n, getattr(sample, "classes", 0))
    rng = torch.Generator(made.compute.device).manual_seed(given.seed % 2**63)
    writers: dict[str, Callable[..., bytes]] = {".png": grid, ".gif": film, ".npz": partial(arrays, about)}
    with torch.no_grad(), evaluating(made.experiment.learner):
        body = writers[kind](sample, n, rng, None if label is None else label.to(made.compute.device))
    write(out, body)
    print(f"{out}: {n:,} examples of {made.cfg.agent.name} at {count:,}")
    return 0


def labels(about: About, name: str | None, n: int, classes: int) -> Tensor | None:
    """[n]: that class, or all in turn; None where the run was not told them. Raises UsageError."""
    if not classes:
        if name is not None:
            raise UsageError(f"--class {name}: this run was not told the classes, so that it makes examples of any")
        return None
    if name is None:
        return torch.arange(n) % classes
    if name not in about.classes:
        raise UsageError(f"--class {name} is not known. {closest(name, about.classes)}")
    return torch.full((n,), about.classes.index(name))


def grid(sample: Sample, n: int, rng: torch.Generator, label: Tensor | None) -> bytes:
    return png(tiles(shown(sample(n, rng, label)), columns(n, label)))


def film(sample: Any, n: int, rng: torch.Generator, label: Tensor | None) -> bytes:
    frames = [tiles(shown(each), columns(n, label)) for each in sample.walk(n, STEPS, rng, label)]
    return gif(frames, FPS, frames[0].shape[1])


def columns(n: int, label: Tensor | None) -> int:
    """As many as rows; a column for each class where all are there in turn, and more than once."""
    several = 0 if label is None else len(torch.unique(label))
    return several if 1 < several <= n // 2 else math.ceil(math.sqrt(n))


def arrays(about: About, sample: Sample, n: int, rng: torch.Generator, label: Tensor | None) -> bytes:
    found: dict[str, Any] = {"x": sample(n, rng, label).cpu().numpy()}
    if label is not None:
        found |= {"y": label.cpu().numpy(), "classes": np.array(about.classes)}
    if about.kind == "table":
        found["columns"] = np.array([column.name for column in about.columns])
        found |= {f"categories of {column.name}": np.array(column.categories)
                  for column in about.columns if column.categories is not None}
    file = io.BytesIO()
    np.savez_compressed(file, **found)
    return file.getvalue()
