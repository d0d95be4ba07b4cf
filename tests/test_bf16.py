"""The family in bfloat16, and noise that each environment has of its own."""

import math

import pytest
import torch

from lab.compute import Compute
from lab.config import ComputeConfig
from lab.devices import has_bf16
from lab.testing import maker
from lab.testing.making import next_batch
from lab_dqn.distributional import Atoms, Implicit
from lab_dqn.heads import NoisyLinear

BF16 = pytest.mark.skipif(not has_bf16(torch.device("cpu")), reason="this CPU has no bfloat16 arithmetic")
MEMBERS = {"dqn": (), "rainbow": ("agent.v_min=-3", "agent.v_max=3", "agent.atoms=11"),
           "qr_dqn": ("agent.quantiles=8",), "iqn": ("agent.samples=8",)}


def numbers(learner):
    """All that is learned and remembered with a fraction, the target's too."""
    held = [learner.q.state_dict(), learner.target.state_dict(), *learner.optimizer.state_dict()["state"].values()]
    return [value for each in held for value in each.values()]


@BF16
@pytest.mark.parametrize("agent", MEMBERS)
def test_a_member_learns_in_bfloat16_and_its_weights_stay_float32(agent):
    """The losses are nearly those of float32, since the same rows are learned from; not quite, or nothing was rounded.

    Past a copy into the target, twice.
    """
    make = maker(agent, *MEMBERS[agent], "agent.target_every=3")
    rounded, exact = make("compute.precision=bf16").experiment.learner, make().experiment.learner
    stream = make().experiment.stream                     # of a third, so that both draw the same noise
    told = []
    rounded.report = lambda leaf, error: told.append(error)
    before = [value.clone() for value in numbers(rounded)]
    for _ in range(8):
        batch = {"leaf": torch.zeros(1, 16, dtype=torch.int64), **next_batch(stream)}
        ours, loss = rounded.update(batch), exact.update(batch)["loss/td"].item()
        assert ours["loss/td"].item() == pytest.approx(loss, rel=0.2) and ours["loss/td"].item() != loss
        assert all(value.dtype is torch.float32 and value.isfinite() for value in ours.values())
    after = numbers(rounded)
    assert all(value.dtype is torch.float32 and value.isfinite().all() for value in after)
    assert not any(torch.equal(new, old) for new, old in zip(after, before, strict=True) if new.numel() > 3)
    assert all(error.dtype is torch.float32 and error.isfinite().all() for error in told) and len(told) == 8
    assert rounded.compute.skipped == 0


@BF16
def test_an_expected_return_is_not_rounded_to_bfloat16():
    """Of the returns 0 to 200 three in four: bfloat16 has 8 bits and would make 150 of 150.3."""
    atoms = Atoms(torch.nn.Identity(), 0, 200.4, 2)
    with Compute(ComputeConfig(device="cpu", precision="bf16")).autocast():
        found = atoms(torch.tensor([[[0.0, math.log(3)]]]))
    assert found.dtype is torch.float32 and found.item() == pytest.approx(150.3, abs=1e-3)


@pytest.mark.parametrize("dueling", ["false", "true"])
def test_each_environment_has_noise_of_its_own_in_a_noisy_iqn(dueling):
    """All see the same and are given the same fractions: their values differ by the noise alone, as they should."""
    made = maker("iqn", "agent.noisy=true", f"agent.dueling={dueling}", "agent.num_envs=4", "agent.samples=8")()
    learner = made.experiment.learner
    obs = torch.ones(4, 2)
    learner.act(obs, 10**9)
    layers = [part for part in learner.acting if isinstance(part, NoisyLinear)]
    (drawn,) = (part for part in learner.acting if isinstance(part, Implicit))
    assert drawn.tau.shape == (4, 8) and len(layers) == (4 if dueling == "true" else 3)
    assert all(len(layer.noise[0]) == 4 for layer in layers)
    drawn.tau = drawn.tau[:1].expand(4, 8)
    values = torch.as_tensor(learner.answer(obs))                                           # [N, A]
    assert len({tuple(row) for row in values.tolist()}) == 4
    for i, row in enumerate(values):                      # each as though it were alone with its noise
        kept = [layer.noise for layer in layers]
        for layer in layers:
            layer.noise = tuple(part[i:i + 1] for part in layer.noise)
        torch.testing.assert_close(torch.as_tensor(learner.answer(obs[:1]))[0], row)
        for layer, noise in zip(layers, kept, strict=True):
            layer.noise = noise


def test_a_noisy_iqn_learns_from_several_environments():
    """One noise for all rows of a batch; it is learned how much of it there should be."""
    made = maker("iqn", "agent.noisy=true", "agent.num_envs=3", "agent.samples=8", "agent.gradient_steps=2")()
    learner, stream = made.experiment.learner, made.experiment.stream
    before = {name: value.clone() for name, value in learner.q.state_dict().items()}
    for _ in range(5):
        metrics = learner.update(next_batch(stream))
        noises = [part.noise for part in learner.learning if isinstance(part, NoisyLinear)]
        assert len(noises) == 6 and all(len(inward) == 1 for inward, _ in noises)
        assert all(value.isfinite() for value in metrics.values())
    assert not any(torch.equal(value, before[name]) for name, value in learner.q.state_dict().items())
    assert learner.steps == 10 and made.compute.skipped == 0
