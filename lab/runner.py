"""The one loop. Read this file and you know what every experiment in the lab does.

    while the budget lasts:
        batch = stream.next()
        metrics = learner.update(batch)
        every so often: log, evaluate, save
"""

import copy
import time
from collections.abc import Mapping
from typing import Any, Protocol

import numpy as np
import torch

from . import meter, signals
from .best import Best
from .budget import Budget, Periods, after
from .compute import Compute
from .contract import Evaluator, Experiment
from .errors import DataError, Diverged, EnvError
from .media import Codes, Counts, Table, Text
from .meter import Meter, number
from .modules import evaluating
from .state import frozen_rng, rng_state, set_rng_state

SHOWN = (np.ndarray, torch.Tensor, Table, Text, Counts, Codes)  # and not written as a number


class Record(Protocol):
    """Where a run is written: lab.run_folder.RunFolder, or a list in a test."""

    def log(self, count: int, updates: int, seconds: float, metrics: Mapping[str, float]) -> None: ...

    def media(self, count: int, name: str, value: Any) -> None: ...

    def save(self, count: int, state: dict[str, Any]) -> None: ...

    def read(self, count: int) -> dict[str, Any]: ...


class Runner:
    saved = ("updates", "seconds", "next_log", "next_evaluate", "next_save", "finished", "attending")

    def __init__(self, experiment: Experiment, compute: Compute, record: Record, periods: Periods,
                 best: Best | None = None):
        self.learner, self.stream = experiment.learner, experiment.stream
        self.evaluators, self.closing = experiment.evaluators, experiment.closing
        self.compute, self.record, self.periods, self.meter = compute, record, periods, Meter(compute.device)
        self.updates, self.seconds, self.final, self.best = 0, 0.0, dict[str, float](), best or Best()
        self.next_log, self.next_evaluate, self.next_save = periods.log, periods.evaluate, periods.save
        compute.now = lambda: self.updates + 1
        self.sound = 0                          # updates at the last look at which none had been skipped
        self.finished = -1                      # updates at the last end of a budget
        self.attending = False                  # in the midst of `attend`, so that a resume has to end it
        self.since, self.logged = time.perf_counter(), (0, 0.0)         # (count, seconds) at the last log

    def run(self, budget: Budget) -> None:
        """Train until the budget is used up.

        Raises signals.Stop when asked to stop, EnvError when an environment fails and DataError when data cannot be
        read, all with the state saved, and Diverged with the last checkpoint kept.
        """
        self.since = time.perf_counter() - self.seconds
        stream, learner, rows, flags = self.stream, self.learner, self.meter.pending, signals.FLAGS
        due, timed = self.due() if self.attending else stream.count + 1, budget.seconds != float("inf")
        try:
            while stream.count < budget.steps and self.updates < budget.updates and not self.best.over:
                if timed and self.clock() >= budget.seconds:
                    break
                if flags.any or stream.count >= due:
                    due = self.attend()
                    continue
                batch = stream.next()
                if batch is None:
                    continue
                rows.append(learner.update(batch))
                self.updates += 1
                if len(rows) >= meter.FOLD:
                    self.meter.fold()
            if self.finished != self.updates:
                self.finish()
        except (signals.Stop, EnvError, DataError):
            self.save()
            raise

    def due(self) -> int:
        """The count at which the loop must look up."""
        return min(self.next_log, self.next_evaluate, self.next_save)

    def attend(self) -> int:
        """Do what has come due, in this order, each at most once; a stop is seen in between."""
        count, periods, self.attending = self.stream.count, self.periods, True
        signals.FLAGS.any, signals.FLAGS.save, save = False, False, signals.FLAGS.save
        if count >= self.next_log:
            self.log()
            self.next_log = after(count, periods.log)
        signals.check()
        if count >= self.next_evaluate:
            save = self.evaluate(self.evaluators) or save
            self.next_evaluate = after(count, periods.evaluate)
        self.attending = False
        if count >= self.next_save or save:
            self.next_save = after(count, periods.save)
            self.save()
        signals.check()
        return self.due()

    def finish(self) -> None:
        """The end of the budget: the last window, the last evaluation and the last checkpoint."""
        count, periods = self.stream.count, self.periods
        if self.meter.n:
            self.log()
        if self.evaluators or self.closing:
            self.save()                         # whatever happens in them
            if not self.best.over and self.evaluate(self.evaluators):
                self.save()
            self.close()
        self.next_log, self.next_evaluate = after(count, periods.log), after(count, periods.evaluate)
        self.next_save, self.finished = after(count, periods.save), self.updates
        self.save()

    def close(self) -> None:
        """The evaluations of the end, of the best checkpoint where the best is kept."""
        if self.best.count in (-1, self.stream.count):
            self.evaluate(self.closing)
            return
        last = copy.deepcopy(self.learner.state_dict())
        try:
            self.learner.load_state_dict(self.record.read(self.best.count)["learner"])
            self.evaluate(self.closing)
        finally:                                # what ends them is followed by a last checkpoint
            self.learner.load_state_dict(last)

    def clock(self) -> float:
        return time.perf_counter() - self.since

    def log(self) -> None:
        metrics, now = self.meter.read(self.updates), self.clock()
        self.fail_if_skipped()
        count, seconds = self.logged
        self.logged = (self.stream.count, now)
        rate = (self.stream.count - count) / max(now - seconds, 1e-9)
        told = {**self.learner.logged(self.stream.count), **self.stream.metrics()}
        self.write({**metrics, **told, f"time/{self.stream.unit}_per_s": rate})

    def evaluate(self, evaluators: Mapping[str, Evaluator]) -> bool:
        """Whatever an evaluator draws or computes, training never notices. Returns whether it is the best so far."""
        found: dict[str, Any] = {}
        with torch.no_grad(), frozen_rng(), evaluating(self.learner):
            for evaluator in evaluators.values():
                found |= {f"eval/{name}": value for name, value in evaluator().items()}
        media = {name: value for name, value in found.items() if isinstance(value, SHOWN)}
        for name, value in media.items():
            self.record.media(self.stream.count, name, value)
        if metrics := {name: value for name, value in found.items() if name not in media}:
            self.write(metrics)
        return evaluators is self.evaluators and self.best.look(metrics, self.stream.count)

    def write(self, found: Mapping[str, Any]) -> None:
        """Raises LabError for what is no number."""
        metrics = {name: number(name, value) for name, value in found.items()}
        self.final |= metrics
        self.record.log(self.stream.count, self.updates, self.clock(), metrics)

    def fail_if_skipped(self) -> None:
        if self.compute.skipped:
            first = self.compute.first_skipped
            when = f"at update {first:,}" if first else f"between the updates {self.sound:,} and {self.updates:,}"
            raise Diverged(f"a loss or gradient was not finite {when}")
        self.sound = self.updates

    def save(self) -> None:
        self.meter.check(self.updates)
        self.fail_if_skipped()
        self.seconds = self.clock()
        own = {name: getattr(self, name) for name in self.saved} | {"best": self.best.state_dict()}
        parts = {part: getattr(self, part).state_dict() for part in ("learner", "stream", "meter")}
        self.record.save(self.stream.count, {"runner": own, **parts, "final": self.final, "rng": rng_state()})

    def load(self, state: Mapping[str, Any]) -> None:
        for name in self.saved:
            setattr(self, name, state["runner"][name])
        for part in ("learner", "stream", "meter"):
            getattr(self, part).load_state_dict(state[part])
        self.best.load_state_dict(state["runner"].get("best", self.best.state_dict()))
        count, periods = self.stream.count, self.periods          # a shorter period takes hold at once
        self.next_log = min(self.next_log, after(count, periods.log))
        self.next_evaluate = min(self.next_evaluate, after(count, periods.evaluate))
        self.next_save = min(self.next_save, after(count, periods.save))
        self.final = {name: float(value) for name, value in state["final"].items()}
        self.logged = (self.stream.count, self.seconds)
        set_rng_state(state["rng"])              # last: nothing restored after it may draw
