"""Words of languages that do not part them by blanks."""

import importlib
import logging
from collections.abc import Callable, Iterable
from functools import cache
from pathlib import Path
from typing import Any

from ..cache import folder
from ..errors import UsageError

EXTRAS = {"jieba": "chinese", "janome": "japanese", "fugashi": "japanese"}


def segmented(text: str, by: str) -> str:
    """`text` with a blank between words; as it is where `by` is "none". Raises UsageError where `by` is not installed.
    """
    return text if by == "none" else "\n".join(" ".join(cutter(by)(line)) for line in text.split("\n"))


def own_folder() -> Path:
    """For what jieba keeps, which else lies where others can write."""
    where = folder("jieba")
    where.mkdir(parents=True, exist_ok=True)
    return where


@cache
def cutter(by: str) -> Callable[[str], Iterable[str]]:
    try:
        if by == "jieba":
            jieba: Any = importlib.import_module("jieba")
            jieba.setLogLevel(logging.WARNING)
            jieba.dt.tmp_dir = str(own_folder())
            return lambda line: (word for word in jieba.cut(line) if word.strip())
        if by == "janome":
            janome: Any = importlib.import_module("janome.tokenizer").Tokenizer()
            return lambda line: (word for word in janome.tokenize(line, wakati=True) if word.strip())
        fugashi: Any = importlib.import_module("fugashi").Tagger("-Owakati")
        return lambda line: (word.surface for word in fugashi(line))
    except ImportError as error:
        raise UsageError(f'data.segment={by} needs the package {error.name}: pip install "pluglab[{EXTRAS[by]}]"'
                         ) from error
