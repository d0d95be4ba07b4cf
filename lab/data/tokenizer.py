"""Text as tokens, and back: what the library `tokenizers` makes of it, kept as its JSON."""

from collections.abc import Callable, Iterable, Sequence
from functools import cached_property
from hashlib import sha256
from typing import Any

import numpy as np
import tokenizers
from tokenizers import Regex, decoders, models, normalizers, pre_tokenizers, trainers

from ..errors import LabError, UsageError
from .segment import segmented

UNKNOWN, END = "<unk>", "<end>"   # what stands for all that is not in the vocabulary; and after each of several texts
PIECE = 2**20                     # characters that are looked at together


class Tokenizer:
    """V tokens. A text is cut into words first where its language does not part them by blanks."""

    def __init__(self, inner: Any, segment: str = "none"):
        self.inner, self.segment = inner, segment
        self.size: int = max(inner.get_vocab().values(), default=-1) + 1            # some leave out numbers
        self.unknown: int | None = inner.token_to_id(UNKNOWN)
        self.end: int | None = inner.token_to_id(END)

    def encode(self, texts: Iterable[str]) -> list[np.ndarray]:
        """The tokens of each, int64. Raises UsageError for a text that these tokens cannot say."""
        try:
            found = self.inner.encode_batch([segmented(text, self.segment) for text in texts], add_special_tokens=False)
        except LabError:
            raise
        except Exception as error:                    # the library raises Exception itself
            raise UsageError(f"this text cannot be said in tokens: {' '.join(str(error).split())[:200]}") from None
        return [np.array(each.ids, np.int64) for each in found]

    def decode(self, tokens: Sequence[int]) -> str:
        """As nearly the text as its tokens tell."""
        return self.joined(self.inner.decode(list(tokens), skip_special_tokens=False))

    def joined(self, said: str) -> str:
        """Without the blanks that were put between words."""
        return said.replace(" ", "") if self.segment != "none" else said

    def keeps(self, text: str) -> bool:
        """Whether nothing of a text is lost in its tokens."""
        return self.decode(self.encode([text])[0].tolist()) == text

    def name(self, token: int) -> str:
        """For people to read."""
        return str(self.inner.id_to_token(token))

    @cached_property
    def json(self) -> str:
        return str(self.inner.to_str())

    @property
    def digest(self) -> str:
        return sha256(f"{self.segment} {self.json}".encode()).hexdigest()

    @staticmethod
    def of(json: str, segment: str = "none") -> "Tokenizer":
        """Raises ValueError for what is none."""
        try:
            found = tokenizers.Tokenizer.from_str(json)
            found.no_truncation()                     # nothing is cut or filled up but by the lab
            found.no_padding()
            return Tokenizer(found, segment)
        except Exception as error:                    # the library raises Exception itself
            raise ValueError(f"it is no tokenizer: {' '.join(str(error).split())[:200]}") from None


def chars() -> tuple[Any, Any]:
    made = tokenizers.Tokenizer(models.WordLevel(unk_token=UNKNOWN))
    made.pre_tokenizer = pre_tokenizers.Split(Regex(r"[\s\S]"), "isolated")
    made.decoder = decoders.Fuse()
    return made, trainers.WordLevelTrainer


def words() -> tuple[Any, Any]:
    made = tokenizers.Tokenizer(models.WordLevel(unk_token=UNKNOWN))
    made.pre_tokenizer = pre_tokenizers.Whitespace()
    return made, trainers.WordLevelTrainer


def blanks() -> tuple[Any, Any]:
    made = tokenizers.Tokenizer(models.WordLevel(unk_token=UNKNOWN))
    made.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    return made, trainers.WordLevelTrainer


def bpe() -> tuple[Any, Any]:
    made = tokenizers.Tokenizer(models.BPE(unk_token=UNKNOWN))
    made.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="never")
    made.decoder = decoders.Metaspace(prepend_scheme="never")
    return made, trainers.BpeTrainer


def byte_level() -> tuple[Any, Any]:
    made = tokenizers.Tokenizer(models.BPE())
    made.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    made.decoder = decoders.ByteLevel()
    return made, trainers.BpeTrainer


def wordpiece() -> tuple[Any, Any]:
    made = tokenizers.Tokenizer(models.WordPiece(unk_token=UNKNOWN))
    made.pre_tokenizer = pre_tokenizers.Whitespace()
    made.decoder = decoders.WordPiece(cleanup=False)
    return made, trainers.WordPieceTrainer


def unigram() -> tuple[Any, Any]:
    made = tokenizers.Tokenizer(models.Unigram())
    made.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="never")
    made.decoder = decoders.Metaspace(prepend_scheme="never")
    return made, trainers.UnigramTrainer


MADE: dict[str, Callable[[], tuple[Any, Any]]] = {
    "chars": chars, "words": words, "blanks": blanks, "bpe": bpe, "bytes": byte_level, "wordpiece": wordpiece,
    "unigram": unigram}


def trained(kind: str, vocabulary: int, texts: Sequence[str], lowercase: bool = False, segment: str = "none",
            several: bool = False) -> Tokenizer:
    """Of this kind, with at most so many tokens: those that are most of use in `texts`; `several` of them have ends.

    Raises UsageError where so few cannot be.
    """
    made, trainer = MADE[kind]()
    if lowercase:
        made.normalizer = normalizers.Lowercase()
    special = ([] if kind == "bytes" else [UNKNOWN]) + ([END] if several else [])
    more: dict[str, Any] = {"initial_alphabet": pre_tokenizers.ByteLevel.alphabet()} if kind == "bytes" else {}
    more |= {"unk_token": UNKNOWN} if kind == "unigram" else {}
    given = (segmented(part, segment) for text in texts for part in pieces(text))
    try:
        made.train_from_iterator(given, trainer(vocab_size=vocabulary, special_tokens=special, show_progress=False,
                                                **more))
    except LabError:
        raise
    except Exception as error:                        # the library raises Exception itself
        raise UsageError(f"data.tokenizer={kind} with data.vocabulary={vocabulary:,} cannot be learned: "
                         f"{' '.join(str(error).split())[:200]}") from None
    return Tokenizer(made, segment)


def pieces(text: str, size: int = PIECE) -> Iterable[str]:
    """All of it in parts of about `size` characters, cut behind a line where there is one."""
    begin = 0
    while begin < len(text):
        end = min(begin + size, len(text))
        cut = text.rfind("\n", begin, end) + 1 if end < len(text) else end
        end = cut if cut > begin else end
        yield text[begin:end]
        begin = end
