"""What a run folder says of its run. It may be a stranger's: read as data, never as code."""

import math
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .config import plain_of
from .errors import ResumeError, UsageError
from .folder import read_run
from .saved_config import load_config, read_config

# what does not say which experiment a run is, but on which machine it was and how closely it was watched
ASIDE = ("seed", "agent.name", "log", "checkpoint", "compute.device", "compute.threads", "compute.jit",
         "vector.workers", "data.workers", "data.memory", "evaluate.every", "evaluate.episodes", "evaluate.videos")


@dataclass(frozen=True)
class Run:
    path: Path
    agent: str
    world: str                                # the environment's id, or the dataset's name and file
    kind: str                                 # env or data
    seed: int
    status: str
    started: str
    settings: Mapping[str, Any]               # dotted key -> value, without what stands ASIDE
    final: Mapping[str, float]                # the last value of each metric
    seconds: float | None                     # both None: not recorded, or nothing was done yet
    parameters: int | None

    def figure(self, name: str) -> float | None:
        """A metric, or seconds or parameters."""
        found: float | None = getattr(self, name) if name in ("seconds", "parameters") else self.final.get(name)
        return found


def runs_in(path: Path) -> list[Path]:
    """Itself, or every run folder below it. Raises UsageError where there is none."""
    if (path / "run.json").is_file():
        return [path]
    found = sorted(file.parent for file in path.rglob("run.json")) if path.is_dir() else []
    if not found:
        why = "there is no run in it" if path.is_dir() else "it is no folder" if path.exists() else "it does not exist"
        raise UsageError(f"{path}: {why}; name run folders, or folders that hold some, such as runs/digits")
    return found


def opened(path: Path) -> Run:
    """Raises ResumeError for a folder that cannot be read as a run."""
    about, config = read_run(path), config_of(path)
    kind = "env" if config.get("env") else "data"
    agent, chosen, final, seed = named(path, config, "agent"), config[kind], about.get("final"), config.get("seed")
    world = (kind == "env" and chosen.get("id")) or named(path, config, kind)
    world = " ".join(str(each) for each in (world, chosen.get("path")) if each)
    settings = {key: value for key, value in flat(config)
                if not any(key == each or key.startswith(f"{each}.") for each in ASIDE)}
    if precision := computed(about.get("sittings")):
        settings["compute.precision"] = precision
    seconds, parameters = (number(about.get(name)) or None for name in ("seconds", "parameters"))
    return Run(path, agent, clean(world), kind, seed if type(seed) is int else 0, clean(about.get("status")),
               clean(about.get("started")), settings, numbers(final if isinstance(final, dict) else {}),
               seconds, None if parameters is None else int(parameters))


def computed(sittings: Any) -> str:
    """The precision in which a run computes, whether it was chosen or left to the lab; "" where it is not recorded."""
    first = sittings[0] if isinstance(sittings, list) and sittings else {}
    found = first.get("precision") if isinstance(first, dict) else ""
    return found if isinstance(found, str) else ""


def config_of(path: Path) -> dict[str, Any]:
    """With the defaults of today for what a run of before did not know; as it is, where its plugins are not here."""
    plain = read_config(path)
    with suppress(ResumeError):
        plain = plain_of(load_config(path))
    for group in ("agent", "env" if plain.get("env") else "data"):
        named(path, plain, group)
    return {key: value for key, value in plain.items() if value is not None}


def named(path: Path, config: Mapping[str, Any], group: str) -> str:
    chosen = config.get(group)
    if not isinstance(chosen, dict) or not isinstance(chosen.get("name"), str):
        raise ResumeError(f"{path}: its config names no {group}")
    return clean(chosen["name"])


def flat(node: Mapping[str, Any], above: str = "") -> Iterator[tuple[str, Any]]:
    """Every value by its dotted key."""
    for key, value in node.items():
        name = clean(f"{above}{key}")
        if isinstance(value, dict):
            yield from flat(value, f"{name}.")
        else:
            yield name, clean(value) if isinstance(value, str) else value


def numbers(found: Mapping[str, Any]) -> dict[str, float]:
    return {clean(name): value for name, each in found.items() if (value := number(each)) is not None}


def number(value: Any) -> float | None:
    """None for what is none, or not finite, or beyond all."""
    try:
        return float(value) if type(value) in (int, float) and math.isfinite(value) else None
    except OverflowError:
        return None


def clean(text: Any) -> str:
    """Without what a terminal would obey."""
    return "".join(each if each.isprintable() else "?" for each in str(text))
