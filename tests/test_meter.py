"""Means by hand, the first value that was not finite by name and number, and a save that leaves no trace."""

import math

import pytest
import torch

from lab import meter as module
from lab.errors import Diverged, LabError
from lab.meter import Meter

CPU = torch.device("cpu")


@pytest.fixture(params=[2, 3, 4, 256])
def fold(request, monkeypatch):
    monkeypatch.setattr(module, "FOLD", request.param)
    return request.param


def add(meter, metrics):
    """What the loop does."""
    meter.pending.append(metrics)
    if len(meter.pending) >= module.FOLD:
        meter.fold()


def row(**values):
    return {name.replace("_", "/"): torch.tensor(value) for name, value in values.items()}


def test_means_by_hand(fold):
    meter = Meter(CPU)
    for a, b in ((1.0, -1.0), (2.0, 0.0), (6.0, 0.5), (1.0, 0.5)):
        add(meter, row(loss_a=a, q_b=b))
    assert meter.read(4) == {"loss/a": 2.5, "q/b": 0.0}
    add(meter, row(loss_a=7.0, q_b=8.0))
    assert meter.read(5) == {"loss/a": 7.0, "q/b": 8.0}                # a window of its own
    assert meter.read(5) == {}


def test_sums_are_exact_where_float32_would_round(fold):
    meter, values = Meter(CPU), [1e8, 1.0, -1e8, 1.0, 1.0]
    for value in values:
        add(meter, row(loss_a=value))
    assert meter.read(5) == {"loss/a": 0.6}


def test_graphs_and_small_floats_are_taken_too():
    meter = Meter(CPU)
    add(meter, {"a/a": torch.tensor(1.5, dtype=torch.bfloat16), "a/b": torch.ones((), requires_grad=True) * 2})
    assert meter.read(1) == {"a/a": 1.5, "a/b": 2.0}


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("at", range(7))
def test_the_first_that_was_not_finite_is_named(at, value, fold):
    """A later metric in the first bad row, an earlier one in the row after: the row counts."""
    meter = Meter(CPU)
    for i in range(7):
        add(meter, row(loss_a=value if i > at else 1.0, loss_b=value if i == at else 2.0, loss_c=3.0))
    text = rf"^loss/b was not finite at update {93 + at + 1}$"         # 93 updates before this window
    with pytest.raises(Diverged, match=text):
        meter.check(100)
    with pytest.raises(Diverged, match=text):
        meter.read(100)


def test_a_window_after_a_good_one_counts_from_its_own_start(fold):
    meter = Meter(CPU)
    for _ in range(5):
        add(meter, row(loss_a=1.0))
    meter.read(1005)
    for value in (1.0, math.nan, 1.0):
        add(meter, row(loss_a=value))
    with pytest.raises(Diverged, match="loss/a was not finite at update 1,007"):
        meter.check(1008)


def test_checking_changes_nothing(fold):
    meter = Meter(CPU)
    for i in range(7):
        add(meter, row(loss_a=float(i)))
        meter.check(i + 1)
    assert meter.read(7) == {"loss/a": 3.0}


@pytest.mark.parametrize("odd", [row(loss_b=1.0), row(loss_a=1.0, loss_b=1.0), row(), row(loss_b=1.0, loss_a=1.0)])
def test_names_that_change_are_refused(odd, fold):
    """Also in another order, also in another window."""
    for first in (row(loss_a=1.0), row(loss_a=1.0, loss_b=2.0)):
        if list(first) == list(odd):
            continue
        meter = Meter(CPU)
        add(meter, first)
        meter.read(1)
        with pytest.raises(LabError, match="must be the same at every update"):
            add(meter, odd), meter.read(2)


@pytest.mark.parametrize("kill", range(1, 11))
def test_saved_in_mid_window_changes_no_bit(kill, fold):
    """Compared with a meter that was never saved, in what it reads and in what it would save."""
    values = torch.rand(11, 2, generator=torch.Generator().manual_seed(0)) * 1e3
    rows = [{"loss/a": a, "q/b": b} for a, b in values]
    whole, first, second = Meter(CPU), Meter(CPU), Meter(CPU)
    for i, each in enumerate(rows):
        add(whole, each)
        add(first if i < kill else second, each)
        if i + 1 == kill:
            second.load_state_dict({name: value for name, value in first.state_dict().items()})
            before = first.state_dict()
    assert [torch.equal(a, b) if isinstance(a, torch.Tensor) else a == b
            for a, b in zip(whole.state_dict().values(), second.state_dict().values(), strict=True)] == [True] * 4
    assert whole.read(11) == second.read(11)
    assert before["folded"] <= kill and first.n == kill


def test_saved_with_nothing_in_it(fold):
    meter = Meter(CPU)
    meter.load_state_dict(Meter(CPU).state_dict())
    assert meter.read(0) == {}
    add(meter, row(loss_a=1.0)), meter.read(1)
    other = Meter(CPU)
    other.load_state_dict(meter.state_dict())
    add(other, row(loss_a=3.0))
    assert other.read(2) == {"loss/a": 3.0}


def test_the_update_is_right_after_a_resume_in_mid_window(fold):
    first, second = Meter(CPU), Meter(CPU)
    for _ in range(5):
        add(first, row(loss_a=1.0))
    second.load_state_dict(first.state_dict())
    for value in (1.0, math.inf):
        add(second, row(loss_a=value))
    with pytest.raises(Diverged, match="loss/a was not finite at update 7"):
        second.check(7)
