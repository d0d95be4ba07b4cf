"""Deep Q-learning with a target network. K gradient steps, B batch, N environments, A actions."""

import copy
import math

import numpy as np
import torch
from gymnasium.spaces import Discrete
from torch import Tensor, nn
from torch.nn.functional import smooth_l1_loss

from lab.compute import Compute
from lab.contract import Batch, Experiment, Learner, Metrics
from lab.envs import Envs
from lab.errors import UsageError
from lab.streams import Replay, Ring, Sampling
from lab.world import World

from .plugin import DQN


def td_target(reward: Tensor, discount: Tensor, next_value: Tensor) -> Tensor:
    """The return in reward units (Mnih et al. 2015, algorithm 1); all tensors have one shape.

    `discount` is 0 after a terminal state, which has no future; a truncated episode is not terminal.
    """
    return reward + discount * next_value


class DeepQ(Learner):
    """Mnih et al. 2015, with the Huber loss, divided by its delta, in place of the clipped error.

    Far from its target a value follows the median of the returns, near it the mean: a delta of 1 forgets rare failures.
    """

    saved = ("q", "target", "optimizer", "steps", "rng")

    def __init__(self, q: nn.Module, n_actions: int, optimizer: torch.optim.Optimizer, cfg: DQN, compute: Compute):
        self.cfg, self.compute, self.n_actions, self.optimizer = cfg, compute, n_actions, optimizer
        self.q, self.target = q, copy.deepcopy(q).requires_grad_(False)
        self.steps, self.rng = 0, compute.rng("explore")     # gradient steps taken; exploration
        self.learn = compute.jit(self.improve)

    def greedy(self, obs: Tensor) -> Tensor:
        return self.q(obs).argmax(-1)                                                       # [N]

    def act(self, obs: Tensor, count: int) -> Tensor:
        """Epsilon-greedy, each environment with its own coin."""
        cfg, done = self.cfg, min(count / self.cfg.epsilon_steps, 1.0)
        epsilon = cfg.epsilon_start + (cfg.epsilon_end - cfg.epsilon_start) * done
        uniform = torch.randint(self.n_actions, obs.shape[:1], generator=self.rng, device=obs.device)         # [N]
        explore = torch.rand(obs.shape[:1], generator=self.rng, device=obs.device) < epsilon                  # [N]
        with torch.inference_mode():
            return torch.where(explore, uniform, self.q(obs).argmax(-1))                    # [N]

    def update(self, batch: Batch) -> Metrics:
        """K gradient steps on a batch [K, B, ...] towards one target network."""
        goals = self.goals(batch)                                                           # [K, B]
        rows = list(map(self.learn, batch["obs"], batch["action"], goals))                  # K of (loss, value, norm)
        before, self.steps = self.steps, self.steps + len(rows)
        if before // self.cfg.target_every != self.steps // self.cfg.target_every:
            self.target.load_state_dict(self.q.state_dict())
        loss, value, norm = map(torch.mean, map(torch.stack, zip(*rows, strict=True)))
        return {"loss/td": loss, "q/mean": value, "grad/norm": norm}

    @torch.no_grad()
    def goals(self, batch: Batch) -> Tensor:
        with self.compute.autocast():
            future = self.target(batch["next_obs"].flatten(0, 1)).amax(-1)                  # [K * B]
        future = future.float().view_as(batch["reward"])                                    # [K, B]
        return td_target(batch["reward"], batch["discount"], future)

    def improve(self, obs: Tensor, action: Tensor, goal: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """One gradient step on [B, ...]; returns loss, mean value and gradient norm."""
        with self.compute.autocast():
            q = self.q(obs).gather(-1, action[:, None])[:, 0].float()                       # [B]
        loss = smooth_l1_loss(q, goal, beta=self.cfg.huber_delta)
        norm = self.compute.minimize(loss, self.optimizer, self.cfg.max_grad_norm)
        return loss.detach(), q.detach().mean(), norm


def row_bytes(envs: Envs) -> int:
    """Of one transition in the buffer: obs, next_obs, an action of 8 bytes and three numbers of 4."""
    return 2 * math.prod(envs.shape or ()) * np.dtype(envs.dtype).itemsize + 20


def build(cfg: DQN, world: World) -> Experiment:
    envs = world.envs(cfg.num_envs)
    if not isinstance(envs.action_space, Discrete):
        raise UsageError(f"dqn needs a Discrete action space; {envs.id} has {envs.action_space}. "
                         "Choose an environment with discrete actions, such as env=CartPole")
    world.must_fit("agent.buffer_size", cfg.buffer_size, row_bytes(envs))
    n_actions = int(envs.action_space.n)
    q = world.net(envs.observation_space, n_actions)
    learner = DeepQ(q, n_actions, world.optimizer(q.parameters()), cfg, world.compute)
    ring = Ring(cfg.buffer_size, world.compute.device)
    sampling = Sampling(cfg.train_every, cfg.warmup, (cfg.gradient_steps, cfg.batch_size), cfg.n_steps, cfg.discount)
    stream = Replay(envs, learner.act, ring, sampling, world.compute.rng("replay"))
    return Experiment(learner, stream, policy=learner.greedy)
