"""Where a command writes what it was asked for."""

from pathlib import Path

from .. import checkpoint
from ..errors import UsageError


def checked(out: Path, endings: tuple[str, ...]) -> str:
    """Its ending. Raises UsageError where it has another, or lies in no folder."""
    kind = out.suffix.lower()
    if kind not in endings:
        raise UsageError(f"--out {out}: expected a name that ends in {', '.join(endings)}")
    if not out.parent.is_dir():
        raise UsageError(f"--out {out}: there is no folder {out.parent}")
    return kind


def write(out: Path, body: bytes) -> None:
    """Raises DiskError."""
    try:
        out.write_bytes(body)
    except OSError as error:
        raise checkpoint.disk_error(error, out) from error
