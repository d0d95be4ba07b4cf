"""Samples of everything seen lately: n steps of one copy in one episode, drawn fairly, resumed to the bit."""

import pytest
import torch
from gymnasium import spaces
from test_envs import COMPUTE, Counts, Shown, at_random, envs_of, limited, on_disk, zeros
from test_streams import generator, same_batches

from lab.env_state import Tier
from lab.envs import Envs
from lab.replay import Replay, Ring, Sampling, n_step
from lab.testing.envs import TinyBox
from lab.testing.making import next_batch

CPU = torch.device("cpu")


def replay(envs, act=zeros, capacity=1000, every=2, warmup=20, n_steps=1):
    plan = Sampling(every, warmup, (3, 4), n_steps, discount=0.5)
    return Replay(envs, act, Ring(capacity, CPU, len(envs)), plan, COMPUTE.rng("replay"))


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


def test_a_resume_with_more_steps_waits_until_they_are_there():
    """20 rows of one step, resumed with 30 steps in a larger buffer: a sample needs 31 rows."""
    first, second = replay(envs_of(Counts(10**6)), capacity=20), replay(envs_of(Counts(10**6)), capacity=99, n_steps=30)
    next_batch(first)
    second.load_state_dict({**second.state_dict(), "count": 5_000, "ring": first.ring.state_dict()})
    found = [second.next() for _ in range(6)]
    assert len(second.ring) == 32 and found[:5] == [None] * 5 and found[5]["obs"].shape == (3, 4, 1)


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
        lives = batch["discount"] > 0
        assert torch.equal(batch["next_obs"][lives], (batch["obs"] + n)[lives])
        returns = [sum((s + i + 1) / 2**i for i in range(int(m))) for s, m in zip(t, n, strict=True)]
        assert batch["reward"].tolist() == returns
        over = (t + n == 4) & (end == "terminated")
        assert torch.equal(batch["discount"], torch.where(over, 0.0, 0.5**n))
        seen += (stream.ring.columns["obs"].max() - batch["obs"]).tolist()
    assert len(set(t.tolist())) == 4 and len(set(seen)) > 10


def test_samples_are_uniform_over_the_rows_that_have_their_n_steps():
    stream = replay(envs_of(Counts(10**6)), every=10, warmup=10, capacity=10, n_steps=4)
    drawn = torch.cat([next_batch(stream)["obs"].flatten() % 10 for _ in range(100)]).long()
    counts = torch.bincount(drawn, minlength=10)
    assert counts[6:].sum() == 0 and (counts[:6] - 1200 / 6).abs().max() < 50             # nearly four deviations


def test_copies_are_interleaved_and_each_row_is_one_transition():
    """Copy 0 shows 0, 1, ...; copy 1 shows 5000 more: a row that mixes them, or two steps, would show."""
    class Far(Counts):
        def obs(self):
            return super().obs() + 5000

    stream = replay(envs_of(Counts(3, "truncated"), Far(4)), every=5, warmup=30)
    next_batch(stream)
    ring = {name: row[:30] for name, row in stream.ring.columns.items()}
    follows = stream.batch(torch.arange(28)[None])["next_obs"][0]
    assert follows.shape == (28, 1) and "next_obs" not in ring
    ring = {name: row[:28] for name, row in ring.items()}
    ring["next_obs"] = torch.where(ring["terminal"][:, None] > 0, ring["obs"] + 1, follows)
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
    assert stream.ring.columns["obs"].dtype is dtype
    other = replay(envs_of(Shown(space)))
    other.load_state_dict(on_disk(stream, tmp_path))
    back = other.ring.columns["obs"]
    assert back.dtype is dtype and torch.equal(back, stream.ring.columns["obs"])


def tiny(capacity):
    return replay(Envs(limited(TinyBox), 2, COMPUTE, tier=Tier.EXACT), act=at_random(), capacity=capacity)


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


def test_the_runner_looks_up_in_the_warm_up(tmp_path):
    """Between two steps of the environments there is no batch, and the state is whole."""
    whole, first, second = tiny(1000), tiny(1000), tiny(1000)
    while first.count < 12:
        assert first.next() is None
    second.load_state_dict(on_disk(first, tmp_path))
    generator(second).set_state(generator(first).get_state())
    assert same_batches(whole, second) and whole.count == second.count
