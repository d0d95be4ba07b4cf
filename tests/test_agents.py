"""Every agent of every installed plugin through every check; and proof that the resume check can fail."""

import functools
import tempfile
from pathlib import Path

import numpy as np
import pytest
import torch

from lab import meter, rows
from lab.action_log import ActionLog
from lab.errors import Diverged
from lab.host import host
from lab.recorder import Recorder
from lab.replay import Replay
from lab.testing import CHECKS, applicable, checks, kinds, maker, survivors
from lab_dqn.dqn import Coins, DeepQ

AGENTS = host().names("agent")
CASES = [(agent, check, reason) for agent in AGENTS for check, reason in applicable(agent)]
HIDDEN, TIRED = (("env=gym", f"env.id=lab/Tiny{name}-v0") for name in ("Hidden", "Tired"))
LAKE = ("env=FrozenLake", "+env.options.desc=[SFG,FHF]")        # its transition table is known: no Python step per step
LOGS = {"Recorder.logs", *(f"ActionLog.{name}" for name in ActionLog.saved)}      # what only a replay needs
SPARED = {*LOGS, "Ring.age", "Sequences.highest", "DeepQ.rng", "Categorical.rng", "Coins.held", "Coins.left",
          "Adversaries.warned", "Vectors.warned"}                # what was said once: tests/test_gan.py, test_vae.py
OFTEN = [agent for agent in AGENTS if not agent.startswith("sb3_") or agent == "sb3_ppo"]        # one of nine alike


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
    monkeypatch.setattr(rows, "CHUNK", 200)         # bytes, so that the kit's small buffers have chunks too


@functools.cache
def first_seen():
    """Class -> the first agent that relies on it: it is mutated there alone."""
    seen = {}
    with tempfile.TemporaryDirectory() as folder:
        for agent in AGENTS:
            seen.update({kind: agent for kind in kinds(made(agent), Path(folder)) if kind not in seen})
    return seen


@pytest.mark.parametrize("agent", [
    *OFTEN, *(pytest.param(agent, marks=pytest.mark.slow) for agent in AGENTS if agent not in OFTEN)])
def test_whatever_is_forgotten_is_noticed(agent, tmp_path, short_fold):
    """Episodes that can be replayed need no actions: what only a replay needs is forgotten in the next test. The kit's
    worlds have no stacked pictures (tests/test_ring.py), and small sequences no error above the first priority of 1.
    What only noise is drawn from, and actions that are held, are forgotten in the next tests too.
    """
    if own := [kind for kind, first in first_seen().items() if first == agent]:
        assert set(survivors(made(agent), tmp_path, own)) <= SPARED


@pytest.mark.parametrize("agent", ["noisy_dqn", "rainbow"])
def test_noise_that_is_forgotten_is_noticed(agent, tmp_path, short_fold):
    """Where noise explores the coins are not looked at."""
    kind = type(made(agent)().experiment.learner)
    assert set(survivors(made(agent), tmp_path, [kind])) == {f"{kind.__name__}.coins"}


def test_actions_that_are_held_and_forgotten_are_noticed(tmp_path, short_fold):
    assert not set(survivors(made("dqn", "agent.epsilon_zeta=1.5"), tmp_path, [Coins]))


def test_whatever_is_forgotten_of_an_environment_is_noticed_where_it_matters(tmp_path, short_fold):
    """Attributes, the episode's actions, all actions: one environment for each way of coming back."""
    left = [set(survivors(made("dqn", *world), tmp_path / str(number), [Recorder, ActionLog]))
            for number, world in enumerate(((), HIDDEN, TIRED))]
    assert left == [LOGS, {"Recorder.inner", "ActionLog.begins"}, {"Recorder.inner", "ActionLog.first"}]
    assert not set.intersection(*left)


def test_whatever_is_forgotten_of_a_transition_table_is_noticed(tmp_path, short_fold):
    at = made("q_learning", *LAKE)
    assert "TableEnvs" in {kind.__name__ for kind in kinds(at, tmp_path)} and survivors(at, tmp_path) == []


@pytest.mark.parametrize("world", [HIDDEN, TIRED])
def test_a_run_that_is_resumed_by_replay_is_exact(world, tmp_path):
    checks.resume_is_exact(made("dqn", *world), tmp_path)


@pytest.mark.parametrize("a, b, equal", [
    ([1.0], [1.0], True), ([float("nan")], [float("nan")], True), ([float("nan")], [0.0], False),
    ([0.0], [-0.0], False),
    ([1, 2], [1, 3], False), ([True], [False], False), ([1.0], [1], False), ([[1.0]], [1.0], False),
    ([], [1.0], False)])
def test_states_are_compared_to_the_bit(a, b, equal):
    one, other = {"x": torch.tensor(a), "n": 1}, {"x": torch.tensor(b), "n": 1}
    assert (checks.differences(one, other) == []) is equal


def test_arrays_without_a_number_are_compared_too():
    """Those of numpy have no stride."""
    one, other = {"x": np.zeros(0)}, {"x": np.zeros((0, 2))}
    assert checks.differences(one, {"x": np.zeros(0)}) == [] and checks.differences(one, other) == ["/x"]


def test_differences_are_named():
    state = {"net": {"weight": torch.ones(2)}, "steps": 3}
    assert checks.differences(state, {"net": {"weight": torch.zeros(2)}, "steps": 3}) == ["/net/weight"]
    assert checks.differences(state, {**state, "steps": 4}) == ["numbers or strings"]
    assert checks.differences(state, {**state, "more": torch.ones(1)}) == ["/more"]


COUNTER = iter(range(1, 10**9))


def counted(self):
    """Something that no checkpoint holds."""
    return vars(self).setdefault("mood", float(next(COUNTER)))


def stepping(self):
    self.steps += 1


BREAKS = {                        # check -> the method of DQN and what it is replaced by, given the real one
    checks.metrics_are_well_formed: ("update", lambda real: lambda self, batch: {"loss": torch.zeros(())}),
    checks.an_update_changes_the_learner: ("update", lambda real: lambda self, batch: {"loss/td": torch.zeros(())}),
    checks.same_seed_same_run: ("update", lambda real: lambda self, batch: {"loss/a": torch.tensor(next(COUNTER) / 8)}),
    checks.another_seed_another_run: ("state_dict", lambda real: lambda self: {}),
    checks.evaluation_is_neutral: ("greedy", lambda real: lambda self, obs: (real(self, obs), stepping(self))[0]),
    checks.resume_is_exact: ("goal", lambda real: lambda self, *rows: real(self, *rows) + 1 / counted(self)),
    checks.saved_before_any_update: ("goal", lambda real: lambda self, *rows: real(self, *rows) + 1 / counted(self)),
    checks.overfits_one_batch: ("update", lambda real: lambda self, batch: {"loss/td": torch.ones(())}),
    checks.bf16_is_finite: ("goal", lambda real: lambda self, *rows: real(self, *rows) * float("nan"))}


@pytest.mark.parametrize("check", BREAKS, ids=lambda check: check.__name__)
def test_a_check_fails_where_the_promise_is_broken(check, tmp_path, monkeypatch):
    name, replaced = BREAKS[check]
    monkeypatch.setattr(DeepQ, name, replaced(getattr(DeepQ, name)))
    with pytest.raises((AssertionError, Diverged)):
        check(made("dqn"), tmp_path)


def test_slow_to_build_and_batches_of_another_form(tmp_path, monkeypatch):
    monkeypatch.setattr(checks, "SECONDS", 0.0)
    with pytest.raises(AssertionError, match="building took"):
        checks.builds_from_defaults(made("dqn"), tmp_path)
    sample = Replay.sample
    for batch in (lambda self: {**sample(self), "odd": torch.zeros(7)},
                  lambda self: setattr(self, "count", -1) or sample(self)):
        monkeypatch.setattr(Replay, "sample", batch)
        with pytest.raises(AssertionError, match=r"leading axes differ|count must grow"):
            checks.batches_are_well_formed(made("dqn"), tmp_path)
