"""The files of a dataset, where a user says that they are."""

import gzip
import zlib
from pathlib import Path

from ..errors import UsageError

GZIP = b"\x1f\x8b"                # the first bytes of a file that it has packed


def there(path: str, key: str = "data.path") -> Path:
    """Raises UsageError where there is no such thing; `key` is what named it."""
    found = Path(path).expanduser()
    if not found.exists():
        where = "" if found.is_absolute() else f" in {Path.cwd()}"
        raise UsageError(f"{key}={path}: there is no such file or folder{where}")
    return found


def file(path: str, key: str = "data.path") -> Path:
    """Raises UsageError where it is none."""
    if (found := there(path, key)).is_dir():
        raise UsageError(f"{key}={path} is a folder; expected a file")
    return found


def folder(path: str, key: str = "data.path") -> Path:
    """Absolute: it is read by processes that may work in another folder. Raises UsageError where it is none."""
    if not (found := there(path, key)).is_dir():
        raise UsageError(f"{key}={path} is a file; expected a folder")
    return found.absolute()


def content(path: Path) -> bytes:
    """Unpacked, if gzip has packed it, whatever its name says. Raises UsageError for what is damaged."""
    body = path.read_bytes()
    try:
        return gzip.decompress(body) if body[:2] == GZIP else body
    except (OSError, EOFError, ValueError, zlib.error) as error:
        raise UsageError(f"{path} is damaged: {' '.join(str(error).split())}") from None


def ending(path: Path) -> str:
    """Of its name, such as .csv, without the .gz of what gzip has packed."""
    return Path(path.name.removesuffix(".gz")).suffix


def decoded(path: Path) -> str:
    """The text in a file, whatever mark stands at its beginning, also of one that gzip has packed. Raises UsageError,
    with the line, where it is none.
    """
    body = content(path)
    try:
        return body.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = body[:error.start].count(b"\n") + 1
        raise UsageError(f"{path}, line {line:,}: it is not UTF-8 ({error.reason}); save the file as UTF-8") from None


def lines(text: str) -> list[str]:
    """Without the blanks around each, and without an empty one at the end."""
    found = [line.strip() for line in text.split("\n")]
    return found if found[-1] else found[:-1]
