"""A run that was killed or stopped, however often, ends as one that never was."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time

import pytest
import torch
from conftest import QUICK
from test_checkpoint import same

import lab_dqn.dqn
from lab import checkpoint, evaluate, folder, signals, train
from lab.__main__ import main

RUN = ("+agent=dqn", *QUICK, "agent.train_every=2", "agent.n_steps=2", "log.every=40", "checkpoint.every=150",
       "evaluate.every=300", "seed=5", "optimizer.schedule=constant")
UPDATES = 400
CLOCK = ("time/", "system/")      # groups of metrics that depend on the clock or the machine
WHOLE = (*RUN, f"budget.updates={UPDATES}")


def lines(run, clock=False):
    """What was logged, without what depends on the clock."""
    found = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines() if line.endswith("}")]
    return [(line["count"], line["updates"], {name: value for name, value in line["metrics"].items()
                                              if clock or not name.startswith(CLOCK)}) for line in found]


def last(run):
    """The newest checkpoint, without what depends on the clock."""
    at, state = checkpoint.newest(run / "checkpoints", pytest.fail)
    state["runner"].pop("seconds")
    state["final"] = {name: value for name, value in state["final"].items() if not name.startswith(CLOCK)}
    return checkpoint.count_of(at), state


def ended_alike(run, whole):
    (count, state), (expected_count, expected) = last(run), last(whole)
    assert count == expected_count and lines(run) == lines(whole)
    for part in expected:
        assert same(state[part], expected[part]), part
    return about(run)["status"] == about(whole)["status"] == "finished"


def about(run):
    return json.loads((run / "run.json").read_text())


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    folder = tmp_path_factory.mktemp("undisturbed")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setattr(sys, "argv", ["lab", *WHOLE, "hydra.run.dir=whole"])
        assert main() == 0
    return folder / "whole"


@pytest.fixture
def whole(undisturbed, tmp_path):
    """A copy of the run that nothing disturbed."""
    return shutil.copytree(undisturbed, tmp_path / "whole")


@pytest.fixture
def start(tmp_path):
    """start(ARGS): a process of its own; wait(run, n) until it has logged n lines."""
    living = []

    def begin(*args):
        env = {**os.environ, "OMP_NUM_THREADS": "1"}
        living.append(subprocess.Popen([sys.executable, "-m", "lab", *args], cwd=tmp_path, env=env, text=True,
                                       stderr=subprocess.PIPE, stdout=subprocess.DEVNULL))
        return living[-1]

    yield begin
    for process in living:
        if process.poll() is None:
            process.kill()
            process.communicate()


def wait(process, done):
    for _ in range(3000):
        if done():
            return
        assert process.poll() is None, process.communicate()[1]
        time.sleep(0.01)
    pytest.fail("nothing happened for 30 s")


def test_killed_then_saved_on_request_then_stopped_twice(whole, start, lab, tmp_path):
    """SIGKILL; SIGUSR1 and SIGTERM; SIGINT; each in a process of its own that goes on with the same run."""
    run = tmp_path / "run"
    process = start(*WHOLE, "hydra.run.dir=run")
    wait(process, lambda: (run / "metrics.jsonl").exists() and len(lines(run)) >= 4)
    process.kill(), process.communicate()
    assert process.returncode == -signal.SIGKILL and about(run)["status"] == "running" and (run / ".lock").exists()

    process, before = start("resume=run", "checkpoint.every=1_000_000"), lines(run)[-1][0]
    wait(process, lambda: lines(run) and lines(run)[-1][0] > before + 80)
    kept = checkpoint.found(run / "checkpoints")[0]
    process.send_signal(signal.SIGUSR1)
    wait(process, lambda: checkpoint.found(run / "checkpoints")[0] != kept)
    logged = len(lines(run))
    wait(process, lambda: len(lines(run)) > logged)
    process.send_signal(signal.SIGTERM)
    said = process.communicate()[1]
    assert process.returncode == 143 and "stopped by SIGTERM at " in said
    assert "saved. Go on with: python -m lab resume=run" in said
    assert "Traceback" not in said and about(run)["status"] == "stopped" and not (run / ".lock").exists()

    process, logged = start("resume=run"), len(lines(run))
    wait(process, lambda: len(lines(run)) > logged + 1)
    process.send_signal(signal.SIGINT)
    said = process.communicate()[1]
    assert process.returncode == 130 and "stopped by SIGINT at " in said
    assert "Go on with: python -m lab resume=run" in said
    assert about(run)["updates"] < UPDATES

    code, _, err = lab("resume=run", "checkpoint.every=150")
    assert code == 0 and ended_alike(run, whole) and len(about(run)["sittings"]) == 4, err


def sending(monkeypatch, owner, name, number, when):
    """The signal comes at the beginning of a call of owner.name, the one of this number."""
    real, calls = getattr(owner, name), []

    def call(*args, **options):
        calls.append(name)
        if len(calls) == when:
            os.kill(os.getpid(), number)
        return real(*args, **options)

    monkeypatch.setattr(owner, name, call)


@pytest.mark.parametrize("owner, name, when", [
    (lab_dqn.dqn.DeepQ, "update", 1), (lab_dqn.dqn.DeepQ, "update", 111), (lab_dqn.dqn.DeepQ, "act", 3),
    (evaluate.EpisodeReturn, "play", 1), (evaluate.EpisodeReturn, "play", 3), (checkpoint, "write", 1),
    (checkpoint, "write", 4)],
    ids=["the first update", "an update", "the warm-up", "an evaluation", "the last evaluation", "the first save",
         "a save"])
def test_a_stop_at_any_moment_is_seen_and_costs_nothing(owner, name, when, whole, lab, tmp_path, monkeypatch):
    with monkeypatch.context() as patch:
        sending(patch, owner, name, signal.SIGTERM, when)
        code, _, err = lab(*WHOLE, "hydra.run.dir=run")
    run = tmp_path / "run"
    assert code == 143 and err.splitlines()[-1].startswith("lab: stopped by SIGTERM at ")
    assert about(run)["status"] == "stopped"
    assert about(run)["count"] == last(run)[0]
    code, _, err = lab("resume=run")
    assert code == 0 and ended_alike(run, whole), err


def test_the_second_signal_ends_at_once(monkeypatch):
    class Ended(BaseException):
        pass

    def end(code):
        raise Ended(code)

    before = signal.getsignal(signal.SIGTERM)
    monkeypatch.setattr(signals.os, "_exit", end)
    with signals.handling():
        os.kill(os.getpid(), signal.SIGINT)
        assert signals.FLAGS.stop == signal.SIGINT and signals.FLAGS.any
        with pytest.raises(Ended, match="143"):
            os.kill(os.getpid(), signal.SIGTERM)
            time.sleep(0)
    assert signal.getsignal(signal.SIGTERM) is before
    with signals.handling():
        assert signals.FLAGS.stop is None                 # a new run begins without it


DROPS = """
import os, signal, sys, gymnasium
from gymnasium.envs.classic_control import CartPoleEnv
from lab.__main__ import main

class Drops:
    def __del__(self):
        os.kill(os.getpid(), signal.SIGINT)

left = [Drops()]

def make(**options):
    left.clear()
    return CartPoleEnv(**options)

gymnasium.register("Drops-v0", make, max_episode_steps=9)
sys.exit(main())
"""


def test_an_interrupt_that_python_drops_is_remembered(tmp_path):
    """What is raised in a finalizer goes no further; the run does not begin."""
    process = subprocess.run([sys.executable, "-c", DROPS, "+agent=dqn", "env=gym", "env.id=Drops-v0"],
                             cwd=tmp_path, capture_output=True, text=True, timeout=100)
    assert process.returncode == 130 and "Exception ignored in" in process.stderr
    assert not list(tmp_path.iterdir())


def test_one_that_is_dropped_later_ends_it_too(monkeypatch, lab, tmp_path):
    """While the folder is made; nothing of it stays."""
    def create(*names):
        signals.FLAGS.stop = signal.SIGINT
        return folder.make(tmp_path / "run")

    monkeypatch.setattr(train.folder, "create", create)
    code, _, _ = lab(*WHOLE)
    assert code == 130 and not (tmp_path / "run").exists()


def test_a_child_process_leaves_signals_to_its_parent(monkeypatch):
    with signals.handling():
        monkeypatch.setattr(signals.os, "getpid", lambda: -1)
        signal.getsignal(signal.SIGTERM)(signal.SIGTERM, None)
        assert signals.FLAGS.stop is None


def contents(folder, *names):
    return {path: path.read_bytes() for name in names for path in folder.glob(name) if path.is_file()}


def test_a_finished_run_stays_as_it_is(whole, lab):
    """Also its settings, when others are given that would train nothing."""
    names = ("checkpoints/*/*", "metrics.jsonl", "media/**/*", "config.yaml", "run.json")
    before = contents(whole, *names)
    for words in ((), ("optimizer.lr=0.5", "budget.updates=3")):
        code, _, err = lab("resume=whole", *words)
        assert code == 0 and contents(whole, *names) == before
        assert "this run is finished; it goes on with a larger budget.updates. Nothing was changed" in err


def test_a_larger_budget_goes_on_in_place(whole, lab, tmp_path):
    """In weights and environments; the log has one window more, where the first budget ended."""
    assert lab(*RUN, "hydra.run.dir=run", "budget.updates=133")[0] == 0
    code, _, err = lab("resume=run", f"budget.updates={UPDATES}")
    (_, state), (_, expected) = last(tmp_path / "run"), last(whole)
    assert code == 0 and same(state["learner"], expected["learner"]) and same(state["stream"], expected["stream"])
    assert about(tmp_path / "run")["updates"] == UPDATES, err
    assert lines(tmp_path / "run")[-1][2]["eval/return/mean"] == lines(whole)[-1][2]["eval/return/mean"]


def test_the_newest_checkpoint_is_damaged(whole, lab):
    """The one before it is used, by name, and the end is the same."""
    expected, logged = last(whole)[1], lines(whole)
    newest, older = checkpoint.found(whole / "checkpoints")[:2]
    (newest / "tensors.safetensors").write_bytes((newest / "tensors.safetensors").read_bytes()[:-100])
    with open(whole / "metrics.jsonl", "a") as out:
        out.write('{"count": 99999, "upda')               # the power went in the midst of a line
    code, _, err = lab("resume=whole")
    a, b = checkpoint.count_of(newest), checkpoint.count_of(older)
    assert code == 0
    assert f"checkpoint {a}: damaged, the content of tensors.safetensors does not match its sha256; using {b}" in err
    assert same(last(whole)[1], expected) and lines(whole) == logged


def test_another_learning_rate_is_taken(whole, lab):
    groups = last(whole)[1]["learner"]["optimizer"]["param_groups"]
    assert groups[0]["lr"] != 0.03125
    assert lab("resume=whole", "optimizer.lr=0.03125", f"budget.updates={UPDATES + 1}")[0] == 0
    assert last(whole)[1]["learner"]["optimizer"]["param_groups"][0]["lr"] == 0.03125


def test_what_auto_came_to_is_kept_and_a_change_is_told(whole, lab, monkeypatch):
    monkeypatch.setattr("lab.devices.cores", lambda: 2)
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    monkeypatch.setattr("lab.compute.LARGE", 1)           # what would now be a large network
    code, _, err = lab("resume=whole", f"budget.updates={UPDATES + 1}")
    assert code == 0 and torch.get_num_threads() == 1 and "the same bits" not in err
    code, _, err = lab("resume=whole", f"budget.updates={UPDATES + 2}", "compute.threads=2")
    assert code == 0 and "threads was 1 and is 2 now: the run goes on, but perhaps not to the same bits" in err


def test_a_run_that_is_finished_says_how_it_goes_on(whole, lab):
    before = lines(whole)
    code, _, err = lab("resume=whole")
    assert code == 0 and "this run is finished; it goes on with a larger budget" in err and lines(whole) == before
    code, _, err = lab("resume=whole", f"budget.updates={UPDATES + 5}")
    assert code == 0 and "this run is finished" not in err


def back_to(run, count):
    """As though it had been killed before the checkpoints after `count`."""
    for path in checkpoint.found(run / "checkpoints"):
        if checkpoint.count_of(path) > count:
            shutil.rmtree(path)
    return checkpoint.count_of(checkpoint.found(run / "checkpoints")[0])


def test_lines_of_the_warm_up_come_once(lab, tmp_path):
    """They have no update to be told apart by."""
    rest = [each for each in RUN if not each.startswith(("agent.warmup", "log.every"))]
    args = ("agent.warmup=300", "budget.steps=400", "checkpoint.keep=9", "hydra.run.dir=run", "log.every=20")
    assert lab(*rest, *args)[0] == 0
    run, whole = tmp_path / "run", lines(tmp_path / "run")
    assert [updates for _, updates, _ in whole].count(0) > 10
    assert back_to(run, 160) == 150
    assert lab("resume=run")[0] == 0 and lines(run) == whole


def test_what_a_resume_has_to_say_is_in_the_log_too(whole, lab):
    newest = checkpoint.found(whole / "checkpoints")[0]
    (newest / "tree.json").write_text("{}")
    run = about(whole)
    (whole / "run.json").write_text(json.dumps({**run, "versions": {**run["versions"], "gymnasium": "0.1"}}))
    code, _, err = lab("resume=whole")
    log = (whole / "lab.log").read_text()
    assert code == 0
    for text in ("does not match its sha256", "gymnasium was 0.1 and is "):
        assert err.count(text) == log.count(text) == 1


@pytest.mark.parametrize("change, text", [
    ("budget.steps=1,2", "a run goes on with one value for each key"),
    ("compute=cpu", "compute holds several values; name one, such as compute.device="),
    ("agent=sarsa", "this run belongs to agent 'dqn'")])
def test_a_change_that_is_none(change, text, whole, lab):
    before = (whole / "config.yaml").read_text()
    code, _, err = lab("resume=whole", change)
    assert code in (2, 4) and text in err and "Traceback" not in err and (whole / "config.yaml").read_text() == before


@pytest.mark.parametrize("agent, start, change", [
    ("q_learning", ["env=FrozenLake"], "agent.num_envs=7"),
    ("q_learning", ["env=FrozenLake", "env.options.map_name=4x4"], "env.options.map_name=8x8"),
    ("sarsa", ["env=CartPole"], "agent.bins=[4,4,4,4]"), ("dqn", [*QUICK, "env=CartPole"], "agent.dueling=true")])
def test_what_does_not_fit_the_checkpoint_is_refused_and_changes_nothing(agent, start, change, lab, tmp_path):
    assert lab(f"+agent={agent}", *start, "budget.updates=20", "evaluate.videos=0", "hydra.run.dir=run")[0] == 0
    before = (tmp_path / "run" / "config.yaml").read_text()
    code, _, err = lab("resume=run", change, "budget.updates=30")
    assert code == 4 and "does not fit this code and config" in err
    assert (tmp_path / "run" / "config.yaml").read_text() == before
    if "num_envs" not in change:
        code, _, err = lab("eval", "run", change, "--episodes", 2)
        assert code == 4 and "does not fit" in err
    assert lab("resume=run", "budget.updates=30")[0] == 0
