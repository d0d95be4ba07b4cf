"""Worker processes and the pipes to them."""

import multiprocessing
import signal
import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from multiprocessing import resource_tracker
from multiprocessing.connection import Connection
from typing import Any

from .errors import EnvError, UsageError
from .vector import LOG
from .worker import Answer, Job, work

PATIENCE = 5.0                    # seconds for a worker to end by itself
START = '. A script that trains needs its own code under if __name__ == "__main__":'


def context() -> Any:
    """Workers come from a server process that has no threads and no GPU, and which imports what they need once."""
    found = multiprocessing.get_context("forkserver")
    found.set_forkserver_preload(["lab.worker"])
    return found


class InWorker(Exception):
    """What happened in the other process: its traceback, as text."""


class Team:
    """Workers that are asked all at once and then waited for. `where(worker)` says what each was doing, for errors."""

    def __init__(self, id: str, where: Callable[[int], str]):
        self.id, self.where, self.begun = id, where, False
        self.pipes, self.processes = list[Connection](), list[Any]()
        self.close = weakref.finalize(self, ended, self.pipes, self.processes)

    def __len__(self) -> int:
        return len(self.pipes)

    def hire(self, job: Job) -> None:
        """Raises UsageError where the environment cannot be sent to another process.

        Ctrl-C reaches the whole group; what a process does before it runs our code is to import, with a traceback.
        """
        mine, theirs = context().Pipe()
        process = context().Process(target=work, args=(job, theirs), name=f"lab-worker-{job.number}", daemon=True)
        try:
            with held_back(signal.SIGINT):
                process.start()
        except Exception as error:
            mine.close()
            raise UsageError(f"{self.id} cannot be sent to a worker process ({type(error).__name__}: {error}); "
                             "register it where a plugin or a module is imported, or use vector.mode=sync") from error
        finally:
            theirs.close()
        self.pipes.append(mine)
        self.processes.append(process)

    def ready(self) -> None:
        """Wait for the first resets. Raises EnvError where one failed."""
        for worker in range(len(self)):
            self.answer(worker)
        self.begun = True

    def ask(self, worker: int, request: str, *arguments: Any) -> None:
        with suppress(OSError):                           # it has died: the answer says so
            self.pipes[worker].send((request, arguments))

    def answer(self, worker: int) -> Any:
        """Raises EnvError where the worker has died, or an environment failed."""
        try:
            answer: Answer = self.pipes[worker].recv()
        except (EOFError, OSError):
            raise EnvError(self.obituary(worker)) from None
        result, error, trace, records = answer
        for level, message in records:
            LOG.log(level, "%s", message)
        if error:
            raise EnvError(error) from InWorker(f"\n\n{trace}")
        return result

    def obituary(self, worker: int) -> str:
        process = self.processes[worker]
        process.join(PATIENCE)
        code = process.exitcode
        how = f"by {signal.Signals(-code).name}" if code and code < 0 else f"with exit code {code}"
        return (f"environment {self.id} ({self.where(worker)}): its worker process ended {how}"
                f"{'' if self.begun else START}")

    def all(self, request: str, *arguments: Any) -> list[Any]:
        """What each worker answers, in order. Raises EnvError, when all have answered, where one failed."""
        for worker in range(len(self)):
            self.ask(worker, request, *arguments)
        return self.answers()

    def answers(self) -> list[Any]:
        found, failed = list[Any](), list[EnvError]()
        for worker in range(len(self)):
            try:
                found.append(self.answer(worker))
            except EnvError as error:
                failed.append(error)
        if failed:
            raise failed[0]
        return found


@contextmanager
def held_back(number: signal.Signals) -> Iterator[None]:
    """A signal that comes meanwhile is seen afterwards; processes that begin meanwhile never see it."""
    resource_tracker.ensure_running()         # it lets signals through when it begins
    before = signal.pthread_sigmask(signal.SIG_BLOCK, [number])
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def ended(pipes: list[Connection], processes: list[Any]) -> None:
    """A worker ends with its pipe; one that does not is ended."""
    for pipe in pipes:
        pipe.close()
    for process in processes:
        process.join(PATIENCE)
        if process.is_alive():
            process.kill()
            process.join()
