"""The shape of the project: which way imports point, what no file may contain, and that files stay short."""

import ast
import re
from pathlib import Path

import pytest

from lab.offers import HOOKS

ROOT = Path(__file__).parent.parent
LAB, PLUGINS = sorted((ROOT / "lab").rglob("*.py")), sorted((ROOT / "plugins").rglob("*.py"))
SOURCES = LAB + PLUGINS
PACKAGES = {path.name for path in (ROOT / "plugins").iterdir() if (path / "__init__.py").exists()}
LONGEST = 200


def name(path):
    return path.relative_to(ROOT).as_posix()


def imported(path):
    """The top-level packages that a file imports, wherever in it."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name.partition(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and not node.level:
            yield node.module.partition(".")[0]


@pytest.mark.parametrize("path", LAB, ids=name)
def test_the_lab_names_no_plugin(path):
    assert not PACKAGES & set(imported(path))
    assert not re.search(rf"\b({'|'.join(PACKAGES)})[.:]\w", path.read_text()), "not even in a string"


@pytest.mark.parametrize("path", PLUGINS, ids=name)
def test_a_plugin_imports_no_other_plugin(path):
    own = path.relative_to(ROOT / "plugins").parts[0]
    assert not (PACKAGES - {own}) & set(imported(path))


@pytest.mark.parametrize("path", [path for path in PLUGINS if path.name == "plugin.py"], ids=name)
def test_a_declaration_is_light(path):
    """The command line reads it before it knows what was asked for."""
    assert set(imported(path)) <= {"collections", "dataclasses", "lab", "pathlib", "typing", "math", "itertools",
                                   "functools"}


FORBIDDEN = {
    "pickle": r"(\b|^\s*(import|from)\s+)(pickle|dill|joblib|shelve|marshal)(\.\w|$| import)",
    "torch.load": r"(?<!safetensors\.)\btorch\.(load|save)\(",
    "np.load": r"\bnp\.load\(|\bnumpy\.load\(|allow_pickle\s*=\s*True",
    "yaml.load": r"\byaml\.(load|unsafe_load|full_load)\(", "eval": r"(?<![\w.])(eval|exec)\(",
    "shell": r"os\.system\(|shell=True"}


# A .zip of Stable-Baselines3 holds its weights in torch's own format: the weights-only reader makes tensors of it and
# refuses the rest. This line alone, in this file alone.
ALLOWED = {"plugins/lab_sb3/zips.py": 'found = torch.load(io.BytesIO(body), map_location="cpu", weights_only=True)'}


@pytest.mark.parametrize("what", FORBIDDEN)
def test_nothing_that_would_run_what_it_reads(what):
    lines = [(f"{name(path)}:{number}", line) for path in SOURCES
             for number, line in enumerate(path.read_text().splitlines(), 1) if line.strip() != ALLOWED.get(name(path))]
    found = [where for where, line in lines if re.search(FORBIDDEN[what], line)]
    assert not found


@pytest.mark.parametrize("line, what", [
    ("import pickle", "pickle"), ("x = pickle.loads(y)", "pickle"), ("    from joblib import load", "pickle"),
    ("yaml.load(text)", "yaml.load"),
    ("torch.load(path, weights_only=True)", "torch.load"), ("np.load(f)", "np.load"), ("value = eval(text)", "eval"),
    ("run(c, shell=True)", "shell")])
def test_the_search_would_find_it(line, what):
    assert re.search(FORBIDDEN[what], line)
    assert not re.search(FORBIDDEN[what], "yaml.safe_load(x), evaluate(y), self.eval(z), no pickle here")


@pytest.mark.parametrize("path", SOURCES, ids=name)
def test_files_are_short_and_lines_fit(path):
    lines = path.read_text().splitlines()
    assert len(lines) <= LONGEST and max(map(len, lines), default=0) <= 120


@pytest.mark.parametrize("path", [path for path in SOURCES if path.name != "__init__.py"], ids=name)
def test_every_file_says_what_it_is(path):
    assert ast.get_docstring(ast.parse(path.read_text()))


def test_every_group_of_options_is_one_of_the_design():
    folders = (ROOT / "conf", *(ROOT / "plugins").glob("*/conf"))
    groups = {path.parent.name for folder in folders for path in folder.glob("*/*.yaml")}
    assert groups <= {"env", "data", "model", "optimizer", "compute", "agent", "experiment"}


def test_every_hook_is_documented():
    text = (ROOT / "docs" / "plugins.md").read_text()
    assert [hook for hook in HOOKS if hook not in text] == []


@pytest.mark.parametrize("file", ["pyproject.toml", "lab_noise/plugin.py", "lab_noise/noise.py",
                                  "lab_noise/conf/agent/noise.yaml"])
def test_the_plugin_in_the_guide_is_the_one_that_is_tested(file):
    lines = (ROOT / "tests" / "outside" / file).read_text().splitlines()
    text = "\n".join(f"    {line}" if line else "" for line in lines)
    assert text in (ROOT / "docs" / "plugins.md").read_text()
