"""Deep Q-learning with a target network, and what combines with it. K steps of B rows, N environments, A actions."""

import copy
from collections.abc import Callable
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import smooth_l1_loss

from lab.compute import Compute
from lab.contract import Batch, Learner, Metrics
from lab.schedules import linear
from lab.state import Saved

from .configs import DQN, Exploring
from .heads import chances
from .maths import soft_policy

LONGEST = 100                     # steps for which an action is held at most
COLUMNS = ("obs", "action", "reward", "discount", "next_obs")
Report = Callable[[Tensor, Tensor], None]         # (leaf [K, B], error [K, B])


def td_target(reward: Tensor, discount: Tensor, next_value: Tensor) -> Tensor:
    """The return in reward units (Mnih et al. 2015, algorithm 1); all tensors have one shape.

    `discount` is 0 after a terminal state, which has no future; a truncated episode is not terminal.
    """
    return reward + discount * next_value


class Coins(Saved):
    """Each environment tosses a coin of its own at every step, on the host.

    With `epsilon_zeta` a random action is held for n steps with a probability in proportion to n ** -epsilon_zeta
    (Dabney et al. 2021, arXiv:2006.01782, section 4), also where the next episode has begun.
    """

    saved: ClassVar[tuple[str, ...]] = ("rng", "held", "left")

    def __init__(self, n_actions: int, cfg: Exploring, compute: Compute):
        self.n_actions, self.cfg, self.rng = n_actions, cfg, compute.host_rng("explore")
        self.held = self.left = np.zeros(cfg.num_envs, np.int64)          # [N] an action, and the steps left of it

    def mixed(self, best: Any, count: int) -> Any:
        """`best` [N], an array or a tensor, with random actions where a coin says so."""
        cfg, coin, done = self.cfg, self.rng.random((2, len(best))), min(count / self.cfg.epsilon_steps, 1.0)
        explores = coin[0] < cfg.epsilon_start + (cfg.epsilon_end - cfg.epsilon_start) * done           # [N]
        if cfg.epsilon_zeta:
            explores, action = self.holding(explores, (coin[1] * self.n_actions).astype(np.int64))
        elif np.count_nonzero(explores):
            action = (coin[1] * self.n_actions).astype(np.int64)
        else:
            return best
        return np.where(explores, action, torch.as_tensor(best).numpy(force=True))

    def holding(self, explores: np.ndarray, action: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Which environments [N] act at random, and how: those that `explores` take `action`, unless they hold one."""
        begins = explores & (self.left == 0)
        lengths = np.minimum(self.rng.zipf(self.cfg.epsilon_zeta, len(begins)), LONGEST)
        self.held, left = np.where(begins, action, self.held), np.where(begins, lengths, self.left)
        self.left = np.maximum(left - 1, 0)
        return left > 0, self.held

    def logged(self, count: int) -> dict[str, float]:
        """Epsilon; nothing where only noise explores."""
        cfg = self.cfg
        if not max(cfg.epsilon_start, cfg.epsilon_end):
            return {}
        return {"explore/epsilon": linear(count, cfg.epsilon_start, cfg.epsilon_end, cfg.epsilon_steps)}


class EpsilonGreedy(Learner):
    """Each environment has a coin of its own and, in a noisy network, noise of its own."""

    def __init__(self, q: nn.Module, n_actions: int, cfg: Exploring, compute: Compute):
        self.q, self.n_actions, self.coins = q, n_actions, Coins(n_actions, cfg, compute)
        self.acting, self.rng, self.answer = list(chances(q)), compute.rng("noise"), compute.quick(q)

    def act(self, obs: Tensor, count: int) -> Tensor:
        for chance in self.acting:
            chance.draw(self.rng, len(obs), noises=len(obs))
        return torch.as_tensor(self.coins.mixed(self.answer(obs).argmax(-1), count), device=obs.device)           # [N]

    def logged(self, count: int) -> dict[str, float]:
        return self.coins.logged(count)

    def greedy(self, obs: Tensor) -> Tensor:
        for chance in self.acting:
            chance.calm()
        return self.q(obs).argmax(-1)                                                       # [N]


class DeepQ(EpsilonGreedy):
    """Mnih et al. 2015, with the Huber loss, divided by its delta, in place of the clipped error.

    Far from its target a value follows the median of the returns, near it the mean: a delta of 1 forgets rare failures.
    """

    saved = ("q", "target", "optimizer", "steps", "coins", "rng")

    def __init__(self, q: nn.Module, n_actions: int, optimizer: torch.optim.Optimizer, cfg: DQN, compute: Compute):
        super().__init__(q, n_actions, cfg, compute)
        self.cfg, self.compute, self.optimizer, self.target = cfg, compute, optimizer, copy.deepcopy(q)
        self.target.requires_grad_(False)
        self.steps = 0                                       # gradient steps taken
        self.learning = [*self.acting, *chances(self.target)]
        self.report: Report | None = None                    # where a prioritised replay takes its errors
        self.learn = compute.jit(self.improve)

    def update(self, batch: Batch) -> Metrics:
        """K gradient steps on a batch [K, B, ...] towards one target network."""
        columns, found = [batch[name].unbind() for name in COLUMNS], list[tuple[Tensor, ...]]()
        weights = batch["weight"].unbind() if "weight" in batch else (None,) * len(columns[0])
        for *rows, weight in zip(*columns, weights, strict=True):
            for chance in self.learning:
                chance.draw(self.rng, len(rows[0]), noises=1)
            found.append(self.learn(*rows, weight))
        before, self.steps = self.steps, self.steps + len(found)
        if before // self.cfg.target_every != self.steps // self.cfg.target_every:
            self.target.load_state_dict(self.q.state_dict())
        *numbers, errors = zip(*found, strict=True)
        if self.report is not None:
            self.report(batch["leaf"], torch.stack(errors))
        loss, value, norm = (each[0] if len(each) == 1 else torch.stack(each).mean() for each in numbers)
        return {"loss/td": loss, "q/mean": value, "grad/norm": norm}

    def improve(self, obs: Tensor, action: Tensor, reward: Tensor, discount: Tensor, next_obs: Tensor,
                weight: Tensor | None) -> tuple[Tensor, ...]:
        """One gradient step on [B, ...]; returns loss, mean value, gradient norm and the errors [B]."""
        with self.compute.autocast():
            goal = self.goal(obs, action, reward, discount, next_obs)                       # [B, ...]
            losses, error, value = self.losses(obs, action, goal)                           # [B]
        loss = losses.mean() if weight is None else (weight * losses).mean()
        norm = self.compute.minimize(loss, self.optimizer, self.cfg.max_grad_norm)
        return loss.detach(), value.mean(), norm, error

    def losses(self, obs: Tensor, action: Tensor, goal: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Of every row [B]: its loss, the error by which it is drawn again, and the value of its action."""
        value = self.q(obs).gather(-1, action[:, None])[:, 0].float()                       # [B]
        loss = smooth_l1_loss(value, goal, reduction="none", beta=self.cfg.huber_delta)
        return loss, (goal - value).detach().abs(), value.detach()

    @torch.no_grad()
    def goal(self, obs: Tensor, action: Tensor, reward: Tensor, discount: Tensor, next_obs: Tensor) -> Tensor:
        """[B]; with `double` the network chooses and its target judges (van Hasselt et al. 2016, eq. 4)."""
        next_q = self.target(next_obs).float()                                              # [B, A]
        if self.cfg.munchausen:
            policy, reward = self.munchausen(next_q, obs, action, reward, discount)
            return td_target(reward, discount, (policy * next_q).sum(-1))
        best = (self.q(next_obs) if self.cfg.double else next_q).argmax(-1, keepdim=True)   # [B, 1]
        return td_target(reward, discount, next_q.gather(-1, best)[:, 0])

    def munchausen(self, next_q: Tensor, obs: Tensor, action: Tensor, reward: Tensor, discount: Tensor
                   ) -> tuple[Tensor, Tensor]:
        """The next policy [B, A], and the reward [B] with the log-policy of the action and the entropy of the next.

        Vieillard et al. 2020, eq. 2; of n steps the first alone has the bonus.
        """
        policy, next_log = soft_policy(next_q, self.cfg.temperature)                        # [B, A]
        _, log = soft_policy(self.target(obs).float(), self.cfg.temperature)                # [B, A]
        bonus = log.gather(-1, action[:, None])[:, 0].clamp(min=-1)                         # [B]
        return policy, reward + self.cfg.munchausen * bonus - discount * (policy * next_log).sum(-1)
