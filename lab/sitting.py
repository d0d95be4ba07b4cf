"""One stretch of training in one run folder, from a start or a resume to its end."""

import logging
import traceback
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from datetime import datetime
from functools import partial
from typing import Any

from omegaconf import OmegaConf

from . import checkpoint, folder, signals
from .assembly import Assembled, budget_of
from .best import Best
from .budget import Periods
from .config import plain_of, world_name
from .data.config import TOKENIZER_FILES
from .errors import DiskError, Diverged, LabError, UsageError
from .host import host
from .log_file import log_file
from .media import Text
from .progress import Progress
from .run_folder import RunFolder
from .runner import Runner
from .screen import SCREEN
from .sinks import Guarded, TensorBoard
from .version import git_commit, plugins, versions

LOG = logging.getLogger("lab")


class Sitting:
    """Trains in a folder that is held, and leaves a status whatever happens."""

    def __init__(self, made: Assembled, record: RunFolder, warnings: Sequence[str] = ()):
        self.warnings = warnings              # from before the log file was there
        self.made, self.record, self.path, self.code, self.status = made, record, record.path, 0, "running"
        self.cfg, self.stream = made.cfg, made.experiment.stream
        self.budget = budget_of(made.cfg, made.experiment)
        self.process = folder.describe_process()
        self.old = folder.read_run(self.path) if (self.path / "run.json").exists() else {}

    def run(self, state: Mapping[str, Any] | None) -> "Sitting":
        """Train; sets `code` to the exit code. Raises LabError after leaving error.txt."""
        cfg = self.cfg
        with ExitStack() as stack:
            stack.enter_context(signals.handling())
            stack.enter_context(log_file(self.path))
            stack.callback(self.close)
            for warning in self.warnings:
                LOG.warning("%s", warning)
            periods = Periods(cfg.log.every or 1, cfg.evaluate.every or 1, cfg.checkpoint.every or 1)
            best = Best(cfg.evaluate.metric, cfg.evaluate.patience)
            self.runner = Runner(self.made.experiment, self.made.compute, self.record, periods, best)
            self.sinks = Guarded([TensorBoard(self.path)])
            try:
                if state is not None:
                    self.load(state)          # a refusal leaves everything as it was
                if (more := self.over()) and self.old.get("status") == "finished":
                    why = f": {self.runner.best.ending()}" if self.runner.best.over else ""
                    LOG.info("this run is finished%s; it goes on with a larger %s. Nothing was changed", why, more)
                    return self
                if state is not None:
                    self.record.cut(state["lines"])
            except signals.Stop as stop:
                self.code = stop.exit_code
                LOG.info("stopped by %s before the first update; nothing was changed", stop)
                return self
            try:
                self.train(state is None)
            except signals.Stop as stop:
                self.status, self.code = "stopped", stop.exit_code
                ending = f"stopped by {stop} at {self.at()}, saved. Go on with: {folder.going_on(self.path)}"
            except LabError as error:
                raise self.failed(error) from error
            except BaseException as error:        # also SystemExit, from whatever an agent or environment calls
                what = f"{cfg.agent.name} failed: {type(error).__name__}: {error}"
                raise self.failed(LabError(what)) from error
            finally:
                self.record.write_json("run.json", self.describe())
                self.sinks.close(self.status)
            why = f", {self.runner.best.ending()}" if self.runner.best.over else ""
            LOG.info("%s", ending if self.code else f"finished at {self.at()}{why}: {self.path}")
        return self

    def load(self, state: Mapping[str, Any]) -> None:
        with folder.fitting(self.path):
            self.runner.load(state)

    def over(self) -> str:
        """The keys of which a larger value lets a run go on that is at its end; "": it is not."""
        if self.runner.best.over:
            return "evaluate.patience"
        if self.budget.used(self.stream.count, self.runner.updates, self.runner.seconds) < 1:
            return ""
        return " or ".join(f"budget.{name}" for name, value in vars(self.cfg.budget).items() if value)

    def train(self, new: bool) -> None:
        """A new run writes its first checkpoint at once: a disk that cannot hold it is found out now."""
        cfg, plain = self.cfg, plain_of(self.cfg)
        (self.path / "error.txt").unlink(missing_ok=True)         # of an earlier stretch
        self.record.write_json("run.json", self.describe())
        self.record.write_text("config.yaml", OmegaConf.to_yaml(OmegaConf.create(plain)))
        if self.made.data is not None:
            self.record.write_json("data.json", self.made.data.plain())
            for name, tokenizer in zip(TOKENIZER_FILES, self.made.data.tokenizers, strict=False):
                self.record.write_text(name, tokenizer.json)
        self.record.listeners.append(self.to_sinks)
        self.record.on_media = self.sinks.media
        if new:
            self.sinks.start(plain)
        for sink in cfg.log.sinks:
            self.sinks.open(sink.name, partial(host().load("sink", sink.name), sink, self.path), plain)
        if new and self.made.experiment.summary:
            self.record.media(0, "model", Text(self.made.experiment.summary))
        if new:
            self.runner.save()
        else:
            self.sinks.restart(self.stream.count)
        self.introduce()
        with self.progress() as progress:
            self.record.listeners.append(lambda count, seconds, metrics: progress.update(metrics))
            with SCREEN.beside(progress):
                try:
                    self.runner.run(self.budget)
                except signals.Stop:
                    self.record.must_be_saved()
                    raise
        self.record.must_be_saved()
        self.status = "finished"

    def close(self) -> None:
        try:
            self.stream.close()
        except Exception as error:
            LOG.warning("the environments or data could not be closed: %s: %s", type(error).__name__, error)

    def at(self) -> str:
        return f"{self.stream.count:,} {self.stream.unit}"

    def failed(self, error: LabError) -> LabError:
        """Leaves the traceback in error.txt; the same error, with what to do."""
        diverged = isinstance(error, Diverged)
        self.status = "diverged" if diverged else "failed"
        self.record.write_text("error.txt", traceback.format_exc())
        kept = checkpoint.found(self.record.checkpoints)
        where = f"The last checkpoint is of {checkpoint.count_of(kept[0]):,} {self.stream.unit}. " if kept else ""
        rest = f"Go on with: {folder.going_on(self.path)}"
        if diverged and self.cfg.optimizer is not None:
            rest = f"Try a smaller learning rate: {folder.going_on(self.path)} optimizer.lr=..."
        if isinstance(error, DiskError):
            return error
        kind = LabError if isinstance(error, UsageError) else type(error)         # it is late for one: a run is there
        return kind(f"{error}. {where}{rest}. The traceback is in {self.path / 'error.txt'}")

    def to_sinks(self, count: int, seconds: float, metrics: Mapping[str, float]) -> None:
        self.sinks.write(count, metrics, datetime.now().timestamp())

    def progress(self) -> Progress:
        runner, stream, budget = self.runner, self.stream, self.budget

        def fraction() -> float:
            return budget.used(stream.count, runner.updates, runner.clock())

        total = int(budget.steps) if budget.steps != float("inf") else None
        return Progress(total, stream.unit, lambda: stream.count, fraction=fraction)

    def introduce(self) -> None:
        cfg, about = self.cfg, self.made.compute.describe()
        size = self.made.experiment.learner.num_parameters()
        gpu = f" ({about['gpu']}, {about['memory_GB']} GB, capability {about['capability']})" if "gpu" in about else ""
        LOG.info("%s on %s, seed %d, from %s: %s", cfg.agent.name, world_name(cfg), cfg.seed, self.at(), self.path)
        LOG.info("%s%s, %s, %d thread%s, %s; %s parameters", about["device"], gpu, about["precision"], about["threads"],
                 "s" * (about["threads"] != 1), about["jit"], f"{size:,}")
        for note in [*self.stream.notes(), *self.made.experiment.summary.splitlines()]:
            LOG.info("%s", note)
        if self.over():
            LOG.info("training is at its end; what is measured there is still to come")
        if self.budget.steps <= self.stream.warmup:
            LOG.warning("the budget of %s %s ends before the first update, which comes after %s: nothing is learned",
                        f"{self.budget.steps:,}", self.stream.unit, f"{self.stream.warmup:,}")

    def describe(self) -> dict[str, Any]:
        """run.json"""
        runner = self.runner
        return {"status": self.status, "agent": self.cfg.agent.name, "world": world_name(self.cfg),
                "seed": self.cfg.seed, "plugins": plugins(), "versions": versions(self.cfg),
                "git": git_commit(), **self.process,
                "sittings": [*self.old.get("sittings", []), self.made.compute.describe()],
                "best": runner.best.describe(), "count": self.stream.count, "updates": runner.updates,
                "seconds": round(runner.seconds, 3), "parameters": runner.learner.num_parameters(),
                "final": {name: folder.finite(value) for name, value in runner.final.items()}}
