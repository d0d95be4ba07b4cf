"""Examples on the scale of networks that make them. B examples."""

from torch import Tensor, nn

from .prepare import Front, back, bright


class Scaled(nn.Module):
    """As the data has them [B, ...] to pixels from -1 to 1, and what is not a picture to what `front` makes of it."""

    def __init__(self, front: Front, kind: str):
        super().__init__()
        self.front = None if kind == "picture" else front

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = 2 * bright(x) - 1 if self.front is None else self.front(x)
        return out

    def back(self, x: Tensor) -> Tensor:
        """As the data has them again, pixels from 0 to 1."""
        return (x + 1) / 2 if self.front is None else back(self.front, x)
