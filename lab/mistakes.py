"""Hydra's and OmegaConf's errors in the words of the command line."""

import re
from collections.abc import Iterable, Mapping, Sequence
from difflib import get_close_matches
from typing import Any, TypeGuard

from omegaconf import DictConfig
from omegaconf.errors import ConfigAttributeError, ConfigKeyError, OmegaConfBaseException

from .argv import key as key_of
from .argv import parses
from .config import GROUPS
from .errors import first_line, nearest

# what OmegaConf says of a value -> what was expected
EXPECTED = {
    r"not Optional$|^Incompatible value 'None'|NoneType is not a subclass": "a value, not null",
    r"to Integer$|field of type 'int'$": "a whole number",
    r"to Float$|field of type 'float'$": "a number",
    r"is not a valid bool|field of type 'bool'$": "true or false",
    r"not a ListConfig, list or tuple": "a list, such as [{value}]",
    r"not a DictConfig|to Dict\[": "a mapping, such as {{NAME: {value}}}",
    r"not a subclass of \w+Config\b": "one of its keys, such as {key}.{first}=",
    r"to string": "a word",
    r"^Cannot merge": "a list where there is a list, and keys where there are keys"}
# names that other libraries and other groups give to what an agent, or nobody, has -> where the lab has it
ELSEWHERE = {
    "learning_rate": ("optimizer.lr",), "lr": ("optimizer.lr", "agent.learning_rate"), "gamma": ("agent.discount",),
    "discount": ("agent.gamma",), "total_timesteps": ("budget.steps",), "n_envs": ("agent.num_envs",),
    "learning_starts": ("agent.warmup",), "warmup": ("agent.learning_starts",), "train_freq": ("agent.train_every",),
    "train_every": ("agent.train_freq",), "exploration_final_eps": ("agent.epsilon_end",),
    "ent_coef": ("agent.entropy_coef",), "entropy_coef": ("agent.ent_coef",), "net_arch": ("model.hidden",),
    "hidden": ("model.hidden",), "activation": ("model.activation",), "steps": ("budget.steps",), "seed": ("seed",),
    "weight_decay": ("optimizer.weight_decay",)}
NAMELESS = re.compile(r"null|true|false|[-+.\d]*", re.IGNORECASE)


def misfit(error: OmegaConfBaseException, place: str = "") -> str:
    """One line for a value of the wrong type; `place` stands before its key."""
    text, key = first_line(error), f"{place}.{error.full_key or ''}".strip(".")
    expected = next((words for said, words in EXPECTED.items() if re.search(said, text)), "")
    if not (key and expected):
        return f"{key}: {text}" if key else text
    value, node = spelled(getattr(error, "value", None)), error.child_node
    first = next(iter(node), "KEY") if isinstance(node, DictConfig) else ""
    came = "" if text.startswith("Cannot merge") else f"={value}"
    return f"{key}{came}: expected {expected.format(key=key, value=value, first=first)}"


def spelled(value: Any) -> str:
    """As it is written on a command line."""
    return {"None": "null", "True": "true", "False": "false"}.get(str(value), str(value))


def of_key(error: BaseException) -> TypeGuard[OmegaConfBaseException]:
    """Whether it is about a key that there is not."""
    return isinstance(error, ConfigKeyError | ConfigAttributeError) and bool(error.full_key)


def of_override(text: str, overrides: Sequence[str]) -> str:
    """What Hydra says of an override as a whole, with the override and with what to do; or "" for all else."""
    if text.startswith("Ambiguous value"):
        return f"{text}: several values are a sweep, with -m; one list is [1,2], one text is quoted: \"'1,2'\""
    if unread := next((each for each in overrides if not parses(each)), ""):
        return (f"{unread} cannot be read: a list is [1,2], and a word with other characters than letters from a to z, "
                f"digits and . / : - _ is quoted, such as \"{key_of(unread)}=['a (1)',b]\"")
    if text.startswith("Could not append"):
        return f"{text} Write it without +"
    if text.startswith("Unexpected type for root"):
        return "an item of a list has no key of its own: write the whole list, such as model.hidden=[64,64]"
    if text.startswith("Config group override must be"):
        given = [each for each in overrides if key_of(each) in (*GROUPS, "compute", "experiment")]
        odd = [each for each in given if NAMELESS.fullmatch(each.partition("=")[2])]
        return f"{', '.join(odd or given)}: expected the name of a choice; see python -m lab --help"
    return ""


def unknown(key: str, known: Iterable[str], plain: Mapping[str, Any] | None = None) -> str:
    """One line for a key that there is not, with the nearest right one, also in another part of the config `plain`."""
    parent, _, name = key.rpartition(".")
    known, there = list(known), places(plain or {})
    other = next((place for place in ELSEWHERE.get(name, ()) if place in there and place != key), "")
    same = [place for place in there if place.rpartition(".")[2] == name and place != key]
    if not parent and len(same) == 1 and not get_close_matches(name, known, 1):
        other = same[0]
    return f"unknown key {key!r}. {nearest(name, known, other if parent in ('', 'agent') else '')}"


def places(plain: Mapping[str, Any]) -> list[str]:
    """Every key of one or two parts."""
    plain = {str(name): part for name, part in plain.items()}
    inner = [f"{name}.{key}" for name, part in plain.items() if isinstance(part, Mapping) for key in part]
    return [*plain, *inner]
