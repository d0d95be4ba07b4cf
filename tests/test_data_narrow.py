"""Numbers that single precision would not tell apart, from a file to what is predicted, made and exported."""

import csv
import json

import numpy as np
import pytest
import torch

from lab.data.dataset import About, Column, Dataset, Held
from lab.data.narrow import lossy, narrowed

START = 1_700_000_000             # seconds since 1970; single precision has them in steps of 128
TINY = ("model.hidden=[16]", "agent.batch_size=16", "evaluate.every=100_000")


@pytest.mark.parametrize("x, told", [
    ([0.1, 0.2, 0.3], False), ([0.1, 0.1], False), ([float("nan"), 1.0], False), ([float("nan")], False),
    ([START, START + 1e9], False),                            # 64 of a thousand million: nothing that matters
    ([START + 1, START + 4000], True), ([1000.1, 1000.2], True), ([1e-40, 2e-40], True), ([-3e38, 3e38], True)])
def test_what_single_precision_would_lose(x, told):
    assert lossy(torch.tensor(x, dtype=torch.float64)[:, None]) == told
    assert not lossy(torch.tensor(x)[:, None])                # it is too late for those


def test_one_column_decides_for_all_numbers_and_splits():
    x = torch.tensor([[0.5, START], [0.25, START + 10]], dtype=torch.float64)
    y = torch.tensor([[1.0], [2.0]], dtype=torch.float64)
    about = About("table", (2,), targets=("y",), columns=(Column("a"), Column("t")))
    found = narrowed(Dataset(about, {"train": Held(x=x, y=y), "test": Held(x=x[:1] * 0, y=y[:1])}))
    assert found.about.wide and About.of(json.loads(json.dumps(found.about.plain()))) == found.about
    assert {each.dtype for split in found.splits.values() for each in split.tensors.values()} == {torch.float64}
    found = narrowed(Dataset(about, {"train": Held(x=x - START * torch.tensor([0, 1]), y=y)}))
    assert not found.about.wide and {each.dtype for each in found.splits["train"].tensors.values()} == {torch.float32}


def test_what_fills_up_sequences_does_not_count():
    """Zeros beyond the end of the second would make the range of its times large."""
    x = torch.tensor([[[START + 1], [START + 9]], [[START + 5], [0]]], dtype=torch.float64)
    about = About("sequence", (2, 1), columns=(Column("t"),), ragged=True)
    assert narrowed(Dataset(about, {"train": Held(x=x, length=torch.tensor([2, 1]))})).about.wide


def test_pictures_keep_their_type_whatever_their_targets_are():
    x, y = torch.zeros(2, 1, 4, 4, dtype=torch.uint8), torch.tensor([[START], [START + 1]], dtype=torch.float64)
    found = narrowed(Dataset(About("picture", (1, 4, 4), targets=("y",)), {"train": Held(x=x, y=y)}))
    assert found.splits["train"].tensors["x"].dtype == torch.uint8 and found.about.wide
    assert found.splits["train"].tensors["y"].dtype == torch.float64


@pytest.fixture
def times(tmp_path):
    """Rows of a time, its class by the middle, and a number that grows with it."""
    path = tmp_path / "times.csv"
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["t", "kind", "y"])
        writer.writerows([START + 10 * i, "early" if i < 100 else "late", START + i / 2] for i in range(200))
    return path


def final(run):
    return json.loads((run / "run.json").read_text())["final"]


@pytest.mark.parametrize("words", [
    "+agent=decision_tree", "+agent=classifier model=mlp optimizer.lr=3e-2 budget.epochs=30"])
def test_times_are_told_apart(lab, times, tmp_path, words):
    run, more = tmp_path / "run", TINY if "model=mlp" in words else ()
    assert lab(*words.split(), *more, "data=csv", f"data.path={times}", "data.target=kind", "data.columns=[t]",
               f"hydra.run.dir={run}")[0] == 0
    assert final(run)["eval/test/accuracy"] >= 0.95 and "in double precision" in (run / "lab.log").read_text()
    new = tmp_path / "new.csv"
    new.write_text(f"t\n{START + 900}\n{START + 1100}\n")
    times.rename(tmp_path / "gone.csv") if "model=mlp" in words else None
    rows = list(csv.DictReader(lab("predict", run, new)[1].splitlines()))
    assert [row["class"] for row in rows] == ["early", "late"]


@pytest.mark.parametrize("words", [
    "+agent=linear_regression", "+agent=regressor model=linear optimizer.lr=0.1 budget.epochs=60"])
def test_large_numbers_are_predicted_to_a_part_of_one(lab, times, tmp_path, words):
    """Off by 64 single precision would be on the average."""
    run, more = tmp_path / "run", TINY[1:] if "model=" in words else ()
    assert lab(*words.split(), *more, "data=csv", f"data.path={times}", "data.target=y", "data.columns=[t]",
               f"hydra.run.dir={run}")[0] == 0
    assert final(run)["eval/test/mae"] < 2 and final(run)["eval/test/r2"] > 0.99
    new = tmp_path / "new.csv"
    new.write_text(f"t\n{START + 1000}\n")
    (row,) = csv.DictReader(lab("predict", run, new)[1].splitlines())
    assert abs(float(row["y"]) - START - 50) < 2


def test_what_was_learned_of_them_is_exported(lab, times, tmp_path):
    run = tmp_path / "run"
    assert lab("+agent=regressor", "model=mlp", *TINY, "budget.epochs=1", "data=csv", f"data.path={times}",
               "data.target=y", "data.columns=[t]", f"hydra.run.dir={run}")[0] == 0
    code, out, error = lab("export", run, "--out", tmp_path / "out")
    assert code == 0 and "torch.float64" in out, error


@pytest.mark.parametrize("words", [
    "+agent=vae model=vae_mlp", "+agent=autoencoder model=vae_mlp", "+agent=vq_vae model=vae_mlp agent.codes=8",
    "+agent=gan model=gan_mlp", "+agent=wgan_gp model=gan_mlp", "+agent=ddpm model=denoiser_mlp", "+agent=kmeans",
    "+agent=pca"])
def test_who_makes_examples_takes_them_too(lab, times, tmp_path, words):
    run = tmp_path / "run"
    small = ("budget.updates=3", "evaluate.samples=20") if "model=" in words else ()
    code, _, error = lab(*words.split(), *small, "data=csv", f"data.path={times}", "data.columns=[t,y]",
                         f"hydra.run.dir={run}")
    assert code == 0, error
    if words.startswith(("+agent=vae", "+agent=gan", "+agent=ddpm")):
        assert lab("sample", run, "-n", 20, "--out", tmp_path / "made.npz")[0] == 0
        made = np.load(tmp_path / "made.npz")
        x = made[made.files[0]]
        assert np.abs(x[:, 0] / START - 1).max() < 1e-3 and len(np.unique(x[:, 0])) > 10
