"""Words per second of word2vec, the lab against gensim (pip install gensim), and what is near what afterwards.

    python -m benchmarks.language.words --path text.txt [--quick] [--trials 5] [--method skip_gram]

Both learn from the same words, in small letters, signs by themselves, the 8,000 most frequent of the training split:
100 numbers a word, windows of 5, 5 negative samples, frequent words left out by 1e-3, one thread. The lab shares 64
negative samples in a step of 32 blocks of 128 words, each of which counts for 5 / 64 of a pair; gensim draws 5 for each
pair. The clock runs over 5 passes, without reading the text.
"""

import argparse
import json
import statistics
import tempfile
from functools import partial
from pathlib import Path
from typing import Any

from .. import common

EPOCHS = 5
WORDS = ("king", "love", "good", "night", "father", "speak")


def assembled(path: str, method: str) -> Any:
    from lab.assembly import assemble
    from lab.compose import composed

    return assemble(composed(["+agent=word2vec", "data=text", f"data.path={path}", f"agent.method={method}",
                              f"budget.epochs={EPOCHS}", "compute.threads=1"]))


def lab(path: str, method: str, epochs: int) -> dict[str, Any]:
    from lab.budget import Budget, Periods
    from lab.runner import Runner

    from ..core.records import NEVER, Files

    made = assembled(path, method)
    stream = made.experiment.stream
    with tempfile.TemporaryDirectory() as folder:
        runner = Runner(made.experiment, made.compute, Files(Path(folder)),
                        Periods(made.cfg.log.every or 1, NEVER, NEVER))
        runner.evaluators, runner.closing = {}, {}
        took = common.timed(lambda: runner.run(Budget(steps=epochs * (stream.epoch_length or 1))))
    learner, tokenizer = made.experiment.learner, made.data.tokenizers[0]
    from lab_language.words import nearest

    near = {}
    for word in WORDS:
        if (place := tokenizer.inner.token_to_id(word)) is not None:
            _, found = nearest(learner.says, learner.says[[place]], 6, [place])
            near[word] = [tokenizer.name(i) for i in found[0].tolist()]
    return {**took, "words": stream.count, "near": near}


def gensim(path: str, method: str, epochs: int) -> dict[str, Any]:
    import logging

    from gensim.models import Word2Vec

    logging.disable()
    made = assembled(path, method)
    tokenizer, train = made.data.tokenizers[0], made.data.splits["train"]
    names = [tokenizer.name(i) for i in range(tokenizer.size)]
    blocks = [[names[i] for i in train.ids[begin:begin + train.block].tolist()]
              for begin in range(0, len(train.ids), train.block)]
    model = Word2Vec(vector_size=100, window=5, negative=5, sample=1e-3, min_count=1, workers=1,
                     sg=int(method == "skip_gram"), seed=0)
    model.build_vocab(blocks)
    took = common.timed(lambda: model.train(blocks, total_examples=len(blocks), epochs=epochs))
    near = {word: [each for each, _ in model.wv.most_similar(word, topn=6)] for word in WORDS if word in model.wv}
    return {**took, "words": len(train.ids) * epochs, "near": near}


SIDES = {"lab": lab, "gensim": gensim}


def main() -> None:
    parser = common.options(__doc__)
    parser.add_argument("--path", required=True, help="of the text")
    parser.add_argument("--method", choices=("skip_gram", "cbow"), default="skip_gram")
    parser.add_argument("--side", choices=SIDES, help=argparse.SUPPRESS)
    args = parser.parse_args()
    epochs = 1 if args.quick else EPOCHS
    if args.side:
        print(json.dumps(SIDES[args.side](args.path, args.method, epochs)))
        return
    given = ["--path", args.path, "--method", args.method, *(["--quick"] if args.quick else [])]
    found = common.interleaved({name: partial(common.in_process, "benchmarks.language.words", *given, "--side", name)
                                for name in SIDES}, args.trials)
    rates = {name: [each["words"] / each["wall_s"] for each in trials] for name, trials in found.items()}
    times = statistics.median(rates["lab"]) / statistics.median(rates["gensim"])
    low, high = common.interval(lambda a, b: statistics.median(a) / statistics.median(b), *rates.values())
    rows = [{"side": name, "words_per_s": common.stats(values, 0),
             **{word: " ".join(near) for word, near in found[name][0]["near"].items()}}
            for name, values in rates.items()]
    common.report(rows, {"times": f"{times:.2f} [{low:.2f}, {high:.2f}] gensim's", "target": "at least 0.5",
                         "method": args.method}, args.quick, args.method)


if __name__ == "__main__":
    main()
