"""The family of DQN: its targets by hand, that each member learns, and what is refused before anything is made."""

import math
from dataclasses import fields

import gymnasium as gym
import numpy as np
import pytest
import torch
from gymnasium import spaces
from test_dqn import LEARNS, Fork, batch, learner, quiet
from torch import nn

from lab import world
from lab.assembly import assemble
from lab.budget import Budget
from lab.compose import composed
from lab.compute import Compute
from lab.config import ComputeConfig
from lab.errors import UsageError
from lab.replay import Replay
from lab.testing import maker
from lab_dqn import tuned
from lab_dqn.build import explored
from lab_dqn.configs import C51, DQN, QRDQN, NoisyDQN, Rainbow
from lab_dqn.distributional import Atoms, Categorical, Fractions, Quantiles
from lab_dqn.dqn import COLUMNS
from lab_dqn.others import PQN
from lab_dqn.pqn import Parallel
from lab_ppo.plugin import PPO, TUNED

CPU = ComputeConfig(device="cpu")


def goals(dqn, *rows):
    columns = batch(*rows)
    return dqn.goal(*(columns[name][0] for name in COLUMNS))


def test_with_double_the_network_chooses_and_its_target_judges():
    """The network prefers action 0 of (3, 2), its target says 7 of it and 9 of the other: 1 + 0.5 * 7."""
    row = ([1.0, 0.0], 0, 1.0, 0.5, [3.0, 2.0])
    for double, goal in ((True, 4.5), (False, 5.5)):
        dqn = learner(double=double)
        dqn.target.weight.data = torch.tensor([[1.0, 2.0], [3.0, 0.0]])
        assert goals(dqn, row).tolist() == [goal]


def test_the_goal_of_munchausen_by_hand():
    """Temperature 1, next values (0, log 3): policy 1/4 and 3/4, soft value log 4. Here (log 3, 0), action 1: log 1/4,
    no less than -1. With 0.5 of it: 2 - 0.5 + 0.5 * log 4.
    """
    log3, log4 = float(np.log(3)), float(np.log(4))
    dqn = learner(munchausen=0.5, temperature=1.0)
    assert goals(dqn, ([log3, 0.0], 1, 2.0, 0.5, [0.0, log3])).item() == pytest.approx(2 - 0.5 + 0.5 * log4)
    near = goals(dqn, ([log3, 0.0], 0, 2.0, 0.5, [0.0, log3])).item()
    assert near == pytest.approx(2 + 0.5 * np.log(3 / 4) + 0.5 * log4)
    assert goals(dqn, ([log3, 0.0], 0, 2.0, 0.0, [0.0, log3])).item() == pytest.approx(2 + 0.5 * np.log(3 / 4))


def test_weights_count_and_errors_are_reported():
    """Losses 2.5 and 0.125 with the weights 1 and 0.5; the errors are 3 and 0.5."""
    dqn, told = learner(), []
    dqn.report = lambda leaf, error: told.append((leaf, error))
    rows = batch(([1.0, 0.0], 0, 1.0, 0.5, [2.0, 6.0]), ([0.0, 2.5], 1, 3.0, 0.0, [9.0, 9.0]))
    metrics = dqn.update({**rows, "weight": torch.tensor([[1.0, 0.5]]), "leaf": torch.tensor([[7, 3]])})
    assert metrics["loss/td"].item() == pytest.approx((2.5 + 0.0625) / 2)
    assert told[0][0].tolist() == [[7, 3]] and told[0][1].tolist() == [[3.0, 0.5]]


class Table(nn.Module):
    """What it says of each of two actions is in the obs itself, plus a parameter."""

    def __init__(self, out):
        super().__init__()
        self.out = nn.Parameter(torch.tensor(out))

    def forward(self, obs):
        return self.out + 0 * obs.sum()


def distributional(kind, wrapped, cfg):
    return kind(wrapped, 2, torch.optim.SGD(wrapped.parameters(), 0.1), cfg, Compute(CPU))


def test_a_categorical_goal_by_hand():
    """Atoms -1, 0, 1. Action 1 has the greater mean, all its mass at 1: 0.5 + 0.5 * 1 = 1; alone the 0.5 is shared."""
    cfg = C51(v_min=-1, v_max=1, atoms=3)
    sure = [[[0.0, 30.0, 0.0], [0.0, 0.0, 30.0]]]
    dqn = distributional(Categorical, Atoms(Table(sure), -1, 1, 3), cfg)
    for discount, expected in ((0.5, [0.0, 0.0, 1.0]), (0.0, [0.0, 0.5, 0.5])):
        row = goals(dqn, ([0.0, 0.0], 0, 0.5, discount, [0.0, 0.0]))[0]
        torch.testing.assert_close(row, torch.tensor(expected), atol=1e-6, rtol=0)
    assert dqn.greedy(torch.zeros(1, 2)).tolist() == [1]


def test_a_categorical_loss_by_hand():
    """An even guess at three atoms; the goal is sure of one: log 3. Where goal and guess agree: 0."""
    dqn = distributional(Categorical, Atoms(Table([[[0.0] * 3] * 2]), -1, 1, 3), C51(v_min=-1, v_max=1, atoms=3))
    obs, action = torch.zeros(1, 2), torch.tensor([1])
    for goal, loss in (([0.0, 1.0, 0.0], np.log(3)), ([1 / 3] * 3, 0.0)):
        found, error, value = dqn.losses(obs, action, torch.tensor([goal]))
        assert found.item() == error.item() == pytest.approx(loss, abs=1e-6) and value.item() == 0


def test_a_quantile_goal_by_hand():
    """Of the better action, mean 3 against 2: 1 + 0.5 * (2, 4)."""
    dqn = distributional(Quantiles, Fractions(Table([[[2.0, 2.0], [2.0, 4.0]]])), QRDQN(quantiles=2))
    assert goals(dqn, ([0.0, 0.0], 0, 1.0, 0.5, [0.0, 0.0])).tolist() == [[2.0, 3.0]]
    assert goals(dqn, ([0.0, 0.0], 0, 1.0, 0.0, [0.0, 0.0])).tolist() == [[1.0, 1.0]]


def test_munchausen_mixes_distributions_by_its_policy():
    """Temperature 1, means (0, log 3): a quarter of the quantiles (-1, 1), three quarters of (log 3 - 2, log 3 + 2)."""
    log3 = float(np.log(3))
    table = Table([[[-1.0, 1.0], [log3 - 2, log3 + 2]]])
    dqn = distributional(Quantiles, Fractions(table), QRDQN(quantiles=2, munchausen=0.5, temperature=1.0))
    spread = -(0.25 * np.log(0.25) + 0.75 * np.log(0.75))
    bonus = 0.5 * np.log(0.75)
    expected = [1 + bonus + 0.5 * (spread + 0.25 * side + 0.75 * (log3 + 2 * side)) for side in (-1, 1)]
    assert goals(dqn, ([0.0, 0.0], 1, 1.0, 0.5, [0.0, 0.0])).tolist()[0] == pytest.approx(expected)


def test_returns_of_pqn_by_hand():
    """Q(s, a) = s[a], discount and lambda a half. At last 4 + max(2, 6) / 2 = 7; before it 1 + (3 / 2 + 7 / 2) / 2."""
    net = nn.Linear(2, 2, bias=False)
    net.weight.data = torch.eye(2)
    cfg = PQN(num_envs=1, rollout_steps=2, batch_size=2, discount=0.5, decay=0.5)
    pqn = Parallel(net, 2, torch.optim.SGD(net.parameters(), 0.1), cfg, Compute(CPU))
    rows = {"reward": torch.tensor([[1.0], [4.0]]), "terminal": torch.zeros(2, 1), "done": torch.zeros(2, 1),
            "next_obs": torch.tensor([[[3.0, 1.0]], [[2.0, 6.0]]])}
    assert pqn.goals(rows).flatten().tolist() == [1 + 0.5 * (0.5 * 3 + 0.5 * 7), 7.0]
    assert pqn.goals({**rows, "terminal": torch.tensor([[1.0], [0.0]]), "done": torch.tensor([[1.0], [0.0]])}
                     ).flatten().tolist() == [1.0, 7.0]
    assert pqn.goals({**rows, "done": torch.tensor([[1.0], [0.0]])}).flatten().tolist() == [1 + 0.5 * 3, 7.0]


MEMBERS = ("double_dqn", "dueling_dqn", "prioritized_dqn", "munchausen_dqn", "qr_dqn", "iqn")
C51_ROW = ("agent.v_min=-1", "agent.v_max=1", "agent.atoms=21")


@pytest.mark.parametrize("agent, more", [*((name, ()) for name in MEMBERS), ("c51", C51_ROW),
                                         ("rainbow", (*C51_ROW, "agent.n_steps=3")), ("noisy_dqn", ()),
                                         ("dqn", ("agent.noisy=true", "agent.dueling=true", "agent.priority=0.6"))])
def test_each_learns_what_pays_later(agent, more):
    """Every episode ends at the right end, in the fewest steps."""
    made = maker(agent, "env=gym", "env.id=lab/Fork-v0")("seed=1", "agent.n_steps=1", *LEARNS, *more)
    at, look = quiet(made), made.experiment.evaluators["return"]
    at.run(Budget(updates=500))
    assert look()["return/mean"] == 1.0 and look()["length/mean"] == 4.0


@pytest.mark.parametrize("seed", [1, 2])
def test_pqn_learns_what_pays_later(seed):
    made = maker("pqn", "env=gym", "env.id=lab/Fork-v0")(
        f"seed={seed}", "agent.num_envs=4", "agent.rollout_steps=16", "agent.batch_size=32", "agent.discount=0.7",
        "agent.epsilon_steps=2000", "agent.epochs=4", "model.hidden=[32]", "optimizer.lr=2e-3", "evaluate.episodes=20")
    at, look = quiet(made), made.experiment.evaluators["return"]
    at.run(Budget(updates=100))
    assert look()["return/mean"] == 1.0 and look()["length/mean"] == 4.0


@pytest.mark.parametrize("seed", [1, 2])
def test_a_soft_actor_critic_learns_what_pays_later(seed):
    given = [each for each in LEARNS if not each.startswith(("agent.epsilon", "agent.target_every"))]
    made = maker("discrete_sac", "env=gym", "env.id=lab/Fork-v0")(
        f"seed={seed}", *given, "agent.polyak=0.05", "agent.entropy_target=0.1", "agent.temperature=0.1")
    at, look = quiet(made), made.experiment.evaluators["return"]
    at.run(Budget(updates=800))
    assert look()["return/mean"] == 1.0 and look()["length/mean"] == 4.0


class Recall(Fork):
    """The flag is shown at the first step alone."""

    def obs(self):
        return super().obs() * np.array([self.place == 0, 1], np.float32)


gym.register("lab/Recall-v0", Recall, max_episode_steps=20)


def test_what_must_be_remembered_is_learned_with_a_memory_alone():
    """It goes astray from a place that looks the same in both cases; without a memory half of the episodes at best."""
    given = ("agent.num_envs=4", "agent.train_every=2", "agent.warmup=200", "agent.batch_size=32", "agent.n_steps=3",
             "agent.buffer_size=5000", "agent.target_every=25", "agent.discount=0.7", "agent.epsilon_steps=2000",
             "model.hidden=[32]", "optimizer.lr=5e-3", "evaluate.episodes=20", "seed=1")
    made = maker("r2d2", "env=gym", "env.id=lab/Recall-v0")(*given, "agent.memory=16", "agent.length=6",
                                                            "agent.burn_in=2")
    at, look = quiet(made), made.experiment.evaluators["return"]
    at.run(Budget(updates=400))
    assert look()["return/mean"] == 1.0
    made = maker("dqn", "env=gym", "env.id=lab/Recall-v0")(*given)
    at, look = quiet(made), made.experiment.evaluators["return"]
    at.run(Budget(updates=400))
    assert look()["return/mean"] < 1.0


AGENTS = ("dqn", "c51", "qr_dqn", "iqn", "rainbow", "pqn", "r2d2", "discrete_sac")


@pytest.mark.parametrize("agent", AGENTS)
def test_continuous_actions_are_refused(agent):
    with pytest.raises(UsageError, match=rf"{agent} needs a Discrete action space; .* has Box.*or an agent for contin"):
        assemble(composed([f"+agent={agent}", "env=gym", "env.id=lab/TinyContinuous-v0", "compute.device=cpu"]))


@pytest.mark.parametrize("agent, overrides, text", [
    ("dqn", ["agent.priority=1.5"], "agent.priority is 1.5; expected .* 0 to 1"),
    ("dqn", ["agent.priority=-0.1"], "agent.priority is -0.1"),
    ("rainbow", ["agent.importance=2"], "agent.importance is 2"),
    ("c51", ["agent.v_min=5", "agent.v_max=5"], "agent.v_min is 5.0 and agent.v_max 5.0; expected v_min below v_max"),
    ("rainbow", ["agent.v_min=9", "agent.v_max=-9"], "expected v_min below v_max"),
    ("c51", ["agent.atoms=1"], "agent.atoms is 1"),
    ("c51", ["agent.v_min=100_000_000", "agent.v_max=100_000_001"], "too near to each other for numbers of 32 bits"),
    ("dqn", ["agent.n_steps=50", "agent.buffer_size=50", "agent.batch_size=8"], "expected at least 51"),
    ("r2d2", ["agent.buffer_size=30", "agent.batch_size=8"], "sequences of 35 steps .* need at least 36"),
    ("munchausen_dqn", ["agent.double=true"], "agent.double=true and agent.munchausen above 0 exclude each other"),
    ("pqn", ["agent.batch_size=100000"], "agent.batch_size is 100000"),
    ("rainbow", ["agent.n_steps=60", "agent.buffer_size=61", "agent.batch_size=8", "agent.num_envs=2"], "least 122"),
    ("dqn", ["model=cnn"], "model=cnn sees pictures, .* use model=mlp")])
def test_what_cannot_be_is_refused(agent, overrides, text):
    with pytest.raises(UsageError, match=text):
        assemble(composed([f"+agent={agent}", "env=CartPole", *overrides, "compute.device=cpu"]))


@pytest.mark.parametrize("agent, overrides, text", [
    ("pqn", ["agent.rollout_steps=1_000"], r"agent.num_envs \* agent.rollout_steps=8,000 of 32 bytes each"),
    ("dqn", ["agent.buffer_size=1_000", "agent.train_every=5_000"], r"agent.num_envs \* agent.train_every=5,000 of 32"),
    ("dqn", ["agent.buffer_size=1_000", "agent.batch_size=900"], r"agent.gradient_steps \* .*=3,600 of 32 bytes"),
    ("r2d2", ["agent.buffer_size=100", "agent.gradient_steps=9"], r"agent.gradient_steps \* .*=288 of 560 bytes each"),
    ("dqn", [], "agent.buffer_size=10,000 of 36 bytes each")])
def test_what_memory_has_no_room_for_is_refused(agent, overrides, text, monkeypatch):
    """Of 100,000 bytes."""
    monkeypatch.setattr(world, "room", lambda device: 100_000)
    with pytest.raises(UsageError, match=text):
        assemble(composed([f"+agent={agent}", "env=CartPole", *overrides, "compute.device=cpu"]))


@pytest.mark.parametrize("name, reward", [("CartPole-v1", 1.0), ("Acrobot-v1", -1.0), ("MountainCar-v0", -1.0),
                                          ("CliffWalking-v1", -1.0)])
def test_the_atoms_reach_as_far_as_the_returns(name, reward):
    """Of an episode without an end, which a time limit is not: reward / (1 - discount)."""
    row = tuned.C51[name]
    assert row["agent.v_min"] <= reward / (1 - row.get("agent.discount", 0.99)) * (1 - 1e-9) <= row["agent.v_max"]


def gradient_steps(config, row):
    """That the agent's defaults and this row come to within the budget."""
    cfg = {each.name: each.default for each in fields(config)} | {name.partition(".")[2]: row[name] for name in row}
    copies, steps = cfg["num_envs"], row["budget.steps"]
    if "rollout_steps" in cfg:
        rows = copies * cfg["rollout_steps"]
        return math.ceil(steps / rows) * cfg["epochs"] * math.ceil(rows / cfg["batch_size"])
    return (steps - cfg["warmup"]) / (copies * cfg["train_every"]) * cfg["gradient_steps"]


@pytest.mark.parametrize("config, row", [
    pytest.param(config, row, id=f"{config().name}-{name}")
    for config, table in ((DQN, tuned.DQN), (Rainbow, tuned.RAINBOW), (PQN, tuned.PQN), (PPO, TUNED))
    for name, row in table.items() if row.get("optimizer.decay")])
def test_a_rate_falls_until_the_budget_is_used_up(config, row):
    assert row["optimizer.decay"] == pytest.approx(gradient_steps(config, row), rel=0.003)


class Stacked(gym.Env):
    """Four pictures of 12 x 12 in each observation, with or without colours."""

    action_space = spaces.Discrete(2)

    def __init__(self, render_mode=None, colours=()):
        self.observation_space = spaces.Box(0, 255, (4, 12, 12, *colours), np.uint8)
        self.metadata = {"frame_stack": (4, "zero"), "render_modes": []}

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        return np.zeros(self.observation_space.shape, np.uint8), {}

    def step(self, action):
        return np.zeros(self.observation_space.shape, np.uint8), 0.0, False, False, {}


gym.register("lab/Stacked-v0", Stacked, max_episode_steps=5)
gym.register("lab/Coloured-v0", Stacked, max_episode_steps=5, kwargs={"colours": (3,)})
LITTLE = ("model.channels=[2]", "model.kernels=[3]", "model.strides=[3]", "agent.batch_size=2", "agent.n_steps=1")


@pytest.mark.parametrize("agent, id, overrides, text", [
    ("dqn", "Stacked", ["agent.buffer_size=14", "agent.num_envs=3"], "its 4 pictures included, of 3 envi.* are 15"),
    ("r2d2", "Stacked", ["agent.buffer_size=33", "agent.length=20", "agent.burn_in=10"], "environments are 35"),
    ("dqn", "Coloured", [], r"model=auto sees pictures of three axes .* \[4, 12, 12, 3\]: stack pictures without")])
def test_what_stacked_pictures_need_is_known_before_the_start(agent, id, overrides, text):
    given = [f"+agent={agent}", "env=gym", f"env.id=lab/{id}-v0", *LITTLE, *overrides, "compute.device=cpu"]
    with pytest.raises(UsageError, match=text):
        assemble(composed(given))


def test_noise_needs_a_layer_to_be_on():
    with pytest.raises(UsageError, match=r"agent\.noisy=true puts noise on fully connected layers, and this model has"):
        explored(nn.Sequential(nn.Flatten()), NoisyDQN())


@pytest.mark.parametrize("n", [1, 3, 8])
def test_noise_and_drawn_fractions_go_together(n):
    """Each environment has its own noise, whatever the number of samples (8)."""
    learner = maker("iqn")("agent.noisy=true", f"agent.num_envs={n}", "agent.samples=8").experiment.learner
    assert learner.act(torch.zeros(n, 2), 10**9).shape == (n,)
    learner.acting[0].draw(learner.rng, n, n)
    assert learner.q.net(torch.zeros(n, 2)).shape[:2] == (n, 3)


class Film(gym.Env):
    """A picture whose single bright row is what to do: byte observations of 12 x 12 with channels last."""

    observation_space, action_space = spaces.Box(0, 255, (12, 12, 1), np.uint8), spaces.Discrete(2)

    def __init__(self, render_mode=None):
        self.side = 0

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        return self.shown(), {}

    def shown(self):
        self.side = int(self.np_random.integers(2))
        picture = np.zeros((12, 12, 1), np.uint8)
        picture[2 + 6 * self.side] = 255
        return picture

    def step(self, action):
        right = float(action == self.side)
        return self.shown(), right, False, False, {}


gym.register("lab/Film-v0", Film, max_episode_steps=10)


def test_pictures_are_learned_from_by_what_fits_them():
    made = maker("rainbow", "env=gym", "env.id=lab/Film-v0")(
        "seed=1", *LEARNS, "agent.discount=0.0", "agent.n_steps=1", "agent.v_min=0", "agent.v_max=1", "agent.atoms=11",
        "model.channels=[8]", "model.kernels=[4]", "model.strides=[4]")
    at, look = quiet(made), made.experiment.evaluators["return"]
    at.run(Budget(updates=200))
    assert look()["return/mean"] == 10.0 and at.stream.ring.columns["obs"].dtype is torch.uint8
    assert isinstance(at.stream, Replay)
