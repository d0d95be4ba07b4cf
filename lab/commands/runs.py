"""What `eval` and `play` share: a trained agent from a run folder, without touching the folder."""

from collections.abc import Mapping
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

from ..assembly import Assembled, assemble
from ..checkpoint import count_of
from ..chosen import chosen
from ..config import LabConfig
from ..data.described import remembered
from ..errors import ResumeError
from ..folder import fitting
from ..saved_config import changed, load_config
from ..world import Exhibition, World
from .parser import Parser

SEED = 1_000_000


def parser(name: str, about: str) -> Parser:
    made = Parser(name, about)
    made.add_argument("run", type=Path, help="a run folder, or one of its checkpoints")
    made.add_argument("--seed", type=int, default=None,
                      help=f"of the episodes (default: {SEED:,}); another seed, other episodes")
    made.add_argument("changes", nargs="*", default=[], metavar="KEY=VALUE",
                      help="values to change, such as env.options.is_slippery=false")
    return made


def trained(path: Path, seed: int | None, changes: list[str]) -> tuple[LabConfig, Assembled, World, int]:
    """Config, experiment with the trained learner, a world whose episodes come from `seed`, and the checkpoint's count.

    Raises ResumeError where there is no run or no intact checkpoint, and for data that is not what it learned from.
    """
    run, at, state = chosen(path)
    cfg = changed(load_config(run), changes)
    cfg.evaluate.videos, cfg.log.sinks = 0, []
    made = assemble(cfg, kind=partial(Exhibition, run=run))
    with fitting(run):
        if made.data is not None:
            refuse_other_data(made, state["stream"], run)
        made.experiment.learner.load_state_dict(state["learner"])
        if made.normalizer:
            made.normalizer.load_state_dict(saved_statistics(state["stream"]))
    if made.experiment.policy is not None:            # data is evaluated as it was while the run trained
        made.compute.seed = SEED if seed is None else seed
    return cfg, made, Exhibition(cfg, made.compute), count_of(at.resolve())


def refuse_other_data(made: Assembled, stream: Mapping[str, Any], run: Path) -> None:
    """Raises ResumeError where what it learned from could be among what judges it, or columns or classes are others."""
    assert made.data is not None
    if made.experiment.stream.state_dict().get("data") != stream.get("data"):
        raise ResumeError("the training split is not what the run has learned from, which may be in other splits now: "
                          "put back its files and leave out data.*; lab predict takes other examples")
    if made.data.about != remembered(run)[0]:
        raise ResumeError(f"the data has other columns or classes now than {run / 'data.json'} says: put back its "
                          "files")


def saved_statistics(node: Any) -> Any:
    """Those of a normaliser, wherever the stream keeps its environments. Raises KeyError where there are none."""
    for name, child in node.items() if isinstance(node, dict) else ():
        if name == "normalizer":
            return child
        with suppress(KeyError):
            return saved_statistics(child)
    raise KeyError("the checkpoint has no statistics of observations or rewards, which this config normalises")
