"""Finds plugins and takes each in whole or not at all. A broken one is left out, with the reason; the others work."""

import functools
import os
import sys
import time
import traceback
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from importlib import import_module, metadata
from pathlib import Path
from typing import Any

from packaging.utils import canonicalize_name

from . import offers
from .errors import UsageError, nearest
from .hookspecs import Entry
from .offers import DISTRIBUTION, PluginError, keys, yaml_files

GROUP, CORE = "lab.plugins", "the lab itself"


@dataclass
class Found:
    """A plugin that is installed, taken in or not."""

    name: str                     # of its entry point
    dist: str                     # its distribution, as `pip list` names it
    version: str
    point: metadata.EntryPoint | None = field(default=None, repr=False)
    requires: tuple[str, ...] = field(default=(), repr=False)     # as in its metadata: "pluglab>=0.1; extra == 'x'"
    extras: tuple[str, ...] = field(default=(), repr=False)
    seconds: float = 0.0          # to import it and to call its hooks
    heavy: bool = False           # it was the first to import torch: every command, also `--help`, waits for that
    entries: tuple[Entry, ...] = ()
    folder: Path | None = None    # with its Hydra configs
    files: tuple[str, ...] = field(default=(), repr=False)        # these, such as `agent/dqn.yaml`
    reason: str = ""              # why it was left out

    def order(self) -> tuple[bool, str, str]:
        """Built-in plugins first, so that an outside one cannot take the name of one of them; then by name."""
        return canonicalize_name(self.dist) != DISTRIBUTION, self.name, self.dist

    def __str__(self) -> str:
        return f"plugin {self.name!r} ({self.dist} {self.version})"


class Host:
    """Everything that the installed plugins offer. Raises UsageError for a broken one if LAB_STRICT_PLUGINS=1."""

    def __init__(self, found: Iterable[Found] | None = None) -> None:
        self.plugins: list[Found] = []                       # taken in; built-in ones first, then by name
        self.entries: dict[tuple[str, str], Entry] = {}      # (group, name) -> what stands behind it
        self.provider: dict[tuple[str, str], str] = {}       # (group, name) -> plugin
        self.folders: dict[str, Path] = {}                   # plugin -> its conf folder, where it has one
        self.quarantined: list[Found] = []                   # left out, each with its reason
        names = os.environ.get("LAB_BLOCK_PLUGINS", "").split(",")
        self.blocked = {name.strip(): "not installed" for name in names if name.strip()}     # -> its distribution
        self.files = dict.fromkeys(yaml_files(core_folder()), CORE)      # such as `agent/dqn.yaml` -> who provides it
        for each in sorted(installed() if found is None else found, key=Found.order):
            self._try(each)

    @property
    def left_out(self) -> dict[str, str]:
        """Plugin -> why it was left out; `quarantined` has the distribution and the version too."""
        return {each.name: each.reason for each in self.quarantined}

    def names(self, group: str) -> list[str]:
        return sorted(name for kind, name in self.entries if kind == group)

    def entry(self, group: str, name: str) -> Entry:
        """Raises UsageError with the nearest right name, and with the plugins that might have offered this one."""
        if (group, name) in self.entries:
            return self.entries[group, name]
        message = f"There is no {group} named {name!r}. {nearest(name, self.names(group))}"
        if owner := next((each for each in self.quarantined if (group, name) in keys(each.entries)), None):
            raise UsageError(f"{message} It belongs to {owner}, which was left out: {owner.reason}")
        if absent := [*map(str, self.quarantined), *(f"plugin {each!r} (blocked)" for each in self.blocked)]:
            message += f" Not taken in, and perhaps the one that offers it: {', '.join(absent)}; see `lab plugins`."
        raise UsageError(message)

    def load(self, group: str, name: str, part: str = "build") -> Callable[..., Any]:
        """Import the `build` of an entry. Raises UsageError where its module cannot be imported or has none."""
        entry = self.entry(group, name)
        owner = next(each for each in self.plugins if each.name == self.provider[group, name])
        module, _, function = getattr(entry, part).partition(":")
        try:
            builder: Callable[..., Any] = getattr(import_module(module), function)
        except (Exception, SystemExit) as error:
            reason = why(error, module, owner)
            raise UsageError(f"The {group} {name!r} of {owner} cannot be loaded: {reason}") from error
        return builder

    def _try(self, found: Found) -> None:
        if found.name in self.blocked:
            self.blocked[found.name] = f"{found.dist} {found.version}"
            return
        try:
            self._examine(found)
        except KeyboardInterrupt:
            raise
        except BaseException as error:                       # also sys.exit() at import: it must not end the lab
            self._leave_out(found, error)
        else:
            self._take_in(found)

    def _examine(self, found: Found) -> None:
        """Every check there is. It fills in `found` and changes nothing else."""
        if found.point is None:
            raise PluginError(found.reason)
        if twin := next((each for each in self.plugins if each.name == found.name), None):
            raise PluginError(f"{twin} has this name already: name the entry point otherwise")
        if canonicalize_name(found.dist) != DISTRIBUTION:
            offers.check_requires(found.requires)
        with offers.undisturbed(), measured(found):
            results = offers.ask(found.point.load(), found.name)
        found.entries = offers.entries(results)              # before the checks: `entry` can say whose a name was
        offers.check_entries(found.entries)
        found.folder = offers.folder(results)
        found.files = yaml_files(found.folder)
        if taken := next((key for key in keys(found.entries) if key in self.provider), None):
            raise PluginError(f"{taken[0]} {taken[1]!r} is already offered by plugin {self.provider[taken]!r}")
        if file := next((each for each in found.files if each in self.files), None):
            raise PluginError(f"its conf file {file} is already provided by {self.files[file]}")

    def _take_in(self, found: Found) -> None:
        self.plugins.append(found)
        self.entries |= {(entry.group, entry.name): entry for entry in found.entries}
        self.provider |= dict.fromkeys(keys(found.entries), found.name)
        self.files |= dict.fromkeys(found.files, str(found))
        if found.folder is not None:
            self.folders[found.name] = found.folder

    def _leave_out(self, found: Found, error: BaseException) -> None:
        reason = str(error) if isinstance(error, PluginError) else "".join(traceback.format_exception_only(error))
        found.reason = " ".join(reason.split())
        if os.environ.get("LAB_STRICT_PLUGINS", "0") not in ("", "0"):
            traceback.print_exception(error)
            raise UsageError(f"{found}: {found.reason}") from error
        self.quarantined.append(found)
        print(f"lab: {found} left out: {found.reason} [LAB_STRICT_PLUGINS=1 shows the traceback, "
              f"LAB_BLOCK_PLUGINS={found.name} silences this]", file=sys.stderr)


def installed(path: list[str] | None = None) -> list[Found]:
    """The plugins on `path` (sys.path). Of a distribution found twice the first copy counts, as it does for imports."""
    copies: dict[str, list[Found]] = {}
    for dist in metadata.distributions() if path is None else metadata.distributions(path=path):
        if found := declared(dist):
            copies.setdefault(canonicalize_name(found[0].dist), found)
    return [each for found in copies.values() for each in found]


def declared(dist: metadata.Distribution) -> list[Found]:
    """The plugins of one distribution, from its metadata alone."""
    try:
        if GROUP not in (dist.read_text("entry_points.txt") or ""):
            return []
        about = (dist.metadata["Name"], dist.version)
        lists = (tuple(dist.requires or ()), tuple(dist.metadata.get_all("Provides-Extra") or ()))
        return [Found(point.name, *about, point, *lists) for point in dist.entry_points.select(group=GROUP)]
    except Exception as error:                               # one damaged folder in site-packages is not the end
        folder = Path(getattr(dist, "_path", "?"))
        return [Found(folder.stem, str(folder), "", reason=f"its metadata cannot be read: {error}; install it again")]


def why(error: BaseException, module: str, owner: Found) -> str:
    """`module`: the one that the entry names; a missing one may be it or something that it imports."""
    if not isinstance(error, ImportError | AttributeError):
        return f"{module} raised {type(error).__name__}: {error}"
    if not (isinstance(error, ModuleNotFoundError) and error.name):
        return str(error)
    if f"{module}.".startswith(f"{error.name}."):
        return f"it names the module {error.name!r}, which does not exist"
    extras = f"; extras of {owner.dist}: {', '.join(owner.extras)}" if owner.extras else ""
    return f"it needs the module {error.name!r}, which is not installed{extras}"


@contextmanager
def measured(found: Found) -> Iterator[None]:
    before, start = "torch" in sys.modules, time.perf_counter()
    try:
        yield
    finally:
        found.seconds, found.heavy = time.perf_counter() - start, "torch" in sys.modules and not before


def core_folder() -> Path:
    """The core's own configs: inside the package in a wheel, beside it in a checkout."""
    inside = Path(__file__).parent / "conf"
    return inside if inside.is_dir() else Path(__file__).parent.parent / "conf"


@functools.cache
def host() -> Host:
    """The plugins of this process, found once."""
    return Host()
