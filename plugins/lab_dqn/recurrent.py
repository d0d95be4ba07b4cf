"""Recurrent Q-learning from stored sequences. K gradient steps, T steps, B sequences, L of them learned, A actions."""

import copy

import torch
from torch import Tensor, nn

from lab.compute import Compute
from lab.contract import Batch, Experiment, Learner, Metrics
from lab.nn import width
from lab.priorities import LEAF, Priority
from lab.world import World

from .build import discrete, replaying
from .dqn import Report
from .heads import Dueling
from .maths import rescale, unscale
from .others import R2D2
from .remembering import Actor, Explorer, RecurrentQ
from .sequences import Sequences


def returns_within(reward: Tensor, terminal: Tensor, done: Tensor, n: int, discount: float
                   ) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Returns of up to `n` steps from each of the first L steps of [L + n, B], with no step beyond the sequence.

    Their sum, the discount of the value that follows, the index of the step that has it, and whether there is a step
    at all, each [L, B]. What follows a time limit is not in the sequence: returns end at the last state before it.
    """
    length = len(reward) - n
    index = torch.arange(length, device=reward.device)[:, None].expand(-1, reward.shape[1])   # [L, B]
    total, factor, at, going = torch.zeros_like(reward[:length]), torch.ones_like(reward[:length]), index, 1.0
    for k in range(n):
        now = slice(k, k + length)
        step = going * (1 - done[now] * (1 - terminal[now]))                                # [L, B] 1 where it is taken
        total = total + step * discount**k * reward[now]
        factor = torch.where(step > 0, discount ** (k + 1) * (1 - terminal[now]), factor)
        at = torch.where(step > 0, index + k + 1, at)
        going = step * (1 - done[now])
    return total, factor, at, at > index


class Recurrent(Learner):
    """Kapturowski et al. 2019, section 2.3, with double targets and one actor."""

    saved = ("q", "target", "optimizer", "steps", "actor")

    def __init__(self, q: RecurrentQ, actor: Explorer, optimizer: torch.optim.Optimizer, cfg: R2D2, compute: Compute):
        self.q, self.target, self.actor = q, copy.deepcopy(q).requires_grad_(False), actor
        self.optimizer, self.cfg, self.compute, self.steps = optimizer, cfg, compute, 0      # gradient steps taken
        self.report: Report | None = None                    # where a prioritised replay takes its errors
        self.learn = compute.jit(self.improve)

    def update(self, batch: Batch) -> Metrics:
        """K gradient steps on sequences [K, T, B, ...] towards one target network."""
        found = [self.learn({name: rows[k] for name, rows in batch.items()}) for k in range(len(batch["leaf"]))]
        before, self.steps = self.steps, self.steps + len(found)
        if before // self.cfg.target_every != self.steps // self.cfg.target_every:
            self.target.load_state_dict(self.q.state_dict())
        loss, value, norm, error = map(torch.stack, zip(*found, strict=True))
        if self.report is not None:
            self.report(batch["leaf"], error)
        return {"loss/td": loss.mean(), "q/mean": value.mean(), "grad/norm": norm.mean()}

    def improve(self, rows: Batch) -> tuple[Tensor, ...]:
        """One gradient step on B sequences; returns loss, mean value, gradient norm and the errors [B]."""
        cfg, burn, end = self.cfg, self.cfg.burn_in, self.cfg.burn_in + self.cfg.length
        obs, memory, fresh = rows["obs"], rows["memory"], rows["fresh"]
        with self.compute.autocast():
            with torch.no_grad():
                start = self.q.unroll(obs[:burn], memory, fresh[:burn])[1] if burn else memory            # [B, M]
                judged, _ = self.target.unroll(obs, memory, fresh)                          # [T, B, A]
            values, _ = self.q.unroll(obs[burn:], start, fresh[burn:])                      # [L + n, B, A]
        values, judged = values.float(), judged[burn:].float()
        learned = (rows[name][burn:] for name in ("reward", "terminal", "done"))            # [L + n, B]
        total, factor, at, there = returns_within(*learned, cfg.n_steps, cfg.discount)      # [L, B]
        best = judged.gather(-1, values.detach().argmax(-1, keepdim=True))[..., 0]          # [L + n, B]
        goal = self.scaled(total + factor * self.unscaled(best.gather(0, at)))              # [L, B]
        value = values[:cfg.length].gather(-1, rows["action"][burn:end, :, None])[..., 0]           # [L, B]
        error = (goal - value) * there
        loss = (rows["weight"] * error.square()).mean() / 2
        norm = self.compute.minimize(loss, self.optimizer, cfg.max_grad_norm)
        size = error.detach().abs()
        return loss.detach(), value.detach().mean(), norm, cfg.highest * size.amax(0) + (1 - cfg.highest) * size.mean(0)

    def logged(self, count: int) -> dict[str, float]:
        return self.actor.coins.logged(count)

    def scaled(self, value: Tensor) -> Tensor:
        return rescale(value) if self.cfg.rescale else value

    def unscaled(self, value: Tensor) -> Tensor:
        return unscale(value) if self.cfg.rescale else value


def build(cfg: R2D2, world: World) -> Experiment:
    envs, compute = world.envs(cfg.num_envs), world.compute
    space, n_actions = envs.observation_space, discrete(world, envs)
    body = world.net(space)
    head = Dueling(cfg.memory, n_actions) if cfg.dueling else nn.Linear(cfg.memory, n_actions)
    q = RecurrentQ(body, width(body, space), cfg.memory, head).to(compute.device)
    actor = Explorer(q, envs.n, n_actions, cfg, compute)
    learner = Recurrent(q, actor, world.optimizer(q.parameters()), cfg, compute)
    more = 8 * cfg.memory + 4 + LEAF                      # the memory, and whether it was empty
    ring, sampling = replaying(cfg, world, envs, more, seen=cfg.rows)
    priority = Priority(cfg.priority, cfg.importance, cfg.importance_steps)
    stream = Sequences(envs, actor, ring, sampling, compute.rng("replay"), priority, cfg.rows)
    learner.report = stream.report
    return Experiment(learner, stream, policy=Actor(q, 1, compute.device))
