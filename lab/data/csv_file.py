"""A csv file as text, each row with its line. R rows."""

import csv
import io
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from ..errors import UsageError, closest
from .files import decoded


@dataclass(frozen=True)
class CsvFile:
    path: Path
    header: tuple[str, ...]                   # names of the columns
    rows: list[list[str]]                     # [R][columns], without the blanks around a field
    lines: list[int]                          # [R], where each begins; the first line of a file is 1

    def __len__(self) -> int:
        return len(self.rows)

    def position(self, name: str, key: str) -> int:
        """Of a column. Raises UsageError, with the nearest right name, where there is none; `key` is what named it."""
        if name not in self.header:
            one = f" (is data.separator right? The whole header is {self.header[0]!r})" if len(self.header) == 1 else ""
            raise UsageError(f"{key}={name}: {self.path} has no such column{one}. {closest(name, self.header)}")
        return self.header.index(name)

    def fields(self, name: str, key: str) -> list[str]:
        """[R] of a column."""
        place = self.position(name, key)
        return [row[place] for row in self.rows]

    def ids(self, name: str) -> list[str]:
        """[R], of which sequence each row is. Raises UsageError, with the line, for a row that does not say so."""
        found = self.fields(name, "data.id")
        if "" in found:
            raise UsageError(f"{self.at(found.index(''), name)} is empty: it says of which sequence a row is")
        return found

    def at(self, row: int, column: str = "") -> str:
        """Where that is, for messages."""
        return f"{self.path}, line {self.lines[row]:,}" + (f", column {column!r}" if column else "")


def read(path: Path, separator: str = ",") -> CsvFile:
    """Raises UsageError, with the line, for what is no csv file with a header and at least one row."""
    rows = list(trimmed(path, parsed(path, decoded(path), separator)))
    if not rows:
        raise UsageError(f"{path} is empty; expected a line with the names of the columns, and rows")
    header = tuple(field.strip() for field in rows[0][1])
    check_header(path, header)
    if not rows[1:]:
        raise UsageError(f"{path} has a header and no row")
    for line, row in rows[1:]:
        if len(row) != len(header):
            raise UsageError(f"{path}, line {line:,}: {len(row)} fields, and the header has {len(header)}; a field "
                             f"that holds {separator!r} stands in quotes")
    return CsvFile(path, header, [[field.strip() for field in row] for _, row in rows[1:]],
                   [line for line, _ in rows[1:]])


def parsed(path: Path, text: str, separator: str) -> Iterator[tuple[int, list[str]]]:
    """Each row with the line in which it begins."""
    csv.field_size_limit(max(len(text), csv.field_size_limit()))
    reader, line = csv.reader(io.StringIO(text, newline=""), delimiter=separator, strict=True), 1
    try:
        for row in reader:
            yield line, row
            line = reader.line_num + 1
    except csv.Error as error:
        raise UsageError(f"{path}, line {line:,}: {error}") from None


def trimmed(path: Path, rows: Iterable[tuple[int, list[str]]]) -> Iterator[tuple[int, list[str]]]:
    """Without the empty lines at the end. Raises UsageError for one before it."""
    empty = 0
    for line, row in rows:
        if row and empty:
            raise UsageError(f"{path}, line {empty:,} is empty; remove it")
        if row:
            yield line, row
        else:
            empty = empty or line


def check_header(path: Path, header: tuple[str, ...]) -> None:
    if "" in header:
        raise UsageError(f"{path}: column {header.index('') + 1} has no name in the header; give it one, or take the "
                         "column out")
    if twice := next((name for name, times in Counter(header).items() if times > 1), None):
        raise UsageError(f"{path}: the header names the column {twice!r} twice")
