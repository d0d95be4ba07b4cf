"""Rows of symbols that were never seen, and words as they are spoken: what is said without a mistake.

    python -m benchmarks.language.rows [--quick] [--rows copy reverse sort cmudict] [--seeds 0:3] [--threads 1]

copy, reverse, sort   `python -m lab +agent=seq2seq data=copy` and so on as they come: 1,000 rows or more that are held
                      back, of up to 12 of 10 symbols
cmudict               letters to phonemes, +experiment=cmudict: the share of words of which no phoneme is wrong by any
                      of their pronunciations, and phonemes to be changed
"""

import statistics
from functools import partial
from pathlib import Path
from typing import Any

from lab.version import git_commit

from .. import common

ROWS = {**{task: f"+agent=seq2seq data={task}" for task in ("copy", "reverse", "sort")},
        "cmudict": "+experiment=cmudict"}


def trial(name: str, threads: int, quick: bool, seed: int) -> dict[str, Any]:
    """One command, from the start of Python to its end."""
    short = ["budget.updates=20", "budget.epochs=null"] if quick else []
    run, took = common.lab([*ROWS[name].split(), f"seed={seed}", *short], threads)
    found = {key: round(run.final[f"eval/test/said/{key}"], 5) for key in ("exact", "error_rate")}
    return {"seed": seed, **found, "training_s": round(run.seconds or 0, 1), "command_s": round(took, 1),
            "threads": threads, "parameters": run.parameters, "code": git_commit()}


def file_of(name: str, quick: bool) -> Path:
    return common.RESULTS / "language" / f"rows{'-quick' if quick else ''}" / f"{name}.csv"


def summary(name: str, quick: bool) -> dict[str, Any]:
    rows = common.read(file_of(name, quick))
    exact, errors = ([float(each[key]) for each in rows] for key in ("exact", "error_rate"))
    return {"row": name, "seeds": len(rows), "exact": statistics.fmean(exact), "least": min(exact),
            "error_rate": statistics.fmean(errors), "slowest_s": max(float(each["command_s"]) for each in rows)}


def main() -> None:
    parser = common.of_rows(__doc__, list(ROWS))
    args = parser.parse_args()
    for name in args.rows:
        common.by_seed(file_of(name, args.quick), partial(trial, name, args.threads, args.quick), args,
                       {"run": f"python -m lab {ROWS[name]}"})
    common.print_table([summary(name, args.quick) for name in ROWS if file_of(name, args.quick).exists()])


if __name__ == "__main__":
    main()
