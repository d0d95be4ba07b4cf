"""Means of metrics: kept on the device, read once per log. R rows, M metrics."""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from .contract import Metrics
from .errors import Diverged, LabError
from .state import Saved

FOLD = 256                        # rows held before they are summed: bounds memory; a save between changes no bit


class Meter(Saved):
    saved = ("names", "rows", "total", "folded")       # not `bad`: nothing is saved once a value was not finite

    def __init__(self, device: torch.device):
        self.device, self.folded = device, 0              # rows of this log window that are summed already
        self.known: list[str] = []                        # names of the metrics, once a row was looked at
        self.pending: list[Metrics] = []                  # the others: the loop appends to it, and calls `fold` at FOLD
        self.total: Tensor | None = None                  # [M] sums, float64
        self.bad: Tensor | None = None                    # [M] first row of the window that was not finite, or inf

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        super().load_state_dict(state)
        self.total = None if self.total is None else self.total.to(self.device)

    @property
    def names(self) -> list[str]:
        if not self.known and self.pending:
            self.known = list(self.pending[0])
        return self.known

    @names.setter
    def names(self, names: list[str]) -> None:
        self.known = names

    @property
    def n(self) -> int:
        """Rows in this log window."""
        return self.folded + len(self.pending)

    def read(self, updates: int) -> dict[str, float]:
        """The mean of each metric since the last read, after `updates` updates in all; the only wait for the device.

        Raises Diverged where a value was not finite.
        """
        self.fold()
        self.check(updates)
        means = {} if self.total is None else dict(zip(self.names, (self.total / self.folded).tolist(), strict=True))
        self.total, self.bad, self.folded = None, None, 0
        return means

    def check(self, updates: int) -> None:
        """Raises Diverged, naming metric and update, where a value of this window was not finite."""
        for bad in (self.bad, first_bad(self.rows, self.folded)):
            rows = [] if bad is None else bad.tolist()
            if (row := min(rows, default=float("inf"))) != float("inf"):
                name = self.names[rows.index(row)]
                raise Diverged(f"{name} was not finite at update {updates - self.n + int(row) + 1:,}")

    @property
    def rows(self) -> Tensor | None:
        """[R, M] the rows not yet summed."""
        if not self.pending:
            return None
        names = self.names
        for row in self.pending:
            if list(row) != names:
                raise LabError(f"an update returned the metrics {list(row)} and an earlier one {names}: "
                               "the names and their order must be the same at every update")
        with torch.no_grad():
            return torch.stack([row[name] for row in self.pending for name in names]).view(-1, len(names))

    @rows.setter
    def rows(self, rows: Tensor | None) -> None:
        each = () if rows is None else rows.to(self.device).unbind()
        self.pending[:] = [dict(zip(self.names, row.unbind(), strict=True)) for row in each]

    def fold(self) -> None:
        """Sum what is pending."""
        rows = self.rows
        if rows is None:
            return
        total, bad = rows.double().sum(0), first_bad(rows, self.folded)                      # [M]
        self.total = total if self.total is None else self.total + total
        self.bad = bad if self.bad is None or bad is None else torch.minimum(self.bad, bad)
        self.folded += len(self.pending)
        self.pending.clear()


def first_bad(rows: Tensor | None, offset: int) -> Tensor | None:
    """[M] for each column of `rows` [R, M] `offset` plus the first row that is not finite, or inf."""
    if rows is None:
        return None
    number = torch.arange(offset, offset + len(rows), device=rows.device, dtype=torch.float64)[:, None]      # [R, 1]
    return torch.where(rows.isfinite(), torch.inf, number).amin(0)


def number(name: str, value: Any) -> float:
    """Raises LabError for a metric that is none."""
    try:
        return float(value)
    except (TypeError, ValueError):
        raise LabError(f"the metric {name} is {value!r:.80}; expected a number") from None
