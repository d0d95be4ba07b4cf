"""The fields of a csv file as numbers: inputs by their columns, and a target. R rows, F columns."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from ..errors import UsageError
from .csv_file import CsvFile
from .dataset import Column

LARGEST = float(np.finfo(np.float32).max)
FEW = 20                          # different whole numbers that may be the names of classes
CATEGORIES = ", and where the column holds categories use data.categorical=[{}]"


def number(field: str) -> float:
    """NaN where it is empty. Raises ValueError where it is no number."""
    if "_" in field:
        raise ValueError(field)               # Python reads 1_000
    return float(field or "nan")


def numeric(field: str) -> bool:
    try:
        number(field)
    except ValueError:
        return False
    return True


def parsed(fields: Sequence[str]) -> np.ndarray | None:
    """[R] float64, as `number` says; None where a field is no number."""
    try:
        values = np.array([float(field or "nan") for field in fields])
    except ValueError:
        return None
    return None if "_" in "".join(fields) else values


def odd(fields: Sequence[str]) -> int:
    """The row of the first that is no number."""
    return next(row for row, field in enumerate(fields) if not numeric(field))


def missing(field: str) -> bool:
    return field.lower() in ("", "nan")


def columns_of(found: CsvFile, names: Sequence[str], categorical: Sequence[str]) -> tuple[Column, ...]:
    """What each column is: categories where it is named in `categorical` or is text, else numbers.

    Raises UsageError, with the line, for a column that is both.
    """
    return tuple(column_of(found, name, name in categorical) for name in names)


def column_of(found: CsvFile, name: str, chosen: bool) -> Column:
    fields = found.fields(name, "data.columns")
    if not chosen and parsed(fields) is not None:
        return Column(name)
    if not chosen and any(numeric(field) and not missing(field) for field in fields):
        row = odd(fields)
        raise UsageError(f"{found.at(row, name)}: {fields[row]!r} is no number, and others of the column are; where it "
                         f"is missing leave the field empty{CATEGORIES.format(name)}")
    return Column(name, tuple(sorted(set(fields))))


def table(found: CsvFile, columns: Sequence[Column], may_miss: bool, unseen: str = "error") -> np.ndarray:
    """[R, F] float64, in the order of `columns`, wherever they stand in the file. An empty number is NaN.

    A category that its column has not is one past the last of them where `unseen` is "other". Raises UsageError, with
    line and column, for one where it is "error", for text instead of a number, and for what is missing and may not.
    """
    out = np.empty((len(found), len(columns)))
    for i, column in enumerate(columns):
        if column.categories is None:
            out[:, i] = numbers(found, column.name, may_miss, CATEGORIES.format(column.name))
        else:
            out[:, i] = codes(found, column, may_miss, unseen)
    return out


def numbers(found: CsvFile, name: str, may_miss: bool, hint: str = "") -> np.ndarray:
    """A column, [R] float64, NaN where it is empty. Raises UsageError for what is no number, or too large for one."""
    fields = found.fields(name, "data.columns")
    if (exact := parsed(fields)) is None:
        text = odd(fields)
        raise UsageError(f"{found.at(text, name)}: {fields[text]!r} is no number; where it is missing leave the field "
                         f"empty{hint}")
    if not may_miss and (row := first(np.isnan(exact))) is not None:
        raise UsageError(f"{found.at(row, name)}: the number is missing; data.impute=mean, median or zero fills it in")
    if (row := first(np.abs(exact) > LARGEST)) is not None:
        raise UsageError(f"{found.at(row, name)}: {fields[row]} is infinite as a 32-bit number")
    return exact


def codes(found: CsvFile, column: Column, may_miss: bool, unseen: str) -> np.ndarray:
    """[R], the place of each among the categories of its column."""
    fields = found.fields(column.name, "data.columns")
    known = {category: i for i, category in enumerate(column.categories or ())}
    if not may_miss and "" in fields:
        raise UsageError(f"{found.at(fields.index(''), column.name)}: the category is missing; data.impute=mean, "
                         "median or zero takes a missing one for a category of its own")
    if unseen == "error" and (row := first(field not in known for field in fields)) is not None:
        raise UsageError(f"{found.at(row, column.name)}: the training data has no category {fields[row]!r}; "
                         "trained with data.unseen=other a network takes it for none of those it has")
    return np.array([known.get(field, len(known)) for field in fields])


def first(wrong: Iterable[bool]) -> int | None:
    """The place of the first that is true."""
    if isinstance(wrong, np.ndarray):
        return int(wrong.argmax()) if wrong.any() else None
    return next((i for i, each in enumerate(wrong) if each), None)


@dataclass(frozen=True)
class Target:
    """A column to predict: one of `classes`, or, where there are none, a number."""

    name: str
    classes: tuple[str, ...] = ()
    whole: bool = False                       # the classes are whole numbers, however they are written

    def read(self, found: CsvFile) -> np.ndarray:
        """[R] int64, the place of the class, or [R, 1] float64. Raises UsageError with the line."""
        fields = found.fields(self.name, "data.target")
        if (row := first(map(missing, fields))) is not None:
            word = f" ({fields[row]!r} stands for that)" if fields[row] else ""
            raise UsageError(f"{found.at(row, self.name)}: the target is missing{word}; fill it in, or leave the row "
                             "out")
        if not self.classes:
            return numbers(found, self.name, True, "; data.task=classes takes each value for a class")[:, None]
        known = {name: i for i, name in enumerate(self.classes)}
        named = [class_name(field) if self.whole and numeric(field) else field for field in fields]
        if (row := first(name not in known for name in named)) is not None:
            raise UsageError(f"{found.at(row, self.name)}: the training data has no class {fields[row]!r}")
        return np.array([known[name] for name in named], np.int64)

    def said(self) -> str:
        """How it was understood."""
        if self.classes:
            return f"{self.name!r} has {len(self.classes)} classes to tell apart; data.task=numbers predicts a number"
        return f"{self.name!r} is a number to predict; data.task=classes takes each value for a class"


def class_name(field: str) -> str:
    """Of a whole number: 1 and 1.0 are one class."""
    value = number(field)
    return str(int(value)) if value.is_integer() else field


def target_of(found: CsvFile, name: str, task: str) -> Target:
    """`task` is classes, numbers, or auto: text, and up to 20 different whole numbers, are classes.

    Raises UsageError, with the line, where auto finds text among numbers.
    """
    fields = found.fields(name, "data.target")
    told = [field for field in fields if not missing(field)]
    among = [field for field in told if numeric(field) and math.isfinite(number(field))]
    whole = len(among) == len(told) and all(number(field).is_integer() for field in among)
    if task == "numbers":
        return Target(name)
    if task == "auto" and among and len(among) < len(told):
        text = next(field for field in told if field not in set(among))
        raise UsageError(f"{found.at(fields.index(text), name)}: the target {text!r} is no number, and others are; use "
                         "data.task=classes where each is the name of a class")
    classes = sorted({class_name(field) for field in told}, key=int) if whole else sorted(set(told))
    if task == "auto" and among and not (whole and len(classes) <= FEW):
        return Target(name)
    return Target(name, tuple(classes), whole)
