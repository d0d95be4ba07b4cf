"""Which code is this?"""

import subprocess
from pathlib import Path

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
