"""Hydra's and OmegaConf's errors in the words of the command line."""

import re
from collections.abc import Iterable
from typing import Any

from omegaconf import DictConfig
from omegaconf.errors import OmegaConfBaseException

from .config import LabConfig
from .errors import nearest

# what OmegaConf says of a value -> what was expected
EXPECTED = {
    r"to Integer|of type 'int'": "a whole number",
    r"to Float|of type 'float'": "a number",
    r"valid bool|of type 'bool'": "true or false",
    r"not a ListConfig": "a list, such as [{value}]",
    r"not a DictConfig|to Dict": "a mapping, such as {{NAME: {value}}}",
    r"not a subclass of \w+Config": "one of its keys, such as {key}.{first}=",
    r"not Optional": "a value, not null",
    r"to string": "a word"}
# names that other libraries give to what the lab has in another place, and the other way round for theirs
ELSEWHERE = {
    "learning_rate": "optimizer.lr", "gamma": "agent.discount", "total_timesteps": "budget.steps",
    "n_envs": "agent.num_envs", "learning_starts": "agent.warmup", "train_freq": "agent.train_every",
    "target_update_interval": "agent.target_every", "exploration_final_eps": "agent.epsilon_end",
    "ent_coef": "agent.entropy_coef", "net_arch": "model.hidden", "lr": "agent.learning_rate",
    "discount": "agent.gamma", "warmup": "agent.learning_starts", "train_every": "agent.train_freq",
    "target_every": "agent.target_update_interval", "entropy_coef": "agent.ent_coef"}


def misfit(error: OmegaConfBaseException, place: str = "") -> str:
    """One line for a value of the wrong type; `place` stands before its key."""
    text, key = one_line(error), f"{place}{error.full_key or ''}"
    expected = next((words for said, words in EXPECTED.items() if re.search(said, text)), "")
    if not (key and expected):
        return f"{key}: {text}" if key else text
    value, node = spelled(getattr(error, "value", None)), error.child_node
    first = next(iter(node), "KEY") if isinstance(node, DictConfig) else ""
    return f"{key}={value}: expected {expected.format(key=key, value=value, first=first)}"


def spelled(value: Any) -> str:
    """As it is written on a command line."""
    return {"None": "null", "True": "true", "False": "false"}.get(str(value), str(value))


def one_line(error: Exception) -> str:
    return " ".join(str(error).split("\n")[0].split())


def unknown(key: str, known: Iterable[str], cfg: LabConfig | None = None) -> str:
    """One line for a key that there is not, with the nearest right one, also of another part of `cfg`."""
    name, there = key.rpartition(".")[2], places(cfg)
    same = [place for place in there if place.rpartition(".")[2] == name]
    foreign = ELSEWHERE.get(name, "")
    other = foreign if foreign in there else same[0] if len(same) == 1 else ""
    return f"unknown key {key!r}. {nearest(name, known, other)}"


def places(cfg: LabConfig | None) -> list[str]:
    """Every key of one or two parts."""
    parts = vars(cfg) if cfg else {}
    inner = [f"{name}.{key}" for name, part in parts.items() for key in getattr(part, "__dict__", {}) if key != "name"]
    return [*parts, *inner]
