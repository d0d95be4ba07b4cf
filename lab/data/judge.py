"""How good a network is on a split. N examples, K outputs."""

from collections.abc import Callable, Iterable, Mapping
from itertools import islice
from typing import Any

import torch
from torch import Tensor

from ..compute import Compute
from ..contract import Batch
from ..modules import evaluating
from .loaded import Data
from .network import Network, told

Measure = Callable[[Tensor, Tensor], Mapping[str, Any]]       # (outputs [N, K], targets [N, ...]) -> metrics


def outputs(net: Network, compute: Compute, batches: Iterable[Batch]) -> tuple[Tensor, Tensor]:
    """In their order: outputs [N, K], targets [N, ...]; the runner has put it in evaluation mode."""
    found = list[tuple[Tensor, Tensor]]()
    with torch.no_grad():
        for batch in batches:
            with compute.autocast():
                out = net(batch["x"], batch.get("length"))
            found.append((out, batch["y"]))
    outs, targets = zip(*found, strict=True)
    return told(torch.cat(outs)), torch.cat(targets)


class Judge:
    """An evaluator: `measure` of the network that `net` returns, on a split; `prefix` before each name."""

    def __init__(self, net: Callable[[], Network], data: Data, split: str, measure: Measure, prefix: str = ""):
        self.net, self.data, self.split, self.measure, self.prefix = net, data, split, measure, prefix

    def __call__(self) -> Mapping[str, Any]:
        return self.of(self.data.batches(self.split))

    def of(self, batches: Iterable[Batch]) -> Mapping[str, Any]:
        found = self.measure(*outputs(self.net(), self.data.compute, batches))
        return {f"{self.prefix}{name}": value for name, value in found.items()}

    def names(self) -> list[str]:
        """Of what it will find, by a first batch."""
        with evaluating([self.net()]):
            return list(self.of(islice(self.data.batches(self.split), 1)))
