"""Texts with classes. N texts."""

import importlib
import inspect
from collections import Counter
from collections.abc import Iterator
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
    once = Counter(text for name in MODULES for text in set(paragraphs(name)))
    found = {name: sorted(text for text in set(paragraphs(name)) if once[text] == 1) for name in MODULES}
    classes = tuple(name for name, texts in found.items() if len(texts) >= FEW)
    texts = [text for name in classes for text in found[name]]
    y = [i for i, name in enumerate(classes) for _ in found[name]]
    if len(classes) < 2:
        raise UsageError("Python's modules have no documentation here; python -OO leaves it out")
    return Texts("texts", {"train": Text(texts, torch.tensor(y))}, classes)


def paragraphs(name: str) -> Iterator[str]:
    module: Any = importlib.import_module(name)
    for part in documented(module, name):
        for text in (inspect.getdoc(part) or "").split("\n\n"):
            if len(text.split()) >= SHORT:
                yield " ".join(text.split())


def documented(module: Any, name: str) -> Iterator[Any]:
    """The module, its public functions and classes, and their methods."""
    yield module
    for key, part in vars(module).items():
        own = str(getattr(part, "__module__", "")).split(".")[0].lstrip("_") == name
        if key.startswith("_") or not own or not (inspect.isclass(part) or inspect.isroutine(part)):
            continue
        yield part
        if inspect.isclass(part):
            yield from (each for key, each in vars(part).items() if not key.startswith("_") and inspect.isroutine(each))
