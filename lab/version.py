"""Which code is this?"""

import platform
import subprocess
from pathlib import Path

from . import __version__
from .config import GROUPS, LabConfig
from .host import host
from .offers import version_of

ALWAYS = ("torch", "gymnasium", "numpy", "hydra-core")
QUIET = ("-c", "core.fsmonitor=false", "-c", "core.hooksPath=/dev/null")      # no code of the repository's config runs


def git_commit() -> str | None:
    """The commit of the lab's own checkout, with + where files differ; None in an installed package."""
    root = Path(__file__).resolve().parent.parent
    if not (root / ".git").exists():
        return None
    try:
        commit, changes = (subprocess.run(["git", *QUIET, "-C", str(root), *command], capture_output=True, text=True,
                                          timeout=5, check=True).stdout.strip()
                           for command in (["rev-parse", "--short=12", "HEAD"], ["status", "--porcelain", "-uno"]))
    except (OSError, subprocess.SubprocessError):
        return None
    return commit + "+" * bool(changes)


def versions(cfg: LabConfig) -> dict[str, str]:
    """Of what the bits of a run depend on: the lab, and the packages that every run needs or that its choices name."""
    chosen = [host().entry(group, getattr(cfg, group).name) for group in GROUPS if getattr(cfg, group) is not None]
    names = [*ALWAYS, *(name for entry in chosen for name in entry.packages)]
    found = {name: version for name in names if (version := version_of(name))}
    return {"lab": __version__, "python": platform.python_version(), **found}


def plugins() -> dict[str, str]:
    """Each with its distribution and version."""
    return {found.name: f"{found.dist} {found.version}" for found in host().plugins}
