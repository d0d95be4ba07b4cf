"""The dataclasses of plugins as a source of Hydra's, lab://, which makes a config when it is asked for.

Hydra's own store of dataclasses has them all made at the start, and copies them all for each config that it composes.
"""

from collections.abc import Mapping
from functools import lru_cache

from hydra.core.object_type import ObjectType
from hydra.plugins.config_source import ConfigLoadError, ConfigResult, ConfigSource
from omegaconf import OmegaConf

from .config import LabConfig
from .host import Host, host
from .tuned import marked, tuned_keys


class SchemaSource(ConfigSource):
    """`lab_schema`, `schema/GROUP/NAME` of every entry, and `GROUP/NAME` of those that have no file of that name."""

    @staticmethod
    def scheme() -> str:
        return "lab"

    def available(self) -> bool:
        return True

    def is_group(self, config_path: str) -> bool:
        return any(path.startswith(f"{config_path.strip('/')}/") for path in paths())

    def is_config(self, config_path: str) -> bool:
        return config_path.strip("/").removesuffix(".yaml") in paths()

    def list(self, config_path: str, results_filter: ObjectType | None) -> list[str]:
        """The names right under a path."""
        start = f"{config_path.strip('/')}/".lstrip("/")
        found = {path.removeprefix(start).partition("/") for path in paths() if path.startswith(start)}
        return sorted({name for name, deeper, _ in found
                       if results_filter in (None, ObjectType.GROUP if deeper else ObjectType.CONFIG)})

    def load_config(self, config_path: str) -> ConfigResult:
        """Raises ConfigLoadError."""
        path = config_path.strip("/").removesuffix(".yaml")
        if path not in paths():
            raise ConfigLoadError(f"{path} is not known")
        keys, place, provider = tuned_by(host()), paths()[path], "lab"
        if place is None:
            node = marked(OmegaConf.structured(LabConfig), "", keys)
        else:
            group, name = place
            provider = f"lab:{host().provider[place]}"
            node = marked(OmegaConf.structured(host().entries[place].config), f"{group}.", keys)
            node["name"] = name           # one dataclass may serve several
        return ConfigResult(provider=provider, path=f"lab://{path}", config=node, header={"package": None})


def paths() -> Mapping[str, tuple[str, str] | None]:
    """Path -> the entry that stands there; None: the config as a whole."""
    return paths_of(host())


@lru_cache(maxsize=1)
def paths_of(lab: Host) -> Mapping[str, tuple[str, str] | None]:
    found: dict[str, tuple[str, str] | None] = {"lab_schema": None}
    for group, name in lab.entries:
        found[f"schema/{group}/{name}"] = group, name
        if f"{group}/{name}.yaml" not in lab.files and group != "sink":       # without a file it is a choice
            found[f"{group}/{name}"] = group, name
    return found


@lru_cache(maxsize=1)
def tuned_by(lab: Host) -> set[str]:
    """What any agent tunes."""
    return {key for entry in lab.entries.values() for key in tuned_keys(entry)}
