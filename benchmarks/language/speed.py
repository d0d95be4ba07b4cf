"""Training tokens per second of a small GPT, the lab against a plain loop with the same network and steps.

    python -m benchmarks.language.speed --path tinyshakespeare.txt [--quick] [--trials 5] [--threads 1]

lab        python -m lab +experiment=gpt_chars: 4 layers, 128 wide, 12 blocks of 64, AdamW; bfloat16 where the lab
           chooses it
plain      a loop by hand in float32: the same network of torch's own modules, blocks at random places of the text,
           torch's AdamW, the norm of the gradient clipped to 1

Each trial is a process of its own, and the sides take turns. The clock runs over 300 updates after 50; nobody
evaluates, saves or logs to the screen, the lab writes metrics.jsonl and TensorBoard.
"""

import argparse
import json
import statistics
import tempfile
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, gelu, scaled_dot_product_attention

from .. import common

LAYERS, HEADS, WIDTH, BLOCK, BATCH, WARM, UPDATES = 4, 4, 128, 64, 12, 50, 300


def lab(path: str, threads: int, updates: int) -> dict[str, Any]:
    from lab.assembly import assemble
    from lab.budget import Budget, Periods
    from lab.compose import composed
    from lab.runner import Runner

    from ..core.records import NEVER, Files

    made = assemble(composed(["+experiment=gpt_chars", f"data.path={path}", f"compute.threads={threads}",
                              "agent.sample=0"]))
    with tempfile.TemporaryDirectory() as folder:
        runner = Runner(made.experiment, made.compute, Files(Path(folder)),
                        Periods(made.cfg.log.every or 1, NEVER, NEVER))
        runner.evaluators, runner.closing = {}, {}
        runner.run(Budget(updates=WARM))
        runner.finished = -1
        took = common.timed(lambda: runner.run(Budget(updates=WARM + updates)))
        loss = made.experiment.learner.update(made.experiment.stream.next())["loss/train"]
    return {**took, "loss": float(loss), "precision": made.compute.precision}


class Block(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = (nn.LayerNorm(WIDTH, bias=False) for _ in range(2))
        self.into, self.out = nn.Linear(WIDTH, 3 * WIDTH, bias=False), nn.Linear(WIDTH, WIDTH, bias=False)
        self.wide, self.narrow = nn.Linear(WIDTH, 4 * WIDTH, bias=False), nn.Linear(4 * WIDTH, WIDTH, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        parts = self.into(self.first(x)).split(WIDTH, 2)
        q, k, v = (part.view(*x.shape[:2], HEADS, -1).transpose(1, 2) for part in parts)
        found = scaled_dot_product_attention(q, k, v, is_causal=True)
        x = x + self.out(found.transpose(1, 2).contiguous().view_as(x))
        out: Tensor = x + self.narrow(gelu(self.wide(self.second(x))))
        return out


class Plain(nn.Module):
    def __init__(self, vocabulary: int) -> None:
        super().__init__()
        self.tokens, self.places = nn.Embedding(vocabulary, WIDTH), nn.Embedding(BLOCK, WIDTH)
        self.blocks, self.last = nn.ModuleList(Block() for _ in range(LAYERS)), nn.LayerNorm(WIDTH, bias=False)
        self.head = nn.Linear(WIDTH, vocabulary, bias=False)
        for p in self.parameters():
            if p.ndim == 2:
                nn.init.normal_(p, std=0.02)
        self.tokens.weight = self.head.weight

    def forward(self, x: Tensor, y: Tensor) -> Tensor:
        found = self.tokens(x) + self.places(torch.arange(x.shape[1]))
        for block in self.blocks:
            found = block(found)
        logits = self.head(self.last(found))
        return cross_entropy(logits.view(-1, logits.shape[-1]), y.view(-1))


def plain(path: str, threads: int, updates: int) -> dict[str, Any]:
    torch.set_num_threads(threads)
    torch.manual_seed(0)
    text = Path(path).read_text()
    known = {letter: i for i, letter in enumerate(sorted(set(text)))}
    data = torch.tensor([known[letter] for letter in text[:int(0.9 * len(text))]])
    net = Plain(len(known))
    decayed = [p for p in net.parameters() if p.ndim == 2]
    optimizer = torch.optim.AdamW([{"params": decayed, "weight_decay": 0.1}, {
        "params": [p for p in net.parameters() if p.ndim < 2], "weight_decay": 0.0}], 1e-3, (0.9, 0.99))
    loss = torch.zeros(())

    def step() -> Tensor:
        begins = torch.randint(len(data) - BLOCK, (BATCH,))
        x = torch.stack([data[i:i + BLOCK] for i in begins])
        y = torch.stack([data[i + 1:i + 1 + BLOCK] for i in begins])
        found = net(x, y)
        optimizer.zero_grad(set_to_none=True)
        found.backward()
        nn.utils.clip_grad_norm_(net.parameters(), 1.0)
        optimizer.step()
        return found.detach()

    for _ in range(WARM):
        step()

    def work() -> None:
        nonlocal loss
        for _ in range(updates):
            loss = step()

    return {**common.timed(work), "loss": float(loss), "precision": "fp32"}


SIDES = {"lab": lab, "plain": plain}


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
    share = statistics.median(seconds["lab"]) / statistics.median(seconds["plain"])
    low, high = common.interval(lambda a, b: statistics.median(a) / statistics.median(b), *seconds.values())
    rows = [{"side": name, "ms_per_update": common.stats([1000 * each / updates for each in seconds[name]]),
             "precision": found[name][0]["precision"], "loss": round(statistics.median(
                 each["loss"] for each in found[name]), 2)} for name in SIDES]
    common.report(rows, {"share": f"{share:.2f} [{low:.2f}, {high:.2f}] of the plain loop", "target": "at most 0.85",
                         "threads": args.threads}, args.quick)


if __name__ == "__main__":
    main()
