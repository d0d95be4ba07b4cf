"""What no dataset may hold: one message for each, with the place."""

import pytest
import torch

from lab.data.checks import checked
from lab.data.config import DataConfig
from lab.data.dataset import About, Column, Dataset, Held
from lab.data.reading import Read
from lab.errors import UsageError

NAN, INF = float("nan"), float("inf")
TABLE = About("table", (2,), classes=("a", "b"), columns=(Column("age"), Column("colour", ("red", "blue"))))
PICTURE = About("picture", (1, 2, 2), classes=("a", "b"))
SEQUENCE = About("sequence", (3, 1), targets=("t",))
GOOD = {"table": (TABLE, {"x": torch.tensor([[1.0, 0.0], [2.0, 1.0]]), "y": torch.tensor([0, 1])}),
        "picture": (PICTURE, {"x": torch.zeros(2, 1, 2, 2, dtype=torch.uint8), "y": torch.tensor([0, 1])}),
        "sequence": (SEQUENCE, {"x": torch.zeros(2, 3, 1), "y": torch.zeros(2, 1), "length": torch.tensor([3, 1])})}


def check(about, tensors, split="train", **settings):
    good = Held(**{**GOOD[about.kind][1]}) if about.kind in GOOD else Held(**tensors)
    splits = {"train": good, split: Held(**tensors)}
    checked(Dataset(about, splits), DataConfig("mine", **settings))


@pytest.mark.parametrize("kind", GOOD)
def test_what_is_right(kind):
    about, tensors = GOOD[kind]
    check(about, tensors)
    check(about, tensors, "test")


def test_what_is_missing_in_a_picture_is_filled_in_by_nothing():
    about, tensors = GOOD["picture"]
    with pytest.raises(UsageError, match=r"example 1 has no number in place \[0, 0, 0\]$"):
        check(about, {**tensors, "x": torch.full((2, 1, 2, 2), NAN)}, "test", impute="mean")


@pytest.mark.parametrize("kind, changes, message", [
    ("table", {"x": torch.zeros(2, 3)}, r"split test: the examples are \[3\], expected \[2\]"),
    ("picture", {"x": torch.zeros(2, 2, 2)}, r"the examples are \[2, 2\], expected \[1, 2, 2\]"),
    ("table", {"y": torch.tensor([0])}, "2 examples and 1 targets; expected as many"),
    ("sequence", {"length": torch.tensor([3])}, "2 inputs and 1 of length; expected as many"),
    ("table", {"x": torch.zeros(2, 2).int()}, "inputs of type torch.int32; expected float32, or uint8 for pictures"),
    ("table", {"x": torch.zeros(2, 2, dtype=torch.uint8)}, "inputs of type torch.uint8; expected float32"),
    ("table", {"x": torch.tensor([[1.0, 0.0], [NAN, 0.0]])}, "example 2 has no number in column 'age'; data.impute="),
    ("table", {"x": torch.tensor([[1.0, 0.0], [-INF, 0.0]])}, "example 2 has an infinite number in column 'age'$"),
    ("table", {"x": torch.tensor([[1.0, 2.0], [1.0, 0.0]])}, "example 1 has no category in column 'colour'"),
    ("table", {"x": torch.tensor([[1.0, 1.0], [1.0, -1.0]])}, "example 2 has no category in column 'colour'"),
    ("picture", {"x": torch.full((2, 1, 2, 2), NAN)}, r"example 1 has no number in place \[0, 0, 0\]$"),
    ("table", {"x": torch.zeros(0, 2), "y": torch.zeros(0).long()}, "there is no example; give it some, or leave it"),
    ("sequence", {"x": torch.tensor([0.0, 0, 0, 0, INF, 0]).view(2, 3, 1)},
     r"example 2 has an infinite number in place \[1, 0\]"),
    ("table", {"y": torch.tensor([0.0, 1.0])}, r"labels are torch.float32 of \[2\]; expected whole numbers, one each"),
    ("table", {"y": torch.tensor([[0], [1]])}, r"labels are torch.int64 of \[2, 1\]"),
    ("table", {"y": torch.tensor([0, 2])}, "example 2 has the label 2; expected 0 to 1"),
    ("table", {"y": torch.tensor([-1, 0])}, "example 1 has the label -1; expected 0 to 1"),
    ("sequence", {"y": torch.zeros(2, 3)}, r"targets of \[3\]; expected 1 numbers each"),
    ("sequence", {"y": torch.tensor([[0.0], [NAN]])}, "the target of example 2 is no number"),
    ("sequence", {"y": torch.tensor([[INF], [0.0]])}, "the target of example 1 is no number")])
def test_what_is_wrong_with_a_split(kind, changes, message):
    about, tensors = GOOD[kind]
    with pytest.raises(UsageError, match=message) as error:
        check(about, {**tensors, **changes}, "test")
    assert str(error.value).startswith("data=mine, split test: ")


@pytest.mark.parametrize("length, message", [
    (None, "sequences come with their lengths"), (torch.tensor([1.0, 2.0]), "sequences come with their lengths, int64"),
    (torch.tensor([[1], [2]]), "sequences come with their lengths, int64, one each"),
    (torch.tensor([3, 0]), "example 2 has 0 steps; expected 1 to 3"),
    (torch.tensor([4, 1]), "example 1 has 4 steps; expected 1 to 3")])
def test_lengths(length, message):
    tensors = {"x": torch.zeros(2, 3, 1), "y": torch.zeros(2, 1)}
    with pytest.raises(UsageError, match=message):
        check(SEQUENCE, tensors if length is None else {**tensors, "length": length}, "test")


def test_targets_that_are_not_there():
    with pytest.raises(UsageError, match="2 examples and 0 targets"):
        check(TABLE, {"x": torch.zeros(2, 2)}, "test")
    check(About("table", (2,), columns=TABLE.columns), {"x": torch.zeros(2, 2)}, "test")


def test_numbers_may_be_missing_where_they_are_filled_in():
    missing = {**GOOD["table"][1], "x": torch.tensor([[NAN, 0.0], [2.0, 1.0]])}
    check(TABLE, missing, "test", impute="mean")
    with pytest.raises(UsageError, match="example 1 has an infinite number in column 'age'"):
        check(TABLE, {**missing, "x": torch.tensor([[INF, 0.0], [2.0, 1.0]])}, "test", impute="mean")
    with pytest.raises(UsageError, match="example 1 has no category in column 'colour'"):
        check(TABLE, {**missing, "x": torch.tensor([[1.0, NAN], [2.0, 1.0]])}, "test", impute="mean")


@pytest.mark.parametrize("about, splits, message", [
    (About("tree", (2,)), {"train": Held(x=torch.zeros(1, 2))}, "an example is a 'tree'; expected one of picture, "),
    (About("table", (2,)), {"test": Held(x=torch.zeros(1, 2))}, "data=mine has no example to learn from"),
    (About("table", (2,)), {"train": Held(x=torch.zeros(0, 2))}, "data=mine has no example to learn from"),
    (About("table", (2,)), {"train": Held(x=torch.zeros(1, 2)), "dev": Held(x=torch.zeros(1, 2))},
     "has a split 'dev'; expected train, valid and test"),
    (About("table", (0,)), {"train": Held(x=torch.zeros(1, 0))}, r"an example of the shape \[0\] holds nothing"),
    (About("table", ()), {"train": Held(x=torch.zeros(1))}, r"an example of the shape \[\] holds nothing")])
def test_what_is_wrong_with_the_whole(about, splits, message):
    with pytest.raises(UsageError, match=message):
        checked(Dataset(about, splits), DataConfig("mine"))


def test_the_labels_of_what_is_read_later():
    late = Read(lambda i: None, torch.tensor([0, 5]), "", torch.arange(2))
    with pytest.raises(UsageError, match="split train: example 2 has the label 5; expected 0 to 1"):
        checked(Dataset(PICTURE, {"train": late}), DataConfig("mine"))


def test_a_description_survives_being_written():
    import json

    for about in (TABLE, PICTURE, SEQUENCE, About("sequence", (3, 1), ragged=True)):
        assert About.of(json.loads(json.dumps(about.plain()))) == about
    assert TABLE.outputs == 2 and SEQUENCE.outputs == 1 and About("table", (2,)).outputs == 0
