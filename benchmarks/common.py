"""What the benchmarks share: one thread, trials in turn, medians with intervals, a table and a CSV."""

import argparse
import csv
import json
import multiprocessing
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from datetime import datetime
from importlib import metadata
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from lab.recorded import Run, opened
from lab.version import git_commit
from lab.worker import follow

RESULTS = Path(__file__).parent / "results"
PACKAGES = ("torch", "numpy", "gymnasium", "hydra-core", "stable-baselines3")
CLOCKS = "medians, in brackets their 95 % bootstrap interval; wall: seconds passed, which count on an otherwise idle " \
         "machine; cpu: processor time of the process, which leaves out its waiting for others"
Row = Mapping[str, Any]
Result = TypeVar("Result")


def options(doc: str | None, trials: int = 5) -> argparse.ArgumentParser:
    """A parser with --quick and --trials; the help is the module's docstring."""
    parser = argparse.ArgumentParser(description=doc, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="a short version, to see that it works")
    parser.add_argument("--trials", type=int, default=trials, help=f"of each side (default {trials})")
    return parser


def of_rows(doc: str | None, rows: Sequence[str], threads: int = 1) -> argparse.ArgumentParser:
    """And with what `by_seed` takes, where a benchmark has rows of several seeds."""
    parser = options(doc)
    parser.add_argument("--rows", nargs="+", choices=rows, default=list(rows))
    parser.add_argument("--seeds", type=seeds, default=[0, 1, 2], help="such as 0:3 (the default) or 3,5")
    parser.add_argument("--processes", type=int, default=1, help="runs at a time")
    parser.add_argument("--threads", type=int, default=threads, help="of each run")
    parser.add_argument("--again", action="store_true", help="also the seeds that are measured already")
    return parser


def seeds(text: str) -> list[int]:
    """For argparse: "0:10" is 0 to 9, "3" is 3, "1,4" are 1 and 4."""
    first, colon, end = text.partition(":")
    return list(range(int(first), int(end))) if colon else [int(each) for each in text.split(",")]


def interleaved(sides: Mapping[str, Callable[[], Result]], trials: int) -> dict[str, list[Result]]:
    """A B A B ...: a machine that slows down meanwhile slows all sides alike. Each side is tried `trials` times."""
    found: dict[str, list[Result]] = {name: [] for name in sides}
    for trial in range(trials):
        for name, side in sides.items():
            print(f"  trial {trial + 1} of {trials}: {name}", file=sys.stderr, flush=True)
            found[name].append(side())
    return found


def interval(statistic: Callable[..., Any], *samples: Sequence[float], resamples: int = 5_000) -> tuple[float, float]:
    """95 % percentile bootstrap of statistic(*samples); every sample is resampled by itself. Low and high."""
    rng, arrays = np.random.default_rng(0), [np.asarray(sample, np.float64) for sample in samples]
    drawn = [statistic(*(rng.choice(each, len(each)) for each in arrays)) for _ in range(resamples)]
    low, high = np.quantile(drawn, [0.025, 0.975])
    return float(low), float(high)


def iqm(values: Sequence[float]) -> float:
    """Interquartile mean: of the middle half, fractional at its ends (Agarwal et al. 2021)."""
    ordered = np.sort(np.asarray(values, np.float64))
    n, quarter = len(ordered), len(ordered) / 4
    rank = np.arange(n)                                                                     # [n]
    weight = np.clip(np.minimum(rank + 1, n - quarter) - np.maximum(rank, quarter), 0, 1)   # [n] share in the half
    return float((weight * ordered).sum() / weight.sum())


def stats(values: Sequence[float], digits: int = 2) -> str:
    """The median and its interval, as text."""
    low, high = interval(np.median, values)
    return f"{statistics.median(values):.{digits}f} [{low:.{digits}f}, {high:.{digits}f}]"


def pool(processes: int) -> ProcessPoolExecutor:
    """Processes that begin with nothing of this one, and end with it even where it is killed."""
    return ProcessPoolExecutor(processes, mp_context=multiprocessing.get_context("spawn"), initializer=watch)


def watch() -> None:
    threading.Thread(target=follow, args=(multiprocessing.parent_process(),), daemon=True).start()


def one_thread() -> None:
    """Of torch, in this process; `benchmarks` itself set OMP_NUM_THREADS before torch came in."""
    import torch

    torch.set_num_threads(1)


def timed(work: Callable[[], Any]) -> dict[str, float]:
    """Seconds by the clock on the wall, and of processor time of this process alone."""
    cpu, wall = time.process_time(), time.perf_counter()
    work()
    return {"wall_s": time.perf_counter() - wall, "cpu_s": time.process_time() - cpu}


def in_process(module: str, *arguments: str) -> dict[str, Any]:
    """The JSON object that `python -m module arguments` prints last. Raises RuntimeError where it fails."""
    done = subprocess.run([sys.executable, "-m", module, *arguments], capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"python -m {module} {' '.join(arguments)} failed:\n{done.stderr[-3000:]}")
    return dict(json.loads(done.stdout.splitlines()[-1]))


def lab(words: Sequence[str], threads: int) -> tuple[Run, float]:
    """What `python -m lab WORDS` leaves, and its seconds from the start of Python to its end. Raises RuntimeError."""
    with tempfile.TemporaryDirectory() as folder:
        own = [*words, f"compute.threads={threads}", f"hydra.run.dir={folder}/run"]
        start = time.perf_counter()
        done = subprocess.run([sys.executable, "-m", "lab", *own], capture_output=True, text=True, check=False,
                              env={**os.environ, "OMP_NUM_THREADS": str(threads)})
        took = time.perf_counter() - start
        if done.returncode:
            raise RuntimeError(f"python -m lab {' '.join(own)} failed:\n{done.stderr[-3000:]}")
        return opened(Path(folder) / "run"), took


def by_seed(file: Path, trial: Callable[[int], dict[str, Any]], args: Any, notes: Mapping[str, Any]) -> None:
    """`trial` of those of `args.seeds` that `file` does not hold yet; with `args.again` of all. Written after each."""
    rows: dict[int, Any] = {int(each["seed"]): each for each in read(file)}
    with pool(args.processes) as workers:
        for found in workers.map(trial, [seed for seed in args.seeds if args.again or seed not in rows]):
            print(f"  {file.stem} {found}", file=sys.stderr, flush=True)
            rows[found["seed"]] = found
            write(file, [rows[seed] for seed in sorted(rows)], {**notes, "processes": args.processes})


def cpu_name() -> str:
    lines = Path("/proc/cpuinfo").read_text().splitlines() if Path("/proc/cpuinfo").exists() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()


def circumstances() -> dict[str, Any]:
    """Where, when and of which code the numbers are."""
    versions = {name: metadata.version(name) for name in PACKAGES if any(metadata.distributions(name=name))}
    load = os.getloadavg()[0] if hasattr(os, "getloadavg") else float("nan")
    return {"date": datetime.now().astimezone().isoformat(timespec="seconds"), "commit": git_commit(),
            "machine": f"{cpu_name()}, {os.cpu_count()} cores, {platform.system()} {platform.release()}",
            "load": f"{load:.1f} runnable processes over the last minute",
            "versions": ", ".join([f"python {platform.python_version()}", *(f"{n} {v}" for n, v in versions.items())]),
            "command": " ".join(["python", "-m", module_name(), *map(without_folder, sys.argv[1:])])}


def without_folder(word: str) -> str:
    """A path that begins at the root is of this machine alone: its name is what matters."""
    return Path(word).name if word.startswith("/") else word


def module_name() -> str:
    spec = sys.modules["__main__"].__spec__
    return spec.name if spec else sys.argv[0]


def report(rows: Sequence[Row], notes: Mapping[str, Any], quick: bool = False, part: str = "") -> None:
    """Prints `rows` as a table with `notes` below it and writes both to results/<area>/<name>.csv.

    In the CSV the notes and the circumstances are lines at the top that begin with "#". A quick run has its own file,
    and so has a `part` of the benchmark.
    """
    _, area, name = module_name().split(".")
    path = RESULTS / area / f"{name}{f'-{part}' if part else ''}{'-quick' if quick else ''}.csv"
    write(path, rows, notes)
    print_table(rows)
    for key, value in notes.items():
        print(f"{key}: {value}")
    print(f"written to {path}")


def write(path: Path, rows: Sequence[Row], notes: Mapping[str, Any]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="") as out:
        out.writelines(f"# {key}: {value}\n" for key, value in {**circumstances(), **notes}.items())
        writer = csv.DictWriter(out, rows[0].keys())
        writer.writeheader()
        writer.writerows(rows)


def read(path: Path) -> list[dict[str, str]]:
    """The rows that `write` left; none where there is no file."""
    lines = path.read_text().splitlines() if path.exists() else []
    return list(csv.DictReader(line for line in lines if not line.startswith("#")))


def print_table(rows: Sequence[Row]) -> None:
    cells = [list(rows[0]), *([f"{v:,.4g}" if isinstance(v, float) else str(v) for v in row.values()] for row in rows)]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    for line in cells:
        print("  ".join(cell.rjust(width) for cell, width in zip(line, widths, strict=True)))
