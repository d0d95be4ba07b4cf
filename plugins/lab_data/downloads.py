"""Files that are downloaded once."""

import logging
from collections.abc import Mapping, Sequence
from hashlib import md5
from pathlib import Path

import pooch

from lab import cache
from lab.errors import UsageError

LOG = logging.getLogger("lab")


def fetched(name: str, sums: Mapping[str, str], mirrors: Sequence[str], otherwise: str) -> Path:
    """The folder that has the files of `sums` {file: md5}, downloaded from the first of `mirrors` that has them.

    Raises UsageError for a file that is another, and where none can be had; `otherwise` is what one can do then.
    """
    where = cache.folder(name)
    for file, sum in sums.items():
        if not (where / file).exists():
            download(where, file, sum, mirrors, otherwise)
        elif (came := md5((where / file).read_bytes(), usedforsecurity=False).hexdigest()) != sum:
            raise UsageError(f"{where / file} has the checksum {came}, expected {sum}: it is damaged or another file; "
                             "remove it, and it is downloaded again")
    return where


def download(where: Path, file: str, sum: str, mirrors: Sequence[str], otherwise: str) -> None:
    pooch.get_logger().setLevel("ERROR")      # what is to be said is said here
    LOG.info("downloading %s into %s", file, where)
    failed = list[str]()
    for mirror in mirrors:
        try:
            pooch.retrieve(f"{mirror}{file}", f"md5:{sum}", file, where)
            return
        except (OSError, ValueError) as error:            # no network, no permission; another checksum
            said = " ".join(f"{type(error).__name__}: {error}".split())
            failed.append(f"{mirror}: {'no connection' if said.startswith('ConnectionError') else said}")
    raise UsageError(f"{file} cannot be downloaded ({'; '.join(failed)}); {otherwise}")
