"""`lab compare RUN...`: runs of one environment or dataset in one table, the best first, seeds folded to a mean."""

import csv
import io
import json
import math
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ..comparing import Folded, Row, best_first, metrics_of, rows, smaller_is_better
from ..errors import ResumeError, UsageError
from ..mistakes import spelled
from ..recorded import Run, opened, runs_in
from .parser import Parser

FINISHED, NONE = "finished", "-"


def main(argv: list[str]) -> int:
    """Raises UsageError where there is nothing to compare, and for runs of different environments or datasets."""
    parser = Parser("compare", __doc__.partition(": ")[2])
    parser.add_argument("runs", nargs="+", type=Path, metavar="RUN", help="run folders, or folders that hold some")
    parser.add_argument("--metrics", default="", help="names with commas between; the first sorts")
    form = parser.add_mutually_exclusive_group()
    form.add_argument("--json", action="store_true", help="for programs, with the value of every seed")
    form.add_argument("--csv", action="store_true", help="for spreadsheets")
    given = parser.parse_args(argv)
    runs = readable(given.runs)
    found = rows(runs)
    for old in [run for run in runs if not any(run in row.runs for row in found)]:
        print(f"left out: {old.path}, of which there is a newer run with the same seed", file=sys.stderr)
    metrics = metrics_of(found, [name for each in given.metrics.split(",") if (name := each.strip())])
    found = best_first(found, metrics[0]) if metrics else found
    if given.json:
        print(json.dumps(as_json(found, metrics), indent=2))
    elif given.csv:
        sys.stdout.write(as_csv(found, metrics))
    else:
        show(found, metrics)
    return 0


def readable(paths: Sequence[Path]) -> list[Run]:
    """Raises UsageError where none is; what cannot be read below a folder is left out, and told."""
    found = dict[Path, Run]()
    for path in paths:
        for place in runs_in(path):
            try:
                found.setdefault(place.resolve(), opened(place))
            except ResumeError as error:
                if place == path:
                    raise UsageError(str(error)) from None
                print(f"left out: {error}", file=sys.stderr)
    if not found:
        raise UsageError("there is no run to compare that could be read")
    return list(found.values())


def show(found: Sequence[Row], metrics: Sequence[str]) -> None:
    """A table that is aligned; in a terminal one that fits its width."""
    lines = [cells(row, metrics) for row in found]
    used = [name for name in lines[0] if name not in ("settings", "status") or any(line[name] for line in lines)]
    table = [[name.removeprefix("eval/") for name in used], *([line[name] for name in used] for line in lines)]
    print(f"{found[0].first.world}{order(metrics)}; ± is the 95 % interval of the mean over seeds (Student's t)\n")
    if sys.stdout.isatty():
        in_terminal(table)
        return
    widths = [max(map(len, column)) for column in zip(*table, strict=True)]
    for line in table:
        print("  ".join(f"{cell:<{width}}" for cell, width in zip(line, widths, strict=True)).rstrip())


def order(metrics: Sequence[str]) -> str:
    better = "smaller" if metrics and smaller_is_better(metrics[0]) else "larger"
    return f", best first by {metrics[0]} ({better} is better)" if metrics else ""


def in_terminal(table: Sequence[Sequence[str]]) -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    made = Table(box=None, pad_edge=False, header_style="bold")
    for name in table[0]:
        made.add_column(Text(name))
    for line in table[1:]:
        made.add_row(*map(Text, line))
    Console(highlight=False).print(made)


def cells(row: Row, metrics: Sequence[str]) -> dict[str, str]:
    """Column -> text."""
    status = row.first.status
    return {"agent": row.first.agent, "settings": " ".join(f"{key}={short(value)}" for key, value in row.told.items()),
            "status": "" if status == FINISHED else status, "seeds": str(len(row.runs)),
            **{name: measured(row.folded(name), len(row.runs)) for name in metrics},
            "seconds": whole(row.folded("seconds")), "parameters": whole(row.folded("parameters"))}


def short(value: Any) -> str:
    """As it is written on a command line."""
    if isinstance(value, list):
        return f"[{','.join(map(short, value))}]"
    return f"{value:g}" if isinstance(value, float) else spelled(value)


def measured(found: Folded | None, n: int) -> str:
    """The mean with as many places as the interval has two digits in; how many of the `n` seeds have it, where not all.
    """
    if found is None:
        return NONE
    some = f" ({len(found.values)} of {n})" if len(found.values) < n else ""
    if not found.interval:
        return f"{found.mean:.4g}{'' if found.interval is None else ' ± 0'}{some}"
    places = min(max(1 - math.floor(math.log10(found.interval)), 0), 6)
    return f"{found.mean:.{places}f} ± {found.interval:.{places}f}{some}"


def whole(found: Folded | None) -> str:
    return NONE if found is None else f"{found.mean:,.0f}" if found.mean >= 10 else f"{found.mean:.2g}"


def plain(found: Folded | None) -> dict[str, Any] | None:
    return None if found is None else {"mean": found.mean, "interval": found.interval, "values": list(found.values)}


def as_json(found: Sequence[Row], metrics: Sequence[str]) -> dict[str, Any]:
    return {"world": found[0].first.world, "interval": "half of 95 %, Student's t over seeds", "rows": [
        {"agent": row.first.agent, "settings": dict(row.told), "status": row.first.status,
         "seeds": [run.seed for run in row.runs], "metrics": {name: plain(row.folded(name)) for name in metrics},
         "seconds": plain(row.folded("seconds")), "parameters": plain(row.folded("parameters")),
         "runs": [str(run.path) for run in row.runs]} for row in found]}


def as_csv(found: Sequence[Row], metrics: Sequence[str]) -> str:
    """A column for each setting that sets rows apart, and two for each metric."""
    settings = list(dict.fromkeys(key for row in found for key in row.told))
    figures = [*metrics, "seconds", "parameters"]
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(["agent", *settings, "status", "seeds",
                     *(head for name in figures for head in (name, f"{name} interval"))])
    for row in found:
        values = [row.folded(name) for name in figures]
        writer.writerow([
            row.first.agent, *(short(row.told[key]) if key in row.told else "" for key in settings), row.first.status,
            len(row.runs), *(cell for each in values for cell in ((each.mean, each.interval) if each else ("", "")))])
    return out.getvalue()
