"""Pictures of how good predictions are: uint8 [H, W, 3]. N examples, K classes."""

import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

Picture = NDArray[np.uint8]
NAMED = 30                        # classes up to which an axis has room for their names
CELL = 56                         # pixels up to which a picture in a grid is enlarged


def figure(width: float, height: float) -> Any:
    """Of so many inches. Matplotlib is imported when it is needed, and keeps no state here."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    made = Figure((width, height), dpi=100, layout="constrained")
    FigureCanvasAgg(made)
    return made


def name(text: str) -> str:
    """To be drawn as it is: matplotlib takes what stands between two $ for a formula, and leaves _x out of a legend."""
    text = text.replace("$", r"\$")
    return f" {text}" if text.startswith("_") else text


def drawn(made: Any) -> Picture:
    """Letters that the font does not have are boxes."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Glyph", UserWarning)
        made.canvas.draw()
    return np.ascontiguousarray(np.asarray(made.canvas.buffer_rgba())[:, :, :3])


def confusion(counts: NDArray[np.int64], classes: Sequence[str]) -> Picture:
    """Of counts [K, K]: rows are the true classes, columns what was said; shades are shares of a row."""
    made, k = figure(*2 * [min(3 + 0.35 * len(classes), 14)]), len(classes)
    axes = made.add_subplot()
    axes.imshow(counts / np.maximum(counts.sum(1, keepdims=True), 1), cmap="Blues", vmin=0, vmax=1)
    axes.set(xlabel="predicted", ylabel="true")
    if k <= NAMED:
        axes.set_xticks(range(k), list(map(name, classes)), rotation=90)
        axes.set_yticks(range(k), list(map(name, classes)))
        for i, j in np.argwhere(counts):
            dark = counts[i, j] > counts[i].sum() / 2
            axes.text(j, i, counts[i, j], ha="center", va="center", fontsize=7, color="white" if dark else "black")
    return drawn(made)


def curves(lines: Sequence[tuple[str, NDArray[Any], NDArray[Any]]], across: str, up: str) -> Picture:
    """Of (name, x, y) in the unit square, such as the ROC of each class."""
    made = figure(6.4 if len(lines) <= NAMED else 5, 5)
    axes = made.add_subplot()
    for line, x, y in lines:
        axes.plot(x, y, label=name(line), linewidth=1)
    axes.set(xlabel=across, ylabel=up, xlim=(-0.01, 1.01), ylim=(-0.01, 1.01))
    if len(lines) <= NAMED:
        axes.legend(fontsize=7, bbox_to_anchor=(1.01, 1), loc="upper left")
    return drawn(made)


def reliability(confidence: NDArray[Any], accuracy: NDArray[Any], counts: NDArray[Any]) -> Picture:
    """Mean confidence and accuracy of each bin [M], as large as its share of the examples; the line is perfect."""
    made = figure(5, 5)
    axes, there = made.add_subplot(), counts > 0
    axes.plot([0, 1], [0, 1], color="grey", linewidth=1)
    axes.scatter(confidence[there], accuracy[there], s=10 + 400 * counts[there] / counts.sum())
    axes.set(xlabel="confidence", ylabel="accuracy", xlim=(-0.02, 1.02), ylim=(-0.02, 1.02))
    return drawn(made)


def captioned(pictures: Sequence[NDArray[Any]], captions: Sequence[str], columns: int = 5) -> Picture:
    """A grid of pictures [H, W] or [H, W, 3], floats from 0 to 1, with a line of text above each."""
    rows = -(-len(pictures) // columns)
    made = figure(1.7 * columns, 2 * rows)
    for i, (picture, caption) in enumerate(zip(pictures, captions, strict=True)):
        axes = made.add_subplot(rows, columns, i + 1)
        axes.imshow(picture, cmap="gray", vmin=0, vmax=1)
        axes.set_title(name(caption), fontsize=7)
        axes.axis("off")
    return drawn(made)


def scatter(x: NDArray[Any], y: NDArray[Any], across: str, up: str) -> Picture:
    """Points [N] and the line where both are equal."""
    made = figure(5, 5)
    axes, ends = made.add_subplot(), [float(min(x.min(), y.min())), float(max(x.max(), y.max()))]
    axes.plot(ends, ends, color="grey", linewidth=1)
    axes.scatter(x, y, s=6, alpha=0.5)
    axes.set(xlabel=across, ylabel=up)
    return drawn(made)


def points(sets: Sequence[tuple[str, NDArray[Any]]]) -> Picture:
    """Sets of points [N, 2] by name, one over the other."""
    made = figure(5, 5)
    axes = made.add_subplot()
    for label, each in sets:
        axes.scatter(each[:, 0], each[:, 1], s=4, alpha=0.5, label=name(label))
    axes.legend(fontsize=7, loc="upper right")
    return drawn(made)


def shown(x: Any) -> NDArray[Any]:
    """Pictures [n, C, H, W] as numbers from 0 to 1, uint8 or float, as [n, H, W] or, of three channels or more, [n, H,
    W, 3].
    """
    bright: NDArray[Any] = x.cpu().float().numpy() / (1 if x.is_floating_point() else 255)
    return np.moveaxis(bright, 1, -1)[..., :3] if x.shape[1] >= 3 else bright[:, 0]


def tiles(pictures: NDArray[Any], columns: int) -> Picture:
    """Pictures [n, H, W] or [n, H, W, 3], floats from 0 to 1, row by row, each pixel enlarged, a grey line between."""
    n, height, width = pictures.shape[:3]
    rows, zoom = -(-n // columns), max(1, CELL // max(height, width))
    colours = pictures if pictures.ndim == 4 else np.repeat(pictures[..., None], 3, -1)
    large = np.round(np.clip(colours, 0, 1) * 255).astype(np.uint8).repeat(zoom, 1).repeat(zoom, 2)
    sheet = np.full((rows, height * zoom + 1, columns, width * zoom + 1, 3), 128, np.uint8)
    for i, picture in enumerate(large):
        sheet[i // columns, :-1, i % columns, :-1] = picture
    return np.ascontiguousarray(sheet.reshape(rows * (height * zoom + 1), columns * (width * zoom + 1), 3)[:-1, :-1])
