"""The tabular agents: formulas by hand, table environments against Gymnasium's, learning against exact optima."""

import copy

import gymnasium as gym
import numpy as np
import pytest
import torch
from gymnasium.envs.toy_text.frozen_lake import FrozenLakeEnv

from lab.assembly import assemble
from lab.budget import Budget, Periods
from lab.compose import composed
from lab.compute import Compute
from lab.config import ComputeConfig
from lab.errors import UsageError
from lab.runner import Runner
from lab_tabular.exact import ExactValue, optimal_policy, optimum, policy_value
from lab_tabular.learners import DoubleQLearning, ExpectedSarsa, QLearning, Sarsa
from lab_tabular.maths import decayed, epsilon_greedy, expected, repeated, td_target
from lab_tabular.plugin import Tabular
from lab_tabular.states import Bins, Digits, Integers, states
from lab_tabular.table import Table, known
from lab_tabular.table_envs import TableEnvs

AGENTS = ("q_learning", "sarsa", "expected_sarsa", "double_q_learning")
LEARNERS = (QLearning, Sarsa, ExpectedSarsa, DoubleQLearning)
ISSUED = ("FrozenLake-v1", "FrozenLake8x8-v1", "CliffWalking-v1", "CliffWalkingSlippery-v1", "Taxi-v4")


def compute(seed=0):
    return Compute(ComputeConfig(device="cpu"), seed)


def learner(kind=QLearning, n_states=3, n_actions=2, seed=0, **changes):
    cfg = Tabular(**{"num_envs": 4, "discount": 0.5, "rate": 0.5, "rate_decay": 0.0, "epsilon_start": 0.0,
                     "epsilon_end": 0.0, **changes})
    return kind(Integers(n_states), n_actions, cfg, compute(seed))


def batch(*rows):
    """Each row: obs, action, reward, next_obs, terminal, done."""
    types = {"obs": torch.int64, "action": torch.int64, "reward": torch.float32, "next_obs": torch.int64,
             "terminal": torch.float32, "done": torch.float32}
    columns = zip(types.items(), zip(*rows, strict=True), strict=True)
    return {name: torch.tensor(column, dtype=kind) for (name, kind), column in columns}


def made(agent, *overrides):
    quiet = ["compute.device=cpu", "compute.threads=1", "evaluate.videos=0"]
    return assemble(composed([f"+agent={agent}", *quiet, *overrides]))


def table_envs(env, n=4, seed=0):
    return TableEnvs(env, known(env), n, compute(seed))


class Nowhere:
    """A record that keeps nothing."""

    log = media = save = staticmethod(lambda *each: None)


def train(agent, *overrides):
    """The exact value of the final greedy policy."""
    it = made(agent, *overrides)
    runner = Runner(it.experiment, it.compute, Nowhere(), Periods(10**12, 10**12, 10**12))
    runner.evaluators, runner.closing = {}, {}
    runner.run(Budget(steps=it.cfg.budget.steps))
    return it.experiment.evaluators["value"]()["value/exact"]


# The formulas

def test_a_terminal_state_has_no_future_and_a_truncated_one_has():
    reward, terminal, future = torch.tensor([1.0, 1.0]), torch.tensor([0.0, 1.0]), torch.tensor([10.0, 10.0])
    assert td_target(reward, terminal, future, 0.9).tolist() == [10.0, 1.0]


def test_rates_decay_with_the_number_of_the_visit():
    visit = torch.tensor([1.0, 4.0, 16.0])
    assert decayed(0.5, 0.5, visit).tolist() == [0.5, 0.25, 0.125]
    assert decayed(0.5, 0.0, visit).tolist() == [0.5, 0.5, 0.5]


def test_repeated_visits_go_as_far_as_one_after_another():
    value = 0.0
    for _ in range(3):
        value += 0.1 * (1.0 - value)
    assert value == pytest.approx(0.271)
    rate, times = torch.tensor([0.1, 1.0, 1.0]), torch.tensor([3.0, 1.0, 5.0])
    assert repeated(rate, times).tolist() == pytest.approx([0.271, 1.0, 1.0])


def test_expected_value_of_the_epsilon_greedy_policy():
    assert expected(torch.tensor([[0.0, 4.0]]), 0.25).tolist() == [3.5]        # a quarter of it 2, the rest 4


def test_epsilon_greedy_breaks_ties_and_explores_evenly():
    rng = torch.Generator().manual_seed(0)
    values = torch.tensor([1.0, 0.0, 1.0, -5.0]).repeat(40_000, 1)
    greedy = epsilon_greedy(values, 0.0, rng).bincount(minlength=4) / 40_000
    assert greedy.tolist() == pytest.approx([0.5, 0, 0.5, 0], abs=0.01)
    half = epsilon_greedy(values, 0.4, rng).bincount(minlength=4) / 40_000     # 0.1 each, and 0.3 for each of the best
    assert half.tolist() == pytest.approx([0.4, 0.1, 0.4, 0.1], abs=0.01)


# Observations as states

def test_digits_are_a_mixed_radix():
    digits = Digits([32, 11, 2], torch.device("cpu"))
    assert digits.size == 704
    assert digits(torch.tensor([[0, 0, 1], [0, 1, 0], [1, 0, 0], [31, 10, 1]])).tolist() == [1, 2, 22, 703]


def test_bins_are_equal_and_closed_at_the_ends():
    bins = Bins([-1.0, 0.0], [1.0, 10.0], [4, 2], torch.device("cpu"))
    obs = torch.tensor([[-9.0, -9.0], [-0.6, 4.9], [-0.4, 5.1], [0.99, 9.0], [1e30, 1e30]])
    assert bins(obs).tolist() == [0, 0, 3, 7, 7]


@pytest.mark.parametrize(("overrides", "words"), [
    (["env=Pendulum"], "Discrete action space"),
    (["env=CartPole", "agent.low=[]", "agent.high=[]"], "agent.low"),
    (["env=CartPole", "agent.bins=[100]"], "fewer agent.bins"),
    (["env=CartPole", "agent.bins=[2,2]"], "one per dimension"),
    (["env=CartPole", "agent.low=[1]", "agent.high=[1]"], "low < high"),
    (["env=FrozenLake", "agent.fast_path=sometimes"], "auto, never"),
    (["env=FrozenLake", "agent.rate=0"], "agent.rate"),
    (["env=FrozenLake", "agent.rate_decay=1.5"], "agent.rate_decay"),
])
def test_what_no_table_can_hold_is_refused_with_advice(overrides, words):
    with pytest.raises(UsageError, match=words):
        made("q_learning", *overrides)


@pytest.mark.parametrize("shape", [(8, 8, 3), (30,)])
def test_pictures_and_long_vectors_are_refused_with_advice(shape):
    with pytest.raises(UsageError, match="network"):
        states(gym.spaces.Box(0, 1, shape), "q_learning", [8], ([], []), torch.device("cpu"))


@pytest.mark.parametrize("bound", [np.inf, np.finfo(np.float32).max])
def test_bounds_that_mean_no_bound_are_refused_with_advice(bound):
    with pytest.raises(UsageError, match=r"agent\.low"):
        states(gym.spaces.Box(0, bound, (1,)), "q_learning", [8], ([], []), torch.device("cpu"))


def test_joined_and_shifted_observations_are_states():
    blackjack = made("q_learning", "env=Blackjack", "agent.num_envs=2").experiment
    assert blackjack.learner.q.shape == (1, 704, 2)
    shifted = made("q_learning", "env=gym", "env.id=lab/TinyDiscrete-v0", "agent.num_envs=2").experiment
    shifted.learner.update(shifted.stream.next())
    assert shifted.learner.q.shape == (1, 9, 3)


# The updates

def test_q_learning_by_hand():
    it = learner(QLearning)
    it.q[0, 1] = torch.tensor([2.0, 6.0])
    metrics = it.update(batch((0, 1, 1.0, 1, 0, 0), (0, 0, 1.0, 1, 1, 1)))
    assert it.q[0, 0].tolist() == [0.5, 2.0]                # half way to 1, and half way to 1 + 0.5 * 6
    assert metrics["loss/td"] == 2.5 and metrics["q/mean"] == pytest.approx(10.5 / 6)


def test_visits_of_one_cell_in_one_batch_move_it_as_one_after_another():
    it = learner(QLearning)
    it.update(batch((0, 1, 4.0, 1, 1, 1), (0, 1, 8.0, 1, 1, 1), (2, 0, 1.0, 1, 1, 1)))
    assert it.q[0].tolist() == [[0, 4.5], [0, 0], [0.5, 0]]           # 1 - 0.5**2 of the way to the mean, 6
    assert it.visits[0].tolist() == [[1, 3], [1, 1], [2, 1]]          # the number of the next visit


def test_many_visits_never_pass_the_target():
    it = learner(QLearning, rate=1.0)
    it.update(batch(*[(0, 0, 3.0, 1, 1, 1)] * 500))
    assert it.q[0, 0, 0] == pytest.approx(3.0)


def test_the_rate_of_a_batch_follows_the_visits_before_it():
    it = learner(QLearning, rate=1.0, rate_decay=1.0)                 # 1 / k: the mean of all targets
    for target in (1.0, 2.0, 6.0):
        it.update(batch((0, 0, target, 1, 1, 1)))
    assert it.q[0, 0, 0] == pytest.approx(3.0)


def test_epsilon_falls_in_a_straight_line_over_the_steps_learned_from():
    it = learner(epsilon_start=1.0, epsilon_end=0.2, epsilon_steps=8)
    shown = [it.update(batch(*[(0, 0, 0.0, 1, 0, 0)] * 4))["explore/epsilon"].item() for _ in range(3)]
    assert shown == pytest.approx([0.6, 0.2, 0.2])
    assert [it.epsilon(count) for count in (0, 4, 100)] == pytest.approx([1.0, 0.6, 0.2])


def test_expected_sarsa_by_hand():
    it = learner(ExpectedSarsa, epsilon_start=0.5, epsilon_end=0.5)
    it.q[0, 1] = torch.tensor([0.0, 4.0])
    it.update(batch((0, 0, 1.0, 1, 0, 0)))
    assert it.q[0, 0, 0] == 1.25                            # half way to 1 + 0.5 * 3


def test_double_q_learning_lets_one_table_choose_and_the_other_judge():
    it = learner(DoubleQLearning)
    it.q[0, 1], it.q[1, 1] = torch.tensor([5.0, 1.0]), torch.tensor([2.0, 8.0])
    it.update(batch(*[(0, 0, 0.0, 1, 0, 0)] * 200))         # one chooses 0, worth 2; the other 1, worth 1
    assert it.q[:, 0, 0].tolist() == pytest.approx([1.0, 0.5])
    assert it.greedy(torch.tensor([1])).tolist() == [1]     # 5 + 2 < 1 + 8


def test_double_q_learning_visits_only_the_table_that_learns():
    it = learner(DoubleQLearning)
    it.update(batch(*[(0, 0, 1.0, 1, 1, 1)] * 100))
    first, second = (it.visits[:, 0, 0] - 1).tolist()
    assert first + second == 100 and 30 < first < 70


def test_sarsa_learns_from_the_action_that_it_then_executes():
    it, n = learner(Sarsa, 2, 3, num_envs=300, epsilon_start=1.0, epsilon_end=1.0, rate=1.0, discount=1.0), 300
    it.q[0, 1] = torch.tensor([10.0, 20.0, 30.0])
    it.act(torch.zeros(n, dtype=torch.long), 0)
    for i in range(20):                                     # one transition that matters, i; the others end
        rows = [(0, 0, 0.0, 1, float(j != i), float(j != i)) for j in range(n)]
        it.cells[0] = 0
        it.visits.fill_(1)
        it.update(batch(*rows))
        executed = it.act(torch.ones(n, dtype=torch.long), 0)[i]
        assert it.q[0, 0, 0] == pytest.approx(10.0 * (1 + executed.item()) / n)      # the mean of n targets


def test_sarsa_draws_anew_where_an_episode_began():
    it = learner(Sarsa, 3, 2, num_envs=3)
    it.q[0, 1], it.q[0, 2] = torch.tensor([9.0, 0.0]), torch.tensor([0.0, 9.0])
    it.act(torch.zeros(3, dtype=torch.long), 0)
    it.update(batch((0, 0, 0.0, 1, 0, 0), (0, 0, 0.0, 1, 0, 1), (0, 0, 0.0, 1, 1, 1)))    # goes on, truncated, ends
    assert it.q[0, 0, 0] == pytest.approx(3 * (1 - 0.5**3))           # the mean of 4.5, 4.5 (bootstrapped) and 0
    assert it.act(torch.tensor([1, 2, 2]), 0).tolist() == [0, 1, 1]


@pytest.mark.parametrize("kind", LEARNERS)
def test_metrics_have_one_form(kind):
    it, rows = learner(kind, num_envs=2), [(0, 0, 1.0, 1, 0, 0), (1, 1, 0.0, 2, 1, 1)]
    names = {tuple(it.update(batch(*rows))) for _ in range(3)}
    assert names == {("loss/td", "q/mean", "rate/mean", "explore/epsilon")}


# Exact values

def chain(p=1.0, limit=None):
    """Action 0 stays in state 0 for 1 reward; action 1 ends with 5, with probability p, else stays for nothing."""
    probability, follow = np.zeros((2, 2, 2)), np.zeros((2, 2, 2), np.int64)
    reward, terminal = np.zeros((2, 2, 2)), np.zeros((2, 2, 2))
    probability[0, 0, 0], reward[0, 0, 0] = 1, 1
    probability[0, 1], reward[0, 1, 0], terminal[0, 1, 0], follow[0, 1, 0] = (p, 1 - p), 5, 1, 1
    probability[1, :, 0], terminal[1, :, 0] = 1, 1
    return Table(probability, follow, reward, terminal, np.array([1.0, 0.0]), limit)


def test_values_of_a_chain_by_hand():
    assert policy_value(chain(), np.array([0, 0]), 7) == 7.0          # one reward for each of seven steps
    assert policy_value(chain(), np.array([1, 0]), 7) == 5.0
    assert policy_value(chain(0.5), np.array([1, 0]), 2) == 3.75      # 5 * (1/2 + 1/4)
    assert policy_value(chain(0.5), np.array([1, 0]), 10_000) == pytest.approx(5.0)
    assert optimum(chain(), 7) == 11.0                                # wait six steps, then take the 5
    assert optimal_policy(chain(), 0.5)[0] == 1 and optimal_policy(chain(), 0.9)[0] == 0     # 1 / (1 - gamma) against 5


def test_known_optima_of_gymnasium():
    lake, cliff = known(gym.make("FrozenLake-v1")), known(gym.make("CliffWalking-v1"))
    assert optimum(lake, 100) == pytest.approx(0.7442, abs=5e-5)
    assert policy_value(lake, optimal_policy(lake, 0.99), 100) == pytest.approx(0.7402, abs=5e-5)
    assert optimum(cliff, 1000) == -13 == policy_value(cliff, optimal_policy(cliff, 0.99), 10_000)


def test_a_policy_that_never_ends_has_a_finite_value():
    table = known(gym.make("CliffWalking-v1"))
    into_the_cliff = ExactValue(table, torch.ones_like, 10_000, torch.device("cpu"))        # action 1 is right
    assert into_the_cliff() == {"value/exact": -1_000_000.0}


def test_a_registered_limit_is_the_horizon():
    assert ExactValue(chain(limit=4), torch.zeros_like, 99, torch.device("cpu"))() == {"value/exact": 4.0}


# Which environments are drawn from their table

@pytest.mark.parametrize("id", ISSUED)
def test_gymnasiums_toy_text_is_known(id):
    table = known(gym.make(id))
    assert table is not None and table.limit == gym.spec(id).max_episode_steps


def test_a_shorter_limit_and_another_map_are_respected():
    assert known(gym.make("FrozenLake-v1", max_episode_steps=7, desc=["SG"])).limit == 7
    assert known(gym.make("FrozenLake-v1", max_episode_steps=7, desc=["SG"])).start.tolist() == [1, 0]
    assert known(gym.wrappers.TimeLimit(gym.make("FrozenLake-v1"), 7)).limit == 7


class OwnStep(FrozenLakeEnv):
    def step(self, action):
        return super().step(action)


class OwnReset(FrozenLakeEnv):
    def reset(self, **options):
        return super().reset(**options)


class OwnTable(FrozenLakeEnv):
    def __init__(self):
        super().__init__(is_slippery=False)
        self.P[0][0] = [(0.25, 4, 3.0, False), (0.75, 5, 0.0, True)]


def replaced():
    env = FrozenLakeEnv()
    env.reset = lambda **options: (3, {})
    return env


@pytest.mark.parametrize("make", [
    OwnStep, OwnReset, replaced, lambda: gym.make("Taxi-v4", fickle_passenger=True), lambda: gym.make("Blackjack-v1"),
    lambda: gym.make("CartPole-v1"), lambda: gym.wrappers.TransformReward(gym.make("FrozenLake-v1"), lambda r: -r),
])
def test_what_might_be_another_process_is_not(make):
    assert known(make()) is None


def test_a_subclass_may_bring_its_own_table():
    table = known(OwnTable())
    assert table.probability[0, 0].tolist() == [0.25, 0.75] and table.limit is None
    assert table.probability[0, 1].tolist() == [1, 0]


def test_the_choice_is_said_at_the_start():
    fast = made("q_learning", "env=FrozenLake").experiment.stream
    slow = made("q_learning", "env=FrozenLake", "agent.fast_path=never", "agent.num_envs=2").experiment.stream
    assert "fast path" in fast.notes()[0] and "ordinary path" in slow.notes()[0]
    assert isinstance(fast.envs, TableEnvs) and not isinstance(slow.envs, TableEnvs)


# The table environments against Gymnasium's

@pytest.mark.parametrize(("id", "options"), [
    ("FrozenLake-v1", {"is_slippery": False}), ("CliffWalking-v1", {"max_episode_steps": 30}), ("Taxi-v4", {})])
def test_deterministic_environments_step_by_step(id, options):
    env, n = gym.make(id, **options), 8
    envs, rng = table_envs(env, n), np.random.default_rng(0)
    twins, lengths = [gym.make(id, **options) for _ in range(n)], np.zeros(n, int)
    for i, twin in enumerate(twins):
        twin.reset(seed=0)
        twin.unwrapped.s = int(envs.obs[i])
    for _ in range(400):
        action = rng.integers(env.action_space.n, size=n)
        rows = envs.collect(lambda obs, count, action=action: torch.tensor(action), 1)
        lengths += 1
        for i, twin in enumerate(twins):
            obs, reward, terminated, truncated, _ = twin.step(int(action[i]))
            seen = [rows[name][0, i].item() for name in ("next_obs", "reward", "terminal", "done")]
            assert seen == [obs, reward, terminated, terminated or truncated]
            if terminated or truncated:
                twin.reset()
                twin.unwrapped.s, lengths[i] = int(envs.obs[i]), 0
            assert twin.unwrapped.s == envs.obs[i] and envs.lengths[i] == lengths[i]


@pytest.mark.parametrize("make", [lambda: gym.make("FrozenLake-v1", success_rate=0.7), OwnTable])
def test_transition_frequencies(make):
    """Each outcome of each pair within 4.5 standard deviations of its probability."""
    env, n = make(), 4096
    envs, table, rng = table_envs(env, n), known(env), torch.Generator().manual_seed(0)
    seen = torch.zeros(16, 4, 16)
    for _ in range(300):
        rows = envs.step(torch.randint(4, (n,), generator=rng))
        seen.index_put_((rows["obs"], rows["action"], rows["next_obs"]), torch.ones(n), accumulate=True)
    true = np.zeros((16, 4, 16))
    for s, a, k in np.ndindex(table.probability.shape):
        true[s, a, table.next_state[s, a, k]] += table.probability[s, a, k]
    visits = seen.sum(-1, keepdim=True).numpy()
    deviation = np.abs(seen.numpy() - visits * true) / np.sqrt(visits * true * (1 - true) + 1e-9).clip(1)
    assert visits[:5, :].min() > 100 and deviation[visits[..., 0] > 0].max() < 4.5


def test_starts_follow_their_distribution():
    env, n = gym.make("Taxi-v4"), 30_000
    envs, start = table_envs(env, n), known(env).start
    seen = torch.cat([envs.obs, envs.first()]).bincount(minlength=500).numpy()
    assert (seen[start == 0] == 0).all() and np.abs(seen - 2 * n * start).max() < 4.5 * np.sqrt(2 * n / 300)


def test_truncation_is_no_terminal_and_begins_an_episode():
    envs = table_envs(gym.make("FrozenLake-v1", max_episode_steps=3, is_slippery=False), 2)
    rows = envs.collect(lambda obs, count: torch.tensor([1, 0]), 7)   # down twice, or against the wall
    assert rows["obs"][:, 0].tolist() == [0, 4, 8, 0, 4, 8, 0]        # down from 8 falls into the hole 12
    assert rows["next_obs"][:, 0].tolist() == [4, 8, 12, 4, 8, 12, 4]
    assert rows["terminal"].T.tolist() == [[0, 0, 1, 0, 0, 1, 0], [0] * 7]
    assert rows["done"].T.tolist() == [[0, 0, 1, 0, 0, 1, 0]] * 2
    assert envs.metrics() == {"episode/return": 0.0, "episode/length": 3.0, "episode/count": 4.0}
    assert envs.metrics() == {}


def test_episode_metrics_are_sums_of_rewards():
    envs = table_envs(gym.make("CliffWalking-v1"), 3)
    path = [0, *[1] * 11, 2]
    envs.collect(lambda obs, count: torch.full((3,), path[count // 3 % 13]), 26)
    assert envs.metrics() == {"episode/return": -13.0, "episode/length": 13.0, "episode/count": 6.0}


def test_same_batches_as_the_ordinary_environments():
    fast, slow = (made("q_learning", "env=FrozenLake", f"agent.fast_path={path}", "agent.num_envs=3").experiment.stream
                  for path in ("auto", "never"))
    a, b = fast.next(), slow.next()
    assert a.keys() == b.keys() and fast.count == slow.count == 3
    assert all(a[name].shape == b[name].shape and a[name].dtype == b[name].dtype for name in a)
    a, b = (stream.envs.collect(stream.act, 4) for stream in (fast, slow))
    assert a.keys() == b.keys() and all(a[name].shape == b[name].shape and a[name].dtype == b[name].dtype for name in a)


# Whole runs

@pytest.mark.parametrize("agent", AGENTS)
@pytest.mark.parametrize("env", ["FrozenLake", "Taxi"])
def test_resume_is_exact(agent, env):
    """A twin from another seed, given the state in the midst of a run, goes on to the same bits."""
    first, twin = (made(agent, f"env={env}", f"seed={seed}", "agent.num_envs=16", "env.max_episode_steps=9").experiment
                   for seed in (1, 2))
    for each, updates in ((first, 37), (twin, 20)):
        for _ in range(updates):
            each.learner.update(each.stream.next())
    twin.learner.load_state_dict(copy.deepcopy(first.learner.state_dict()))
    twin.stream.load_state_dict(copy.deepcopy(first.stream.state_dict()))
    for _ in range(100):
        a, b = (each.learner.update(each.stream.next()) for each in (first, twin))
        assert all(torch.equal(a[name], b[name]) for name in a)
    assert torch.equal(first.learner.q, twin.learner.q) and torch.equal(first.stream.envs.obs, twin.stream.envs.obs)
    assert first.stream.count == twin.stream.count and first.stream.metrics() == twin.stream.metrics()


@pytest.mark.parametrize("agent", AGENTS)
def test_every_agent_walks_along_the_cliff(agent):
    on_policy = ["agent.rate_decay=0.7", "agent.rate=1", "agent.epsilon_start=0.0005"] if "sarsa" in agent else []
    changes = ["agent.num_envs=64", "budget.steps=150_000", "agent.epsilon_steps=135_000", *on_policy]
    values = [train(agent, "env=CliffWalking", *changes, f"seed={seed}") for seed in range(2)]
    assert values == [-13.0] * 2


def test_q_learning_finds_the_best_stationary_policy_on_ice():
    budget = ["budget.steps=600_000", "agent.epsilon_steps=500_000", "agent.rate_decay=0.5"]
    values = [train("q_learning", "env=FrozenLake", *budget, f"seed={seed}") for seed in range(3)]
    assert min(values) >= 0.735


def test_the_ordinary_path_learns_too():
    value = train("q_learning", "env=FrozenLake", "agent.fast_path=never", "agent.num_envs=8", "budget.steps=24_000",
                  "agent.epsilon_steps=20_000", "agent.rate_decay=0", "+env.options.is_slippery=false")
    assert value == 1.0
