"""Finding plugins, leaving out broken ones, and answering for what they offer."""

import json
import os
import shutil
import subprocess
import sys
import warnings
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from plugin_site import Site, agents, site_in

from lab import Agent
from lab.commands import plugins as command
from lab.errors import UsageError
from lab.host import Host, installed


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    yield from site_in(tmp_path, monkeypatch)


@pytest.mark.parametrize(("need", "fits"), [
    ("pluglab>=0.1,<0.2", True), ("pluglab>=99", False), ("PlugLab >=99", False),
    ("pluglab>=99; python_version < '3'", True), ("pluglab>=99; python_version >= '3'", False),
    ("pluglab>=99; extra == 'box'", True), ("pluglab[sb3]<0.1", False), ("pluglab-more>=99", True),
    ("torch>=99", False), ("torch>=2", True), ("not-there>=1", True),
])
def test_what_a_plugin_demands_is_read_before_the_import(need: str, fits: bool, site: Site) -> None:
    site.add("a", agents(), requires=("numpy", need))
    lab = site.host()
    assert (list(lab.entries) == [("agent", "mine")]) is fits and ("plug_a" in sys.modules) is fits
    assert fits or f"it needs {Requirement(need)}, and this is {Requirement(need).name} " in lab.left_out["a"]


def test_built_in_plugins_come_first_and_the_others_by_name(site: Site) -> None:
    for name, dist in (("c", ""), ("a", ""), ("z", "PlugLab")):
        site.add(name, agents(name="dqn") if name in "az" else "", dist=dist)
    lab = site.host()
    assert [each.name for each in lab.plugins] == ["z", "c"] and "by plugin 'z'" in lab.left_out["a"]


def test_one_name_in_two_distributions(site: Site) -> None:
    site.add("a", agents(), dist="acme")
    site.add("a", agents(), dist="zeta")
    lab = site.host()
    assert len(lab.plugins) == 1 and lab.left_out["a"].startswith("plugin 'a' (acme 1.0) has this name already")


def test_a_stale_copy_of_a_distribution_is_not_a_second_plugin(site: Site, tmp_path: Path) -> None:
    (tmp_path / "old").mkdir()
    site.add("a", agents(), dist="Acme.Noise")
    Site(tmp_path / "old").add("a", agents(), dist="acme_noise")
    lab = Host(installed([str(tmp_path), str(tmp_path / "old")]))
    assert [each.dist for each in lab.plugins] == ["Acme.Noise"] and not lab.left_out


def test_damaged_metadata_is_the_fault_of_one_distribution(site: Site) -> None:
    site.add("a", agents())
    site.add("b", agents(name="b"))
    (site.folder / "b-1.0.dist-info" / "entry_points.txt").write_text("[lab.plugins]\nb\n")
    lab = site.host()
    assert lab.names("agent") == ["mine"] and "b-1.0.dist-info" in lab.quarantined[0].dist


def test_strict_fails_with_the_traceback(site: Site, monkeypatch, capsys) -> None:
    site.add("bad", "import not_there")
    monkeypatch.setenv("LAB_STRICT_PLUGINS", "1")
    with pytest.raises(UsageError, match=r"plugin 'bad' \(bad 1.0\): ModuleNotFoundError") as caught:
        site.host()
    assert isinstance(caught.value.__cause__, ModuleNotFoundError) and "plug_bad.py" in capsys.readouterr().err


def test_blocked_plugins_are_not_imported(site: Site, monkeypatch, capsys) -> None:
    site.add("bad", "import not_there")
    monkeypatch.setenv("LAB_BLOCK_PLUGINS", "bad, ghost,")
    monkeypatch.setenv("LAB_STRICT_PLUGINS", "1")
    lab = site.host()
    assert lab.blocked == {"bad": "bad 1.0", "ghost": "not installed"} and not lab.left_out
    assert not capsys.readouterr().err and "plug_bad" not in sys.modules


def test_control_c_ends_it(site: Site) -> None:
    site.add("a", "raise KeyboardInterrupt")
    with pytest.raises(KeyboardInterrupt):
        site.host()


def test_an_import_leaves_no_mess(site: Site, capsys) -> None:
    site.add("a", "import os, sys, warnings\nos.chdir('/')\nsys.path.append('/x')\nwarnings.simplefilter('ignore')\n"
                  "print('hello')\n" + agents())
    before = (os.getcwd(), list(sys.path), list(warnings.filters))
    assert site.host().names("agent") == ["mine"]
    assert (os.getcwd(), list(sys.path), list(warnings.filters)) == before
    assert capsys.readouterr() == ("", "hello\n")


def test_a_wrong_name_is_answered_with_the_right_one_and_with_who_was_left_out(site: Site) -> None:
    site.add("a", agents())
    site.add("b", agents('Agent("lost", dict, "a:b")', name="c"))
    with pytest.raises(UsageError, match=r"named 'mien'. Did you mean 'mine'\?.*perhaps.*plugin 'b' \(b 1.0\)"):
        site.host().entry("agent", "mien")
    site.add("b", agents(name="lost") + "@hookimpl\ndef lab_conf(): return '/nowhere'")
    del sys.modules["plug_b"]
    with pytest.raises(UsageError, match=r"It belongs to plugin 'b' \(b 1.0\), which was left out: its conf folder"):
        site.host().entry("agent", "lost")
    assert site.host().entry("agent", "mine") == Agent("mine", sys.modules["plug_a"].Config, "plug_build:build")


@pytest.mark.parametrize(("code", "reason"), [
    (None, "it names the module 'plug_build', which does not exist"),
    ("import box2d_py", "it needs the module 'box2d_py', which is not installed; extras of a: box"),
    ("from json import nothing", "cannot import name 'nothing' from 'json'"),
    ("", "module 'plug_build' has no attribute 'build'"),
])
def test_what_cannot_be_built_says_whose_fault_it_is(code: str | None, reason: str, site: Site) -> None:
    site.add("a", agents())
    if code is not None:
        (site.folder / "plug_build.py").write_text(code)
    with pytest.raises(UsageError) as caught:
        site.host().load("agent", "mine")
    assert str(caught.value).startswith(f"The agent 'mine' of plugin 'a' (a 1.0) cannot be loaded: {reason}")


def test_load_imports_the_function(site: Site) -> None:
    site.add("a", agents())
    (site.folder / "plug_build.py").write_text("def build(): return 42")
    assert site.host().load("agent", "mine")() == 42


@pytest.fixture
def mixed(site: Site, monkeypatch) -> Site:
    """A plugin that works, one that imports torch, a broken one and a blocked one; `lab plugins` tells of them."""
    monkeypatch.setitem(sys.modules, "torch", None)
    monkeypatch.delitem(sys.modules, "torch")
    monkeypatch.setenv("LAB_BLOCK_PLUGINS", "off")
    envs = '@hookimpl\ndef lab_envs(): return [Env("e", Config, "a:b")]'
    site.add("a", agents('Agent("late", Config, "a:b")') + envs)
    site.add("b_torch", "import sys, types\nsys.modules['torch'] = types.ModuleType('torch')")
    site.add("bad", "import not_there")
    site.add("off")
    site.add("small")
    monkeypatch.setattr(command, "host", site.host)
    return site


def test_lab_plugins_lists_them(mixed: Site, capsys) -> None:
    assert command.main([]) == 0
    words = [line.split() for line in capsys.readouterr().out.splitlines()]
    first = next(line for line in words if line[:3] == ["a", "a", "1.0"])
    assert first[4] == "ms" and len(first) == 5 and ["agent", "late,", "mine"] in words and ["env", "e"] in words
    assert next(line for line in words if line[:1] == ["b_torch"])[5:7] == ["imports", "torch:"]
    assert words.index(["bad", "bad", "1.0"]) < words.index(["off", "off", "1.0"])
    assert ["ModuleNotFoundError:", "No", "module", "named", "'not_there'"] in words


def test_lab_plugins_as_json(mixed: Site, capsys) -> None:
    assert command.main(["--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert [(each["name"], each["imports_torch"]) for each in told["plugins"]] == [
        ("a", False), ("b_torch", True), ("small", False)]
    assert told["plugins"][0]["brings"] == {"agent": ["late", "mine"], "env": ["e"]}
    assert told["left_out"][0] == {"name": "bad", "distribution": "bad", "version": "1.0",
                                   "reason": "ModuleNotFoundError: No module named 'not_there'"}
    assert told["blocked"] == [{"name": "off", "distribution": "off 1.0"}]


def run(code: str, **environment: str) -> str:
    env = {key: value for key, value in os.environ.items() if not key.startswith("LAB_")} | environment
    return subprocess.run([sys.executable, "-c", code], env=env, check=True, capture_output=True, text=True).stdout


def test_finding_plugins_imports_nothing_heavy() -> None:
    heavy = "print({'torch', 'gymnasium', 'hydra', 'tensorboard'} & set(sys.modules))"
    assert run(f"import sys; from lab.host import host; host(); {heavy}") == "set()\n"


def test_an_outside_package_installed_by_pip(tmp_path: Path) -> None:
    source, target = tmp_path / "source", tmp_path / "target"
    shutil.copytree(Path(__file__).parent / "outside", source, ignore=shutil.ignore_patterns("__pycache__"))
    subprocess.run([sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-index",
                    "--no-build-isolation", "--no-deps", "--target", target, source], check=True)
    told = json.loads(run("from lab.commands.plugins import main; main(['--json'])", PYTHONPATH=str(target)))
    noise = next(each for each in told["plugins"] if each["name"] == "noise")
    assert (noise["distribution"], noise["version"], noise["brings"]) == ("lab-noise", "1.0", {"agent": ["noise"]})
    assert (Path(noise["conf"]) / "agent" / "noise.yaml").is_file() and not noise["imports_torch"]
    text = run("from lab.commands.plugins import main; main([])", PYTHONPATH=str(target))
    assert "lab-noise 1.0" in text
    checked = run("from lab.commands.check import main; assert main(['noise']) == 0", PYTHONPATH=str(target))
    assert "noise: all checks passed" in checked and "cannot apply, it learns nothing" in checked
