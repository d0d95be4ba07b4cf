"""One step down a loss by hand, schedules by hand, randomness by name, and what this machine cannot do."""

import copy
import itertools
import math
import platform
import resource
import shutil

import pytest
import torch
from threadpoolctl import threadpool_info, threadpool_limits
from torch import nn

from lab import builtin, compute, devices, optimizers, schedules
from lab.compute import Compute
from lab.config import ComputeConfig
from lab.errors import UsageError
from lab.modules import count_parameters
from lab.optimizers import overridable
from lab.schedules import scheduled

NO_CUDA = pytest.mark.skipif(torch.cuda.is_available(), reason="this machine has a CUDA device")
DEVICES = ["cpu", *["cuda"] * torch.cuda.is_available()]


def on(device="cpu", seed=0, **settings):
    return Compute(ComputeConfig(device=device, **settings), seed)


@pytest.fixture(params=[*DEVICES, "far"])
def machine(request):
    """far: in the way of a device that is too far away to be asked at every step, here on the CPU."""
    here = on("cpu" if request.param == "far" else request.param)
    here.at_hand &= request.param != "far"
    return here


@pytest.fixture
def cpu():
    return on()


@pytest.mark.parametrize("clip, expected", [(math.inf, 2.4), (6.0, 2.4), (3.0, 2.7), (0.5, 2.95)])
@pytest.mark.parametrize("fused", [False, True])
def test_one_step_of_sgd_by_hand(machine, fused, clip, expected):
    """3 squared has the slope 6; a tenth of it is 0.6, and of a slope cut to 3 it is 0.3."""
    weight = nn.Parameter(torch.tensor([3.0], device=machine.device))
    norm = machine.minimize((weight**2).sum(), torch.optim.SGD([weight], 0.1, fused=fused), clip)
    assert (norm.item(), weight.item()) == (6.0, pytest.approx(expected))
    assert norm.ndim == 0 and machine.skipped == 0


@pytest.mark.parametrize("fused", [False, True])
def test_the_norm_is_of_all_parameters_together(fused, cpu):
    """Slopes 3 and 4 have the norm 5; cut to 1 they are 0.6 and 0.8. A parameter without a slope is left out."""
    a, b, idle = (nn.Parameter(torch.tensor([value])) for value in (0.0, 0.0, 7.0))
    optimizer = torch.optim.SGD([{"params": [a, idle]}, {"params": [b]}], 1.0, fused=fused)
    assert cpu.minimize((3 * a + 4 * b).sum(), optimizer, clip=1.0).item() == 5
    assert (a.item(), b.item(), idle.item()) == (pytest.approx(-0.6), pytest.approx(-0.8), 7.0)


def test_slopes_of_the_step_before_are_forgotten_and_a_flat_loss_is_fine(cpu):
    weight = nn.Parameter(torch.tensor([1.0]))
    optimizer = torch.optim.SGD([weight], 0.5)
    for _ in range(2):
        cpu.minimize(weight.sum(), optimizer)
    assert weight.item() == 0
    assert cpu.minimize((0 * weight).sum(), optimizer, clip=1.0).item() == 0 and weight.item() == 0


def optimizer_of(kind, weights):
    cfg, build = {
        "adam": (builtin.Adam(lr=0.1), optimizers.adam), "adamw": (builtin.AdamW(lr=0.1), optimizers.adamw),
        "sgd": (builtin.SGD(lr=0.1), optimizers.sgd), "momentum": (builtin.SGD(lr=0.1, momentum=0.9), optimizers.sgd),
        "nesterov": (builtin.SGD(lr=0.1, momentum=0.9, nesterov=True), optimizers.sgd),
        "rmsprop": (builtin.RMSprop(lr=0.1), optimizers.rmsprop), "muon": (builtin.Muon(lr=0.1), optimizers.muon),
        "centered": (builtin.RMSprop(lr=0.1, centered=True, weight_decay=0.1), optimizers.rmsprop),
        "scheduled": (builtin.Adam(lr=0.1, schedule="linear", decay=9), optimizers.adam)}[kind]
    return scheduled(build(cfg, weights, fused=True), cfg)


def test_every_optimizer_is_tried_below():
    assert {"adam", "adamw", "sgd", "rmsprop", "muon"} == {each.name for each in builtin.lab_optimizers()}


BAD = {"NaN loss": lambda w: w.sum() * math.nan, "infinite loss": lambda w: w.sum() * math.inf,
       "infinite slope": lambda w: (w * 0).sqrt().sum(), "slope too large": lambda w: w[0] * 1e30 * 1e9 + w[1] * 0,
       "NaN in one place": lambda w: w[0] + torch.where(w[1] > 9, w[1], w[1] * 0 / 0)}


@pytest.mark.parametrize("good", [0, 2])
@pytest.mark.parametrize("bad", BAD)
@pytest.mark.parametrize("kind", ["adam", "adamw", "sgd", "momentum", "nesterov", "rmsprop", "centered", "scheduled",
                                  "muon"])
def test_what_is_not_finite_reaches_no_weight(machine, kind, bad, good):
    """Nor what the optimizer remembers: after `good` steps and three bad ones it goes on as though they never were."""
    ways = []
    for skips in (3, 0):
        weight = nn.Parameter(torch.tensor([1.0, -2.0], device=machine.device))
        optimizer = optimizer_of(kind, [weight])
        for loss in [lambda w: (w**2).sum()] * good + [BAD[bad]] * skips + [lambda w: (w**2).sum()] * 2:
            before = weight.detach().clone()
            machine.minimize(loss(weight), optimizer, clip=2.0)
            assert torch.equal(weight, before) is (loss is BAD[bad])
        ways.append(weight.detach())
    assert machine.skipped == 3
    if kind != "scheduled":           # its rate counts a skipped step, which ends the run anyway
        assert torch.equal(*ways)


@pytest.mark.parametrize("step, expected", [(0, 2.0), (1, 1.75), (2, 1.5), (4, 1.0), (5, 1.0), (10**9, 1.0)])
def test_a_straight_line(step, expected):
    assert schedules.linear(step, 2.0, 1.0, 4) == expected


@pytest.mark.parametrize("step, expected", [(0, 2.0), (1, 1 + (1 + math.sqrt(0.5)) / 2), (2, 1.5), (4, 1.0), (99, 1.0)])
def test_half_a_cosine(step, expected):
    assert schedules.cosine(step, 2.0, 1.0, 4) == pytest.approx(expected)


def test_constant():
    assert schedules.constant(10**9, 2.0, 1.0, 4) == 2.0


@pytest.mark.parametrize("step, expected", [(0, 0.04), (15, 0.52), (30, 1.0), (65, 0.6), (100, 0.2), (1000, 0.2)])
def test_one_cycle_by_hand(step, expected):
    """Of 100 steps 30 go up from 1/25, half of them to half of the way; 70 go down to 0.2."""
    assert schedules.one_cycle(step, 1.0, 0.2, 100) == pytest.approx(expected)


@pytest.mark.parametrize("step, expected", [(0, 2.0), (49, 2.0), (50, 0.2), (74, 0.2), (75, 0.02), (500, 0.02)])
def test_steps_down_by_hand(step, expected):
    assert schedules.step_down(step, 2.0, 0.0, 100, [0.5, 0.75], 0.1) == pytest.approx(expected)


def test_no_decay_is_at_once():
    assert [schedules.linear(step, 2.0, 1.0, 0) for step in (0, 1)] == [1.0, 1.0]


RATES = [0.1 / 3, 0.0875 * 2 / 3, 0.075, 0.0625, 0.05, 0.05]      # 0.1 to 0.05 in 4 steps, the first two warming up


def rates(optimizer, weight, steps):
    for _ in range(steps):
        weight.grad = torch.zeros(1)
        optimizer.step()
        yield optimizer.param_groups[0]["lr"]


def test_the_rate_follows_its_schedule_and_is_saved():
    cfg = builtin.SGD(lr=0.1, schedule="linear", warmup=2, decay=4, final=0.5)
    weights = [nn.Parameter(torch.ones(1)) for _ in range(2)]
    first, second = (scheduled(optimizers.sgd(cfg, [weight], fused=False), cfg) for weight in weights)
    assert list(rates(first, weights[0], 3)) == pytest.approx(RATES[:3])
    second.load_state_dict(first.state_dict())
    assert list(rates(second, weights[1], 3)) == pytest.approx(RATES[3:])


def overridden(cfg, weight):
    return scheduled(overridable(optimizers.sgd(cfg, [weight], fused=False)), cfg)


def test_a_resume_takes_another_rate_and_keeps_what_a_learner_set_itself():
    """Only a value that the config changed is changed."""
    weights = [nn.Parameter(torch.ones(1)) for _ in range(4)]
    first = overridden(builtin.SGD(lr=0.1, momentum=0.9), weights[0])
    first.param_groups[0]["momentum"] = 0.7
    same = overridden(builtin.SGD(lr=0.1, momentum=0.9), weights[1])
    other = overridden(builtin.SGD(lr=0.3, momentum=0.9), weights[2])
    same.load_state_dict(first.state_dict()), other.load_state_dict(first.state_dict())
    (kept,), (taken,) = same.param_groups, other.param_groups
    assert (kept["lr"], kept["momentum"], taken["lr"], taken["momentum"]) == (0.1, 0.7, 0.3, 0.9)
    later = overridden(builtin.SGD(lr=0.4, momentum=0.9, schedule="linear", decay=2), weights[3])
    later.load_state_dict(other.state_dict())
    assert list(rates(later, weights[3], 3)) == pytest.approx([0.4, 0.2, 0])


@pytest.mark.parametrize("warmup, told", [(3, 1), (2, 0)])
def test_a_rate_that_climbs_until_its_end_is_told_once(warmup, told, caplog):
    weights = [nn.Parameter(torch.tensor([1.0])) for _ in range(2)]
    cfg = builtin.SGD(lr=0.1, schedule="linear", decay=3, warmup=warmup)
    stepper = scheduled(optimizers.sgd(cfg, [{"params": [each]} for each in weights], fused=False), cfg)
    list(rates(stepper, weights[0], 2))
    assert caplog.text.count(f"optimizer.warmup={warmup}: the learning rate climbs until the end") == told


@pytest.mark.parametrize("final, told", [(0.0, 1), (0.1, 0)])
def test_a_rate_that_has_come_to_nothing_is_told_once(final, told, caplog):
    weight = nn.Parameter(torch.tensor([1.0]))
    cfg = builtin.SGD(lr=0.1, schedule="linear", decay=3, final=final)
    stepper = scheduled(optimizers.sgd(cfg, [weight], fused=False), cfg)
    list(rates(stepper, weight, 3))
    assert not caplog.text                                # the last step of a run as long as its schedule has a rate
    list(rates(stepper, weight, 3))
    assert caplog.text.count("the learning rate is 0 after 3 optimizer steps") == told


def test_without_a_schedule_the_rate_stays():
    weight = nn.Parameter(torch.ones(1))
    cfg = builtin.SGD(lr=0.1)
    assert list(rates(scheduled(optimizers.sgd(cfg, [weight], fused=False), cfg), weight, 3)) == [0.1] * 3


def test_one_step_of_each_adaptive_optimizer_by_hand(cpu):
    """From 1 with slope 2: Adam's first step is its rate; AdamW also shrinks by rate * decay; RMSprop has a root."""
    expected = {"adam": 1 - 0.1, "adamw": 1 * (1 - 0.1 * 0.01) - 0.1, "rmsprop": 1 - 0.1 * 2 / math.sqrt(0.01 * 4)}
    for kind, value in expected.items():
        weight = nn.Parameter(torch.tensor([1.0]))
        cpu.minimize(2 * weight.sum(), optimizer_of(kind, [weight]))
        assert weight.item() == pytest.approx(value, abs=1e-6)


def draw(here, name, n=3):
    return torch.rand(n, generator=here.rng(name), device=here.device).tolist()


@pytest.mark.parametrize("device", DEVICES)
def test_randomness_has_a_name(device):
    here = on(device)
    assert draw(here, "a") == draw(here, "a") == draw(on(device), "a")
    assert len({*draw(here, "a"), *draw(here, "b"), *draw(on(device, seed=1), "a")}) == 9
    one = here.rng("one")
    first = torch.rand(2, generator=one, device=device)
    draw(here, "another"), torch.rand(5, device=device)           # nobody shifts the numbers of somebody else
    again = here.rng("one")
    assert torch.equal(torch.rand(2, generator=again, device=device), first)
    assert torch.equal(torch.rand(2, generator=again, device=device), torch.rand(2, generator=one, device=device))


def test_seeds_depend_on_the_name_and_the_seed_alone(cpu):
    numbers = itertools.product(range(5), range(5), range(20))
    seeds = [on(seed=seed).seed_for(f"train/{i}/{episode}") for seed, i, episode in numbers]
    assert len(set(seeds)) == 500 and all(0 <= seed < 2**32 for seed in seeds)
    assert cpu.seed_for("train/0/1") == on().seed_for("train/0/1")


@pytest.fixture
def cores(monkeypatch):
    monkeypatch.setattr(devices, "cores", lambda: 3)
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    monkeypatch.setattr(compute, "fast_bf16", lambda device: True)


@pytest.mark.parametrize("size, operations, precision, threads", [
    (999_999, 29_999_999, "fp32", 1), (1_000_000, 0, "bf16", 3), (1, 30_000_000, "bf16", 1),
    (1, 199_999_999, "bf16", 1), (1, 200_000_000, "bf16", 3)])
def test_auto_is_settled_by_parameters_and_operations(size, operations, precision, threads, cpu, cores):
    cpu.settle(size, operations)
    assert (cpu.precision, cpu.threads, torch.get_num_threads()) == (precision, threads, threads)


@pytest.mark.parametrize("said, threads", [("", 3), ("2", 2), ("8", 3), ("0", 3), ("two", 3)])
def test_no_more_threads_than_the_process_may_use_or_was_told(said, threads, cores, monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", said)
    assert devices.threads_at_most() == threads


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="freed memory goes its own way here")
def test_freed_memory_stays_with_the_process():
    """A page that comes from the system anew is a fault; 40 MB are ten thousand of them."""
    devices.keep_memory()
    faults = list[int]()
    for _ in range(20):
        torch.ones(10_000_000)
        faults.append(resource.getrusage(resource.RUSAGE_SELF).ru_minflt)
    assert faults[-1] - faults[9] < 1000


@pytest.mark.parametrize("threads", [1, 2])
def test_numpy_uses_as_many_threads(threads):
    def of_numpy():
        return {library["num_threads"] for library in threadpool_info() if "numpy" in library["filepath"]}

    with threadpool_limits(3 - threads, "blas"):
        on(threads=threads).settle(1)
        assert of_numpy() == {threads}


@pytest.mark.parametrize("size", [1, 10**9])
def test_what_was_asked_for_stays(size, cores):
    here = on(precision="fp32", threads=2)
    here.settle(size)
    assert (here.precision, here.threads, torch.get_num_threads()) == ("fp32", 2, 2)


def test_auto_is_fp32_where_bfloat16_is_slow(cpu, monkeypatch):
    monkeypatch.setattr(compute, "fast_bf16", lambda device: False)
    cpu.settle(10**9)
    assert cpu.precision == "fp32"


def test_bfloat16_is_what_it_is_asked_for_where_it_is_slow_and_refused_where_there_is_none(monkeypatch):
    """A run that has begun with it goes on with it."""
    monkeypatch.setattr(compute, "fast_bf16", lambda device: False)
    monkeypatch.setattr(compute, "has_bf16", lambda device: True)
    assert on(precision="bf16").precision == "bf16"
    monkeypatch.setattr(compute, "has_bf16", lambda device: False)
    with pytest.raises(UsageError, match=r"compute\.precision=bf16: cpu has no bfloat16 arithmetic; use fp32 or auto"):
        on(precision="bf16")


@pytest.mark.parametrize(("there", "low", "full", "expected"), [
    (True, 0.5, 1.0, True), (True, 0.9, 1.0, False), (True, 2.0, 1.0, False), (False, 0.5, 1.0, False)])
def test_bfloat16_is_fast_where_a_product_takes_clearly_less_time(there, low, full, expected, monkeypatch):
    monkeypatch.setattr(devices, "seconds", {torch.bfloat16: low, torch.float32: full}.get)
    monkeypatch.setattr(torch.ops.mkldnn, "_is_mkldnn_bf16_supported", lambda: there)
    assert devices.fast_bf16(torch.device("cpu")) is expected


def test_a_product_is_timed_once_by_its_quickest_of_some(monkeypatch):
    clock = itertools.chain.from_iterable((10 * i, 10 * i + gap) for i, gap in enumerate([5, 3, 2, 4, 5, 6, 7, 8]))
    monkeypatch.setattr(devices.time, "perf_counter", lambda: next(clock))
    devices.seconds.cache_clear()
    try:
        assert devices.seconds(torch.float32) == devices.seconds(torch.float32) == 2
    finally:
        devices.seconds.cache_clear()


def test_autocast(monkeypatch):
    monkeypatch.setattr(compute, "has_bf16", lambda device: True)
    for precision, dtype in (("bf16", torch.bfloat16), ("fp32", torch.float32), ("auto", torch.float32)):
        with on(precision=precision).autocast():
            assert nn.Linear(2, 2)(torch.ones(1, 2)).dtype is dtype


def tiny(a, b):
    return (a * b).sum(-1).tanh() + a[:, 0], a.mean()


def test_eager_is_the_function_itself(cpu):
    assert cpu.jit(tiny) is tiny


@pytest.mark.skipif(not (shutil.which("g++") or shutil.which("clang++")), reason="no C++ compiler")
@pytest.mark.filterwarnings("ignore")
def test_compiled_gives_the_same(tmp_path):
    compiled = on(jit="compile").jit(tiny)
    a, b = torch.rand(5, 3), torch.rand(5, 3)
    for mine, own in zip(compiled(a, b), tiny(a, b), strict=True):
        torch.testing.assert_close(mine, own)
    assert compiled is not tiny


@pytest.mark.skipif(not (shutil.which("g++") or shutil.which("clang++")), reason="no C++ compiler")
@pytest.mark.filterwarnings("ignore")
def test_a_step_that_is_compiled_is_the_step_itself():
    """Also one with a gradient that is cut, and one that is skipped."""
    def stepping(jit):
        compute, net = on(jit=jit), nn.Linear(2, 1)
        net.weight.data, net.bias.data = torch.tensor([[1.0, 2.0]]), torch.zeros(1)
        optimizer = torch.optim.Adam(net.parameters(), 0.1, fused=True)
        step = compute.jit(lambda x: compute.minimize(net(x).square().sum(), optimizer, 0.5))
        norms = [step(x).item() for x in (torch.ones(1, 2), torch.zeros(1, 2), torch.full((1, 2), float("nan")))]
        return norms[:2], net.weight.detach().clone(), compute.skipped.item()

    (norms, weight, skipped), (own, expected, once) = stepping("compile"), stepping("eager")
    assert norms == pytest.approx(own) and skipped == once == 1
    torch.testing.assert_close(weight, expected)


@pytest.mark.filterwarnings("ignore")
def test_what_cannot_be_compiled_runs_as_it_is_and_is_told(caplog):
    compute, net = on(jit="compile"), nn.Linear(2, 1)
    optimizer = torch.optim.SGD(net.parameters(), 0.1)

    def step(x):
        loss = net(x).square().sum()
        torch._dynamo.graph_break()
        return compute.minimize(loss, optimizer)

    before, compiled = net.weight.detach().clone(), compute.jit(step)
    compiled(torch.ones(1, 2)), compiled(torch.ones(1, 2))
    assert not torch.equal(net.weight, before) and compute.due is None
    assert len([each for each in caplog.messages if "step cannot be compiled, it runs eagerly: " in each]) == 1


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
@pytest.mark.filterwarnings("ignore")
def test_a_captured_graph_gives_the_same_and_keeps_old_outputs():
    graph = on("cuda", jit="graph").jit(tiny)
    inputs = [(torch.rand(5, 3, device="cuda"), torch.rand(5, 3, device="cuda")) for _ in range(5)]
    for (a, b), outputs in zip(inputs, [graph(*pair) for pair in inputs], strict=True):
        for mine, own in zip(outputs, tiny(a, b), strict=True):
            torch.testing.assert_close(mine, own)


@pytest.mark.parametrize("settings, text", [
    ({"jit": "graph"}, r"compute\.jit=graph needs a CUDA device, this run is on cpu; use eager or compile"),
    ({"device": "gpu"}, r"compute\.device=gpu is not a device; expected auto, cpu, cuda or cuda:N"),
    ({"device": "cuda:x"}, "is not a device"), ({"device": ""}, "is not a device"),
    ({"device": "cuda:-1"}, "is not a device"),
    ({"device": "mps"}, r"compute\.device=mps is not supported; expected auto, cpu, cuda or cuda:N"),
    ({"device": "meta"}, "is not supported"),
    ({"device": "cuda:99"}, r"compute\.device=cuda:99: this machine offers \d+ CUDA")])
def test_what_this_machine_cannot_do_is_refused(settings, text):
    with pytest.raises(UsageError, match=text):
        Compute(ComputeConfig(**{"device": "cpu", **settings}))


@NO_CUDA
def test_no_cuda_device():
    assert Compute(ComputeConfig()).device == torch.device("cpu")
    with pytest.raises(UsageError, match=r"compute\.device=cuda: .* offers 0 CUDA devices .* use compute\.device=cpu"):
        on("cuda")


@pytest.mark.parametrize("settings", [{"precision": "fp16"}, {"jit": "fast"}, {"threads": -1}, {"threads": 10**6}])
def test_settings_out_of_range(settings):
    with pytest.raises(UsageError, match=rf"compute\.{next(iter(settings))}"):
        ComputeConfig(**settings)


def test_what_the_bits_depend_on_is_recorded(cpu):
    cpu.settle(1)
    about = cpu.describe()
    assert about["device"] == "cpu" and about["precision"] == "fp32" and about["threads"] == 1
    assert about["jit"] == "eager"
    assert about["torch"] == torch.__version__ and about["cpu"]


def test_parameters_are_counted_once():
    class Two:
        def __init__(self):
            self.net = nn.Linear(2, 3)                            # 9
            self.same, self.head, self.other = self.net, nn.Sequential(self.net, nn.Linear(3, 1)), "net"      # 4 more

    assert count_parameters(Two()) == 13 and count_parameters(object.__new__(Two)) == 0


def test_the_parameters_of_a_target_or_an_average_are_not_counted():
    class Follows:
        def __init__(self):
            self.net = nn.Linear(2, 3)                            # 9
            self.target = copy.deepcopy(self.net).requires_grad_(False)

    assert count_parameters(Follows()) == 9
