"""Pictures, clips, text and histograms as files of a run: media/<name>/<count>.<kind>.

N images, H and W pixels, C channels. Pixels are uint8, or floats from 0 (black) to 1.
"""

import importlib
import io
import json
import math
from collections.abc import Iterator, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray
from PIL import Image

from .errors import LabError, UsageError


class Table(str):
    """CSV with a header: kept as a file, and shown as text."""


class Text(str):
    """Markdown."""


class Counts(NamedTuple):
    """Of a yes or no at T thresholds, evenly from 0 to 1: a curve of precision over recall."""

    true_positives: list[int]
    false_positives: list[int]
    true_negatives: list[int]
    false_negatives: list[int]


class Codes(NamedTuple):
    """Points for TensorBoard's projector, each with a label and a picture where there are any."""

    points: NDArray[Any]                          # [N, Z]
    labels: Sequence[str] = ()                    # [N]
    pictures: NDArray[np.uint8] | None = None     # [N, H, W] or [N, H, W, 3]


FPS = 30                          # of films
FASTEST = 50                      # frames per second: browsers show a GIF frame of under 20 ms for 100 ms


def place(run: Path, name: str, count: int, kind: str) -> Path:
    """The file for `name` ("eval/episode") at `count`; `kind` is ".gif", ".png", ".md" or ".json". Makes its folder."""
    path = Path(run) / "media" / name / f"{count:012}{kind}"
    path.parent.mkdir(parents=True, exist_ok=True)
    return path


def placed(run: Path) -> Iterator[tuple[int, str, Path]]:
    """(count, name, path) of every file that `place` has named, by name and then by count."""
    root = Path(run) / "media"
    for path in sorted(root.rglob("*")):
        if path.is_file() and path.stem.isdecimal():
            yield int(path.stem), path.parent.relative_to(root).as_posix(), path


def pixels(image: ArrayLike) -> NDArray[Any]:
    """[H, W], [H, W, C] or a batch of these, as uint8; floats are clipped to 0..1. Raises LabError."""
    array = np.asarray(image)
    if array.dtype == np.uint8:
        return array
    if not np.issubdtype(array.dtype, np.floating):
        raise LabError(f"an image is uint8, or float from 0 to 1; this one is {array.dtype}: convert it first")
    bright: NDArray[Any] = np.round(np.nan_to_num(array).clip(0, 1) * 255)
    return bright.astype(np.uint8)


def picture(image: ArrayLike) -> Image.Image:
    """A Pillow image of [H, W], [H, W, 1], [H, W, 3] or, without how opaque it is, [H, W, 4].

    Raises LabError for another shape or type.
    """
    array = pixels(image)
    if array.ndim == 3 and array.shape[2] == 1:
        array = array[:, :, 0]                                          # [H, W]
    if array.ndim == 3 and array.shape[2] == 4:
        array = array[:, :, :3]                                         # [H, W, 3]
    if array.ndim == 2 or (array.ndim == 3 and array.shape[2] == 3):
        return Image.fromarray(array)
    raise LabError(f"an image has the shape [H, W], [H, W, 1], [H, W, 3] or [H, W, 4]; this one has "
                   f"{list(array.shape)}")


def png(image: ArrayLike) -> bytes:
    """What `picture` takes as a PNG file. Raises LabError for another shape or type."""
    file = io.BytesIO()
    picture(image).save(file, "PNG")
    return file.getvalue()


def gif(frames: Sequence[ArrayLike], fps: float, width: int = 320) -> bytes:
    """Frames [H, W, 3] as a GIF of at most `width` pixels that plays at the speed of `fps` frames per second.

    All frames share one palette of 256 colours; above 50 per second every second (third, ...) frame is left out.
    Raises LabError where there is no frame, or one is no image.
    """
    if not len(frames) or fps <= 0:
        raise LabError(f"a clip needs a frame, and more than 0 of them per second; got {len(frames)}, {fps} per second")
    step = math.ceil(fps / FASTEST)
    images = [shrink(picture(frame), width) for frame in frames[::step]]
    palette = common_palette(images)
    images = [image.convert("RGB").quantize(palette=palette, dither=Image.Dither.NONE) for image in images]
    file, times = io.BytesIO(), durations(len(images), fps / step)
    images[0].save(file, "GIF", save_all=True, append_images=images[1:], loop=0, duration=times)
    return file.getvalue()


def shrink(image: Image.Image, width: int) -> Image.Image:
    """At most `width` pixels wide, in the same proportions."""
    if image.width <= width:
        return image
    return image.resize((width, max(1, round(image.height * width / image.width))), Image.Resampling.BILINEAR)


def common_palette(images: Sequence[Image.Image]) -> Image.Image:
    """256 colours for a clip, taken from up to eight of its frames."""
    some = images[:: max(1, len(images) // 8)][:8]
    sheet = Image.fromarray(np.concatenate([np.asarray(image.convert("RGB")) for image in some]))
    return sheet.quantize(256, Image.Quantize.MEDIANCUT)


def durations(n: int, fps: float) -> list[int]:
    """[n] milliseconds per frame: whole hundredths of a second, as GIF has them, that add up to n / fps seconds."""
    ends = [10 * round(100 * i / fps) for i in range(n + 1)]
    return [end - start for start, end in pairwise(ends)]


def mp4(frames: Sequence[ArrayLike], path: Path, fps: float) -> None:
    """Frames [H, W, 3] as an H.264 file; an odd last row or column is cut off. Raises UsageError without imageio."""
    try:
        imageio: Any = importlib.import_module("imageio.v2")
        importlib.import_module("imageio_ffmpeg")
    except ImportError as error:
        raise UsageError('MP4 needs imageio with ffmpeg: pip install "pluglab[video]", or write a GIF') from error
    with imageio.get_writer(path, fps=fps, macro_block_size=1) as writer:
        for frame in frames:
            array = np.asarray(picture(frame).convert("RGB"))           # [H, W, 3]
            height, width = array.shape[0] // 2 * 2, array.shape[1] // 2 * 2
            writer.append_data(array[:height, :width])


def histogram(values: ArrayLike, bins: int = 64) -> bytes:
    """The finite values as JSON {"counts": [bins], "edges": [bins + 1], "sum", "sum_squares"}; none: LabError."""
    array = np.asarray(values, np.float64).ravel()
    array = array[np.isfinite(array)]
    if not array.size:
        raise LabError("a histogram needs at least one finite value")
    counts, edges = np.histogram(array, bins)
    moments = {"sum": float(array.sum()), "sum_squares": float(array @ array)}
    return json.dumps({"counts": counts.tolist(), "edges": edges.tolist(), **moments}).encode()


def packed(codes: Codes) -> bytes:
    """As the arrays of `Codes`, pictures in colour."""
    pictures = np.zeros((0, 1, 1, 3), np.uint8) if codes.pictures is None else codes.pictures
    colours = pictures if pictures.ndim == 4 else np.repeat(pictures[..., None], 3, -1)     # [N, H, W, 3]
    file = io.BytesIO()
    np.savez_compressed(file, points=codes.points, labels=np.array(codes.labels, str), pictures=colours)
    return file.getvalue()


def encoded(value: Any) -> tuple[str, bytes]:
    """The kind of file, and what stands in it: a picture [H, W, 3], a film [T, H, W, 3], codes, a table, text, counts,
    or a tensor, whose histogram it is.
    """
    if isinstance(value, Codes):
        return ".npz", packed(value)
    if isinstance(value, Table):
        return ".csv", value.encode()
    if isinstance(value, Text):
        return ".md", value.encode()
    if isinstance(value, Counts):
        return ".pr", json.dumps(value._asdict()).encode()
    if not isinstance(value, np.ndarray):
        return ".json", histogram(value.detach().float().cpu().numpy())
    return (".png", png(value)) if value.ndim == 3 else (".gif", gif(list(value), FPS))
