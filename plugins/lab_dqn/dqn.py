"""Deep Q-learning with a target network, and what combines with it. K steps of B rows, N environments, A actions."""

import copy
from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn.functional import smooth_l1_loss

from lab.compute import Compute
from lab.contract import Batch, Learner, Metrics

from .heads import chances
from .maths import soft_policy, taken, td_target
from .plugin import DQN

Report = Callable[[Tensor, Tensor], None]         # (leaf [K, B], error [K, B])


class DeepQ(Learner):
    """Mnih et al. 2015, with the Huber loss, divided by its delta, in place of the clipped error.

    Far from its target a value follows the median of the returns, near it the mean: a delta of 1 forgets rare failures.
    What a subclass may override: how the network's output is read, backed up and compared with its goal.
    """

    saved = ("q", "target", "optimizer", "steps", "rng")

    def __init__(self, q: nn.Module, n_actions: int, optimizer: torch.optim.Optimizer, cfg: DQN, compute: Compute):
        self.cfg, self.compute, self.n_actions, self.optimizer = cfg, compute, n_actions, optimizer
        self.q, self.target = q, copy.deepcopy(q).requires_grad_(False)
        self.report: Report | None = None                    # where a prioritised replay takes its errors
        self.steps, self.rng = 0, compute.rng("explore")     # gradient steps taken; exploration
        self.chances = {net: list(chances(net)) for net in (self.q, self.target)}
        self.learn, self.look_ahead = compute.jit(self.improve), compute.jit(self.backed_up)

    def values(self, out: Tensor) -> Tensor:
        """The expected return of every action [B, A], of what the network says of them."""
        return out

    def spread(self, out: Tensor) -> Tensor:
        """What may be averaged over actions, of what the network says of them: the values, or a distribution."""
        return out

    def goal(self, reward: Tensor, discount: Tensor, future: Tensor) -> Tensor:
        """What to learn [B, ...] from rewards [B] and what `spread` says of the future [B, ...]."""
        return td_target(reward, discount, future)

    def loss(self, out: Tensor, goal: Tensor) -> tuple[Tensor, Tensor]:
        """Of every row [B], for what the network says of its action; and its error, by which it is drawn again."""
        return smooth_l1_loss(out, goal, reduction="none", beta=self.cfg.huber_delta), (goal - out).detach().abs()

    def greedy(self, obs: Tensor) -> Tensor:
        for chance in self.chances[self.q]:
            chance.calm()
        return self.values(self.q(obs)).argmax(-1)                                          # [N]

    def act(self, obs: Tensor, count: int) -> Tensor:
        """Epsilon-greedy, each environment with its own coin and, in a noisy network, its own noise."""
        cfg, done = self.cfg, min(count / self.cfg.epsilon_steps, 1.0)
        epsilon = cfg.epsilon_start + (cfg.epsilon_end - cfg.epsilon_start) * done
        uniform = torch.randint(self.n_actions, obs.shape[:1], generator=self.rng, device=obs.device)         # [N]
        explore = torch.rand(obs.shape[:1], generator=self.rng, device=obs.device) < epsilon                  # [N]
        self.draw(self.q, len(obs), len(obs))
        with torch.inference_mode():
            return torch.where(explore, uniform, self.values(self.q(obs)).argmax(-1))       # [N]

    def draw(self, net: nn.Module, rows: int, noises: int = 1) -> None:
        """The random numbers of the next forward pass."""
        for chance in self.chances[net]:
            chance.draw(self.rng, rows, noises)

    def update(self, batch: Batch) -> Metrics:
        """K gradient steps on a batch [K, B, ...] towards one target network."""
        goals, weights = self.goals(batch), batch.get("weight", [None] * len(batch["obs"]))
        rows = list[tuple[Tensor, ...]]()
        for obs, action, goal, weight in zip(batch["obs"], batch["action"], goals, weights, strict=True):
            self.draw(self.q, len(obs))
            rows.append(self.learn(obs, action, goal, weight))
        before, self.steps = self.steps, self.steps + len(rows)
        if before // self.cfg.target_every != self.steps // self.cfg.target_every:
            self.target.load_state_dict(self.q.state_dict())
        loss, value, norm, error = map(torch.stack, zip(*rows, strict=True))
        if self.report is not None:
            self.report(batch["leaf"], error)
        return {"loss/td": loss.mean(), "q/mean": value.mean(), "grad/norm": norm.mean()}

    def goals(self, batch: Batch) -> Tensor:
        """[K, B] or [K, B, Z], from one forward pass for all."""
        rows = {name: row.flatten(0, 1) for name, row in batch.items()}                     # [K * B, ...]
        self.draw(self.target, len(rows["obs"]))
        if self.cfg.double:
            self.draw(self.q, len(rows["obs"]))
        seen = (rows[name] for name in ("obs", "action", "reward", "discount", "next_obs"))
        return self.look_ahead(*seen).unflatten(0, batch["reward"].shape)

    @torch.no_grad()
    def backed_up(self, obs: Tensor, action: Tensor, reward: Tensor, discount: Tensor, next_obs: Tensor) -> Tensor:
        """The goals of rows [B, ...]. Double: van Hasselt et al. 2016, eq. 4. Munchausen: Vieillard et al. 2020, eq. 2;
        of n steps the first alone has the bonus.
        """
        cfg = self.cfg
        with self.compute.autocast():
            out = self.target(next_obs).float()                                             # [B, A] or [B, A, Z]
            chooser = self.q(next_obs).float() if cfg.double else out
            now = self.target(obs).float() if cfg.munchausen else out
        if not cfg.munchausen:
            return self.goal(reward, discount, taken(self.spread(out), self.values(chooser).argmax(-1)))
        policy, scaled_log = soft_policy(self.values(out), cfg.temperature)                 # [B, A]
        bonus = taken(soft_policy(self.values(now), cfg.temperature)[1], action).clamp(min=-1)
        entropy = -(policy * scaled_log).sum(-1)                                            # [B] times the temperature
        spread = self.spread(out)
        future = (policy.view(*policy.shape, *[1] * (spread.ndim - 2)) * spread).sum(1)     # [B] or [B, Z]
        return self.goal(reward + cfg.munchausen * bonus + discount * entropy, discount, future)

    def improve(self, obs: Tensor, action: Tensor, goal: Tensor, weight: Tensor | None) -> tuple[Tensor, ...]:
        """One gradient step on [B, ...]; returns loss, mean value, gradient norm and the errors [B]."""
        with self.compute.autocast():
            out = self.q(obs).float()                                                       # [B, A] or [B, A, Z]
        losses, error = self.loss(taken(out, action), goal)                                 # [B]
        loss = losses.mean() if weight is None else (weight * losses).mean()
        norm = self.compute.minimize(loss, self.optimizer, self.cfg.max_grad_norm)
        return loss.detach(), self.values(out.detach()).mean(), norm, error
