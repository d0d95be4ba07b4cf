"""Arrays in .npz files: what each shape and type is taken for, and what is refused."""

import zipfile

import numpy as np
import pytest
import torch

from lab.assembly import assemble
from lab.compose import composed
from lab.data.dataset import About, Column
from lab.errors import UsageError
from lab_data import arrays
from lab_data.plugin import Npz

AB = ("0", "1")
Y = np.array([0, 1, 0])
BYTES, FLOATS = np.uint8, np.float32
STEPS = np.zeros((3, 2, 2), FLOATS)


def zeros(*shape, kind=BYTES):
    return np.zeros(shape, kind)


@pytest.fixture
def built(tmp_path):
    """built({name: array}, **settings) -> the dataset."""
    def build(given, **settings):
        np.savez(tmp_path / "a.npz", **given)
        return arrays.build(Npz("npz", path=str(tmp_path / "a.npz"), **settings))

    return build


@pytest.mark.parametrize("x, about", [
    (zeros(3, 5, 4), About("picture", (1, 5, 4), AB)), (zeros(3, 3, 5, 4), About("picture", (3, 5, 4), AB)),
    (zeros(3, 5, 4, 3), About("picture", (3, 5, 4), AB)), (zeros(3, 5, 4, 1), About("picture", (1, 5, 4), AB)),
    (zeros(3, 5, 6, 4), About("picture", (3, 5, 6), AB)), (zeros(3, 4, 5, 6), About("picture", (3, 5, 6), AB)),
    (zeros(3, 1, 5, 4, kind=FLOATS), About("picture", (1, 5, 4), AB)),
    (zeros(3, 2, kind=np.float64), About("table", (2,), AB, columns=(Column("0"), Column("1")))),
    (zeros(3, 7, 2, kind=np.float16), About("sequence", (7, 2), AB))])
def test_what_each_shape_is(x, about, built):
    found = built({"x": x, "y": Y})
    assert found.about == about
    held = found.splits["train"].tensors["x"]
    assert tuple(held.shape) == (3, *about.shape) and held.dtype == {
        BYTES: torch.uint8, np.float64: torch.float64}.get(x.dtype.type, torch.float32)


def test_channels_come_first_and_the_fourth_is_lost(built):
    x = np.arange(2 * 5 * 4, dtype=BYTES).reshape(1, 2, 5, 4)        # one picture, 2 x 5, with a share that is seen
    with pytest.raises(UsageError, match=r"is uint8 of the shape \[1, 2, 5, 4\], pictures of 2 channels; expected 1"):
        built({"x": x})
    x = np.arange(5 * 5 * 4, dtype=BYTES).reshape(1, 5, 5, 4)
    found = built({"x": x}).splits["train"].tensors["x"]
    assert found.shape == (1, 3, 5, 5) and found[0, :, 0, 1].tolist() == [4, 5, 6]


@pytest.mark.parametrize("y, classes, targets, expected", [
    (Y, AB, (), [0, 1, 0]), (np.array([0, 2, 1], np.uint8), ("0", "1", "2"), (), [0, 2, 1]),
    (np.array([0.5, 1, 2]), (), ("0",), [[0.5], [1], [2]]),
    (np.array([[1, 2], [3, 4], [5, 6]], np.float32), (), AB, [[1, 2], [3, 4], [5, 6]])])
def test_what_each_target_is(y, classes, targets, expected, built):
    found = built({"x": zeros(3, 2, kind=FLOATS), "y": y})
    assert found.about.classes == classes and found.about.targets == targets
    assert found.splits["train"].tensors["y"].tolist() == expected


def test_no_target(built):
    found = built({"x": zeros(3, 5, 4)})
    assert found.about.outputs == 0 and list(found.splits["train"].tensors) == ["x"]


def test_steps_beyond_the_length_are_nothing(built):
    x = np.full((2, 3, 1), 7.0)
    x[1, 1:] = np.nan                         # as some write what is not there
    found = built({"x": x, "y": Y[:2], "length": np.array([3, 1], np.int32)})
    train = found.splits["train"].tensors
    assert found.about.ragged and train["length"].tolist() == [3, 1] and train["length"].dtype == torch.int64
    assert train["x"][:, :, 0].tolist() == [[7, 7, 7], [7, 0, 0]]
    found = built({"x": np.full((2, 3, 1), 7.0), "y": Y[:2]})
    assert not found.about.ragged and found.splits["train"].tensors["length"].tolist() == [3, 3]


def test_a_test_split_and_other_names(built):
    given = {"a": zeros(3, 2, kind=FLOATS), "b": Y, "x_test": np.ones((1, 2)), "c": Y[1:2]}
    found = built(given, x="a", y="b", y_test="c")
    assert found.splits["test"].tensors["x"].tolist() == [[1, 1]] and found.splits["test"].tensors["y"].tolist() == [1]


def good(**changes):
    return {**{"x": zeros(3, 2, kind=FLOATS), "y": Y}, **changes}


@pytest.mark.parametrize("given, settings, message", [
    ({"y": Y}, {}, r"data.x=x: .*a.npz has no such array. Known: y"),
    ({"images": Y, "y": Y}, {"x": "image"}, r"data.x=image: .* has no such array. Did you mean 'images'\?"),
    (good(), {"y": "label"}, "data.y=label: .* has no such array"),
    (good(), {"length": "n"}, "data.length=n: .* has no such array"),
    (good(y=Y[:2]), {}, r"'y' is int64 of the shape \[2\]; expected 3 of them, one for each of 'x'"),
    (good(y=np.int64(1)), {}, r"'y' is int64 of the shape \[\]; expected 3 of them"),
    (good(x=STEPS, length=np.array([1])), {}, r"'length' is int64 of the shape \[1\]; expected 3"),
    (good(x=STEPS, length=np.array([1, 3, 2])), {}, "'length', example 2 has 3 steps; expected 1 to"),
    (good(x=STEPS, length=np.array([0, 1, 2])), {}, "'length', example 1 has 0 steps; expected 1 to"),
    (good(x=STEPS, length=np.ones(3)), {}, r"'length' is float64 .* expected whole numbers \[N\]"),
    (good(x=zeros(3, 2, kind=np.int64)), {}, r"'x' is int64 of the shape \[3, 2\]; expected uint8 \[N,H,W\]"),
    (good(x=zeros(3, 2)), {}, r"'x' is uint8 of the shape \[3, 2\]; expected uint8 \[N,H,W\]"),
    (good(x=zeros(3, kind=FLOATS)), {}, r"'x' is float32 of the shape \[3\]"),
    (good(x=zeros(3, 2, 2, 2, 2, kind=FLOATS)), {}, r"'x' is float32 of the shape \[3, 2, 2, 2, 2\]"),
    (good(x=np.full((3, 1, 2, 2), 255.0)), {}, "'x', example 1 has a pixel of 255; expected floats from 0 to 1"),
    (good(x=np.full((3, 1, 2, 2), -0.5)), {}, "'x', example 1 has a pixel of -0.5; expected"),
    (good(y=np.array(["a", "b", "c"])), {}, r"'y' is <U1 of the shape \[3\]; expected whole numbers"),
    (good(y=Y[:, None]), {}, r"'y' is int64 of the shape \[3, 1\]; expected whole numbers \[N\]"),
    (good(y=np.array([0, 1, 2024])), {}, "'y' has the label 2,024 among 3; expected the classes 0 to K-1"),
    (good(x_test=zeros(1, 2, kind=FLOATS)), {}, "'y' is there, and no 'y_test'; expected both or neither"),
    (good(x_test=zeros(1, 3, 3), y_test=Y[:1]), {}, "'x_test': an example is a picture, and one of 'x' is a table"),
    (good(x=np.array([{}, 1, 2], object)), {}, "'x' is an array of Python objects; expected numbers")])
def test_mistakes(given, settings, message, built):
    with pytest.raises(UsageError, match=message):
        built(given, **settings)


@pytest.mark.parametrize("body, message", [
    (b"", "a.npz is no .npz file, or a damaged one"), (b"PK\x03\x04 and no more", "is no .npz file, or a damaged one"),
    (b"x,y\n1,2\n", "is no .npz file")])
def test_no_archive(body, message, tmp_path):
    (tmp_path / "a.npz").write_bytes(body)
    with pytest.raises(UsageError, match=message):
        arrays.build(Npz("npz", path=str(tmp_path / "a.npz")))


@pytest.mark.parametrize("damage", [lambda body: body[:-3], lambda body: body + b"12",
                                    lambda body: b"no array" + body[8:], lambda body: body[:20] + b"??" + body[22:]])
def test_a_damaged_array(damage, tmp_path):
    np.savez(tmp_path / "good.npz", x=zeros(3, 2, kind=FLOATS))
    body = zipfile.ZipFile(tmp_path / "good.npz").read("x.npy")
    with zipfile.ZipFile(tmp_path / "a.npz", "w") as archive:
        archive.writestr("x.npy", damage(body))
    with pytest.raises(UsageError, match="'x' is damaged: "):
        arrays.build(Npz("npz", path=str(tmp_path / "a.npz")))


@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
def test_an_archive_that_has_changed_on_its_way(save, tmp_path):
    save(tmp_path / "a.npz", x=np.random.default_rng(0).random((50, 40)))
    body = bytearray((tmp_path / "a.npz").read_bytes())
    body[3000] ^= 255
    (tmp_path / "a.npz").write_bytes(body)
    with pytest.raises(UsageError, match="'x' is damaged: "):
        arrays.build(Npz("npz", path=str(tmp_path / "a.npz")))


def save(tmp_path, **given):
    rng = np.random.default_rng(0)
    np.savez(tmp_path / "a.npz", **{"x": rng.random((40, 5)), "y": np.arange(40) % 2, **given})
    return ["data=npz", f"data.path={tmp_path / 'a.npz'}", "agent.batch_size=8", "compute.device=cpu"]


@pytest.mark.parametrize("given, agent, shape", [
    ({}, "classifier", [8, 2]), ({"y": np.arange(40.0)}, "regressor", [8, 1]),
    ({"x": np.random.default_rng(0).integers(0, 256, (40, 9, 9), BYTES)}, "classifier", [8, 2])])
def test_an_agent_learns_it(given, agent, shape, tmp_path):
    made = assemble(composed([f"+agent={agent}", *save(tmp_path, **given)]))
    batch = made.experiment.stream.next()
    assert made.experiment.learner.update(batch)["loss/train"].isfinite()
    assert list(made.experiment.learner.net(batch["x"]).shape) == shape


@pytest.mark.parametrize("value, message", [(np.nan, "example 3 has no number in column '4'; data.impute=mean"),
                                            (np.inf, "example 3 has an infinite number in column '4'"),
                                            (1e39, "example 3 has an infinite number in column '4'")])
def test_numbers_that_are_none(value, message, tmp_path):
    x = np.zeros((40, 5))
    x[2, 4] = value
    with pytest.raises(UsageError, match=message):
        assemble(composed(["+agent=classifier", *save(tmp_path, x=x)]))


def test_a_label_that_training_has_not(tmp_path):
    with pytest.raises(UsageError, match=rf"{tmp_path}.*, split test: example 1 has the label 2; expected 0 to 1"):
        assemble(composed(["+agent=classifier", *save(tmp_path, x_test=np.zeros((1, 5)), y_test=np.array([2]))]))


def test_from_the_command_line(tmp_path, lab):
    code, _, said = lab("+agent=classifier", *save(tmp_path), "budget.epochs=2", "hydra.run.dir=out")
    assert code == 0, said
    code, _, said = lab("+agent=classifier", *save(tmp_path), "data.x=z")
    assert code == 2 and "data.x=z" in said and "Traceback" not in said
