"""How good made examples are, by their features and classes. M made examples, N real ones, F features, K classes."""

import torch
from torch import Tensor

NEIGHBOURS = 5                    # of a real example, up to the furthest of which its surroundings reach
LEAST = 0.1                       # of its real share, from which on a class is made
NEAR, SAME = 0.01, 1e-6           # the share of real pairs that are near; relative distance of what is the same


def frechet(real: Tensor, made: Tensor) -> float:
    """The squared Frechet distance of Gaussians with the means and covariances of features [N, F] and [M, F].

    |m - w|^2 + tr(C + S - 2 (C S)^(1/2)) (Dowson & Landau 1982; Heusel et al. 2017, equation 6). The eigenvalues of C S
    are those of R S R with R = C^(1/2), which is symmetric.
    """
    (mean, cov), (other, spread) = (moments(each.double()) for each in (real, made))
    values, vectors = torch.linalg.eigh(cov)
    root = vectors * values.clamp(min=0).sqrt() @ vectors.T
    shared = torch.linalg.eigvalsh(root @ spread @ root).clamp(min=0).sqrt().sum()
    return float((mean - other).square().sum() + cov.trace() + spread.trace() - 2 * shared)


def moments(x: Tensor) -> tuple[Tensor, Tensor]:
    """Mean [F] and covariance [F, F] of [N, F]."""
    return x.mean(0), torch.cov(x.T).reshape(2 * [x.shape[1]])


def reaches(x: Tensor, k: int = NEIGHBOURS) -> Tensor:
    """The distance [N] of each of [N, F] to the k-th nearest of the others; of the furthest where they are fewer."""
    k = min(k, len(x) - 1)
    return torch.cdist(x, x).kthvalue(k + 1).values           # the nearest is itself


def fidelity(real: Tensor, made: Tensor) -> dict[str, float]:
    """By features [N, F] and [M, F], more than one of each: how much of what is made is like what is real, and how much
    of what is real is made.

    precision, recall       share of made examples in the surroundings of a real one, and the reverse (Kynkaanniemi et
                            al. 2019, equation 2)
    density, coverage       how many surroundings of real examples a made one is in, over k; share of the real ones
                            that have a made one in theirs (Naeem et al. 2020, equations 3 and 4)
    """
    apart = torch.cdist(made, real)                                                         # [M, N]
    inside = apart <= reaches(real)
    found = {"precision": inside.any(1), "recall": (apart <= reaches(made)[:, None]).any(0),
             "density": inside.float().sum(1) / min(NEIGHBOURS, len(real) - 1), "coverage": inside.any(0)}
    return {name: float(value.float().mean()) for name, value in found.items()}


def balance(made: Tensor, real: Tensor, classes: int, least: float = LEAST) -> dict[str, float]:
    """Of classes [M] and [N]: how many of the real ones are made, each more than `least` of its real share, and the KL
    divergence of the shares from the real ones, in nats.

    A class that no real example has counts as half of one there; where nothing is made the divergence is that of
    examples of the rarest class alone.
    """
    counts, real_counts = (torch.bincount(each, minlength=classes).double() for each in (made, real))
    shares, real_shares = counts / max(len(made), 1), real_counts.clamp(min=0.5) / len(real)
    apart = (torch.special.xlogy(shares, shares) - torch.special.xlogy(shares, real_shares)).sum()
    there = (shares > least * real_shares) & (real_counts > 0)
    return {"classes": float(there.sum()), "class_kl": float(apart if len(made) else -real_shares.log().min())}


def duplicates(real: Tensor, made: Tensor) -> float:
    """The share of made examples [M, F] that have another one as near as the nearest hundredth of real ones [N, F] have
    another: about a hundredth where what is made is like what is real. Real ones that are there twice do not count.
    """
    nearest, apart = reaches(made.double(), 1), reaches(real.double(), 1)          # float32 is too coarse for cdist
    apart = apart[apart > SAME * real.double().norm(dim=1)]
    least = apart.quantile(NEAR) if len(apart) else apart.new_zeros(())
    return float((nearest <= least).float().mean())
