"""The command line as a user meets it: `lab` and `python -m lab`, in a checkout and from a wheel, in any folder."""

import json
import re
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
import yaml

import lab as package
from lab.__main__ import COMMANDS
from lab.errors import UsageError
from lab.host import core_folder, host

ROOT = Path(__file__).parent.parent
SCRIPT = Path(sys.executable).parent / "lab"
LOADED = "import sys, lab.__main__ as m; sys.argv[0] = 'lab'; code = m.main(); print([*sys.modules], code)"


def test_help_answers_without_torch_or_hydra(process):
    done = process("-c", LOADED, "--help")
    assert done.returncode == 0 and done.stderr == "" and done.stdout.endswith(" 0\n")
    loaded = done.stdout.splitlines()[-1]
    assert "'lab.help'" in loaded and not re.search("'(torch|hydra|gymnasium|numpy|tensorboard)'", loaded)
    for name in (*host().names("agent"), "CartPole", "FrozenLake8x8", "adamw", "resume=RUN", *COMMANDS):
        assert name in done.stdout


def test_a_mistake_is_told_without_waiting_for_torch(process):
    done = process("-c", LOADED, "+agent=dqm")
    assert "Did you mean 'dqn'?" in done.stderr and done.stdout.endswith(" 2\n") and "'torch'" not in done.stdout


def test_both_spellings_of_the_command(process, tmp_path):
    module = process("-m", "lab", "plugins", "--json")
    assert module.returncode == 0 and not list(tmp_path.iterdir())
    about = json.loads(module.stdout)
    assert {"builtin", "models", "dqn"} <= {each["name"] for each in about["plugins"]} and not about["left_out"]
    assert not any(each["imports_torch"] for each in about["plugins"])
    if SCRIPT.exists():
        script = subprocess.run([SCRIPT, "--version"], capture_output=True, text=True, check=True)
        assert script.stdout == f"lab {package.__version__}\n"


def test_a_closed_pipe_is_quiet(tmp_path):
    done = subprocess.run(f"{sys.executable} -m lab plugins | head -1", shell=True, cwd=tmp_path, capture_output=True,
                          text=True)
    assert done.stderr == "" and len(done.stdout.splitlines()) == 1


@pytest.mark.parametrize("args, text", [
    (["evla", "run"], "called 'evla'. Did you mean 'eval'? Known: check, check-env, compare, eval, export"),
    (["run"], "To train: python -m lab +agent=dqn env=CartPole"), (["--foo"], "unknown option --foo"),
    (["+agent=dqn", "foo"], "'foo' is neither a command nor KEY=VALUE"), (["resume=x", "-m"], "it takes no flags"),
    (["eval"], "lab eval: the following arguments are required: run"),
    (["check"], "lab check: the following arguments are required: agent"),
    (["play", "x", "--out", "film.avi"], "expected a name that ends in .gif or .mp4"),
    (["eval", "x", "--episodes", "0"], "--episodes is 0"), (["check", "dqm"], "Did you mean 'dqn'?")])
def test_a_bad_command(args, text, lab, tmp_path):
    code, out, err = lab(*args)
    assert code == 2 and text in err and out == "" and err.startswith("lab: ") and err.count("\n") == 1
    assert not list(tmp_path.iterdir())


def test_lab_debug_shows_the_traceback(lab, monkeypatch):
    monkeypatch.setenv("LAB_DEBUG", "1")
    with pytest.raises(UsageError):
        lab("evla")


def test_the_config_is_shown_and_nothing_is_created(dqn, tmp_path):
    code, out, _ = dqn("--cfg", "job", "--resolve", "seed=4")
    shown = yaml.safe_load(out)
    assert code == 0 and shown["seed"] == 4 and shown["agent"]["name"] == "dqn" and shown["model"]["hidden"] == [16]
    assert shown["env"]["id"] == "CartPole-v1" and "${" not in out and not list(tmp_path.iterdir())


def test_a_sweep_makes_a_run_of_each(dqn, tmp_path):
    code, _, err = dqn("-m", "seed=0,1", "budget.updates=3")
    runs = sorted(tmp_path.glob("runs/sweeps/*/dqn/*"))
    assert code == 0 and "Traceback" not in err and [run.name for run in runs] == ["0-seed0", "1-seed1"]
    for seed, run in enumerate(runs):
        about = json.loads((run / "run.json").read_text())
        assert about["status"] == "finished" and about["updates"] == 3 and about["seed"] == seed
        assert yaml.safe_load((run / "config.yaml").read_text())["seed"] == seed and list(run.glob("events.out.*"))


@pytest.mark.parametrize("more", [[], ["hydra.sweep.dir=runs/more/${now:%H}"]])
def test_a_sweep_that_cannot_be_written_is_told(dqn, tmp_path, more):
    (tmp_path / "runs").write_text("a file")
    code, _, err = dqn("-m", "seed=0,1", *more)
    assert code == 5 and "Traceback" not in err and "hydra.sweep.dir=FOLDER" in err.splitlines()[-1]


def test_a_sweep_with_one_bad_value_does_not_begin(dqn, tmp_path):
    code, _, err = dqn("-m", "seed=0,-1", "budget.updates=3")
    assert code == 2 and "seed is -1" in err and not list(tmp_path.iterdir())


@pytest.mark.parametrize("typed, offered", [
    ("lab env=C", {"env=CartPole", "env=CliffWalking"}), ("lab +agent=dq", {"+agent=dqn"}),
    ("lab optimizer=s", {"optimizer=sgd"}),
    ("lab +agent=dqn optimizer.l", {"optimizer.lr="}), ("lab budget.s", {"budget.steps="})])
def test_completion(typed, offered, lab, monkeypatch, tmp_path):
    monkeypatch.setenv("COMP_LINE", typed)
    code, out, _ = lab("-sc", "query=bash")
    assert code == 0 and set(out.split()) == offered and not list(tmp_path.iterdir())


def test_completion_is_for_lab(lab):
    code, out, _ = lab("-sc", "install=bash")
    assert code == 0 and "complete -o nospace -o default -F hydra_bash_completion lab" in out


@pytest.fixture
def run(dqn, tmp_path):
    code, _, err = dqn("budget.updates=20", "hydra.run.dir=run")
    assert code == 0, err
    return tmp_path / "run"


def stamps(folder):
    return {path: (path.stat().st_mtime_ns, path.stat().st_size) for path in folder.rglob("*")}


def test_using_a_run(run, lab, tmp_path):
    """Evaluated, played and shown, from the folder or one of its checkpoints; the folder stays as it was."""
    before = stamps(run)
    code, out, _ = lab("eval", run, "--episodes", 5, "--json")
    report = json.loads(out)
    assert code == 0 and report["episodes"] == 5 == len(report["returns"]) and report["agent"] == "dqn"
    assert report["mean"] == sum(report["returns"]) / 5 and report["count"] > 0
    again = json.loads(lab("eval", run, "--episodes", 5, "--json")[1])
    other = json.loads(lab("eval", run, "--episodes", 5, "--json", "--seed", 5)[1])
    assert again == report and other["returns"] != report["returns"]
    first = min(run.glob("checkpoints/*"))
    code, out, _ = lab("eval", first, "--episodes", 5)
    assert code == 0 and "dqn at 0: return " in out and "5 episodes, seed 1000000" in out
    code, out, _ = lab("play", run, "--episodes", 2, "--out", tmp_path / "film.gif")
    assert code == 0 and (tmp_path / "film-0.gif").read_bytes()[:6] == b"GIF89a" and (tmp_path / "film-1.gif").exists()
    assert stamps(run) == before


def test_using_a_run_needs_neither_its_memory_nor_a_look_at_its_environment(run, lab, monkeypatch):
    monkeypatch.setattr("lab.world.room", lambda device: 0)
    monkeypatch.setattr("lab.world.probe", None)
    assert lab("eval", run, "--episodes", 2)[0] == 0
    assert lab(f"resume={run}", "budget.updates=21")[0] != 0          # training needs both


def test_a_window_needs_a_screen(run, lab, monkeypatch):
    for name in ("DISPLAY", "WAYLAND_DISPLAY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(sys, "platform", "linux")
    code, _, err = lab("play", run, "--window")
    assert code == 2 and "--window needs a screen, and there is none" in err


def test_check_env_takes_a_choice_or_an_id(lab):
    for args in (("CartPole",), ("CartPole-v1",), ("FrozenLake", "is_slippery=false")):
        code, out, err = lab("check-env", *args)
        assert code == 0 and out.splitlines()[0].endswith("-v1: exact"), err
    code, _, err = lab("check-env", "Cartpole")
    assert code == 2 and "no environment is registered as 'Cartpole'. Did you mean 'CartPole-v1'?" in err


DAMAGE = {
    "it does not exist": shutil.rmtree, "it has no readable run.json": lambda run: (run / "run.json").unlink(),
    "it has no config.yaml": lambda run: (run / "config.yaml").unlink(),
    "holds no checkpoint": lambda run: shutil.rmtree(run / "checkpoints")}


def test_what_is_no_run_cannot_be_used(run, lab, tmp_path):
    for number, (text, damage) in enumerate(DAMAGE.items()):
        damaged = shutil.copytree(run, tmp_path / str(number))
        damage(damaged)
        for command in (("eval", damaged), ("play", damaged), (f"resume={damaged}",)):
            code, _, err = lab(*command)
            assert code == 4 and text in err and "Traceback" not in err
        assert damaged.exists() is (text != "it does not exist")


def test_the_run_near_a_folder_that_is_none_is_named(run, lab, monkeypatch):
    for place, text in (("checkpoints", f"It is part of the run {run}"), ("nothing", "A run is made by +agent=NAME")):
        code, _, err = lab("eval", run / place)
        assert code == 4 and text in err
    monkeypatch.chdir(run.parent.parent)
    code, _, err = lab(f"resume={run.parent}")
    assert code == 4 and f"The newest run below it is {run}" in err
    code, _, err = lab("eval", ".")
    assert code == 4 and f"The newest run below it is {run.relative_to(run.parent.parent)}" in err


def test_check(lab, monkeypatch):
    from lab.testing import checks
    monkeypatch.setattr(checks, "CHECKS", checks.CHECKS[:2])
    code, out, _ = lab("check", "dqn", "agent.batch_size=4")
    assert code == 0 and out.count("  ok    ") == 2 and out.endswith("dqn: all checks passed\n")
    monkeypatch.setattr(checks, "SECONDS", 0.0)
    code, out, _ = lab("check", "dqn")
    assert code == 1 and "FAILED  builds from defaults: building took " in out and out.endswith("dqn: 1 failed\n")


def test_a_wheel_works_in_any_folder(process, tmp_path):
    """Installed beside no checkout, on a path of its own, before the editable copy."""
    pytest.importorskip("build"), pytest.importorskip("hatchling")
    made = process("-m", "build", "--wheel", "--no-isolation", "--outdir", tmp_path, ROOT)
    assert made.returncode == 0, made.stderr
    [wheel] = tmp_path.glob("pluglab-*.whl")
    names = zipfile.ZipFile(wheel).namelist()
    assert "lab/conf/config.yaml" in names
    assert not [name for name in names if name.startswith(("tests", "conf", "runs"))]
    for file in (*core_folder().rglob("*.yaml"), *(ROOT / "plugins").glob("*/conf/*/*.yaml")):
        assert [name for name in names if name.endswith(file.relative_to(file.parent.parent).as_posix())], file
    site, elsewhere = tmp_path / "site", tmp_path / "elsewhere"
    zipfile.ZipFile(wheel).extractall(site)
    elsewhere.mkdir()
    code = ("import lab.__main__ as m, sys; from lab.host import core_folder, host; "
            "print(m.__file__, core_folder(), *host().folders.values(), sep='\\n'); m.main()")
    done = process("-c", code, "+agent=dqn", "env=CartPole", "--cfg", "job", "--resolve", cwd=elsewhere,
                   env={"PYTHONPATH": str(site)})
    assert done.returncode == 0 and "id: CartPole-v1" in done.stdout, done.stderr
    places = done.stdout.splitlines()[:2 + len(host().folders)]
    assert all(place.startswith(str(site)) for place in places) and not list(elsewhere.iterdir())
