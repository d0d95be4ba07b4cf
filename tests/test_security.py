"""Opening someone else's run folder, in any command, never executes code from it, and writes in no other place."""

import json
import os
import pickle
import shutil
import sys
from hashlib import sha256
from pathlib import Path

import pytest
import yaml
from conftest import QUICK

from lab import checkpoint
from lab.__main__ import main
from lab.commands import eval as evaluate
from lab.commands import play
from lab.errors import LabError, ResumeError
from lab.folder import read_run, records
from lab.run_folder import RunFolder
from lab.saved_config import load_config
from lab.sinks import rebuild
from lab.train import resume


class Evil:
    """Unpickled, it leaves a mark."""

    def __reduce__(self):
        return os.system, ("touch MARK",)


PICKLE = pickle.dumps(Evil())
BOMB = "a: &a [x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"{b}: &{b} [{', '.join([f'*{a}'] * 9)}]\n" for a, b in zip("abcdefgh", "bcdefghi", strict=True))
CONFIGS = {
    "python object": "agent: !!python/object/apply:os.system [touch MARK]\n",
    "python name": "agent: !!python/name:os.system\n",
    "python module": "agent: !!python/module:evil\n", "_target_": "agent: {_target_: os.system, command: touch MARK}\n",
    "deep _target_": "env: {options: [{deep: {_target_: evil.run}}]}\n", "interpolation": "seed: ${oc.env:HOME}\n",
    "interpolation in a list": "model: {hidden: [1, '${oc.env:HOME}']}\n", "evil id": "env: {id: 'evil:Env-v0'}\n",
    "deep evil id": "env: {options: {env: {id: 'evil:Env-v0'}}}\n", "alias bomb": BOMB, "nesting": "[" * 40_000,
    "nesting in maps": "{a: " * 20_000, "huge": f"seed: {'1' * 200_000}\n", "long": "# \n" * 100_000, "empty": "",
    "text": "hello",
    "list": "[1, 2]", "binary": "\0\1\2", "not YAML": "a: b: c\n\t- [", "date": "seed: 2020-01-01\n",
    "set": "seed: !!set {a}\n",
    "number as key": "1: 2\n", "no such agent": "agent: {name: evil}\n",
    "path as a name": "agent: {name: ../../evil}\n",
    "two documents": "seed: 1\n---\nseed: 2\n", "merge": "base: &base {seed: 1}\n<<: *base\n"}
SAFETENSORS = {
    "pickle": PICKLE, "nothing": b"",
    "10 GB": b'{"x": {"dtype": "F32", "shape": [2500000000], "data_offsets": [0, 10000000000]}}',
    "header of 2^63": (2**63).to_bytes(8, "little") + b"{}", "zip": b"PK\3\4" + bytes(100),
    "page": b"<!DOCTYPE html><html></html>"}
JSON = {"deep": "[" * 100_000, "list": "[]", "number": "3", "pickle": PICKLE.decode("latin-1"), "nothing": "",
        "sittings": '{"sittings": "abc"}', "more sittings": '{"sittings": {"a": 1}}', "no sittings": '{"sittings": 3}'}


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    folder = tmp_path_factory.mktemp("trained")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setattr(sys, "argv", ["lab", "+agent=dqn", *QUICK, "budget.updates=5", "hydra.run.dir=run"])
        assert main() == 0
    return folder / "run"


@pytest.fixture
def run(trained, tmp_path, monkeypatch):
    """A sound run folder, and a folder beside it with everything that must not be run or touched."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "evil.py").write_text("open('MARK', 'w')\n")
    return shutil.copytree(trained, tmp_path / "run")


COMMANDS = {"resume": lambda run: resume(run, []), "eval": lambda run: evaluate.main([str(run), "--episodes=1"]),
            "play": lambda run: play.main([str(run)])}
AUDITED = {"pickle.find_class", "subprocess.Popen", "os.system", "os.exec", "os.posix_spawn", "os.fork",
           "socket.connect"}
SEEN = []
sys.addaudithook(lambda event, args: SEEN.append((event, args)) if AUDITING and event in AUDITED else None)
AUDITING = []


@pytest.fixture
def audited(tmp_path, monkeypatch):
    """Nothing of the kind happened, no mark was left, and the folder beside the run is as it was."""
    monkeypatch.syspath_prepend(tmp_path)                 # the worst case: what the files name could be imported
    SEEN.clear(), AUDITING.append(1)
    yield
    AUDITING.clear()
    assert not SEEN and not (tmp_path / "MARK").exists() and "evil" not in sys.modules


def damaged(run, name, **changes):
    """The newest checkpoint with another content, its sha256 made to fit."""
    for path in checkpoint.found(run / "checkpoints"):
        manifest = json.loads((path / "manifest.json").read_text())
        (path / name).write_bytes(changes["body"])
        manifest["sha256"][name] = sha256(changes["body"]).hexdigest()
        (path / "manifest.json").write_text(json.dumps(manifest))


@pytest.mark.parametrize("name", CONFIGS)
def test_a_hostile_config_is_refused(name, run, audited):
    text = CONFIGS[name]
    if name in ("date", "set", "interpolation"):          # a good one but for this
        good = yaml.safe_dump({**yaml.safe_load((run / "config.yaml").read_text()), "seed": 0})
        text = good.replace("seed: 0\n", text)
    (run / "config.yaml").write_text(text)
    with pytest.raises(ResumeError) as error:
        load_config(run)
    assert len(str(error.value)) < 1000 and "root" not in str(error.value).replace(str(run), "")
    for command in COMMANDS.values():
        with pytest.raises(LabError):
            command(run)


def test_a_config_that_is_no_text(run, audited):
    for body in (PICKLE, b"\xff\xfe\x00", bytes(1000)):
        (run / "config.yaml").write_bytes(body)
        with pytest.raises(ResumeError):
            load_config(run)


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize("name", SAFETENSORS)
def test_hostile_tensors_are_refused(name, command, run, audited):
    body = SAFETENSORS[name]
    damaged(run, "tensors.safetensors", body=len(body).to_bytes(8, "little") + body if name == "10 GB" else body)
    with pytest.raises(ResumeError, match="its content cannot be read"):
        COMMANDS[command](run)


@pytest.mark.parametrize("tree", [b"[" * 100_000, PICKLE, b'{"dict": [["agent", "dqn"]]}',
                                  b'{"dict": [["agent", "evil"]]}', b"{}",
                                  b'{"dict": [["agent", "dqn"], ["learner", {"dict": [["q", 1]]}]]}'])
def test_a_hostile_tree_is_refused(tree, run, audited):
    damaged(run, "tree.json", body=tree)
    for command in COMMANDS.values():
        with pytest.raises(ResumeError):
            command(run)


@pytest.mark.parametrize("name", JSON)
def test_a_hostile_run_json_is_refused(name, run, audited):
    (run / "run.json").write_text(JSON[name], encoding="latin-1")
    with pytest.raises(ResumeError, match=r"is not a run folder: it has no readable run\.json"):
        read_run(run)
    for command in COMMANDS.values():
        with pytest.raises(ResumeError):
            command(run)


@pytest.mark.parametrize("line", ["[" * 100_000, "3", "{}", '{"count": "x", "updates": 1, "time": 1, "metrics": {}}',
                                  '{"count": 1, "updates": 1, "time": 1, "metrics": {"a": {}}}',
                                  PICKLE.decode("latin-1"),
                                  '{"count": 1, "updates": 1, "time": 1, "metrics": 7}'])
def test_a_hostile_log_ends_where_it_begins_to_be_strange(line, run, audited):
    good = records(run)
    with open(run / "metrics.jsonl", "a", encoding="latin-1") as out:
        out.write(line + "\n")
    assert records(run) == good and rebuild(run).exists()


def test_what_a_run_says_of_the_machine_is_checked(run, lab):
    about = json.loads((run / "run.json").read_text())
    about["sittings"][-1]["threads"] = 10**9
    (run / "run.json").write_text(json.dumps(about))
    config = (run / "config.yaml").read_text()
    (run / "config.yaml").write_text(config.replace("threads: 1\n", "threads: 0\n"))
    assert lab("resume=run", "budget.updates=6")[0] == 0


@pytest.mark.parametrize("name", [".lock", "lab.log", "metrics.jsonl", "run.json", "checkpoints", "media",
                                  "media/eval"])
def test_links_out_of_a_run_are_not_followed(name, run, tmp_path):
    """A lock that is a link would have emptied the file that it names."""
    outside = tmp_path / "outside"
    if name.startswith(("checkpoints", "media")):
        outside.mkdir()
        (outside / "mine").write_text("mine")
        shutil.rmtree(run / name, ignore_errors=True)
    else:
        outside.write_text((run / name).read_text() if (run / name).exists() else "mine")
        (run / name).unlink(missing_ok=True)
    (run / name).parent.mkdir(exist_ok=True)
    (run / name).symlink_to(outside)
    before = {path: path.read_bytes() for path in (outside, *outside.glob("*")) if path.is_file()}
    with pytest.raises(ResumeError, match="is a link"), RunFolder(run, "dqn", 1):
        pass
    for command in (lambda: resume(run, []), lambda: rebuild(run)):
        with pytest.raises(ResumeError):
            command()
    assert {path: path.read_bytes() for path in before} == before


HOSTILE = ("torch", "numpy", "hydra", "omegaconf", "pluggy", "packaging", "yaml", "gymnasium", "lab_dqn", "typing",
           "json", "dataclasses", "logging", "pathlib", "random", "socket", "subprocess", "tempfile", "difflib",
           "decimal", "platform", "datetime", "string", "traceback", "email", "zipfile", "csv", "uuid", "glob", "enum",
           "abc", "colorsys", "argparse")


def test_modules_in_the_current_folder_are_not_imported(process, tmp_path):
    """As in a run folder or a download folder. (`python -m` itself imports a types.py there; the script does not.)"""
    for name in HOSTILE:
        (tmp_path / f"{name}.py").write_text(f"open('MARK', 'a').write('{name} ')\nraise SystemExit('hijacked')\n")
    for args in (["--help"], ["+agent=dqn", "env=CartPole", "--cfg", "job", "--resolve"], ["plugins"]):
        done = process("-m", "lab", *args)
        assert not (tmp_path / "MARK").exists(), (tmp_path / "MARK").read_text()
        assert done.returncode == 0, done.stderr
    if (script := Path(sys.executable).parent / "lab").exists():
        (tmp_path / "types.py").write_text("open('MARK', 'w')")
        assert process(script, "--version").stdout.startswith("lab ") and not (tmp_path / "MARK").exists()


def test_git_runs_in_our_own_tree_alone(tmp_path, monkeypatch):
    """And no code that its config names."""
    from lab import version
    ran = []
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(version.subprocess, "run", lambda command, **options: ran.append(command) or 1 / 0)
    with pytest.raises(ZeroDivisionError):
        version.git_commit() if (Path(version.__file__).parent.parent / ".git").exists() else 1 / 0
    for command in ran:
        assert command[:5] == ["git", "-c", "core.fsmonitor=false", "-c", "core.hooksPath=/dev/null"]
        assert command[5:7] == ["-C", str(Path(version.__file__).resolve().parent.parent)]
