"""What a learner warns of: once in the log, and where a run is reviewed as long as it stands."""

import logging
from collections.abc import Callable, Mapping
from typing import Any

from .contract import Learner
from .media import Text

LOG = logging.getLogger("lab")


class Warns(Learner):
    """Warns once of what `warning` says; with "warned" in `saved` once in all sittings of a run."""

    warned = False

    def warning(self) -> str:
        """What is wrong; empty where nothing is."""
        raise NotImplementedError

    def warn(self) -> None:
        """For `logged`."""
        if not self.warned and (said := self.warning()):
            self.warned = True
            LOG.warning(said)


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
