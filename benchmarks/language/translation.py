"""German to English on Multi30k, task 1: BLEU on the 1,000 pairs of test_2016_flickr.

    python -m benchmarks.language.translation --folder multi30k [--quick] [--seeds 0:1] [--threads 2]

The published figures are those of the notebooks of bentrevett/pytorch-seq2seq: 36.52 of its Transformer (9.0 million
parameters, 10 epochs), 28.11 of its recurrent network with attention. As there the text is in small letters and cut
into words by spaCy's rules for either language (`pip install spacy`; the rules need no model), and BLEU is that of
these words: sacrebleu with tokenize=none. The lab learns 4,000 pieces of words from both sides (bpe) and joins them.
FOLDER has train, val and test_2016_flickr, each as .de.gz and .en.gz. The checkpoint is that of the last step.
"""

import gzip
import tempfile
from functools import partial
from pathlib import Path
from typing import Any

from lab.version import git_commit

from .. import common

SPLITS = {"path": "train", "valid_path": "val", "test_path": "test_2016_flickr"}
SIDES = {"": "de", "_y": "en"}


def cut(folder: Path, out: Path) -> list[str]:
    """Files of words with blanks between them, as arguments of the command. Blank lines are left out on both sides."""
    import spacy

    given = list[str]()
    for key, split in SPLITS.items():
        sides = {}
        for side, language in SIDES.items():
            rules = spacy.blank(language).tokenizer
            lines = gzip.decompress((folder / f"{split}.{language}.gz").read_bytes()).decode().splitlines()
            sides[side] = [" ".join(str(word).lower() for word in rules(line.strip())) for line in lines]
        whole = [pair for pair in zip(*sides.values(), strict=True) if all(pair)]
        for (side, language), lines in zip(SIDES.items(), zip(*whole, strict=True), strict=True):
            file = out / f"{split}.{language}"
            file.write_text("".join(f"{' '.join(line.split())}\n" for line in lines))
            given.append(f"data.{key}{side}={file}")
    return given


def trial(folder: str, threads: int, quick: bool, more: list[str], seed: int) -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as out:
        short = ["budget.updates=20", "budget.epochs=null"] if quick else []
        words = ["+experiment=multi30k", *cut(Path(folder), Path(out)), "agent.bleu=none", f"seed={seed}"]
        run, took = common.lab([*words, *short, *more], threads)
    found = {name.removeprefix("eval/test/"): round(value, 4) for name, value in run.final.items() if "test/" in name}
    return {"seed": seed, **found, "training_s": round(run.seconds or 0, 1), "command_s": round(took, 1),
            "threads": threads, "parameters": run.parameters, "code": git_commit()}


def main() -> None:
    parser = common.options(__doc__)
    parser.add_argument("--folder", required=True)
    parser.add_argument("--seeds", type=common.seeds, default=[0], help="such as 0:3")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--processes", type=int, default=1, help="runs at a time")
    parser.add_argument("--again", action="store_true", help="also the seeds that are measured already")
    parser.add_argument("more", nargs="*", metavar="KEY=VALUE", help="to try other settings")
    args = parser.parse_args()
    name = f"translation{'-tried' if args.more else ''}{'-quick' if args.quick else ''}.csv"
    file = common.RESULTS / "language" / name
    common.by_seed(file, partial(trial, args.folder, args.threads, args.quick, args.more), args,
                   {"run": "python -m lab +experiment=multi30k data.path=... agent.bleu=none", "target": "BLEU 36.52"})
    common.print_table([{name: row[name] for name in ("seed", "said/bleu", "said/chrf", "perplexity", "training_s")}
                        for row in common.read(file)])


if __name__ == "__main__":
    main()
