"""What a learner warns of, where a run is reviewed."""

from collections.abc import Callable, Mapping
from typing import Any

from .media import Text


class Warned:
    """An evaluator: the text of a warning, as long as `warning` has one to give."""

    def __init__(self, warning: Callable[[], str]):
        self.warning = warning

    def __call__(self) -> Mapping[str, Any]:
        said = self.warning()
        return {"warning": Text(said)} if said else {}

    def names(self) -> list[str]:
        """It has text alone."""
        return []
