"""A process that steps some of the copies, by the very code that steps them all in one process. N copies in all.

It is told what to do over a pipe; rows, observations and actions lie in memory that it shares with its parent. It
answers every request with (what came of it, the error or "", its traceback, log records), and ends when the pipe does.
"""

import io
import logging
import multiprocessing
import os
import signal
import threading
import traceback
from collections.abc import Callable, Iterator
from contextlib import redirect_stderr, suppress
from dataclasses import dataclass
from functools import partial
from multiprocessing.connection import Connection
from typing import Any

import gymnasium as gym
import numpy as np

from .compute import Compute
from .config import ComputeConfig
from .devices import use_threads
from .env_state import Tier
from .envs import Envs
from .errors import EnvError
from .host import host
from .shares import TeamRecorder
from .spaces import standard
from .state import rng_state, seed_globals, set_rng_state

Answer = tuple[Any, str, str, list[tuple[int, str]]]
LEFT_ALONE = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1)    # the parent decides, and may still save


@dataclass(frozen=True)
class FromConfig:
    """Makes an environment in any process: by the name that its plugin registered."""

    cfg: Any
    spec: Any = None              # its entry in Gymnasium's registry, for what this process registered by hand

    def __call__(self) -> gym.Env[Any, Any]:
        if self.spec is not None:
            gym.registry.setdefault(self.spec.id, self.spec)
        return standard(host().load("env", self.cfg.name)(self.cfg, None))


@dataclass(frozen=True)
class Shared:
    """An array [N, ...] in memory that all processes see."""

    memory: Any
    shape: tuple[int, ...]
    dtype: str

    def view(self) -> np.ndarray:
        size = int(np.prod(self.shape)) * np.dtype(self.dtype).itemsize
        return np.frombuffer(self.memory, np.uint8, size).view(self.dtype).reshape(self.shape)


@dataclass(frozen=True)
class Job:
    """What a worker needs to know."""

    make: Callable[[], gym.Env[Any, Any]]
    first: int                    # its copies are first, first + 1, ...
    copies: int
    total: int
    name: str
    seed: int                     # of the run
    tier: Tier
    shared: dict[str, Shared]
    number: int                   # of the worker
    folder: str                   # where the run was started: paths in options are seen from there


class Share(Envs):
    """Some of the copies; in seeds and messages each has its number among all."""

    def __init__(self, job: Job):
        self.job, self.first, self.total = job, job.first, job.total
        mine = slice(job.first, job.first + job.copies)
        views = {name: shared.view() for name, shared in job.shared.items()}
        self.now, self.actions = views.pop("now")[job.number:], views.pop("action")[mine]
        self.recording = partial(TeamRecorder, views.pop("tier"))
        self.shown = {"frames": views.pop("frames")[:, mine], "obs": views.pop("obs")[mine],
                      "episodes": views.pop("episodes")[mine]}
        self.rows = {name: view[None, mine] for name, view in views.items()}                # [1, copies, ...]
        super().__init__(job.make, job.copies, Compute(ComputeConfig(device="cpu"), job.seed), job.name, job.tier)
        self.show()

    def show(self) -> None:
        """Let the parent see what is here, and go on in its memory."""
        self.shown["obs"][:], self.shown["frames"][:], self.shown["episodes"][:] = self.obs, self.frames, self.episodes
        self.obs, self.frames = self.shown["obs"], self.shown["frames"]

    def advance(self) -> list[tuple[float, int]]:
        """One step; the episodes that it ended."""
        for name in {"done", "reset"} & self.rows.keys():
            self.rows[name][:] = 0
        discrete = isinstance(self.action_space, gym.spaces.Discrete)
        choices = self.actions.tolist() if discrete else self.actions.copy()       # an environment may keep its action
        self.step(self.marked(choices), self.rows, 0)
        self.shown["episodes"][:] = self.episodes
        finished, self.finished = self.finished, []
        return finished

    def marked(self, choices: Any) -> Iterator[Any]:
        """Leave word of whose turn it is, in case that this process dies."""
        for i, choice in enumerate(choices):
            self.now[0] = self.first + i
            yield choice

    def read(self) -> dict[str, Any]:
        self.recorder.agree()
        return {"state": self.state_dict(), "rng": rng_state()}

    def write(self, given: dict[str, Any]) -> list[int]:
        """The copies, by their number among all, that begin a new episode."""
        self.load_state_dict(given["state"])
        self.show()
        if given["rng"]:
            set_rng_state(given["rng"])
        return [self.first + i for i in self.lost]

    def restart(self, i: int) -> None:
        super().restart(i)
        self.shown["episodes"][i] = self.episodes[i]

    def say_lost(self, level: Tier) -> None:
        """The parent does, for all."""


class Kept(logging.Handler):
    """Log records on their way to the parent."""

    def __init__(self) -> None:
        super().__init__()
        self.records: list[tuple[int, str]] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.records.append((record.levelno, record.getMessage()))

    def taken(self) -> list[tuple[int, str]]:
        records, self.records = self.records, []
        return records


def work(job: Job, pipe: Connection) -> None:
    """Until the pipe ends."""
    for number in LEFT_ALONE:
        signal.signal(number, signal.SIG_IGN)
    os.environ["CUDA_VISIBLE_DEVICES"] = ""               # the device belongs to the parent
    use_threads(1)
    log, kept = logging.getLogger("lab"), Kept()
    log.handlers, log.propagate = [kept], False
    seed_globals(Compute(ComputeConfig(device="cpu"), job.seed).seed_for(f"{job.name}/worker/{job.number}"))
    with suppress(OSError):
        os.chdir(job.folder)
    with redirect_stderr(io.StringIO()):
        host()                                            # whatever it says of the plugins, the parent said it
    threading.Thread(target=follow, args=(multiprocessing.parent_process(),), daemon=True).start()
    share, *told = attempt(partial(Share, job))
    with suppress(EOFError, OSError):
        pipe.send((None, *told, kept.taken()))
        while share is not None:
            name, arguments = pipe.recv()
            pipe.send((*attempt(partial(getattr(share, name), *arguments)), kept.taken()))
    if share is not None:
        with suppress(Exception):
            share.close()


def follow(parent: Any) -> None:
    """End with the parent, also in the midst of a step that never returns."""
    parent.join()
    os._exit(1)


def attempt(call: Callable[[], Any]) -> tuple[Any, str, str]:
    """What it returns, and "" or what went wrong, with the traceback."""
    try:
        return call(), "", ""
    except EnvError as error:
        return None, str(error), traceback.format_exc()
    except (Exception, SystemExit) as error:
        return None, f"{type(error).__name__}: {error}", traceback.format_exc()
