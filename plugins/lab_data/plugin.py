"""Datasets. Light: the command line reads this file before torch is imported."""

from dataclasses import dataclass
from pathlib import Path

from lab import Dataset, hookimpl
from lab.data.config import DataConfig

BUNDLED = ("digits", "iris", "wine", "breast_cancer", "diabetes")


@dataclass
class Bundled(DataConfig):
    """A small dataset that comes with scikit-learn."""


@hookimpl
def lab_datasets() -> list[Dataset]:
    return [Dataset(name, Bundled, "lab_data.bundled:build", packages=("scikit-learn",)) for name in BUNDLED]


@hookimpl
def lab_conf() -> Path:
    return Path(__file__).parent / "conf"
