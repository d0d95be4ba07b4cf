"""A new run, a job of a sweep, or a run that goes on."""

import shutil
import sys
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from . import checkpoint, folder
from .assembly import Assembled, assemble
from .config import LabConfig, world_name
from .errors import DiskError, ResumeError
from .run_folder import RunFolder
from .saved_config import changed, load_config
from .signals import Stop
from .sitting import Sitting
from .version import plugins, versions
from .world import World


def start(cfg: LabConfig, by_hand: str | None) -> int:
    """A new run. Nothing is created before everything fits."""
    made = assemble(cfg)
    path = folder.create(by_hand, world_name(cfg), cfg.agent.name, cfg.seed)
    return trained(made, path).code


def trained(made: Assembled, path: Path) -> Sitting:
    """A sitting in a folder that was made for it, and that is removed where nothing of a run came into it."""
    try:
        with RunFolder(path, made.cfg.agent.name, made.cfg.checkpoint.keep) as record:
            return Sitting(made, record).run(None)
    except (DiskError, Stop):
        if not checkpoint.found(path / "checkpoints"):
            shutil.rmtree(path, ignore_errors=True)
        raise


def sweep_job(cfg: LabConfig, path: str) -> float | None:
    """One job of a sweep, in the folder that Hydra made; the last evaluation is what a sweeper looks at."""
    made = assemble(cfg)
    sitting = trained(made, folder.make(folder.checked(path)))
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
    with RunFolder(path, cfg.agent.name, cfg.checkpoint.keep) as record:
        skipped = list[str]()
        at, state = checkpoint.newest(path / "checkpoints", skipped.append)
        if (maker := state.get("agent")) != cfg.agent.name:
            raise ResumeError(f"{at} was made by {maker}, this run says {cfg.agent.name}")
        made = assemble(cfg, kind=partial(World, run=path))
        other = changes({**last, **run.get("versions", {}), **run.get("plugins", {})},
                        {**made.compute.describe(), **versions(cfg), **plugins()})
        return Sitting(made, record, [*skipped, *other]).run(state).code


def changes(then: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    """Of what the bits of a run may depend on."""
    return [f"{name} was {was} and is {now.get(name, 'absent')} now: the run goes on, but perhaps not to the same bits"
            for name, was in then.items() if was != now.get(name)]


def keep_choices(cfg: LabConfig, last: Mapping[str, Any]) -> None:
    """What `auto` came to at the start stays so."""
    if cfg.compute.precision == "auto" and last.get("precision") in ("fp32", "bf16"):
        cfg.compute.precision = last["precision"]
    if not cfg.compute.threads and isinstance(last.get("threads"), int) and 0 < last["threads"] <= 1024:
        cfg.compute.threads = last["threads"]
