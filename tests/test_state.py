"""What is declared is saved and comes back in place; what is drawn aside leaves no trace."""

import copy
import random

import numpy as np
import pytest
import torch
from torch import nn

from lab import checkpoint
from lab.state import Saved, frozen_rng, pack, rng_state, seed_globals, set_rng_state


class Part(Saved):
    saved = ("weight", "count", "notes")

    def __init__(self, fill=0.0):
        self.weight, self.count, self.notes, self.scratch = torch.full((2,), fill), 0, [], "own"


class Whole(Saved):
    saved = ("net", "optimizer", "rng", "part", "parts", "window", "table")

    def __init__(self, seed=0):
        torch.manual_seed(seed)
        self.net = nn.Linear(2, 1)
        self.optimizer = torch.optim.Adam(self.net.parameters(), 0.1)
        self.rng, self.part = torch.Generator().manual_seed(seed), Part(float(seed))
        self.parts, self.window, self.table = {"a": Part(), "b": torch.zeros(2)}, None, np.zeros(2)

    def work(self):
        self.optimizer.zero_grad()
        self.net(torch.rand(4, 2, generator=self.rng)).sum().backward()
        self.optimizer.step()
        self.part.weight += torch.rand(2, generator=self.rng)
        self.part.notes.append(self.net.bias.item())
        self.parts["a"].count += 1
        self.parts["b"] += 1
        self.window, self.table = torch.ones(self.parts["a"].count), self.table + 1


def seen(whole):
    return [*whole.net.state_dict().values(), whole.part.weight, torch.tensor(whole.part.notes), whole.parts["b"],
            whole.window,
            torch.from_numpy(whole.table), torch.rand(3, generator=whole.rng)]


def test_everything_declared_goes_on_as_it_would_have():
    old, new = Whole(1), Whole(2)
    for _ in range(3):
        old.work()
    new.load_state_dict(copy.deepcopy(old.state_dict()))      # as a disk does: an optimizer keeps what it is given
    for _ in range(3):
        old.work(), new.work()
    assert all(map(torch.equal, seen(old), seen(new))) and new.parts["a"].count == 6


def test_restored_in_place_and_independent_of_its_source():
    old, new = Whole(1), Whole(2)
    old.work()
    held = new.net.weight, new.part, new.part.weight, new.rng, new.parts, new.parts["a"], new.parts["b"], new.optimizer
    new.load_state_dict(old.state_dict())
    now = new.net.weight, new.part, new.part.weight, new.rng, new.parts, new.parts["a"], new.parts["b"], new.optimizer
    kept = [a is b for a, b in zip(held, now, strict=True)]
    assert kept == [True] * 4 + [False] + [True] * 3      # a dict may be new
    expected = [each.clone() for each in seen(new)]
    new.load_state_dict(old.state_dict())
    for _ in range(3):
        old.work()
    old.part.notes.append(0.0), old.window.zero_()
    assert all(map(torch.equal, seen(new), expected))


def test_a_parameter_stays_the_one_that_the_optimizer_holds():
    class Bare(Saved):
        saved = ("weight",)

        def __init__(self, value):
            self.weight = nn.Parameter(torch.tensor([value]))

    new = Bare(2.0)
    parameter = new.weight
    new.load_state_dict(Bare(5.0).state_dict())
    assert new.weight is parameter and parameter.item() == 5 and parameter.requires_grad


def test_what_is_not_declared_is_neither_saved_nor_touched():
    part, other = Part(1.0), Part(2.0)
    other.scratch = "other"
    assert list(part.state_dict()) == ["weight", "count", "notes"]
    part.load_state_dict(other.state_dict())
    assert part.scratch == "own"


def test_checkpoint_and_code_that_name_other_attributes_are_told_apart():
    state = Part().state_dict()
    with pytest.raises(KeyError, match=r"Part: checkpoint and code disagree on \['count', 'more'\]"):
        Part().load_state_dict({"weight": state["weight"], "notes": [], "more": 1})


def test_a_tensor_that_grows_is_replaced_by_a_copy_and_another_shape_is_refused():
    part, rows = Part(), torch.arange(3.0)
    with pytest.raises(ValueError, match=r"Part.weight: the checkpoint has \[3\] torch.float32, this run \["):
        part.load_state_dict({"weight": rows, "count": 1, "notes": []})
    part.weight = torch.zeros(0)
    part.load_state_dict({"weight": rows, "count": 1, "notes": []})
    rows.zero_()
    assert part.weight.tolist() == [0, 1, 2]


class Tossed(Saved):
    """Two generators of the host, one of them deep inside."""

    saved = ("coins", "more")

    def __init__(self, kind, seed):
        self.coins, self.more = (np.random.Generator(kind(seed + i)) for i in range(2))
        self.more = {"a": self.more}

    def toss(self):
        return [*self.coins.random((2, 3)).flatten(), *self.coins.integers(9, size=3, dtype=np.uint32),
                self.more["a"].standard_normal()]


@pytest.mark.parametrize("kind", [np.random.PCG64, np.random.MT19937, np.random.Philox])
@pytest.mark.parametrize("before", [0, 1, 2])
def test_a_generator_of_the_host_goes_on_with_the_same_numbers(kind, before, tmp_path):
    """Through a checkpoint on the disk, with half a number left over, into the same object; the first is not moved."""
    old, new, twin = Tossed(kind, 1), Tossed(kind, 7), Tossed(kind, 1)
    for _ in range(before):
        assert old.toss() == twin.toss()                  # three numbers of 32 bits: half of one of 64 is left
    assert before != 1 or kind is np.random.MT19937 or old.coins.bit_generator.state["has_uint32"]
    checkpoint.write(tmp_path, 1, old.state_dict(), 1)
    held = new.coins, new.more["a"]
    new.toss()
    new.load_state_dict(checkpoint.newest(tmp_path, pytest.fail)[1])
    assert held[0] is new.coins and held[1] is new.more["a"]
    expected = [twin.toss() for _ in range(3)]
    assert [new.toss() for _ in range(3)] == [old.toss() for _ in range(3)] == expected


def test_what_was_packed_is_not_moved_by_the_next_number():
    for kind in (np.random.PCG64, np.random.MT19937):
        old, new = Tossed(kind, 1), Tossed(kind, 2)
        state = old.state_dict()
        expected = old.toss()
        new.load_state_dict(state)
        assert new.toss() == expected
        new.load_state_dict(state)
        assert new.toss() == expected


def test_a_state_of_another_kind_of_generator_is_refused():
    with pytest.raises(ValueError, match=r"Tossed\.coins: .*PCG64"):
        Tossed(np.random.PCG64, 1).load_state_dict(Tossed(np.random.Philox, 1).state_dict())


def test_pack_leaves_plain_data_alone():
    assert pack({"a": [1, (2,)], "b": None}) == {"a": [1, (2,)], "b": None}


def draws():
    return random.random(), random.gauss(0, 1), np.random.rand(), np.random.standard_normal(), torch.rand(()).item()


def test_one_seed_sets_every_global_generator():
    seed_globals(2**40 + 3)
    first = draws()
    seed_globals(2**40 + 3)
    assert draws() == first
    seed_globals(4)
    assert all(a != b for a, b in zip(draws(), first, strict=True))


def test_global_generators_come_back():
    random.gauss(0, 1), np.random.standard_normal()               # half a pair of each is left over
    state = rng_state()
    first = draws()
    set_rng_state(state)
    assert draws() == first


@pytest.mark.parametrize("failure", [None, ValueError, KeyboardInterrupt])
def test_what_is_drawn_aside_is_not_noticed(failure):
    seed_globals(1)
    expected = draws()
    seed_globals(1)
    try:
        with frozen_rng():
            draws(), seed_globals(9)
            if failure:
                raise failure
    except (ValueError, KeyboardInterrupt):
        pass
    assert draws() == expected
