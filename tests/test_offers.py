"""The ways in which a plugin can be broken."""

from pathlib import Path

import pytest
from plugin_site import Site, agents, site_in


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    yield from site_in(tmp_path, monkeypatch)


def tuned(table: str) -> str:
    return agents(f'Agent("new", Config, "a:b", tuned={table})', name="other")


BROKEN = {
    "missing import": ("import not_there", "No module named 'not_there'"),
    "syntax": ("def f(:", "SyntaxError"),
    "exit": ("raise SystemExit(3)", "SystemExit: 3"),
    "not even an Exception": ("raise GeneratorExit('gone')", "GeneratorExit: gone"),
    "error without text": ("class E(Exception): __str__ = None\nraise E", "E: <exception str() failed>"),
    "hook misspelt": ("@hookimpl\ndef lab_agent(): return []", "Did you mean 'lab_agents'?"),
    "hook unmarked": ("def lab_agents(): return []", "put @lab.hookimpl above it"),
    "hook with argument": ("@hookimpl\ndef lab_agents(cfg): return []", "cfg"),
    "hook raises": ("@hookimpl\ndef lab_agents(): 1 / 0", "ZeroDivisionError: division by zero"),
    "hook of a later kind raises": (agents(name="new") + "@hookimpl\ndef lab_envs(): 1 / 0", "division by zero"),
    "nothing returned": ("@hookimpl\ndef lab_agents(): pass", "list of lab.Agent, it returned None"),
    "no list": ('@hookimpl\ndef lab_agents(): return Agent("new", Config, "a:b")', "it returned Agent("),
    "strings": ("@hookimpl\ndef lab_envs(): return ['CartPole']", "list of lab.Env, there is 'CartPole' in it"),
    "another kind": (agents('Model("net", Config, "a:b")', name="new"), "list of lab.Agent, there is Model("),
    "name with a path": (agents('Agent("../new", Config, "a:b")', name="new"), "agent '../new': a name is"),
    "name too long": (agents(f'Agent("{"n" * 65}", Config, "a:b")', name="new"), "a name is 1 to 64"),
    "name no string": (agents('Agent(7, Config, "a:b")', name="new"), "agent 7: a name is"),
    "build a function": (agents('Agent("new", Config, print)', name="other"), "a string 'module:function'"),
    "build a module": (agents('Agent("new", Config, "lab_new.new")', name="other"), "got 'lab_new.new'"),
    "build with arguments": (agents('Agent("new", Config, "lab_new:build(1)")', name="other"), "'lab_new:build(1)'"),
    "build_vector a word": ("from lab import Env\n@hookimpl\ndef lab_envs(): return [Env('new', Config, 'a:b', 'vec')]",
                            "env 'new': build_vector must be a string 'module:function', got 'vec'"),
    "config a dict": (agents('Agent("new", dict, "a:b")', name="other"), "must be a dataclass"),
    "config an instance": (agents('Agent("new", Config(), "a:b")', name="other"), "not an instance"),
    "config frozen": ("@dataclass(frozen=True)\nclass Ice: x: int = 1\n" + agents('Agent("new", Ice, "a:b")'),
                      "Ice is frozen"),
    "config untyped": ("@dataclass\nclass Odd:\n    x: bytearray | set = 1\n" + agents('Agent("new", Odd, "a:b")'),
                       "Odd cannot be a Hydra config"),
    "config nameless": ("@dataclass\nclass Bare: x: int = 1\n" + agents('Agent("new", Bare, "a:b")'),
                        "agent 'new': Bare must have the field `name: str = 'new'`"),
    "optimizer without a rate": ("from lab import Optimizer\n@hookimpl\ndef lab_optimizers(): return "
                                 "[Optimizer('new', Config, 'a:b')]", "must be a subclass of lab.builtin.Optimizer"),
    "tuned nowhere": (tuned("{'default': {'agnt.lr': 1}}"), "'agnt.lr' is in no part of the config. Did you mean"),
    "tuned no period": (tuned("{'default': {'evaluate.evry': 1}}"), "Did you mean 'every'?"),
    "same twice": (agents('Agent("new", Config, "a:b")', name="new"), "offers agent 'new' twice"),
    "taken": (agents(name="first"), "agent 'first' is already offered by plugin 'a_first'"),
    "conf not there": ("@hookimpl\ndef lab_conf(): return Path('/nowhere/conf')", "left out of the wheel?"),
    "conf relative": ("@hookimpl\ndef lab_conf(): return 'tests'", "relative"),
    "conf no path": ("@hookimpl\ndef lab_conf(): return ['/']", "Path or str, it returned ['/']"),
    "two conf": ("\n".join(f"@hookimpl(specname='lab_conf')\ndef {f}(): return '/'" for f in "fg"), "lab_conf stands"),
    "tuned no table": (tuned("[1]"), "tuned must map env ids"),
    "tuned not dotted": (tuned("{'default': {'lr': 1}}"), "'lr' must be dotted"),
    "tuned no field": (tuned("{'CartPole-v1': {'agent.l_r': 1}}"), "Did you mean 'lr'?"),
    "tuned too deep": (tuned("{'default': {'agent.lr.x': 1}}"), "'agent.lr.x' is no field"),
    "learns from": (agents('Agent("new", Config, "a:b", learns_from="envs")'), "'env' or 'data', got 'envs'"),
    "packages a string": (agents('Agent("new", Config, "a:b", packages="torch")'), "of distributions, got 'torch'"),
    "small a string": (agents('Agent("new", Config, "a:b", small=("agent.lr=1"))'), "tuple of overrides"),
}


@pytest.mark.parametrize("fault", BROKEN)
def test_a_broken_plugin_is_left_out_whole_and_the_others_work(fault: str, site: Site, capsys) -> None:
    code, reason = BROKEN[fault]
    site.add("a_first", agents(name="first") + site.conf("a", "agent/first.yaml"))
    site.add("bad", code + "\n" + ("" if "lab_conf" in code or fault == "syntax" else site.conf("b", "agent/bad.yaml")))
    site.add("z_last", agents(name="last") + site.conf("z", "agent/bad.yaml"))       # free: `bad` was undone
    lab = site.host()
    assert lab.provider == {("agent", "first"): "a_first", ("agent", "last"): "z_last"}
    assert list(lab.entries) == list(lab.provider) and list(lab.folders) == ["a_first", "z_last"]
    assert [each.name for each in lab.plugins] == ["a_first", "z_last"]
    assert list(lab.left_out) == ["bad"] and reason in lab.left_out["bad"]
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 1 and lines[0].startswith(f"lab: plugin 'bad' (bad 1.0) left out: {lab.left_out['bad']} [")


def test_an_entry_point_that_names_nothing(site: Site) -> None:
    site.add("bad", value="plug_bad:nothing")
    site.add("worse", value="plug worse")
    assert "no attribute 'nothing'" in site.host().left_out["bad"] and "worse" in site.host().left_out


@pytest.mark.parametrize(("file", "provider"), [
    ("agent/same.yaml", "plugin 'a' (a 1.0)"), ("config.yaml", "the lab itself"),
])
def test_a_conf_file_that_someone_else_provides(file: str, provider: str, site: Site) -> None:
    site.add("a", site.conf("first", "agent/same.yaml"))
    site.add("b", agents() + site.conf("second", "agent/free.yaml", file))
    lab = site.host()
    assert lab.left_out == {"b": f"its conf file {file} is already provided by {provider}"}
    assert list(lab.folders) == ["a"] and not lab.entries


def test_tuned_values_that_are_right_are_taken_in(site: Site) -> None:
    site.add("a", agents('Agent("new", Config, "a:b", tuned={"default": {"optimizer.lr": 1}, '
                         '"Taxi-v3": {"optimizer.lr": 2, "agent.lr": 3}})'))
    assert site.host().entry("agent", "new").tuned["Taxi-v3"]["agent.lr"] == 3
