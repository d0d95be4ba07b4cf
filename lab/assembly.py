"""From a config to everything that it names, built and fitting together."""

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from itertools import chain

import torch

from . import signals
from .best import unknown
from .budget import Budget
from .compute import Compute
from .config import LabConfig
from .contract import Evaluator, Experiment, Stream
from .data.loaded import Data
from .devices import keep_memory
from .errors import LabError, UsageError
from .host import host
from .modules import count_parameters, modules
from .normalize import Normalizer
from .state import seed_globals
from .video import Video
from .world import Exhibition, World

EPOCH = 1_000                     # examples that are taken for one where a stream has no epochs


@dataclass
class Assembled:
    cfg: LabConfig
    compute: Compute
    experiment: Experiment
    normalizer: Normalizer | None = None      # of observations and rewards in training
    data: Data | None = None                  # what is learned from, where it is a dataset


def assemble(cfg: LabConfig, initial: int | None = None,
             kind: Callable[[LabConfig, Compute], World] = World) -> Assembled:
    """Build everything that the config names. `initial` seeds the first weights; a test may want others than the run's.

    Raises UsageError for what does not fit together, BuildError where a plugin fails, and signals.Stop where Python
    has dropped an interrupt.
    """
    seed_globals(cfg.seed if initial is None else initial)
    compute = Compute(cfg.compute, cfg.seed)
    world = kind(cfg, compute)
    experiment = built(cfg, world)
    budget = budget_of(cfg, experiment)
    settle_periods(cfg, budget.steps, experiment.stream.epoch_length)
    settle_decay(cfg, budget, experiment.stream)
    for sink in cfg.log.sinks:
        host().load("sink", sink.name)
    compute.settle(count_parameters(experiment.learner), experiment.operations)
    keep_memory()
    data: Data | None = vars(world).get("data")
    if world.run is None:                             # what goes on can have no other world
        of_another(cfg, world, experiment)
    unused(cfg, world)
    evaluators, closing, policy = dict(experiment.evaluators), dict(experiment.closing), experiment.policy
    if policy is not None:
        evaluators, policy = {"return": world.returns(policy), **evaluators}, world.seen(policy)
        films = cfg.evaluate.videos
        if films:
            closing["video"] = Video(world.make_env, policy, films, compute, cfg.evaluate.max_steps)
    if cfg.evaluate.metric and not isinstance(world, Exhibition):
        chosen_by(cfg.evaluate.metric, data, evaluators)
    if cfg.log.histograms:
        evaluators["parameters"] = lambda: parameters(experiment.learner)
    experiment = replace(experiment, evaluators=evaluators, closing=closing, policy=policy)
    signals.check()
    return Assembled(cfg, compute, experiment, world.normalizer, data)


def of_another(cfg: LabConfig, world: World, experiment: Experiment) -> None:
    """Raises UsageError for an environment, a dataset, a model or an optimizer that the agent does not use."""
    source = getattr(host().entry("agent", cfg.agent.name), "learns_from", "env")
    if cfg.env is not None and source == "data" and "env" not in world.used and experiment.policy is None:
        raise UsageError(f"env={cfg.env.name}: {cfg.agent.name} learns from data and plays no episodes; leave env out, "
                         "or use an agent that does, such as +agent=dqn")
    if cfg.data is not None and source == "env" and "data" not in vars(world):
        raise UsageError(f"data={cfg.data.name}: {cfg.agent.name} learns from an environment and reads no data; leave "
                         "data out, or use an agent that does, such as +agent=classifier")
    for group in ("model", "optimizer"):
        if (name := getattr(getattr(cfg, group), "name", "none")) != "none" and group not in world.used:
            raise UsageError(f"{group}={name}: {cfg.agent.name} has no {group} to choose; leave it out")


def unused(cfg: LabConfig, world: World) -> None:
    """Raises UsageError for what was asked of environments that the agent does not use."""
    asked = [f"vector.mode={cfg.vector.mode}"] if cfg.vector.mode != "sync" else []
    asked += [f"normalize.{name}=true" for name in ("obs", "reward") if getattr(cfg.normalize, name)]
    if asked and "envs" not in world.used:
        hint = "agent.fast_path=never makes it" if hasattr(cfg.agent, "fast_path") else "leave it out"
        raise UsageError(f"{' and '.join(asked)}: {cfg.agent.name} does not train on the lab's copies of an "
                         f"environment here; {hint}")


def chosen_by(metric: str, data: Data | None, evaluators: Mapping[str, Evaluator]) -> None:
    """Raises UsageError where the split that chooses a checkpoint would be the one by which it is judged, or where no
    evaluation has the metric: if all evaluators tell the `names()` of theirs.
    """
    if data is not None and data.judged != "valid":
        raise UsageError(f"evaluate.metric={metric}: there is no validation split, and the {data.judged} split may not "
                         "choose the checkpoint. Set data.valid above 0, with examples enough for it")
    told = [getattr(each, "names", None) for each in evaluators.values()]
    names = list(chain.from_iterable(each() for each in told if each))
    if names and None not in told and metric.removeprefix("eval/") not in names:
        raise UsageError(unknown(metric, names))


def rehearse(configs: Iterable[LabConfig]) -> None:
    """Assemble each, those that differ in the seed alone once. Raises UsageError for what does not fit together."""
    for cfg in {repr(replace(cfg, seed=0)): cfg for cfg in configs}.values():
        assemble(cfg).experiment.stream.close()


class BuildError(LabError):
    """A plugin's own mistake."""


def built(cfg: LabConfig, world: World) -> Experiment:
    """Raises UsageError for what does not fit, BuildError where the plugin fails."""
    name, build = cfg.agent.name, host().load("agent", cfg.agent.name)
    try:
        experiment = build(cfg.agent, world)
    except LabError:
        raise
    except (Exception, SystemExit) as error:
        raise BuildError(f"the agent {name} could not be built: {type(error).__name__}: {error}. "
                         "LAB_DEBUG=1 shows the traceback") from error
    if not isinstance(experiment, Experiment):
        raise BuildError(f"the build of the agent {name} returned {experiment!r:.80}, not a lab.contract.Experiment")
    return experiment


def parameters(learner: object) -> dict[str, torch.Tensor | float]:
    """Every parameter and its gradient in the last update, after any clipping, to be shown as histograms; and the norm
    of that gradient, which shows from layer to layer whether gradients vanish or explode.
    """
    found = dict[str, torch.Tensor | float]()
    for path, net in modules(learner).items():
        for key, p in net.named_parameters():
            name = f"{path}.{key}"
            found[f"weights/{name}"] = p
            if p.grad is not None:
                found |= {f"gradients/{name}": p.grad, f"gradient_norm/{name}": p.grad.norm().item()}
    return found


def settle_periods(cfg: LabConfig, steps: float, epoch: int | None) -> None:
    """Fill those that were left to the lab: evaluated after every epoch, but 50 times at most."""
    epoch = epoch or EPOCH
    total = int(steps) if steps != float("inf") else 100 * epoch
    cfg.log.every = cfg.log.every or max(total // 100, 1)
    cfg.evaluate.every = cfg.evaluate.every or max(math.ceil(total / 50 / epoch), 1) * epoch
    cfg.checkpoint.every = cfg.checkpoint.every or max(total // 10, 1)


def settle_decay(cfg: LabConfig, budget: Budget, stream: Stream) -> None:
    """Spread a schedule that says no `decay` over the run. Raises UsageError where nobody knows its updates."""
    if cfg.optimizer is None or cfg.optimizer.schedule == "constant" or cfg.optimizer.decay:
        return
    per_count = (stream.epoch_updates or 0) / (stream.epoch_length or 1)
    updates = min(budget.updates, budget.steps * per_count if per_count else float("inf"))
    if updates == float("inf"):
        raise UsageError(f"optimizer.decay is 0, so that optimizer.schedule={cfg.optimizer.schedule} goes over the "
                         "whole run, and this budget does not say how many steps it has; give optimizer.decay")
    cfg.optimizer.decay = max(math.ceil(updates), 1)


def budget_of(cfg: LabConfig, experiment: Experiment) -> Budget:
    """Raises UsageError for epochs where the stream has none."""
    budget, length, inf = cfg.budget, experiment.stream.epoch_length, float("inf")
    if budget.epochs and not length:
        raise UsageError("budget.epochs needs a dataset; an environment has no epochs. Use budget.steps")
    epochs = budget.epochs * length if budget.epochs and length else inf
    return Budget(min(budget.steps or inf, epochs), budget.updates or inf, (budget.minutes or inf) * 60)
