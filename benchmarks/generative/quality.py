"""How good what is made is, after `python -m lab ...` as it comes or by a named experiment.

    python -m benchmarks.generative.quality [--quick] [--rows grid_gan ...] [--seeds 0:3] [--processes 1] [--threads 1]

Each run is the command itself in a process of its own; its figures are those of the test split in its run folder, after
the last update or, where the experiment says so, of the best checkpoint by the validation split. All of them go into
results/generative/quality/<row>.csv; the table shows those of `SHOWN`.

ring_*, grid_*     8 and 25 heaps of points in the plane, 2,500 rows made (Metz et al. 2017, Srivastava et al. 2017):
                   classes of 8 or 25 that are found, divergence of their shares, share of rows near one
digits_*           scikit-learn's digits, each command as it comes
fashion_*          fully connected networks on Fashion-MNIST, by the lab's own features: Frechet distance and classes
fashion_vae        the bound on the likelihood with 5,000 samples, in nats: 228.70 of Exemplar VAE, arXiv:2004.04795
"""

import statistics
from functools import partial
from pathlib import Path
from typing import Any

from lab.version import git_commit

from .. import common

LOSSES = ("gan", "lsgan", "hinge_gan", "wgan", "wgan_gp", "r1_gan")
ROWS = {                          # name: the command's arguments
    **{f"{heaps}_{loss}": f"+agent={loss} data={heaps}" for heaps in ("ring", "grid") for loss in LOSSES},
    "ring_ddpm": "+agent=ddpm data=ring model=denoiser_mlp", "grid_ddpm": "+agent=ddpm data=grid model=denoiser_mlp",
    **{f"digits_{agent}": f"+agent={agent}" for agent in ("vae", "conditional_vae", "gan", "conditional_gan", "ddpm")},
    **{f"fashion_{name}": f"+experiment=fashion_{name}" for name in ("gan", "wgan_gp", "conditional_gan", "vae")},
}
PREFIX = "eval/test/"
SHOWN = {"iwae/nats": "nats", "made/frechet": "frechet", "made/frechet_real": "real", "made/precision": "precision",
         "made/recall": "recall", "made/classes": "classes", "made/class_kl": "class_kl", "made/good": "good",
         "made/agreement": "agreement", "made/accuracy": "accuracy"}


def trial(name: str, threads: int, quick: bool, seed: int) -> dict[str, Any]:
    """One command, from the start of Python to its end."""
    short = ["budget.updates=20", "budget.epochs=null"] if quick else []
    run, took = common.lab([*ROWS[name].split(), f"seed={seed}", *short], threads)
    found = {key.removeprefix(PREFIX): round(value, 4) for key, value in run.final.items() if key.startswith(PREFIX)}
    return {"seed": seed, **found, "training_s": round(run.seconds or 0, 1), "command_s": round(took, 1),
            "threads": threads, "parameters": run.parameters, "code": git_commit()}


def run(name: str, args: Any) -> None:
    """The seeds that the row's file does not hold yet."""
    common.by_seed(file_of(name, args.quick), partial(trial, name, args.threads, args.quick), args,
                   {"run": f"python -m lab {ROWS[name]}"})


def file_of(name: str, quick: bool) -> Path:
    return common.RESULTS / "generative" / f"quality{'-quick' if quick else ''}" / f"{name}.csv"


def summary(name: str, quick: bool) -> dict[str, Any]:
    """Of each figure the mean over the seeds, the least and the most."""
    rows = common.read(file_of(name, quick))
    found = {short: [float(each[key]) for each in rows] if key in rows[0] else [] for key, short in SHOWN.items()}
    return {"row": name, "seeds": len(rows), **{short: span(values) for short, values in found.items()},
            "slowest_s": max(float(each["command_s"]) for each in rows), "threads": rows[0]["threads"]}


def span(values: list[float]) -> str:
    return f"{statistics.fmean(values):.4g} [{min(values):.4g}, {max(values):.4g}]" if values else ""


def main() -> None:
    parser = common.of_rows(__doc__, list(ROWS))
    args = parser.parse_args()
    for name in args.rows:
        run(name, args)
    common.print_table([summary(name, args.quick) for name in ROWS if file_of(name, args.quick).exists()])


if __name__ == "__main__":
    main()
