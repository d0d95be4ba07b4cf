"""From a config to a finished run, and from a run folder onwards."""

import logging
import platform
import sys
import traceback
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from datetime import datetime
from importlib import metadata
from pathlib import Path
from typing import Any

import torch
from omegaconf import OmegaConf

from . import __version__, checkpoint, folder, signals
from .compute import Compute, count_parameters
from .config import LabConfig, plain_of, world_name
from .contract import Experiment
from .errors import DiskError, LabError, ResumeError, UsageError
from .folder import RunFolder
from .host import host
from .progress import Progress
from .runner import Budget, Periods, Runner
from .saved_config import changed, load_config
from .screen import SCREEN
from .sinks import Guarded, TensorBoard
from .state import seed_globals
from .version import git_commit
from .video import Video
from .world import World

LOG = logging.getLogger("lab")


@dataclass
class Assembled:
    cfg: LabConfig
    compute: Compute
    experiment: Experiment


def assemble(cfg: LabConfig, initial: int | None = None) -> Assembled:
    """Build everything that the config names; `initial` seeds the first weights, the run's seed unless a test wants others.

    Raises UsageError for what does not fit together.
    """
    seed_globals(cfg.seed if initial is None else initial)
    compute = Compute(cfg.compute, cfg.seed)
    world = World(cfg, compute)
    build = host().load("agent", cfg.agent.name)
    try:
        experiment: Experiment = build(cfg.agent, world)
    except LabError:
        raise
    except Exception as error:
        raise BuildError(f"the agent {cfg.agent.name} could not be built: {type(error).__name__}: {error}. "
                         "LAB_DEBUG=1 shows the traceback") from error
    for name in cfg.log.sinks:
        host().entry("sink", name)
    compute.settle(count_parameters(experiment.learner))
    evaluators, closing, policy = dict(experiment.evaluators), dict(experiment.closing), experiment.policy
    if policy is not None:
        evaluators = {"return": world.returns(policy), **evaluators}
        films = cfg.evaluate.videos
        if films:
            closing["video"] = Video(world.make_env, policy, films, compute, cfg.evaluate.max_steps)
    if cfg.log.histograms:
        evaluators["weights"] = lambda: weights(experiment.learner)
    return Assembled(cfg, compute, replace(experiment, evaluators=evaluators, closing=closing))


class BuildError(LabError):
    """A plugin's own mistake."""


def weights(learner: object) -> Mapping[str, torch.Tensor]:
    modules = {name: value for name, value in vars(learner).items() if isinstance(value, torch.nn.Module)}
    return {f"weights/{name}.{key}": p for name, module in modules.items() for key, p in module.named_parameters()}


def budget_of(cfg: LabConfig, experiment: Experiment) -> Budget:
    """Raises UsageError for epochs where the stream has none."""
    budget, length, inf = cfg.budget, experiment.stream.epoch_length, float("inf")
    if budget.epochs and not length:
        raise UsageError("budget.epochs needs a dataset; an environment has no epochs. Use budget.steps")
    epochs = budget.epochs * length if budget.epochs and length else inf
    return Budget(min(budget.steps or inf, epochs), budget.updates or inf, (budget.minutes or inf) * 60)


def start(cfg: LabConfig, by_hand: str | None) -> int:
    """A new run. Nothing is created before everything fits."""
    made = assemble(cfg)
    budget_of(cfg, made.experiment)
    path = folder.create(by_hand, world_name(cfg), cfg.agent.name, cfg.seed)
    return Sitting(made, path).run(None).code


def sweep_job(cfg: LabConfig, path: str) -> float | None:
    """One job of a sweep, in the folder that Hydra made; the last evaluation is what a sweeper looks at."""
    sitting = Sitting(assemble(cfg), folder.make(Path(path))).run(None)
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
    with RunFolder(path, cfg.agent.name, cfg.checkpoint.keep):         # before anything slow; taken again for the run itself
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
    if not cfg.compute.threads and isinstance(last.get("threads"), int):
        cfg.compute.threads = last["threads"]


class Sitting:
    """One stretch of training in one run folder, from a start or a resume to its end."""

    def __init__(self, made: Assembled, path: Path):
        self.made, self.path, self.code, self.status = made, path, 0, "running"
        self.cfg, self.stream = made.cfg, made.experiment.stream
        self.budget = budget_of(made.cfg, made.experiment)
        self.old = folder.read_run(path) if (path / "run.json").exists() else {}

    def run(self, state: Mapping[str, Any] | None) -> "Sitting":
        """Train; sets `code` to the exit code. Raises LabError after leaving error.txt."""
        cfg = self.cfg
        with ExitStack() as stack:
            self.record = stack.enter_context(RunFolder(self.path, cfg.agent.name, cfg.checkpoint.keep))
            stack.enter_context(signals.handling())
            stack.enter_context(log_file(self.path))
            periods = Periods(cfg.log.every or 1, cfg.evaluate.every or 1, cfg.checkpoint.every or 1)
            self.runner = Runner(self.made.experiment, self.made.compute, self.record, periods)
            self.sinks = Guarded([TensorBoard(self.path), *(self.tracker(name) for name in cfg.log.sinks)])
            if state is not None:
                self.load(state)              # a refusal leaves everything as it was
            try:
                self.train(state is None)
            except signals.Stop as stop:
                self.status, self.code = "stopped", stop.exit_code
                ending = f"stopped by {stop} at {self.at()}, saved. Go on with: python -m lab resume={self.path}"
            except LabError as error:
                raise self.failed(error) from error
            except Exception as error:
                what = f"{cfg.agent.name} failed: {type(error).__name__}: {error}"
                raise self.failed(LabError(what)) from error
            finally:
                self.record.write_json("run.json", self.describe())
                self.sinks.close(self.status)
            LOG.info("%s", ending if self.code else f"finished at {self.at()}: {self.path}")
        return self

    def load(self, state: Mapping[str, Any]) -> None:
        try:
            self.runner.load(state)
        except (KeyError, ValueError, RuntimeError, TypeError, IndexError) as error:
            text = " ".join(str(error).split())[:500]
            raise ResumeError(f"the checkpoint of {self.path} does not fit this code and config: {text}") from error
        self.record.cut(self.runner.updates)
        self.sinks.restart(self.stream.count)

    def train(self, new: bool) -> None:
        """A new run writes its first checkpoint at once: a disk that cannot hold it is found out now."""
        self.record.write_json("run.json", self.describe())
        self.record.write_text("config.yaml", OmegaConf.to_yaml(OmegaConf.create(plain_of(self.cfg))))
        self.record.listeners.append(self.to_sinks)
        self.record.on_media = self.sinks.media
        if new:
            self.sinks.start(plain_of(self.cfg))
            self.runner.save()
        self.introduce()
        with self.progress() as progress:
            self.record.listeners.append(lambda count, seconds, metrics: progress.update(metrics))
            with SCREEN.beside(progress):
                self.runner.run(self.budget)
        self.status = "finished"

    def at(self) -> str:
        return f"{self.stream.count:,} {self.stream.unit}"

    def failed(self, error: LabError) -> LabError:
        """Leaves the traceback in error.txt; the same error, with what to do."""
        self.status = {3: "diverged"}.get(error.exit_code, "failed")
        self.record.write_text("error.txt", traceback.format_exc())
        kept = checkpoint.found(self.record.checkpoints)
        where = f"The last checkpoint is of {checkpoint.count_of(kept[0]):,} {self.stream.unit}. " if kept else ""
        advice = {3: f"Try a smaller learning rate: python -m lab resume={self.path} optimizer.lr=..."}
        rest = advice.get(error.exit_code, f"Go on with: python -m lab resume={self.path}")
        if isinstance(error, DiskError):
            return error
        return type(error)(f"{error}. {where}{rest}. The traceback is in {self.path / 'error.txt'}")

    def tracker(self, name: str) -> Any:
        entry = host().entry("sink", name)
        return host().load("sink", name)(entry.config(), self.path)

    def to_sinks(self, count: int, seconds: float, metrics: Mapping[str, float]) -> None:
        self.sinks.write(count, metrics, datetime.now().timestamp())

    def progress(self) -> Progress:
        steps, updates, seconds = self.budget.steps, self.budget.updates, self.budget.seconds
        runner, stream = self.runner, self.stream

        def fraction() -> float:
            return max(stream.count / steps, runner.updates / updates, runner.clock() / seconds)

        total = int(steps) if steps != float("inf") else None
        return Progress(total, stream.unit, lambda: stream.count, fraction=fraction)

    def introduce(self) -> None:
        cfg, about = self.cfg, self.made.compute.describe()
        size = count_parameters(self.made.experiment.learner)
        gpu = f" ({about['gpu']}, {about['memory_GB']} GB, capability {about['capability']})" if "gpu" in about else ""
        LOG.info("%s on %s, seed %d, from %s: %s", cfg.agent.name, world_name(cfg), cfg.seed, self.at(), self.path)
        LOG.info("%s%s, %s, %d thread%s, %s; %s parameters", about["device"], gpu, about["precision"], about["threads"],
                 "s" * (about["threads"] != 1), about["jit"], f"{size:,}")
        for note in self.stream.notes():
            LOG.info("%s", note)

    def describe(self) -> dict[str, Any]:
        """run.json"""
        plugins = {found.name: f"{found.dist} {found.version}" for found in host().plugins}
        packages = {name: metadata.version(name) for name in ("torch", "gymnasium", "numpy", "hydra-core")}
        runner = self.runner
        return {"status": self.status, "agent": self.cfg.agent.name, "world": world_name(self.cfg), "seed": self.cfg.seed,
                "versions": {"lab": __version__, "python": platform.python_version(), **packages}, "plugins": plugins,
                "git": git_commit(), **folder.describe_process(),
                "sittings": [*self.old.get("sittings", []), self.made.compute.describe()],
                "count": self.stream.count, "updates": runner.updates, "seconds": round(runner.seconds, 3),
                "final": {name: folder.finite(value) for name, value in runner.final.items()}}


class log_file:
    """Everything said is also written to RUN/lab.log."""

    def __init__(self, path: Path):
        self.path = path / "lab.log"

    def __enter__(self) -> None:
        try:
            self.handler: logging.Handler = logging.FileHandler(self.path)
        except OSError as error:
            raise checkpoint.disk_error(error, self.path) from error
        self.handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s"))
        LOG.addHandler(self.handler)

    def __exit__(self, *failure: object) -> None:
        LOG.removeHandler(self.handler)
        self.handler.close()
