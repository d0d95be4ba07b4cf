"""Validation loss on Tiny Shakespeare by characters, of the last tenth of the text.

    python -m benchmarks.language.shakespeare --path tinyshakespeare.txt [--quick] [--rows adamw muon ...] [--seeds 0:3]

All see 2,000 x 12 x 64 tokens, in blocks of 64, with networks of 0.80 million parameters.

adamw      the CPU setting of nanoGPT, +experiment=gpt_chars: nanoGPT's own README has 1.88 for it
faster     the same with four times its learning rate
plain      the recipe of the first row by a loop without the lab, benchmarks.language.plain_gpt. Its README estimates a
           loss by 20 batches of the validation split: five such estimates are written down too
muon       +agent=lm as it comes, for as many tokens and parameters
lstm       a recurrent network of as many parameters in place of the Transformer

The loss is that of all blocks of the validation split after the last step, in nats per character.
"""

import argparse
import json
import statistics
import time
from functools import partial
from pathlib import Path
from typing import Any

import torch

from lab.version import git_commit

from .. import common
from .plain_gpt import BLOCK, Plain, blocks, texts, trained

SAME = "data.block=64 agent.batch_size=12 budget.epochs=null budget.updates=2000"
ROWS = {                          # name: the command's arguments, and the target
    "adamw": ("+experiment=gpt_chars", 1.88),
    "faster": ("+experiment=gpt_chars optimizer.lr=4e-3", None),
    "plain": ("", None),
    "muon": (f"+agent=lm data=text {SAME}", 1.75),
    "lstm": (f"+agent=lm data=text model=lstm_lm model.width=128 model.units=384 {SAME}", None),
}


def trial(name: str, path: str, threads: int, quick: bool, seed: int) -> dict[str, Any]:
    """One process, from the start of Python to its end."""
    if name == "plain":
        given = ["--path", path, "--threads", str(threads), "--plain", str(seed), *(["--quick"] if quick else [])]
        found = common.in_process("benchmarks.language.shakespeare", *given)
        return {**found, "threads": threads, "code": git_commit()}
    short = ["budget.updates=20"] if quick else []
    words = [*ROWS[name][0].split(), f"data.path={path}", "evaluate.every=500_000", f"seed={seed}"]
    run, took = common.lab([word for word in words if not short or "updates" not in word] + short, threads)
    return {"seed": seed, **{key: round(run.final[f"eval/{key}"], 4) for key in ("loss", "bits_per_byte", "accuracy")},
            "training_s": round(run.seconds or 0, 1), "command_s": round(took, 1), "threads": threads,
            "parameters": run.parameters, "code": git_commit()}


def by_hand(path: str, threads: int, updates: int, seed: int) -> dict[str, Any]:
    torch.set_num_threads(threads)
    torch.manual_seed(seed)
    train, valid, letters = texts(path)
    net, begun = Plain(letters), time.perf_counter()
    for _ in trained(net, train, updates):
        pass
    took = time.perf_counter() - begun
    with torch.no_grad():
        estimates = [statistics.fmean(float(net(*blocks(valid))) for _ in range(20)) for _ in range(5)]
        n = (len(valid) - 1) // BLOCK
        x, y = valid[:n * BLOCK].view(n, BLOCK), valid[1:n * BLOCK + 1].view(n, BLOCK)
        loss = sum(float(net(x[i:i + 256], y[i:i + 256])) * len(x[i:i + 256]) for i in range(0, n, 256)) / n
    return {"seed": seed, "loss": round(loss, 4), "estimates": " ".join(f"{each:.3f}" for each in estimates),
            "training_s": round(took, 1), "parameters": sum(p.numel() for p in net.parameters())}


def file_of(name: str, quick: bool) -> Path:
    return common.RESULTS / "language" / f"shakespeare{'-quick' if quick else ''}" / f"{name}.csv"


def summary(name: str, quick: bool) -> dict[str, Any]:
    (_, target), rows = ROWS[name], common.read(file_of(name, quick))
    losses = [float(each["loss"]) for each in rows]
    low, high = common.interval(statistics.fmean, losses)
    return {"row": name, "seeds": len(rows), "loss": f"{statistics.fmean(losses):.4f} [{low:.4f}, {high:.4f}]",
            "most": max(losses), "target": target or "", "parameters": rows[0]["parameters"],
            "slowest_training_s": max(float(each["training_s"]) for each in rows)}


def main() -> None:
    parser = common.of_rows(__doc__, list(ROWS))
    parser.add_argument("--path", required=True, help="of the text")
    parser.add_argument("--plain", type=int, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.plain is not None:
        print(json.dumps(by_hand(args.path, args.threads, 20 if args.quick else 2_000, args.plain)))
        return
    for name in args.rows:
        common.by_seed(file_of(name, args.quick), partial(trial, name, args.path, args.threads, args.quick), args,
                       {"run": f"python -m lab {ROWS[name][0]} data.path=..." if ROWS[name][0] else "by_hand"})
    common.print_table([summary(name, args.quick) for name in ROWS if file_of(name, args.quick).exists()])


if __name__ == "__main__":
    main()
