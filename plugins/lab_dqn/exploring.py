"""How a value learner acts. N environments, A actions."""

import torch
from torch import Generator, Tensor, nn

from lab.contract import Learner

from .configs import Exploring
from .heads import chances


class EpsilonGreedy(Learner):
    """Each environment has a coin of its own and, in a noisy network, noise of its own."""

    def __init__(self, q: nn.Module, n_actions: int, cfg: Exploring, rng: Generator):
        self.q, self.n_actions, self.exploring, self.rng = q, n_actions, cfg, rng
        self.acting = list(chances(q))

    def act(self, obs: Tensor, count: int) -> Tensor:
        cfg, done = self.exploring, min(count / self.exploring.epsilon_steps, 1.0)
        epsilon = cfg.epsilon_start + (cfg.epsilon_end - cfg.epsilon_start) * done
        uniform = torch.randint(self.n_actions, obs.shape[:1], generator=self.rng, device=obs.device)         # [N]
        explore = torch.rand(obs.shape[:1], generator=self.rng, device=obs.device) < epsilon                  # [N]
        for chance in self.acting:
            chance.draw(self.rng, len(obs), noises=len(obs))
        with torch.inference_mode():
            return torch.where(explore, uniform, self.q(obs).argmax(-1))                    # [N]

    def greedy(self, obs: Tensor) -> Tensor:
        for chance in self.acting:
            chance.calm()
        return self.q(obs).argmax(-1)                                                       # [N]
