"""A classifier that learns from made examples alone. N examples."""

from collections.abc import Mapping
from functools import cached_property
from typing import Any

from ..contract import Sample
from .dataset import Held, spread
from .loaded import Data
from .ruler import right, ruler, taught


class Lessons:
    """An evaluator: as many examples as there are for training, at most `most`, of its shares of the classes.

    accuracy is that of a classifier which learns from them, on the split (Ravuri & Vinyals 2019); accuracy_real that of
    the same one which learns from as many examples of the training split.
    """

    def __init__(self, sample: Sample, data: Data, split: str, most: int, prefix: str = ""):
        self.sample, self.data, self.split, self.most, self.prefix = sample, data, split, most, prefix

    @staticmethod
    def fits(sample: Sample, data: Data) -> bool:
        """Pictures of which the class is told."""
        return data.about.kind == "picture" and getattr(sample, "classes", 0) > 1

    def __call__(self) -> Mapping[str, Any]:
        data, train = self.data, self.data.splits["train"]
        assert train.y is not None
        y = train.y[spread(train, self.most)]
        x = self.sample(len(y), data.compute.rng("lessons"), y.to(data.compute.device))     # [N, C, H, W]
        made = taught(data.about, Held(x=x.cpu(), y=y), data.compute)
        found = {"accuracy": right(made, data, self.split), "accuracy_real": self.real}
        return {f"{self.prefix}made/{name}": value for name, value in found.items()}

    @cached_property
    def real(self) -> float:
        data, train = self.data, self.data.splits["train"]
        whole = len(train) <= self.most
        net = ruler(data) if whole else taught(data.about, train.take(spread(train, self.most)), data.compute)
        return right(net, data, self.split)
