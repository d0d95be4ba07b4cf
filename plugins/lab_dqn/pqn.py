"""Q-learning without a replay or a target network. T steps, N environments, M rows of a minibatch, A actions."""

import torch
from torch import Tensor, nn
from torch.nn.functional import mse_loss

from lab.compute import Compute
from lab.contract import Batch, Experiment, Metrics
from lab.rollouts import Rollouts, lambda_return
from lab.streams import observation_bytes
from lab.world import World

from .build import discrete
from .dqn import EpsilonGreedy
from .others import PQN


class Parallel(EpsilonGreedy):
    """Gallici et al. 2024, algorithm 1."""

    saved = ("q", "optimizer", "coins", "order")

    def __init__(self, q: nn.Module, n_actions: int, optimizer: torch.optim.Optimizer, cfg: PQN, compute: Compute):
        super().__init__(q, n_actions, cfg, compute)
        self.rollout, self.optimizer, self.compute = cfg, optimizer, compute
        self.order = compute.rng("minibatches")
        self.learn = compute.jit(self.improve)

    def update(self, batch: Batch) -> Metrics:
        """Epochs of minibatches over a rollout [T, N, ...], towards returns worked out once."""
        obs, action, goal = (rows.flatten(0, 1) for rows in (batch["obs"], batch["action"], self.goals(batch)))
        found = list[tuple[Tensor, Tensor, Tensor]]()
        for _ in range(self.rollout.epochs):
            order = torch.randperm(len(obs), generator=self.order, device=obs.device)       # [T * N]
            found += [self.learn(obs[rows], action[rows], goal[rows]) for rows in order.split(self.rollout.batch_size)]
        loss, value, norm = (torch.stack(column).mean() for column in zip(*found, strict=True))
        return {"loss/td": loss, "q/mean": value, "grad/norm": norm}

    @torch.no_grad()
    def goals(self, batch: Batch) -> Tensor:
        """[T, N] (eq. 9, after Peng & Williams 1996)."""
        with self.compute.autocast():
            next_value = self.q(batch["next_obs"].flatten(0, 1)).amax(-1).float().view_as(batch["reward"])
        cfg = self.rollout
        return lambda_return(batch["reward"], next_value, batch["terminal"], batch["done"], cfg.discount, cfg.decay)

    def improve(self, obs: Tensor, action: Tensor, goal: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """One gradient step on [M, ...]; returns loss, mean value and gradient norm."""
        with self.compute.autocast():
            value = self.q(obs).gather(-1, action[:, None])[:, 0].float()                   # [M]
        loss = mse_loss(value, goal)
        norm = self.compute.minimize(loss, self.optimizer, self.rollout.max_grad_norm)
        return loss.detach(), value.detach().mean(), norm


def build(cfg: PQN, world: World) -> Experiment:
    envs = world.envs(cfg.num_envs)
    n_actions = discrete(world, envs)
    rows = cfg.num_envs * cfg.rollout_steps
    world.must_fit("agent.num_envs * agent.rollout_steps", rows, 2 * observation_bytes(envs))
    q = world.net(envs.observation_space, n_actions)
    learner = Parallel(q, n_actions, world.optimizer(q.parameters()), cfg, world.compute)
    return Experiment(learner, Rollouts(envs, learner.act, cfg.rollout_steps), policy=learner.greedy)
