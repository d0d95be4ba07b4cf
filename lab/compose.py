"""Joins plugins to Hydra: where YAML is found, which dataclass types each part, and the checks before anything runs."""

from collections.abc import Mapping, Sequence
from dataclasses import fields, is_dataclass
from functools import cache
from typing import Any

import yaml
from hydra import compose, initialize_config_dir
from hydra.core.config_search_path import ConfigSearchPath
from hydra.core.global_hydra import GlobalHydra
from hydra.core.plugins import Plugins
from hydra.errors import HydraException, MissingConfigException
from hydra.plugins.search_path_plugin import SearchPathPlugin
from omegaconf import MISSING, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from . import argv
from .config import GROUPS, LabConfig
from .errors import UsageError, first_line, nearest, within
from .host import core_folder, host
from .mistakes import misfit, of_key, of_override, unknown
from .schemas import SchemaSource
from .tuned import refuse_unknown, tuned, usual_steps

HYDRA = "1.3"                     # the version of Hydra's behaviour that the lab asks for


class LabSearchPath(SearchPathPlugin):
    def manipulate_search_path(self, search_path: ConfigSearchPath) -> None:
        for name, folder in host().folders.items():
            search_path.append(provider=f"lab:{name}", path=f"file://{folder}")
        search_path.append(provider="lab", path="lab://")


@cache
def install() -> None:
    """Tell this process's Hydra about the plugins; other Hydra programs in the environment notice nothing."""
    for plugin in (LabSearchPath, SchemaSource):
        Plugins.instance().register(plugin)
    OmegaConf.register_new_resolver("tuned", tuned, replace=True)


def composed(overrides: Sequence[str]) -> LabConfig:
    """What a command line says, typed and checked. Raises UsageError."""
    cfg = typed(resolved(overrides))
    refuse_unknown(cfg.agent.name)
    return cfg


def choice(group: str, overrides: Sequence[str]) -> Any:
    """One group by itself, typed. Raises UsageError."""
    return node_of(group, resolved(overrides, group))


def resolved(overrides: Sequence[str], part: str = "") -> Any:
    """Hydra's config as plain data, or a part of it. Raises UsageError."""
    if name := next((each for each in overrides if argv.key(each) in [f"{group}.name" for group in GROUPS]), None):
        raise UsageError(f"{name}: the name belongs to the choice; write {name.replace('.name', '', 1)}")
    install()
    GlobalHydra.instance().clear()
    try:
        with initialize_config_dir(str(core_folder()), version_base=HYDRA, job_name="lab"):
            whole = compose("config", list(overrides))
            return OmegaConf.to_container(whole[part] if part else whole, resolve=True)
    except MissingConfigException as error:
        raise UsageError(missing(error)) from None
    # ValueError: +agent=null. AssertionError: model.hidden.0=1
    except (HydraException, OmegaConfBaseException, ValueError, AssertionError) as error:
        raise UsageError(explain(error, overrides)) from None
    except yaml.YAMLError as error:
        raise UsageError(f"a config file is no YAML: {error}") from None


def missing(error: MissingConfigException) -> str:
    """An unknown choice, with the nearest right one."""
    group, _, name = str(error.missing_cfg_file).rpartition("/")
    known = [option for option in error.options or [] if option != "none"]
    if not group:
        return " ".join(str(error).split())
    left_out = "".join(f" The plugin {plugin!r} was left out: {why}." for plugin, why in host().left_out.items())
    return f"no {group} is called {name!r}. {nearest(name, known)}{left_out}"


def explain(error: Exception, overrides: Sequence[str]) -> str:
    """Hydra's and OmegaConf's errors in one line, with the nearest right key where a key is wrong."""
    cause = error.__cause__ if isinstance(error.__cause__, OmegaConfBaseException) else error
    text = first_line(cause)
    if not of_key(cause):
        wrong = misfit(cause) if isinstance(cause, OmegaConfBaseException) else text
        return of_override(text, overrides) or wrong
    key, (group, *_) = str(cause.full_key), str(cause.full_key).split(".")
    plain = chosen(overrides)
    if plain and group in GROUPS and not plain.get(group):
        return f"{key}: no {group} is chosen here; {group}=NAME chooses one"
    if not is_dataclass(kind := cause.object_type):
        return f"unknown key {key!r}: {text}{f'; to add it, write +{key}=...' if 'struct' in text else ''}"
    return unknown(key, [each.name for each in fields(kind)], plain)


def chosen(overrides: Sequence[str]) -> Any:
    """The config of the choices in `overrides`, without the values; empty where even these do not go together."""
    choices = [each for each in overrides if argv.key(each) in (*GROUPS, "compute", "experiment")]
    try:
        return resolved(choices) if len(choices) < len(overrides) else {}
    except UsageError:
        return {}


def typed(plain: Any) -> LabConfig:
    """Plain resolved data, from a command line or from a run folder, as dataclasses. Raises UsageError."""
    if not isinstance(plain, dict):
        raise UsageError("the config is not a mapping")
    known = [each.name for each in fields(LabConfig)]
    for key in plain:
        if key not in known:
            raise UsageError(unknown(str(key), known, plain))
    nodes = {group: node_of(group, plain.get(group), plain) for group in GROUPS}
    if nodes["agent"] is None:
        raise UsageError(f"no agent chosen; add +agent=NAME. {nearest('', host().names('agent'))}")
    try:
        rest = {key: value for key, value in plain.items() if key not in GROUPS}
        cfg: Any = OmegaConf.to_object(OmegaConf.merge(OmegaConf.structured(LabConfig(agent=None)), rest))
    except OmegaConfBaseException as error:
        raise UsageError(explain(error, ())) from None
    for group, node in nodes.items():
        setattr(cfg, group, node)
    cfg.log.sinks = [node_of("sink", {"name": each} if isinstance(each, str) else each or {"name": each})
                     for each in cfg.log.sinks]
    return settled(cfg)


def node_of(group: str, plain: Any, whole: Mapping[str, Any] | None = None) -> Any:
    """One group's dataclass, of the type that a plugin registered under its name, in the config `whole`."""
    if not plain or plain == MISSING:
        return None
    name = plain.get("name") if isinstance(plain, dict) else None
    if not isinstance(name, str):
        raise UsageError(f"{group} has no name: expected a choice of {host().names(group)}, came {plain!r}")
    schema = OmegaConf.structured(host().entry(group, name).config)
    try:
        return OmegaConf.to_object(OmegaConf.merge(schema, plain))
    except OmegaConfBaseException as error:
        key = str(error.full_key or "")
        if key and key.partition("[")[0].partition(".")[0] not in schema:
            raise UsageError(unknown(f"{group}.{key}", [str(each) for each in schema], whole)) from None
        raise UsageError(misfit(error, group)) from None
    except (ValueError, TypeError, AssertionError) as error:      # of the dataclass's own __post_init__
        raise UsageError(f"{group} {name}: {error}") from None


def settled(cfg: LabConfig) -> LabConfig:
    """Fill the periods that were left to the lab: absolute numbers from here on, so that a resume keeps them.

    How many examples an epoch has is known when the data is there: `lab.assembly` fills them then.
    """
    if not any(vars(cfg.budget).values()):
        raise UsageError("no budget: say how long to train with budget.steps=, .epochs=, .updates= or .minutes=")
    if cfg.data is not None:
        return cfg
    if cfg.optimizer is not None and cfg.optimizer.schedule != "constant":
        within("optimizer.decay", cfg.optimizer.decay, 1, 10**12)
    base = cfg.budget.steps or usual_steps(cfg) or 100_000
    cfg.log.every = cfg.log.every or max(base // 100, 1)
    cfg.evaluate.every = cfg.evaluate.every or max(base // 10, 1)
    cfg.checkpoint.every = cfg.checkpoint.every or max(base // 10, 1)
    return cfg
