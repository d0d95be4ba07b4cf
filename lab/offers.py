"""What a plugin declares, asked for and checked. Nothing of the lab changes here."""

import re
import sys
import warnings
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from contextlib import chdir, contextmanager, redirect_stdout
from dataclasses import fields, is_dataclass
from importlib import metadata
from pathlib import Path
from typing import Any

import pluggy
from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from . import __version__, hookspecs
from .builtin import OptimizerConfig
from .config import LabConfig
from .data.config import DataConfig
from .errors import nearest
from .hookspecs import Agent, Dataset, Entry, Env, Model, Optimizer, Sink

DISTRIBUTION = "pluglab"
KINDS: dict[str, type[Entry]] = {
    "lab_agents": Agent, "lab_models": Model, "lab_optimizers": Optimizer,
    "lab_envs": Env, "lab_datasets": Dataset, "lab_sinks": Sink,
}
HOOKS = (*KINDS, "lab_conf")
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}")
BUILD = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*:[A-Za-z_]\w*")
KEY = re.compile(r"[A-Za-z_]\w*(\.\w+)+")      # of a tuned value: agent.batch_size, optimizer.lr
Results = list[tuple[str, Any]]   # hook, and what the plugin's implementation of it returned


class PluginError(Exception):
    """A plugin that cannot be taken in. The message says what its author, or who installed it, can do."""


def check_requires(requires: Iterable[str]) -> None:
    """The versions that a distribution demands, read before it is imported: catches `pip install --no-deps`.

    What is not there at all is left to the import, which says what it is needed for. Raises PluginError.
    """
    for need in map(Requirement, requires):
        there = version_of(need.name)
        applies = need.marker is None or need.marker.evaluate({"extra": ""})
        if there and applies and not need.specifier.contains(there, prereleases=True):
            raise PluginError(f"it needs {need}, and this is {need.name} {there}: install a version that fits")


def version_of(name: str) -> str | None:
    """Of an installed distribution."""
    if canonicalize_name(name) == DISTRIBUTION:
        return __version__
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None


@contextmanager
def undisturbed() -> Iterator[None]:
    """What an import does to sys.path, the working folder or the warning filters ends here; stdout is for results."""
    path = list(sys.path)
    try:
        with chdir("."), warnings.catch_warnings(), redirect_stdout(sys.stderr):
            yield
    finally:
        sys.path[:] = path


def ask(plugin: object, name: str) -> Results:
    """Call every hook that a plugin implements. Its manager serves it alone: there is nothing to undo afterwards."""
    manager = pluggy.PluginManager("lab")
    manager.add_hookspecs(hookspecs)
    manager.register(plugin, name)
    try:
        manager.check_pending()
    except pluggy.PluginValidationError as error:
        unknown = next(hook for hook in vars(manager.hook) if hook not in HOOKS)
        raise PluginError(f"there is no hook {unknown!r}. {nearest(unknown, HOOKS)}") from error
    found = [(hook, impl) for hook in HOOKS for impl in getattr(manager.hook, hook).get_hookimpls()]
    if unmarked := next((hook for hook in HOOKS if hasattr(plugin, hook) and hook not in dict(found)), None):
        raise PluginError(f"{unmarked} is not seen: put @lab.hookimpl above it")
    return [(hook, impl.function()) for hook, impl in found]


def entries(results: Results) -> tuple[Entry, ...]:
    """Everything of every hook, of the class that the hook asks for. Raises PluginError."""
    return tuple(entry for hook, result in results if hook in KINDS for entry in listed(hook, result))


def folder(results: Results) -> Path | None:
    """The conf folder, if the plugin has one. Raises PluginError."""
    given = [result for hook, result in results if hook == "lab_conf"]
    if len(given) > 1:
        raise PluginError("lab_conf stands in it twice: a plugin has one conf folder")
    return conf_folder(given[0]) if given else None


def check_entries(entries: Iterable[Entry]) -> None:
    for entry in entries:
        check_entry(entry)
    if twice := next((key for key, times in Counter(keys(entries)).items() if times > 1), None):
        raise PluginError(f"it offers {twice[0]} {twice[1]!r} twice")


def keys(entries: Iterable[Entry]) -> list[tuple[str, str]]:
    return [(entry.group, entry.name) for entry in entries]


def listed(hook: str, result: object) -> list[Entry]:
    kind = KINDS[hook]
    wanted = f"{hook} must return a list of lab.{kind.__name__}"
    if not isinstance(result, Iterable):
        raise PluginError(f"{wanted}, it returned {result!r:.80}")
    entries = list(result)
    if wrong := [entry for entry in entries if not isinstance(entry, kind)]:
        raise PluginError(f"{wanted}, there is {wrong[0]!r:.80} in it")
    return entries


def check_entry(entry: Entry) -> None:
    label = f"{entry.group} {entry.name!r}"
    if not (isinstance(entry.name, str) and NAME.fullmatch(entry.name)):
        raise PluginError(f"{label}: a name is 1 to 64 letters, digits, '_', '.' or '-', the first a letter or digit")
    if not (isinstance(entry.build, str) and BUILD.fullmatch(entry.build)):
        raise PluginError(f"{label}: build must be a string 'module:function', got {entry.build!r:.80}")
    if not (isinstance(entry.packages, tuple) and all(isinstance(each, str) for each in entry.packages)):
        raise PluginError(f"{label}: packages must be a tuple of distributions, got {entry.packages!r:.80}")
    for name in ("build_vector", "begins"):
        given = getattr(entry, name, "")
        if given and not (isinstance(given, str) and BUILD.fullmatch(given)):
            raise PluginError(f"{label}: {name} must be a string 'module:function', got {given!r:.80}")
    check_config(entry.config, entry.name, label)
    if isinstance(entry, Optimizer) and not issubclass(entry.config, OptimizerConfig):
        raise PluginError(f"{label}: {entry.config.__name__} must be a subclass of lab.builtin.OptimizerConfig, which "
                          "has the learning rate and its schedule")
    if isinstance(entry, Dataset) and not issubclass(entry.config, DataConfig):
        raise PluginError(f"{label}: {entry.config.__name__} must be a subclass of lab.data.config.DataConfig, which "
                          "says how a dataset is split and prepared")
    if isinstance(entry, Agent):
        check_agent(entry, label)


def check_config(config: type, name: str, label: str) -> None:
    if not (isinstance(config, type) and is_dataclass(config)):
        raise PluginError(f"{label}: config must be a dataclass, not an instance of one, got {config!r:.80}")
    if config.__dataclass_params__.frozen:                   # type: ignore[attr-defined]
        raise PluginError(f"{label}: {config.__name__} is frozen, so no override could change it: use @dataclass alone")
    try:
        OmegaConf.structured(config)
    except OmegaConfBaseException as error:
        raise PluginError(f"{label}: {config.__name__} cannot be a Hydra config: {error}") from error
    if "name" not in {each.name for each in fields(config)}:
        raise PluginError(f"{label}: {config.__name__} must have the field `name: str = {name!r}`")


def check_agent(agent: Agent, label: str) -> None:
    if agent.learns_from not in ("env", "data"):
        raise PluginError(f"{label}: learns_from must be 'env' or 'data', got {agent.learns_from!r:.80}")
    if isinstance(agent.small, str) or not all(isinstance(each, str) for each in agent.small):
        raise PluginError(f"{label}: small must be a tuple of overrides, got {agent.small!r:.80}")
    if not (isinstance(agent.tuned, Mapping) and all(isinstance(row, Mapping) for row in agent.tuned.values())):
        raise PluginError(f"{label}: tuned must map env ids to {{key: value}}, got {agent.tuned!r:.80}")
    for row, key in [(row, key) for row, values in agent.tuned.items() for key in values]:
        check_tuned(f"{label}: tuned[{row!r}]", key, agent.config)


def check_tuned(where: str, key: str, config: type) -> None:
    """Of keys in the groups of others, whose plugins may come later, only the group is checked."""
    if not (isinstance(key, str) and KEY.fullmatch(key)):
        raise PluginError(f"{where}: {key!r} must be dotted, such as 'agent.batch_size' or 'optimizer.lr'")
    parts: dict[str, Any] = {each.name: each.type for each in fields(LabConfig)} | {"agent": config}
    group, _, name = key.partition(".")
    if group not in parts:
        raise PluginError(f"{where}: {key!r} is in no part of the config. {nearest(group, parts)}")
    known = [each.name for each in fields(parts[group])] if is_dataclass(parts[group]) else [name]
    if name not in known:
        raise PluginError(f"{where}: {key!r} is no field of it. {nearest(name, known)}")


def conf_folder(given: object) -> Path:
    if not isinstance(given, str | Path):
        raise PluginError(f"lab_conf must return a folder as Path or str, it returned {given!r:.80}")
    if not Path(given).is_absolute():
        raise PluginError(f"its conf folder '{given}' is relative: return Path(__file__).parent / 'conf'")
    if not Path(given).is_dir():
        raise PluginError(f"its conf folder {given} is missing: was it left out of the wheel?")
    return Path(given)


def yaml_files(folder: Path | None) -> tuple[str, ...]:
    """Relative to the folder, such as `agent/dqn.yaml`: of two with one path Hydra would silently take the first."""
    return tuple(sorted(file.relative_to(folder).as_posix() for file in folder.rglob("*.yaml"))) if folder else ()
