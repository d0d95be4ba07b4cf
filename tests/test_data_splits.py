"""Which example is for what, and in which order they come."""

import itertools

import numpy as np
import pytest
import torch

from lab.compute import Compute
from lab.config import ComputeConfig
from lab.data.config import DataConfig
from lab.data.dataset import About, Dataset, Held
from lab.data.loaded import Data, loaded
from lab.data.shuffled import Even, Shuffled
from lab.data.splits import split_rows
from lab.errors import ResumeError, UsageError


def compute(seed=0):
    return Compute(ComputeConfig(device="cpu"), seed)


def sizes(found):
    return {name: len(rows) for name, rows in found.items()}


def test_shares_of_ten():
    found = split_rows(10, {"test": 0.2, "valid": 0.1}, seed=0)
    assert sizes(found) == {"test": 2, "valid": 1, "train": 7}
    assert sorted(np.concatenate(list(found.values())).tolist()) == list(range(10))
    assert all((np.diff(rows) > 0).all() for rows in found.values())


def test_no_share_leaves_all_for_training():
    assert split_rows(3, {}, seed=0)["train"].tolist() == [0, 1, 2]


def test_the_split_depends_on_its_seed_alone():
    one, same, other = (split_rows(100, {"test": 0.5}, seed)["test"].tolist() for seed in (1, 1, 2))
    assert one == same != other


def test_every_class_has_its_share():
    labels = np.array([0] * 10 + [1] * 20)                        # a fifth of them: 2 and 4
    found = split_rows(30, {"test": 0.2}, 0, labels)
    assert np.bincount(labels[found["test"]]).tolist() == [2, 4]
    assert np.bincount(labels[found["train"]]).tolist() == [8, 16]


def test_what_one_class_is_rounded_by_the_next_makes_good():
    """A fifth of 3 is 0.6: 1, 1, 0, 1 of four such classes (0.6, 1.2 - 1, 1.8 - 2, 2.4 - 2), and not 4 of 12."""
    labels = np.repeat([0, 1, 2, 3], 3)
    found = split_rows(12, {"test": 0.2}, 0, labels)
    assert np.bincount(labels[found["test"]], minlength=4).tolist() == [1, 0, 1, 0]


def test_a_class_of_one_is_for_training():
    labels = np.array([0] * 9 + [1])
    for seed in range(20):
        assert 9 in split_rows(10, {"test": 0.5, "valid": 0.4}, seed, labels)["train"]


def dataset(n=10, **splits):
    held = {"train": Held(x=torch.arange(n).float()[:, None], y=torch.arange(n) % 2), **splits}
    return Dataset(About("table", (1,), classes=("a", "b")), held)


def test_the_validation_share_is_of_what_is_not_for_the_test():
    found = loaded(DataConfig("x", test=0.5, valid=0.4), dataset(100), compute())
    assert {name: len(split) for name, split in found.splits.items()} == {"train": 30, "valid": 20, "test": 50}
    assert found.judged == "valid" and found.class_counts().tolist() == [15, 15]


def test_a_split_that_the_data_brings_stays_whole():
    test = Held(x=torch.zeros(7, 1), y=torch.zeros(7).long())
    found = loaded(DataConfig("x", test=0.5, valid=0.2), dataset(10, test=test), compute())
    assert {name: len(split) for name, split in found.splits.items()} == {"train": 8, "valid": 2, "test": 7}
    assert "x: 8 for train, 2 for valid, 7 for test examples; table of 1, 2 classes" in found.stream(2).notes()


def test_without_shares_training_data_is_what_is_judged():
    found = loaded(DataConfig("x", test=0, valid=0), dataset(), compute())
    assert list(found.splits) == ["train"] and found.judged == "train"


@pytest.mark.parametrize("n", [1, 2, 3])
def test_one_example_at_least_is_left_for_training(n):
    one = Dataset(About("table", (1,)), {"train": Held(x=torch.zeros(n, 1))})
    found = loaded(DataConfig("x", test=0.95, valid=0.9), one, compute())
    assert len(found.splits["train"]) == 1 and sum(map(len, found.splits.values())) == n


def test_a_class_that_only_the_test_has():
    three = Dataset(About("table", (1,), classes=("a", "b", "c")), dataset().splits)
    with pytest.raises(UsageError, match="no example of the class 'c': give it some"):
        loaded(DataConfig("x"), three, compute())


class Asked(Held):
    """Writes down how it was read."""

    def batches(self, orders, device, workers=0):
        orders = list(orders)
        self.sizes, self.workers = [len(rows) for rows in orders], workers
        return super().batches(orders, device, workers)


@pytest.mark.parametrize("n, shape, sizes, workers", [
    (2050, (1,), [1024, 1024, 2], 2), (1024, (1,), [1024], 0), (3, (3, 2**11, 2**11), [1, 1, 1], 2),
    (5, (1, 2**11, 2**11), [4, 1], 1)])
def test_a_whole_split_is_looked_at_in_parts_that_fit(n, shape, sizes, workers):
    """Each of at most 1024 examples and 2**24 numbers; a single part needs no process to read ahead."""
    split = Asked(x=torch.zeros(n))
    data = Data(DataConfig("x", workers=8), About("table", shape), {"train": split}, compute())
    assert sum(len(batch["x"]) for batch in data.batches("train")) == n
    assert (split.sizes, split.workers) == (sizes, workers)


# --- the order ---

def stream(n=10, size=4, seed=0):
    return Shuffled(Held(x=torch.arange(n)), size, compute(seed))


def epoch(source, batches):
    return [source.next()["x"].tolist() for _ in range(batches)]


def test_every_example_comes_once_in_an_epoch():
    source = stream()
    first, second = epoch(source, 3), epoch(source, 3)
    for each in (first, second):
        assert [len(batch) for batch in each] == [4, 4, 2], "the last batch has what is left"
        assert sorted(itertools.chain(*each)) == list(range(10))
    assert first != second and source.count == 20 and source.epoch_length == 10


def test_the_order_depends_on_the_seed():
    assert epoch(stream(), 3) == epoch(stream(), 3) != epoch(stream(seed=1), 3)


@pytest.mark.parametrize("size", [0, 10, 99])
def test_all_examples_at_once(size):
    source = stream(size=size)
    assert sorted(source.next()["x"].tolist()) == list(range(10))
    assert source.count == 10 and source.epoch_updates == 1


@pytest.mark.parametrize("batches", [1, 2, 3, 5])
def test_resuming_anywhere_gives_the_same_batches(batches):
    whole = epoch(stream(), 8)
    source, again = stream(), stream()
    epoch(source, batches)
    again.load_state_dict(source.state_dict())
    assert epoch(again, 8 - batches) == whole[batches:]


def even(n=10, size=2, parts=2):
    return Even(Held(x=torch.arange(n)), size, compute(), parts=parts)


def test_even_batches_run_on_into_the_next_epoch():
    """Ten examples in batches of 2 x 2: five batches are two epochs, and each epoch has every example once."""
    source = even()
    batches = epoch(source, 5)
    seen = list(itertools.chain(*batches))
    assert [len(batch) for batch in batches] == [4] * 5 and source.count == 20
    assert sorted(seen[:10]) == sorted(seen[10:]) == list(range(10)) and seen[:10] != seen[10:]
    assert (source.size, source.epoch_length, source.epoch_updates) == (4, 10, 2.5)
    assert [began for _, began in itertools.islice(source.orders(4), 4)] == [0, 0, 1, 1]


@pytest.mark.parametrize("size, parts, expected", [(2, 4, 8), (0, 2, 6), (99, 2, 6)])
def test_even_batches_of_more_than_there_are(size, parts, expected):
    """Three examples: a batch of 8 has each of them twice or three times; a part never has more than there are."""
    (batch,) = epoch(even(3, size, parts), 1)
    assert len(batch) == expected and {batch.count(each) for each in range(3)} <= {2, 3}


@pytest.mark.parametrize("batches", [1, 2, 3, 5])
def test_resuming_even_batches_anywhere_gives_the_same(batches):
    whole, source, again = epoch(even(), 8), even(), even()
    epoch(source, batches)
    again.load_state_dict(source.state_dict())
    assert epoch(again, 8 - batches) == whole[batches:]


@pytest.mark.parametrize("n, size, sizes", [(9, 4, [4, 5]), (5, 4, [5]), (3, 1, [1] * 3), (8, 4, [4, 4]), (1, 4, [1])])
def test_one_example_is_not_a_batch_where_others_are_more(n, size, sizes):
    source = stream(n, size)
    assert source.epoch_updates == len(sizes)
    for _ in range(2):
        assert [len(batch) for batch in epoch(source, len(sizes))] == sizes


@pytest.mark.parametrize("size, batches", [(8, [6]), (3, [3, 3]), (5, [6]), (4, [4, 2])])
def test_an_epoch_is_ended_in_batches_of_another_size(size, batches):
    source, other = stream(), stream(size=size)
    begun = epoch(source, 1)
    other.load_state_dict(source.state_dict())
    rest = epoch(other, len(batches))
    assert [len(batch) for batch in rest] == batches and other.count == 10
    assert sorted(itertools.chain(*begun, *rest)) == list(range(10))
    again = stream(size=size)
    again.load_state_dict(other.state_dict())
    assert epoch(again, 3) == epoch(other, 3)


def test_a_stream_does_not_go_on_with_other_data():
    state = stream(n=10).state_dict()
    with pytest.raises(ResumeError, match="the training data has changed since the checkpoint"):
        stream(n=11).load_state_dict(state)


def test_a_closed_stream_goes_on_where_it_was():
    whole, source = epoch(stream(), 4), stream()
    epoch(source, 2)
    source.close()
    assert epoch(source, 2) == whole[2:]
