"""Text said with and without what was read before in memory: 512 tokens, greedy, batch 1, float32.

    python -m benchmarks.language.sampling [--quick] [--trials 5] [--threads 1]

A GPT of 6 layers, 384 wide, with blocks of 512 and 65 tokens, its weights as they begin but four times as large, so
that it does not say the same token for ever. Both say 511 tokens after a first one, and must say the same.
"""

import statistics
from typing import Any

import torch

from lab_language.speaking import chooser, continued
from lab_transformer.plugin import GPT
from lab_transformer.readers import build

from .. import common


def main() -> None:
    parser = common.options(__doc__)
    parser.add_argument("--threads", type=int, default=1)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    torch.manual_seed(0)
    net, count = build(GPT(layers=6, heads=6, width=384), 65, 512).eval(), 32 if args.quick else 511
    with torch.no_grad():
        for p in net.parameters():
            p.mul_(4)
    said: dict[bool, list[int]] = {}

    def say(remember: bool) -> dict[str, float]:
        def work() -> None:
            found = continued(net, torch.zeros(1, 1, dtype=torch.long), count, chooser(torch.Generator(), 0), remember)
            said[remember] = torch.cat(list(found)).tolist()

        return common.timed(work)

    found = common.interleaved({"with memory": lambda: say(True), "without": lambda: say(False)}, args.trials)
    seconds = {name: [each["wall_s"] for each in trials] for name, trials in found.items()}
    low, high = common.interval(lambda a, b: statistics.median(b) / statistics.median(a), *seconds.values())
    times = statistics.median(seconds["without"]) / statistics.median(seconds["with memory"])
    rows: list[dict[str, Any]] = [{"side": name, "wall_s": common.stats(values)} for name, values in seconds.items()]
    common.report(rows, {"times": f"{times:.1f} [{low:.1f}, {high:.1f}]", "target": "at least 5",
                         "same tokens": said[True] == said[False], "different tokens": len(set(said[True])),
                         "threads": args.threads}, args.quick)


if __name__ == "__main__":
    main()
