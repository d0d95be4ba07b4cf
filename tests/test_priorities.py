"""The sum tree against a plain list, and prioritised batches by hand."""

import pytest
import torch
from test_envs import COMPUTE, Counts, envs_of, limited, on_disk, zeros

from lab import priorities
from lab.env_state import Tier
from lab.envs import Envs
from lab.priorities import Prioritised, Priority, SumTree
from lab.replay import Ring, Sampling
from lab.testing.envs import TinyBox
from lab.testing.making import next_batch

CPU = torch.device("cpu")


def slow_find(values, mass):
    """The obvious way."""
    total = 0.0
    for leaf, value in enumerate(values):
        total += value
        if total > mass:
            return leaf
    return None


def test_a_leaf_takes_its_bytes():
    assert 0.9 < sum(level.nbytes for level in SumTree(100_000, CPU).levels) / 100_000 / priorities.LEAF <= 1


@pytest.mark.parametrize("capacity, width", [(5, 64), (64, 64), (65, 64), (300, 4), (5000, 64)])
def test_a_mass_is_found_where_a_plain_list_finds_it(capacity, width, monkeypatch):
    monkeypatch.setattr(priorities, "WIDTH", width)
    rng = torch.Generator().manual_seed(capacity)
    values = torch.randint(0, 4, (capacity,), generator=rng).double()
    tree = SumTree(capacity, CPU)
    tree[torch.arange(capacity)] = values
    changed = torch.randperm(capacity, generator=rng)[:capacity // 2]
    values[changed] = 2.0
    tree[changed] = 2.0
    assert tree.total == values.sum() and torch.equal(tree[changed], values[changed])
    mass = torch.rand(50, generator=rng, dtype=torch.float64) * values.sum()
    assert tree.find(mass).tolist() == [slow_find(values.tolist(), m) for m in mass.tolist()]
    assert tree.find(torch.arange(int(values.sum())).double()).tolist() == torch.arange(capacity).repeat_interleave(
        values.long()).tolist()


def test_an_empty_leaf_is_never_drawn_not_even_by_rounding():
    tree = SumTree(200, CPU)
    tree[torch.tensor([3, 130])] = torch.tensor([0.1, 0.2])
    for mass in (0.0, 0.1, 0.3, 0.30000000000000004, 5.0):
        assert tree.find(torch.tensor([mass], dtype=torch.float64)).item() in (3, 130)


def test_draws_are_in_proportion_one_from_each_part_of_the_total():
    tree = SumTree(100, CPU)
    tree[torch.tensor([10, 70])] = torch.tensor([1.0, 3.0])
    drawn = tree.draw((500, 8), torch.Generator().manual_seed(0))
    assert ((drawn == 10).sum(-1) == 2).all(), "of 8 strata the first two are the first quarter"


def test_sums_come_back_with_their_leaves():
    tree, other = SumTree(100, CPU), SumTree(100, CPU)
    tree[torch.arange(100)] = torch.rand(100)
    other.load_state_dict(tree.state_dict())
    assert all(torch.equal(a, b) for a, b in zip(tree.levels, other.levels, strict=True))


def test_of_many_writes_to_one_leaf_the_last_holds():
    """By two threads of torch, which share out what is more than 32,768."""
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    leaf, value = torch.randint(50, (200_000,)), torch.rand(200_000, dtype=torch.float64)
    expected = dict(zip(leaf.tolist(), value.tolist(), strict=True))
    try:
        for _ in range(5):
            tree = SumTree(5_000, CPU)
            tree[leaf] = value
            assert {number: tree[torch.tensor(number)].item() for number in expected} == expected
    finally:
        torch.set_num_threads(before)


def stream(capacity=12, exponent=1.0, importance=0.5, every=2, warmup=8, n_steps=1, copies=1):
    plan = Sampling(every, warmup, (2, 6), n_steps, discount=0.5)
    envs = envs_of(*[Counts(10**6) for _ in range(copies)])
    return Prioritised(envs, zeros, Ring(capacity, CPU, copies), plan, COMPUTE.rng("replay"),
                       Priority(exponent, importance, steps=100))


def inside(at):
    """Row numbers that can be drawn, by the tree."""
    leaves = at.tree.leaves.view(-1)[:at.ring.capacity].nonzero()[:, 0]
    newest = at.ring.pushed - 1
    return sorted((newest - (newest - leaves) % at.ring.capacity).tolist())


@pytest.mark.parametrize("n_steps, copies", [(1, 1), (3, 1), (2, 2)])
def test_rows_can_be_drawn_from_when_their_steps_are_there_until_they_are_overwritten(n_steps, copies):
    at = stream(n_steps=n_steps, copies=copies)
    for _ in range(15):
        at.next()
        at.renew()
        first, end = at.ring.first, at.ring.pushed - n_steps * copies
        assert inside(at) == list(range(first, max(first, end)))
    batch = next_batch(at)
    assert torch.equal(batch["obs"][..., 0] % 100, at.ring.columns["obs"][batch["leaf"], 0] % 100)


def test_weights_by_hand():
    """Priorities 1 and 3, beta 0.5 + 0.5 * 8 / 100 = 0.54: the rare one weighs 1, the other (1 / 3) ** 0.54."""
    at = stream()
    while at.next() is None:
        pass
    at.tree[torch.arange(12)] = 0.0
    at.tree[torch.tensor([2, 5])] = torch.tensor([1.0, 3.0])
    assert at.count == 8
    batch = at.sample()
    for leaf, weight in zip(batch["leaf"].flatten().tolist(), batch["weight"].flatten().tolist(), strict=True):
        assert weight == pytest.approx(1.0 if leaf == 2 else (1 / 3) ** 0.54)
    assert set(batch["leaf"].flatten().tolist()) == {2, 5}


def test_errors_become_priorities_and_new_rows_the_highest_of_them():
    at = stream(exponent=2.0)
    next_batch(at)
    at.report(torch.tensor([[1], [2]]), torch.tensor([[-3.0], [0.5]]))
    assert at.tree[torch.tensor([1, 2])].tolist() == pytest.approx([9.0, 0.25], rel=1e-4)
    fresh = at.high
    at.next()
    assert at.tree[torch.arange(fresh, at.high) % 12].tolist() == pytest.approx([9.0, 9.0], rel=1e-4)


def test_an_exponent_of_0_is_uniform():
    at = stream(exponent=0.0, capacity=50, warmup=40)
    next_batch(at)
    at.report(torch.arange(10)[None], torch.rand(1, 10) * 100)
    assert set(at.tree[torch.arange(39)].tolist()) == {1.0}
    assert at.sample()["weight"].unique().tolist() == [1.0]


def test_it_goes_on_to_the_bit(tmp_path):
    plan, rank = Sampling(2, 8, (2, 6), 1, discount=0.5), Priority(1.0, 0.5, steps=100)
    whole, first, second = (Prioritised(Envs(limited(TinyBox), 2, COMPUTE, tier=Tier.EXACT), zeros, Ring(20, CPU, 2),
                                        plan, COMPUTE.rng("replay"), rank) for _ in range(3))
    for at in (whole, first):
        for _ in range(19):
            batch = next_batch(at)
            at.report(batch["leaf"], batch["obs"][..., 0] % 7)
    second.load_state_dict(on_disk(first, tmp_path))
    for _ in range(9):
        a, b = next_batch(whole), next_batch(second)
        assert all(torch.equal(a[name], b[name]) for name in a)
        whole.report(a["leaf"], a["obs"][..., 0] % 5), second.report(b["leaf"], b["obs"][..., 0] % 5)
