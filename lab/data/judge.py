"""How good a network is on a split. N examples, K outputs."""

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor

from .loaded import Data
from .network import Network

Measure = Callable[[Tensor, Tensor], Mapping[str, Any]]       # (outputs [N, K], targets [N, ...]) -> metrics


def outputs(net: Network, data: Data, split: str) -> tuple[Tensor, Tensor]:
    """Of a whole split, in its order: outputs [N, K], targets [N, ...]; the runner has put it in evaluation mode."""
    found = list[tuple[Tensor, Tensor]]()
    with torch.no_grad():
        for batch in data.batches(split):
            with data.compute.autocast():
                out = net(batch["x"], batch.get("length"))
            found.append((out.float(), batch["y"]))
    outs, targets = zip(*found, strict=True)
    return torch.cat(outs), torch.cat(targets)


class Judge:
    """An evaluator: `measure` of the network that `net` returns, on a split; `prefix` before each name."""

    def __init__(self, net: Callable[[], Network], data: Data, split: str, measure: Measure, prefix: str = ""):
        self.net, self.data, self.split, self.measure, self.prefix = net, data, split, measure, prefix

    def __call__(self) -> Mapping[str, Any]:
        found = self.measure(*outputs(self.net(), self.data, self.split))
        return {f"{self.prefix}{name}": value for name, value in found.items()}
