"""Learning with a memory: one gradient step by hand, and sequences against the slow and obvious way."""

import gymnasium as gym
import pytest
import torch
from test_envs import COMPUTE, Counts, envs_of
from torch import nn

from lab.priorities import Priority
from lab.replay import Ring, Sampling
from lab_dqn.others import R2D2
from lab_dqn.recurrent import Recurrent
from lab_dqn.remembering import Explorer, RecurrentQ
from lab_dqn.sequences import Sequences

CPU = torch.device("cpu")


class Sum(nn.Module):
    """Its memory is the sum of `rate` * obs, its values are `out` times the memory."""

    def __init__(self, rate, out):
        super().__init__()
        self.rate, self.out, self.units = nn.Parameter(torch.tensor(rate)), nn.Parameter(torch.tensor(out)), 1

    def unroll(self, obs, memory, fresh):
        values = []
        for seen, kept in zip(obs, 1 - fresh, strict=True):
            memory = memory * kept[:, None] + self.rate * seen
            values.append(memory * self.out)
        return torch.stack(values), memory


def summing(**settings):
    """The target of `rate` 2 judges with a half of the memory, the network of `rate` 1 prefers the first action."""
    cfg = R2D2(burn_in=1, length=2, n_steps=1, discount=0.5, rescale=False, max_grad_norm=1e9, **settings)
    q = Sum(1.0, [1.0, -1.0])
    actor = Explorer(q, 1, 2, cfg, COMPUTE)
    learner = Recurrent(q, actor, torch.optim.SGD(q.parameters(), 1.0), cfg, COMPUTE)
    learner.target.rate.data, learner.target.out.data = torch.tensor(2.0), torch.tensor([0.5, 9.0])
    return learner


def sequence(reward, action, terminal=(), done=(), fresh=(), weight=1.0):
    """[4, 1] steps that show 1, from a memory of 2."""
    flags = {name: torch.tensor([[float(t in steps)] for t in range(4)])
             for name, steps in (("terminal", terminal), ("done", done), ("fresh", fresh))}
    return {"obs": torch.ones(4, 1, 1), "memory": torch.tensor([[2.0]]), "action": torch.tensor(action)[:, None],
            "reward": torch.tensor(reward)[:, None], "weight": torch.tensor([weight]), **flags}


def test_one_gradient_step_with_a_memory_by_hand():
    """After the burn-in 3, then memories 4, 5, 6; the target's are 4, then 6, 8, 10, and it judges them as 3, 4, 5.

    Goals 0 + 4 / 2 and -3.5 + 5 / 2, values 4 and -5: errors -2 and 4. Of half a weight: (4 + 16) / 2 / 2 / 2.
    Slopes of `out`, a quarter of 2 * 4 and of -4 * 5; of `rate`, which the memories hold once and twice since the
    burn-in, a quarter of 2 * 1 + 4 * 2. Those of the burn-in would make it 2 * 2 + 4 * 3.
    """
    learner = summing(highest=0.75)
    rows = sequence([99.0, 0.0, -3.5, 99.0], [1, 0, 1, 1], weight=0.5)
    loss, value, norm, error = learner.improve(rows)
    assert (loss.item(), value.item(), error.tolist()) == (2.5, -0.5, [0.75 * 4 + 0.25 * 3])
    assert learner.q.out.grad.tolist() == [2.0, -5.0] and learner.q.rate.grad.item() == 2.5
    assert norm.item() == pytest.approx((4 + 25 + 6.25) ** 0.5) and learner.q.out.tolist() == [-1.0, 4.0]


@pytest.mark.parametrize("flags, errors", [
    ({"terminal": [1], "done": [1], "fresh": [2]}, [3 - 4, 1 + 4 / 4 - 1]), ({"done": [1], "fresh": [2]}, [0, 1]),
    ({"fresh": [1]}, [3 + 4 / 4 - 1, 1 + 6 / 4 - 2]), ({"terminal": [2], "done": [2]}, [3 + 8 / 4 - 4, 1 - 5])])
def test_errors_at_the_end_of_an_episode_by_hand(flags, errors):
    """Rewards 3 and 1, first actions. After an empty memory the network's is 1, 2, 3 and the target's 2, 4, 6.

    A terminal state has no value; what a time limit cuts off has no error, but counts in the mean.
    """
    loss, _, _, error = summing(highest=0.0).improve(sequence([9.0, 3.0, 1.0, 9.0], [0] * 4, **flags))
    assert error.item() == sum(map(abs, errors)) / 2
    assert loss.item() == sum(each**2 for each in errors) / 4


def test_weights_are_for_sequences_and_each_has_its_own_error():
    rows = [sequence([0.0, 0.0, -3.5, 0.0], [0, 0, 1, 0], weight=weight, fresh=fresh)
            for weight, fresh in ((0.25, []), (1.0, [1]), (0.5, [2]))]
    batch = {name: torch.cat([each[name] for each in rows], 0 if name in ("memory", "weight") else 1)
             for name in rows[0]}
    alone = [summing().improve(each) for each in rows]
    together = summing().improve(batch)
    assert together[0].item() == pytest.approx(sum(each[0].item() for each in alone) / 3)
    assert together[3].tolist() == pytest.approx([each[3].item() for each in alone])


@pytest.mark.parametrize("burn", [0, 2])
def test_no_gradient_flows_through_the_burn_in(burn):
    """Nor into what was remembered; yet both change the loss."""
    torch.manual_seed(0)
    cfg = R2D2(burn_in=burn, length=3, n_steps=2)
    q = RecurrentQ(nn.Identity(), 3, 4, nn.Linear(4, 2))
    learner = Recurrent(q, Explorer(q, 1, 2, cfg, COMPUTE), torch.optim.SGD(q.parameters(), 0.0), cfg, COMPUTE)
    zeros = torch.zeros(cfg.rows, 2)
    rows = {"obs": torch.randn(cfg.rows, 2, 3, requires_grad=True), "memory": torch.randn(2, 8), "weight": zeros[0] + 1,
            "action": zeros.long(), "reward": zeros + 1, "terminal": zeros, "done": zeros, "fresh": zeros}
    loss = learner.improve(rows)[0]
    slopes = rows["obs"].grad.abs().sum((1, 2))                                             # [T]
    assert not slopes[:burn].any() and (slopes[burn:burn + 3] > 0).all()
    assert q.cell.weight_hh.grad.abs().sum() > 0
    for name in ("obs", "memory"):
        changed = rows[name].detach().clone()
        changed[0] += 1
        assert learner.improve({**rows, name: changed})[0] != loss


def number(obs):
    """Of the step in its episode; of a stack that of its newest picture."""
    return obs.flatten()[-1].item() % 100


def stream(stack, lengths, padding="reset", capacity=40, every=3):
    """Episodes of these lengths; a memory that depends on every step, from weights that stay."""
    torch.manual_seed(0)
    ends = ("terminated", "truncated", "terminated")
    made = [Counts(length, end) for length, end in zip(lengths, ends, strict=False)]
    if stack > 1:
        made = [gym.wrappers.FrameStackObservation(each, stack, padding_type=padding) for each in made]
    envs, cfg = envs_of(*made), R2D2(epsilon_start=0.5, epsilon_end=0.5)
    q = RecurrentQ(nn.Flatten(), stack, 3, nn.Linear(3, 2))
    actor = Explorer(q, envs.n, 2, cfg, COMPUTE)
    ring, plan = Ring(capacity, CPU, envs.n, envs.stack, envs.padding), Sampling(every, 1, (2, 5), 1, 0.5)
    return Sequences(envs, actor, ring, plan, COMPUTE.rng("replay"), Priority(0.9, 0.6, 100), length=6)


def logged(at, batches):
    """Everything that was pushed, [T, N, ...], and the batches that came of it."""
    seen, push = [], at.ring.push
    at.ring.push = lambda rows: (seen.append(rows), push(rows))
    found = [at.next() for _ in range(batches)]
    return {name: torch.cat([rows[name] for rows in seen]) for name in seen[0]}, [each for each in found if each]


def remembered(q, obs):
    """The memory before each step [T, N, M], one step after another."""
    memories, memory = [], torch.zeros(obs.shape[1], 2 * q.units)
    for now in obs:
        memory = torch.stack([kept * (number(seen) > 0) for kept, seen in zip(memory, now, strict=True)])
        memories.append(memory)
        memory = torch.cat([q(seen[None], kept[None])[1] for kept, seen in zip(memory, now, strict=True)]).detach()
    return torch.stack(memories)


@pytest.mark.parametrize("stack, padding", [(1, "reset"), (3, "reset"), (3, "zero")])
@pytest.mark.parametrize("lengths", [(4,), (4, 9), (2, 50, 5)])
def test_sequences_are_what_the_slow_way_gives(stack, padding, lengths):
    """From a buffer that has just begun until it has wrapped around twice, of all sequences that are in it."""
    at, n = stream(stack, lengths, padding), len(lengths)
    log, wrapped = None, 0
    for _ in range(12):
        more, _ = logged(at, 3)
        at.ring.push = type(at.ring).push.__get__(at.ring)
        log = {name: torch.cat([log[name], more[name]]) if log else more[name] for name in more}
        memory = remembered(at.actor.q, log["obs"])
        first, end = at.ring.first + (stack - 1) * n, at.ring.pushed - 6 * n
        assert at.ring.pushed == len(log["obs"]) * n and end - first <= 40 - (stack + 5) * n
        if end <= first:
            continue
        batch = at.batch(torch.arange(first, end)[None])
        for b, row in enumerate(range(first, end)):
            t, i = divmod(row, n)
            for name in ("obs", "action", "reward", "terminal", "done"):
                assert torch.equal(batch[name][0, :, b], log[name][t:t + 6, i]), name
            assert batch["fresh"][0, :, b].tolist() == [number(obs) == 0 for obs in log["obs"][t:t + 6, i]]
            torch.testing.assert_close(batch["memory"][0, b], memory[t, i])
        wrapped = at.ring.pushed / at.ring.capacity
    assert wrapped > 2 and log["done"].sum() > 4


def test_only_whole_sequences_are_drawn():
    """Each leaf is that of the first step, which is in the buffer, as is the last."""
    at = stream(3, (4, 9))
    for _ in range(40):
        if batch := at.next():
            rows = at.ring.pushed - 1 - (at.ring.pushed - 1 - batch["leaf"]) % at.ring.capacity
            assert (rows >= at.ring.first + 2 * 2).all() and (rows + 5 * 2 < at.ring.pushed).all()
            assert torch.equal(batch["obs"][:, 0, :, -1, 0], at.ring.columns["obs"][batch["leaf"]][..., 0])
            assert batch["obs"].shape == (2, 6, 5, 3, 1) and batch["memory"].shape == (2, 5, 6)
