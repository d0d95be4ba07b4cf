"""python -m lab_sb3 import MODEL.zip env=NAME, python -m lab_sb3 export RUN MODEL.zip"""

import sys
from dataclasses import fields
from pathlib import Path
from typing import Any

from lab import folder, screen
from lab.argv import key, split, take
from lab.assembly import Assembled, assemble
from lab.budget import Budget
from lab.checkpoint import disk_error
from lab.commands.runs import trained
from lab.compose import composed
from lab.config import world_name
from lab.errors import LabError, UsageError
from lab.host import host
from lab.run_folder import RunFolder
from lab.sitting import Sitting

USAGE = """expected one of these:
  python -m lab_sb3 import MODEL.zip env=NAME [KEY=VALUE ...]
  python -m lab_sb3 export RUN MODEL.zip"""


def main(argv: list[str]) -> int:
    """Returns the exit code; a user's mistake is one paragraph."""
    screen.install()
    try:
        if len(argv) > 1 and argv[0] == "import":
            return bring(Path(argv[1]), split(argv[2:])[1])
        if len(argv) == 3 and argv[0] == "export":
            return export(Path(argv[1]), Path(argv[2]))
        raise UsageError(USAGE)
    except LabError as error:
        screen.complain(error)
        return error.exit_code


def bring(path: Path, overrides: list[str]) -> int:
    """Makes a run folder of a .zip, evaluated and ready for eval, play, export and resume=."""
    from .zip_values import found
    from .zips import agent_of, fill, read_data

    place, overrides = take(overrides, "hydra.run.dir")
    data = read_data(path)
    agent, given = agent_of(path, data), {key(each) for each in overrides}
    if "env" not in given:
        raise UsageError(f"{path} does not say which environment it plays: add env=NAME, such as env=CartPole")
    names = {f"agent.{each.name}" for each in fields(host().entry("agent", agent).config)} - given
    seen = found(path, agent, data, {each.partition(".")[2] for each in names})
    rest = [f"agent.{name}={'null' if value is None else value}" for name, value in seen.values.items()]
    cfg = composed([f"+agent={agent}", *rest, *overrides])
    if "optimizer_class" in cfg.agent.policy_kwargs:
        seen.policy_kwargs.pop("optimizer_kwargs", None)      # they are of the other one
    cfg.agent.policy_kwargs = {**seen.policy_kwargs, **cfg.agent.policy_kwargs}
    made = assemble(cfg)
    fill(model_of(made).policy, path, data)
    run = folder.create(place, world_name(cfg), agent, cfg.seed)
    with RunFolder(run, agent, cfg.checkpoint.keep) as record:
        sitting = Sitting(made, record, unread(path, seen.unread, cfg.agent))
        sitting.budget = Budget(seconds=1e-9)                 # nothing is trained: evaluated, filmed and saved
        code = sitting.run(None).code
    print(f"{path} is the run {run} now, with the weights of the file. Train it further with: {folder.going_on(run)} "
          "budget.steps=...")
    return code


def unread(path: Path, names: list[str], agent: Any) -> list[str]:
    """A warning about what a file says and the lab does not read, with the values in its place; or nothing."""
    place = [f"agent.{name}={getattr(agent, name)}" for name in names if hasattr(agent, name)]
    instead = f". In their place: {', '.join(place)}; give others on the command line" if place else ""
    what = f"not read from {path}, since only code could or the lab has no such thing: {', '.join(names)}{instead}"
    return [what] if names else []


def model_of(made: Assembled) -> Any:
    """The algorithm of Stable-Baselines3 in it."""
    learner: Any = made.experiment.learner
    return learner.model


def export(run: Path, path: Path) -> int:
    """Writes a .zip that the algorithm's own load() reads."""
    if path.exists() or path.suffix != ".zip":
        raise UsageError(f"{path}: expected the name of a new file that ends in .zip")
    cfg, made, _, count = trained(run, 0, [])
    if not cfg.agent.name.startswith("sb3_"):
        raise UsageError(f"{run} is of the agent {cfg.agent.name}; only those named sb3_... become a .zip")
    model = model_of(made)
    model.num_timesteps, model._total_timesteps = count, max(cfg.agent.total_timesteps or 0, count, 1)
    model._update_current_progress_remaining(count, model._total_timesteps)
    if hasattr(model, "exploration_schedule"):
        model.exploration_rate = model.exploration_schedule(model._current_progress_remaining)
    try:
        model.save(path)
    except OSError as error:
        raise disk_error(error, path) from error
    print(f"{path}: {type(model).__name__} after {count:,} steps")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
