"""Examples that are read when they are needed: the same batches whoever reads, and nobody left afterwards."""

import multiprocessing
import os
import signal
import time

import numpy as np
import pytest
import torch

from lab import signals
from lab.compute import Compute
from lab.config import ComputeConfig
from lab.data.dataset import Held
from lab.data.reading import Loaded, Read, held
from lab.data.shuffled import Shuffled
from lab.errors import DataError, LabError, ResumeError, UsageError

CPU = torch.device("cpu")
N = 10


class Numbers:
    """Example i is a picture of 1 x 2 pixels, 10 i and 10 i + 1; `broken` cannot be read."""

    def __init__(self, broken=None, error=DataError):
        self.broken, self.error = broken, error

    def __call__(self, i):
        if i == self.broken:
            raise self.error(f"file {i} is gone")
        return np.array([[[10 * i, 10 * i + 1]]], np.uint8)


def split(**changes):
    given = {"read": Numbers(), "y": torch.arange(N) % 3, "identity": "numbers", "rows": torch.arange(N), **changes}
    return Read(**given)


def in_memory():
    x = torch.tensor([[[[10 * i, 10 * i + 1]]] for i in range(N)], dtype=torch.uint8)
    return Held(x=x, y=torch.arange(N) % 3)


def stream(of, workers=0, size=4):
    return Shuffled(of, size, Compute(ComputeConfig(device="cpu"), 5), workers=workers)


def taken(source, n):
    return [{name: tensor.tolist() for name, tensor in source.next().items()} for _ in range(n)]


@pytest.fixture
def closing():
    """Streams that a test leaves are closed."""
    streams = []
    yield lambda *args, **named: streams.append(stream(*args, **named)) or streams[-1]
    for each in streams:
        each.close()


def test_an_example_is_what_its_number_says():
    batch = next(iter(split().batches([torch.tensor([3, 1])], CPU)))
    assert batch["x"].tolist() == [[[[30, 31]]], [[[10, 11]]]] and batch["x"].dtype == torch.uint8
    assert batch["y"].tolist() == [0, 1]


@pytest.mark.parametrize("workers", [0, 1, 2])
def test_whoever_reads_the_batches_are_those_of_memory(workers, closing):
    assert taken(closing(split(), workers), 8) == taken(stream(in_memory()), 8)


@pytest.mark.parametrize("workers", [0, 2])
def test_a_stream_goes_on_in_the_midst_of_an_epoch(workers, closing):
    whole = taken(stream(in_memory()), 9)
    first = closing(split(), workers)
    assert taken(first, 4) == whole[:4] and first.count == 14
    state = first.state_dict()
    again = closing(split(), workers)
    again.load_state_dict(state)
    assert taken(again, 5) == whole[4:]
    first.load_state_dict(state)              # back, with batches read ahead that are no longer wanted
    assert taken(first, 5) == whole[4:]


def test_no_process_is_left_when_the_stream_is_closed():
    source = stream(split(), workers=2)
    source.next()
    pids = [process.pid for process in multiprocessing.active_children()]
    assert len(pids) == 2
    kept = source.source
    source.close()
    assert kept and not multiprocessing.active_children()
    wait_for(lambda: not any(os.path.exists(f"/proc/{pid}") for pid in pids))
    source.close()                            # twice does no harm


def wait_for(condition):
    until = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < until, "it did not happen in 10 s"
        time.sleep(0.05)


def test_a_pass_over_a_split_ends_its_processes():
    rows = torch.split(torch.arange(N), 4)
    found = [batch["x"][:, 0, 0, 0].tolist() for batch in split().batches(rows, CPU, workers=2)]
    assert found == [[0, 10, 20, 30], [40, 50, 60, 70], [80, 90]]
    assert not multiprocessing.active_children()


@pytest.mark.parametrize("workers", [0, 1])
def test_what_cannot_be_read_is_named(workers, closing):
    source = closing(split(read=Numbers(broken=7)), workers)
    with pytest.raises(DataError, match=r"^file 7 is gone$") as error:
        taken(source, 3)
    assert not multiprocessing.active_children(), "while the traceback is kept"
    assert error


def test_an_error_that_is_not_the_labs_names_the_example():
    with pytest.raises(DataError, match="example 8 cannot be read: KeyError: 'file 7 is gone'"):
        taken(stream(split(read=Numbers(broken=7, error=KeyError))), 3)


def test_a_signal_is_for_the_parent(closing):
    source = closing(split(), 1, size=1)
    source.next()
    process, = multiprocessing.active_children()
    for number in (signal.SIGINT, signal.SIGHUP, signal.SIGUSR1):
        os.kill(process.pid, number)
    assert len(taken(source, 20)) == 20
    assert multiprocessing.active_children() == [process]


def test_a_process_that_dies_is_told_of(closing):
    source = closing(split(), 1, size=1)
    source.next()
    os.kill(multiprocessing.active_children()[0].pid, signal.SIGKILL)
    with pytest.raises(DataError, match=r"a process that reads ahead has ended: .*data.workers=0 reads"):
        taken(source, 20)


def test_a_process_that_is_stopped_together_with_us_is_no_error(closing):
    source = closing(split(), 1, size=1)
    source.next()
    signals.FLAGS.stop = signal.SIGTERM
    os.kill(multiprocessing.active_children()[0].pid, signal.SIGKILL)
    with pytest.raises(signals.Stop):
        taken(source, 20)


def test_what_cannot_be_sent_to_a_process_says_so():
    with pytest.raises(UsageError, match=r"data\.workers=0 reads in this process"):
        stream(split(read=lambda i: Numbers()(i)), workers=1).next()


@pytest.mark.parametrize("workers", [0, 1])
def test_reading_draws_no_global_random_number(workers, closing):
    before = torch.get_rng_state()
    taken(closing(split(), workers), 3)
    assert torch.equal(before, torch.get_rng_state())


def test_a_part_of_a_split():
    part = split().take(torch.tensor([9, 2])).take(torch.tensor([1]))
    batch, = part.batches([torch.tensor([0])], CPU)
    assert len(part) == 1 and batch["x"].flatten().tolist() == [20, 21] and batch["y"].tolist() == [2]
    assert "y" not in next(iter(split(y=None).take(torch.tensor([3])).batches([torch.tensor([0])], CPU)))


def test_another_content_has_another_fingerprint():
    print_of = split().fingerprint()
    assert print_of == split().fingerprint()
    others = [split(identity="others"), split(y=torch.zeros(N).long()), split(y=None),
              split(rows=torch.arange(N).flip(0)), split().take(torch.arange(9))]
    assert len({print_of, *(each.fingerprint() for each in others)}) == 6
    state = stream(split()).state_dict()
    with pytest.raises(ResumeError, match="the training data has changed"):
        stream(split(identity="others")).load_state_dict(state)


def test_data_is_held_where_memory_allows():
    assert held({"train": split()}, (1, 1, 2), share=0)["train"].read
    found = held({"train": split()}, (1, 1, 2), share=0.5)["train"]
    assert isinstance(found, Loaded) and found.tensors["x"].tolist() == in_memory().tensors["x"].tolist()
    assert taken(stream(found), 5) == taken(stream(split()), 5)
    with pytest.raises(LabError, match="file 3 is gone"):
        held({"train": split(read=Numbers(3))}, (1, 1, 2), share=0.5)


def test_a_run_goes_on_where_memory_is_another():
    rows = torch.tensor([4, 1, 8])
    found = held({"train": split()}, (1, 1, 2), share=0.5)["train"].take(rows)
    assert isinstance(found, Loaded) and found.tensors["x"][:, 0, 0, 0].tolist() == [40, 10, 80]
    assert found.fingerprint() == split().take(rows).fingerprint() != split().fingerprint()
