"""What a masked language model gives a classifier that has 200 labelled examples.

    python -m benchmarks.language.pretraining [--quick] [--seeds 0:5] [--processes 1]

The texts are paragraphs of the documentation in 16 of Python's modules, of which module is the class (data=docstrings):
200 of them are learned from, 1,000 others are the test split. pretrained: the network begins as that of a run of
+agent=mlm on one text, the paragraphs of all modules of the standard library, without their classes and without those
of the test split. scratch: the same network, tokens and settings without it. Each seed has 200 other examples, another
test split, and a pretraining of its own.
"""

import csv
import json
import os
import statistics
import subprocess
import sys
import tempfile
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from lab.version import git_commit

from .. import common

LABELLED, TEST = 200, 1_000
MODEL = ["model.layers=2", "model.width=128", "model.heads=4", "model.dropout=0.1"]
PRETRAIN = ["+agent=mlm", "data=text", "data.tokenizer=words", "data.lowercase=true", "data.block=64", *MODEL]
TUNE = ["+agent=text_classifier", "data=text_labels", "data.valid=0.1", "data.longest=64", "model.dropout=0.1",
        "budget.epochs=30", "optimizer=adamw", "optimizer.lr=1e-3", "optimizer.warmup=20", "evaluate.every=1_000_000"]


def files(folder: Path, seed: int) -> tuple[Path, Path, Path]:
    """Examples to learn from and to be judged by, every class as nearly as often as among all, and the text."""
    from lab.compose import composed
    from lab.data.splits import split_rows
    from lab_text.labelled import docstrings, paragraphs

    texts = docstrings(composed(["+agent=text_classifier"]).data)
    split = texts.splits["train"]
    y = split.y.numpy()                       # type: ignore[union-attr]
    rows = split_rows(len(y), {"learned": LABELLED / len(y), "test": TEST / len(y)}, seed, y)
    paths = folder / "learned.csv", folder / "test.csv", folder / "text.txt"
    for path, name in zip(paths, ("learned", "test"), strict=False):
        with path.open("w", newline="") as out:
            writer = csv.writer(out)
            writer.writerow(("text", "label"))
            writer.writerows((split.x[i], texts.classes[y[i]]) for i in np.asarray(rows[name]))
    whole = {text for name in sorted(sys.stdlib_module_names) for text in paragraphs(name)}
    left_out = {split.x[i] for i in np.asarray(rows["test"])}
    paths[2].write_text("\n\n".join(sorted(whole - left_out)))
    return paths


def trial(epochs: int, seed: int) -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        learned, test, text = files(folder, seed)
        first, took = kept([*PRETRAIN, f"data.path={text}", f"budget.epochs={epochs}", f"seed={seed}"],
                           folder / "first")
        given = [*TUNE, f"data.path={learned}", f"data.test_path={test}", f"seed={seed}"]
        found = {"pretrained": kept([*given, f"model.init={first}"], folder / "then")[1],
                 "scratch": kept([*given, *MODEL, f"data.tokenizer={first}"], folder / "alone")[1]}
    return {"seed": seed, **{side: round(run["eval/test/accuracy"], 4) for side, run in found.items()},
            "masked_accuracy": round(took["eval/accuracy"], 4), "code": git_commit()}


def kept(words: list[str], folder: Path) -> tuple[Path, dict[str, float]]:
    """A run in a folder that stays, and its final metrics."""
    done = subprocess.run([sys.executable, "-m", "lab", *words, "compute.threads=1", f"hydra.run.dir={folder}"],
                          capture_output=True, text=True, check=False, env={**os.environ, "OMP_NUM_THREADS": "1"})
    if done.returncode:
        raise RuntimeError(done.stderr[-3000:])
    return folder, json.loads((folder / "run.json").read_text())["final"]


def main() -> None:
    parser = common.options(__doc__)
    parser.add_argument("--seeds", type=common.seeds, default=[0, 1, 2, 3, 4], help="such as 0:5 (the default)")
    parser.add_argument("--epochs", type=int, default=20, help="of pretraining")
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
