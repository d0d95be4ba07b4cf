"""What recurrent networks remember: which symbol stood first, 200 steps ago? Accuracy while they learn.

    python -m benchmarks.supervised.memory [--quick] [--sides lstm gru ...] [--seeds 0:3] [--processes 1]

`python -m lab +agent=classifier data=first_symbol model=MODEL` as it comes: eight symbols, so that who guesses is right
one time in eight. The rnn is Elman's, with tanh; it is tried at three learning rates. The table is of the test split,
the curves of the validation split are drawn in docs/pictures/memory.png, for which it needs the `bench` extra.
"""

import sys
from collections.abc import Mapping, Sequence
from itertools import product
from pathlib import Path
from typing import Any

import matplotlib

from lab.assembly import assemble, budget_of
from lab.budget import Periods
from lab.compose import composed
from lab.runner import Runner

from .. import common
from ..core.records import NEVER, Memory

PICTURE = Path(__file__).parents[2] / "docs" / "pictures" / "memory.png"
GUESSED = 1 / 8
SIDES = {"lstm": ("model=lstm",), "gru": ("model=gru",), "rnn": ("model=rnn",),
         "rnn, lr 3e-4": ("model=rnn", "optimizer.lr=3e-4"), "rnn, lr 1e-4": ("model=rnn", "optimizer.lr=1e-4")}


class Curve(Memory):
    """Keeps what the evaluations found."""

    def __init__(self) -> None:
        super().__init__()
        self.points = list[tuple[int, float]]()               # (examples, validation accuracy)
        self.test = 0.0                                       # accuracy

    def log(self, count: int, updates: int, seconds: float, metrics: Mapping[str, float]) -> None:
        if "eval/accuracy" in metrics:
            self.points.append((count, metrics["eval/accuracy"]))
        self.test = metrics.get("eval/test/accuracy", self.test)


def trial(side: str, seed: int, quick: bool) -> dict[str, Any]:
    """One run, with the evaluations that it makes by itself."""
    common.one_thread()
    short = ["budget.epochs=2"] if quick else []
    own = [*SIDES[side], f"seed={seed}", "compute.threads=1", *short]
    cfg = composed(["+agent=classifier", "data=first_symbol", *own])
    made, curve = assemble(cfg), Curve()
    runner = Runner(made.experiment, made.compute, curve, Periods(NEVER, cfg.evaluate.every or NEVER, NEVER))
    took = common.timed(lambda: runner.run(budget_of(cfg, made.experiment)))
    found = {"side": side, "seed": seed, "test accuracy": round(curve.test, 4), "cpu_s": round(took["cpu_s"], 1),
             "examples": " ".join(str(count) for count, _ in curve.points),
             "accuracy": " ".join(f"{value:.4f}" for _, value in curve.points)}
    print(f"  {found}", file=sys.stderr, flush=True)
    return found


def draw(rows: Sequence[common.Row], path: Path) -> None:
    """A line for each run, those of one side in one colour."""
    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(figsize=(7, 4), layout="constrained")
    for number, side in enumerate(dict.fromkeys(row["side"] for row in rows)):
        for again, row in enumerate(each for each in rows if each["side"] == side):
            x, y = ([float(value) for value in row[name].split()] for name in ("examples", "accuracy"))
            axes.plot(x, y, color=f"C{number}", linewidth=1, label=None if again else side)
    axes.axhline(GUESSED, color="grey", linewidth=0.8, linestyle=":", label="guessing")
    axes.set(title="Which symbol stood first, 200 steps ago?", xlabel="training examples", ylabel="validation accuracy")
    axes.legend(fontsize="small")
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=110)
    print(path)


def main() -> None:
    parser = common.options(__doc__)
    parser.add_argument("--sides", nargs="+", choices=SIDES, default=list(SIDES))
    parser.add_argument("--seeds", type=common.seeds, default=[0, 1, 2], help="such as 0:3 (the default) or 3,5")
    parser.add_argument("--processes", type=int, default=1, help="runs at a time")
    args = parser.parse_args()
    pairs = list(product(args.sides, args.seeds))
    with common.pool(args.processes) as pool:
        rows = list(pool.map(trial, *zip(*pairs, strict=True), [args.quick] * len(pairs)))
    common.report(rows, {"guessing": GUESSED, "processes": args.processes}, args.quick)
    draw(rows, common.RESULTS / "supervised" / "memory-quick.png" if args.quick else PICTURE)


if __name__ == "__main__":
    main()
