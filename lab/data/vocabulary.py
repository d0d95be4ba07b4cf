"""The tokenizers of a dataset of text: those of a run that goes on, of a file, or learned from the training split."""

import json
from collections.abc import Sequence
from hashlib import sha256
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING

from .. import cache
from ..errors import ResumeError, UsageError, nearest
from .config import TOKENIZER_FILES, TOKENIZERS, TextConfig
from .tokenizer import Tokenizer, trained

if TYPE_CHECKING:
    from .texts import Text

LARGEST = 200_000_000                                 # bytes of one that is worth reading


def known(cfg: TextConfig, kind: str, train: "Text", run: Path | None) -> tuple[Tokenizer, ...]:
    """One, or two for pairs whose sides have tokens of their own. Raises UsageError where there is none."""
    if run is not None:
        return saved(run, cfg.segment)
    if kind != "pairs":
        return (chosen(cfg, cfg.tokenizer, train.x, kind),)
    assert train.y is not None and isinstance(train.y, Sequence)
    if getattr(cfg, "joint", False):
        return (chosen(cfg, cfg.tokenizer, [*train.x, *train.y], kind),)
    return chosen(cfg, cfg.tokenizer, train.x, kind), chosen(cfg, getattr(cfg, "tokenizer_y", "") or cfg.tokenizer,
                                                             train.y, kind)


def chosen(cfg: TextConfig, name: str, texts: Sequence[str], kind: str) -> Tokenizer:
    if name in TOKENIZERS:
        several = kind == "text" and len(texts) > 1
        return learned(name, cfg, texts, several)
    path = Path(name).expanduser()
    if path.is_dir() and (path / TOKENIZER_FILES[0]).exists():
        path = path / TOKENIZER_FILES[0]
    if not path.is_file():
        raise UsageError(f"data.tokenizer={name} is not known, and there is no such file or run folder. "
                         f"{nearest(name, TOKENIZERS)}")
    try:
        return read(path, cfg.segment)
    except ValueError as error:
        raise UsageError(f"data.tokenizer={name}: {error}") from None


def learned(kind: str, cfg: TextConfig, texts: Sequence[str], several: bool) -> Tokenizer:
    """From these texts, once: some kinds are learned a little differently each time, and it takes a while."""
    asked = [kind, cfg.vocabulary, cfg.lowercase, cfg.segment, several, version("tokenizers")]
    found = sha256(json.dumps(asked).encode())
    for text in texts:
        found.update(sha256(text.encode()).digest())
    file = cache.folder("tokenizers") / f"{found.hexdigest()[:40]}.json"
    if not file.exists():
        cache.write(file, trained(kind, cfg.vocabulary, texts, cfg.lowercase, cfg.segment, several).json.encode())
    return read(file, cfg.segment)


def read(path: Path, segment: str) -> Tokenizer:
    """Raises ValueError for what is no tokenizer."""
    if path.stat().st_size > LARGEST:
        raise ValueError("it is far too large")
    return Tokenizer.of(path.read_text(), segment)


def saved(run: Path, segment: str = "none") -> tuple[Tokenizer, ...]:
    """Those in a run folder. Raises ResumeError for what cannot be read, and where they are not those of the run."""
    try:
        first, *others = [run / name for name in TOKENIZER_FILES]
        found = {file: read(file, segment) for file in (first, *filter(Path.exists, others))}
        noted = digests(run / "data.json")
        changed = [file for file, its in zip(found, noted, strict=False)
                   if sha256(file.read_bytes()).hexdigest() != its]
    except (OSError, ValueError, RecursionError) as error:
        raise ResumeError(f"the tokenizer of {run} cannot be read: {error}") from None
    if changed:
        raise ResumeError(f"{changed[0]} is not the vocabulary that the run has learned with: put that one back")
    return tuple(found.values())


def digests(path: Path) -> list[str]:
    """Of the vocabularies of a run, by its data.json; none of what another library has written. Raises ValueError."""
    if not path.exists():
        return []
    if path.stat().st_size > LARGEST:
        raise ValueError("its data.json is far too large")
    plain = json.loads(path.read_text())
    found = plain.get("tokenizers", []) if isinstance(plain, dict) else None
    if not isinstance(found, list):
        raise ValueError("its data.json is damaged")
    return found
