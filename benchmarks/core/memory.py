"""Does a long run grow? Resident memory of a real `python -m lab` over 1,000,000 updates of a small agent.

    python -m benchmarks.core.memory [--quick] [OVERRIDES, by default +agent=q_learning env=FrozenLake ...]

The run is a process of its own, with its run folder, metrics.jsonl, TensorBoard file, evaluations and checkpoints, in a
temporary folder; from outside, /proc/PID/statm is read ten times a second, beside the updates in metrics.jsonl. The
first tenth of the updates is warm-up. Growth is the difference between the medians of the first and the last twentieth
of what remains; the slope is a least-squares line through all of it.
"""

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from lab.folder import records

from .. import common

UPDATES, QUICK, TARGET = 1_000_000, 100_000, 5.0
SMALL = ("+agent=q_learning", "env=FrozenLake")
PERIODS = ("log.every", 1000), ("evaluate.every", 50), ("checkpoint.every", 50)        # how often in a run
WARMUP, ENDS = 0.1, 0.05          # shares of the updates: not counted; compared with each other
Sample = tuple[int, float]        # (updates so far, resident MB)


def resident(pid: int) -> float:
    """MB in memory."""
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


def watched(overrides: Sequence[str], folder: Path) -> list[Sample]:
    """Samples of one run until its last log line. Raises RuntimeError where the run failed."""
    command = [sys.executable, "-m", "lab", *overrides, f"hydra.run.dir={folder}"]
    with (folder.parent / "said.txt").open("w") as said, subprocess.Popen(command, stdout=said, stderr=said) as run:
        samples: list[Sample] = []
        while run.poll() is None:
            samples += [(updates, resident(run.pid)) for updates in last_updates(folder)]
            time.sleep(0.1)
    if run.returncode:
        raise RuntimeError((folder.parent / "said.txt").read_text()[-3000:])
    return [sample for sample in samples if sample[0] < records(folder)[-1]["updates"]]


def last_updates(folder: Path) -> list[int]:
    """Of the last whole line of metrics.jsonl; empty before the first."""
    try:
        with (folder / "metrics.jsonl").open("rb") as file:
            file.seek(max(file.seek(0, 2) - 4096, 0))
            whole = [line for line in file.read().split(b"\n")[:-1] if b'"updates": ' in line]
    except FileNotFoundError:
        return []
    return [int(line.split(b'"updates": ')[1].split(b",")[0]) for line in whole[-1:]]


def counts_per_update(overrides: Sequence[str], folder: Path) -> float:
    """Found by a short run: periods are in counts, the budget here is in updates."""
    subprocess.run([sys.executable, "-m", "lab", *overrides, "budget.updates=100", f"hydra.run.dir={folder}"],
                   capture_output=True, check=True)
    last = records(folder)[-1]
    return float(last["count"]) / float(last["updates"])


def growth(samples: Sequence[Sample], updates: int) -> dict[str, Any]:
    done, memory = np.array(samples, np.float64).T
    kept = done >= WARMUP * updates
    done, memory = done[kept], memory[kept]
    first, last = done <= done[0] + ENDS * updates, done >= done[-1] - ENDS * updates
    before, after = float(np.median(memory[first])), float(np.median(memory[last]))
    slope = float(np.polyfit(done / 1e6, memory, 1)[0])
    return {"after_warmup_MB": round(before, 2), "at_end_MB": round(after, 2), "growth_MB": round(after - before, 2),
            "slope_MB_per_million": round(slope, 2), "peak_MB": round(float(memory.max()), 2), "samples": len(memory)}


def main() -> None:
    parser = common.options(__doc__, trials=1)
    parser.add_argument("overrides", nargs="*", default=list(SMALL), help="of the run, as for python -m lab")
    args = parser.parse_args()
    updates, rows = QUICK if args.quick else UPDATES, list[dict[str, Any]]()
    for _ in range(args.trials):
        with tempfile.TemporaryDirectory() as scratch:
            per_update = counts_per_update(args.overrides, Path(scratch, "short"))
            every = [f"{key}={max(int(per_update * updates / times), 1)}" for key, times in PERIODS]
            samples = watched([*args.overrides, f"budget.updates={updates}", *every], Path(scratch, "run"))
        rows.append({"run": " ".join(args.overrides), "updates": updates, **growth(samples, updates)})
    often = ", ".join(f"{times} x {key.partition('.')[0]}" for key, times in PERIODS)
    notes = {"seeds": 0, "target": f"growth_MB < {TARGET} over {UPDATES:,} updates", "each run": often}
    common.report(rows, notes, args.quick)


if __name__ == "__main__":
    main()
