"""Adversarial networks on the runner: models, steps, what they refuse, what is sampled from them."""

import json
import logging
import shutil
from dataclasses import replace

import numpy as np
import pytest
import torch

from lab.best import Best
from lab.data.clusters import Clusters, by_class
from lab.data.prepare import Picture
from lab.data.scaled import Scaled
from lab.media import Text
from lab.testing import maker
from lab_gan.losses import slopes
from lab_gan.networks import Critic, Generator
from lab_gan.plugin import RivalsConv, RivalsMLP, RivalsResidual
from lab_gan.rivals import convolutional, dense, residual

BUILDS = {dense: RivalsMLP, convolutional: RivalsConv, residual: RivalsResidual}


@pytest.mark.parametrize("build", BUILDS)
@pytest.mark.parametrize("norm", ["none", "batch", "layer", "spectral"])
@pytest.mark.parametrize("shape", [(1, 8, 8), (3, 7, 5), (1, 28, 28)])
def test_shapes(build, norm, shape):
    made = build(BUILDS[build](critic_norm=norm), 6, shape)
    assert made.generator(torch.randn(4, 6)).shape == (4, *shape)
    assert made.critic(torch.randn(4, *shape)).shape == (4, made.width)


def test_a_spectral_norm_bounds_the_slope():
    """No layer stretches by more than 1, whatever its weights are; without it they would."""
    torch.manual_seed(0)
    slopes = []
    for norm in ("spectral", "none"):
        critic = dense(RivalsMLP(critic_norm=norm), 6, (1, 8, 8)).critic
        with torch.no_grad():
            for p in critic.parameters():
                p.mul_(20)
        for _ in range(50):
            critic(torch.randn(4, 1, 8, 8))
        critic.eval()
        x, way = torch.randn(64, 1, 8, 8), torch.randn(64, 1, 8, 8) * 1e-2
        slopes.append(((critic(x + way) - critic(x)).norm(dim=1) / way.flatten(1).norm(dim=1)).max().item())
    assert slopes[0] < 1.1 < slopes[1]


def test_a_label_changes_what_is_made_and_what_seems_real():
    torch.manual_seed(0)
    made = dense(RivalsMLP(hidden=[8], norm="none"), 3 + 2, (1, 4, 4))
    generator, critic = Generator(made, 3, 2, Scaled(Picture(1), "picture")), Critic(made, 2, "none")
    z = torch.randn(1, 3)
    zero, one = (torch.tensor([k]) for k in range(2))
    x = generator(z, zero)
    assert not torch.equal(x, generator(z, one)) and critic(x, zero) != critic(x, one)
    assert x.abs().max() <= 1


@pytest.mark.parametrize("steps", [1, 3])
def test_the_critic_steps_more_often_and_the_schedule_counts_updates(steps):
    made = maker("gan", f"agent.critic_steps={steps}", "agent.critic_rate=4", "optimizer.schedule=linear",
                 "optimizer.decay=100", "optimizer.lr=0.01")()
    learner, stream = made.experiment.learner, made.experiment.stream
    for _ in range(10):
        learner.update(stream.next())
    (critic,), (generator,) = learner.critic_optimizer.param_groups, learner.generator_optimizer.param_groups
    assert critic["steps"] == 10 * steps and generator["steps"] == 10
    assert generator["lr"] == pytest.approx(0.01 * 0.91) and critic["lr"] == pytest.approx(0.04 * 0.91)


@pytest.mark.parametrize("agent", ["gan", "conditional_gan"])
@pytest.mark.parametrize("norm, apart", [("none", False), ("layer", False), ("batch", True)])
def test_real_and_made_are_seen_together_where_that_is_the_same(agent, norm, apart):
    learner = maker(agent, f"model.critic_norm={norm}")().experiment.learner
    torch.manual_seed(0)
    real, made, label = torch.randn(6, 1, 8, 8), torch.randn(6, 1, 8, 8), torch.arange(6)
    told = label if agent == "conditional_gan" else None
    with torch.no_grad():
        found = learner.said(real, made, told)
        singly = [learner.critic(x, told) for x in (real, made)]
    assert learner.apart == apart
    assert all(torch.allclose(a, b, atol=1e-5) for a, b in zip(found, singly, strict=True))


@pytest.mark.parametrize("data, size, examples", [("digits", 64, 1294), ("iris", 100, 108)])
def test_every_step_has_batch_size_examples(data, size, examples):
    """Also across epochs: of 1,294 examples, and of 108, which are fewer than the five steps of one update take."""
    made = maker("wgan_gp", f"data={data}", "agent.critic_steps=5", f"agent.batch_size={size}")()
    learner, stream, sizes = made.experiment.learner, made.experiment.stream, []
    learner.play_critic = lambda real, *given: sizes.append(len(real)) or {"critic/right": torch.tensor(0.5)}
    learner.play_generator = lambda label, z, u: sizes.append(len(z)) or {}
    for _ in range(10):
        learner.update(stream.next())
    assert sizes == [size] * 60 and stream.count == 50 * size and stream.epoch_length == examples


def test_weights_are_clipped():
    made = maker("wgan", "agent.clip=0.02")()
    learner, stream = made.experiment.learner, made.experiment.stream
    for _ in range(3):
        learner.update(stream.next())
    assert max(float(p.detach().abs().max()) for p in learner.critic.parameters()) <= 0.02


def test_the_critic_learns_nothing_from_the_generators_step():
    """Its gradient is not taken, and its parameters are learned again afterwards."""
    made = maker("gan")()
    learner, stream = made.experiment.learner, made.experiment.stream
    learner.update(stream.next())
    before = [p.detach().clone() for p in learner.critic.parameters()]
    learner.play_generator(None, *learner.draws(16, 1))
    assert all(torch.equal(a, b) for a, b in zip(before, learner.critic.parameters(), strict=True))
    assert all(p.requires_grad for p in learner.critic.parameters())


@pytest.mark.parametrize("penalty", ["real", "interpolates"])
@pytest.mark.parametrize("augment", ["[]", "[brightness,contrast,shift]"])
def test_what_the_critic_steps_down_by_hand(penalty, augment):
    """Mean of made minus mean of real, and three times the penalty."""
    made = maker("wgan_gp", "data=digits", f"agent.penalty={penalty}", "agent.penalty_weight=3",
                 f"agent.augment={augment}", "agent.critic_steps=1")()
    found = made.experiment.learner.update(made.experiment.stream.next())
    expected = found["critic/made"] - found["critic/real"] + 3 * found["loss/penalty"]
    assert found["loss/critic"].item() == pytest.approx(expected.item(), rel=1e-5) and found["loss/penalty"] > 1e-6


@pytest.mark.parametrize("penalty, wanted", [("real", 0), ("interpolates", 1)])
def test_the_penalty_pulls_the_slope_to_what_it_wants(penalty, wanted):
    learner = maker("gan", "data=digits", f"agent.penalty={penalty}", "agent.penalty_weight=1000", "agent.augment=[]",
                    "optimizer.lr=3e-3", "optimizer.schedule=constant")().experiment.learner
    real = torch.rand(32, 1, 8, 8, generator=torch.Generator().manual_seed(0)) * 2 - 1
    for _ in range(200):
        learner.improve_critic(real, None, *learner.draws(32, 2))
    squared = slopes(lambda x: learner.critic(x, None), real).detach()
    assert squared.mean().item() == pytest.approx(wanted, abs=0.15)


def test_the_generator_is_shown_changed_and_told_its_class():
    learner = maker("conditional_gan", "data=digits", "agent.augment=[brightness]")().experiment.learner
    told, (z, u) = [], learner.draws(4, 1)
    learner.critic.register_forward_pre_hook(lambda module, given: told.append((given[0].detach(), given[1])))
    label = torch.tensor([3, 1, 4, 1])
    for bright in (0.0, 1.0):
        learner.improve_generator(label, z, torch.full_like(u, bright))
        assert torch.equal(told[-1][1], label)
    assert told[1][0].mean() - told[0][0].mean() == pytest.approx(1, abs=0.1)


@pytest.mark.parametrize("agent", ["gan", "r1_gan"])
def test_it_learns_two_heaps(agent, tmp_path):
    """Of two seeds each makes both heaps, and little between them: rows of one number, -1 or 1."""
    rng = np.random.default_rng(0)
    rows = rng.choice([-1.0, 1.0], (512, 1)) + 0.05 * rng.standard_normal((512, 1))
    np.savez(tmp_path / "heaps.npz", x=rows.astype(np.float32))
    for seed in range(2):
        made = maker(agent, "data=npz", f"data.path={tmp_path / 'heaps.npz'}", "model.hidden=[32,32]", "agent.latent=2",
                     "agent.batch_size=64", "agent.augment=[]", "agent.ema=0.98", "optimizer.lr=2e-3",
                     "optimizer.beta1=0", "optimizer.schedule=constant", f"seed={seed}")()
        learner, stream = made.experiment.learner, made.experiment.stream
        for _ in range(300):
            learner.update(stream.next())
        x = made.experiment.sample(500, torch.Generator().manual_seed(0))
        near = (x.abs() - 1).abs() < 0.3
        assert float(near.float().mean()) > 0.8 and 0.25 < float((x > 0).float().mean()) < 0.75


def test_rows_sorted_by_class_are_measured_as_any_others():
    """Real ones come out as real, and of all classes, where only some of a sorted split are looked at."""
    data = maker("gan", "data=ring", "agent.augment=[]")().data
    splits = {name: split.take(split.y.argsort(stable=True)) for name, split in data.splits.items()}
    order = torch.randperm(len(splits["train"]), generator=torch.Generator().manual_seed(0))
    rows = splits["train"].tensors["x"][order]
    found = Clusters(lambda n, rng, label: rows[:n], replace(data, splits=splits), "test", 500)()
    assert found["made/classes"] == 8 and found["made/class_kl"] < 0.1 and found["made/precision"] > 0.8


def test_samples_come_from_the_average():
    made = maker("gan", "agent.ema=0.9")()
    learner = made.experiment.learner
    start = [p.detach().clone() for p in learner.average.net.parameters()]
    learner.update(made.experiment.stream.next())
    assert any(not torch.equal(a, b) for a, b in zip(start, learner.average.net.parameters(), strict=True))
    sample = made.experiment.sample
    first = sample(5, torch.Generator().manual_seed(0))
    with torch.no_grad():
        for p in learner.generator.parameters():
            p.zero_()
    assert torch.equal(first, sample(5, torch.Generator().manual_seed(0)))
    assert first.min() >= 0 and first.max() <= 1


def test_who_has_won_is_said_once(caplog):
    made = maker("gan")()
    learner = made.experiment.learner
    caplog.set_level(logging.WARNING, "lab")
    assert learner.logged(1)["critic/won"] == 0.5 and not caplog.records
    learner.right.fill_(0.995)
    assert [learner.logged(count)["critic/won"] > 0.99 for count in (2, 3)] == [True, True]
    assert len(caplog.records) == 1 and "the critic tells 99.5% apart" in caplog.text


def test_who_won_just_before_a_run_was_stopped_is_said_after_it(caplog):
    made, again = (maker("gan")().experiment for _ in range(2))
    made.learner.right.fill_(0.995)
    again.learner.load_state_dict(made.learner.state_dict())
    again.learner.logged(1)
    assert caplog.text.count("the critic tells 99.5% apart") == 1


def test_who_has_won_is_shown_as_text_and_not_said_again_after_a_resume(caplog):
    made, again = (maker("gan")().experiment for _ in range(2))
    assert made.evaluators["warned"]() == {}
    made.learner.right.fill_(0.995)
    made.learner.logged(1)
    again.learner.load_state_dict(made.learner.state_dict())
    again.learner.logged(2)
    shown = again.evaluators["warned"]()["warning"]
    assert isinstance(shown, Text) and "the critic tells 99.5% apart" in shown and len(caplog.records) == 1


def test_a_critic_of_the_wasserstein_loss_may_win(caplog):
    made = maker("wgan")().experiment
    made.learner.right.fill_(1.0)
    assert made.learner.logged(1) == {"critic/won": 1.0} and made.evaluators["warned"]() == {} and not caplog.records


def test_batch_statistics_under_a_penalty_are_warned_of(caplog):
    maker("wgan_gp", "model.critic_norm=batch")()
    assert "agent.penalty=interpolates looks at the critic's gradient at single examples" in caplog.text


def test_rows_of_classes_by_hand():
    """Centres 0 and 10, up to 3 from them: three good rows, two of the first class, one too far from both; of the real
    ones there are three of the first class and one of the second, so that shares of 3/4 and 1/4 are 2/3 and 1/3.
    """
    made, real = torch.tensor([[0.0, 0.0], [1.0, 1.0], [10.0, 0.0], [5.0, 0.0]]), torch.tensor([2, 2, 2, 5])
    found = by_class(made, real, torch.tensor([2, 5]), torch.tensor([[0.0, 0.0], [10.0, 0.0]]), torch.full((2,), 3.0))
    kl = 2 / 3 * np.log(8 / 9) + 1 / 3 * np.log(4 / 3)
    assert found == {"good": 0.75, "classes": 2.0, "class_kl": pytest.approx(kl)}


def test_rows_far_from_all_classes_are_as_bad_as_those_of_one_class():
    centres = torch.tensor([[0.0, 0.0], [10.0, 0.0]])
    found = by_class(torch.full((3, 2), 50.0), torch.arange(2), torch.arange(2), centres, torch.ones(2))
    assert found == {"good": 0, "classes": 0, "class_kl": pytest.approx(np.log(2))}


@pytest.mark.parametrize("data", ["wine", "breast_cancer", "ring"])
def test_real_rows_are_good(data):
    """13, 30 and 2 numbers: a row of the training split is one of its class in nearly 98.9 of 100 cases."""
    made = maker("gan", f"data={data}", "agent.augment=[]")().data
    (batch,) = made.splits["train"].batches([torch.arange(len(made.splits["train"]))], torch.device("cpu"))
    clusters = Clusters(lambda n, rng, label: batch["x"][:n], made, "train", 2_500)
    found = clusters()
    assert found["made/good"] > 0.93 and found["made/classes"] == len(made.about.classes)
    assert found["made/class_kl"] < 0.05


def test_a_run_of_pictures_and_one_of_rows(lab, tmp_path):
    short = ("budget.epochs=2", "model.hidden=[16]")
    assert lab("+agent=conditional_gan", *short, f"hydra.run.dir={tmp_path / 'digits'}")[0] == 0
    final = json.loads((tmp_path / "digits/run.json").read_text())["final"]
    assert {"eval/made/frechet", "eval/test/made/agreement", "loss/critic", "critic/won"} <= set(final)
    assert {path.parent.name for path in (tmp_path / "digits/media").rglob("*.png")} == {"samples", "nearest"}
    assert lab("sample", "digits", "--class", "7", "-n", "9", "--out", "sevens.png")[0] == 0
    assert lab("+agent=wgan_gp", "data=ring", *short, f"hydra.run.dir={tmp_path / 'ring'}")[0] == 0
    final = json.loads((tmp_path / "ring/run.json").read_text())["final"]
    assert {"eval/made/good", "eval/test/made/classes", "eval/test/made/frechet"} <= set(final)
    assert lab("sample", "ring", "-n", "9", "--out", "rows.npz")[0] == 0
    assert np.load(tmp_path / "rows.npz")["x"].shape == (9, 2)


@pytest.mark.parametrize("name, modes, far", [("ring", 8, 2.0), ("grid", 25, np.sqrt(32))])
def test_mixtures(name, modes, far):
    """Each of the modes has its share, on a circle or a lattice."""
    made = maker("lsgan", f"data={name}")()
    data = made.data
    (batch,) = data.splits["train"].batches([torch.arange(len(data.splits["train"]))], torch.device("cpu"))
    centres = torch.stack([batch["x"][batch["y"] == k].mean(0) for k in range(modes)])
    assert len(data.about.classes) == modes and float(centres.norm(dim=1).max()) == pytest.approx(far, abs=0.05)
    apart = torch.cdist(centres, centres) + 100 * torch.eye(modes)
    assert float(apart.min()) > 1.4 and float((batch["x"] - centres[batch["y"]]).std()) < 0.1


@pytest.mark.parametrize("words, message", [
    ("+agent=conditional_gan data=diabetes", "is told the class of an example, and data=diabetes has none"),
    ("+agent=gan data=iris model=gan_conv", "model=gan_conv is for pictures"),
    ("+agent=gan data=iris agent.augment=[shift]", "changes pictures, and an example of this data is a table"),
    ("+agent=gan agent.augment=[saturation] budget.updates=1", "changes colours, and these pictures have 1 channels"),
    ("+agent=gan agent.augment=[flip]", "agent.augment=flip is not known"),
    ("+agent=gan agent.latent=0", "agent.latent is 0; expected a number from 1"),
    ("+agent=gan model=mlp", "needs a model of role 'rivals', came mlp; add model=NAME, one of: gan_conv"),
    ("+agent=gan model=gan_conv model.channels=[4,4,4,4]", "one of 8 x 8 can be halved 3; use fewer of model.channels"),
    ("+agent=gan data.augment.mixup=0.2", "data.augment.mixup mixes targets, and gan learns the examples"),
    ("+agent=gan evaluate.samples=5", "evaluate.samples=5 is too few to measure by; use at least 20, or 0 for none"),
    ("+agent=gan agent.loss=hinged", "agent.loss=hinged is not known. Did you mean 'hinge'"),
    ("+agent=gan agent.batch_size=1", "a step has one example, by agent.batch_size or because there are no more, and "
     "model.norm=batch needs the variance of several; use model.norm=none, or more examples"),
    ("+agent=wgan_gp agent.batch_size=1", "model.norm=batch needs the variance of several"),
    ("+agent=gan agent.batch_size=1 model.norm=none model.critic_norm=batch", "use model.critic_norm=none, or more")])
def test_refused(words, message, lab):
    code, _, error = lab(*words.split())
    assert code == 2 and message in error, error


def test_as_many_are_measured_as_was_said():
    """None at all; or so many, of which the shares of the classes tell."""
    assert set(maker("gan", "evaluate.samples=0")().experiment.evaluators) == {"wall", "warned"}
    made = maker("conditional_gan", "evaluate.samples=25")().experiment
    right = 25 * made.closing["gallery"]()["test/made/agreement"]
    assert set(made.closing) == {"gallery", "lessons", "wall"} and right == pytest.approx(round(right))


def test_what_is_smaller_is_better():
    names = set(maker("conditional_gan")().experiment.evaluators["gallery"].names())
    assert {name for name in names if Best(name).sign < 0} == {f"made/{name}" for name in (
        "frechet", "frechet_real", "class_kl", "duplicates")}
    assert Best("test/made/fid").sign < 0


@pytest.mark.skipif(not (shutil.which("g++") or shutil.which("clang++")), reason="no C++ compiler")
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("agent", ["conditional_gan", pytest.param("wgan_gp", marks=pytest.mark.slow)])
def test_compiled_it_learns_nearly_the_same(agent):
    """A penalty's gradient has a gradient of its own, which no graph has: that step runs as it is."""
    losses = []
    for mode in ("eager", "compile"):
        made = maker(agent, f"compute.jit={mode}")()
        learner, stream = made.experiment.learner, made.experiment.stream
        losses.append([float(learner.update(stream.next())["loss/critic"]) for _ in range(4)])
    assert losses[0] == pytest.approx(losses[1], rel=1e-3)
