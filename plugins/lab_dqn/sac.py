"""Soft actor-critic for actions that can be counted. K steps of B rows, N environments, A actions."""

import copy
import math

import torch
from torch import Tensor, nn
from torch.nn.functional import mse_loss
from torch.optim import Optimizer

from lab.compute import Compute
from lab.contract import Batch, Experiment, Learner, Metrics
from lab.replay import Replay
from lab.world import World

from .build import discrete, replaying
from .dqn import COLUMNS, td_target
from .others import DiscreteSAC


def soft_value(logits: Tensor, q: Tensor, temperature: Tensor) -> Tensor:
    """The mean of q minus the scaled log-probability, under the policy itself: [B, A] twice -> [B].

    Christodoulou 2019, eq. 10.
    """
    log = logits.log_softmax(-1)
    return (log.exp() * (q - temperature * log)).sum(-1)


def entropy(logits: Tensor) -> Tensor:
    """In nats, [B, A] -> [B]."""
    log = logits.log_softmax(-1)
    return -(log.exp() * log).sum(-1)


class SoftActorCritic(Learner):
    """Christodoulou 2019, algorithm 1: two critics, of which the smaller counts, and a temperature that is learned."""

    saved = ("actor", "critics", "targets", "log_temperature", "optimizers", "rng")

    def __init__(self, actor: nn.Module, critics: nn.ModuleList, log_temperature: Tensor,
                 optimizers: dict[str, Optimizer], target: float, cfg: DiscreteSAC, compute: Compute):
        self.actor, self.critics, self.targets = actor, critics, copy.deepcopy(critics).requires_grad_(False)
        self.log_temperature, self.optimizers, self.cfg, self.compute = log_temperature, optimizers, cfg, compute
        self.rng, self.target = compute.rng("explore"), target           # exploration; the entropy wanted, in nats
        self.learn_critics, self.learn_actor = compute.jit(self.improve_critics), compute.jit(self.improve_actor)
        self.pairs = list(self.targets.parameters()), list(self.critics.parameters())

    def act(self, obs: Tensor, count: int) -> Tensor:
        """From the policy."""
        with torch.inference_mode():
            return torch.multinomial(self.actor(obs).softmax(-1), 1, generator=self.rng)[:, 0]            # [N]

    def greedy(self, obs: Tensor) -> Tensor:
        return self.actor(obs).argmax(-1)                                                   # [N]

    def update(self, batch: Batch) -> Metrics:
        """K gradient steps of all three on a batch [K, B, ...]."""
        found = list[tuple[Tensor, ...]]()
        for rows in zip(*(batch[name] for name in COLUMNS), strict=True):
            temperature = self.log_temperature.detach().exp()
            critic, value, norm = self.learn_critics(*rows, temperature)
            actor, spread = self.learn_actor(rows[0], temperature)
            self.tune(spread)
            torch._foreach_lerp_(*self.pairs, self.cfg.polyak)
            found.append((critic, value, norm, actor, spread))
        critic, value, norm, actor, spread = (torch.stack(column).mean() for column in zip(*found, strict=True))
        return {"loss/critic": critic, "loss/actor": actor, "q/mean": value, "grad/norm": norm,
                "policy/entropy": spread, "policy/temperature": self.log_temperature.detach().exp()}

    def improve_critics(self, obs: Tensor, action: Tensor, reward: Tensor, discount: Tensor, next_obs: Tensor,
                        temperature: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """One step on [B, ...]; returns the loss of both, the mean value and the gradient's norm."""
        with self.compute.autocast():
            with torch.no_grad():
                least = torch.minimum(*(target(next_obs).float() for target in self.targets))             # [B, A]
                future = soft_value(self.actor(next_obs).float(), least, temperature)                     # [B]
                goal = td_target(reward, discount, future)
            values = [critic(obs).gather(-1, action[:, None])[:, 0].float() for critic in self.critics]   # [B] twice
        loss = torch.stack([mse_loss(value, goal) for value in values]).sum()
        norm = self.compute.minimize(loss, self.optimizers["critics"], self.cfg.max_grad_norm)
        return loss.detach(), torch.stack(values).detach().mean(), norm

    def improve_actor(self, obs: Tensor, temperature: Tensor) -> tuple[Tensor, Tensor]:
        """One step on [B, ...] (eq. 12); returns its loss and the entropy."""
        with self.compute.autocast():
            logits = self.actor(obs).float()                                                # [B, A]
            with torch.no_grad():
                least = torch.minimum(*(critic(obs).float() for critic in self.critics))    # [B, A]
        loss = -soft_value(logits, least, temperature).mean()
        self.compute.minimize(loss, self.optimizers["actor"], self.cfg.max_grad_norm)
        return loss.detach(), entropy(logits.detach()).mean()

    def tune(self, spread: Tensor) -> None:
        """The temperature rises where the entropy is below its target (eq. 11, of its logarithm)."""
        self.compute.minimize(self.log_temperature * (spread - self.target), self.optimizers["temperature"])


def build(cfg: DiscreteSAC, world: World) -> Experiment:
    envs, compute = world.envs(cfg.num_envs), world.compute
    space, n_actions = envs.observation_space, discrete(world, envs)
    actor, critics = world.net(space, n_actions), nn.ModuleList(world.net(space, n_actions) for _ in range(2))
    log_temperature = torch.tensor(math.log(cfg.temperature), device=compute.device, requires_grad=True)
    parameters = {"critics": critics.parameters(), "actor": actor.parameters(), "temperature": [log_temperature]}
    optimizers = {name: world.optimizer(part) for name, part in parameters.items()}
    target = cfg.entropy_target * math.log(n_actions)
    learner = SoftActorCritic(actor, critics, log_temperature, optimizers, target, cfg, compute)
    stream = Replay(envs, learner.act, *replaying(cfg, world, envs), compute.rng("replay"))
    return Experiment(learner, stream, policy=learner.greedy)
