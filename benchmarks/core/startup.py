"""How long until something happens: `python -m lab --help`, `--cfg job`, and the first update of +agent=dqn.

    python -m benchmarks.core.startup [--quick] [--trials 10]

Wall clock and processor time of whole processes, beside an empty `python` and one that imports torch alone. The first
update of DQN comes after its warm-up of agent.warmup environment steps; it is seen from outside, by the first loss that
log.every=1 leaves in metrics.jsonl. The modules that --help imported are looked at in a process of their own.
"""

import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from .. import common

TARGET = 0.6
HELP = "import sys; sys.argv = ['lab', '--help']; from lab.__main__ import main; main(); print('torch' in sys.modules)"
DQN = ("-m", "lab", "+agent=dqn", "env=CartPole", "log.every=1")
WHOLE = {"python": ("-c", "pass"), "import torch": ("-c", "import torch"), "lab --help": ("-m", "lab", "--help"),
         "lab +agent=dqn --cfg job": ("-m", "lab", "+agent=dqn", "--cfg", "job")}
Times = dict[str, float]


def whole(*arguments: str) -> Times:
    """Of a process from its start to its end."""
    before, start = os.times(), time.perf_counter()
    subprocess.run([sys.executable, *arguments], capture_output=True, check=True)
    took, after = time.perf_counter() - start, os.times()
    cpu = after.children_user + after.children_system - before.children_user - before.children_system
    return {"wall_s": took, "cpu_s": cpu}


def first_update(*arguments: str) -> Times:
    """Of a training from the start of its process to the first loss in its log; it is killed there."""
    with tempfile.TemporaryDirectory() as scratch:
        log, before, start = Path(scratch, "run", "metrics.jsonl"), os.times(), time.perf_counter()
        run = subprocess.Popen([sys.executable, *arguments, f"hydra.run.dir={log.parent}"],
                               stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        while run.poll() is None and not (log.exists() and "loss/td" in log.read_text()):
            time.sleep(0.001)
        took = time.perf_counter() - start
        run.kill()
        if run.wait() != -9:
            raise RuntimeError(f"{' '.join(arguments)} ended by itself, with exit code {run.returncode}")
        after = os.times()
    cpu = after.children_user + after.children_system - before.children_user - before.children_system
    return {"wall_s": took, "cpu_s": cpu}


def row(name: str, trials: list[Times]) -> dict[str, Any]:
    wall, cpu = ([each[clock] for each in trials] for clock in ("wall_s", "cpu_s"))
    return {"process": name, "wall_s": common.stats(wall, 3), "cpu_s": common.stats(cpu, 3),
            "slowest_s": round(max(wall), 3), "fastest_s": round(min(wall), 3), "trials": len(trials)}


def main() -> None:
    args = common.options(__doc__, trials=10).parse_args()
    trials = 3 if args.quick else args.trials
    sides: dict[str, Callable[[], Times]] = {name: partial(whole, *command) for name, command in WHOLE.items()}
    sides["first update without warm-up"] = partial(first_update, *DQN, "agent.warmup=1")
    sides["first update"] = partial(first_update, *DQN)
    whole(*WHOLE["lab --help"])                           # so that the files are in the cache of the disk
    found = common.interleaved(sides, trials)
    said = subprocess.run([sys.executable, "-c", HELP], capture_output=True, text=True, check=True).stdout
    median = statistics.median(each["wall_s"] for each in found["lab --help"])
    common.report([row(name, each) for name, each in found.items()],
                  {"target": f"lab --help in <= {TARGET} s without torch", "seeds": 0, "lab --help": f"{median:.3f} s",
                   "torch in sys.modules after --help": said.split()[-1], "clocks": common.CLOCKS}, args.quick)


if __name__ == "__main__":
    main()
