"""Autoencoders on the runner: what they find, what they refuse, what can be sampled from them."""

import json
import pkgutil
import re
import shutil

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn
from torch.distributions import MultivariateNormal

from lab.best import Best
from lab.compute import Compute
from lab.config import ComputeConfig
from lab.data.prepare import Columns, Picture, back
from lab.errors import UsageError
from lab.figures import shown, tiles
from lab.nn import dense
from lab.testing import maker
from lab.testing.checks import resume_is_exact
from lab_vae import judges
from lab_vae.bounds import importance_bound
from lab_vae.coders import dense as coder
from lab_vae.learners import Denoiser, Draws, Target
from lab_vae.likelihoods import Gaussian
from lab_vae.network import Coded
from lab_vae.plugin import VAE, CoderMLP, DenoisingAutoencoder
from lab_vae.variational import Variational

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
    terms = learner.terms(x, None, Draws(noise=torch.zeros(2, 2)))
    assert bool((few.mean(-1) < exact - 0.05).all()) and terms["kl"].shape == (2, 2)


def target(kind="picture", binarize="none", shape=(1, 2, 2)):
    front = Picture(1)
    front.shift.fill_(0.5)
    return Target(kind, shape, binarize, front)


def test_targets_by_hand():
    """Bytes become brightness; drawn pixels are 1 where the number is below it; tables are put on their scale."""
    x = torch.tensor([[[[0, 51], [204, 255]]]], dtype=torch.uint8)
    assert target()(x).flatten().tolist() == pytest.approx([0, 0.2, 0.8, 1])
    assert target(binarize="threshold")(x).flatten().tolist() == [0, 0, 1, 1]
    drawn = torch.tensor([[[[0.0, 0.1], [0.9, 0.99]]]])
    assert target(binarize="draw")(x, drawn).flatten().tolist() == [0, 1, 0, 1]
    rows = torch.tensor([[3.0, 0.5]])
    assert target("table", shape=(2,))(rows[:, :, None, None]).flatten().tolist() == [2.5, 0]
    assert target().seen(torch.full((1, 1, 1, 1), 0.75)).item() == 0.25


@pytest.mark.parametrize("noise, level, expected", [
    ("mask", 0.3, [0, 0.5, 0.5]), ("salt", 0.3, [1, 0.5, 0.5]), ("salt", 0.5, [1, 0, 0.5]),
    ("gaussian", 2.0, [0.7, 1.1, 2.3])])
def test_corruption_by_hand(noise, level, expected):
    cfg = DenoisingAutoencoder(noise=noise, level=level)
    learner = Denoiser(nn.Linear(1, 1), target("table", shape=(3,)), None, cfg, on())
    found = learner.corrupted(torch.full((1, 3), 0.5), torch.tensor([[0.1, 0.3, 0.9]]))
    assert found[0].tolist() == pytest.approx(expected)


@pytest.mark.parametrize("cfg, updates, weight", [
    (VAE(), 1, 1.0), (VAE(beta=4.0), 9, 4.0), (VAE(beta=4.0, kl_warmup=10), 5, 2.0), (VAE(kl_warmup=10), 50, 1.0)])
def test_the_weight_of_the_divergence_grows(cfg, updates, weight):
    learner = Variational(nn.Linear(1, 1), target(), None, cfg, on())
    learner.updates = updates
    assert learner.weight() == pytest.approx(weight)


@pytest.mark.parametrize("free", [0.0, 100.0])
def test_the_loss_is_the_sum_of_its_parts(free):
    """With more free bits than there are, each of two latent numbers costs those."""
    learner = Variational(Linear(), Target("table", (3,), "none", nn.Identity()), None, VAE(free_bits=free), on())
    loss, told = learner.loss(torch.randn(5, 3), None, Draws(noise=torch.randn(5, 2)), torch.tensor(0.5))
    cost = 2 * free or told["loss/kl"].item()
    assert loss.item() == pytest.approx(told["loss/reconstruction"].item() + 0.5 * cost)


def test_a_denoiser_sees_the_corrupted_example_and_says_the_whole_one():
    """Everything hidden: all examples look alike, and are judged by what they are."""
    made = maker("denoising_autoencoder", "agent.level=1")()
    learner, x = made.experiment.learner, made.experiment.stream.next()["x"]
    terms = learner.terms(x, None, learner.draws(len(x), torch.Generator()))
    assert not terms["seen"].any() and torch.equal(terms["target"], x)
    assert (terms["code"] == terms["code"][0]).all() and len(terms["reconstruction"].unique()) > 1


def test_every_sample_of_a_code_has_the_label_of_its_example():
    """A decoder that says what it was told: the weights of an example depend on its own label alone."""
    net = Linear()
    net.classes, net.decode = 2, lambda z, label: label[:, None, None].expand(-1, 1, 3) * 100.0
    learner = Variational(net, Target("table", (3,), "none", nn.Identity()), None, VAE(), on())
    x, label = torch.tensor([[0.0] * 3, [100.0] * 3]), torch.tensor([0, 1])
    weights = learner.log_weights(x, label, 4, torch.Generator().manual_seed(0))
    assert weights.shape == (2, 4) and (weights[0] > -1000).all()
    assert (learner.log_weights(x, 1 - label, 4, torch.Generator().manual_seed(0)) < -1000).all()


def test_the_bound_of_a_split_takes_all_of_its_samples(monkeypatch):
    """In rounds of three codes as in one of seven: with as many the bound is as tight."""
    made = maker("beta_vae", "agent.importance_samples=7")()
    judge = made.experiment.closing["test"]
    asked, real = [], judge.learner.log_weights
    monkeypatch.setattr(judges, "AT_ONCE", 3)
    monkeypatch.setattr(judge.learner, "log_weights", lambda x, y, n, rng: (asked.append(n), real(x, y, n, rng))[1])
    found = judge()
    assert asked[:3] == [3, 3, 1] and len(asked) == 3 * len(made.data.splits["test"])
    assert found["test/iwae/nats"] < found["test/elbo/nats"]
    assert found["test/loss"] == pytest.approx(found["test/elbo/reconstruction"] + 4 * found["test/elbo/kl"], rel=1e-5)


def test_what_is_smaller_is_better():
    """Of all that autoencoders tell but the use of the code."""
    for agent in ("autoencoder", "vae", "vq_vae"):
        names = set(maker(agent)().experiment.evaluators["valid"].names())
        assert {name for name in names if Best(name).sign > 0} <= {"active_units", "codebook/used",
                                                                   "codebook/perplexity"}


@pytest.mark.parametrize("model", [("model=vae_conv", "model.channels=[4]"), ("model=vae_mlp", "model.norm=batch")])
def test_resume_is_exact_with_batch_norm(model, tmp_path):
    resume_is_exact(maker("vae", *model, "agent.likelihood=bernoulli", "agent.binarize=draw"), tmp_path)


@pytest.mark.skipif(not (shutil.which("g++") or shutil.which("clang++")), reason="no C++ compiler")
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("agent", ["conditional_vae", pytest.param("vq_vae", marks=pytest.mark.slow)])
def test_compiled_it_learns_the_same(agent):
    """Nearly: sums are taken in another order."""
    losses = []
    for mode in ("eager", "compile"):
        made = maker(agent, f"compute.jit={mode}")()
        learner, stream = made.experiment.learner, made.experiment.stream
        losses.append([float(learner.update(stream.next())["loss/train"]) for _ in range(5)])
    assert losses[0] == pytest.approx(losses[1], rel=1e-3)


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


def test_the_code_is_drawn_with_the_deviation_that_was_said():
    """Its decoder sees mean + deviation x noise: the code at the noise 1 is one deviation from that at 0."""
    learner, codes = maker("vae")().experiment.learner, []
    learner.net.decode = lambda z, label, real=learner.net.decode: codes.append(z.detach()) or real(z, label)
    x = torch.rand(5, 1, 8, 8)
    for noise in (0.0, 1.0):
        learner.terms(x, None, Draws(noise=torch.full((5, learner.net.latent), noise)))
    _, log_var = learner.posterior(learner.target(x), None)
    assert torch.allclose((codes[1] - codes[0]).square(), log_var.exp(), rtol=1e-3)


@pytest.mark.parametrize("words, build, part, came", [
    ("vae agent.likelihood=bernoulli", "lab_vae.coders:dense", "decode", [1, 1, 1, 1]),
    ("vae agent.likelihood=gaussian", "lab_vae.coders:dense", "decode", [1, 1, 1, 1]),
    ("vq_vae agent.likelihood=discretized", "lab_vae.coders:dense", "decode", [2, 1, 1, 1]),
    ("vae", "lab_vae.coders:dense", "encode", [15]), ("gan", "lab_gan.rivals:dense", "generator", [1, 1, 1]),
    ("gan", "lab_gan.rivals:dense", "critic", [15]), ("ddpm", "lab_diffusion.dense:build", "body", [1, 1, 1])])
def test_a_model_that_makes_another_shape_is_refused(words, build, part, came, monkeypatch):
    """A loss would stretch one pixel to the whole picture."""
    real = pkgutil.resolve_name(build)

    def one(*arguments):
        made = real(*arguments)
        getattr(made, part).register_forward_hook(
            lambda module, given, out: out[..., :1, :1] if out.ndim > 2 else out[:, 1:])
        return made

    monkeypatch.setattr(build.replace(":", "."), one)
    agent, *given = words.split()
    with pytest.raises(UsageError, match=rf"the {part}r? of model=\w+ makes {re.escape(str(came))} of an example"):
        maker(agent, "model.hidden=[16]" if agent != "ddpm" else "model.width=16", *given)()


@pytest.mark.parametrize("bytes_, likelihood, refused", [
    (np.arange(16) * 17, "auto", False), (np.arange(256), "auto", False), (None, "discretized", False),
    (None, "discretized", True)])
def test_levels_are_those_of_all_splits(bytes_, likelihood, refused, tmp_path):
    """Bytes too are counted; what the test split alone has counts."""
    rng = np.random.default_rng(0)
    if bytes_ is not None:
        x = test = rng.choice(bytes_, (60, 8, 8)).astype(np.uint8)
    else:
        x, test = (rng.choice([0.0, middle, 1.0], (60, 1, 8, 8)) for middle in (0.5, 0.30123 if refused else 0.25))
    np.savez(tmp_path / "a.npz", x=x, x_test=test)
    make = maker("vae", "data=npz", f"data.path={tmp_path / 'a.npz'}", f"agent.likelihood={likelihood}")
    if refused:
        with pytest.raises(UsageError, match="at most 256 even levels"):
            make()
        return
    found = make().experiment.learner.net.likelihood
    count = {16: 16, 256: 0}[len(bytes_)] if bytes_ is not None else 5
    assert int(getattr(found, "levels", 0)) == count


@pytest.mark.parametrize("agent, build, wanted", [
    ("vae", "lab_vae.coders.dense", "Coder"), ("gan", "lab_gan.rivals.dense", "Rivals"),
    ("ddpm", "lab_diffusion.dense.build", "Denoiser")])
def test_a_model_that_is_not_what_its_role_says(agent, build, wanted, monkeypatch):
    monkeypatch.setattr(build, lambda *arguments: nn.Linear(1, 1))
    with pytest.raises(UsageError, match=rf"returned Linear, no lab\.nn\.{wanted}, which role"):
        maker(agent)()


def test_half_of_a_layer_gates_the_other_half():
    """1 x 4 and 1 x 0 of a half: 4 sigmoid(0) = 2."""
    linear, gate = dense(1, 1, nn.GLU)
    with torch.no_grad():
        linear.weight.copy_(torch.tensor([[4.0], [0.0]]))
        linear.bias.zero_()
    assert gate(linear(torch.ones(1, 1))).tolist() == [[2.0]]
    found = coder(CoderMLP(hidden=[6, 5], activation="glu", norm="batch"), (2, 3), 1)
    assert found.decode(found.encode(torch.randn(4, 2, 3))).shape == (4, 1, 2, 3)


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
    assert media == {"samples", "reconstructions", "interpolation", "traversals", "nearest", "codes"}
    assert {"frechet", "precision", "class_kl", "agreement"} <= {name.rpartition("made/")[2] for name in final}
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
    found = np.load(tmp_path / "new.npz")
    size, town = found["x"].T
    assert abs(size.mean() - 100) < 5 and set(town) <= {0, 1}
    assert found["columns"].tolist() == ["size", "town"] and found["categories of town"].tolist() == ["Bonn", "Ulm"]
    code, _, error = lab("sample", "run", "--out", "new.png")
    assert code == 2 and "an example of this data is a table, no picture; use NAME.npz" in error


def test_what_is_strange_costs_more_to_say(lab, tmp_path):
    """Rows of size 100 and of size 400, where 100 is usual; asked for again they cost the same."""
    path, sizes = tmp_path / "rows.csv", np.random.default_rng(0).normal(100, 10, 200)
    path.write_text("\n".join(["size,kind", *(f"{size:.2f},{i % 2}" for i, size in enumerate(sizes))]))
    assert lab("+agent=autoencoder", "data=csv", f"data.path={path}", "data.target=kind", "model=vae_mlp",
               "agent.latent=1", "budget.epochs=5", f"hydra.run.dir={tmp_path / 'run'}")[0] == 0
    (tmp_path / "new.csv").write_text("size\n100\n400\n")
    code, said, _ = lab("predict", tmp_path / "run", tmp_path / "new.csv")
    assert code == 0 and said == lab("predict", tmp_path / "run", tmp_path / "new.csv")[1]
    header, usual, strange = [line.rpartition(",")[2] for line in said.splitlines()]
    assert header == "nats" and float(strange) > float(usual) + 3


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
    ("+agent=vae data=iris model=vae_conv", "model=vae_conv is for pictures"),
    ("+agent=vae data=iris model=vae_mlp agent.likelihood=bernoulli", "takes numbers from 0 to 1, and those of"),
    ("+agent=vae data=iris model=vae_mlp agent.likelihood=discretized", "is for the levels of pixels"),
    ("+agent=vae data=iris model=vae_mlp agent.binarize=draw", "agent.binarize=draw is for pictures"),
    ("+agent=denoising_autoencoder data=iris model=vae_mlp agent.noise=salt", "makes pixels black or white"),
    ("+agent=vae agent.latent=0", "agent.latent is 0; expected a number from 1"),
    ("+agent=vae model=mlp", "needs a model of role 'autoencoder', came mlp; add model=NAME, one of: vae_conv"),
    ("+agent=vae model.channels=[4,4,4,4]", "model=vae_conv halves a picture 4 times, and one of 8 x 8"),
    ("+agent=vae data.augment.mixup=0.2", "data.augment.mixup mixes targets, and vae learns the examples"),
    ("+agent=vae agent.sigma=0.1 agent.likelihood=bernoulli", "agent.sigma=0.1 is for agent.likelihood=gaussian"),
    ("+agent=vae agent.binarize=draw agent.likelihood=gaussian", "agent.binarize=draw is for agent.likelihood=bern"),
    ("+agent=vae agent.batch_size=1", "model.norm=batch needs the variance of several"),
    ("+agent=vae model.hidden=[] model=vae_mlp", "model.hidden is []; expected one or more"),
    ("+agent=conditional_vae agent.outlier=3 budget.updates=1", "would not learn agent.outlier=3"),
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
            (("vae", "-n", "20_000"), "-n is 20000; expected a number from 1 to 10,000"),
            (("vae", "-n", "401", "--out", "x.gif"), "-n is 401; a film has all of its 60 pictures in memory, each of"),
            (("vae", "--out", "none/x.png"), "--out none/x.png: there is no folder none"),
            (("vae", "-n", "0"), "-n is 0; expected a number from 1")):
        code, _, error = lab("sample", *words)
        assert code == 2 and message in error


def test_a_book_is_used_and_told(lab, tmp_path):
    """The bound adds 4 places of ln 128 nats; pictures are made, and nothing can be sampled."""
    run = tmp_path / "run"
    assert lab("+agent=vq_vae", "model.channels=[4,4]", "budget.epochs=2", f"hydra.run.dir={run}")[0] == 0
    final = json.loads((run / "run.json").read_text())["final"]
    assert final["eval/test/elbo/nats"] == pytest.approx(final["eval/test/loss"] + 4 * np.log(128))
    assert 1 < final["eval/test/codebook/perplexity"] <= final["eval/test/codebook/used"] <= 128
    assert 1 < final["codebook/perplexity"] <= 128
    media = {path.parent.name for path in (run / "media/eval/test").rglob("*.*")}
    assert media == {"reconstructions", "interpolation", "codes"}
    code, _, error = lab("sample", run)
    assert code == 2 and "vq_vae has nothing to sample with" in error


def test_the_gradient_passes_through_the_book():
    """That of what is decoded reaches the encoder as it is."""
    made = maker("vq_vae", "agent.commitment=0")()
    learner, batch = made.experiment.learner, made.experiment.stream.next()
    learner.update(batch)
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in learner.net.coder.encode.parameters())


@pytest.mark.parametrize("words, likelihood", [
    ((), "discretized"), (("agent.binarize=draw",), "bernoulli"), (("agent.sigma=0.1",), "gaussian"),
    (("agent.likelihood=bernoulli",), "bernoulli"), (("data=iris", "model=vae_mlp"), "gaussian")])
def test_what_auto_comes_to_is_remembered(words, likelihood):
    made = maker("vae", *words, *(() if "likelihood" in str(words) else ["agent.likelihood=auto"]))()
    assert made.cfg.agent.likelihood == likelihood


def test_a_deviation_that_is_given_can_be_changed(lab, tmp_path):
    run = tmp_path / "run"
    assert lab("+agent=vae", *SMALL, "agent.sigma=0.1", f"hydra.run.dir={run}")[0] == 0
    assert lab(f"resume={run}", "budget.epochs=2", "agent.sigma=0.5")[0] == 0
    assert json.loads((run / "run.json").read_text())["final"]["likelihood/sigma"] == pytest.approx(0.5, rel=0.01)


def test_a_collapsed_book_is_said_once(caplog):
    learner = maker("vq_vae", "agent.codes=200")().experiment.learner
    learner.net.book.chosen.fill_(1.0)
    assert learner.logged(1)["codebook/perplexity"] == pytest.approx(200, rel=1e-4) and not caplog.records
    learner.net.book.chosen[1:] = 1e-9
    assert learner.logged(2)["codebook/used"] == 1
    assert [learner.logged(count)["codebook/perplexity"] < 1.01 for count in (2, 3)] == [True, True]
    assert caplog.text.count("the codebook has collapsed: of 200 vectors") == 1
    again = maker("vq_vae", "agent.codes=200")().experiment
    assert again.evaluators["warned"]() == {}
    again.learner.load_state_dict(learner.state_dict())
    again.learner.logged(4)
    assert caplog.text.count("the codebook has collapsed") == 1
    assert "the codebook has collapsed: of 200 vectors" in again.evaluators["warned"]()["warning"]
