"""The evaluators of what is made, for whoever makes it."""

from ..contract import Evaluator, Sample
from .clusters import Clusters
from .gallery import Gallery, Wall
from .inception import Inception
from .lessons import Lessons
from .loaded import Data


def measured(sample: Sample, data: Data, split: str, prefix: str = "") -> dict[str, Evaluator]:
    """Those that measure it against a split: of pictures with classes, and of tables."""
    for kind in (Gallery, Clusters):
        if kind.fits(data, split):
            return {kind.__name__.lower(): kind(sample, data, split, prefix)}
    return {}


def at_the_end(sample: Sample, data: Data, split: str) -> dict[str, Evaluator]:
    """All that there are for this data, `split` before each name."""
    prefix = f"{split}/"
    found = measured(sample, data, split, prefix)
    if data.about.kind == "picture":
        found["wall"] = Wall(sample, data.compute, prefix)
    if Lessons.fits(sample, data):
        found["lessons"] = Lessons(sample, data, split, prefix)
    if Inception.fits(data):
        found["inception"] = Inception(sample, data, split, prefix)
    return found
