"""What `predict` and `export` share: a trained network from a run folder, without its data."""

import os
from functools import partial
from pathlib import Path
from typing import Any

import torch

from ..assembly import Assembled, assemble
from ..checkpoint import count_of, newest, read
from ..config import LabConfig
from ..data.dataset import About
from ..data.described import Described, remembered
from ..errors import ResumeError, UsageError
from ..folder import fitting, read_run
from ..saved_config import load_config
from ..world import Exhibition


def opened(path: Path) -> tuple[LabConfig, Assembled, About, torch.dtype, int]:
    """Config, experiment with what was learned, the data's description, the type of its inputs, the checkpoint's count.

    `path` is a run, of which the best checkpoint counts, else the newest, or one of its checkpoints. Raises ResumeError
    where there is no run or no intact checkpoint, UsageError where the run has nothing to predict with.
    """
    chosen = path if os.path.isfile(path / "manifest.json") else None
    run = path.resolve().parent.parent if chosen else path
    about_run, cfg = read_run(run), load_config(run)
    about, dtype = remembered(run)
    cfg.log.sinks = []
    at, state = found(run, chosen, about_run)
    made = assemble(cfg, kind=partial(Described, about=about))  # type: ignore[arg-type]
    if made.experiment.predict is None:
        raise UsageError(f"{cfg.agent.name} has nothing to predict with")
    if made.experiment.learner.needs_data:
        made = assemble(cfg, kind=Exhibition)
    with fitting(run):
        made.experiment.learner.load_state_dict(state["learner"])
    return cfg, made, about, dtype, count_of(at.resolve())


def found(run: Path, chosen: Path | None, about: dict[str, Any]) -> tuple[Path, dict[str, Any]]:
    best = about.get("best") or {}
    if chosen is None and isinstance(best.get("count"), int):
        chosen = run / "checkpoints" / f"{best['count']:012}"
    if chosen is None:
        return newest(run / "checkpoints", print, whole=False)
    try:
        return chosen, read(chosen, whole=False)
    except (OSError, ValueError) as error:
        raise ResumeError(f"{chosen}: {error}") from None
