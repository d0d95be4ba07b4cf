"""DQN: its formulas by hand, what it sees, that it learns, and how much code one of its steps goes through."""

import copy
import sys
from pathlib import Path

import gymnasium as gym
import numpy as np
import pytest
import torch
from gymnasium import spaces
from torch import nn

from lab.assembly import assemble
from lab.budget import Budget, Periods
from lab.compose import composed
from lab.compute import Compute
from lab.config import ComputeConfig
from lab.errors import UsageError
from lab.runner import Runner
from lab.testing import maker
from lab_dqn.configs import DQN
from lab_dqn.dqn import DeepQ, td_target

ROOT = Path(__file__).parent.parent
NEVER = 10**9


def test_td_target_by_hand():
    """1 + 0.5 * 4 = 3; after a terminal state only the reward is left."""
    reward, discount, value = torch.tensor([[1.0, 1.0, -2.0], [0.5, 0.0, 0.25], [4.0, 4.0, 8.0]])
    assert td_target(reward, discount, value).tolist() == [3.0, 1.0, 0.0]


def learner(weight=((1.0, 0.0), (0.0, 1.0)), rate=0.5, **settings):
    """Q(s, a) = (weight s)[a], by default s[a]; plain gradient descent."""
    net = nn.Linear(2, len(weight), bias=False)
    net.weight.data = torch.tensor(weight)
    return DeepQ(net, len(weight), torch.optim.SGD(net.parameters(), rate), DQN(**settings),
                 Compute(ComputeConfig(device="cpu")))


def batch(*rows):
    """Rows of obs, action, reward, discount and next_obs as [1, B, ...]."""
    columns = zip(*rows, strict=True)
    kinds = (torch.float32, torch.int64, torch.float32, torch.float32, torch.float32)
    names = ("obs", "action", "reward", "discount", "next_obs")
    return {name: torch.tensor([column], dtype=kind) for name, column, kind in zip(names, columns, kinds, strict=True)}


def test_one_update_by_hand():
    """Targets 1 + 0.5 * max(2, 6) = 4 and 3. Errors of 1 - 4 and 2.5 - 3: Huber loss 2.5 and 0.125, slopes -1 and -0.5.

    The mean over two rows halves the slopes; each falls on the row of its action, times the obs.
    """
    dqn = learner()
    metrics = dqn.update(batch(([1.0, 0.0], 0, 1.0, 0.5, [2.0, 6.0]), ([0.0, 2.5], 1, 3.0, 0.0, [9.0, 9.0])))
    assert metrics["loss/td"].item() == pytest.approx((2.5 + 0.125) / 2)
    assert metrics["q/mean"].item() == pytest.approx(1.75)
    slopes = torch.tensor([[-0.5, 0.0], [0.0, -0.25 * 2.5]])
    assert metrics["grad/norm"].item() == pytest.approx(slopes.norm().item())
    torch.testing.assert_close(dqn.q.weight.data, torch.eye(2) - 0.5 * slopes)
    assert torch.equal(dqn.target.weight, torch.eye(2)) and dqn.steps == 1


@pytest.mark.parametrize("delta, losses", [(1.0, (2.5, 0.125)), (0.25, (2.875, 0.375)), (4.0, (1.125, 0.03125))])
def test_the_loss_is_quadratic_up_to_its_delta(delta, losses):
    """Errors 3 and 0.5: e * e / (2 * delta) up to delta, e - delta / 2 beyond."""
    dqn = learner(huber_delta=delta)
    metrics = dqn.update(batch(([1.0, 0.0], 0, 1.0, 0.5, [2.0, 6.0]), ([0.0, 2.5], 1, 3.0, 0.0, [9.0, 9.0])))
    assert metrics["loss/td"].item() == sum(losses) / 2


def test_a_large_gradient_is_cut():
    """The same slopes with the norm 0.8003905 become 0.1 long."""
    dqn = learner(max_grad_norm=0.1)
    metrics = dqn.update(batch(([1.0, 0.0], 0, 1.0, 0.5, [2.0, 6.0]), ([0.0, 2.5], 1, 3.0, 0.0, [9.0, 9.0])))
    assert metrics["grad/norm"].item() == pytest.approx(0.8003905)
    assert (dqn.q.weight - torch.eye(2)).norm().item() == pytest.approx(0.5 * 0.1)


def random_batch(k=1, b=8, seed=0):
    rng = torch.Generator().manual_seed(seed)
    return {"obs": torch.randn(k, b, 2, generator=rng), "action": torch.randint(2, (k, b), generator=rng),
            "reward": torch.randn(k, b, generator=rng), "discount": torch.rand(k, b, generator=rng),
            "next_obs": torch.randn(k, b, 2, generator=rng)}


@pytest.mark.parametrize("k, every, copies", [(1, 3, {3, 6, 9, 12}), (1, 1, set(range(1, 13))), (3, 4, {6, 9, 12}),
                                              (3, 6, {6, 12}),
                                              (4, 2, {4, 8, 12}), (2, 100, set())])
def test_the_target_is_copied_when_a_multiple_is_crossed(k, every, copies):
    dqn = learner(target_every=every)
    for number in range(12 // k):
        before = dqn.target.weight.clone()
        dqn.update(random_batch(k, seed=number))
        assert not torch.equal(dqn.q.weight, before)
        expected = dqn.q.weight if dqn.steps in copies else before
        assert torch.equal(dqn.target.weight, expected) and dqn.steps == k * (number + 1)


def test_several_gradient_steps_at_once_are_those_one_after_another():
    """Towards one target network."""
    rows = random_batch(4)
    once, singly = learner(rate=0.1, target_every=100), learner(rate=0.1, target_every=100)
    at_once = once.update(rows)
    each = [singly.update({name: row[i:i + 1] for name, row in rows.items()}) for i in range(4)]
    torch.testing.assert_close(once.q.weight, singly.q.weight)
    for name, value in at_once.items():
        torch.testing.assert_close(value, torch.stack([metrics[name] for metrics in each]).mean())


@pytest.mark.parametrize("count, epsilon", [(0, 1.0), (250, 0.775), (500, 0.55), (1000, 0.1), (10**9, 0.1)])
def test_epsilon_falls_in_a_straight_line(count, epsilon):
    """From 1 to 0.1 in 1,000 steps. Of four actions three of four random ones are not the greedy one."""
    dqn = learner(weight=[[0.0, 0.0], [0.0, 0.0], [1.0, 1.0], [0.0, 0.0]], epsilon_start=1.0, epsilon_end=0.1,
                  epsilon_steps=1000)
    actions = dqn.act(torch.ones(40_000, 2), count)
    share = (actions != 2).float().mean().item()
    assert dqn.logged(count) == {"explore/epsilon": pytest.approx(epsilon)}
    assert share == pytest.approx(0.75 * epsilon, abs=0.01)                  # four deviations
    others = torch.bincount(actions, minlength=4)[[0, 1, 3]] / 40_000
    assert others.tolist() == pytest.approx([epsilon / 4] * 3, abs=0.01)


def test_without_exploration_it_is_greedy_and_each_copy_has_a_coin_of_its_own():
    dqn = learner(epsilon_start=0.0, epsilon_end=0.0)
    assert dqn.logged(100) == {}
    assert dqn.act(torch.tensor([[1.0, 0.0], [0.0, 1.0]]), 0).tolist() == dqn.greedy(torch.eye(2)).tolist() == [0, 1]
    actions = learner(epsilon_end=0.5, epsilon_steps=1).act(torch.tensor([[1.0, 0.0]] * 50), 1)
    assert 0 < actions.sum() < 50


@pytest.mark.parametrize("overrides, text", [
    (["env=gym", "env.id=lab/TinyContinuous-v0"], "dqn needs a Discrete action space; lab/TinyContinuous-v0 has Box"),
    (["env=CartPole", "agent.buffer_size=1e9", "agent.batch_size=64"],
     "agent.buffer_size=1,000,000,000 of 36 bytes each take"),
    (["env=CartPole", "agent.num_envs=8", "agent.buffer_size=64", "agent.batch_size=2", "agent.n_steps=9"],
     "expected at least 80")])
def test_what_cannot_work_is_refused(overrides, text, monkeypatch):
    monkeypatch.setattr("lab.world.room", lambda device: 10**9)
    overrides = [each.replace("1e9", "1000000000") for each in overrides]
    with pytest.raises(UsageError, match=text):
        assemble(composed(["+agent=dqn", *overrides, "compute.device=cpu"]))


@pytest.mark.parametrize("agent, size", [
    ("dqn", 36), ("dqn agent.priority=0.6", 36 + 9), ("r2d2 agent.memory=64", 36 + 2 * 4 * 64 + 4 + 9)])
def test_memory_has_to_hold_all_that_a_row_takes(agent, size, monkeypatch):
    """The step, the state of an LSTM and whether it was empty, and the leaf of its priority."""
    monkeypatch.setattr("lab.world.room", lambda device: 1000)
    with pytest.raises(UsageError, match=f"of {size} bytes each take"):
        assemble(composed([f"+agent={agent.split()[0]}", *agent.split()[1:], "env=CartPole", "compute.device=cpu"]))


class Fork(gym.Env):
    """Four steps to either side; the flag says which end pays 1, the other costs 1. After 20 steps it is over."""

    observation_space, action_space = spaces.Box(-1, 1, (2,), np.float32), spaces.Discrete(2)

    def __init__(self, render_mode=None):
        self.flag, self.place = 0, 0

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.flag, self.place = 2 * int(self.np_random.integers(2)) - 1, 0
        return self.obs(), {}

    def step(self, action):
        self.place += 2 * int(action) - 1
        over = abs(self.place) == 4
        return self.obs(), over * np.sign(self.place * self.flag).item() * 1.0, over, False, {}

    def obs(self):
        return np.array([self.flag, self.place / 4], np.float32)


gym.register("lab/Fork-v0", Fork, max_episode_steps=20)
LEARNS = ("agent.num_envs=2", "agent.train_every=2", "agent.gradient_steps=1", "agent.warmup=100",
          "agent.batch_size=64", "agent.buffer_size=5000", "agent.target_every=25", "agent.discount=0.7",
          "agent.epsilon_steps=1000", "model.hidden=[32]",
          "optimizer.lr=2e-3", "optimizer.schedule=constant", "evaluate.episodes=20")


class Nowhere:
    """A record that keeps nothing."""

    def log(self, *args):
        pass

    media = save = log


def quiet(made):
    return Runner(made.experiment, made.compute, Nowhere(), Periods(NEVER, NEVER, NEVER))


@pytest.mark.parametrize("seed", [1, 2, 6])
def test_it_learns_what_pays_later(seed):
    """400 updates. Untrained it goes astray; then every episode ends at the right end, and the values are those of the
    shortest way: 0.7**3 at the start, 1 at the last step, 0.7**2 * 0.7**3 for a first step in the wrong direction.
    """
    made = maker("dqn", "env=gym", "env.id=lab/Fork-v0")(f"seed={seed}", "agent.n_steps=1", *LEARNS)
    at, look = quiet(made), made.experiment.evaluators["return"]
    assert look()["return/mean"] < 0.5
    at.run(Budget(updates=400))
    assert look()["return/mean"] == 1.0 and look()["length/mean"] == 4.0
    with torch.no_grad():
        start, end = at.learner.q(torch.tensor([[1.0, 0.0], [1.0, 0.75]]))
    assert start[1].item() == pytest.approx(0.343, abs=0.1) and end[1].item() == pytest.approx(1.0, abs=0.1)
    assert start[0].item() < start[1].item()


@pytest.mark.parametrize("n_steps", [3, 10])
def test_it_learns_with_long_returns_too(n_steps):
    made = maker("dqn", "env=gym", "env.id=lab/Fork-v0")("seed=3", f"agent.n_steps={n_steps}", *LEARNS)
    at, look = quiet(made), made.experiment.evaluators["return"]
    at.run(Budget(updates=300))
    assert look()["return/mean"] == 1.0


def test_the_initial_target_is_a_copy():
    dqn = learner()
    assert dqn.target is not dqn.q and not any(p.requires_grad for p in dqn.target.parameters())
    before = copy.deepcopy(dqn.target.state_dict())
    dqn.q.weight.data.zero_()
    assert torch.equal(dqn.target.weight, before["weight"])


def test_one_training_step_can_be_followed():
    """Through at most 6 files and 20 functions of the project, the runner included, with CartPole's own settings."""
    made = assemble(composed(["+agent=dqn", "env=CartPole", "compute.device=cpu"]))
    at = quiet(made)
    at.evaluators = at.closing = {}
    at.run(Budget(updates=3))
    for _ in range(10):               # past the steps by which the checkpoint is verified
        at.learner.update(at.stream.next())
    seen, ours = set(), (str(ROOT / "lab"), str(ROOT / "plugins"))

    def called(frame, event, arg):
        code = frame.f_code
        if event == "call" and code.co_filename.startswith(ours) and not code.co_name.startswith("<"):
            seen.add((code.co_filename, code.co_qualname))

    for _ in range(50):
        seen, episodes = {(str(ROOT / "lab" / "runner.py"), "Runner.run")}, list(at.stream.envs.episodes)
        sys.setprofile(called)
        at.learner.update(at.stream.next())
        sys.setprofile(None)
        if at.stream.envs.episodes == episodes:
            break
    else:
        pytest.fail("every update met the end of an episode")
    assert len({file for file, _ in seen}) <= 6 and len(seen) <= 20, sorted(seen)
    assert {"EpsilonGreedy.act", "DeepQ.improve", "Envs.step", "Compute.minimize"} <= {name for _, name in seen}
