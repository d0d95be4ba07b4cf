"""Where batches come from: a ring of the newest rows, and every transition of every copy in it as it was."""

import pytest
import torch
from gymnasium import spaces
from test_envs import COMPUTE, Counts, Shown, at_random, envs_of, limited, on_disk, zeros

from lab import checkpoint
from lab.env_state import Tier
from lab.envs import Envs
from lab.streams import Replay, Ring, Sampling, Steps, n_step
from lab.testing.envs import TinyBox
from lab.testing.making import next_batch

CPU = torch.device("cpu")


def rows(first, n):
    """[n, 1, ...] rows whose every entry says which one they are."""
    number = torch.arange(first, first + n)[:, None]
    return {"number": number, "float": number.float() / 8, "pair": torch.stack([number, -number], 2),
            "byte": number.to(torch.uint8)}


def held(ring):
    """The numbers in the ring, oldest first; every entry of a row agrees."""
    all_rows = {name: row[:len(ring)] for name, row in ring.rows.items()}
    number = all_rows["number"]
    assert torch.equal(all_rows["float"] * 8, number.float()) and torch.equal(all_rows["byte"], number.to(torch.uint8))
    assert torch.equal(all_rows["pair"], torch.stack([number, -number], 1))
    return sorted(number.tolist())


@pytest.mark.parametrize("pushes, left", [
    ((3,), [0, 1, 2]), ((5,), [0, 1, 2, 3, 4]), ((3, 3), [1, 2, 3, 4, 5]), ((5, 1), [1, 2, 3, 4, 5]),
    ((4, 5), [4, 5, 6, 7, 8]),
    ((1,) * 13, [8, 9, 10, 11, 12]), ((12,), [7, 8, 9, 10, 11]), ((3, 12), [10, 11, 12, 13, 14]),
    ((2, 3, 4), [4, 5, 6, 7, 8])])
def test_the_newest_are_kept(pushes, left):
    ring, pushed = Ring(5, CPU), 0
    for n in pushes:
        ring.push(rows(pushed, n))
        pushed += n
    assert held(ring) == left and len(ring) == len(left) and ring.pushed == pushed
    assert {name: row.dtype for name, row in ring.rows.items()} == {name: row.dtype for name, row in rows(0, 1).items()}


@pytest.mark.parametrize("before", [0, 3, 5, 8, 12])
def test_a_ring_comes_back_and_goes_on(before, tmp_path):
    """Empty, part-filled, just full, wrapped around."""
    ring, other = Ring(5, CPU), Ring(5, CPU)
    if before:
        ring.push(rows(0, before))
    other.push(rows(90, 4))
    checkpoint.write(tmp_path, 1, ring.state_dict(), 1)
    other.load_state_dict(checkpoint.newest(tmp_path, print)[1])
    for n in (1, 3):
        a, b = ring.state_dict()["filled"], other.state_dict()["filled"]
        assert all(torch.equal(a[name], b[name]) for name in a) and a.keys() == b.keys()
        ring.push(rows(before, n)), other.push(rows(before, n))
        before += n
    assert held(ring) == held(other) and other.pushed == before


def test_only_what_is_filled_is_saved():
    ring = Ring(1000, CPU)
    ring.push(rows(0, 3))
    assert {len(row) for row in ring.state_dict()["filled"].values()} == {3}


def test_a_part_filled_ring_may_grow_or_shrink_to_what_it_holds():
    ring = Ring(5, CPU)
    ring.push(rows(0, 3))
    for capacity in (3, 4, 9):
        other = Ring(capacity, CPU)
        other.load_state_dict(ring.state_dict())
        assert held(other) == [0, 1, 2]


@pytest.mark.parametrize("capacity", [2, 4, 9])
def test_a_full_ring_of_another_size_is_refused(capacity):
    """Where its oldest row lies would be lost, and rows that were never there would be drawn."""
    ring = Ring(5, CPU)
    ring.push(rows(0, 8))
    with pytest.raises(ValueError, match=f"holds 5 rows, with which a buffer of {capacity}"):
        Ring(capacity, CPU).load_state_dict(ring.state_dict())


def test_every_transition_is_seen_once():
    stream = Steps(envs_of(Counts(2), Counts(3)), zeros)
    batches = [stream.next() for _ in range(4)]
    assert [batch["obs"].flatten().tolist() for batch in batches] == [[0, 0], [1, 1], [100, 2], [101, 100]]
    assert [batch["next_obs"].flatten().tolist() for batch in batches] == [[1, 1], [2, 2], [101, 3], [102, 101]]
    assert batches[1]["done"].tolist() == [1, 0] and batches[0]["action"].shape == (2,) and stream.count == 8
    assert stream.metrics()["episode/count"] == 3 and "environment state" in stream.notes()[0]


def replay(envs, act=zeros, capacity=1000, every=2, warmup=20, n_steps=1):
    plan = Sampling(every, warmup, (3, 4), n_steps, discount=0.5)
    return Replay(envs, act, Ring(capacity, CPU), plan, COMPUTE.rng("replay"))


@pytest.mark.parametrize("every, warmup, first, second", [(2, 20, 20, 24), (3, 20, 24, 30), (2, 1, 4, 8), (1, 5, 6, 8)])
def test_batches_begin_after_the_warm_up_and_come_every_so_often(every, warmup, first, second):
    """Two copies: `every` steps of each are twice as many."""
    stream = replay(envs_of(Counts(), Counts()), every=every, warmup=warmup)
    batch = next_batch(stream)
    assert stream.count == len(stream.ring) == first
    assert {name: tuple(row.shape) for name, row in batch.items()} == {
        "obs": (3, 4, 1), "next_obs": (3, 4, 1), "action": (3, 4), "reward": (3, 4), "discount": (3, 4)}
    next_batch(stream)
    assert stream.count == second


@pytest.mark.parametrize("terminal, done, reward, discount, last", [
    ([0, 0, 0], [0, 0, 0], 1 + 2 / 2 + 4 / 4, 1 / 8, 2), ([0, 1, 0], [0, 1, 0], 1 + 2 / 2, 0, 1),
    ([1, 0, 0], [1, 0, 0], 1, 0, 0), ([0, 0, 0], [0, 1, 0], 1 + 2 / 2, 1 / 4, 1), ([0, 0, 0], [1, 1, 0], 1, 1 / 2, 0),
    ([0, 0, 1], [0, 0, 1], 3, 0, 2), ([0, 1, 1], [1, 1, 1], 1, 1 / 2, 0)])
def test_n_steps_by_hand(terminal, done, reward, discount, last):
    """Rewards 1, 2, 4, a discount of a half: summed to the end of the episode; what follows a terminal counts 0."""
    columns = [torch.tensor([values], dtype=torch.float32).T.expand(3, 5) for values in ([1, 2, 4], terminal, done)]
    summed, factor, index = n_step(*columns, 0.5)
    assert summed.tolist() == [reward] * 5 and factor.tolist() == [discount] * 5 and index.tolist() == [last] * 5


@pytest.mark.parametrize("n_steps", [1, 2, 3, 5])
@pytest.mark.parametrize("end", ["terminated", "truncated"])
def test_samples_are_n_steps_of_one_copy_in_one_episode(end, n_steps):
    """Episodes of 4 steps; the reward is the step. Worked out for each row from its obs alone, uniformly drawn."""
    stream = replay(envs_of(Counts(4, end), Counts(4, end), Counts(4, end)), n_steps=n_steps, warmup=60, capacity=45)
    seen = []
    for _ in range(100):
        batch = {name: row.flatten() for name, row in next_batch(stream).items()}
        t = batch["obs"] % 100
        n = torch.minimum(4 - t, torch.tensor(float(n_steps)))
        assert torch.equal(batch["next_obs"], batch["obs"] + n)
        returns = [sum((s + i + 1) / 2**i for i in range(int(m))) for s, m in zip(t, n, strict=True)]
        assert batch["reward"].tolist() == returns
        over = (t + n == 4) & (end == "terminated")
        assert torch.equal(batch["discount"], torch.where(over, 0.0, 0.5**n))
        seen += (stream.ring.rows["obs"].max() - batch["obs"]).tolist()
    assert len(set(t.tolist())) == 4 and len(set(seen)) > 10


def test_samples_are_uniform_over_the_rows_that_have_their_n_steps():
    stream = replay(envs_of(Counts(10**6)), every=10, warmup=10, capacity=10, n_steps=4)
    drawn = torch.cat([next_batch(stream)["obs"].flatten() % 10 for _ in range(100)]).long()
    counts = torch.bincount(drawn, minlength=10)
    assert counts[7:].sum() == 0 and (counts[:7] - 1200 / 7).abs().max() < 50             # over four deviations


def test_copies_are_interleaved_and_each_row_is_one_transition():
    """Copy 0 shows 0, 1, ...; copy 1 shows 5000 more: a row that mixes them, or two steps, would show."""
    class Far(Counts):
        def obs(self):
            return super().obs() + 5000

    stream = replay(envs_of(Counts(3, "truncated"), Far(4)), every=5, warmup=30)
    next_batch(stream)
    ring = {name: row[:30] for name, row in stream.ring.rows.items()}
    assert ring["obs"][0::2].max() < 5000 <= ring["obs"][1::2].min()
    assert torch.equal(ring["next_obs"], ring["obs"] + 1)
    step = ring["next_obs"][:, 0] % 100
    assert torch.equal(ring["reward"], step)
    assert torch.equal(ring["terminal"], ((step == 4) & (ring["obs"][:, 0] >= 5000)).float())
    for i in range(2):
        assert (ring["obs"][i::2][1:] - ring["obs"][i::2][:-1]).min() >= 1                # in the order of time


@pytest.mark.parametrize("space, dtype", [(spaces.Box(-1, 1, (2,), "float64"), torch.float32),
                                          (spaces.Discrete(5), torch.int64),
                                          (spaces.Box(0, 255, (4, 4), "uint8"), torch.uint8)])
def test_rows_keep_their_types_through_a_checkpoint(space, dtype, tmp_path):
    stream = replay(envs_of(Shown(space)))
    next_batch(stream)
    assert stream.ring.rows["obs"].dtype is dtype
    other = replay(envs_of(Shown(space)))
    other.load_state_dict(on_disk(stream, tmp_path))
    assert other.ring.rows["obs"].dtype is dtype and torch.equal(other.ring.rows["obs"], stream.ring.rows["obs"])


def tiny(capacity):
    return replay(Envs(limited(TinyBox), 2, COMPUTE, tier=Tier.EXACT), act=at_random(), capacity=capacity)


def same_batches(a, b, n=15):
    pairs = [(next_batch(a), next_batch(b)) for _ in range(n)]
    return all(torch.equal(x[name], y[name]) for x, y in pairs for name in x)


@pytest.mark.parametrize("capacity", [30, 1000])
@pytest.mark.parametrize("batches", [0, 1, 12])
def test_a_replay_stream_goes_on_to_the_bit(batches, capacity, tmp_path):
    whole, first, second = tiny(capacity), tiny(capacity), tiny(capacity)
    for _ in range(batches):
        next_batch(whole), next_batch(first)
    next_batch(second)
    second.load_state_dict(on_disk(first, tmp_path))
    generator(second).set_state(generator(first).get_state())
    assert same_batches(whole, second) and whole.count == second.count and whole.metrics() == second.metrics()


def generator(stream):
    """Of the policy, which a learner would save."""
    return stream.act.__closure__[0].cell_contents


def test_the_runner_looks_up_in_the_warm_up(tmp_path):
    """Between two steps of the environments there is no batch, and the state is whole."""
    whole, first, second = tiny(1000), tiny(1000), tiny(1000)
    while first.count < 12:
        assert first.next() is None
    second.load_state_dict(on_disk(first, tmp_path))
    generator(second).set_state(generator(first).get_state())
    assert same_batches(whole, second) and whole.count == second.count


def test_a_step_stream_goes_on_to_the_bit(tmp_path):
    whole, first, second = (Steps(Envs(limited(TinyBox), 2, COMPUTE, tier=Tier.EXACT), at_random()) for _ in range(3))
    for _ in range(40):
        next_batch(whole), next_batch(first)
    second.load_state_dict(on_disk(first, tmp_path))
    generator(second).set_state(generator(first).get_state())
    assert same_batches(whole, second) and whole.count == second.count == 2 * 55
