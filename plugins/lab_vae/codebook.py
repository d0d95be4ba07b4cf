"""Vectors that stand for others. M vectors of D numbers, a book of K of them (van den Oord et al. 2017)."""

import torch
from torch import Tensor, nn
from torch.nn.functional import one_hot

SMOOTH = 1e-5                     # added to the use of each vector, so that none is divided by 0


class Codebook(nn.Module):
    """Each of K vectors is the running mean of those that it stands for (appendix A.1)."""

    vectors: Tensor               # [K, D]
    use: Tensor                   # [K], vectors per update that each stands for, a running mean; revived: a share
    sums: Tensor                  # [K, D], of what each stands for
    chosen: Tensor                # [K], the same without what was revived

    def __init__(self, size: int, width: int):
        super().__init__()
        self.register_buffer("vectors", torch.randn(size, width))
        self.register_buffer("use", torch.zeros(size))
        self.register_buffer("sums", torch.zeros(size, width))
        self.register_buffer("chosen", torch.zeros(size))

    def nearest(self, x: Tensor) -> Tensor:
        """The places [M] of the vectors nearest to x [M, D]."""
        return (self.vectors.square().sum(-1) - 2 * x @ self.vectors.T).argmin(-1)

    @torch.no_grad()
    def follow(self, x: Tensor, places: Tensor, decay: float, revive: float, rng: torch.Generator) -> None:
        """Move a step towards x [M, D], for which the vectors at `places` [M] stand.

        One that stands for less than `revive` of its share begins anew at one of x (Dhariwal et al. 2020, section 3.1);
        at first that is each but those that stand for many.
        """
        share = len(x) / len(self.use)
        chosen = one_hot(places, len(self.use)).to(x.dtype)                                 # [M, K]
        self.chosen.lerp_(chosen.sum(0), 1 - decay)
        self.use.lerp_(chosen.sum(0), 1 - decay)
        self.sums.lerp_(chosen.T @ x, 1 - decay)
        new = x[torch.randint(len(x), (len(self.use),), generator=rng, device=x.device)]    # [K, D]
        idle = self.use < revive * share
        self.use.copy_(torch.where(idle, share, self.use))
        self.sums.copy_(torch.where(idle[:, None], share * new, self.sums))
        total = self.use.sum()
        smoothed = (self.use + SMOOTH) / (total + len(self.use) * SMOOTH) * total
        self.vectors.copy_(self.sums / smoothed[:, None])


def perplexity(use: Tensor) -> Tensor:
    """Of the shares of a book's vectors [K], from 1, where one does all, to K, where all do the same: 0-d."""
    shares = use / use.sum()
    entropy: Tensor = torch.special.entr(shares).sum()
    return entropy.exp()
