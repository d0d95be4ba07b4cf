"""What a run says, in its folder."""

import logging
from contextlib import suppress
from pathlib import Path

from . import checkpoint

LOG = logging.getLogger("lab")


class log_file:
    """Everything said is also written to RUN/lab.log."""

    def __init__(self, path: Path):
        self.path = path / "lab.log"

    def __enter__(self) -> None:
        try:
            self.handler: logging.Handler = logging.FileHandler(self.path)
        except OSError as error:
            raise checkpoint.disk_error(error, self.path) from error
        self.handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s"))
        LOG.addHandler(self.handler)

    def __exit__(self, *failure: object) -> None:
        LOG.removeHandler(self.handler)
        with suppress(OSError):           # what a full disk did not take
            self.handler.close()
