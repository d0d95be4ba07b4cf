"""Long texts out of files."""

import importlib
from pathlib import Path

from lab.data.files import decoded, there
from lab.data.texts import Text, Texts
from lab.errors import UsageError

from .plugin import Files, PythonDocs


def build(cfg: Files) -> Texts:
    paths = {"train": ("path", cfg.path), "valid": ("valid_path", cfg.valid_path), "test": ("test_path", cfg.test_path)}
    return Texts("text", {name: Text(texts(there(path, f"data.{key}")))
                          for name, (key, path) in paths.items() if path})


def texts(path: Path) -> list[str]:
    """Of a file, or of the files in a folder and those below it, by name, hidden ones left out. Raises UsageError."""
    files = [path]
    if path.is_dir():
        files = sorted(each for each in path.rglob("*") if each.is_file()
                       and not any(part.startswith(".") for part in each.relative_to(path).parts))
        if not files:
            raise UsageError(f"{path} has no file in it; expected texts")
    return [read(file) for file in files]


def read(path: Path) -> str:
    """Raises UsageError, with the line, for what is no text."""
    text = decoded(path).replace("\r\n", "\n")
    if not text.strip():
        raise UsageError(f"{path} holds no text")
    return text


def python_docs(cfg: PythonDocs) -> Texts:
    topics: dict[str, str] = importlib.import_module("pydoc_data.topics").topics
    return Texts("text", {"train": Text(["\n\n".join(text.strip() for _, text in sorted(topics.items()))])})
