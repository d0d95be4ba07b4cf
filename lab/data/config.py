"""What every dataset's config has. Light: the command line reads this file before torch is imported."""

from dataclasses import dataclass, field
from pathlib import Path

from ..errors import UsageError, one_of, within

PREPARED = ("auto", "none", "standardize", "minmax")
IMPUTED = ("none", "mean", "median", "zero")
UNSEEN = ("error", "other")
TOKENIZERS = ("chars", "words", "blanks", "bpe", "bytes", "wordpiece", "unigram")
TOKENIZER_FILES = ("tokenizer.json", "tokenizer-y.json")        # in a run folder; the second only of pairs, for y
SEGMENTS = ("none", "jieba", "janome", "fugashi")


@dataclass
class Augment:
    """Random changes of the training examples, in this order; a function of the seed, the epoch and the example.

    But for mixup's other example, which is of the same batch.
    """

    flip: bool = False            # pictures: left and right change places, one time in two
    crop: int = 0                 # pictures: moved by up to so many pixels each way, black comes in (He et al. 2016)
    cutout: int = 0               # pictures: a square of this side is black (DeVries & Taylor 2017); 0: none
    mixup: float = 0.0            # alpha of the share of another example and its target (Zhang et al. 2018); 0: none

    def __post_init__(self) -> None:
        within("data.augment.crop", self.crop, 0, 1000)
        within("data.augment.cutout", self.cutout, 0, 10_000)
        within("data.augment.mixup", self.mixup, 0, 100)


@dataclass
class DataConfig:
    """Shares are of the examples that a dataset does not split by itself."""

    name: str = ""
    test: float = 0.2             # share for the last judgement, where the dataset brings no test split
    valid: float = 0.1            # share for evaluation while training, of what is not for the test
    split_seed: int = 0           # of the split, which is the same for every seed of a run
    stratify: bool = True         # every class has its share in every split
    prepare: str = "auto"         # none; standardize: mean 0, deviation 1; minmax: 0 to 1; auto: standardize
    impute: str = "none"          # numbers that are missing: none refuses them; mean, median, zero
    unseen: str = "error"         # a category that the training split has not: error; other: it sets no indicator
    augment: Augment = field(default_factory=Augment)
    workers: int = 0              # processes that read ahead, where the examples are too many for memory
    memory: float = 0.25          # share of the free memory up to which all examples are held there; 0: never

    def __post_init__(self) -> None:
        within("data.test", self.test, 0, 0.95)
        within("data.valid", self.valid, 0, 0.95)
        within("data.split_seed", self.split_seed, 0, 2**32 - 1)
        within("data.workers", self.workers, 0, 1024)
        within("data.memory", self.memory, 0, 1)
        one_of("data.prepare", self.prepare, PREPARED)
        one_of("data.impute", self.impute, IMPUTED)
        one_of("data.unseen", self.unseen, UNSEEN)
        for name in [name for name in vars(self) if "path" in name]:          # absolute: a run may go on elsewhere
            if (given := getattr(self, name, "")) and (found := Path(given).expanduser()).exists():
                setattr(self, name, str(found.absolute()))


@dataclass
class Located(DataConfig):
    """A dataset in the user's own files."""

    path: str = ""                # of the file or folder

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.path:
            raise UsageError("data.path is missing: name the file or the folder that holds the data")


@dataclass
class TextConfig(DataConfig):
    """A dataset of text, which is learned as tokens."""

    tokenizer: str = "chars"      # words: also signs by themselves; blanks: what stands between them; bpe (Sennrich et
    # ^ al. 2016); bytes: the same of bytes (Radford et al. 2019); wordpiece (Schuster & Nakajima 2012); unigram (Kudo
    # ^ 2018); or that of a run, by its folder, or of a tokenizer.json of the library `tokenizers`
    vocabulary: int = 8_000       # tokens at most, those that are most of use in the training split; single letters,
    # ^ or bytes, are always among those of bpe, bytes and wordpiece
    lowercase: bool = False
    segment: str = "none"         # cut into words first what has no blanks: jieba (Chinese), janome, fugashi (Japanese)

    def __post_init__(self) -> None:
        super().__post_init__()
        within("data.vocabulary", self.vocabulary, 2, 10_000_000)
        one_of("data.segment", self.segment, SEGMENTS)
        for name in ("tokenizer", "tokenizer_y"):
            if (given := getattr(self, name, "")) not in TOKENIZERS and (found := Path(given).expanduser()).exists():
                setattr(self, name, str(found.absolute()) if given else "")


@dataclass
class LongText(TextConfig):
    """Text that is read on and on, a block of it at a time."""

    block: int = 128              # tokens that are seen together

    def __post_init__(self) -> None:
        super().__post_init__()
        within("data.block", self.block, 1, 1_000_000)


@dataclass
class ShortTexts(TextConfig):
    """Texts that each stand for themselves."""

    longest: int = 256            # tokens; the rest of a longer text is left out, which the log counts

    def __post_init__(self) -> None:
        super().__post_init__()
        within("data.longest", self.longest, 1, 1_000_000)


@dataclass
class Pairs(ShortTexts):
    """Two texts that belong together: one is read, the other one said."""

    tokenizer_y: str = ""         # of what is said; "": as that of what is read
    joint: bool = False           # both sides have the same tokens

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.joint and self.tokenizer_y:
            raise UsageError("data.joint=true gives both sides the same tokens, and data.tokenizer_y="
                             f"{self.tokenizer_y} asks for others; leave one of them out")


SEPARATORS = {"tab": "\t", "\\t": "\t", "semicolon": ";", "comma": ",", "space": " "}


def separator(given: str) -> str:
    """Raises UsageError for what cannot stand between fields."""
    found = SEPARATORS.get(given, given)
    if len(found) != 1 or found in '"\r\n':
        raise UsageError(f"data.separator is {given!r}; expected one character, or tab, semicolon or space")
    return found
