"""A new run, a job of a sweep, or a run that goes on."""

import logging
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from . import checkpoint, folder
from .assembly import assemble, budget_of
from .config import LabConfig, world_name
from .errors import ResumeError
from .run_folder import RunFolder
from .saved_config import changed, load_config
from .sitting import Sitting

LOG = logging.getLogger("lab")


def start(cfg: LabConfig, by_hand: str | None) -> int:
    """A new run. Nothing is created before everything fits."""
    made = assemble(cfg)
    budget_of(cfg, made.experiment)
    path = folder.create(by_hand, world_name(cfg), cfg.agent.name, cfg.seed)
    return Sitting(made, path).run(None).code


def sweep_job(cfg: LabConfig, path: str) -> float | None:
    """One job of a sweep, in the folder that Hydra made; the last evaluation is what a sweeper looks at."""
    sitting = Sitting(assemble(cfg), folder.make(folder.checked(path))).run(None)
    if sitting.code:
        sys.exit(sitting.code)
    final = sitting.runner.final
    return next((final[name] for name in ("eval/return/mean", "eval/loss", "eval/accuracy") if name in final), None)


def resume(path: Path, overrides: Sequence[str]) -> int:
    """Go on with a run, in place. Raises ResumeError where it cannot be."""
    run = folder.read_run(path)
    cfg = changed(load_config(path), overrides)
    last = run["sittings"][-1] if run.get("sittings") else {}
    keep_choices(cfg, last)
    with RunFolder(path, cfg.agent.name, cfg.checkpoint.keep):      # refused before anything slow
        at, state = checkpoint.newest(path / "checkpoints", LOG.warning)
    made = assemble(cfg)
    if (maker := state.get("agent")) != cfg.agent.name:
        raise ResumeError(f"{at} was made by {maker}, this run says {cfg.agent.name}")
    for name, then in last.items():
        now = made.compute.describe().get(name)
        if now != then:
            LOG.warning("%s was %s and is %s now: the run goes on, but not to the same bits", name, then, now)
    return Sitting(made, path).run(state).code


def keep_choices(cfg: LabConfig, last: Mapping[str, Any]) -> None:
    """What `auto` came to at the start stays so."""
    if cfg.compute.precision == "auto" and last.get("precision") in ("fp32", "bf16"):
        cfg.compute.precision = last["precision"]
    if not cfg.compute.threads and isinstance(last.get("threads"), int) and 0 < last["threads"] <= 1024:
        cfg.compute.threads = last["threads"]
