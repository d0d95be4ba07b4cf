"""How the commands read their arguments."""

import argparse
from typing import Any

from ..errors import UsageError


class Parser(argparse.ArgumentParser):
    """Errors in the lab's own form."""

    def __init__(self, command: str, about: str):
        super().__init__(prog=f"lab {command}", description=about)

    def error(self, message: str) -> Any:
        raise UsageError(f"{self.prog}: {message}. See {self.prog} --help")
