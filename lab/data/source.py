"""The dataset that a config names, ready for an agent."""

from pathlib import Path

from ..compute import Compute
from ..config import LabConfig
from ..errors import UsageError, making
from ..host import host
from .config import DataConfig
from .dataset import SPOKEN
from .loaded import Data, loaded

WORDS = {"picture": "pictures", "table": "tables", "sequence": "sequences", "text": "long text",
         "texts": "separate texts", "pairs": "pairs of texts"}
PREPARATION = ("prepare", "impute", "unseen")                         # of numbers


def opened(cfg: LabConfig, compute: Compute, run: Path | None) -> Data:
    """Split and checked; tokens are those of `run`, where one goes on. Raises UsageError where none was chosen, the
    agent does not learn from such data, and for what is wrong with it.
    """
    if cfg.data is None:
        raise UsageError(f"{cfg.agent.name} learns from a dataset: add data=NAME, such as data=digits")
    with making(f"data={cfg.data.name}"):
        found = host().load("data", cfg.data.name)(cfg.data)
    spoken = getattr(found, "kind", None) in SPOKEN
    fits(cfg, found.kind if spoken else found.about.kind)
    if not spoken:
        return loaded(cfg.data, found, compute)
    if run is None:                                   # what goes on has begun with what it has
        no_numbers(cfg.data)
    from .texts import tokenized  # brings in the library of tokenizers

    dataset, tokenizers = tokenized(cfg.data, found, run)
    return loaded(cfg.data, dataset, compute, tokenizers)


def no_numbers(cfg: DataConfig) -> None:
    """Raises UsageError for changes and preparation that text cannot have."""
    asked = [f"data.augment.{name}" for name, value in vars(cfg.augment).items() if value]
    asked += [f"data.{name}" for name in PREPARATION if getattr(cfg, name) != getattr(type(cfg), name)]
    if asked:
        raise UsageError(f"{asked[0]} is for numbers and pictures, and data={cfg.name} is text; leave it out")


def fits(cfg: LabConfig, kind: str) -> None:
    """Raises UsageError for data of a kind that the agent does not learn from, with those that do."""
    takes = getattr(host().entry("agent", cfg.agent.name), "kinds", ())
    if kind in takes:
        return
    fit = sorted(entry.name for entry in host().entries.values()
                 if getattr(entry, "learns_from", "") == "data" and kind in getattr(entry, "kinds", ()))
    said = " or ".join(WORDS.get(each, each) for each in takes)
    raise UsageError(f"{cfg.agent.name} learns from {said}, and data={cfg.data.name} is {WORDS.get(kind, kind)}; "
                     f"agents that learn from it: {', '.join(fit) or 'none'}")
