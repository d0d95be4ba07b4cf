"""MNIST and Fashion-MNIST: four files in the format of LeCun et al. 1998. N pictures of H x W pixels."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from lab import cache
from lab.data.dataset import About, Dataset, Held
from lab.data.files import content, folder
from lab.errors import UsageError

from . import downloads
from .plugin import Idx

SPLITS = {"train": "train", "test": "t10k"}
IMAGES, LABELS = 0x803, 0x801                 # bytes in 3 dimensions, in 1


@dataclass(frozen=True)
class Source:
    classes: tuple[str, ...]
    mirrors: Sequence[str]
    sums: Mapping[str, str]                   # file -> md5
    system: Path | None = None                # where a package of the system puts it
    package: str = ""


SOURCES = {
    "mnist": Source(
        tuple("0123456789"), ("https://ossci-datasets.s3.amazonaws.com/mnist/", "http://yann.lecun.com/exdb/mnist/"),
        {"train-images-idx3-ubyte.gz": "f68b3c2dcbeaaa9fbdd348bbdeb94873",
         "train-labels-idx1-ubyte.gz": "d53e105ee54ea40749a09fcbcd1e9432",
         "t10k-images-idx3-ubyte.gz": "9fb629c4189551a2d022fa330f9573f3",
         "t10k-labels-idx1-ubyte.gz": "ec29112dd5afa0611ce80d1b7f02629c"}),
    "fashion_mnist": Source(
        ("T-shirt/top", "Trouser", "Pullover", "Dress", "Coat", "Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot"),
        ("http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/",),
        {"train-images-idx3-ubyte.gz": "8d4fb7e6c68d591d4c3dfef9ec88bf0d",
         "train-labels-idx1-ubyte.gz": "25c81989df183df01b3e8a0aad5dffbe",
         "t10k-images-idx3-ubyte.gz": "bef4ecab320f06d8554ea6380940ec79",
         "t10k-labels-idx1-ubyte.gz": "bb300cfdad3c16e7a12a480ee83cd310"},
        Path("/usr/share/datasets/fashion-mnist"), "dataset-fashion-mnist"),
}


def build(cfg: Idx) -> Dataset:
    source = SOURCES[cfg.name]
    where = located(cfg, source)
    splits = {name: split(where, prefix) for name, prefix in SPLITS.items()}
    about = About("picture", tuple(splits["train"].tensors["x"].shape[1:]), source.classes)
    return Dataset(about, splits, (f"read from {where}",))


def located(cfg: Idx, source: Source) -> Path:
    if cfg.path:
        return folder(cfg.path)
    if source.system and source.system.is_dir():
        return source.system
    ways = ["name a folder that has the four files with data.path=FOLDER", f"put them into {cache.folder(cfg.name)}"]
    if source.package:
        ways.insert(1, f"apt install {source.package}")
    return downloads.fetched(cfg.name, source.sums, source.mirrors, " or ".join((", ".join(ways[:-1]), ways[-1])))


def split(where: Path, prefix: str) -> Held:
    """Raises UsageError, with the file, for what is missing, damaged or does not fit."""
    images, labels = found(where, f"{prefix}-images-idx3-ubyte"), found(where, f"{prefix}-labels-idx1-ubyte")
    x, y = array(images, IMAGES), array(labels, LABELS)
    if len(x) != len(y):
        raise UsageError(f"{images} has {len(x):,} pictures and {labels} {len(y):,} labels; expected as many")
    if (over := np.flatnonzero(y > 9)).size:
        raise UsageError(f"{labels}: example {over[0] + 1:,} has the label {y[over[0]]}; expected 0 to 9")
    return Held(x=torch.from_numpy(x)[:, None], y=torch.from_numpy(y).long())       # [N, 1, H, W], [N]


def found(where: Path, name: str) -> Path:
    """However it is packed, and with the dot that some packers put into its name."""
    for each in (f"{name}.gz", name, name.replace("-idx", ".idx"), name.replace("-idx", ".idx") + ".gz"):
        if (where / each).is_file():
            return where / each
    raise UsageError(f"{where} has no file {name}.gz or {name}")


def array(path: Path, magic: int) -> np.ndarray:
    """[N, H, W] or [N], uint8."""
    body = content(path)
    came, dimensions = int.from_bytes(body[:4], "big"), magic & 255
    if came != magic:
        raise UsageError(f"{path} begins with {came:#010x}, expected {magic:#010x}: it is no IDX file of "
                         f"{'pictures' if magic == IMAGES else 'labels'}")
    start = 4 + 4 * dimensions
    shape = [int.from_bytes(body[i:i + 4], "big") for i in range(4, start, 4)]
    if len(body) != start + math.prod(shape):
        raise UsageError(f"{path} has {len(body):,} bytes{' unpacked' * (path.suffix == '.gz')}; expected "
                         f"{start + math.prod(shape):,} for the shape {shape}: it is cut off or damaged")
    return np.frombuffer(body, np.uint8, offset=start).reshape(shape).copy()
