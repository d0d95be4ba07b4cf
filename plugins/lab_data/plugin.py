"""Datasets. Light: the command line reads this file before torch is imported."""

from dataclasses import dataclass, field
from pathlib import Path

from lab import Dataset, hookimpl
from lab.data.config import DataConfig, Located, separator
from lab.errors import UsageError, one_of, within

BUNDLED = ("digits", "iris", "wine", "breast_cancer", "diabetes")
TASKS = ("auto", "classes", "numbers")


@dataclass
class Bundled(DataConfig):
    """A small dataset that comes with scikit-learn."""


@dataclass
class Idx(DataConfig):
    """Pictures of 10 classes, 60,000 to learn from and 10,000 to test, in four files as LeCun et al. 1998 have them."""

    path: str = ""                # of the folder; "": where Debian puts it, else the lab's cache, downloaded once


@dataclass
class Images(Located):
    """A folder that has one folder of pictures per class, or train/, and perhaps valid/ and test/, which each have."""

    size: list[int] | None = None         # height and width that every picture is brought to; null: all have one size
    channels: int | None = None           # 1: grey; 3: red, green, blue; null: 1 where all are grey
    skip_broken: bool = False             # leave out pictures that do not open, which are counted

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.size is not None and len(self.size) != 2:
            raise UsageError(f"data.size is {list(self.size)}; expected [height,width]")
        for side in self.size or ():
            within("data.size", side, 1, 10_000)
        if self.channels not in (None, 1, 3):
            raise UsageError(f"data.channels is {self.channels}; expected 1, 3 or null")


@dataclass
class Csv(Located):
    """A table: a header, and a row for each example."""

    target: str = ""              # the column to predict; "": none, for agents that predict nothing
    columns: list[str] = field(default_factory=list)          # to predict it from, or to learn; []: all the others
    categorical: list[str] = field(default_factory=list)      # that are categories though they are numbers
    task: str = "auto"            # classes; numbers; auto: text, and up to 20 different whole numbers, are classes
    separator: str = ","          # between fields; also tab, semicolon, space
    test_path: str = ""           # of a second file like the first, the test split

    def __post_init__(self) -> None:
        super().__post_init__()
        one_of("data.task", self.task, TASKS)
        self.separator = separator(self.separator)


@dataclass
class Sequences(Located):
    """A table in long format: a row for each step of each sequence, in the order of the steps."""

    id: str = "id"                # the column that says of which sequence a row is
    target: str = "target"        # the column to predict, the same in all rows of a sequence; the others are numbers
    task: str = "auto"            # as for a csv
    separator: str = ","
    test_path: str = ""

    def __post_init__(self) -> None:
        super().__post_init__()
        one_of("data.task", self.task, TASKS)
        self.separator = separator(self.separator)
        if self.id == self.target:
            raise UsageError(f"data.id and data.target are both {self.id}; expected two columns")


@dataclass
class Npz(Located):
    """Arrays in a .npz file, by their names in it. Those that it does not have are left out, x excepted."""

    x: str = "x"
    y: str = "y"                  # of whole numbers, the classes, or of floats, numbers to predict
    length: str = "length"        # steps of each sequence; without it all have as many
    x_test: str = "x_test"
    y_test: str = "y_test"
    length_test: str = "length_test"


@dataclass
class HuggingFace(Located):
    """A dataset as the library `datasets` has it: pictures, or a table."""

    path: str = ""                # of a folder that save_to_disk has written, or a name on the Hugging Face hub
    x: list[str] = field(default_factory=list)    # columns; []: the first of pictures, or all of numbers
    y: str = ""                   # column to predict; "": the first of labels
    size: list[int] | None = None         # as for images
    channels: int | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        Images(path=self.path, size=self.size, channels=self.channels)


@dataclass
class FirstSymbol(DataConfig):
    """Which symbol stood first? A test of memory (Hochreiter & Schmidhuber 1997, section 5.2): the others are noise."""

    length: int = 200             # steps of each sequence
    symbols: int = 8              # different ones, each as likely as the others
    examples: int = 12_000

    def __post_init__(self) -> None:
        super().__post_init__()
        within("data.length", self.length, 1, 1_000_000)
        within("data.symbols", self.symbols, 2, 10_000)
        within("data.examples", self.examples, 10, 10**9)


@dataclass
class Mixture(DataConfig):
    """Points of the plane around centres: of a ring of 8, or a grid of 5 x 5 (Metz et al. 2017)."""

    deviation: float = 0.05       # about a centre; the centres are 1.5 (ring) and 2 (grid) from one another
    examples: int = 20_000

    def __post_init__(self) -> None:
        super().__post_init__()
        within("data.deviation", self.deviation, 0, 1e6)
        within("data.examples", self.examples, 100, 10**9)


@dataclass
class Ring(Mixture):
    """Eight centres."""

    name: str = "ring"


@dataclass
class Grid(Mixture):
    """Twenty-five."""

    name: str = "grid"


@hookimpl
def lab_datasets() -> list[Dataset]:
    bundled = [Dataset(name, Bundled, "lab_data.bundled:build", packages=("scikit-learn",)) for name in BUNDLED]
    return [*bundled,
            Dataset("mnist", Idx, "lab_data.idx:build"), Dataset("fashion_mnist", Idx, "lab_data.idx:build"),
            Dataset("images", Images, "lab_data.pictures:build", packages=("pillow",)),
            Dataset("csv", Csv, "lab_data.tables:build"), Dataset("sequences", Sequences, "lab_data.sequences:build"),
            Dataset("first_symbol", FirstSymbol, "lab_data.first_symbol:build"),
            *(Dataset(name, kind, "lab_data.mixtures:build") for name, kind in (("ring", Ring), ("grid", Grid))),
            Dataset("npz", Npz, "lab_data.arrays:build"),
            Dataset("hf", HuggingFace, "lab_data.huggingface:build", packages=("datasets", "pillow"))]


@hookimpl
def lab_conf() -> Path:
    return Path(__file__).parent / "conf"
