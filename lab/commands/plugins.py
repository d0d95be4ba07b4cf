"""`lab plugins`: what is installed, what it brings, how long it takes to import, and what was left out and why."""

import json
from typing import Any

from .. import __version__
from ..host import GROUP, Found, Host, host
from ..offers import DISTRIBUTION
from .parser import Parser


def main(argv: list[str]) -> int:
    """0, also where plugins were left out; with LAB_STRICT_PLUGINS=1 the first of those raises UsageError."""
    parser = Parser("plugins", __doc__.partition(": ")[2])
    parser.add_argument("--json", action="store_true", help="the same for programs")
    as_json = parser.parse_args(argv).json
    print(json.dumps(summary(host()), indent=2) if as_json else "\n".join(lines(host())))
    return 0


def summary(lab: Host) -> dict[str, Any]:
    return {
        "lab": __version__,
        "plugins": [about(each) | {
            "brings": brings(each), "conf": None if each.folder is None else str(each.folder),
            "import_ms": round(1000 * each.seconds, 1), "imports_torch": each.heavy} for each in lab.plugins],
        "left_out": [about(each) | {"reason": each.reason} for each in lab.quarantined],
        "blocked": [{"name": name, "distribution": dist} for name, dist in lab.blocked.items()],
    }


def about(found: Found) -> dict[str, Any]:
    return {"name": found.name, "distribution": found.dist, "version": found.version}


def brings(found: Found) -> dict[str, list[str]]:
    """Group -> names, both sorted."""
    groups = sorted({entry.group for entry in found.entries})
    return {group: sorted(entry.name for entry in found.entries if entry.group == group) for group in groups}


def lines(lab: Host) -> list[str]:
    text = [f"{DISTRIBUTION} {__version__}; plugins are entry points in the group {GROUP}"]
    width = max((len(each.name) for each in lab.plugins), default=0)
    source = max((len(f"{each.dist} {each.version}") for each in lab.plugins), default=0)
    for each in lab.plugins:
        text += ["", *plugin_lines(each, width, source)]
    if lab.quarantined:
        text += ["", "left out (`LAB_STRICT_PLUGINS=1 lab plugins` shows the traceback of the first):"]
        text += [f"  {each.name}  {each.dist} {each.version}\n      {each.reason}" for each in lab.quarantined]
    if lab.blocked:
        text += ["", "blocked by LAB_BLOCK_PLUGINS:"]
        text += [f"  {name}  {dist}" for name, dist in lab.blocked.items()]
    return text


def plugin_lines(found: Found, width: int, source: int) -> list[str]:
    """`width`, `source`: columns of the longest name, and of the longest distribution with its version."""
    dist = f"{found.dist} {found.version}"
    heavy = "  imports torch: move that into its build module, every command waits for it" if found.heavy else ""
    first = f"{found.name:<{width}}  {dist:<{source}}  {1000 * found.seconds:8.1f} ms{heavy}"
    rest = [f"    {group:<10} {', '.join(names)}" for group, names in brings(found).items()]
    return [first, *(rest or ["    no agents, models, optimizers, envs, datasets or sinks"])]
