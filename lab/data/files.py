"""The files of a dataset, where a user says that they are."""

from pathlib import Path

from ..errors import UsageError


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
