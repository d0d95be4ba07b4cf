"""The lab's folder of files that it has downloaded or made, and that can be had again."""

import os
from pathlib import Path

import pooch


def folder(name: str) -> Path:
    """Of a dataset, or of something else by name. The environment variable LAB_CACHE says where it lies."""
    return Path(os.environ.get("LAB_CACHE") or pooch.os_cache("pluglab")).expanduser() / name
