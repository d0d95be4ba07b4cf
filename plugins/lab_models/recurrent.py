"""Recurrent networks over sequences. B batch, T steps, F numbers of each, H units."""

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from .plugin import GRU, LSTM, RNN, Recurrent

KINDS = {"rnn": nn.RNN, "lstm": nn.LSTM, "gru": nn.GRU}


class Reader(nn.Module):
    """[B, T, F] and lengths [B], or None where all have T, to [B, outputs]; without a last layer to the features."""

    def __init__(self, cells: nn.RNNBase, output: str, last: nn.Module):
        super().__init__()
        self.cells, self.output, self.last = cells, output, last

    def forward(self, x: Tensor, length: Tensor | None = None) -> Tensor:
        if length is None:
            steps, state = self.cells(x)                                        # [B, T, D H], [L D, B, H]
        else:
            packed = pack_padded_sequence(x, length.cpu(), batch_first=True, enforce_sorted=False)
            steps, state = self.cells(packed)
            steps, _ = pad_packed_sequence(steps, batch_first=True)             # [B, T, D H]
        out: Tensor = self.last(self.pooled(steps, state, length))
        return out

    def pooled(self, steps: Tensor, state: Tensor | tuple[Tensor, Tensor], length: Tensor | None) -> Tensor:
        """[B, D H], D directions of reading."""
        if self.output == "last":
            hidden = state[0] if isinstance(state, tuple) else state
            ends = 2 if self.cells.bidirectional else 1
            return hidden[-ends:].movedim(0, 1).flatten(1)
        if length is None:
            return steps.mean(1) if self.output == "mean" else steps.amax(1)
        inside = (torch.arange(steps.shape[1], device=steps.device) < length[:, None])[:, :, None]          # [B, T, 1]
        if self.output == "max":
            return steps.masked_fill(~inside, -torch.inf).amax(1)
        return steps.masked_fill(~inside, 0).sum(1) / length[:, None]


def build(cfg: Recurrent, shape: tuple[int, int], outputs: int | None = None) -> Reader:
    """Role "sequence", for sequences of `shape` [T, F]."""
    between = cfg.dropout if cfg.layers > 1 else 0.0
    more = {"nonlinearity": cfg.activation} if isinstance(cfg, RNN) else {}
    cells = KINDS[cfg.name](shape[1], cfg.units, cfg.layers, batch_first=True, dropout=between,
                            bidirectional=cfg.bidirectional, **more)
    if isinstance(cfg, LSTM):
        remember(cells, cfg.forget_bias, gates=4)
    if isinstance(cfg, GRU) and cfg.update_bias:
        remember(cells, cfg.update_bias, gates=3)
    features = cfg.units * (2 if cfg.bidirectional else 1)
    normed = [nn.LayerNorm(features)] if cfg.output_norm == "layer" else []
    dropped = [nn.Dropout(cfg.dropout)] if cfg.dropout else []
    last = [] if outputs is None else [*dropped, nn.Linear(features, outputs)]
    return Reader(cells, cfg.output, nn.Sequential(*normed, *last))


@torch.no_grad()
def remember(cells: nn.RNNBase, bias: float, gates: int) -> None:
    """Set the bias of the gate by which the state is kept, which torch has twice: the second part of each vector."""
    for name, value in cells.named_parameters():
        if name.startswith("bias_"):
            value.view(gates, -1)[1] = bias if name.startswith("bias_ih") else 0
