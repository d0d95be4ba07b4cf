"""What `predict`, `export` and `sample` share: a trained network from a run folder, without its data."""

from functools import partial
from pathlib import Path

import torch

from ..assembly import Assembled, assemble
from ..checkpoint import count_of
from ..chosen import chosen
from ..config import LabConfig
from ..contract import Experiment
from ..data.dataset import About
from ..data.described import Described, remembered
from ..errors import UsageError
from ..folder import fitting
from ..saved_config import load_config
from ..world import Exhibition


def can(experiment: Experiment, command: str) -> bool:
    """Whether there is something for this command."""
    names = {"predict": ("predict", "cost"), "sample": ("sample", "write")}.get(command, (command,))
    return any(getattr(experiment, name) is not None for name in names)


def opened(path: Path, *uses: str) -> tuple[LabConfig, Assembled, About, torch.dtype, int]:
    """Config, experiment with what was learned, the data's description, the type of its inputs, the checkpoint's count.

    `path` is a run or one of its checkpoints, see `chosen`. Raises ResumeError where there is no run or no intact
    checkpoint, UsageError where the experiment has nothing for any of `uses`: "predict", "cost", "sample" or "write".
    """
    run, at, state = chosen(path)
    cfg, (about, dtype) = load_config(run), remembered(run)
    cfg.log.sinks = []
    made = assemble(cfg, kind=partial(Described, run=run, about=about))
    if all(getattr(made.experiment, use) is None for use in uses):
        others = [f"lab {name}" for name in ("predict", "sample", "translate") if can(made.experiment, name)]
        raise UsageError(f"{cfg.agent.name} has nothing to {uses[0]} with"
                         + (f"; what it can do: {', '.join(others)}" if others else ""))
    if made.experiment.learner.needs_data:
        made = assemble(cfg, kind=partial(Exhibition, run=run))
    with fitting(run):
        made.experiment.learner.load_state_dict(state["learner"])
    return cfg, made, about, dtype, count_of(at.resolve())
