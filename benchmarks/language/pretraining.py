"""What a masked language model gives a classifier that has 200 labelled examples.

    python -m benchmarks.language.pretraining [--quick] [--seeds 0:5] [--processes 1]

The texts are paragraphs of the documentation in Python's modules, of which module is the class (data=docstrings); 200
of them are learned from, all others are the test split. pretrained: the network begins as that of a run of +agent=mlm
on what `help` says of the language (data=python_docs), which has none of these texts. scratch: the same network, tokens
and settings without it. Each seed has 200 other examples, and a pretraining of its own.
"""

import csv
import statistics
import tempfile
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from lab.version import git_commit

from .. import common

LABELLED = 200
MODEL = ["model.layers=2", "model.width=128", "model.heads=4", "model.dropout=0.1"]
PRETRAIN = ["+agent=mlm", "data=python_docs", "data.tokenizer=words", "data.lowercase=true", "data.block=64",
            "data.test=0", *MODEL]
TUNE = ["+agent=text_classifier", "data=text_labels", "data.valid=0.1", "data.longest=64", "model.dropout=0.1",
        "budget.epochs=30", "optimizer=adamw", "optimizer.lr=1e-3", "optimizer.warmup=20", "evaluate.every=1_000_000"]


def files(folder: Path, seed: int) -> tuple[Path, Path]:
    """200 examples, every class as nearly as often as among all, and the others."""
    from lab.compose import composed
    from lab.data.splits import split_rows
    from lab_text.labelled import docstrings

    texts = docstrings(composed(["+agent=text_classifier"]).data)
    split = texts.splits["train"]
    y = split.y.numpy()                       # type: ignore[union-attr]
    rows = split_rows(len(y), {"learned": LABELLED / len(y)}, seed, y)
    paths = folder / "learned.csv", folder / "others.csv"
    for path, name in zip(paths, ("learned", "train"), strict=True):
        with path.open("w", newline="") as out:
            writer = csv.writer(out)
            writer.writerow(("text", "label"))
            writer.writerows((split.x[i], texts.classes[y[i]]) for i in np.asarray(rows[name]))
    return paths


def trial(epochs: int, seed: int) -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        learned, others = files(folder, seed)
        first, took = kept([*PRETRAIN, f"budget.epochs={epochs}", f"seed={seed}"], folder / "first")
        given = [*TUNE, f"data.path={learned}", f"data.test_path={others}", f"seed={seed}"]
        found = {"pretrained": kept([*given, f"model.init={first}"], folder / "then")[1],
                 "scratch": kept([*given, *MODEL, f"data.tokenizer={first}"], folder / "alone")[1]}
    return {"seed": seed, **{side: round(run["eval/test/accuracy"], 4) for side, run in found.items()},
            "masked_accuracy": round(took["eval/accuracy"], 4), "code": git_commit()}


def kept(words: list[str], folder: Path) -> tuple[Path, dict[str, float]]:
    """A run in a folder that stays, and its final metrics."""
    import json
    import os
    import subprocess
    import sys

    done = subprocess.run([sys.executable, "-m", "lab", *words, "compute.threads=1", f"hydra.run.dir={folder}"],
                          capture_output=True, text=True, check=False, env={**os.environ, "OMP_NUM_THREADS": "1"})
    if done.returncode:
        raise RuntimeError(done.stderr[-3000:])
    return folder, json.loads((folder / "run.json").read_text())["final"]


def main() -> None:
    parser = common.options(__doc__)
    parser.add_argument("--seeds", type=common.seeds, default=[0, 1, 2, 3, 4], help="such as 0:5 (the default)")
    parser.add_argument("--epochs", type=int, default=40, help="of pretraining")
    parser.add_argument("--processes", type=int, default=1, help="runs at a time")
    parser.add_argument("--again", action="store_true", help="also the seeds that are measured already")
    args = parser.parse_args()
    file = common.RESULTS / "language" / f"pretraining{'-quick' if args.quick else ''}.csv"
    common.by_seed(file, partial(trial, 1 if args.quick else args.epochs), args,
                   {"pretrain": " ".join(PRETRAIN), "tune": " ".join(TUNE), "epochs": args.epochs})
    rows = common.read(file)
    sides = {side: [float(row[side]) for row in rows] for side in ("pretrained", "scratch")}
    gains = [a - b for a, b in zip(*sides.values(), strict=True)]
    common.print_table([{"side": name, "accuracy": f"{statistics.fmean(values):.4f} [{low:.4f}, {high:.4f}]",
                         "seeds": len(values)} for name, values in {**sides, "gain": gains}.items()
                        for low, high in [common.interval(statistics.fmean, values)]])


if __name__ == "__main__":
    main()
