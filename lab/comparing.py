"""Runs side by side: those that differ in the seed alone are one row, their figures a mean with its interval."""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from importlib import import_module
from statistics import fmean, stdev
from typing import Any

from .best import SMALLER
from .errors import UsageError, closest
from .recorded import Run

ENV = ("return/mean", "length/mean")
DATA = ("said/bleu", "said/exact", "said/error_rate", "bits_per_byte",
        "accuracy", "loss", "rmse", "mae", "r2", "perplexity", "inertia", "adjusted_rand_index", "reconstruction/error")
MADE = ("made/frechet", "made/fid", "made/precision", "made/recall", "made/density", "made/coverage", "made/good",
        "made/classes", "made/class_kl", "made/accuracy", "iwae/nats")
TOKENS = ("tokenizer", "tokenizer_y", "joint", "vocabulary", "lowercase", "segment")
MEASURES = {                      # who has such a figure -> which are on a scale that these settings make
    "perplexity": (("accuracy", "loss", "perplexity"), tuple(f"data.{name}" for name in TOKENS)),
    "elbo/nats": (("loss", "nats", "bits_per_dim"),
                  ("agent.likelihood", "agent.binarize", "agent.sigma", "data.prepare"))}
FEW = 4                           # metrics of an evaluation that has none of those


@dataclass(frozen=True)
class Folded:
    """Of the same figure of several seeds."""

    mean: float
    interval: float | None                    # half the width; None: of one value there is none
    values: tuple[float, ...]


@dataclass(frozen=True)
class Row:
    runs: tuple[Run, ...]                     # with different seeds, in their order
    told: Mapping[str, Any]                   # of the settings, those that set it apart from other rows

    @property
    def first(self) -> Run:
        return self.runs[0]

    def folded(self, name: str) -> Folded | None:
        """A metric, or seconds or parameters; None where no run has it."""
        return folded([value for run in self.runs if (value := run.figure(name)) is not None])


def folded(values: Sequence[float]) -> Folded | None:
    """Mean and 95 % interval by Student's t with n - 1 degrees of freedom, as seeds are few."""
    if not values:
        return None
    n, half = len(values), None
    if n > 1:
        half = float(import_module("scipy.special").stdtrit(n - 1, 0.975)) * stdev(values) / math.sqrt(n)
    return Folded(fmean(values), half, tuple(values))


def rows(runs: Iterable[Run]) -> list[Row]:
    """One for each experiment and status. Of several runs with one seed the newest counts.

    Raises UsageError for runs of different worlds.
    """
    groups = dict[tuple[Any, ...], dict[int, Run]]()
    runs = sorted(runs, key=lambda run: run.started)
    one_world(runs)
    for run in runs:
        key = (run.agent, run.status, tuple(sorted((name, repr(value)) for name, value in run.settings.items())))
        groups.setdefault(key, {})[run.seed] = run
    whole = [tuple(run for _, run in sorted(group.items())) for group in groups.values()]
    return [Row(each, told(each[0], [other[0] for other in whole])) for each in whole]


def one_world(runs: Sequence[Run]) -> None:
    worlds = dict[str, list[Run]]()
    for run in runs:
        worlds.setdefault(run.world, []).append(run)
    if len(worlds) > 1:
        each = ", ".join(f"{name} ({len(found)}, such as {found[0].path})" for name, found in worlds.items())
        raise UsageError(f"these runs are of {len(worlds)} environments or datasets and cannot be compared: {each}. "
                         "Name those of one")


def told(run: Run, others: Sequence[Run]) -> dict[str, Any]:
    """The settings of a run that another row has not, or has otherwise; a group's name stands for the group.

    Those of data and env, and which model, are compared with all rows; others with rows of the same agent, and where
    they are of a model or an optimizer with rows that have chosen the same one.
    """
    found = {}
    for key, value in run.settings.items():
        group, _, rest = key.partition(".")
        near = [each for each in others if each.agent == run.agent or group in ("data", "env") or key == "model.name"]
        if group in ("model", "optimizer") and rest != "name":
            near = [each for each in near if each.settings.get(f"{group}.name") == run.settings.get(f"{group}.name")]
        if any(repr(each.settings.get(key)) != repr(value) for each in near):
            found[key.removesuffix(".name")] = value
    return found


def metrics_of(rows: Sequence[Row], asked: Sequence[str]) -> list[str]:
    """Those that were asked for, also without eval/ before them; else the main ones of the test split, or of an
    evaluation, first those that all rows have. Raises UsageError for one that no run has.
    """
    there = dict.fromkeys(name for row in rows for run in row.runs for name in run.final)
    for name in asked:
        if name not in there and f"eval/{name}" not in there:
            raise UsageError(f"--metrics {name}: no run has it. {closest(name, there)}")
    if asked:
        return [name if name in there else f"eval/{name}" for name in asked]
    main = list(ENV if rows[0].first.kind == "env" else (*MADE, *DATA))
    other = apart(rows)
    main = [name for name in main if name.rpartition("/")[2] not in other]
    there = {name: None for name in there if name.rpartition("/")[2] not in other}
    found = [next((full for full in (f"eval/test/{name}", f"eval/{name}") if full in there), "") for name in main]
    found.sort(key=lambda name: not all(row.folded(name) for row in rows))
    return [name for name in found if name] or [name for name in there if name.startswith("eval/")][:FEW]


def apart(rows: Sequence[Row]) -> set[str]:
    """The last parts of the names of figures that these rows have on scales of their own."""
    found = set[str]()
    for mark, (names, settings) in MEASURES.items():
        having = [row.first for row in rows if any(name.endswith(mark) for name in row.first.final)]
        if len({repr([run.settings.get(key) for key in settings]) for run in having}) > 1:
            found |= set(names)
    return found


def best_first(rows: Sequence[Row], metric: str) -> list[Row]:
    """By the mean of a metric; rows without it last."""
    sign = 1 if smaller_is_better(metric) else -1

    def place(row: Row) -> tuple[bool, float]:
        found = row.folded(metric)
        return found is None, 0.0 if found is None else sign * found.mean

    return sorted(rows, key=place)


def smaller_is_better(metric: str) -> bool:
    return bool(set(metric.split("/")) & set(SMALLER))
