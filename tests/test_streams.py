"""Every transition of every copy, once and as it was."""

import torch
from test_envs import COMPUTE, Counts, at_random, envs_of, limited, on_disk, zeros

from lab.env_state import Tier
from lab.envs import Envs
from lab.streams import Steps
from lab.testing.envs import TinyBox
from lab.testing.making import next_batch


def test_every_transition_is_seen_once():
    stream = Steps(envs_of(Counts(2), Counts(3)), zeros)
    batches = [stream.next() for _ in range(4)]
    assert [batch["obs"].flatten().tolist() for batch in batches] == [[0, 0], [1, 1], [100, 2], [101, 100]]
    assert [batch["next_obs"].flatten().tolist() for batch in batches] == [[1, 1], [2, 2], [101, 3], [102, 101]]
    assert batches[1]["done"].tolist() == [1, 0] and batches[0]["action"].shape == (2,) and stream.count == 8
    assert stream.metrics()["episode/count"] == 3 and "environment state" in stream.notes()[0]


def same_batches(a, b, n=15):
    pairs = [(next_batch(a), next_batch(b)) for _ in range(n)]
    return all(torch.equal(x[name], y[name]) for x, y in pairs for name in x)


def generator(stream):
    """Of the policy, which a learner would save."""
    return stream.act.__closure__[0].cell_contents


def test_a_step_stream_goes_on_to_the_bit(tmp_path):
    whole, first, second = (Steps(Envs(limited(TinyBox), 2, COMPUTE, tier=Tier.EXACT), at_random()) for _ in range(3))
    for _ in range(40):
        next_batch(whole), next_batch(first)
    second.load_state_dict(on_disk(first, tmp_path))
    generator(second).set_state(generator(first).get_state())
    assert same_batches(whole, second) and whole.count == second.count == 2 * 55
