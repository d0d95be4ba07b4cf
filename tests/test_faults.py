"""What goes wrong is told in one paragraph, with an exit code for its kind, and costs as little as it can."""

import errno
import fcntl
import json
import os
import sys

import gymnasium as gym
import numpy as np
import pytest
import torch

import lab_dqn.build
import lab_dqn.dqn
from lab import checkpoint, rows, run_folder
from lab.testing.envs import TinyBox

DQN, CARTPOLE = "+agent=dqn", "env=CartPole"
SMALL = ("budget.updates=60", "agent.train_every=2", "agent.n_steps=1", "log.every=20", "checkpoint.every=40",
         "evaluate.every=50", "hydra.run.dir=run")


class Fails(TinyBox):
    """In its 101st step, or in the reset after it; probing and evaluation are over before."""

    def __init__(self, render_mode=None, what="raises"):
        super().__init__(render_mode)
        self.what, self.age = what, 0

    def reset(self, *, seed=None, options=None):
        if self.age > 100 and self.what == "raises in reset":
            raise RuntimeError("no map")
        return super().reset(seed=seed, options=options)

    def step(self, action):
        obs, reward, terminated, _, info = super().step(action)
        self.age += 1
        if self.age == 101:
            if self.what == "raises":
                raise RuntimeError("lost a wheel")
            obs = {"no number": np.full(2, np.nan, np.float32), "shape": np.zeros(3, np.float32),
                   "text": np.array(["a", "b"])}.get(self.what, obs)
            reward = {"no reward": float("nan"), "text reward": "1"}.get(self.what, reward)
        return obs, reward, terminated, self.age % 15 == 0, info


gym.register("lab/Fails-v0", Fails)
FAILS = (DQN, "env=gym", "env.id=lab/Fails-v0")


def told(err, *texts):
    """One paragraph, without a traceback, with these words."""
    last = err.splitlines()[-1]
    assert last.startswith("lab: ") and "Traceback" not in err and all(text in last for text in texts), err
    return True


def about(run):
    return json.loads((run / "run.json").read_text())


def lines(run):
    return [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]


def kept(run):
    return [checkpoint.count_of(path) for path in checkpoint.found(run / "checkpoints")]


REFUSED = {
    "unknown agent": (["+agent=dqm"], "Did you mean 'dqn'?"), "no agent": ([CARTPOLE], "add +agent=NAME"),
    "unknown env": ([DQN, "env=Cartpole1"], "Did you mean 'CartPole'?"),
    "unknown id": ([DQN, "env=gym", "env.id=CartPol-v1"],
                   "no environment is registered as 'CartPol-v1'. Did you mean 'CartPole-v1'?"),
    "old version": ([DQN, "env=gym", "env.id=Taxi-v99"], "'Taxi-v99'. Did you mean 'Taxi-v4'?"),
    "no id": ([DQN, "env=gym"], "env.id is missing"),
    "unknown model": ([DQN, "model=mpl"], "Did you mean 'mlp'?"),
    "unknown optimizer": ([DQN, "optimizer=addam"], "Did you mean 'adam'?"),
    "unknown key": ([DQN, "budget.step=3"], "Did you mean 'steps'?"),
    "wrong type": ([DQN, "agent.batch_size=many"], "expected a whole number"),
    "unknown sink": ([DQN, "log.sinks=[wandb]"], "There is no sink named 'wandb'"),
    "unknown option of an env": ([DQN, CARTPOLE, "+env.options.wheels=3"], "CartPole-v1 has no option 'wheels'. "),
    "unknown value of an option": ([DQN, "env=FrozenLake", "env.options.map_name=9x9"],
                                   "with options {'map_name': '9x9'} cannot be made: KeyError: '9x9'"),
    "an environment of another project": ([DQN, "env=gym", "env.id=Humanoid-v2"], "cannot be made: ImportError: The"),
    "continuous actions": ([DQN, "env=Pendulum"], "dqn needs a Discrete action space; Pendulum-v1 has Box"),
    "continuous actions in a table": (["+agent=q_learning", "env=Pendulum"],
                                      "q_learning needs a Discrete action space"),
    "boxes in a table": (["+agent=q_learning", "env=CartPole", "agent.low=[]", "agent.high=[]"],
                         "cannot be cut into bins"),
    "no env": ([DQN, "env=none"], "dqn learns from an environment: add env=NAME"),
    "no model": ([DQN, "model=none"], "dqn needs a model of role 'net', came none; add model=NAME, one of: "),
    "no optimizer": ([DQN, "optimizer=none"], "dqn needs an optimizer: add optimizer=NAME"),
    "zero budget": ([DQN, "budget.steps=0"], "budget.steps is 0"),
    "negative budget": ([DQN, "budget.updates=-1"], "budget.updates is -1"),
    "epochs of an env": ([DQN, "budget.epochs=3"], "an environment has no epochs"),
    "learning rate": ([DQN, "optimizer.lr=-0.1"], "optimizer.lr is -0.1"), "seed": ([DQN, "seed=-1"], "seed is -1"),
    "device": ([DQN, "compute.device=cuda:77"], "this machine offers"),
    "no device": ([DQN, "compute.device=tpu"], "is not a device"),
    "graphs without CUDA": ([DQN, "compute.device=cpu", "compute.jit=graph"], "needs a CUDA device"),
    "unknown flag": ([DQN, "--cfgs"], "unknown option --cfgs"),
    "no name": ([DQN, "hydra.run.dir="], "is not a folder name"),
    "a long name": ([DQN, f"hydra.run.dir={'x' * 300}"], "is not a folder name"),
    "a line in a name": ([DQN, "hydra.run.dir=a\nb"], "not a folder"),
    "two agents": ([DQN, "agent=sarsa"], "agent is given twice")}


@pytest.mark.parametrize("name", REFUSED)
def test_refused_before_anything_is_created(name, lab, tmp_path):
    args, text = REFUSED[name]
    code, out, err = lab(*args, *(["budget.steps=100"] if not any(each.startswith("budget") for each in args) else []))
    assert code == 2 and text in err and err.startswith("lab: ") and out == "" and len(err) < 600
    assert err.count("\n") == 1 and not list(tmp_path.iterdir())


@pytest.mark.parametrize("module, args, extra", [
    ("Box2D", ["env=LunarLander"], 'pip install "pluglab[box2d]"'),
    ("ale_py", ["env=gym", "env.id=ALE/Pong-v5"], 'pip install "pluglab[atari]"'),
    ("minatar.gym", ["env=gym", "env.id=MinAtar/Breakout-v1"], 'pip install "pluglab[minatar]"')])
def test_a_missing_family_names_its_extra(module, args, extra, lab, monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, module, None)
    monkeypatch.delitem(sys.modules, "gymnasium.envs.box2d.lunar_lander", raising=False)
    monkeypatch.delitem(gym.registry, args[-1].removeprefix("env.id="), raising=False)      # another test may have it
    code, _, err = lab(DQN, *args, "budget.updates=1")
    assert code == 2 and told(err, extra) and not list(tmp_path.iterdir())


class Unmade(TinyBox):
    """Cannot be made, or not more often than `times`."""

    made = 0

    def __init__(self, render_mode=None, error=None, times=0):
        super().__init__(render_mode)
        Unmade.made += 1
        if Unmade.made > times:
            raise error or ModuleNotFoundError("No module named 'locale_tools'", name="locale_tools")


gym.register("lab/Unmade-v0", Unmade)
UNMADE = (DQN, "env=gym", "env.id=lab/Unmade-v0", "compute.device=cpu")


@pytest.mark.parametrize("error, text", [
    (RuntimeError("no licence\nfound"), "cannot be made: RuntimeError: no licence found"),
    (FileNotFoundError(2, "No such file", "map.txt"), "cannot be made: FileNotFoundError: [Errno 2] No such file"),
    (SystemExit(3), "cannot be made: SystemExit: 3"),
    (None, "needs a package that is not installed (No module named 'locale_tools'). Install it with pip")])
@pytest.mark.parametrize("by", ["an environment", "a plugin"])
def test_an_environment_that_cannot_be_made_is_refused(by, error, text, lab, monkeypatch, tmp_path):
    def build(cfg, render_mode=None):
        raise error

    monkeypatch.setitem(gym.registry["lab/Unmade-v0"].kwargs, "error", error)
    if by == "a plugin" and error:
        monkeypatch.setattr("lab.gymnasium_envs.build", build)
    code, out, err = lab(*UNMADE)
    assert code == 2 and told(err, text, "env=gym" if by == "a plugin" and error else "env.id=lab/Unmade-v0")
    assert out == "" and not list(tmp_path.iterdir())


def test_a_package_that_an_extra_brings_is_named_with_it(lab, monkeypatch):
    error = ModuleNotFoundError("No module named 'Box2D.b2'", name="Box2D.b2")
    monkeypatch.setitem(gym.registry["lab/Unmade-v0"].kwargs, "error", error)
    code, _, err = lab(*UNMADE)
    assert code == 2 and told(err, 'needs a package that is not installed, Box2D: pip install "pluglab[box2d]"')


def test_one_that_can_no_longer_be_made_ends_the_run_as_a_failure(lab, monkeypatch, tmp_path):
    """At the first evaluation: before it ten or eleven were made."""
    monkeypatch.setitem(gym.registry["lab/Unmade-v0"].kwargs, "times", 12)
    monkeypatch.setattr(Unmade, "made", 0)
    code, _, err = lab(*UNMADE, *SMALL, "evaluate.videos=0", "agent.warmup=10", "agent.batch_size=4")
    assert code == 1 and told(err, "env.id=lab/Unmade-v0 needs a package", "resume=run") and about(tmp_path / "run")


def test_a_plugin_that_cannot_build_is_its_own_mistake(dqn, monkeypatch, tmp_path):
    monkeypatch.setattr(lab_dqn.build, "discrete", lambda world, envs: 1 / 0)
    code, _, err = dqn()
    assert code == 1 and told(err, "the agent dqn could not be built: ZeroDivisionError", "LAB_DEBUG=1")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("what, text", [
    ("raises", "raised RuntimeError: lost a wheel"), ("raises in reset", "raised RuntimeError in reset: no map"),
    ("no number", "an observation that is not finite"), ("shape", "an observation of shape (3,), its space has (2,)"),
    ("text", "an observation that is no number"), ("no reward", "a reward that is not finite"),
    ("text reward", "the reward '1', a str")])
def test_an_environment_that_fails(what, text, dqn, lab, tmp_path):
    """The learner is saved as it was, and the run goes on with a new episode: once, since this one fails again."""
    run = tmp_path / "run"
    code, _, err = dqn(*SMALL, *FAILS[1:], f"+env.options.what={what}")
    assert code == 1 and told(err, "environment lab/Fails-v0 (copy 0 of 1, ", text, "resume=run", "run/error.txt")
    assert "RuntimeError" in (run / "error.txt").read_text() or "EnvError" in (run / "error.txt").read_text()
    assert "Traceback" in (run / "error.txt").read_text() and about(run)["status"] == "failed"
    assert kept(run)[0] == about(run)["count"] >= 100
    code, _, err = lab("resume=run", "+env.options.what=nothing")
    assert code == 0 and about(run)["status"] == "finished" and about(run)["updates"] == 60
    assert "1 of 1 environments begin a new episode" in err


def test_an_agent_that_raises(dqn, monkeypatch, tmp_path):
    update = lab_dqn.dqn.DeepQ.update

    def failing(self, batch):
        return update(self, batch) if self.steps < 30 else batch["oops"]

    monkeypatch.setattr(lab_dqn.dqn.DeepQ, "update", failing)
    code, _, err = dqn(*SMALL)
    assert code == 1 and told(err, "dqn failed: KeyError: 'oops'", "The last checkpoint is of ", "resume=run")
    assert about(tmp_path / "run")["status"] == "failed" and "KeyError" in (tmp_path / "run/error.txt").read_text()


def test_a_loss_that_is_not_finite(dqn, monkeypatch, tmp_path):
    """Update 34 is named, the weights are those of update 33, and no checkpoint is of later."""
    goal, weights, run = lab_dqn.dqn.DeepQ.goal, [], tmp_path / "run"

    def poisoned(self, *rows):
        weights.append([p.clone() for p in self.q.parameters()])
        return goal(self, *rows) * (float("nan") if self.steps >= 33 else 1)

    monkeypatch.setattr(lab_dqn.dqn.DeepQ, "goal", poisoned)
    code, _, err = dqn(*SMALL, "agent.gradient_steps=1")
    assert code == 3
    assert told(err, "loss/td was not finite at update 34", "Try a smaller learning rate: ", "optimizer.lr=")
    assert about(run)["status"] == "diverged" and "Diverged" in (run / "error.txt").read_text()
    assert all(line["updates"] <= 33 for line in lines(run))
    assert len(weights) > 34 and all(map(torch.equal, weights[-1], weights[33]))
    state = checkpoint.newest(run / "checkpoints", pytest.fail)[1]
    assert state["runner"]["updates"] <= 33 and all(value.isfinite().all() for value in state["learner"]["q"].values())


@pytest.fixture
def full(monkeypatch):
    """full(wanted): writing a file for which wanted(path) is true fails for want of space."""
    def fill(wanted):
        real = checkpoint.write_file

        def write_file(path, body):
            if wanted(path):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            real(path, body)

        monkeypatch.setattr(checkpoint, "write_file", write_file)

    return fill


def nth(*numbers):
    """True for the checkpoints of these numbers, counted from 0."""
    seen = []

    def wanted(path):
        if path.name == checkpoint.FILES[0] and "checkpoints" in path.parts:
            seen.append(path)
            return len(seen) - 1 in numbers
        return False

    return wanted


def test_a_full_disk_is_a_warning_once_and_the_end_the_second_time(dqn, full, tmp_path, lab, monkeypatch):
    with monkeypatch.context():
        full(nth(2, 3))
        code, _, err = dqn(*SMALL)
    run = tmp_path / "run"
    assert code == 5
    assert told(err, "no space to write in run/checkpoints: needed ", "is kept. Make space, then: python -m lab resume")
    assert err.count("going on until the next one") == 1 and about(run)["status"] == "failed"
    assert len(kept(run)) == 2 and "DiskError" in (run / "error.txt").read_text()
    monkeypatch.undo(), monkeypatch.chdir(tmp_path)
    code, _, err = lab("resume=run")
    assert code == 0 and about(run)["status"] == "finished"


def test_a_disk_that_was_full_for_a_while(dqn, full, tmp_path):
    full(nth(1, 3))
    code, _, err = dqn(*SMALL)
    assert code == 0 and err.count("going on until the next one") == 2
    assert about(tmp_path / "run")["status"] == "finished"


def test_a_disk_that_cannot_hold_the_first_checkpoint(dqn, full, tmp_path):
    full(nth(0))
    code, _, err = dqn(*SMALL)
    assert code == 5 and told(err, "no space to write in run/checkpoints", "Make space and start it again")
    assert not list(tmp_path.iterdir())


def test_a_disk_too_full_for_anything(dqn, full, tmp_path):
    full(lambda path: True)
    code, _, err = dqn(*SMALL)
    assert code == 5 and told(err, "no space to write in run") and not list(tmp_path.iterdir())


def test_metrics_wait_for_space(dqn, monkeypatch, tmp_path):
    """One warning, no line lost."""
    tries = []

    def refusing(path, mode="r", *rest, **options):
        if str(path).endswith("metrics.jsonl") and "a" in mode:
            tries.append(path)
            if 2 <= len(tries) <= 4:
                raise OSError(errno.ENOSPC, "full")
        return open(path, mode, *rest, **options)

    assert dqn(*SMALL[:-1], "hydra.run.dir=whole")[0] == 0
    monkeypatch.setattr(run_folder, "open", refusing, raising=False)
    code, _, err = dqn(*SMALL)
    assert code == 0 and err.count("metrics are held in memory until there is space") == 1 and len(tries) > 5
    counts, whole = ([line["count"] for line in lines(tmp_path / name)] for name in ("run", "whole"))
    assert counts == whole


@pytest.mark.parametrize("place", ["runs", "runs/CartPole-v1/dqn", "run"])
def test_a_folder_that_cannot_be_made(place, dqn, lab, tmp_path):
    """A file stands where it should be. (Permissions would not stop the superuser.)"""
    (tmp_path / place).parent.mkdir(parents=True, exist_ok=True)
    (tmp_path / place).write_text("a file")
    before = sorted(tmp_path.rglob("*"))
    code, _, err = dqn("budget.updates=3", *(["hydra.run.dir=run/new"] if place == "run" else []))
    assert code == 5 and told(err, "cannot write in ") and sorted(tmp_path.rglob("*")) == before


def test_a_folder_without_permission(dqn, monkeypatch, tmp_path):
    def refuse(self, *args, **options):
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr("lab.folder.Path.mkdir", refuse)
    code, _, err = dqn("budget.updates=3")
    assert code == 5 and told(err, "Permission denied", "hydra.run.dir=FOLDER")
    assert f"cannot write in {tmp_path}/runs/CartPole-v1/dqn: " in err


def test_a_folder_with_something_in_it_is_not_written_into(dqn, tmp_path):
    (tmp_path / "run").mkdir()
    (tmp_path / "run/notes.txt").write_text("mine")
    code, _, err = dqn(*SMALL)
    assert code == 2 and told(err, "run exists already; choose another folder, or go on with it by resume=run")
    assert [path.name for path in (tmp_path / "run").iterdir()] == ["notes.txt"]


@pytest.fixture
def run(dqn, tmp_path):
    code, _, err = dqn(*SMALL)
    assert code == 0, err
    return tmp_path / "run"


def contents(folder):
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_a_run_in_use_and_the_lock_of_the_dead(run, lab):
    lock = os.open(run / ".lock", os.O_RDWR | os.O_CREAT)
    os.write(lock, b"process 12345 on elsewhere since Sunday")
    fcntl.flock(lock, fcntl.LOCK_EX)
    before = contents(run)
    code, _, err = lab("resume=run", "budget.updates=65")
    assert code == 6 and told(err, "run is in use by process 12345 on elsewhere since Sunday; stop that one first")
    assert contents(run) == before
    os.close(lock)                                        # its owner died, the file is still there
    code, _, err = lab("resume=run", "budget.updates=65")
    assert code == 0 and about(run)["updates"] == 65 and not (run / ".lock").exists()


def test_refused_resumes_change_nothing(run, lab, tmp_path):
    """Of no run, of another agent, with what does not fit, with damaged checkpoints only."""
    before = contents(run)
    for args, code, text in (
            (["resume=nowhere"], 4, "nowhere is not a run folder: it does not exist"),
            (["resume=."], 4, "it has no readable run.json"),
            (["resume=run", "+agent=sarsa"], 4, "this run belongs to agent 'dqn', not 'sarsa'"),
            (["resume=run", "seed=3"], 4, "seed is 0 in this run and cannot become 3"),
            (["resume=run", "env.id=Acrobot-v1"], 4, "env.id is 'CartPole-v1' in this run"),
            (["resume=run", "model.hidden=[17]"], 4, "in this run and cannot become [17]; start a new one"),
            (["resume=run", "model.activation=relu"], 4, "model.activation is 'tanh' in this run and cannot become"),
            (["resume=run", "agent.dueling=true"], 4,
             "does not fit this code and config: the networks differ, first in "),
            (["resume=run", "agent.num_envs=3"], 4, "it holds 1 environments and this run has 3"),
            (["resume=run", "optimizer=sgd"], 4, "this run belongs to optimizer 'adam'"),
            (["resume=run", "budget.stepz=3"], 2, "Did you mean 'steps'?"),
            (["resume=run", "budget.updates=-3"], 2, "budget.updates is -3"),
            (["resume=run", "compute.device=cuda:9"], 2, "this machine offers"),
            (["resume=run", "--help"], 2, "takes no flags"),
            (["resume=run", "seed=0", "seed=1"], 2, "seed is given twice")):
        got, _, err = lab(*args)
        assert got == code and told(err, text), err
        assert contents(run) == before
    for path in checkpoint.found(run / "checkpoints"):
        (path / "tree.json").write_text("{}")
    before = contents(run)
    code, _, err = lab("resume=run", "budget.updates=70")
    assert code == 4 and told(err, "is intact: checkpoint ", "Nothing was changed") and contents(run) == before
    assert err.count("damaged, the content of tree.json") == len(kept(run))


def test_rows_that_are_damaged_stop_a_resume_and_no_evaluation(dqn, lab, monkeypatch, tmp_path):
    """Evaluation needs the weights alone; a resume needs the buffer, and finds out before it changes anything."""
    monkeypatch.setattr(rows, "CHUNK", 1000)
    assert dqn(*SMALL)[0] == 0
    newest = checkpoint.found(tmp_path / "run" / "checkpoints")[0]
    for chunk in (newest.parent / "chunks").iterdir():
        chunk.write_bytes(b"x")
    before = contents(tmp_path / "run")
    for args in (("eval", "run", "--episodes", 1), ("eval", newest, "--episodes", 1)):
        code, out, err = lab(*args)
        assert code == 0 and "dqn at " in out and "chunk" not in out + err, err
    code, _, err = lab("resume=run", "budget.updates=70")
    assert code == 4 and told(err, "is intact", "content of the chunk", "put these back", "Nothing was changed")
    assert contents(tmp_path / "run") == before


def test_a_checkpoint_of_another_agent(run, lab):
    path = checkpoint.found(run / "checkpoints")[0]
    state = checkpoint.read(path)
    checkpoint.write(run / "checkpoints", checkpoint.count_of(path), {**state, "agent": "sac"}, 3)
    code, _, err = lab("resume=run")
    assert code == 4 and told(err, "was made by sac, this run says dqn")


def test_a_checkpoint_without_a_part(run, lab):
    path = checkpoint.found(run / "checkpoints")[0]
    state = checkpoint.read(path)
    state["learner"].pop("rng")
    checkpoint.write(run / "checkpoints", checkpoint.count_of(path), state, 3)
    code, _, err = lab("resume=run")
    assert code == 4 and told(err, "does not fit this code", "DeepQ: checkpoint and code disagree on ['rng']")


def test_lines_that_were_held_are_written_before_a_checkpoint_says_that_they_are_there(tmp_path, monkeypatch):
    full, warnings = [True], []

    def refusing(path, mode="r", *rest, **options):
        if full and str(path).endswith("metrics.jsonl") and "a" in mode:
            raise OSError(errno.ENOSPC, "full")
        return open(path, mode, *rest, **options)

    monkeypatch.setattr(run_folder, "open", refusing, raising=False)
    with run_folder.RunFolder(tmp_path, "dqn", 3, warnings.append) as record:
        for count in range(3):
            record.log(count, count, 0.0, {"loss/a": 1.0})
        full.clear()
        record.save(3, {})
    assert len(lines(tmp_path)) == 3 and len(warnings) == 1
    assert checkpoint.newest(tmp_path / "checkpoints", print)[1]["lines"] == 3


def test_a_disk_too_full_for_the_name_of_who_holds_the_lock(dqn, monkeypatch):
    def refusing(*args):
        raise OSError(errno.ENOSPC, "full")

    monkeypatch.setattr(run_folder.os, "pwrite", refusing)
    assert dqn(*SMALL)[0] == 0


@pytest.mark.timeout(20)
def test_runs_that_lead_nowhere_are_told_and_not_tried_for_ever(dqn, tmp_path):
    (tmp_path / "runs").symlink_to(tmp_path / "gone")
    code, _, err = dqn("budget.updates=3")
    assert code == 5 and told(err, f"cannot write in {tmp_path}/runs")
