"""The evaluators of what is made, for whoever makes it."""

import logging

from ..contract import Evaluator, Sample
from .clusters import Clusters
from .gallery import Gallery, Wall
from .inception import Inception
from .lessons import Lessons
from .loaded import Data

LOG = logging.getLogger("lab")


def measured(sample: Sample, data: Data, split: str, most: int, prefix: str = "") -> dict[str, Evaluator]:
    """Those that measure it against a split: of pictures with classes, and of tables. `most`: evaluate.samples."""
    for kind in (Gallery, Clusters):
        if most and kind.fits(data, split):
            return {kind.__name__.lower(): kind(sample, data, split, most, prefix)}
    return {}


def at_the_end(sample: Sample, data: Data, split: str, most: int) -> dict[str, Evaluator]:
    """All that there are for this data, `split` before each name."""
    prefix = f"{split}/"
    found = measured(sample, data, split, most, prefix)
    if most and Lessons.fits(sample, data):
        found["lessons"] = Lessons(sample, data, split, most, prefix)
    if most and not found and data.there:
        LOG.info("what is made will not be measured: that takes a table or pictures of two classes, and more than 10 "
                 "examples in the %s split", split)
    if data.about.kind == "picture":
        found["wall"] = Wall(sample, data.compute, prefix)
    if most and Inception.fits(data):
        found["inception"] = Inception(sample, data, split, most, prefix)
    return found
