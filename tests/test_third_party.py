"""What a plugin from outside can do, and what its mistakes look like to who uses it."""

import json
import sys

import pytest
import yaml
from plugin_site import site_in

from lab.host import host

DECLARES = """
from dataclasses import field
from lab import Sink

@dataclass
class Count:
    name: str = "count"
    size: int = 3

@dataclass
class Lines:
    name: str = "lines"
    file: str = "lines.txt"
    fail: bool = False

@dataclass
class Strict:
    name: str = "strict"
    path: Path = Path("here")
    scale: int = 1

    def __post_init__(self):
        if self.scale < 0:
            raise ValueError("scale must not be negative")

@dataclass
class Box:
    name: str = "box"

@dataclass
class Flat:
    name: str = "flat"

@hookimpl
def lab_models(): return [Model("flat", Flat, "plug_build:flat")]

@hookimpl
def lab_envs(): return [Env("box", Box, "plug_build:box")]

@hookimpl
def lab_agents():
    tuned = {"default": {"budget.steps": 100, "evaluate.every": 40, "agent.size": 5}}
    return [Agent("count", Count, "plug_build:build", tuned=tuned),
            Agent("nothing", Count, "plug_build:nothing", tuned=tuned),
            Agent("broken", Count, "plug_broken:build", tuned=tuned),
            Agent("strict", Strict, "plug_build:strict", tuned={"default": {"budget.steps": 50}}),
            Agent("typo", Count, "plug_build:build", tuned={"default": {"model.hiden": [3], "budget.steps": 9}})]

@hookimpl
def lab_sinks(): return [Sink("lines", Lines, "plug_build:lines")]
"""
BUILD = """
import sys
import torch
from lab.contract import Experiment, Learner
from lab.sinks import Sink
from lab.streams import Steps
from lab.testing.envs import TinyBox

class Count(Learner):
    saved = ("total",)

    def __init__(self, size):
        self.total, self.size = torch.zeros(()), size

    def act(self, obs, count):
        return torch.zeros(len(obs), dtype=torch.int64)

    def update(self, batch):
        self.total += self.size
        if self.size == 7 and self.total > 100:
            sys.exit("enough")
        return {"loss/nan": self.total * (float("nan") if self.size == 8 and self.total > 100 else 1.0)}

def build(cfg, world):
    learner = Count(cfg.size)
    return Experiment(learner, Steps(world.envs(1), learner.act))

class Box(TinyBox):
    closed = 0

    def close(self):
        Box.closed += 1

    def step(self, action):
        obs, reward, terminated, truncated, info = super().step(action)
        self.age = getattr(self, "age", 0) + 1
        return obs, reward, terminated, self.age % 9 == 0, info

def box(cfg, render_mode):
    if render_mode == "rgb_array":
        raise NotImplementedError("no pictures")
    return Box()

def strict(cfg, world):
    learner = Count(cfg.scale)
    policy = lambda obs: 1 / 0 if cfg.scale == 3 else torch.zeros(len(obs), dtype=torch.int64)
    return Experiment(learner, Steps(world.envs(2), learner.act), policy=policy)

def nothing(cfg, world):
    return None

def flat(cfg, shape, outputs):
    return torch.nn.Linear(shape[0], outputs)

class Lines(Sink):
    def __init__(self, path):
        self.path = path

    def write(self, count, metrics, wall_time):
        self.line(count, *metrics)

    def restart(self, count):
        self.line("again from", count)

    def line(self, *words):
        with self.path.open("a") as out:
            print(*words, file=out)

def lines(cfg, folder):
    if cfg.fail:
        raise RuntimeError("no account")
    return Lines(folder / cfg.file)
"""
RUN = ("hydra.run.dir=run", "env=CartPole")


@pytest.fixture
def outside(tmp_path_factory, monkeypatch, lab):
    """lab(), with a plugin that has no YAML at all."""
    folder = tmp_path_factory.mktemp("site")
    for site in site_in(folder, monkeypatch):
        site.add("outside", DECLARES)
        (folder / "plug_build.py").write_text(BUILD)
        (folder / "plug_broken.py").write_text("raise RuntimeError('no licence')")
        host.cache_clear()
        yield lab
    host.cache_clear()


def test_an_agent_without_a_file_is_a_choice_like_any_other(outside, tmp_path):
    code, _, err = outside("+agent=count", *RUN)
    assert code == 0, err
    config = yaml.safe_load((tmp_path / "run" / "config.yaml").read_text())
    assert (config["agent"], config["budget"]["steps"]) == ({"name": "count", "size": 5}, 100)
    assert (config["evaluate"]["every"], config["checkpoint"]["every"]) == (40, 10)
    assert json.loads((tmp_path / "run" / "run.json").read_text())["status"] == "finished"
    assert "count, " in outside("--help")[1]


@pytest.mark.parametrize("args, code, text", [
    (["+agent=nothing"], 1, "the build of the agent nothing returned None, not a lab.contract.Experiment"),
    (["+agent=broken"], 2, "cannot be loaded: plug_broken raised RuntimeError: no licence"),
    (["+agent=dqn", "model=flat", "agent.dueling=true"], 2,
     "takes outputs=None and leaves its last layer out; that of model=flat raised TypeError: empty()"),
    (["+agent=typo"], 2, "the agent typo tunes model.hiden, which no model has: a mistake in its plugin. Did you mean"),
    (["+agent=count", "log.sinks=[line]"], 2, "There is no sink named 'line'. Did you mean 'lines'?"),
    (["+agent=count", "log.sinks=[{name:lines,fil:x}]"], 2, "unknown key 'sink.fil'. Did you mean 'file'?"),
    (["+agent=count", "log.sinks=[3]"], 2, "sink has no name"),
    (["+agent=strict", "agent.scale=-1"], 2, "agent strict: scale must not be negative"),
    (["+agent=count", "env=gym", "env.id=os:Foo-v0"], 2, "would import the module before the colon"),
    (["+agent=count", "+experiment=dqn_cartpole_zoo"], 2, "an experiment brings its agent: leave out"),
    (["+agent=count", "hydra.run.dir='x/${now:%Y}'"], 2, "is not a folder name"),
])
def test_mistakes_are_told_before_anything_is_created(args, code, text, outside, tmp_path):
    rest = [each for each in RUN if each.partition("=")[0] not in "".join(args)]
    got, _, err = outside(*args, *rest)
    assert got == code and text in err and err.count("\n") == 1 and not list(tmp_path.iterdir())


def test_an_agent_that_exits_is_a_failure_and_not_the_end_of_the_lab(outside, tmp_path):
    code, _, err = outside("+agent=count", "agent.size=7", *RUN)
    assert code == 1 and "count failed: SystemExit: enough" in err
    assert json.loads((tmp_path / "run" / "run.json").read_text())["status"] == "failed"
    assert "sys.exit" in (tmp_path / "run" / "error.txt").read_text()


def test_a_sink_has_a_config(outside, tmp_path):
    code, _, err = outside("+agent=count", "log.sinks=[{name:lines,file:other.txt}]", *RUN)
    assert code == 0 and err.count("could not be opened") == 0
    assert (tmp_path / "run" / "other.txt").read_text().startswith("1 loss/nan time/steps_per_s")
    assert yaml.safe_load((tmp_path / "run" / "config.yaml").read_text())["log"]["sinks"] == [
        {"name": "lines", "file": "other.txt", "fail": False}]
    assert outside("resume=run", "budget.steps=110")[0] == 0
    assert "\nagain from 100\n101 " in (tmp_path / "run" / "other.txt").read_text()


def test_a_sink_that_cannot_be_opened_costs_no_training(outside, tmp_path):
    code, _, err = outside("+agent=count", "log.sinks=[{name:lines,fail:true}]", *RUN)
    assert code == 0 and "lines could not be opened (RuntimeError: no account); training continues without it" in err


def test_in_a_sweep_one_failure_is_told_and_the_others_go_on(outside, tmp_path, monkeypatch):
    code, _, err = outside("-m", "+agent=count", "env=CartPole", "agent.size=8,5")
    assert code == 3 and "lab: loss/nan was not finite at update 13" in err and "Traceback" not in err
    found = [json.loads(file.read_text())["status"] for file in sorted(tmp_path.glob("runs/sweeps/*/count/*/run.json"))]
    assert found == ["diverged", "finished"]


def test_what_does_not_fit_is_told_before_the_first_job_of_a_sweep(lab, tmp_path):
    code, _, err = lab("-m", "+agent=dqn", "env=CartPole,Pendulum")
    assert code == 2 and "dqn needs a Discrete action space" in err and not list(tmp_path.iterdir())
    assert "hydra" in sys.modules


def test_what_only_the_film_cannot_do_costs_no_run(outside, tmp_path):
    """Nor does anything stay open."""
    code, _, err = outside("+agent=strict", "env=box", "agent.path=/some/where", "hydra.run.dir=run")
    assert code == 0 and "no video: " in err and "no pictures" in err, err
    assert yaml.safe_load((tmp_path / "run" / "config.yaml").read_text())["agent"]["path"] == "/some/where"
    box = sys.modules["plug_build"].Box
    made, box.closed = box.closed, 0
    assert made >= 2
    assert outside("resume=run", "budget.steps=60")[0] == 0 and box.closed >= 2
    assert outside("eval", "run", "--episodes", 2)[0] == 0
    code, out, _ = outside("check-env", "box")
    assert code == 0 and out.startswith("box: exact")


def test_a_policy_that_fails_is_one_paragraph(outside, tmp_path):
    assert outside("+agent=strict", "env=box", "hydra.run.dir=run")[0] == 0
    code, _, err = outside("eval", "run", "agent.scale=3")
    assert code == 1 and err == "lab: ZeroDivisionError: division by zero. LAB_DEBUG=1 shows the traceback\n"
