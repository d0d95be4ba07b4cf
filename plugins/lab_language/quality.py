"""How good texts are that were said."""

from collections.abc import Callable, Sequence
from typing import Any

import sacrebleu

from lab.data.loaded import Data
from lab.media import Table

Tokens = Sequence[int]


def distance(a: Tokens, b: Tokens) -> int:
    """How many tokens have to be put in, left out or replaced to make b of a (Levenshtein 1966)."""
    row = list(range(len(b) + 1))
    for i, left in enumerate(a, 1):
        above, row[0] = row[0], i
        for j, right in enumerate(b, 1):
            above, row[j] = row[j], min(row[j] + 1, row[j - 1] + 1, above + (left != right))
    return row[-1]


def quality(read: Sequence[Tokens], said: Sequence[Tokens], right: Sequence[Tokens], decode: Callable[[Tokens], str],
            tokenize: str) -> dict[str, float]:
    """Of texts that were said of texts read; where one was read several times, all that belongs to it is right.

    exact           share that is right
    error_rate      tokens to be changed, by the right one that is nearest, over the tokens of that
    bleu, chrf      from 0 to 100, of all together (Papineni et al. 2002; Popovic 2015), by sacrebleu
    """
    answers = dict[tuple[int, ...], list[Tokens]]()
    for each, answer in zip(read, right, strict=True):
        answers.setdefault(tuple(each), []).append(answer)
    first = {tuple(each): i for i, each in reversed(list(enumerate(read)))}
    given = [(said[i], answers[each]) for each, i in sorted(first.items(), key=lambda item: item[1])]
    near = [min((distance(own, other), len(other)) for other in others) for own, others in given]
    texts, most = [decode(own) for own, _ in given], max(len(others) for _, others in given)
    references: Any = [[decode(others[i]) if i < len(others) else None for _, others in given] for i in range(most)]
    return {"exact": sum(not errors for errors, _ in near) / len(near),
            "error_rate": sum(errors for errors, _ in near) / max(sum(length for _, length in near), 1),
            "bleu": sacrebleu.corpus_bleu(texts, references, tokenize=tokenize).score,
            "chrf": sacrebleu.corpus_chrf(texts, references).score}


def table(data: Data, read: Sequence[Tokens], said: Sequence[Tokens], right: Sequence[Tokens]) -> Table:
    """Some of them."""
    lines = ["read,said,right"]
    for x, own, other in zip(read, said, right, strict=False):
        texts = data.tokenizers[0].decode(x), data.tokenizers[-1].decode(own), data.tokenizers[-1].decode(other)
        lines.append(",".join('"' + text.replace('"', '""') + '"' for text in texts))
    return Table("\n".join(lines) + "\n")
