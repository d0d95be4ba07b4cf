"""Diffusion models on the runner: models, samplers, classes, what they refuse."""

import json
import math

import numpy as np
import pytest
import torch

from lab.testing import maker
from lab_diffusion.dense import build as dense
from lab_diffusion.plugin import DenoiserMLP, UNet
from lab_diffusion.unet import build as unet


@pytest.mark.parametrize("shape", [(1, 8, 8), (3, 7, 5), (1, 28, 28)])
@pytest.mark.parametrize("cfg", [UNet(), UNet(channels=[4], heads=0), UNet(channels=[6, 4, 8], blocks=2)])
def test_shapes(cfg, shape):
    made, x = unet(cfg, shape), torch.randn(3, *shape)
    assert made.body(x, torch.randn(3, made.width)).shape == x.shape


@pytest.mark.parametrize("shape", [(2,), (5, 3), (1, 4, 4)])
def test_shapes_of_anything(shape):
    made, x = dense(DenoiserMLP(), shape), torch.randn(3, *shape)
    assert made.body(x, torch.randn(3, made.width)).shape == x.shape


@pytest.mark.parametrize("build, cfg", [(unet, UNet(channels=[8, 8])), (dense, DenoiserMLP(width=8))])
def test_what_is_told_changes_what_is_said_and_nothing_is_mixed(build, cfg):
    """Of one example, and of that one alone."""
    torch.manual_seed(0)
    made, x = build(cfg, (1, 8, 8)), torch.randn(2, 1, 8, 8)
    for p in made.parameters():
        torch.nn.init.normal_(p, std=0.2)
    told = torch.randn(2, made.width)
    with torch.no_grad():
        before = made.body(x, told)
        told[0] += 1
        after = made.body(x, told)
    assert not torch.allclose(before[0], after[0]) and torch.allclose(before[1], after[1], atol=1e-6)


def ideal(learner, mean, deviation):
    """What is best said of normally distributed examples: their mean, given the mixture, and v of it."""
    def said(z, t, label):
        alpha, sigma = learner.parts(t)
        total = (alpha * deviation).square() + sigma.square()
        x = mean + alpha * deviation ** 2 / total * (z - alpha * mean)
        return (alpha * z - x) / sigma                        # x = alpha z - sigma v

    learner.said = said
    for end in (learner.net.low, learner.net.high):
        end.mul_(100)                                         # normally distributed examples have no ends


@pytest.mark.parametrize("eta", [0, 1])
def test_samples_of_the_ideal_denoiser_are_distributed_as_the_examples(eta):
    made = maker("ddpm", "data=wine", f"agent.eta={eta}", "agent.sampling_steps=400")()
    learner = made.experiment.learner
    ideal(learner, 1.5, 0.3)
    learner.net.scaled.back = lambda x: x
    x = made.experiment.sample(2000, torch.Generator().manual_seed(0))
    assert float(x.mean()) == pytest.approx(1.5, abs=0.02) and float(x.std()) == pytest.approx(0.3, abs=0.01)
    assert float(x.std(0).min()) > 0.27


def test_a_class_is_kept_back_from_as_many_as_was_said():
    learner = maker("ddpm", "agent.unlabelled=0.25")().experiment.learner
    _, _, label = learner.draws(10_000, torch.full((10_000,), 3), torch.Generator().manual_seed(0))
    assert set(label.tolist()) == {3, 10} and float((label == 10).float().mean()) == pytest.approx(0.25, abs=0.02)


def test_guidance_leads_further_from_what_is_said_without_a_class():
    """1 with the class, 0.25 without: 1 + 2 * 0.75."""
    learner = maker("ddpm", "agent.guidance=2")().experiment.learner
    learner.average.net.forward = lambda z, t, label: torch.where(label == 10, 0.25, 1.0).view(-1, 1, 1, 1) + 0 * z
    z, t = torch.zeros(2, 1, 8, 8), torch.ones(2)
    assert learner.said(z, t, torch.tensor([3, 4])).unique().tolist() == [2.5]
    assert learner.said(z, t, None).unique().tolist() == [0.25]


@pytest.mark.parametrize("data, told", [("digits", 10), ("wine", 3)])
def test_it_is_told_the_classes_that_there_are(data, told):
    assert maker("ddpm", f"data={data}")().experiment.learner.net.classes == told
    assert maker("ddpm", f"data={data}", "agent.unlabelled=1")().experiment.learner.net.classes == 0


def test_pixels_are_from_0_to_1_and_the_same_seed_gives_the_same():
    made = maker("ddpm", "agent.sampling_steps=3")()
    sample = made.experiment.sample
    first = sample(5, torch.Generator().manual_seed(1))
    assert first.shape == (5, 1, 8, 8) and first.min() >= 0 and first.max() <= 1
    assert torch.equal(first, sample(5, torch.Generator().manual_seed(1)))
    assert not torch.equal(first, sample(5, torch.Generator().manual_seed(2)))


def test_a_run_of_pictures_and_one_of_rows(lab, tmp_path):
    short = ("budget.epochs=2", "agent.sampling_steps=2")
    assert lab("+agent=ddpm", *short, "model.channels=[4]", f"hydra.run.dir={tmp_path / 'digits'}")[0] == 0
    final = json.loads((tmp_path / "digits/run.json").read_text())["final"]
    assert {"eval/loss", "eval/test/loss", "eval/test/made/frechet", "eval/test/made/agreement"} <= set(final)
    assert lab("sample", "digits", "--class", "7", "-n", "9", "--out", "sevens.png")[0] == 0
    assert lab("sample", "digits", "-n", "4", "--out", "walk.gif")[0] == 0
    mlp = ("model=denoiser_mlp", "model.width=16", "agent.eta=1")
    assert lab("+agent=ddpm", "data=ring", *mlp, *short, f"hydra.run.dir={tmp_path / 'ring'}")[0] == 0
    assert "eval/test/made/good" in json.loads((tmp_path / "ring/run.json").read_text())["final"]
    assert lab("sample", "ring", "-n", "9", "--out", "rows.npz")[0] == 0
    assert np.load(tmp_path / "rows.npz")["x"].shape == (9, 2)
    code, _, err = lab("sample", "digits", "--class", "eleven", "--out", "x.png")
    assert code == 2 and "--class eleven is not known" in err


def test_it_learns_two_heaps(lab, tmp_path):
    """Of three seeds each finds both heaps, and little between them: rows of one number, -1 or 1."""
    rng = np.random.default_rng(0)
    rows = rng.choice([-1.0, 1.0], (512, 1)) + 0.05 * rng.standard_normal((512, 1))
    np.savez(tmp_path / "heaps.npz", x=rows.astype(np.float32), y=(rows[:, 0] > 0).astype(np.int64))
    for seed in range(3):
        made = maker("ddpm", "data=npz", f"data.path={tmp_path / 'heaps.npz'}", "agent.sampling_steps=30",
                     "agent.batch_size=128", "model.width=64", "model.blocks=2", "optimizer.lr=3e-3", "agent.ema=0.98",
                     "optimizer.decay=800", f"seed={seed}")()
        learner, stream = made.experiment.learner, made.experiment.stream
        for _ in range(800):
            learner.update(stream.next())
        x = made.experiment.sample(500, torch.Generator().manual_seed(0))
        near = (x.abs() - 1).abs() < 0.3
        assert float(near.float().mean()) > 0.9 and 0.35 < float((x > 0).float().mean()) < 0.65
        one = made.experiment.sample(200, torch.Generator().manual_seed(0), torch.ones(200, dtype=torch.int64))
        assert float((one > 0).float().mean()) > 0.95 and math.isfinite(float(one.sum()))


@pytest.mark.parametrize("words", ["[8,8,8,8]", "[32,64,64,64] model.groups=64"])
def test_a_map_of_one_pixel_is_normed_with_other_channels(words):
    """Eight pixels are halved three times; one number alone has no variance."""
    made = maker("ddpm", "data=digits", "model=unet", *f"model.channels={words}".split())()
    assert made.experiment.learner.update(made.experiment.stream.next())["loss/train"].isfinite()


@pytest.mark.parametrize("schedule", ["cosine", "linear"])
def test_samples_of_rows_do_not_explode_where_noise_is_predicted(schedule):
    """Eight heaps on a circle of radius 2: nothing is made further out than the examples are, and most is near it."""
    made = maker("ddpm", "data=ring", "agent.predict=noise", f"agent.schedule={schedule}", "model.width=64",
                 "model.blocks=2", "agent.sampling_steps=30", "agent.batch_size=256", "optimizer.lr=3e-3",
                 "agent.ema=0.98", "optimizer.schedule=cosine", "optimizer.decay=600")()
    learner, stream = made.experiment.learner, made.experiment.stream
    for _ in range(600):
        learner.update(stream.next())
    x = made.experiment.sample(500, torch.Generator().manual_seed(0))
    furthest = float(made.data.splits["train"].tensors["x"].abs().max())
    assert float(x.abs().max()) <= furthest + 1e-5 < 2.5
    assert float(((x.norm(dim=1) - 2).abs() < 0.4).float().mean()) > 0.7


def test_the_range_of_an_example_is_that_of_the_training_split():
    """Of rows as the network sees them, number by number; of pixels from -1 to 1."""
    made = maker("ddpm", "data=wine")()
    net, x = made.experiment.learner.net, made.data.splits["train"].tensors["x"]
    assert torch.equal(net.low, net.scaled(x).amin(0)) and torch.equal(net.high, net.scaled(x).amax(0))
    pixels = maker("ddpm")().experiment.learner.net
    assert (float(pixels.low), float(pixels.high)) == (-1, 1)


@pytest.mark.parametrize("overrides, message", [
    ("agent.guidance=1 agent.unlabelled=0", "agent.guidance=1 needs what is said with a class and without"),
    ("data=diabetes agent.guidance=1 model=denoiser_mlp", "leads to a class, and data=diabetes has none"),
    ("data=wine", "model=unet is for pictures, [channels, height, width]; these examples have the shape [13]: use "
                  "model=denoiser_mlp"),
    ("model.channels=[4,4,4,4,4]", "model=unet halves a picture 4 times, and one of 8 x 8 can be halved 3; use fewer"),
    ("model.heads=5", "model.heads=5 does not divide the last of model.channels"),
    ("model=vae_conv", "denoiser"), ("data.augment.mixup=0.2", "mixes targets, and ddpm learns the examples"),
    ("agent.schedule=sine", "agent.schedule"), ("agent.sampling_steps=0", "agent.sampling_steps")])
def test_what_is_refused(lab, overrides, message, tmp_path):
    code, _, err = lab("+agent=ddpm", *overrides.split())
    assert code == 2 and message in err and not (tmp_path / "runs").exists()
