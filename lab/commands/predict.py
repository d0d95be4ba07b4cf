"""lab predict RUN INPUT...: what a run says of new examples."""

import csv
import io
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch

from ..assembly import Assembled
from ..data.dataset import About
from ..data.inputs import inputs
from ..data.network import told
from ..errors import UsageError
from ..modules import evaluating
from .out import write
from .parser import Parser
from .using import opened

Row = dict[str, Any]


def main(argv: list[str]) -> int:
    """Writes one row for each example: its name, the class and the chance of every class, or the numbers predicted; of
    autoencoders the nats that it takes to say it.
    """
    args = Parser("predict", "Predict what a run has learned to predict, of pictures, csv or npz files.")
    args.add_argument("run", type=Path, help="a run folder, or one of its checkpoints")
    args.add_argument("input", nargs="+", metavar="INPUT", help="pictures and folders of them, csv or npz files")
    args.add_argument("--out", type=Path, default=None, help="predictions.csv or predictions.json (default: printed)")
    args.add_argument("--format", choices=("csv", "json"), default=None, help="of what is printed (default: csv)")
    given = args.parse_args(argv)
    kind = given.format or (given.out.suffix.lstrip(".") if given.out else "csv")
    if kind not in ("csv", "json"):
        raise UsageError(f"--out {given.out}: expected a name that ends in .csv or .json, or --format")
    cfg, made, about, dtype, _ = opened(given.run, "predict", "cost")
    tokenizers = made.data.tokenizers if made.data else ()
    found = list(rows(made, about, inputs(about, dtype, cfg.data, given.input, tokenizers)))
    text = as_csv(found) if kind == "csv" else json.dumps(found, indent=1) + "\n"
    if given.out is None:
        sys.stdout.write(text)
        return 0
    write(given.out, text.encode())
    print(f"{given.out}: {len(found):,} examples")
    return 0


def rows(made: Assembled, about: About, batches: Iterator[Any]) -> Iterator[Row]:
    device, predict, cost = made.compute.device, made.experiment.predict, made.experiment.cost
    with torch.no_grad(), evaluating(made.experiment.learner):
        for names, batch in batches:
            x = batch["x"].to(device)
            if predict is None:
                assert cost is not None
                yield from ({"input": name, "nats": nats} for name, nats in zip(names, cost(x).tolist(), strict=True))
                continue
            length = batch["length"].to(device) if about.ragged else None
            out = told(predict(x, length)).cpu()                                            # [B, K]
            yield from said(about, names, out, made.experiment.learner.says_chances)


def said(about: About, names: list[str], out: torch.Tensor, chances: bool = True) -> Iterator[Row]:
    """Of outputs [B, K]: numbers, or the class with its chance and those of all; without `chances` with its score."""
    if not about.classes:
        targets = ["input (predicted)" if target == "input" else target for target in about.targets]
        for name, values in zip(names, out.tolist(), strict=True):
            yield {"input": name, **dict(zip(targets, values, strict=True))}
        return
    what, found = ("chance", out.softmax(-1)) if chances else ("score", out)
    for name, values in zip(names, found.tolist(), strict=True):
        best = max(range(len(values)), key=values.__getitem__)
        yield {"input": name, "class": about.classes[best], what: values[best],
               f"{what}s": dict(zip(about.classes, values, strict=True))}


def as_csv(found: list[Row]) -> str:
    """The chances of the classes as columns `chance of NAME`, scores as `score of NAME`."""
    flat = [{**{key: value for key, value in row.items() if not isinstance(value, dict)},
             **{f"{key.removesuffix('s')} of {name}": value for key, each in row.items() if isinstance(each, dict)
                for name, value in each.items()}} for row in found]
    out = io.StringIO()
    writer = csv.DictWriter(out, list(flat[0]) if flat else ["input"], lineterminator="\n")
    writer.writeheader()
    writer.writerows(flat)
    return out.getvalue()
