"""Every agent of every installed plugin through every check; and proof that the resume check can fail."""

import functools

import pytest
import torch

from lab import meter
from lab.host import host
from lab.recorder import Recorder
from lab.testing import CHECKS, applicable, checks, kinds, maker, survivors

AGENTS = host().names("agent")
CASES = [(agent, check, reason) for agent in AGENTS for check, reason in applicable(agent)]
HIDDEN, TIRED = (("env=gym", f"env.id=lab/Tiny{name}-v0") for name in ("Hidden", "Tired"))
LAKE = ("env=FrozenLake", "+env.options.desc=[SFG,FHF]")        # its transition table is known: no Python step per step


@functools.cache
def made(agent, *world):
    return maker(agent, *world)


@pytest.mark.parametrize("agent, check, reason", CASES, ids=[f"{agent}-{check.__name__}" for agent, check, _ in CASES])
def test_promise(agent, check, reason, tmp_path):
    """A check that cannot apply is declared so, with a reason that a reader can follow."""
    if reason is None:
        check(made(agent), tmp_path)
    else:
        assert isinstance(reason, str) and len(reason.split()) > 3


@pytest.mark.parametrize("agent", AGENTS)
def test_no_check_is_declined_that_does_not_exist(agent):
    assert set(host().entry("agent", agent).not_checked) <= {check.__name__ for check in CHECKS}


@pytest.fixture
def short_fold(monkeypatch):
    """So that a kill finds rows of a log window that are summed and rows that are not."""
    monkeypatch.setattr(meter, "FOLD", 8)


@functools.cache
def first_seen(folder):
    """Class -> the first agent that relies on it: it is mutated there alone."""
    seen = {}
    for agent in AGENTS:
        seen.update({kind: agent for kind in kinds(made(agent), folder) if kind not in seen})
    return seen


@pytest.mark.parametrize("agent", AGENTS)
def test_whatever_is_forgotten_is_noticed(agent, tmp_path, short_fold):
    """Episodes that can be replayed need no actions: what only a replay needs is forgotten in the next test."""
    own = [kind for kind, first in first_seen(tmp_path).items() if first == agent]
    assert own and set(survivors(made(agent), tmp_path, own)) <= {"Recorder.actions", "Recorder.past"}


def test_whatever_is_forgotten_of_an_environment_is_noticed_where_it_matters(tmp_path, short_fold):
    """Attributes, the episode's actions, all actions: one environment for each way of coming back."""
    left = [set(survivors(made("dqn", *world), tmp_path / str(i), [Recorder])) for i, world in enumerate(((), HIDDEN, TIRED))]
    assert left == [{"Recorder.actions", "Recorder.past"}, {"Recorder.inner", "Recorder.past"}, {"Recorder.inner"}]
    assert not set.intersection(*left)


@pytest.mark.skipif("q_learning" not in AGENTS, reason="the tabular plugin is not installed")
def test_whatever_is_forgotten_of_a_transition_table_is_noticed(tmp_path, short_fold):
    at = made("q_learning", *LAKE)
    assert "TableEnvs" in {kind.__name__ for kind in kinds(at, tmp_path)} and survivors(at, tmp_path) == []


@pytest.mark.parametrize("world", [HIDDEN, TIRED])
def test_a_run_that_is_resumed_by_replay_is_exact(world, tmp_path):
    checks.resume_is_exact(made("dqn", *world), tmp_path)


@pytest.mark.parametrize("a, b, equal", [
    ([1.0], [1.0], True), ([float("nan")], [float("nan")], True), ([float("nan")], [0.0], False), ([0.0], [-0.0], False),
    ([1, 2], [1, 3], False), ([True], [False], False), ([1.0], [1], False), ([[1.0]], [1.0], False), ([], [1.0], False)])
def test_states_are_compared_to_the_bit(a, b, equal):
    one, other = {"x": torch.tensor(a), "n": 1}, {"x": torch.tensor(b), "n": 1}
    assert (checks.differences(one, other) == []) is equal


def test_differences_are_named():
    state = {"net": {"weight": torch.ones(2)}, "steps": 3}
    assert checks.differences(state, {"net": {"weight": torch.zeros(2)}, "steps": 3}) == ["/net/weight"]
    assert checks.differences(state, {**state, "steps": 4}) == ["numbers or strings"]
    assert checks.differences(state, {**state, "more": torch.ones(1)}) == ["/more"]


BREAKS = {
    checks.metrics_are_well_formed: lambda real: lambda self, batch: {"loss": torch.zeros(())},
    checks.an_update_changes_the_learner: lambda real: lambda self, batch: {"loss/td": torch.zeros(())},
    checks.same_seed_same_run: lambda real: lambda self, batch: {"loss/td": torch.tensor(float(next(COUNTER)))},
    checks.evaluation_is_neutral: lambda real: lambda self, batch: real(self, {**batch, "reward": batch["reward"] + next(COUNTER)}),
    checks.overfits_one_batch: lambda real: lambda self, batch: {"loss/td": torch.ones(())},
    checks.resume_is_exact: lambda real: lambda self, batch: real(self, {**batch, "reward": batch["reward"] * self.__dict__.setdefault(
        "mood", next(COUNTER))})}
COUNTER = iter(range(1, 10**9))


@pytest.mark.parametrize("check", BREAKS, ids=lambda check: check.__name__)
def test_a_check_fails_where_the_promise_is_broken(check, tmp_path, monkeypatch):
    from lab_dqn.dqn import DeepQ
    monkeypatch.setattr(DeepQ, "update", BREAKS[check](DeepQ.update))
    with pytest.raises(AssertionError):
        check(made("dqn"), tmp_path)
