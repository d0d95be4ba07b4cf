"""Datasets of the Hugging Face library, written by it into a folder."""

import io

import numpy as np
import pytest
import torch
from PIL import Image as Picture

from lab.assembly import assemble
from lab.compose import composed
from lab.data.dataset import About, Column
from lab.data.reading import Loaded, Read
from lab.errors import UsageError
from lab_data import huggingface
from lab_data.plugin import HuggingFace

datasets = pytest.importorskip("datasets")
FEATURES = {"a": datasets.Value("float32"), "n": datasets.Value("int64"), "t": datasets.Value("string"),
            "y": datasets.ClassLabel(names=["no", "yes"])}
ROWS = {"a": [1.5, None, 3.0], "n": [1, 2, 3], "t": ["u", "v", "u"], "y": [0, 1, 1]}


def table(rows=ROWS, features=FEATURES):
    return datasets.Dataset.from_dict(rows, datasets.Features(features))


@pytest.fixture
def built(tmp_path):
    """built(dataset, **settings) -> what the lab makes of it, through a folder."""
    def build(given, **settings):
        datasets.disable_progress_bars()
        given.save_to_disk(str(tmp_path / "saved"))
        return huggingface.build(HuggingFace("hf", path=str(tmp_path / "saved"), **settings))

    return build


def png(value, size=(3, 2)):
    body = io.BytesIO()
    Picture.fromarray(np.full(size[::-1], value, np.uint8)).save(body, "png")
    return {"bytes": body.getvalue(), "path": None}


def pictures(values, labels=None, **more):
    rows = {"img": [value if isinstance(value, dict) else png(value) for value in values],
            "y": labels or [i % 2 for i in range(len(values))], **more}
    return table(rows, {"img": datasets.Image(), "y": FEATURES["y"]})


def test_a_table(built):
    """All columns of numbers, the first of labels; text is left to be asked for, and is refused then."""
    found = built(table(), impute="mean")
    train = found.splits["train"].tensors
    assert found.about == About("table", (2,), ("no", "yes"), columns=(Column("a"), Column("n")))
    assert train["x"][0].tolist() == [1.5, 1] and train["x"][1].isnan().tolist() == [True, False]
    assert train["y"].tolist() == [0, 1, 1] and train["y"].dtype == torch.int64


@pytest.mark.parametrize("y, x, classes, targets, expected", [
    ("a", ["n"], (), ("a",), [[0.5], [1.0], [3.0]]), ("n", ["a"], ("1", "2", "3"), (), [0, 1, 2]),
    ("t", ["a", "n"], ("u", "v"), (), [0, 1, 0])])
def test_other_targets(y, x, classes, targets, expected, built):
    found = built(table({**ROWS, "a": [0.5, 1.0, 3.0]}), x=x, y=y)
    assert found.about.classes == classes and found.about.targets == targets
    assert found.splits["train"].tensors["y"].tolist() == expected


def test_no_target(built):
    found = built(table({"a": [1.0, 2.0]}, {"a": FEATURES["a"]}))
    assert found.about.outputs == 0 and found.splits["train"].y is None


@pytest.mark.parametrize("memory", [0.25, 0])
def test_pictures(memory, built):
    found = built(pictures([5, 7, 9]), memory=memory)
    train = found.splits["train"]
    batch, = train.batches([torch.tensor([2, 0])], torch.device("cpu"))
    assert found.about == About("picture", (1, 2, 3), ("no", "yes"))
    assert isinstance(train, Read if memory == 0 else Loaded)
    assert batch["x"].flatten(1)[:, 0].tolist() == [9, 5] and batch["y"].tolist() == [0, 0]


def test_reading_late_has_the_same_fingerprint(built, tmp_path):
    early = built(pictures([5, 7, 9])).splits["train"]
    cfg = HuggingFace("hf", path=str(tmp_path / "saved"), memory=0)
    assert huggingface.build(cfg).splits["train"].fingerprint() == early.fingerprint()
    other = built(pictures([5, 7, 8])).splits["train"]
    assert other.fingerprint() != early.fingerprint()


def test_readers_in_other_processes(built, tmp_path):
    rows = torch.split(torch.arange(6), 2)
    found = built(pictures(range(6)), memory=0).splits["train"]
    batches = [list(found.batches(rows, torch.device("cpu"), workers)) for workers in (0, 1)]
    for one, two in zip(*batches, strict=True):
        assert torch.equal(one["x"], two["x"]) and torch.equal(one["y"], two["y"])


def test_splits_by_the_labs_names(built):
    given = datasets.DatasetDict({"train": table(), "validation": table(), "test": table(), "extra": table()})
    found = built(given, x=["n"])
    assert sorted(found.splits) == ["test", "train", "valid"] and found.notes == ("splits left out: extra",)


@pytest.mark.parametrize("given, settings, message", [
    (table(), {"x": ["b"]}, "data.x=b: .* has no such column. Known: a, n, t, y"),
    (table(), {"y": "label"}, "data.y=label: .* has no such column"),
    (table(), {"x": ["t"]}, "data.x=t: the column is text; expected numbers, or one column of pictures"),
    (table(), {"y": "a"}, "saved, train, example 2: there is no a"),
    (table(), {"y": "n", "x": ["a", "n"]}, "data.x has 'n', which is the target"),
    (table(), {"y": "n", "x": ["a", "a"]}, "data.x names a column twice: a, a"),
    (table({"n": [1, 2], "l": [[1], [2]]}, datasets.Features({"n": FEATURES["n"], "l": datasets.List(FEATURES["n"])})),
     {"y": "l"}, "data.y=l is List; expected labels, text or numbers"),
    (datasets.DatasetDict({"train": table(), "validation": table(), "val": table()}), {}, "splits validation and val;"),
    (table({"t": ["u"], "y": [0]}, {"t": FEATURES["t"], "y": FEATURES["y"]}), {},
     "no column of pictures or numbers; the columns are t, y"),
    (datasets.DatasetDict({"test": table()}), {}, "has the splits test; expected one that is called train"),
    (datasets.DatasetDict({"train": table(), "test": table({**ROWS, "t": ["u", "u", "w"]})}), {"y": "t", "x": ["n"]},
     "saved, test, example 3: the training data has no class 'w'"),
    (pictures([1, png(2, (4, 4))]), {}, r"sizes: .*saved, train, example 1 has 2 x 3 .*example 2 4 x 4, height"),
    (pictures([1, {"bytes": b"no picture", "path": None}]), {}, "train, example 2 does not open as a picture")])
def test_mistakes(given, settings, message, built):
    with pytest.raises(UsageError, match=message):
        built(given, **settings)


def test_a_folder_that_holds_none(tmp_path):
    with pytest.raises(UsageError, match=f"data.path={tmp_path} was not written by save_to_disk, or is damaged: "):
        huggingface.build(HuggingFace("hf", path=str(tmp_path)))


def test_a_name_that_cannot_be_had(monkeypatch):
    def fail(name):
        raise ConnectionError(f"no way to {name}")

    monkeypatch.setattr(datasets, "load_dataset", fail)
    with pytest.raises(UsageError, match=r"data\.path=someone/pets is no folder here, and could not be had .* no way"):
        huggingface.build(HuggingFace("hf", path="someone/pets"))


def test_a_name_on_the_hub(monkeypatch):
    monkeypatch.setattr(datasets, "load_dataset", lambda name: datasets.DatasetDict({"train": table()}))
    assert huggingface.build(HuggingFace("hf", path="someone/pets", x=["n"])).about.shape == (1,)


def test_mistakes_in_the_config():
    with pytest.raises(UsageError, match=r"data\.size is \[3\]"):
        HuggingFace("hf", path="x", size=[3])
    with pytest.raises(UsageError, match=r"data\.path is missing"):
        HuggingFace("hf")


def saved(tmp_path, given):
    given.save_to_disk(str(tmp_path / "saved"))
    return ["+agent=classifier", "data=hf", f"data.path={tmp_path / 'saved'}", "agent.batch_size=8", "model=mlp",
            "compute.device=cpu"]


def test_an_agent_learns_it(tmp_path):
    given = table({**{name: column * 10 for name, column in ROWS.items()}, "y": [0, 1] * 15})
    made = assemble(composed([*saved(tmp_path, given), "data.impute=mean"]))
    assert made.experiment.learner.update(made.experiment.stream.next())["loss/train"].isfinite()


def test_from_the_command_line(tmp_path, lab):
    code, _, said = lab(*saved(tmp_path, pictures(range(40))), "budget.epochs=2", "hydra.run.dir=out")
    assert code == 0, said
    assert "picture of 1 x 2 x 3, 2 classes" in said and "Traceback" not in said
