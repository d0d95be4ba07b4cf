"""The config of a run folder, which may be a stranger's: read as plain data, never as code."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.errors import HydraException
from omegaconf import MISSING

from .compose import typed
from .config import GROUPS, LabConfig, plain_of
from .errors import ResumeError, UsageError, first_line
from .mistakes import unknown

LARGEST = 100_000                 # bytes of a config that is worth reading
FIXED = ("seed", "env.id", "env.game", "data.name", "data.prepare", "data.impute", "data.tokenizer", "data.tokenizer_y",
         "data.joint", "data.vocabulary", "data.lowercase", "data.segment", "data.block")
TRAINING = ("dropout", "recompute")       # of all that a model has: they change how it trains, not what it is


class Plain(yaml.SafeLoader):  # type: ignore[misc]
    """Without aliases: a few lines of them can stand for more data than any machine holds."""

    def compose_node(self, parent: Any, index: Any) -> Any:
        if self.check_event(yaml.AliasEvent):
            raise yaml.YAMLError("it holds an alias, which the lab never writes")
        return super().compose_node(parent, index)


def read_config(path: Path) -> dict[str, Any]:
    """config.yaml of a run as plain containers. Raises ResumeError for what is not plain data of the lab."""
    file = path / "config.yaml"
    try:
        if file.stat().st_size > LARGEST:
            raise ValueError("it is far too large")
        plain = Plain(file.read_text()).get_single_data()
        refuse_code(plain)
    except FileNotFoundError:
        raise ResumeError(f"{path} is not a run folder: it has no config.yaml") from None
    except (OSError, ValueError, yaml.YAMLError, RecursionError) as error:
        raise ResumeError(f"{file} cannot be read: {' '.join(str(error).split())[:300]}") from None
    if not isinstance(plain, dict):
        raise ResumeError(f"{file} is not a mapping")
    return plain


def load_config(path: Path) -> LabConfig:
    """config.yaml of a run, typed and checked. Raises ResumeError."""
    try:
        return typed(read_config(path))
    except UsageError as error:
        raise ResumeError(f"{path / 'config.yaml'}: {error}") from None


def refuse_code(node: Any) -> None:
    """Raises ValueError where a text would be looked up or would import a module."""
    if isinstance(node, dict):
        if "_target_" in node:
            raise ValueError("it holds a _target_, which the lab never writes")
        if ":" in str(node.get("id", "")):
            raise ValueError(f"the id {node['id']!r} would import a module; start such a run anew")
        for item in node.values():
            refuse_code(item)
    elif isinstance(node, list):
        for item in node:
            refuse_code(item)
    elif isinstance(node, str) and "${" in node:
        raise ValueError(f"the text {node!r} is an interpolation, which the lab never writes")


def changed(cfg: LabConfig, overrides: Sequence[str]) -> LabConfig:
    """The config with new values. Raises ResumeError for a change that would make it another run."""
    plain = plain_of(cfg)
    try:
        parsed = OverridesParser.create().parse_overrides(list(overrides))
    except HydraException as error:
        raise UsageError(first_line(error)) from None
    for each in parsed:
        if each.is_sweep_override():
            raise UsageError(f"{each.input_line}: a run goes on with one value for each key, not with several")
        change(plain, each.key_or_group, each.value())
    return typed(plain)


def change(plain: dict[str, Any], key: str, value: Any) -> None:
    if key in GROUPS:
        chosen = (plain[key] or {}).get("name")
        if value == chosen:
            return
        raise ResumeError(f"this run belongs to {key} {chosen!r}, not {value!r}; start a new one for that")
    *parents, last = key.split(".")
    if parents in ([group] for group in GROUPS) and last == "name":
        return change(plain, parents[0], value)
    if value == MISSING:
        raise UsageError(f"{key}={value}: expected a value")
    node: Any = plain
    for depth, part in enumerate([*parents, last], 1):
        if not isinstance(node, dict) or (part not in node and parents != ["env", "options"]):
            known = node if isinstance(node, dict) else {}
            raise UsageError(unknown(".".join([*parents, last][:depth]), known, plain))
        before, node = node, node.get(part)
    if isinstance(node, dict) and not isinstance(value, dict):
        raise UsageError(f"{key} holds several values; name one, such as {key}.{next(iter(node), 'KEY')}=")
    fixed = key in FIXED or (parents[:1] == ["model"] and last not in TRAINING)
    if fixed and node != value:
        raise ResumeError(f"{key} is {node!r} in this run and cannot become {value!r}; start a new one for that")
    before[last] = value
