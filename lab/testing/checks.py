"""The checks themselves. Each raises AssertionError with what it saw."""

import re
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any
from unittest.mock import patch

import torch

from .. import checkpoint, compute, plain
from ..budget import Budget
from ..contract import Learner
from ..host import host
from ..runner import Runner
from ..state import frozen_rng
from .making import Log, Make, first_difference, killed, next_batch, runner, undisturbed

Check = Callable[[Make, Path], None]
NAME = re.compile(r"[a-z0-9_]+(/[A-Za-z0-9_.@-]+)+")
SECONDS = 2.0                     # of processor time to build from defaults
KILLS = (57, 98)                  # updates; a log window has 20


def flat(state: Mapping[str, Any]) -> tuple[Any, dict[str, torch.Tensor]]:
    tensors: dict[str, torch.Tensor] = {}
    return plain.flatten(dict(state), "", tensors), tensors


def differences(a: Mapping[str, Any], b: Mapping[str, Any]) -> list[str]:
    """Where two states differ; empty where they are the same to the bit."""
    (tree_a, tensors_a), (tree_b, tensors_b) = flat(a), flat(b)
    if tensors_a.keys() != tensors_b.keys():
        return sorted(tensors_a.keys() ^ tensors_b.keys())
    other = [name for name, t in tensors_a.items() if not same_bits(t, tensors_b[name])]
    return other or ([] if tree_a == tree_b else ["numbers or strings"])


def same_bits(a: torch.Tensor, b: torch.Tensor) -> bool:
    """Not a number is itself here, and -0 is not 0."""
    return (a.dtype, a.shape) == (b.dtype, b.shape) and torch.equal(*(t[..., None].view(torch.uint8) for t in (a, b)))


def builds_from_defaults(make: Make, folder: Path) -> None:
    """In 2 s of processor time, torch imported."""
    make()
    before = time.process_time()
    made = make()
    seconds = time.process_time() - before
    assert seconds < SECONDS, f"building took {seconds:.1f} s of processor time, at most {SECONDS} are allowed"
    assert isinstance(made.experiment.learner, Learner), "the learner must be a lab.contract.Learner"


def metrics_are_well_formed(make: Make, folder: Path) -> None:
    """0-d, finite, named group/name, the same names at every update."""
    made = make()
    learner, stream = made.experiment.learner, made.experiment.stream
    seen = [learner.update(next_batch(stream)) for _ in range(5)]
    assert seen[0], "an update returns at least one metric"
    for metrics in seen:
        assert list(metrics) == list(seen[0]), f"names changed from {list(seen[0])} to {list(metrics)}"
        for name, value in metrics.items():
            assert NAME.fullmatch(name), f"{name!r} is not of the form group/name"
            assert isinstance(value, torch.Tensor) and value.ndim == 0, f"{name} must be a 0-d tensor, is {value!r}"
            assert value.isfinite(), f"{name} is {value}"


def batches_are_well_formed(make: Make, folder: Path) -> None:
    """Tensors on the compute device with a common leading axis; the count grows."""
    made = make()
    stream, before = made.experiment.stream, made.experiment.stream.count
    batch = next_batch(stream)
    assert stream.count > before, "count must grow with every batch"
    sizes = {name: value.shape[:1] for name, value in batch.items()}
    assert len(set(sizes.values())) <= 1, f"leading axes differ: {sizes}"
    assert all(value.device.type == made.compute.device.type for value in batch.values()), "not on the compute device"


def an_update_changes_the_learner(make: Make, folder: Path) -> None:
    """A number with a fraction, that is: generators move whatever is learned."""
    made = make()
    learner, stream = made.experiment.learner, made.experiment.stream
    for _ in range(70):
        batch = next_batch(stream)
        before = flat(learner.state_dict())[1]
        learner.update(batch)
        after = flat(learner.state_dict())[1]
        if any(t.is_floating_point() and not torch.equal(t, after[name]) for name, t in before.items()):
            return
    raise AssertionError("70 updates changed no weight that is saved")


def same_seed_same_run(make: Make, folder: Path) -> None:
    runs = []
    for name in "ab":
        at, log = runner(make(), folder / name)
        at.run(Budget(updates=45))
        runs.append((at.learner.state_dict(), log))
    (a, log_a), (b, log_b) = runs
    assert not differences(a, b), f"two runs with one seed differ in {differences(a, b)[:5]}"
    assert log_a == log_b, f"two runs with one seed logged differently: {first_difference(log_a, log_b)}"


def another_seed_another_run(make: Make, folder: Path) -> None:
    a, _ = runner(make(), folder / "a")
    b, _ = runner(make("seed=2"), folder / "b")
    a.run(Budget(updates=45))
    b.run(Budget(updates=45))
    assert differences(a.learner.state_dict(), b.learner.state_dict()), "the seed changes nothing"


def evaluation_is_neutral(make: Make, folder: Path) -> None:
    """Evaluated at every chance, with an evaluator that draws from the global generator, or never."""
    often, _ = runner(make(), folder / "often", evaluate=3)
    often.evaluators = {**often.evaluators, "noise": lambda: {"noise": float(torch.rand(()))}}
    often.run(Budget(updates=45))
    never, _ = runner(make(), folder / "never")
    never.evaluators = {}
    never.run(Budget(updates=45))
    found = differences(often.learner.state_dict(), never.learner.state_dict())
    found += differences(often.stream.state_dict(), never.stream.state_dict())
    assert not found, f"evaluation changed {found[:5]}"


def resume_is_exact(make: Make, folder: Path) -> None:
    """Killed late inside a log window and resumed by a run that began with other weights; twice."""
    whole = undisturbed(make, folder / "whole")
    for kill in KILLS:
        dead = folder / f"killed-{kill}"
        goes_on(kill, killed(kill, make, dead), whole, make, dead)


def goes_on(kill: int, log: Log, whole: tuple[Runner, Log], make: Make, folder: Path) -> None:
    """What was killed and is resumed in its folder ends as the whole run, to the bit and to the line of the log."""
    resumed, more = runner(make(initial=999), folder, evaluate=25)
    resumed.load(checkpoint.newest(folder, print)[1])
    assert resumed.updates == kill
    resumed.run(Budget(updates=130))
    for part in ("learner", "stream", "meter"):
        found = differences(getattr(whole[0], part).state_dict(), getattr(resumed, part).state_dict())
        assert not found, f"killed at update {kill} and resumed, the {part} differs in {found[:5]}"
    assert whole[1] == log + more, f"another log: {first_difference(whole[1], log + more)}"


def overfits_one_batch(make: Make, folder: Path) -> None:
    """When one batch is repeated the loss falls by more than half of what it was."""
    made = make()
    learner, batch, losses = made.experiment.learner, next_batch(made.experiment.stream), []
    for _ in range(400):
        found = [value for name, value in learner.update(batch).items() if name.startswith("loss/")]
        assert found, "an update returns no metric loss/...; declare in not_checked why there is none"
        losses.append(float(found[0]))
        if losses[-1] < losses[0] - 0.5 * abs(losses[0]):
            return
    raise AssertionError(f"one batch, 400 times: the loss went from {losses[0]:.4g} to {min(losses):.4g}")


def bf16_is_finite(make: Make, folder: Path) -> None:
    """Where the processor has no bfloat16 arithmetic torch computes it too, slowly, for which a run refuses it."""
    with patch.object(compute, "has_bf16", return_value=True):
        at, log = runner(make("compute.precision=bf16"), folder)
    at.run(Budget(updates=45))
    assert log, "nothing was logged"
    for name, tensor in flat(at.learner.state_dict())[1].items():
        assert not tensor.is_floating_point() or tensor.isfinite().all(), f"{name} is not finite under bfloat16"


def saved_before_any_update(make: Make, folder: Path) -> None:
    """A run killed before its first update resumes too."""
    at, _ = runner(make(), folder)
    at.save()
    again, _ = runner(make(initial=999), folder)
    again.load(checkpoint.newest(folder, print)[1])
    for each in (at, again):
        with frozen_rng():
            each.run(Budget(updates=10))
    found = differences(at.learner.state_dict(), again.learner.state_dict())
    assert not found, f"saved before the first update and resumed, the learner differs in {found[:5]}"


CHECKS: tuple[Check, ...] = (
    builds_from_defaults, metrics_are_well_formed, batches_are_well_formed, an_update_changes_the_learner,
    same_seed_same_run, another_seed_another_run, evaluation_is_neutral, resume_is_exact, saved_before_any_update,
    overfits_one_batch, bf16_is_finite)


def applicable(agent: str) -> list[tuple[Check, str | None]]:
    """Every check with None, or the agent's own reason why it cannot apply."""
    reasons = getattr(host().entry("agent", agent), "not_checked", {})
    return [(check, reasons.get(check.__name__)) for check in CHECKS]
