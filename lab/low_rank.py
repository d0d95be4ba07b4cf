"""Changes of matrices that are learned in place of the matrices: model.lora (Hu et al. 2022)."""

from collections.abc import Mapping

from torch import Tensor, nn

from .errors import UsageError

SCALE = 2                         # alpha / rank
NEW = "head"                      # the part that is made anew, and learned whole


def is_new(name: str) -> bool:
    return NEW in name.split(".")


class LowRank(nn.Module):
    """A linear layer that stays as it is, and a change of low rank that is learned: W x + 2 B A x (Hu et al. 2022)."""

    def __init__(self, layer: nn.Linear, rank: int):
        super().__init__()
        self.layer = layer
        self.down = nn.Linear(layer.in_features, rank, bias=False)
        self.up = nn.Linear(rank, layer.out_features, bias=False)
        nn.init.zeros_(self.up.weight)

    @property
    def weight(self) -> Tensor:
        return self.layer.weight

    def forward(self, x: Tensor) -> Tensor:
        found: Tensor = self.layer(x) + SCALE * self.up(self.down(x))
        return found


def low_rank(net: nn.Module, rank: int) -> None:
    """Learn such changes of all linear layers but the last one, and that itself unless it is tied to the embedding.

    A layer of which the changes would have as many numbers as it has itself is learned whole. Raises UsageError where
    all are so small.
    """
    for name, part in net.named_modules():
        if not is_new(name):
            for p in part.parameters(recurse=False):
                p.requires_grad_(False)
    layers = [(part, key, layer) for name, part in net.named_modules() for key, layer in part.named_children()
              if isinstance(layer, nn.Linear) and not is_new(f"{name}.{key}")]
    large = [rank * sum(layer.weight.shape) < layer.weight.numel() for _, _, layer in layers]
    if not any(large):
        raise UsageError(f"model.lora={rank}: no matrix of this network has more numbers than its changes would have; "
                         "use a smaller rank, such as 8, or a wider network")
    for (part, key, layer), saves in zip(layers, large, strict=True):
        if saves:
            setattr(part, key, LowRank(layer, rank).to(layer.weight.device))
        else:
            layer.requires_grad_(True)


def merged(found: Mapping[str, Tensor]) -> Mapping[str, Tensor]:
    """What a run with model.lora has learned, as matrices."""
    layers = [name.removesuffix(".layer.weight") for name in found if name.endswith(".layer.weight")]
    whole = {name: value for name, value in found.items() if name.rpartition(".")[0].rpartition(".")[0] not in layers}
    for name in layers:
        whole[f"{name}.weight"] = found[f"{name}.layer.weight"] + SCALE * found[f"{name}.up.weight"] @ found[
            f"{name}.down.weight"]
        if f"{name}.layer.bias" in found:
            whole[f"{name}.bias"] = found[f"{name}.layer.bias"]
    return whole
