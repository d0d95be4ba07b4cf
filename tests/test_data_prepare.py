"""What stands before a network, fitted on numbers that can be worked out by hand."""

import pytest
import torch

from lab.compute import Compute
from lab.config import ComputeConfig
from lab.data.config import DataConfig
from lab.data.dataset import About, Column, Dataset, Held
from lab.data.loaded import loaded
from lab.data.prepare import Columns, Numbers, Picture, fitted, front, moments
from lab.errors import UsageError

NAN = float("nan")
TWO = (Column("a"), Column("b"))


def fit(about, batches, **settings):
    return fitted(about, DataConfig("x", **settings), lambda: iter(batches))


def table(x, columns=TWO, **settings):
    made, shape = fit(About("table", (len(columns),), columns=columns), [{"x": torch.tensor(x)}], **settings)
    return made, shape


def test_moments_by_hand():
    """1, 3, 5: mean 3, variance 8/3. The same in parts, in any parts."""
    x = torch.tensor([[1.0, 7.0], [3.0, 7.0], [5.0, 7.0]], dtype=torch.float64)
    for parts in ([x], [x[:1], x[1:]], [x[:2], x[2:]], [x[2:], x[:2]]):
        found = moments(parts)
        assert torch.allclose(found.mean, torch.tensor([3.0, 7.0]).double())
        assert torch.allclose(found.deviation, torch.tensor([8 / 3, 0.0]).double().sqrt())
        assert found.low.tolist() == [1, 7] and found.high.tolist() == [5, 7]


def test_moments_leave_out_what_is_missing():
    found = moments([torch.tensor([[NAN, NAN], [2.0, NAN]]).double(), torch.tensor([[4.0, NAN]]).double()])
    assert found.mean.tolist() == [3, 0] and found.deviation.tolist() == [1, 0]
    assert found.low.tolist() == [2, 0] and found.high.tolist() == [4, 0]


def test_moments_lose_no_digits_far_from_zero():
    far = torch.tensor([[1e8 - 1], [1e8 + 1]], dtype=torch.float64)
    assert moments([far[:1], far[1:]]).deviation.item() == 1


def test_standardize_a_table():
    """a: mean 2, deviation 1. b does not vary, and is only moved."""
    made, shape = table([[1.0, 5.0], [3.0, 5.0]])
    assert made(torch.tensor([[1.0, 5.0], [4.0, 6.0]])).tolist() == [[-1, 0], [2, 1]] and shape == (2,)


def test_from_zero_to_one():
    made, _ = table([[1.0, 5.0], [3.0, 5.0], [2.0, 5.0]], prepare="minmax")
    assert made(torch.tensor([[1.0, 5.0], [2.5, 6.0], [5.0, 5.0]])).tolist() == [[0, 0], [0.75, 1], [2, 0]]


def test_nothing():
    made, _ = table([[1.0, 5.0], [3.0, 5.0]], prepare="none")
    assert made(torch.tensor([[1.5, -2.0]])).tolist() == [[1.5, -2.0]]


@pytest.mark.parametrize("impute, filled", [("mean", 4.0), ("median", 2.0), ("zero", 0.0)])
def test_what_is_missing(impute, filled):
    """1, 2, 9: mean 4, median 2. What is filled in takes no part in the scale."""
    made, _ = table([[1.0], [2.0], [9.0], [NAN]], (Column("a"),), impute=impute, prepare="none")
    assert made(torch.tensor([[NAN], [7.0]])).flatten().tolist() == [filled, 7.0]
    scaled, _ = table([[1.0], [2.0], [9.0], [NAN]], (Column("a"),), impute=impute, prepare="minmax")
    assert scaled(torch.tensor([[NAN]])).item() == pytest.approx((filled - 1) / 8)


def test_the_median_of_an_even_number_is_between_the_middle_two():
    made, _ = table([[1.0], [100.0], [2.0], [NAN], [3.0]], (Column("a"),), impute="median", prepare="none")
    assert made(torch.tensor([[NAN]])).item() == 2.5


def test_a_column_where_all_is_missing():
    made, _ = table([[NAN], [NAN]], (Column("a"),), impute="median")
    assert made(torch.tensor([[NAN], [2.0]])).flatten().tolist() == [0, 2]


def test_categories_are_indicators_after_the_numbers():
    columns = (Column("c", ("x", "y", "z")), Column("n"), Column("d", ("u",)))
    made, shape = table([[0.0, 1.0, 0.0], [2.0, 3.0, 0.0]], columns)
    assert shape == (5,) and isinstance(made, Columns)
    assert made(torch.tensor([[1.0, 3.0, 0.0]])).tolist() == [[1, 0, 1, 0, 1]]


def test_a_category_that_was_not_there_sets_no_indicator():
    made, _ = table([[0.0], [1.0]], (Column("c", ("x", "y")),))
    assert made(torch.tensor([[2.0], [1.0]])).tolist() == [[0, 0], [0, 1]]


def test_pictures_by_channel():
    """Bytes 0 and 102 are 0 and 0.4: mean 0.2, deviation 0.2. The other channel is 51, 0.2, everywhere."""
    x = torch.tensor([[[[0, 102]], [[51, 51]]]], dtype=torch.uint8)
    made, shape = fit(About("picture", (2, 1, 2)), [{"x": x}])
    assert isinstance(made, Picture) and shape == (2, 1, 2)
    assert torch.allclose(made(x), torch.tensor([[[[-1.0, 1.0]], [[0.0, 0.0]]]]), atol=1e-6)
    assert torch.allclose(made(x / 255), made(x), atol=1e-6), "floats from 0 to 1 are the same pictures"
    plain, _ = fit(About("picture", (2, 1, 2)), [{"x": x}], prepare="none")
    assert torch.allclose(plain(x), x / 255)
    stretched, _ = fit(About("picture", (2, 1, 2)), [{"x": x}], prepare="minmax")
    assert torch.allclose(stretched(x), torch.tensor([[[[0.0, 1.0]], [[0.0, 0.0]]]]), atol=1e-6)


def test_padding_takes_no_part():
    """Steps 1, 3 and 5: mean 3. The zeros beyond the first sequence's only step do not count."""
    x, length = torch.tensor([[[1.0], [0.0]], [[3.0], [5.0]]]), torch.tensor([1, 2])
    made, shape = fit(About("sequence", (2, 1), ragged=True), [{"x": x, "length": length}])
    assert isinstance(made, Numbers) and shape == (2, 1) and made.shift.item() == 3
    assert made.scale.item() == pytest.approx((8 / 3) ** 0.5)


def test_it_is_saved_with_the_weights():
    made, _ = table([[1.0, 5.0], [3.0, 6.0]], impute="mean")
    fresh, _ = front(About("table", (2,), columns=TWO))
    fresh.load_state_dict(made.state_dict())
    x = torch.tensor([[NAN, 7.0]])
    assert torch.equal(fresh(x), made(x))


def data(train, test, unseen="error", categories=("x", "y", "z")):
    about = About("table", (1,), columns=(Column("c", categories),))
    splits = {"train": Held(x=torch.tensor(train)), "test": Held(x=torch.tensor(test))}
    return loaded(DataConfig("x", valid=0, unseen=unseen), Dataset(about, splits), Compute(ComputeConfig(device="cpu")))


def test_categories_are_those_of_the_training_split():
    found = data([[0.0], [2.0], [2.0]], [[2.0], [0.0]])
    assert found.about.columns[0].categories == ("x", "z")
    assert found.splits["train"].tensors["x"].tolist() == [[0], [1], [1]]
    assert found.splits["test"].tensors["x"].tolist() == [[1], [0]]
    made, shape = found.front
    assert shape == (2,) and made(found.splits["test"].tensors["x"]).tolist() == [[0, 1], [1, 0]]


def test_a_category_that_training_has_not():
    with pytest.raises(UsageError, match="column 'c': the test split has the category 'y', which the training"):
        data([[0.0], [2.0]], [[1.0]])
    found = data([[0.0], [2.0]], [[1.0]], unseen="other")
    assert found.front[0](found.splits["test"].tensors["x"]).tolist() == [[0, 0]]


@pytest.mark.parametrize("key, value", [("prepare", "scale"), ("impute", "max"), ("unseen", "new")])
def test_unknown_words(key, value):
    with pytest.raises(UsageError, match=rf"data\.{key}={value} is not known"):
        DataConfig("x", **{key: value})


@pytest.mark.parametrize("key, value", [("test", 1.0), ("valid", -0.1), ("workers", -1), ("memory", 1.5),
                                        ("split_seed", -1)])
def test_values_out_of_range(key, value):
    with pytest.raises(UsageError, match=rf"data\.{key} is {value}; expected"):
        DataConfig("x", **{key: value})
