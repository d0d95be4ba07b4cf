"""Deep Q-learning of the whole distribution of returns. B rows, F features, A actions, Z atoms or N samples of each."""

import math
from abc import ABC, abstractmethod

import torch
from torch import Generator, Tensor, nn

from .configs import IQN, QRDQN
from .dqn import DeepQ
from .heads import Chance
from .maths import project, quantile_huber, taken


class Distribution(nn.Module, ABC):
    """[B, ...] -> [B, A], the expected return of each action; `net` says more of each."""

    def __init__(self, net: nn.Module):
        super().__init__()
        self.net = net

    def forward(self, obs: Tensor) -> Tensor:
        return self.mean(self.net(obs).float())

    @abstractmethod
    def mean(self, out: Tensor) -> Tensor:
        """Of what `net` says [..., Z]: [...]."""

    def spread(self, out: Tensor) -> Tensor:
        """What may be averaged over actions, of what `net` says: [..., Z]."""
        return out


class Atoms(Distribution):
    """Logits of Z returns that are fixed."""

    support: Tensor

    def __init__(self, net: nn.Module, v_min: float, v_max: float, atoms: int):
        super().__init__(net)
        self.register_buffer("support", torch.linspace(v_min, v_max, atoms), persistent=False)

    def mean(self, out: Tensor) -> Tensor:
        return (out.softmax(-1) * self.support).sum(-1)       # not a product of matrices, which bf16 would round

    def spread(self, out: Tensor) -> Tensor:
        return out.softmax(-1)


class Fractions(Distribution):
    """The returns at the middles of Z equal parts of the distribution."""

    def mean(self, out: Tensor) -> Tensor:
        return out.mean(-1)

    def taus(self, out: Tensor) -> Tensor:
        """The fractions that `out` [B, Z] stands at: [B or 1, Z]."""
        return ((torch.arange(out.shape[-1], device=out.device) + 0.5) / out.shape[-1])[None]


class Implicit(Chance):
    """Returns at fractions drawn anew for every row (Dabney et al. 2018b, eq. 4): [B, F] -> [B, A, N].

    `head` maps [B, N, F] to [B, N, A].
    """

    waves: Tensor

    def __init__(self, features: int, head: nn.Module, samples: int, cosines: int = 64):
        super().__init__()
        self.embed, self.head, self.samples = nn.Linear(cosines, features), head, samples
        self.register_buffer("waves", math.pi * torch.arange(cosines), persistent=False)
        self.calm()

    def draw(self, rng: Generator, rows: int, noises: int) -> None:
        self.tau = torch.rand(rows, self.samples, generator=rng, device=rng.device)         # [B, N]

    def calm(self) -> None:
        """At the middles of 32 equal parts."""
        self.tau = ((torch.arange(32) + 0.5) / 32)[None]                                    # [1, 32]

    def forward(self, features: Tensor) -> Tensor:
        tau = self.tau.to(features.device)
        phi = self.embed(torch.cos(tau[..., None] * self.waves)).relu()                     # [B, N, F]
        out: Tensor = self.head(features[:, None] * phi)                                    # [B, N, A]
        return out.transpose(1, 2)                                                          # [B, A, N]


class Drawn(Fractions):
    """The returns at the fractions that its last part, `Implicit`, has drawn."""

    def taus(self, out: Tensor) -> Tensor:
        return next(part.tau for part in self.net.modules() if isinstance(part, Implicit))


class Categorical(DeepQ):
    """Bellemare et al. 2017, algorithm 1."""

    q: Atoms
    target: Atoms

    @torch.no_grad()
    def goal(self, obs: Tensor, action: Tensor, reward: Tensor, discount: Tensor, next_obs: Tensor) -> Tensor:
        """[B, Z]"""
        reward, future = ahead(self, obs, action, reward, discount, next_obs)
        support = self.target.support
        return project(support, future, reward[:, None] + discount[:, None] * support)

    def losses(self, obs: Tensor, action: Tensor, goal: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """The Kullback-Leibler divergence, which is the error too (Hessel et al. 2018, section 3)."""
        out = taken(self.q.net(obs).float(), action)                                        # [B, Z]
        divergence = (torch.special.xlogy(goal, goal) - goal * out.log_softmax(-1)).sum(-1)
        return divergence, divergence.detach(), self.q.mean(out.detach())


class Quantiles(DeepQ):
    """Dabney et al. 2018a, algorithm 1; 2018b, algorithm 1, where the fractions are drawn."""

    cfg: QRDQN | IQN
    q: Fractions
    target: Fractions

    @torch.no_grad()
    def goal(self, obs: Tensor, action: Tensor, reward: Tensor, discount: Tensor, next_obs: Tensor) -> Tensor:
        """[B, Z]"""
        reward, future = ahead(self, obs, action, reward, discount, next_obs)
        return reward[:, None] + discount[:, None] * future

    def losses(self, obs: Tensor, action: Tensor, goal: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        out = taken(self.q.net(obs).float(), action)                                        # [B, Z]
        distance = quantile_huber(out, self.q.taus(out), goal, self.cfg.huber_delta)        # [B]
        return distance, distance.detach(), self.q.mean(out.detach())


def ahead(learner: Categorical | Quantiles, obs: Tensor, action: Tensor, reward: Tensor, discount: Tensor,
          next_obs: Tensor) -> tuple[Tensor, Tensor]:
    """The reward [B], with what Munchausen adds to it, and the distribution [B, Z] of what follows."""
    out = learner.target.net(next_obs).float()                                              # [B, A, Z]
    if learner.cfg.munchausen:
        policy, reward = learner.munchausen(learner.target.mean(out), obs, action, reward, discount)
        return reward, (policy[..., None] * learner.target.spread(out)).sum(1)
    chooser = learner.q(next_obs) if learner.cfg.double else learner.target.mean(out)       # [B, A]
    return reward, taken(learner.target.spread(out), chooser.argmax(-1))
