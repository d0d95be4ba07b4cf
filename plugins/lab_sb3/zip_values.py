"""What a .zip of Stable-Baselines3 says of hyperparameters, as the config says it; zips.py reads the rest."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from lab.errors import UsageError

from .words import CHOICES, NOISES

CONSTANT = re.compile(r"ConstantSchedule\(val=([0-9.e+-]+)\)")
WORD = re.compile(r"auto(_[0-9.]+)?")
NOISE = re.compile(r"(NormalActionNoise)\(mu=(\[.*\]), sigma=(\[.*\])\)")     # of several environments
RMSPROP = {"alpha": 0.99, "weight_decay": 0}      # of A2C by itself, and an eps
Plain = Mapping[str, Any]


@dataclass
class Found:
    """What could be read, and the names of what could not."""

    values: dict[str, Any] = field(default_factory=dict)             # of the agent's config
    policy_kwargs: dict[str, Any] = field(default_factory=dict)
    unread: list[str] = field(default_factory=list)


def found(path: Path, agent: str, data: Plain, wanted: set[str]) -> Found:
    """Of the `wanted` keys of the agent. Raises UsageError for a network that only code can make."""
    seen = Found(hyperparameters({"num_envs": data.get("n_envs", 1), **data}, wanted), policy_kwargs(path, data))
    seen.unread = sorted((wanted - {"policy", "policy_kwargs", "total_timesteps"}) & data.keys() - seen.values.keys())
    optimizer(seen, agent, data.get("policy_kwargs") or {})
    if data.get("action_noise") and "noise_type" in wanted:
        said = noise(data["action_noise"])
        seen.values |= said or {}
        seen.unread += [] if said else ["action_noise"]
    seen.unread += ["optimize_memory_usage"] if data.get("optimize_memory_usage") else []
    seen.values = {name: value for name, value in seen.values.items() if name in wanted}
    return seen


def hyperparameters(data: Plain, names: set[str]) -> dict[str, Any]:
    """Of these names, those that are numbers, words or nothing, and constant schedules."""
    found = {}
    for name in sorted(names & data.keys()):
        value = data[name]
        schedule = value.get("value_schedule") if isinstance(value, dict) else None
        if constant := CONSTANT.fullmatch(str(schedule)):
            found[name] = float(constant[1])
        elif value is None or isinstance(value, bool | int | float) or WORD.fullmatch(str(value)):
            found[name] = value
    return found


def policy_kwargs(path: Path, data: Plain) -> dict[str, Any]:
    """Those that say how the network is made, classes by their words. Raises UsageError for what only code can make."""
    given = data.get("policy_kwargs") or {}
    if not isinstance(given, dict):
        raise UsageError(f"{path} is damaged: its policy_kwargs are {given!r:.80}, no mapping")
    found = dict(given)
    for name in (":type:", ":serialized:", "use_sde", "optimizer_class", "optimizer_kwargs"):
        found.pop(name, None)
    if "activation_fn" in found:
        found["activation_fn"] = word("activation_fn", found["activation_fn"]) or found["activation_fn"]
    if odd := [name for name, value in found.items() if "<" in str(value) or "$" in str(value)]:
        raise UsageError(f"{path}: its policy_kwargs.{odd[0]} is {found[odd[0]]!r:.100}, which the lab cannot make")
    return found


def word(name: str, kind: Any) -> str | None:
    """The word for a class that a file describes, if there is one."""
    return {str(each): word for word, each in CHOICES[name].items()}.get(str(kind))


def optimizer(seen: Found, agent: str, given: Plain) -> None:
    """Adds the optimizer; a file that names none has Adam. A2C has values of its own for the one that it brings."""
    kind, options = given.get("optimizer_class"), given.get("optimizer_kwargs") or {}
    known = word("optimizer_class", kind)
    if kind is not None and known is None:
        seen.unread.append("policy_kwargs.optimizer_class")
        return
    if not (isinstance(options, dict) and all(isinstance(each, bool | int | float) for each in flat(options.values()))):
        seen.unread.append("policy_kwargs.optimizer_kwargs")
        options = {}
    chosen = {"optimizer_class": known, "optimizer_kwargs": options}
    if agent == "sb3_a2c":
        own = known == "rmsprop" and options == {**RMSPROP, "eps": options.get("eps")}
        seen.values |= {"use_rms_prop": own, **({"rms_prop_eps": options["eps"]} if own else {})}
        chosen = {} if own else chosen
    seen.policy_kwargs |= {name: value for name, value in chosen.items() if value}


def flat(values: Any) -> list[Any]:
    """With what stands in lists among them, such as the two betas of Adam."""
    return [each for value in values for each in (value if isinstance(value, list) else [value])]


def noise(described: Any) -> dict[str, Any] | None:
    """The action noise as the config says it: around 0, and as strong for every action. None for any other."""
    described = described if isinstance(described, dict) else {}
    kind, mean, std = (str(described.get(name)) for name in (":type:", "_mu", "_sigma"))
    if inner := NOISE.fullmatch(str(described.get("_base_noise"))):
        kind, mean, std = inner.groups()
    name = NOISES.get(kind.removesuffix("'>").rpartition(".")[2])
    try:
        means, stds = ([float(each) for each in text.strip("[]").split()] for text in (mean, std))
    except ValueError:
        return None
    usual = name == "normal" or (described.get("_theta"), described.get("_dt")) == (0.15, 0.01)
    if not (name and usual) or any(means) or len(set(stds)) != 1:
        return None
    return {"noise_type": name, "noise_std": stds[0]}
