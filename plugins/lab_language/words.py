"""What vectors of words know. V different words, D width, N words."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor
from torch.nn.functional import normalize

from lab.data.loaded import Data
from lab.errors import UsageError, closest
from lab.media import Codes, Table

if TYPE_CHECKING:
    from .word2vec import Vectors

SHOWN, NEAREST, POINTS = 30, 8, 2_000


def nearest(vectors: Tensor, at: Tensor, count: int, without: Sequence[int] = ()) -> tuple[Tensor, Tensor]:
    """Cosines [N, count] and the words [N, count] whose vectors [V, D] are nearest to `at` [N, D]."""
    cosine = normalize(at, dim=-1) @ normalize(vectors, dim=-1).T
    cosine[:, list(without)] = -torch.inf
    found = cosine.topk(min(count, len(vectors) - len(without)))
    return found.values, found.indices


class Judge:
    """Evaluators: the loss on a split, always with the same draws; words and what is nearest to them; analogies."""

    def __init__(self, learner: "Vectors", data: Data):
        self.learner, self.data, self.tokenizer = learner, data, data.tokenizers[0]

    def loss(self, split: str, prefix: str = "") -> Mapping[str, Any]:
        learner, rng, total, count = self.learner, self.data.compute.rng("evaluated words"), 0.0, 0.0
        for batch in self.data.batches(split):
            loss, terms, *_ = learner.loss(*learner.draws(batch["x"], rng))
            total, count = total + float(loss), count + float(terms)
        return {f"{prefix}loss": total / max(count, 1)}

    def words(self) -> Mapping[str, Any]:
        learner, wanted = self.learner, [self.place(word) for word in self.learner.cfg.words]
        wanted = wanted or self.common(SHOWN)
        lines = ["word," + ",".join(f"nearest {i + 1}" for i in range(NEAREST))]
        for word in wanted:
            _, found = nearest(learner.says, learner.says[[word]], NEAREST, [word])
            lines.append(",".join(quoted(self.tokenizer.name(i)) for i in [word, *found[0].tolist()]))
        result: dict[str, Any] = {"nearest": Table("\n".join(lines) + "\n")}
        if learner.cfg.analogies:
            answers = ["question,answers", *map(self.analogy, learner.cfg.analogies)]
            result["analogies"] = Table("\n".join(answers) + "\n")
        places = self.common(POINTS)
        return {**result, "words": Codes(learner.says[places].cpu().numpy(), list(map(self.tokenizer.name, places)))}

    def analogy(self, question: str) -> str:
        """a is to b as c is to the words nearest to b - a + c (Mikolov et al. 2013a, section 4)."""
        a, b, c = places = [self.place(word) for word in asked(question)]
        unit = normalize(self.learner.says, dim=-1)
        _, found = nearest(self.learner.says, (unit[b] - unit[a] + unit[c])[None], NEAREST, places)
        return f"{quoted(question)},{quoted(' '.join(map(self.tokenizer.name, found[0].tolist())))}"

    def common(self, count: int) -> list[int]:
        """The words that occur most, what stands for the unknown left out."""
        order: list[int] = self.learner.shares.argsort(descending=True).tolist()
        return [i for i in order if i not in (self.tokenizer.unknown, self.tokenizer.end)][:count]

    def place(self, word: str) -> int:
        """Raises UsageError for one that is not in the vocabulary."""
        found = self.tokenizer.inner.token_to_id(word)
        if found is None:
            raise UsageError(f"agent.words and agent.analogies: {word!r} is no token of "
                             f"data={self.data.cfg.name}. {closest(word, self.tokenizer.inner.get_vocab())}")
        return int(found)


def asked(question: str) -> list[str]:
    """The three words of a:b:c. Raises UsageError."""
    words = question.split(":")
    if len(words) != 3 or not all(words):
        raise UsageError(f"agent.analogies={question} is no question; expected a:b:c, such as man:king:woman")
    return words


def quoted(text: str) -> str:
    return '"' + text.replace('"', '""') + '"'
