"""compute.jit=compile: members of the family learn what they learn eagerly, and nothing compiled is out of date."""

import itertools
import shutil
import sys

import pytest
import torch
from torch import nn

from lab.compute import Compute
from lab.config import ComputeConfig
from lab.testing import maker
from lab.testing.making import next_batch

pytestmark = [
    pytest.mark.skipif(not (shutil.which("g++") or shutil.which("clang++")), reason="no C++ compiler"),
    pytest.mark.filterwarnings("ignore")]
SMALL = ("model.hidden=[4]", "agent.batch_size=4", "agent.target_every=4", "agent.n_steps=1")
MEMBERS = {"dqn": SMALL, "munchausen_dqn": SMALL, "qr_dqn": (*SMALL, "agent.quantiles=4"),
           "iqn": (*SMALL, "agent.samples=4"),
           "rainbow": (*SMALL, "agent.v_min=-1", "agent.v_max=1", "agent.atoms=5"), "pqn": ("model.hidden=[4]",),
           "r2d2": (*SMALL, "agent.memory=3", "agent.burn_in=1", "agent.length=1"),
           "discrete_sac": ("model.hidden=[4]", "agent.batch_size=4")}


@pytest.mark.parametrize("agent", [
    "dqn", "rainbow", "r2d2", *(pytest.param(agent, marks=pytest.mark.slow)
                                for agent in ("munchausen_dqn", "qr_dqn", "iqn", "pqn", "discrete_sac"))])
def test_a_compiled_member_learns_what_it_learns_eagerly(agent, caplog):
    """In 12 updates, past three copies into the target; they act by what they have learned."""
    make = maker(agent, *MEMBERS[agent])
    ours, own = make("compute.jit=compile").experiment, make().experiment
    for _ in range(12):
        told, expected = (each.learner.update(next_batch(each.stream)) for each in (ours, own))
        for name, value in expected.items():
            torch.testing.assert_close(told[name], value, atol=1e-4, rtol=1e-4)
    for part in {"q", "target", "actor", "critics", "targets"} & set(ours.learner.saved):
        held, should = (getattr(each.learner, part).state_dict() for each in (ours, own))
        for name, value in ((name, value) for name, value in should.items() if isinstance(value, torch.Tensor)):
            torch.testing.assert_close(held[name], value, atol=1e-5, rtol=0, msg=lambda text, at=name: f"{at}: {text}")
    assert "it runs eagerly" not in caplog.text and ours.learner.compute.due is None
    if agent == "rainbow":
        torch.testing.assert_close(ours.stream.tree.leaves, own.stream.tree.leaves, atol=1e-5, rtol=0)


class Held:
    """What a learner holds by a config or a part."""

    def __init__(self, share=1.0):
        self.share = share


class Steps:
    """A learner as small as can be: one step on rows [B, 2], from weights (1, 2) unless told otherwise."""

    def __init__(self, jit="compile", weight=(1.0, 2.0), scale=1.0, rate=0.1):
        self.net, self.scale, self.flip, self.shift, self.held = nn.Linear(2, 1), scale, False, torch.zeros(()), Held()
        self.net.weight.data, self.net.bias.data = torch.tensor([weight]), torch.zeros(1)
        self.compute = Compute(ComputeConfig(device="cpu", jit=jit))
        self.optimizer, self.calls = torch.optim.SGD(self.net.parameters(), rate), 0
        self.learn = self.compute.jit(self.improve)

    def improve(self, obs, weight):
        error = self.held.share * self.scale * self.net(obs)[:, 0] - 1 + self.shift
        loss = -error.square() if self.flip else error.square()
        total = loss.mean() if weight is None else (weight * loss).mean()
        norm = self.compute.minimize(total, self.optimizer, 2.0)
        return total.detach(), norm, error.detach()


def rows(n, seed=0, weighted=False):
    rng = torch.Generator().manual_seed(100 * seed + n)
    return torch.randn(n, 2, generator=rng), torch.rand(n, generator=rng) if weighted else None


def same(ours, own, *args):
    """One step of each, with the same numbers and the same weights after it."""
    for found, expected in zip(ours.learn(*args), own.improve(*args), strict=True):
        torch.testing.assert_close(found, expected)
    for held, should in zip(ours.net.parameters(), own.net.parameters(), strict=True):
        torch.testing.assert_close(held, should)
    return True


def callers(function, *args):
    """Who takes the steps of three calls: what stands around the graph, or `improve`, which then runs as it is."""
    found = []

    def called(frame, event, arg):
        if event == "call" and frame.f_code is Compute.minimize.__code__:
            found.append(frame.f_back.f_code.co_name)

    sys.setprofile(called)
    function(*args), function(*args), function(*args)
    sys.setprofile(None)
    return found


def test_shapes_may_alternate(caplog):
    """Rows of 3, 5 and 7, with weights and without, again and again, in one order and in another."""
    ours, own = Steps(), Steps("eager")
    order = [(3, False), (5, False), (3, False), (3, True), (5, False), (7, False), (3, True), (3, False), (3, True)]
    for seed, (n, weighted) in enumerate([*order, *reversed(order)]):
        assert same(ours, own, *rows(n, seed, weighted))
    for n, weighted in set(order):
        assert callers(ours.learn, *rows(n, 0, weighted)) == ["call"] * 3
        assert callers(own.learn, *rows(n, 0, weighted)) == ["improve"] * 3
    assert "it runs eagerly" not in caplog.text


def test_what_a_learner_holds_is_never_out_of_date(caplog):
    """Its own number and that of a part, a flag, a tensor in place and another one; each back again, too."""
    ours, own = Steps(), Steps("eager")
    changes = [("scale", 2.0), ("scale", 0.5), ("scale", 1.0), ("share", 3.0), ("share", 0.5), ("flip", True),
               ("scale", 0.25), ("flip", False), ("shift", 0.5), ("shift", -1.0), ("scale", 2.0), ("share", 1.0)]
    for seed in range(3):
        assert same(ours, own, *rows(4, seed))
    for seed, (name, value) in enumerate(changes):
        for each in (ours, own):
            setattr(each.held if name == "share" else each, name, torch.tensor(value) if name == "shift" else value)
        for again in range(2):
            assert same(ours, own, *rows(4, 10 * seed + again)), name
    for each in (ours, own):
        each.held, each.shift = Held(0.125), each.shift.add_(0.75)
    for seed in range(3):
        assert same(ours, own, *rows(4, seed))
    assert "it runs eagerly" not in caplog.text


def test_weights_that_are_loaded_and_a_rate_that_changes_are_seen():
    """Weights in place, as a checkpoint is loaded; the rate is the optimizer's, outside of the graph."""
    ours, own = Steps(), Steps("eager")
    for seed in range(6):
        assert same(ours, own, *rows(4, seed))
        for each in (ours, own):
            each.net.load_state_dict({"weight": torch.tensor([[float(seed), -1.0]]), "bias": torch.ones(1)})
            each.optimizer.param_groups[0]["lr"] = 0.1 * (seed % 3)


def test_learners_of_one_class_do_not_get_in_each_others_way(caplog):
    """Two with other weights, numbers, rates and parts take turns; a third comes later, with a step of its own."""
    kinds = [{"weight": (1.0, 2.0), "scale": 1.0, "rate": 0.1}, {"weight": (-3.0, 0.5), "scale": 0.5, "rate": 0.01}]
    pairs = [(Steps(**kind), Steps("eager", **kind)) for kind in kinds]
    for each in pairs[1]:
        each.held = Held(0.5)
    for seed in range(12):
        if seed == 6:
            pairs.append(tuple(Steps(jit, (0.0, 7.0), 3.0) for jit in ("compile", "eager")))
        for ours, own in pairs[::-1] if seed % 4 == 3 else pairs:
            assert same(ours, own, *rows(4, seed))
            assert ours.compute.due is None
    weights = [ours.net.weight.detach() for ours, _ in pairs]
    assert not any(torch.equal(a, b) for a, b in itertools.pairwise(weights))
    assert "it runs eagerly" not in caplog.text
