"""For all tests: one thread, the kit's tiny environments, and the command line in this process."""

import logging
import os
import shutil
import subprocess
import sys

import pytest
import torch

from lab import signals
from lab.__main__ import main
from lab.screen import SCREEN
from lab.testing.envs import register

register()
QUICK = ("compute.device=cpu", "evaluate.episodes=2", "evaluate.videos=0", "model.hidden=[16]", "agent.warmup=50",
         "agent.batch_size=8", "agent.buffer_size=100")


def tidy():
    """One thread, no signal left over, and a logger that the command line has not taken for itself."""
    log = logging.getLogger("lab")
    log.handlers, log.propagate, SCREEN.progress = [], True, None
    log.setLevel(logging.NOTSET)
    torch.set_num_threads(1)
    torch.set_flush_denormal(False)
    signals.FLAGS.__init__()


@pytest.fixture(scope="session", autouse=True)
def cache(tmp_path_factory):
    """The lab's cache, one for all processes that test."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("LAB_CACHE", str(tmp_path_factory.getbasetemp().parent / "lab-cache"))
        yield


@pytest.fixture(autouse=True)
def clean_process():
    tidy()
    yield
    tidy()


@pytest.fixture
def lab(tmp_path, monkeypatch, capsys):
    """lab(ARGS) -> (exit code, standard output, standard error), in an empty folder."""
    monkeypatch.chdir(tmp_path)

    def run(*args):
        monkeypatch.setattr(sys, "argv", ["lab", *map(str, args)])
        capsys.readouterr()
        code = main()
        return code, *capsys.readouterr()

    return run


@pytest.fixture
def once(lab, tmp_path, tmp_path_factory):
    """once(NAME, ARGS) -> a copy of the folder of a run that `lab ARGS` trains, the first time that NAME is asked for.

    A test may change the copy; it must not need the data, which is that of the first test.
    """
    def trained(name, *args):
        kept = tmp_path_factory.getbasetemp() / "trained" / name
        if not kept.exists():
            assert lab(*args, f"hydra.run.dir={kept}")[0] == 0
        return shutil.copytree(kept, tmp_path / "run", symlinks=True)

    return trained


@pytest.fixture
def dqn(lab):
    """lab(), training a small DQN, on CartPole unless told otherwise."""
    return lambda *args: lab("+agent=dqn", *QUICK, *args)


@pytest.fixture
def process(tmp_path):
    """Python in a process of its own, in an empty folder."""
    def run(*args, **options):
        env = {**os.environ, "OMP_NUM_THREADS": "1", **options.pop("env", {})}
        return subprocess.run([sys.executable, *map(str, args)], cwd=options.pop("cwd", tmp_path), env=env, timeout=120,
                              capture_output=True, text=True, check=False, **options)

    return run
