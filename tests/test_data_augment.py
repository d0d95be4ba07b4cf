"""Random changes of examples, each checked on a picture that fits into the head."""

import pytest
import torch

from lab.compute import Compute
from lab.config import ComputeConfig
from lab.data import augment
from lab.data.augment import Augmented
from lab.data.config import Augment
from lab.data.dataset import About, Column
from lab.errors import UsageError

NINE = torch.arange(1, 10).reshape(1, 1, 3, 3)       # 1 2 3 / 4 5 6 / 7 8 9
PICTURE = About("picture", (1, 3, 3), classes=("a", "b"))


def picture(*rows):
    return torch.tensor(rows).reshape(1, 1, 3, 3)


def test_flip():
    both = augment.flip(NINE.repeat(2, 1, 1, 1), torch.tensor([True, False]))
    assert torch.equal(both[:1], picture([3, 2, 1], [6, 5, 4], [9, 8, 7]))
    assert torch.equal(both[1:], NINE)


@pytest.mark.parametrize("down, right, expected", [
    (0, 0, NINE), (1, 0, picture([0, 0, 0], [1, 2, 3], [4, 5, 6])), (-1, 0, picture([4, 5, 6], [7, 8, 9], [0, 0, 0])),
    (0, 1, picture([0, 1, 2], [0, 4, 5], [0, 7, 8])), (0, -2, picture([3, 0, 0], [6, 0, 0], [9, 0, 0])),
    (2, 1, picture([0, 0, 0], [0, 0, 0], [0, 1, 2]))])
def test_shift(down, right, expected):
    assert torch.equal(augment.shift(NINE, torch.tensor([down]), torch.tensor([right]), 2), expected)


def test_each_is_shifted_by_its_own():
    both = augment.shift(NINE.repeat(2, 2, 1, 1), torch.tensor([1, 0]), torch.tensor([0, 1]), 1)
    assert torch.equal(both[0], picture([0, 0, 0], [1, 2, 3], [4, 5, 6])[0].repeat(2, 1, 1))
    assert torch.equal(both[1], picture([0, 1, 2], [0, 4, 5], [0, 7, 8])[0].repeat(2, 1, 1))


@pytest.mark.parametrize("top, left, expected", [
    (0, 0, picture([0, 0, 3], [0, 0, 6], [7, 8, 9])), (-1, 2, picture([1, 2, 0], [4, 5, 6], [7, 8, 9])),
    (2, 1, picture([1, 2, 3], [4, 5, 6], [7, 0, 0]))])
def test_cutout(top, left, expected):
    assert torch.equal(augment.cutout(NINE, torch.tensor([top]), torch.tensor([left]), 2), expected)


def test_mix():
    """The first with the last; the one in the middle with itself."""
    x = torch.tensor([[0.0], [10.0], [100.0]])
    assert augment.mix(x, torch.tensor([0.75, 0.5, 0.9])).tolist() == [[25.0], [10.0], [90.0]]


def made(about=PICTURE, n=8, seed=0, **asked):
    return Augmented(Augment(**asked), about, n, Compute(ComputeConfig(device="cpu"), seed))


def changed(augmented, x, y, rows, epoch=0):
    return augmented({"x": x[rows], "y": y[rows]}, rows, epoch)


EXAMPLES = torch.arange(1, 73, dtype=torch.uint8).reshape(8, 1, 3, 3)
LABELS = torch.arange(8) % 2


def test_the_same_happens_to_an_example_however_it_is_batched():
    augmented = made(flip=True, crop=1, cutout=1)
    whole = changed(augmented, EXAMPLES, LABELS, torch.arange(8))["x"]
    parts = [changed(made(flip=True, crop=1, cutout=1), EXAMPLES, LABELS, rows)["x"]
             for rows in torch.tensor([[5, 0], [2, 7], [6, 1], [3, 4]])]
    assert torch.equal(whole[[5, 0, 2, 7, 6, 1, 3, 4]], torch.cat(parts))
    assert whole.dtype == torch.uint8 and not torch.equal(whole, EXAMPLES)
    assert torch.equal(changed(augmented, EXAMPLES, LABELS, torch.arange(8))["x"], whole), "the same epoch once more"
    assert not torch.equal(changed(augmented, EXAMPLES, LABELS, torch.arange(8), epoch=1)["x"], whole)
    assert not torch.equal(changed(made(flip=True, crop=1, cutout=1, seed=1), EXAMPLES, LABELS, torch.arange(8))["x"],
                           whole)


def test_one_change_does_not_shift_the_dice_of_another():
    flipped = changed(made(flip=True), EXAMPLES, LABELS, torch.arange(8))["x"]
    back = changed(made(flip=True, cutout=1), EXAMPLES, LABELS, torch.arange(8))["x"]
    assert ((back == flipped) | (back == 0)).all()
    assert ((flipped == EXAMPLES) | (flipped == EXAMPLES.flip(-1))).all() and not torch.equal(flipped, EXAMPLES)


def test_a_shift_reaches_both_ends_and_a_square_every_place():
    n = 2000
    x, y = torch.full((n, 1, 3, 3), 9), torch.zeros(n).long()
    moved = changed(made(n=n, crop=1), x, y, torch.arange(n))["x"] == 0
    assert {(int(each[0].all(1).sum()), int(each[0].all(0).sum())) for each in moved} == {
        (a, b) for a in (0, 1) for b in (0, 1)}
    assert {bool(each[0, 0].all()) for each in moved} == {bool(each[0, 2].all()) for each in moved} == {True, False}
    holes = changed(made(n=n, cutout=1), x, y, torch.arange(n))["x"] == 0
    assert (holes.flatten(1).sum(1) == 1).all()
    assert ((holes.float().mean(0) - 1 / 9).abs() < 0.03).all(), "every pixel alike"


def test_mixed_labels_are_shares_of_the_classes():
    x = torch.tensor([0, 255], dtype=torch.uint8).reshape(2, 1, 1, 1)
    about = About("picture", (1, 1, 1), classes=("a", "b"))
    found = changed(made(about, n=2, mixup=1.0), x, torch.tensor([0, 1]), torch.arange(2))
    assert torch.allclose(found["x"].flatten(), found["y"][:, 1]), "as much of the white one as of its label"
    assert torch.allclose(found["y"].sum(1), torch.ones(2)) and found["x"].dtype == torch.float32
    assert 0 < float(found["y"][0, 0]) < 1


def test_mixed_numbers():
    about = About("table", (1,), targets=("t",), columns=(Column("c"),))
    numbers = torch.tensor([[0.0], [1.0]])
    found = changed(made(about, n=2, mixup=1.0), numbers, numbers, torch.arange(2))
    assert torch.allclose(found["x"], found["y"]) and 0 < float(found["x"][0]) < 1


TABLE = About("table", (2,), classes=("a", "b"), columns=(Column("n"), Column("c", ("x", "y"))))


@pytest.mark.parametrize("about, asked, message", [
    (TABLE, {"flip": True}, "data.augment.flip is for pictures, and an example of this data is a table"),
    (About("sequence", (3, 1), ("a", "b")), {"crop": 1}, "data.augment.crop is for pictures"),
    (About("sequence", (3, 1), ("a", "b")), {"mixup": 0.2}, "data.augment.mixup mixes"),
    (About("picture", (1, 3, 3)), {"mixup": 0.2}, "data.augment.mixup mixes"),
    (TABLE, {"mixup": 0.2}, r"data\.augment\.mixup .* the column 'c' holds categories"),
    (PICTURE, {"cutout": 4}, "data.augment.cutout=4 is more than a picture of 3 x 3 has"),
    (PICTURE, {"crop": 4}, "data.augment.crop=4 is more than")])
def test_what_the_data_cannot_have(about, asked, message):
    with pytest.raises(UsageError, match=message):
        made(about, **asked)


@pytest.mark.parametrize("asked", [{"crop": -1}, {"cutout": -1}, {"mixup": -0.1}])
def test_values_out_of_range(asked):
    with pytest.raises(UsageError, match=r"data\.augment\."):
        Augment(**asked)


def test_nothing_asked_is_nothing_done():
    assert not made() and made(flip=True) and made(mixup=0.1)
