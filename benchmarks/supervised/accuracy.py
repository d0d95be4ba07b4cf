"""Accuracy on the test split, after `python -m lab ...` as it comes or by a named experiment.

    python -m benchmarks.supervised.accuracy [--quick] [--rows conv mlp ...] [--seeds 0:3] [--processes 1] [--threads 2]

Each run is the command itself in a process of its own; its figures are those in its run folder. On Fashion-MNIST 54,000
of the 60,000 training images are learned from, the seed chooses which; the 10,000 test images are looked at once, after
the last epoch. No choice among checkpoints, no augmentation at test. The targets on Fashion-MNIST are those of table 3
of Xiao et al. 2017, arXiv:1708.07747, and of the benchmark in its repository.
"""

import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from lab.recorded import opened

from .. import common

FASHION, DIGITS = "data=fashion_mnist", "+agent=classifier data=digits"
ROWS = {                          # name: the command's arguments, target accuracy, and seconds of the command at most
    "logistic_regression": ("+experiment=fashion_linear", 0.842, None),
    "sklearn_logistic_regression": (f"+agent=logistic_regression {FASHION}", 0.842, None),
    "random_forest": (f"+agent=random_forest {FASHION}", 0.873, None),
    "svm": (f"+agent=svm {FASHION}", 0.897, None),
    "mlp": ("+experiment=fashion_mlp", 0.883, None),
    "conv": ("+experiment=fashion_conv", 0.925, None),
    "resnet": ("+experiment=fashion_resnet", 0.942, 20 * 60),
    "resnet_long": ("+experiment=fashion_resnet_long", 0.945, 40 * 60),
    "digits_cnn": (f"{DIGITS} model=cnn", 0.985, 30),
    "digits_lstm": (f"{DIGITS} model=lstm", 0.97, None),
    "digits_gru": (f"{DIGITS} model=gru", 0.97, None),
    "digits_lstm_both": (f"{DIGITS} model=lstm model.bidirectional=true", 0.97, None),
    "digits_gru_both": (f"{DIGITS} model=gru model.bidirectional=true", 0.97, None),
}


def trial(name: str, seed: int, threads: int, quick: bool) -> dict[str, Any]:
    """One command: accuracy, seconds of training, seconds of all, parameters."""
    short = ["budget.epochs=1"] if quick and "sklearn" not in name and name not in ("random_forest", "svm") else []
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "lab", *ROWS[name][0].split(), f"seed={seed}", f"compute.threads={threads}",
                   f"run.path={folder}/run", *short]
        start = time.perf_counter()
        done = subprocess.run(command, capture_output=True, text=True, check=False, env={
            **os.environ, "OMP_NUM_THREADS": str(threads)})
        took = time.perf_counter() - start
        if done.returncode:
            raise RuntimeError(f"{' '.join(command)} failed:\n{done.stderr[-3000:]}")
        run = opened(Path(folder) / "run")
    found = {"row": name, "seed": seed, "accuracy": run.final["eval/test/accuracy"], "training_s": run.seconds,
             "command_s": took, "parameters": run.parameters}
    print(f"  {found}", file=sys.stderr, flush=True)
    return found


def row(name: str, found: list[dict[str, Any]]) -> dict[str, Any]:
    """The accuracies of all seeds, their mean and its interval, and the slowest command."""
    accuracies, (arguments, target, most) = [each["accuracy"] for each in found], ROWS[name]
    low, high = common.interval(statistics.fmean, accuracies)
    slowest = max(each["command_s"] for each in found)
    return {"row": name, "mean": f"{statistics.fmean(accuracies):.4f} [{low:.4f}, {high:.4f}]",
            "least": f"{min(accuracies):.4f}", "target": f"{target}{'' if most is None else f' in {most} s'}",
            "met": min(accuracies) >= target and slowest <= (most or slowest),
            "training_s": round(statistics.median(each["training_s"] for each in found), 1),
            "slowest_command_s": round(slowest, 1), "parameters": found[0]["parameters"],
            "accuracies": " ".join(f"{each:.4f}" for each in accuracies),
            "seeds": " ".join(str(each["seed"]) for each in found), "command": f"python -m lab {arguments}"}


def main() -> None:
    parser = common.options(__doc__)
    parser.add_argument("--rows", nargs="+", choices=ROWS, default=list(ROWS))
    parser.add_argument("--seeds", type=common.seeds, default=[0, 1, 2], help="such as 0:3 (the default) or 3,5")
    parser.add_argument("--processes", type=int, default=1, help="runs at a time")
    parser.add_argument("--threads", type=int, default=2, help="of each run")
    args = parser.parse_args()
    pairs = [(name, seed) for name in args.rows for seed in args.seeds]
    with common.pool(args.processes) as pool:
        found = list(pool.map(trial, *zip(*pairs, strict=True), [args.threads] * len(pairs), [args.quick] * len(pairs)))
    rows = [row(name, [each for each in found if each["row"] == name]) for name in args.rows]
    common.report(rows, {"processes": args.processes, "threads": args.threads}, args.quick)


if __name__ == "__main__":
    main()
