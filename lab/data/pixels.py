"""One picture as an array. C channels, H and W pixels."""

from collections.abc import Callable
from dataclasses import dataclass
from hashlib import sha256
from io import BytesIO
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from PIL import Image, UnidentifiedImageError

from ..errors import DataError, UsageError

SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".gif", ".webp", ".tif", ".tiff", ".ppm", ".pgm", ".pbm", ".pnm")
GREY = ("1", "L", "LA", "I;16", "I;16B", "I;16L")
Shape = tuple[int, int, int]                  # C, H, W
Found = TypeVar("Found")


@dataclass(frozen=True)
class Look:
    """What must be known of all pictures before one is used."""

    grey: bool
    size: tuple[int, int]                     # H, W
    content: str                              # hash of the file


def files(where: Path, root: Path) -> list[Path]:
    """All below `where` that are not hidden, in the order of their names, relative to `root`."""
    found = [path.relative_to(root) for path in sorted(where.rglob("*")) if path.is_file()]
    return [path for path in found if not any(part.startswith(".") for part in path.parts)]


def is_picture(path: Path) -> bool:
    """By its name."""
    return path.suffix.lower() in SUFFIXES


def look(read: Callable[[], bytes], name: str) -> Look:
    """`read` gives the file, `name` stands in messages. Raises DataError where it does not open as a picture."""
    return opened(read, name, look_of)


def pixels(read: Callable[[], bytes], name: str, shape: Shape) -> np.ndarray:
    """[C, H, W] uint8. Raises DataError where it does not open as a picture."""
    return opened(read, name, lambda image, body: array(image, shape))


def opened(read: Callable[[], bytes], name: str, use: Callable[[Any, bytes], Found]) -> Found:
    try:
        body = read()
        with Image.open(BytesIO(body)) as image:
            if image.mode in ("I", "F"):
                raise ValueError(f"its pixels are 32-bit numbers (mode {image.mode}); save it with 8 or 16 bits")
            return use(image, body)
    except Exception as error:                # each format has its own errors
        why = "it is of no known format" if isinstance(error, UnidentifiedImageError) else str(error)
        raise DataError(f"{name} does not open as a picture: {why}") from error


def look_of(image: Any, body: bytes) -> Look:
    image.load()                              # the whole of it: half a file has a good beginning
    return Look(image.mode in GREY, (image.height, image.width), sha256(body).hexdigest())


def array(image: Any, shape: Shape) -> np.ndarray:
    """[C, H, W] uint8, brought to that size by averaging. What is transparent shows the colour that it hides."""
    channels, height, width = shape
    if image.mode.startswith("I;16"):
        image = Image.fromarray((np.asarray(image) >> 8).astype(np.uint8))
    image = image.convert("L" if channels == 1 else "RGB")
    if image.size != (width, height):
        image = image.resize((width, height), Image.Resampling.BILINEAR)
    found = np.array(image)                                                         # [H, W] or [H, W, 3]
    return found[None] if channels == 1 else np.ascontiguousarray(found.transpose(2, 0, 1))


def shape_of(size: list[int] | None, channels: int | None, looks: list[Look], names: Callable[[int], str]) -> Shape:
    """Of every picture. Raises UsageError where they are of several sizes and none was chosen."""
    first = looks[0].size
    other = next((i for i, each in enumerate(looks) if each.size != first), None)
    if size is None and other is not None:
        raise UsageError(f"the pictures are of several sizes: {names(0)} has {first[0]} x {first[1]} pixels and "
                         f"{names(other)} {looks[other].size[0]} x {looks[other].size[1]}, height first; "
                         f"data.size=[{first[0]},{first[1]}] brings all of them to one")
    height, width = size or first
    return channels or (1 if all(each.grey for each in looks) else 3), height, width
