"""Autoencoders on the runner: what they find, what they refuse, what can be sampled from them."""

import json

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn
from torch.distributions import MultivariateNormal

from lab.compute import Compute
from lab.config import ComputeConfig
from lab.data.prepare import Columns, Picture, back
from lab.figures import shown, tiles
from lab.testing import maker
from lab_vae.bounds import importance_bound
from lab_vae.learners import Denoiser, Target, Variational
from lab_vae.likelihoods import Gaussian
from lab_vae.network import Coded
from lab_vae.plugin import VAE, DenoisingAutoencoder

SMALL = ("model=vae_mlp", "model.hidden=[16]", "agent.latent=3", "budget.epochs=1", "agent.batch_size=100")


def on(**given):
    return Compute(ComputeConfig(device="cpu", precision="fp32", **given))


class Linear(nn.Module):
    """z -> W z, and a posterior that is not quite right, so that only many samples make up for it."""

    classes, latent = 0, 2

    def __init__(self):
        super().__init__()
        self.w, self.likelihood = torch.tensor([[1.0, 0.0], [0.5, 0.5], [0.0, -1.0]]), Gaussian(0.5)

    def encode(self, x, label):
        mean = x @ torch.linalg.solve(self.w.T @ self.w + 0.25 * torch.eye(2), self.w.T).T
        return torch.cat([mean, torch.full_like(mean, -1.0)], -1)

    def decode(self, z, label):
        return (z @ self.w.T)[:, None]


def test_the_importance_bound_is_the_likelihood_where_that_is_known():
    """Probabilistic PCA: x ~ N(0, W W' + sigma^2). One sample stays below, many come near."""
    net, x = Linear(), torch.tensor([[0.3, -0.2, 0.8], [1.5, 0.1, -0.4]])
    learner = Variational(net, Target("table", (3,), "none", nn.Identity()), None, VAE(), on())
    exact = MultivariateNormal(torch.zeros(3), net.w @ net.w.T + 0.25 * torch.eye(3)).log_prob(x)
    few, many = (importance_bound(learner.log_weights(x, None, n, torch.Generator().manual_seed(0)).view(2, -1, k))
                 for n, k in ((20_000, 1), (20_000, 20_000)))
    assert torch.allclose(many[:, 0], exact, atol=0.02)
    terms = learner.terms(x, None, {"code": torch.zeros(2, 2)})
    assert bool((few.mean(-1) < exact - 0.05).all()) and terms["kl"].shape == (2, 2)


def target(kind="picture", binarize="none", shape=(1, 2, 2)):
    front = Picture(1)
    front.shift.fill_(0.5)
    return Target(kind, shape, binarize, front)


def test_targets_by_hand():
    """Bytes become brightness; drawn pixels are 1 where the number is below it; tables are put on their scale."""
    x = torch.tensor([[[[0, 51], [204, 255]]]], dtype=torch.uint8)
    assert target()(x, {}).flatten().tolist() == pytest.approx([0, 0.2, 0.8, 1])
    assert target(binarize="threshold")(x, {}).flatten().tolist() == [0, 0, 1, 1]
    drawn = {"pixels": torch.tensor([[[[0.0, 0.1], [0.9, 0.99]]]])}
    assert target(binarize="draw")(x, drawn).flatten().tolist() == [0, 1, 0, 1]
    rows = torch.tensor([[3.0, 0.5]])
    assert target("table", shape=(2,))(rows[:, :, None, None], {}).flatten().tolist() == [2.5, 0]
    assert target().seen(torch.full((1, 1, 1, 1), 0.75)).item() == 0.25


@pytest.mark.parametrize("noise, level, expected", [
    ("mask", 0.3, [0, 0.5, 0.5]), ("salt", 0.3, [1, 0.5, 0.5]), ("salt", 0.5, [1, 0, 0.5]),
    ("gaussian", 2.0, [0.7, 1.1, 2.3])])
def test_corruption_by_hand(noise, level, expected):
    cfg = DenoisingAutoencoder(noise=noise, level=level)
    learner = Denoiser(nn.Linear(1, 1), target("table", shape=(3,)), None, cfg, on())
    found = learner.corrupted(torch.full((1, 3), 0.5), {"noise": torch.tensor([[0.1, 0.3, 0.9]])})
    assert found[0].tolist() == pytest.approx(expected)


@pytest.mark.parametrize("cfg, updates, weight", [
    (VAE(), 1, 1.0), (VAE(beta=4.0), 9, 4.0), (VAE(beta=4.0, kl_warmup=10), 5, 2.0), (VAE(kl_warmup=10), 50, 1.0)])
def test_the_weight_of_the_divergence_grows(cfg, updates, weight):
    learner = Variational(nn.Linear(1, 1), target(), None, cfg, on())
    learner.updates = updates
    assert learner.weight() == pytest.approx(weight)


def test_the_loss_is_the_sum_of_its_parts():
    net = Linear()
    learner = Variational(net, Target("table", (3,), "none", nn.Identity()), None, VAE(free_bits=0.0), on())
    loss, told = learner.loss(torch.randn(5, 3), None, {"code": torch.randn(5, 2)}, torch.tensor(0.5))
    assert loss.item() == pytest.approx((told["loss/reconstruction"] + 0.5 * told["loss/kl"]).item())


def test_a_label_reaches_encoder_and_decoder():
    coder = nn.Module()
    coder.encode, coder.decode, coder.inner, coder.activation = nn.Identity(), nn.Identity(), (3,), nn.Identity
    net = Coded(nn.Identity(), coder, Gaussian(1.0), latent=2, heads=1, classes=4)
    x, z = torch.randn(1, 3), torch.randn(1, 2)
    codes = [net.encode(x, torch.tensor([label])) for label in range(4)]
    said = [net.decode(z, torch.tensor([label])) for label in range(4)]
    assert len({tuple(each[0].tolist()) for each in codes}) == len({tuple(each[0].tolist()) for each in said}) == 4


@pytest.mark.parametrize("model", ["vae_mlp model.norm=batch model.hidden=[32,16]", "vae_conv model.channels=[4,8,8]",
                                   "vae_conv model.norm=none model.channels=[4]", "vae_resnet model.channels=[4]"])
def test_every_model_learns(model):
    """Half of the way from the first loss, in two epochs of a likelihood that can fall without bound."""
    made = maker("vae", *f"model={model}".split(), "agent.likelihood=gaussian", "optimizer.lr=3e-3")()
    learner, stream = made.experiment.learner, made.experiment.stream
    losses = [float(learner.update(stream.next())["loss/train"]) for _ in range(160)]
    assert np.mean(losses[-10:]) < np.mean(losses[:5]) - 20


@pytest.mark.parametrize("shape, channels", [((1, 7, 5), [3, 4]), ((3, 9, 9), [2, 2, 2, 2]), ((1, 28, 28), [2, 2])])
def test_pictures_of_any_size_come_back(shape, channels):
    from lab_vae.coders import convolutional
    from lab_vae.plugin import CoderConv

    coder = convolutional(CoderConv(channels=channels), shape, 2)
    inner = coder.encode(torch.rand(2, *shape))
    assert inner.shape[1:] == coder.inner and coder.decode(inner).shape == (2, 2, *shape)


def test_what_a_run_finds_and_what_is_sampled_from_it(lab, tmp_path):
    """Figures in nats and bits, pictures; then grids, films and arrays, the same for the same seed."""
    run = tmp_path / "run"
    assert lab("+agent=conditional_vae", *SMALL, "agent.importance_samples=20", f"hydra.run.dir={run}")[0] == 0
    final = json.loads((run / "run.json").read_text())["final"]
    assert final["eval/test/elbo/nats"] == pytest.approx(final["eval/test/elbo/reconstruction"]
                                                         + final["eval/test/elbo/kl"])
    assert final["eval/test/iwae/nats"] < final["eval/test/elbo/nats"]
    assert final["eval/test/iwae/bits_per_dim"] == pytest.approx(final["eval/test/iwae/nats"] / (64 * np.log(2)))
    media = {path.parent.name for path in (run / "media/eval/test").rglob("*.*")}
    assert media == {"samples", "reconstructions", "interpolation", "traversals"}
    for out in ("a.npz", "b.npz", "c.npz", "grid.png", "walk.gif"):
        more = ["--seed", "1"] if out == "c.npz" else ["--class", "3"] if out == "grid.png" else []
        code, said, _ = lab("sample", run, "-n", "20", "--out", out, *more)
        assert code == 0 and said == f"{out}: 20 examples of conditional_vae at 1,294\n"
    a, b, c = (np.load(tmp_path / f"{name}.npz") for name in "abc")
    assert a["x"].shape == (20, 1, 8, 8) and a["y"].tolist() == [*range(10), *range(10)]
    assert (a["x"] == b["x"]).all() and not (a["x"] == c["x"]).all() and 0 <= a["x"].min() < a["x"].max() <= 1
    with Image.open(tmp_path / "walk.gif") as walk:
        assert walk.n_frames == 60


def test_rows_of_a_table_come_back_in_their_own_units(lab, tmp_path):
    path, rng = tmp_path / "rows.csv", np.random.default_rng(0)
    sizes = rng.normal(100, 10, 300)
    lines = [f"{size:.2f},{'Ulm' if size > 90 else 'Bonn'},{i % 2}" for i, size in enumerate(sizes)]
    path.write_text("\n".join(["size,town,kind", *lines]))
    words = ("data=csv", f"data.path={path}", "data.target=kind", "model=vae_mlp", "budget.epochs=30")
    code, _, error = lab("+agent=vae", *words, "agent.batch_size=32", f"hydra.run.dir={tmp_path / 'run'}")
    assert code == 0, error
    assert lab("sample", "run", "-n", "500", "--out", "new.npz")[0] == 0
    size, town = np.load(tmp_path / "new.npz")["x"].T
    assert abs(size.mean() - 100) < 5 and set(town) <= {0, 1}
    code, _, error = lab("sample", "run", "--out", "new.png")
    assert code == 2 and "an example of this data is a table, no picture; use NAME.npz" in error


def test_the_front_undone():
    from lab.data.dataset import Column

    front = Columns((Column("a"), Column("b", ("x", "y", "z")), Column("c")))
    front.numbers.shift.copy_(torch.tensor([1.0, 2.0]))
    front.numbers.scale.copy_(torch.tensor([2.0, 4.0]))
    rows = torch.tensor([[5.0, 2.0, -2.0], [1.0, 0.0, 6.0]])
    assert torch.equal(back(front, front(rows)), rows)


def test_a_grid_by_hand():
    """Two pictures of one pixel in two columns, each 56 times as large, with a grey line between them."""
    sheet = tiles(shown(torch.tensor([0, 255], dtype=torch.uint8).view(2, 1, 1, 1)), 2)
    assert sheet.shape == (56, 113, 3) and sheet[0, :, 0].tolist() == [0] * 56 + [128] + [255] * 56
    assert shown(torch.rand(2, 4, 5, 6)).shape == (2, 5, 6, 3)


@pytest.mark.parametrize("words, message", [
    ("+agent=conditional_vae data=diabetes", "is told the class of an example, and data=diabetes has none"),
    ("+agent=vae data=iris model=vae_conv", "model=vae_conv sees pictures"),
    ("+agent=vae data=iris model=vae_mlp agent.likelihood=bernoulli", "takes numbers from 0 to 1, and those of"),
    ("+agent=vae data=iris model=vae_mlp agent.likelihood=discretized", "is for the levels of pixels"),
    ("+agent=vae data=iris model=vae_mlp agent.binarize=draw", "agent.binarize=draw is for pictures"),
    ("+agent=denoising_autoencoder data=iris model=vae_mlp agent.noise=salt", "makes pixels black or white"),
    ("+agent=vae agent.latent=0", "agent.latent is 0; expected a number from 1"),
    ("+agent=vae model=mlp", "needs a model of role 'autoencoder', came mlp; add model=NAME, one of: vae_conv"),
    ("+agent=vae model.channels=[4,4,4,4]", "halves a picture of 8 x 8 more often than it can be; use at most 3"),
    ("+agent=vae data.augment.mixup=0.2", "data.augment.mixup mixes targets, and vae learns the examples"),
    ("+agent=vae agent.sigma=0.1", "agent.sigma is of agent.likelihood=gaussian"),
    ("+agent=vae agent.binarize=draw agent.likelihood=gaussian", "makes pixels 0 or 1"),
    ("+agent=vae model.hidden=[] model=vae_mlp", "model.hidden is []; expected one or more"),
    ("+agent=vae agent.beta=-1", "agent.beta is -1.0")])
def test_refused(words, message, lab):
    code, _, error = lab(*words.split())
    assert code == 2 and message in error, error


def test_what_cannot_be_sampled(lab, tmp_path):
    for agent in ("autoencoder", "vae"):
        assert lab(f"+agent={agent}", *SMALL, f"hydra.run.dir={tmp_path / agent}")[0] == 0
    for words, message in (
            (("autoencoder",), "autoencoder has nothing to sample with"),
            (("vae", "--class", "3"), "--class 3: this run was not told the classes"),
            (("vae", "--out", "x.jpg"), "--out x.jpg: expected a name that ends in .png, .gif, .npz"),
            (("vae", "-n", "0"), "-n is 0; expected a number from 1")):
        code, _, error = lab("sample", *words)
        assert code == 2 and message in error


