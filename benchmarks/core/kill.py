"""kill -9 at random moments of a real `python -m lab`, resume, and compare with a run that was never stopped.

    python -m benchmarks.core.kill [--quick] [--kills 20] [--independent] [--seconds 8] [AGENT ...]

For each agent (by default all that the plugins offer): one whole run; then a second run folder in which the run is
killed and resumed, again and again, until all kills are done, and finished. With --independent also that many more run
folders, each killed once. Budgets are found by a short run so that training takes about --seconds. The same means: the
newest checkpoint has the same tensors to the bit and the same tree, and metrics.jsonl the same lines, both without what
depends on the clock: seconds, and metrics under time/ and system/.
"""

import json
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from lab.folder import records
from lab.host import host

from .. import common
from .same_run import differences

PERIODS = ("log.every", 103), ("evaluate.every", 7), ("checkpoint.every", 31)      # how often in a run
LAST = 0.97                       # of the budget: no kill after it, the run must not end first


@contextmanager
def lab(*arguments: str) -> Iterator[Any]:
    """`python -m lab arguments`, its output in a file; never survives the block."""
    with tempfile.TemporaryFile() as said:
        run: Any = subprocess.Popen([sys.executable, "-m", "lab", *arguments], stdout=said, stderr=said)
        run.said = said
        try:
            yield run
        finally:
            run.kill()
            run.wait()


def finish(*arguments: str) -> None:
    """Raises RuntimeError, with what it said, where the run fails."""
    with lab(*arguments) as run:
        if run.wait():
            run.said.seek(0)
            said = run.said.read().decode(errors="replace")[-2000:]
            raise RuntimeError(f"python -m lab {' '.join(arguments)}: exit code {run.returncode}\n{said}")


def kill(folder: Path, at: float, jitter: float, *arguments: str) -> bool:
    """Run until the log has passed the count `at`, wait `jitter` seconds more, kill -9; False where it ended before."""
    with lab(*arguments) as run:
        while run.poll() is None and not (pid(folder) == run.pid and last_count(folder) >= at):
            time.sleep(0.005)
        time.sleep(jitter)
        return run.poll() is None


def pid(folder: Path) -> int:
    """Of the process that trains: written when a resumed run has loaded its checkpoint and cut its log."""
    try:
        return int(json.loads((folder / "run.json").read_text())["pid"])
    except (OSError, ValueError, KeyError):
        return -1


def last_count(folder: Path) -> int:
    lines = records(folder)
    return int(lines[-1]["count"]) if lines else 0


def sized(agent: str, seconds: float, scratch: Path) -> list[str]:
    """Overrides under which training takes about `seconds`, by the pace of a short run."""
    base = [f"+agent={agent}", "compute.threads=1", "evaluate.episodes=5", "evaluate.videos=0"]
    short = scratch / "short"
    finish(*base, f"budget.minutes={seconds / 240}", "evaluate.every=1000000000000", f"hydra.run.dir={short}")
    done = json.loads((short / "run.json").read_text())
    steps = int(done["count"] / done["seconds"] * seconds)
    return [*base, f"budget.steps={steps}", *(f"{key}={max(steps // times, 1)}" for key, times in PERIODS)]


def trial(agent: str, args: Any, scratch: Path) -> dict[str, Any]:
    rng, whole, chain = random.Random(f"{args.seed}/{agent}"), scratch / "whole", scratch / "chain"
    overrides = sized(agent, args.seconds, scratch)
    finish(*overrides, f"hydra.run.dir={whole}")
    steps, jitter = last_count(whole), 2 * args.seconds / PERIODS[0][1]
    moments = sorted(rng.uniform(0, LAST * steps) for _ in range(args.kills))
    start = (*overrides, f"hydra.run.dir={chain}")
    sittings = [start, *[(f"resume={chain}",)] * (args.kills - 1)]
    killed = [kill(chain, at, rng.uniform(0, jitter), *how) for at, how in zip(moments, sittings, strict=True)]
    finish(f"resume={chain}")
    row = {"agent": agent, "steps": steps, "kills": sum(killed), "chain_differs": summary(differences(whole, chain))}
    alone = [single(whole, scratch / f"alone-{i}", rng.uniform(0, LAST * steps), rng.uniform(0, jitter), overrides)
             for i in range(args.kills * args.independent)]
    odd = [name for found in alone for name in found]
    return {**row, "independent": len(alone), "independent_differ": summary(odd)}


def single(whole: Path, folder: Path, at: float, jitter: float, overrides: Sequence[str]) -> list[str]:
    if kill(folder, at, jitter, *overrides, f"hydra.run.dir={folder}"):
        finish(f"resume={folder}")
    return differences(whole, folder)


def summary(found: Sequence[str]) -> str:
    return "nothing" if not found else f"{len(found)}: {', '.join(found[:3])}"


def main() -> None:
    parser = common.options(__doc__)
    parser.add_argument("agents", nargs="*", metavar="AGENT", help="by default all")
    parser.add_argument("--kills", type=int, default=20, help="of each agent (default 20; 5 with --quick)")
    parser.add_argument("--seconds", type=float, default=8.0, help="of training without a kill (default 8)")
    parser.add_argument("--independent", action="store_true", help="as many run folders again, each killed once")
    parser.add_argument("--seed", type=int, default=0, help="of the moments")
    args = parser.parse_args()
    args.kills, rows = 5 if args.quick else args.kills, []
    for agent in args.agents or host().names("agent"):
        print(f"  {agent}", file=sys.stderr, flush=True)
        with tempfile.TemporaryDirectory() as scratch:
            rows.append(trial(agent, args, Path(scratch)))
    notes = {"seeds": f"0 of the runs, {args.seed} of the moments", "target": "nothing differs"}
    common.report(rows, notes, args.quick)


if __name__ == "__main__":
    main()
