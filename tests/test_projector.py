"""Codes in TensorBoard's projector, as it reads them itself; and classes that are found by what they cost."""

import io
import json
from dataclasses import replace

import numpy as np
import pytest
from google.protobuf import text_format
from PIL import Image
from tensorboard.plugins.projector.projector_config_pb2 import ProjectorConfig

from lab import projector
from lab.media import Codes, encoded, place
from lab.modules import evaluating
from lab.testing import maker
from lab_vae.outliers import without


def shown(run, name, codes):
    kind, body = encoded(codes)
    file = place(run, name, 7, kind)
    file.write_bytes(body)
    projector.show(file, name)
    return text_format.Parse((run / projector.CONFIG).read_text(), ProjectorConfig()).embeddings


def test_points_labels_and_pictures_are_where_tensorboard_looks(tmp_path):
    """Three pictures of 2 x 1 pixels in a sheet of two rows and columns: the third begins the second row."""
    codes = Codes(np.array([[1, 2.5], [3, 4], [-5, 6]]), ["a", "two words\t\n", "c"],
                  np.array([[[10], [20]], [[30], [40]], [[50], [60]]], np.uint8))
    (found,) = shown(tmp_path, "eval/test/codes", codes)
    assert found.tensor_name == "eval.test.codes" and list(found.sprite.single_image_dim) == [1, 2]
    assert np.loadtxt(tmp_path / found.tensor_path).tolist() == [[1, 2.5], [3, 4], [-5, 6]]
    assert (tmp_path / found.metadata_path).read_text().splitlines() == ["a", "two words", "c"]
    sheet = np.asarray(Image.open(io.BytesIO((tmp_path / found.sprite.image_path).read_bytes())))
    assert sheet[..., 0].tolist() == [[10, 30], [20, 40], [50, 0], [60, 0]]


def test_points_alone_and_several_names(tmp_path):
    shown(tmp_path, "words", Codes(np.eye(3)))
    found = shown(tmp_path, "a/b", Codes(np.eye(2), ["x", "y"]))
    assert [each.tensor_name for each in found] == ["a.b", "words"]
    assert not found[1].metadata_path and not found[1].sprite.image_path


def test_a_run_shows_its_codes_and_a_rebuild_does_again(lab, tmp_path):
    run = tmp_path / "vae"
    assert lab("+agent=vae", "data=wine", "model=vae_mlp", "agent.outlier=class_2", "budget.epochs=20",
               f"hydra.run.dir={run}")[0] == 0
    final = json.loads((run / "run.json").read_text())["final"]
    assert final["eval/test/outlier/auroc"] > 0.7 and 0 < final["eval/test/outlier/average_precision"] <= 1
    assert (run / "media/eval/test/outlier/roc").is_dir()
    labels = (run / "projector/eval.test.codes/labels.tsv").read_text().split()
    points = np.loadtxt(run / "projector/eval.test.codes/points.tsv")
    assert set(labels) == {"class_0", "class_1"} and len(points) == len(labels)
    (run / projector.CONFIG).unlink()
    assert lab("tensorboard", "--rebuild", str(run))[0] == 0
    assert "eval.test.codes" in (run / projector.CONFIG).read_text()


def test_the_class_is_in_no_split_and_its_place_stays():
    data = maker("autoencoder")().data
    kept = without(data, "3")
    assert all(3 not in split.y and 4 in split.y for split in kept.splits.values())
    assert kept.about == data.about and 3 in data.splits["train"].y


@pytest.mark.parametrize("words, message", [
    ("agent.outlier=ten", "agent.outlier=ten is not a class of data=digits"),
    ("data=diabetes model=vae_mlp agent.outlier=1", "agent.outlier=1 is a class, and data=diabetes has none")])
def test_refused(words, message, lab):
    code, _, error = lab("+agent=autoencoder", *words.split())
    assert code == 2 and message in error, error


@pytest.mark.parametrize("agent, words", [
    ("vae", ()), ("vae", ("data=digits", "agent.likelihood=bernoulli", "agent.binarize=draw")),
    ("denoising_autoencoder", ()), ("vq_vae", ())])
def test_equal_examples_cost_the_same(agent, words):
    """In one batch, and alone: nothing is drawn, and nothing hidden."""
    made = maker(agent, *(words or ("data=wine",)))()
    x = next(made.data.batches("train", 2))["x"]
    with evaluating(made.experiment.learner):
        first, second, third = made.experiment.cost(x[[0, 1, 0]]).tolist()
        alone = made.experiment.cost(x[:1]).item()
    assert first == pytest.approx(third, rel=1e-5) == pytest.approx(alone, rel=1e-5) and abs(second - first) > 1e-3


def test_where_nothing_is_to_be_told_apart_there_is_no_figure():
    outlier = maker("vae", "data=wine", "agent.outlier=class_2")().experiment.closing["outlier"]
    whole = outlier.data
    assert "test/outlier/auroc" in outlier()
    outlier.data = without(whole, "class_2")
    assert outlier() == {}
    y = whole.splits["test"].y
    outlier.data = replace(whole, splits={"test": whole.splits["test"].take((y == 2).nonzero()[:, 0])})
    assert outlier() == {}
