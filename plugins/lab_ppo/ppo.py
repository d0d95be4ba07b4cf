"""Proximal policy optimisation. T steps, N environments, B = T * N rows, M rows of a minibatch."""

from collections.abc import Iterator

import torch
from torch import Tensor
from torch.nn.functional import mse_loss

from lab.compute import Compute
from lab.contract import Batch, Experiment, Learner, Metrics
from lab.errors import UsageError
from lab.nn import width
from lab.rollouts import Rollouts
from lab.schedules import linear
from lab.streams import observation_bytes
from lab.world import World

from .actor_critic import ActorCritic
from .distributions import distribution_for
from .maths import approximate_kl, clipped_surrogate, clipped_value_loss, explained_variance, gae
from .plugin import PPO

Rows = tuple[Tensor, Tensor, Tensor]      # obs, action, and columns: old log-probability and value, advantage, return


class Proximal(Learner):
    """Schulman et al. 2017, with the advantages of Schulman et al. 2016."""

    saved = ("net", "optimizer", "steps", "rng", "order")

    def __init__(self, net: ActorCritic, optimizer: torch.optim.Optimizer, cfg: PPO, compute: Compute):
        self.net, self.optimizer, self.cfg, self.compute = net, optimizer, cfg, compute
        self.steps = 0                                                       # environment steps learned from
        self.rng, self.order = compute.rng("explore"), compute.rng("minibatches")
        self.learn = compute.jit(self.improve)

    def act(self, obs: Tensor, count: int) -> Tensor:
        with torch.inference_mode(), self.compute.autocast():
            return self.net.distribution.sample(self.net.actor(obs).float(), self.rng)          # [N, ...]

    def greedy(self, obs: Tensor) -> Tensor:
        with self.compute.autocast():
            return self.net.distribution.mode(self.net.actor(obs).float())                      # [N, ...]

    def update(self, batch: Batch) -> Metrics:
        """Epochs of minibatches over a rollout [T, N, ...]."""
        rows, cfg, steps = self.prepare(batch), self.cfg, list[tuple[Tensor, ...]]()
        clip = self.scheduled(cfg.clip, cfg.clip_final, cfg.clip_decay)
        entropy_coef = self.scheduled(cfg.entropy_coef, cfg.entropy_final, cfg.entropy_decay)
        for _ in range(cfg.epochs):
            steps += [self.learn(*minibatch, clip, entropy_coef) for minibatch in self.shuffled(rows)]
            if cfg.target_kl is not None and self.review(rows, clip)["policy/kl"].item() > cfg.target_kl:
                break
        self.steps += len(rows[0])
        value_loss, surrogate, norm = (torch.stack(column).mean() for column in zip(*steps, strict=True))
        return {"loss/value": value_loss, "loss/policy": -surrogate, "grad/norm": norm, **self.review(rows, clip)}

    @torch.no_grad()
    def prepare(self, batch: Batch) -> Rows:
        """Advantages and returns, and what the policy that acted makes of its rows: it is still the present one."""
        obs, next_obs, action = (batch[name].flatten(0, 1) for name in ("obs", "next_obs", "action"))     # [B, ...]
        with self.compute.autocast():
            (outputs, value), next_value = self.net(obs), self.net.critic(next_obs)             # [B, ...], [B, 1] twice
        log_prob = self.net.distribution.log_prob(outputs.float(), action)                      # [B]
        reward, terminal, done = batch["reward"], batch["terminal"], batch["done"]              # [T, N]
        value, next_value = value.float().view_as(reward), next_value.float().view_as(reward)
        advantage = gae(reward, value, next_value, terminal, done, self.cfg.discount, self.cfg.gae_lambda)
        columns = (log_prob, value.flatten(), advantage.flatten(), (advantage + value).flatten())
        return obs, action, torch.stack(columns, -1)                                            # [B, 4]

    def shuffled(self, rows: Rows) -> Iterator[Rows]:
        """Minibatches of M rows, each row in one of them; where there is one minibatch order makes no difference."""
        if self.cfg.batch_size == len(rows[0]):
            return iter([rows])
        order = torch.randperm(len(rows[0]), generator=self.order, device=rows[0].device)       # [B]
        return zip(*(torch.split(part[order], self.cfg.batch_size) for part in rows), strict=True)

    def improve(self, obs: Tensor, action: Tensor, columns: Tensor, clip: Tensor, entropy_coef: Tensor
                ) -> tuple[Tensor, Tensor, Tensor]:
        """One gradient step on M rows; returns the loss of the values, the surrogate and the gradient's norm."""
        cfg, (before, old, advantage, target) = self.cfg, columns.unbind(-1)                    # each [M]
        with self.compute.autocast():
            outputs, value = self.net(obs)                                                      # [M, outputs], [M, 1]
        outputs, value = outputs.float(), value.float().squeeze(-1)                             # [M, outputs], [M]
        if cfg.normalize_advantage:
            std, mean = torch.std_mean(advantage)
            advantage = (advantage - mean) / (std + 1e-8)
        log_ratio = self.net.distribution.log_prob(outputs, action) - before                    # [M]
        surrogate, value_loss = clipped_surrogate(log_ratio, advantage, clip), self.value_loss(value, old, target)
        loss = cfg.value_coef * value_loss - surrogate
        if cfg.entropy_coef:
            loss = loss - entropy_coef * self.net.distribution.entropy(outputs).mean()
        norm = self.compute.minimize(loss, self.optimizer, cfg.max_grad_norm)
        return value_loss.detach(), surrogate.detach(), norm

    def value_loss(self, value: Tensor, old: Tensor, target: Tensor) -> Tensor:
        if self.cfg.value_clip is None:
            return mse_loss(value, target)
        return clipped_value_loss(value, old, target, self.cfg.value_clip)

    @torch.no_grad()
    def review(self, rows: Rows, clip: Tensor) -> Metrics:
        """How far the update has moved the policy by now, and how good the values were before it."""
        (obs, action, columns), distribution = rows, self.net.distribution
        before, value, _, target = columns.unbind(-1)                                           # each [B]
        with self.compute.autocast():
            outputs = self.net.actor(obs)                                                       # [B, outputs]
        log_ratio = distribution.log_prob(outputs.float(), action) - before                     # [B]
        outside = (log_ratio.exp() - 1).abs() > clip                                            # [B]
        return {"policy/kl": approximate_kl(log_ratio), "policy/clip_fraction": outside.float().mean(),
                "policy/entropy": distribution.entropy(outputs.float()).mean(),
                "value/explained_variance": explained_variance(value, target)}

    def scheduled(self, full: float, final: float, decay: int) -> Tensor:
        """From `full` to `full * final` in a straight line over `decay` environment steps; 0: `full` for ever."""
        now = linear(self.steps, full, full * final, decay) if decay else full
        return torch.full((), now, device=self.compute.device)


def build(cfg: PPO, world: World) -> Experiment:
    envs = world.envs(cfg.num_envs)
    space, distribution = envs.observation_space, distribution_for(envs.action_space, cfg.log_std)
    if distribution is None:
        raise UsageError(f"ppo needs a Discrete, MultiDiscrete, MultiBinary or Box action space with floating-point "
                         f"numbers; {envs.id} has {envs.action_space}. Wrap the environment, or choose another")
    row_bytes = 2 * observation_bytes(envs) + 8 * distribution.outputs + 12
    world.must_fit("agent.num_envs * agent.rollout_steps", cfg.num_envs * cfg.rollout_steps, row_bytes)
    shared = len(envs.shape or ()) == 3 if cfg.shared_body is None else cfg.shared_body
    bodies = [world.net(space) for _ in range(1 if shared else 2)]
    net = ActorCritic(distribution, bodies, width(bodies[0], space)).to(world.compute.device)
    learner = Proximal(net, world.optimizer(net.parameters()), cfg, world.compute)
    return Experiment(learner, Rollouts(envs, learner.act, cfg.rollout_steps), policy=learner.greedy)
