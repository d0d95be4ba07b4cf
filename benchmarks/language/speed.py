"""Training tokens per second of a small GPT, the lab against a plain loop with the same network and steps.

    python -m benchmarks.language.speed --path tinyshakespeare.txt [--quick] [--trials 5] [--threads 1]

lab        python -m lab +experiment=gpt_chars: 4 layers, 128 wide, 12 blocks of 64, AdamW; bfloat16 where the lab
           chooses it
compiled   the same with compute.jit=compile
plain      a loop by hand in float32, benchmarks.language.plain_gpt: the same network of torch's own modules, blocks at
           random places of the text, torch's AdamW, the norm of the gradient clipped to 1

Each trial is a process of its own, and the sides take turns. The clock runs over 300 updates after 50; nobody
evaluates, saves or logs to the screen, the lab writes metrics.jsonl and TensorBoard.
"""

import argparse
import json
import statistics
import tempfile
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from .. import common
from .plain_gpt import Plain, texts, trained

WARM, UPDATES = 50, 300


def lab(path: str, threads: int, updates: int, *more: str) -> dict[str, Any]:
    from lab.assembly import assemble
    from lab.budget import Budget, Periods
    from lab.compose import composed
    from lab.runner import Runner

    from ..core.records import NEVER, Files

    made = assemble(composed(["+experiment=gpt_chars", f"data.path={path}", f"compute.threads={threads}",
                              "agent.sample=0", *more]))
    with tempfile.TemporaryDirectory() as folder:
        runner = Runner(made.experiment, made.compute, Files(Path(folder)),
                        Periods(made.cfg.log.every or 1, NEVER, NEVER))
        runner.evaluators, runner.closing = {}, {}
        runner.run(Budget(updates=WARM))
        runner.finished = -1
        took = common.timed(lambda: runner.run(Budget(updates=WARM + updates)))
        loss = made.experiment.learner.update(made.experiment.stream.next() or {})["loss/train"]
    return {**took, "loss": float(loss), "precision": made.compute.precision}


def plain(path: str, threads: int, updates: int) -> dict[str, Any]:
    torch.set_num_threads(threads)
    torch.manual_seed(0)
    ids, _, letters = texts(path)
    losses = islice(trained(Plain(letters), ids, 2_000), WARM + updates)
    found = list[Tensor]()
    for _ in range(WARM):
        next(losses)
    took = common.timed(lambda: found.extend(losses))
    return {**took, "loss": float(found[-1]), "precision": "fp32"}


def compiled(path: str, threads: int, updates: int) -> dict[str, Any]:
    return lab(path, threads, updates, "compute.jit=compile")


SIDES = {"lab": lab, "compiled": compiled, "plain": plain}


def main() -> None:
    parser = common.options(__doc__)
    parser.add_argument("--path", required=True, help="of the text")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--side", choices=SIDES, help=argparse.SUPPRESS)
    args = parser.parse_args()
    updates = 20 if args.quick else UPDATES
    if args.side:
        print(json.dumps(SIDES[args.side](args.path, args.threads, updates)))
        return
    given = ["--path", args.path, "--threads", str(args.threads), *(["--quick"] if args.quick else [])]
    found = common.interleaved({name: partial(common.in_process, "benchmarks.language.speed", *given, "--side", name)
                                for name in SIDES}, args.trials)
    seconds = {name: [each["wall_s"] for each in trials] for name, trials in found.items()}
    shares = {}
    for name in SIDES:
        share = statistics.median(seconds[name]) / statistics.median(seconds["plain"])
        low, high = common.interval(lambda a, b: statistics.median(a) / statistics.median(b), seconds[name],
                                    seconds["plain"])
        shares[name] = "1" if name == "plain" else f"{share:.2f} [{low:.2f}, {high:.2f}]"
    rows = [{"side": name, "share": shares[name],
             "ms_per_update": common.stats([1000 * each / updates for each in seconds[name]]),
             "precision": found[name][0]["precision"], "loss": round(statistics.median(
                 each["loss"] for each in found[name]), 2)} for name in SIDES]
    common.report(rows, {"share": "of the plain loop's time", "target": "at most 0.85", "threads": args.threads},
                  args.quick)


if __name__ == "__main__":
    main()
