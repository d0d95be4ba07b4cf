"""A network that says something of each example. B examples, K outputs."""

from collections.abc import Callable, Mapping

from torch import Tensor
from torch.optim import Optimizer

from lab.compute import Compute
from lab.config import OneLossConfig
from lab.contract import Batch
from lab.data.network import Network, single
from lab.one_loss import OneLoss

Loss = Callable[[Tensor, Tensor], Tensor]                     # (outputs [B, K], targets [B, ...]) -> their mean, 0-d
Mass = Callable[[Tensor], Tensor | int]                       # targets [B, ...] -> how much they count in that mean
Look = Callable[[Tensor, Tensor], Mapping[str, Tensor]]       # the same -> what else to log of a batch, 0-d each


class Predictor(OneLoss):
    """Steps down the mean loss of what it predicts."""

    net: Network
    judged: Network

    def __init__(self, net: Network, loss: Loss, look: Look, optimizer: Optimizer, cfg: OneLossConfig,
                 compute: Compute, mass: Mass = len):
        self.error, self.look, self.weigh = loss, look, mass
        super().__init__(net, optimizer, cfg, compute)

    def loss(self, batch: Batch) -> tuple[Tensor, Mapping[str, Tensor]]:
        with self.compute.autocast():
            out = self.net(batch["x"], batch.get("length"))
        out = single(out)                                     # [B, K]
        return self.error(out, batch["y"]), self.look(out.detach(), batch["y"])

    def mass(self, batch: Batch) -> Tensor | int:
        return self.weigh(batch["y"])
