"""Texts with classes. N texts."""

import ast
import importlib.util
from collections import Counter
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import torch

from lab.data import csv_file
from lab.data.files import file
from lab.data.texts import Text, Texts
from lab.errors import UsageError, closest

from .plugin import Docstrings, Labelled

MODULES = ("argparse", "asyncio", "collections", "datetime", "decimal", "email", "fractions", "logging", "pathlib",
           "random", "socket", "statistics", "subprocess", "tarfile", "threading", "turtle", "unittest", "zipfile")
FEW = 30                          # paragraphs of a module, at least
SHORT = 4                         # words of one, at least


def build(cfg: Labelled) -> Texts:
    found = {"train": csv_file.read(file(cfg.path), cfg.separator)}
    if cfg.test_path:
        found["test"] = csv_file.read(file(cfg.test_path, "data.test_path"), cfg.separator)
    classes = tuple(sorted(set(found["train"].fields(cfg.label, "data.label"))))
    return Texts("texts", {name: text_of(each, classes, cfg) for name, each in found.items()}, classes)


def text_of(found: csv_file.CsvFile, classes: tuple[str, ...], cfg: Labelled) -> Text:
    """Raises UsageError, with the line, for a text that is empty, and for a class that the training split has not."""
    if cfg.text == cfg.label:
        raise UsageError(f"data.text and data.label are both {cfg.text!r}; expected two columns")
    texts, labels = found.fields(cfg.text, "data.text"), found.fields(cfg.label, "data.label")
    for i, (text, label) in enumerate(zip(texts, labels, strict=True)):
        if not text:
            raise UsageError(f"{found.at(i, cfg.text)} is empty; expected a text")
        if not label:
            raise UsageError(f"{found.at(i, cfg.label)} is empty; expected a class")
        if label not in classes:
            raise UsageError(f"{found.at(i, cfg.label)}: the class {label!r} is not in the training file. "
                             f"{closest(label, classes)}")
    return Text(texts, torch.tensor(list(map(classes.index, labels))))


def docstrings(cfg: Docstrings) -> Texts:
    """Out of the source files, which importing something else does not change."""
    found = {name: paragraphs(name) for name in MODULES}
    once = Counter(text for texts in found.values() for text in texts)
    kept = {name: sorted(text for text in texts if once[text] == 1) for name, texts in found.items()}
    classes = tuple(name for name, texts in kept.items() if len(texts) >= FEW)
    if len(classes) < 2:
        raise UsageError("the source files of Python's modules are not here, in which their documentation is")
    texts = [text for name in classes for text in kept[name]]
    y = [i for i, name in enumerate(classes) for _ in kept[name]]
    return Texts("texts", {"train": Text(texts, torch.tensor(y))}, classes)


@cache
def paragraphs(name: str) -> frozenset[str]:
    """Of a module's documentation, and of that of what is public in it."""
    parts = [part for source in sources(name) for part in public(ast.parse(source.read_bytes()))]
    texts = [text.split() for part in parts for text in (ast.get_docstring(part) or "").split("\n\n")]
    return frozenset(" ".join(words) for words in texts if len(words) >= SHORT)


def sources(name: str) -> list[Path]:
    """The file of a module, or all in the folder of a package."""
    spec = importlib.util.find_spec(name)
    if spec is None or not spec.origin or not Path(spec.origin).is_file() or not spec.origin.endswith(".py"):
        return []
    return sorted(Path(spec.origin).parent.glob("*.py")) if spec.submodule_search_locations else [Path(spec.origin)]


def public(node: ast.Module | ast.ClassDef) -> Iterator[Any]:
    """It, and the functions and classes in it whose names do not begin with _, with all in these classes."""
    yield node
    for part in node.body:
        if isinstance(part, ast.ClassDef) and not part.name.startswith("_"):
            yield from public(part)
        elif isinstance(part, ast.FunctionDef | ast.AsyncFunctionDef) and not part.name.startswith("_"):
            yield part
