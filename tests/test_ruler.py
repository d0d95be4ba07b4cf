"""New pictures measured where the answer is known: the real ones, one of them again and again, noise, wrong labels."""

from dataclasses import replace

import pytest
import torch

from lab.data import ruler as rulers
from lab.data.gallery import Gallery
from lab.data.inception import Inception
from lab.data.lessons import Lessons
from lab.data.made import at_the_end
from lab.data.prepare import bright
from lab.data.ruler import Ruler, ruler, seen
from lab.testing import maker


@pytest.fixture(scope="module")
def data():
    """The digits."""
    return maker("vae")().data


@pytest.fixture(scope="module")
def train(data):
    (batch,) = data.splits["train"].batches([torch.arange(1000)], torch.device("cpu"))
    return batch


def judged(data, sample, most=5_000):
    found = Gallery(sample, data, "test", most, "test/")()
    assert found["test/made/nearest"].dtype == "uint8"
    return {name.removeprefix("test/made/"): value for name, value in found.items() if name != "test/made/nearest"}


def test_the_training_data_is_as_good_as_can_be(data, train):
    found = judged(data, lambda n, rng, label: train["x"][500:500 + n])
    assert found["frechet"] < 2 * found["frechet_real"] and found["classes"] == 10 and found["class_kl"] < 0.05
    assert min(found[name] for name in ("precision", "recall", "coverage")) > 0.85 and found["density"] > 0.8
    assert found["duplicates"] < 0.1


def test_data_that_is_sorted_by_class_is_measured_as_any_other(data):
    """The test split against as many training pictures; of both 100 alone are looked at."""
    splits = {name: split.take(split.y.argsort(stable=True)) for name, split in data.splits.items()}
    found = judged(replace(data, splits=splits), lambda n, rng, label: torch.rand(n, 1, 8, 8, generator=rng), most=100)
    assert found["frechet_real"] < 20 and found["class_kl"] < 5 and found["classes"] < 10


def test_one_picture_again_and_again(data, train):
    found = judged(data, lambda n, rng, label: train["x"][:1].expand(n, -1, -1, -1))
    assert found["classes"] == 1 and found["class_kl"] > 2 and found["duplicates"] == 1 and found["recall"] == 0
    assert found["coverage"] < 0.1 and found["frechet"] > 20 * found["frechet_real"]


def test_noise(data):
    found = judged(data, lambda n, rng, label: torch.rand(n, 1, 8, 8, generator=rng))
    assert found["precision"] < 0.2 and found["coverage"] < 0.1 and found["frechet"] > 20 * found["frechet_real"]


def test_who_is_told_a_class_is_asked_whether_it_is_that(data, train):
    """Real examples of the right class, and of the next one."""
    def of(shift):
        def sample(n, rng, label):
            rows = [int((train["y"] == (wanted + shift) % 10).nonzero()[i % 50]) for i, wanted in enumerate(label)]
            return train["x"][rows]

        sample.classes = 10
        return sample

    assert judged(data, of(0))["agreement"] > 0.97 and judged(data, of(1))["agreement"] < 0.03


@pytest.mark.parametrize("shift, least, most", [(0, 0.9, 1), (1, 0, 0.05)])
def test_who_learns_from_what_is_made_knows_as_much_as_that_shows(data, train, shift, least, most, monkeypatch):
    """Real examples of the right class, and of the next one."""
    monkeypatch.setattr(rulers, "UPDATES", 150)

    def sample(n, rng, label):
        rows = [(train["y"] == (wanted + shift) % 10).nonzero()[:, 0] for wanted in range(10)]
        return torch.stack([train["x"][rows[wanted][i % len(rows[wanted])]] for i, wanted in enumerate(label.tolist())])

    sample.classes = 10
    found = Lessons(sample, data, "test", 5_000, "test/")()
    assert least <= found["test/made/accuracy"] <= most and found["test/made/accuracy_real"] > 0.97
    assert Lessons.fits(sample, data) and not Lessons.fits(lambda n, rng, label: None, data)


class Looks(torch.nn.Module):
    """The mean of each quarter of a red channel, as bytes."""

    def forward(self, x: torch.Tensor, return_features: bool):
        assert return_features and x.dtype == torch.uint8 and x.shape[1] == 3
        return torch.nn.functional.avg_pool2d(x[:, 0].float(), 4).flatten(1)


def test_fid_is_measured_where_the_weights_are(data, train, tmp_path, monkeypatch):
    """By a network that is not Inception. From black pictures, all alike, it is the mean squared, and the variance."""
    torch.jit.script(Looks()).save(tmp_path / "net.pt")
    assert not Inception.fits(data)
    monkeypatch.setenv("LAB_INCEPTION", str(tmp_path / "net.pt"))
    assert Inception.fits(data)
    near, dark = (Inception(lambda n, rng, label, k=k: k * bright(train["x"][:n]), data, "test", 5_000, "test/")()[
        "test/made/fid"] for k in (1, 0))
    (real,) = data.splits["test"].batches([torch.arange(359)], torch.device("cpu"))
    features = Looks()((255 * bright(real["x"])).round().byte().expand(-1, 3, -1, -1), True).double()
    assert dark == pytest.approx(float(features.mean(0).square().sum() + features.var(0).sum())) and near < dark / 100


def test_what_is_no_network_is_refused(lab, tmp_path, monkeypatch):
    (tmp_path / "net.pt").write_text("nothing")
    monkeypatch.setenv("LAB_INCEPTION", str(tmp_path / "net.pt"))
    code, _, error = lab("+agent=vae")
    assert code == 2 and "cannot be opened as TorchScript" in error and not (tmp_path / "runs").exists()


@pytest.mark.parametrize("classes, most, told", [((), 100, True), (("a", "b"), 100, False), ((), 0, False)])
def test_what_is_not_measured_is_told(data, classes, most, told, caplog):
    with caplog.at_level("INFO", "lab"):
        other = replace(data, about=replace(data.about, classes=classes))
        found = at_the_end(lambda n, rng, label: None, other, "test", most)
    assert ("gallery" in found) is (bool(classes) and bool(most)) and "wall" in found
    assert ("what is made will not be measured" in caplog.text) is told
    caplog.clear()
    at_the_end(lambda n, rng, label: None, replace(other, there=False), "test", most)
    assert not caplog.text                        # of what stands in for data there is nothing to tell


def test_it_is_trained_once_and_kept(data, monkeypatch, tmp_path):
    """What is damaged is made again, to the same bits."""
    monkeypatch.setenv("LAB_CACHE", str(tmp_path))
    monkeypatch.setattr(rulers, "UPDATES", 1)
    monkeypatch.setattr(rulers, "EPOCHS", 1)
    calls, real = [], rulers.learn
    monkeypatch.setattr(rulers, "learn", lambda *given: (calls.append(1), real(*given)))
    before = torch.get_rng_state()
    first, again = ruler(data), ruler(data)
    (file,) = (tmp_path / "rulers").iterdir()
    file.write_bytes(file.read_bytes()[:1000])
    third = ruler(data)
    assert len(calls) == 2 and torch.equal(before, torch.get_rng_state())
    for a, b, c in zip(*(net.state_dict().values() for net in (first, again, third)), strict=True):
        assert torch.equal(a, b) and torch.equal(a, c)


def test_it_knows_the_classes(data):
    (batch,) = data.splits["test"].batches([torch.arange(len(data.splits["test"]))], torch.device("cpu"))
    found = seen(ruler(data), [batch["x"][:100], batch["x"][100:]])
    assert found.features.shape == (len(batch["y"]), 64)
    assert (found.logits.argmax(-1) == batch["y"]).float().mean() > 0.96


@pytest.mark.parametrize("shape", [(3, 5, 4), (1, 1, 9), (2, 32, 31)])
def test_pictures_of_any_size(shape):
    found = Ruler(shape, 3).eval()(torch.rand(2, *shape))
    assert [each.shape for each in found] == [(2, 256), (2, 64), (2, 3)]
