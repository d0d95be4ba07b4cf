"""Where a measured run logs to; none of them saves."""

import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from lab.run_folder import RunFolder
from lab.sinks import TensorBoard

NEVER = 10**12                    # a period that does not come


class Memory:
    """Lines that go nowhere; the last is kept."""

    def __init__(self) -> None:
        self.last: dict[str, float] = {}

    def log(self, count: int, updates: int, seconds: float, metrics: Mapping[str, float]) -> None:
        self.last = dict(metrics)

    def media(self, count: int, name: str, value: Any) -> None: ...

    def save(self, count: int, state: Mapping[str, Any]) -> None: ...


class Files(RunFolder):
    """metrics.jsonl and the TensorBoard file in `folder`, as in a real run."""

    def __init__(self, folder: Path):
        super().__init__(folder, "benchmark", keep=1)
        self.board = TensorBoard(folder)
        self.listeners.append(lambda count, seconds, metrics: self.board.write(count, metrics, time.time()))

    def save(self, count: int, state: Mapping[str, Any]) -> None: ...
