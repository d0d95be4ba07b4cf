"""Plugins as they are on a disk: a module, and a dist-info folder with its metadata. For the tests of the host."""

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from lab.host import Host, installed

PRELUDE = """
from dataclasses import dataclass
from pathlib import Path
from lab import Agent, Env, Model, hookimpl

@dataclass
class Config:
    name: str = "x"
    lr: float = 1e-3
"""


class Site:
    """A site-packages folder."""

    def __init__(self, folder: Path):
        self.folder = folder

    def add(self, name: str, code: str = "", requires: tuple[str, ...] = (), dist: str = "", value: str = "") -> None:
        """Install the plugin `name`, a module plug_<name>, from a distribution of its own unless `dist` names one."""
        (self.folder / f"plug_{name}.py").write_text(PRELUDE + code)
        info = self.folder / f"{dist or name}-1.0.dist-info"
        info.mkdir(parents=True, exist_ok=True)
        needs = "".join(f"Requires-Dist: {each}\n" for each in requires)
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {dist or name}\nVersion: 1.0\n"
                                       f"Provides-Extra: box\n{needs}")
        (info / "entry_points.txt").write_text(f"[lab.plugins]\n{name} = {value or 'plug_' + name}\n")

    def conf(self, name: str, *files: str) -> str:
        """Code of a plugin with these files in its conf folder."""
        for file in files:
            (self.folder / name / file).parent.mkdir(parents=True, exist_ok=True)
            (self.folder / name / file).touch()
        return f"@hookimpl\ndef lab_conf(): return Path({str(self.folder / name)!r})\n"

    def host(self) -> Host:
        return Host(installed([str(self.folder)]))


def site_in(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Site]:
    """A fixture: an empty site-packages that Python imports from, its modules forgotten afterwards."""
    for variable in ("LAB_STRICT_PLUGINS", "LAB_BLOCK_PLUGINS"):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.syspath_prepend(folder)
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    yield Site(folder)
    for module in [each for each in sys.modules if each.startswith("plug_")]:
        del sys.modules[module]


def agents(*more: str, name: str = "mine") -> str:
    """Code of a plugin with a sound agent, and then `more`."""
    listed = ", ".join([f'Agent("{name}", Config, "plug_build:build")', *more])
    return f"@hookimpl\ndef lab_agents(): return [{listed}]\n"
