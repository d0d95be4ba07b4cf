"""Values that agents have tuned for an environment or a dataset: they stand where a default would."""

import json
from collections.abc import Iterable, Mapping
from dataclasses import fields
from functools import cache
from typing import Any

from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import MissingMandatoryValue, OmegaConfBaseException

from .config import GROUPS, LabConfig, world_name
from .errors import LabError, UsageError, nearest
from .host import host


def tuned_keys(entry: Any) -> set[str]:
    return {key for row in getattr(entry, "tuned", {}).values() for key in row}


def marked(node: DictConfig, prefix: str, keys: Iterable[str]) -> DictConfig:
    """Whatever some agent tunes in `node` is left to the resolver `tuned`; `prefix` is the place of `node`."""
    for key in keys:
        parent, _, last = key.removeprefix(prefix).rpartition(".")
        inner = OmegaConf.select(node, parent) if parent else node
        if key.startswith(prefix) and isinstance(inner, DictConfig) and last in inner:
            inner[last] = f"${{tuned:{key}}}"
    return node


def tuned(key: str, *, _root_: DictConfig) -> Any:
    """What the chosen agent says of `key` for the chosen env or data, with the chosen model; else the default of its
    dataclass.
    """
    entries, (group, _, name) = host().entries, key.partition(".")
    if group == "budget" and any(given(_root_.budget, other) for other in _root_.budget if other != name):
        return None                       # whoever names another bound means that one
    table = getattr(entries.get(("agent", OmegaConf.select(_root_, "agent.name"))), "tuned", {})
    kind = entries[group, _root_[group].name].config if group in GROUPS else LabConfig
    worlds = [OmegaConf.select(_root_, place) for place in ("env.id", "env.name", "data.name")]
    model = OmegaConf.select(_root_, "model.name")
    for row in rows(table, *(name for world in worlds for name in (f"{world}+{model}", world))):
        if key in row and (group != "model" or takes(kind, row)):
            return row[key]
    return OmegaConf.select(defaults(kind), name if group in GROUPS else key)


def takes(kind: type, row: Mapping[str, Any]) -> bool:
    """Whether a model's config is as fine with a row's values, of those fields that it has, as without them: else they
    are meant for others.
    """
    names = {each.name for each in fields(kind)}
    values = {key.removeprefix("model."): value for key, value in row.items() if key.startswith("model.")}
    own = {name: value for name, value in values.items() if name.partition(".")[0] in names}
    return accepted(kind, json.dumps(own)) or not accepted(kind, "{}")


@cache
def accepted(kind: type, values: str) -> bool:
    """Whether a config can be made with these; what only the user can give need not be there."""
    node = OmegaConf.structured(kind)
    try:
        for name, value in json.loads(values).items():
            OmegaConf.update(node, name, value)
        OmegaConf.to_object(node)
    except MissingMandatoryValue:
        return True
    except (OmegaConfBaseException, LabError, ValueError, TypeError, AssertionError):
        return False
    return True


@cache
def defaults(kind: type) -> DictConfig:
    """What a config is by itself; only to be read."""
    node: DictConfig = OmegaConf.structured(kind)
    OmegaConf.set_readonly(node, True)
    return node


def given(node: DictConfig, name: str) -> bool:
    """Whether a value stands there that is not left to `tuned`."""
    return not OmegaConf.is_interpolation(node, name) and bool(node[name])


def rows(table: Mapping[str, Mapping[str, Any]], *names: Any) -> list[Mapping[str, Any]]:
    """The rows of a world, nearest first: of its id (Atari/pong), of its name (Atari: all games), the default."""
    return [table[str(name)] for name in (*names, "default") if name and str(name) in table]


def refuse_unknown(agent: str) -> None:
    """Raises UsageError where an agent tunes what nothing in the group has; known once all plugins are there."""
    for group, _, name in [key.partition(".") for key in tuned_keys(host().entry("agent", agent))]:
        known = {each.name for (kind, _), entry in host().entries.items() if kind == group
                 for each in fields(entry.config)}
        if group in GROUPS and name.partition(".")[0] not in known:
            raise UsageError(f"the agent {agent} tunes {group}.{name}, which no {group} has: a mistake in its plugin. "
                             f"{nearest(name, known)}")


def usual_steps(cfg: LabConfig) -> int | None:
    """The steps that the agent would take by itself: the measure of the periods when the budget is in other units."""
    table = getattr(host().entries["agent", cfg.agent.name], "tuned", {})
    found = rows(table, world_name(cfg), getattr(cfg.env or cfg.data, "name", None))
    return next((row["budget.steps"] for row in found if "budget.steps" in row), None)
