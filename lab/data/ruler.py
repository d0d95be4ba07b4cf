"""A classifier of pictures by which what is made is measured. B examples, C channels, H and W pixels, K classes.

It is trained once for a dataset, always in the same way, and kept in the lab's cache under the hash of the training
split, so that all runs of that dataset are measured alike. Its figures are no FID: that has the features of Inception.
"""

import logging
import math
from collections.abc import Iterable
from contextlib import suppress
from hashlib import sha256
from pathlib import Path
from typing import NamedTuple

import safetensors.torch
import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from .. import cache, signals
from ..compute import Compute
from ..errors import UsageError
from ..state import frozen_rng, seed_globals
from .dataset import About, Split
from .loaded import Data
from .prepare import bright

LOG = logging.getLogger("lab")
VERSION = 2                       # of all that follows: another one has other features
CHANNELS, FEATURES, BATCH, RATE = (32, 64), 64, 64, 2e-3
UPDATES, EPOCHS = 940, 4          # at least
SIDE = 32                         # pixels: larger pictures are made smaller


class Looks(NamedTuple):
    """What it sees in pictures. The last features are those that tell classes apart; the others, of the convolutions
    before, also tell what is no picture of any class, such as noise.
    """

    parts: Tensor                 # [B, 256], of four parts of the picture
    features: Tensor              # [B, 64]
    logits: Tensor                # [B, K]


class Ruler(nn.Module):
    """Pictures [B, C, H, W] from 0 to 1 -> what it sees in them."""

    def __init__(self, shape: tuple[int, ...], classes: int):
        super().__init__()
        channels, *sides = shape
        sides = [math.ceil(side * min(SIDE / max(sides), 1)) for side in sides]
        self.smaller = nn.AdaptiveAvgPool2d(tuple(sides))
        layers = list[nn.Module]()
        for wide in CHANNELS:
            pool = 2 if min(sides) >= 4 else 1
            layers += [nn.Conv2d(channels, wide, 3, padding=1), nn.BatchNorm2d(wide), nn.ReLU(), nn.MaxPool2d(pool)]
            channels, sides = wide, [side // pool for side in sides]
        self.layers = nn.Sequential(*layers)
        self.parts = nn.Sequential(nn.AdaptiveAvgPool2d(2), nn.Flatten())
        self.body = nn.Sequential(nn.Flatten(), nn.Linear(channels * sides[0] * sides[1], FEATURES), nn.ReLU())
        self.head = nn.Linear(FEATURES, classes)

    def forward(self, x: Tensor) -> Looks:
        seen = self.layers(2 * self.smaller(x) - 1)
        features = self.body(seen)
        return Looks(self.parts(seen), features, self.head(features))


def ruler(data: Data) -> Ruler:
    """From the cache, or trained now and put there. Of pictures with classes."""
    name = sha256(f"{VERSION} {data.splits['train'].fingerprint()}".encode()).hexdigest()[:16]
    file = cache.folder("rulers") / f"{data.cfg.name}-{name}.safetensors"
    made = fresh(data.about, data.compute)
    try:
        made.load_state_dict(safetensors.torch.load_file(file))
        LOG.info("what is made is measured by the classifier %s", file.stem)
        return made.eval().requires_grad_(False)
    except (OSError, RuntimeError, safetensors.SafetensorError):              # not there yet, or damaged
        LOG.info("training the classifier %s by which what is made is measured: once for these examples", file.stem)
    made = taught(data.about, data.splits["train"], data.compute)
    keep(made, file)
    return made


def fresh(about: About, compute: Compute) -> Ruler:
    """Always with the same weights."""
    with frozen_rng():
        seed_globals(VERSION)
        return Ruler(about.shape, len(about.classes)).to(compute.device)


def taught(about: About, train: Split, compute: Compute) -> Ruler:
    """What becomes of a new one that learns from a split; of the same one always the same."""
    made = fresh(about, compute)
    with frozen_rng(), torch.enable_grad():
        learn(made, train, compute.device)
    return made.eval().requires_grad_(False)


def learn(made: Ruler, train: Split, device: torch.device) -> None:
    rng = torch.Generator().manual_seed(VERSION)
    epochs = max(EPOCHS, math.ceil(UPDATES / max(len(train) // BATCH, 1)))
    orders = [rows for _ in range(epochs) for rows in torch.split(torch.randperm(len(train), generator=rng), BATCH)
              if len(rows) == min(BATCH, len(train))]         # of few examples the variance says little
    optimizer = torch.optim.AdamW(made.parameters(), RATE)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, RATE, len(orders))
    for batch in train.batches(orders, device):
        signals.check()
        loss = cross_entropy(made(bright(batch["x"])).logits, batch["y"])
        optimizer.zero_grad()
        loss.backward()                                       # type: ignore[no-untyped-call]
        optimizer.step()
        schedule.step()


def right(made: Ruler, data: Data, split: str) -> float:
    """The share of a split whose class it says."""
    found = sum(int((made(bright(batch["x"])).logits.argmax(-1) == batch["y"]).sum()) for batch in data.batches(split))
    return found / len(data.splits[split])


def keep(made: Ruler, file: Path) -> None:
    """Where there is no room for it, it is trained again the next time."""
    with suppress(OSError):
        file.unlink()                                 # one that cannot be read
    try:
        cache.write(file, safetensors.torch.save(made.state_dict()))
    except UsageError as error:
        LOG.warning("%s", error)


def seen(made: Ruler, batches: Iterable[Tensor]) -> Looks:
    """Of all pictures in batches of [B, C, H, W]."""
    found = list[Looks]()
    for x in batches:
        signals.check()
        found.append(made(bright(x)))
    return Looks(*map(torch.cat, zip(*found, strict=True)))
