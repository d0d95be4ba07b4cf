"""Accuracy on the test split, after `python -m lab ...` as it comes or by a named experiment.

    python -m benchmarks.supervised.accuracy [--quick] [--rows conv mlp ...] [--seeds 0:3] [--processes 1] [--threads 2]

Each run is the command itself in a process of its own; its figures are those in its run folder. On Fashion-MNIST 54,000
of the 60,000 training images are learned from, the same for all seeds; the 10,000 test images are looked at once, after
the last epoch. No choice among checkpoints, no augmentation at test. The targets on Fashion-MNIST are those of table 3
of Xiao et al. 2017, arXiv:1708.07747, and of the benchmark in its repository.
"""

import statistics
from functools import partial
from pathlib import Path
from typing import Any

from lab.version import git_commit

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
CLASSICAL = ("sklearn_logistic_regression", "random_forest", "svm")


def trial(name: str, threads: int, quick: bool, seed: int) -> dict[str, Any]:
    """One command, from the start of Python to its end."""
    short = ["budget.epochs=1"] if quick and name not in CLASSICAL else []
    run, took = common.lab([*ROWS[name][0].split(), f"seed={seed}", *short], threads)
    return {"seed": seed, "accuracy": round(run.final["eval/test/accuracy"], 4),
            "training_s": round(run.seconds or 0, 1), "command_s": round(took, 1), "threads": threads,
            "parameters": run.parameters, "code": git_commit()}


def run(name: str, args: Any) -> None:
    """The seeds that the row's file does not hold yet."""
    common.by_seed(file_of(name, args.quick), partial(trial, name, args.threads, args.quick), args,
                   {"run": f"python -m lab {ROWS[name][0]}"})


def file_of(name: str, quick: bool) -> Path:
    return common.RESULTS / "supervised" / f"accuracy{'-quick' if quick else ''}" / f"{name}.csv"


def summary(name: str, quick: bool) -> dict[str, Any]:
    """The mean over the seeds with its interval, the least, and the slowest command."""
    (_, target, most), rows = ROWS[name], common.read(file_of(name, quick))
    accuracies, seconds = ([float(each[key]) for each in rows] for key in ("accuracy", "command_s"))
    low, high = common.interval(statistics.fmean, accuracies)
    return {"row": name, "seeds": len(rows), "mean": f"{statistics.fmean(accuracies):.4f} [{low:.4f}, {high:.4f}]",
            "least": f"{min(accuracies):.4f}", "target": target, "slowest_command_s": round(max(seconds), 1),
            "at_most_s": most or "", "threads": rows[0]["threads"], "parameters": rows[0]["parameters"],
            "met": statistics.fmean(accuracies) >= target and max(seconds) <= (most or max(seconds))}


def main() -> None:
    parser = common.of_rows(__doc__, list(ROWS), threads=2)
    args = parser.parse_args()
    for name in args.rows:
        run(name, args)
    common.print_table([summary(name, args.quick) for name in ROWS if file_of(name, args.quick).exists()])


if __name__ == "__main__":
    main()
