"""Adam and AdamW without torch's bookkeeping: the same bits as torch's own, and each goes on with the other's state."""

import copy

import pytest
import torch
from torch import nn

from lab import builtin, optimizers
from lab.compute import QuickAdam
from lab.testing.checks import differences, same_bits

KINDS = [{}, {"weight_decay": 0.1}, {"betas": (0.5, 0.8), "eps": 0.1}, {"weight_decay": 0.3, "lr": 0.5}]
OWN = {True: torch.optim.AdamW, False: torch.optim.Adam}


def weights():
    """A matrix, a vector, a single number and one more matrix."""
    rng = torch.Generator().manual_seed(1)
    return [nn.Parameter(torch.randn(shape, generator=rng)) for shape in ((5, 3), (7,), (), (2, 33))]


def pair(decoupled, **settings):
    """Quick and torch's own, each with equal weights."""
    settings = {"lr": 0.01, "weight_decay": 0.0, **settings}
    a, b = weights(), weights()
    own = OWN[decoupled](b, fused=True, **settings)
    return (a, QuickAdam(a, decoupled_weight_decay=decoupled, **settings)), (b, own)


def step(each, seed, without=()):
    """One step with gradients of this seed, some weights having none."""
    held, optimizer = each
    rng = torch.Generator().manual_seed(seed)
    for i, weight in enumerate(held):
        gradient = torch.randn(weight.shape, generator=rng) * 10.0 ** (seed % 5 - 3)
        weight.grad = None if i in without else gradient
    optimizer.step()


def alike(a, b, without=()):
    """To the bit, in weights and in what is remembered of those that had a gradient."""
    for i, (mine, own) in enumerate(zip(a[0], b[0], strict=True)):
        assert same_bits(mine.detach(), own.detach()), f"weight {i}"
        if i not in without:
            assert not differences(a[1].state[mine], b[1].state[own]), f"state {i}"
    return True


@pytest.mark.parametrize("settings", KINDS)
@pytest.mark.parametrize("decoupled", [False, True])
def test_it_is_torchs_own_to_the_bit(decoupled, settings):
    quick, own = pair(decoupled, **settings)
    before = copy.deepcopy(quick[0])
    for seed in range(20):
        step(quick, seed), step(own, seed)
        assert alike(quick, own)
    assert not any(torch.equal(a, b) for a, b in zip(quick[0], before, strict=True))


@pytest.mark.parametrize("decoupled", [False, True])
def test_a_weight_without_a_gradient_stays_and_so_does_what_is_remembered_of_it(decoupled):
    """It decays neither; weight 3 has none in any step, of which torch remembers nothing."""
    quick, own = pair(decoupled, weight_decay=0.1)
    for seed, without in enumerate(((3,), (1, 3), (0, 2, 3), (3,), (0, 1, 2, 3), (1, 3))):
        before = [weight.detach().clone() for weight in quick[0]]
        step(quick, seed, without), step(own, seed, without)
        assert alike(quick, own, without=(3,))
        same = [torch.equal(weight, old) for weight, old in zip(quick[0], before, strict=True)]
        assert same == [i in without for i in range(4)]
    step(quick, 9), step(own, 9)
    assert alike(quick, own), "its first step is the first"


@pytest.mark.parametrize("decoupled", [False, True])
def test_another_rate_holds_from_the_next_step_on(decoupled):
    quick, own = pair(decoupled, weight_decay=0.1)
    for seed, rate in enumerate((0.01, 0.5, 0.0, 0.25)):
        for each in (quick, own):
            each[1].param_groups[0]["lr"] = rate
            step(each, seed)
        assert alike(quick, own)


@pytest.mark.parametrize("decoupled", [False, True])
def test_each_goes_on_with_the_state_of_the_other(decoupled):
    """From torch's own to a quick one, from that to torch's own again, both going on beside it."""
    (_, quick), own = pair(decoupled, weight_decay=0.1, lr=0.02)
    for seed in range(4):
        step(own, seed)
    other = copy.deepcopy(own[0])
    quick = other, QuickAdam(other, lr=0.9, decoupled_weight_decay=decoupled)
    quick[1].load_state_dict(copy.deepcopy(own[1].state_dict()))
    third = copy.deepcopy(own[0])
    back = third, OWN[decoupled](third, lr=0.7, fused=True)
    for seed in range(4, 8):
        step(quick, seed), step(own, seed)
        assert alike(quick, own)
    assert not differences(quick[1].state_dict(), own[1].state_dict())
    back[1].load_state_dict(copy.deepcopy(quick[1].state_dict()))
    for mine, weight in zip(third, quick[0], strict=True):
        mine.data.copy_(weight)
    for seed in range(8, 12):
        step(quick, seed), step(own, seed), step(back, seed)
        assert alike(quick, own) and alike(back, own)


def test_a_state_of_torchs_own_that_lacks_a_weight_is_taken_too():
    """Weight 3 never had a gradient: torch remembers nothing of it, and begins when it has one."""
    quick, own = pair(False)
    step(own, 0, without=(3,))
    quick[1].load_state_dict(copy.deepcopy(own[1].state_dict()))
    for mine, weight in zip(quick[0], own[0], strict=True):
        mine.data.copy_(weight)
    for seed in (1, 2):
        step(quick, seed), step(own, seed)
        assert alike(quick, own)


def test_a_closure_is_refused_and_nothing_is_learned():
    quick, _ = pair(False)
    before = copy.deepcopy(quick[0])
    for weight in quick[0]:
        weight.grad = torch.ones_like(weight)
    with pytest.raises(TypeError, match="a step takes no closure"):
        quick[1].step(lambda: 1.0)
    assert all(map(torch.equal, quick[0], before))


def test_what_is_hooked_before_a_step_is_called_before_each():
    quick, _ = pair(False)
    seen = []
    quick[1].register_step_pre_hook(lambda optimizer, args, kwargs: seen.append(quick[0][1].detach().clone()))
    before = quick[0][1].detach().clone()
    step(quick, 0)
    after = quick[0][1].detach().clone()
    step(quick, 1)
    assert len(seen) == 2 and torch.equal(seen[0], before) and torch.equal(seen[1], after)


@pytest.mark.parametrize("kind, build", [(builtin.Adam, optimizers.adam), (builtin.AdamW, optimizers.adamw)])
def test_it_is_for_float32_on_a_cpu_alone(kind, build):
    cfg = kind(lr=0.1)
    assert type(build(cfg, weights(), fused=True)) is QuickAdam
    assert type(build(cfg, weights(), fused=False)) is torch.optim.Adam
    assert type(build(cfg, [nn.Parameter(torch.zeros(2, dtype=torch.float64))], fused=True)) is torch.optim.Adam
