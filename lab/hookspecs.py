"""The whole extension surface. A plugin is a light module that declares names; nothing here imports torch.

    from lab import Agent, hookimpl

    @hookimpl
    def lab_agents():
        return [Agent("noise", NoiseConfig, "lab_noise.noise:build", learns_from="env")]

Hooks are called once, at start-up, never inside the training loop.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

from pluggy import HookimplMarker, HookspecMarker

hookspec, hookimpl = HookspecMarker("lab"), HookimplMarker("lab")


@dataclass(frozen=True)
class Entry:
    """Something a user can choose by name. YAML refers to it by this name, never by an import path."""

    group: ClassVar[str]          # the Hydra group it belongs to
    name: str                     # the `name` in its YAML; its schema is /schema/<group>/<name>
    config: type                  # a dataclass with a field `name`: types, defaults, units
    build: str                    # "module:function", imported only when chosen
    packages: tuple[str, ...] = field(default=(), kw_only=True)      # distributions whose versions a run records


@dataclass(frozen=True)
class Agent(Entry):
    """build(config, world: lab.world.World) -> lab.contract.Experiment"""

    group: ClassVar[str] = "agent"
    learns_from: str = "env"      # "env" or "data"; the other one is refused where the agent makes nothing of it
    kinds: tuple[str, ...] = ("picture", "table", "sequence")     # of data, as in lab.data.dataset.About
    tuned: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    # ^ env id, env name or data name -> {"agent.batch_size": 64, "optimizer.lr": 1e-3, "budget.steps": 50_000};
    #   "default" for the others, and before them "digits+linear" for data or env digits with the model linear.
    #   They stand where the dataclasses' defaults would: YAML and the command line win.
    #   Those of model.* only where the chosen model takes all that it has of a row.
    small: tuple[str, ...] = ()   # overrides under which 70 updates cross every period: what `lab check` trains
    not_checked: Mapping[str, str] = field(default_factory=dict)    # check that cannot apply -> the reason


@dataclass(frozen=True)
class Model(Entry):
    """build(config, *arguments of its role) -> torch.nn.Module

    Role "net" maps [B, *shape] to [B, outputs]: build(config, shape, outputs). Where `outputs` is None it maps to the
    features [B, F] that stand before its last layer, for agents that put heads of their own there.
    Role "sequence" maps [B, T, F] and the lengths [B], or None where all have T, to [B, outputs]:
    build(config, (T, F), outputs), with features as above.
    Role "autoencoder" has an encoder and a decoder, which says P numbers of each in an example: build(config, shape, P)
    -> lab.nn.Coder.
    Role "rivals" has a generator and a critic: build(config, inputs, shape) -> lab.nn.Rivals.
    Role "denoiser" maps examples with noise to others of their shape: build(config, shape) -> lab.nn.Denoiser.
    Role "causal" and role "bidirectional" read up to T tokens, of V: build(config, V, T) -> lab.text.Reader; one that
    is causal says nothing of a token by those that follow it.
    Role "encoder_decoder" reads up to S tokens of V, and says up to T of W: build(config, (V, W), (S, T)) ->
    lab.text.EncoderDecoder.
    """

    group: ClassVar[str] = "model"
    role: str = "net"
    begins: str = ""              # "module:function" for model.init=FOLDER of another library:
    # ^ function(folder) -> lab.beginning.Foreign, or None where it is none of this model


@dataclass(frozen=True)
class Optimizer(Entry):
    """build(config, parameters, fused: bool) -> torch.optim.Optimizer"""

    group: ClassVar[str] = "optimizer"


@dataclass(frozen=True)
class Env(Entry):
    """build(config, render_mode: str | None) -> gymnasium.Env"""

    group: ClassVar[str] = "env"
    build_vector: str = ""        # "module:function" for vector.mode=native, where there is such an environment:
    # ^ build_vector(config, n: int) -> gymnasium.vector.VectorEnv of n copies


@dataclass(frozen=True)
class Dataset(Entry):
    """build(config) -> lab.data.dataset.Dataset, or lab.data.texts.Texts, as it is in the files; the lab splits and
    prepares it
    """

    group: ClassVar[str] = "data"


@dataclass(frozen=True)
class Sink(Entry):
    """build(config, folder: Path) -> lab.sinks.Sink

    A tracker beside TensorBoard, chosen by log.sinks=[NAME] or log.sinks=[{name: NAME, KEY: VALUE}].
    """

    group: ClassVar[str] = "sink"


@hookspec
def lab_agents() -> Iterable[Agent]:
    """Algorithms that learn."""
    raise NotImplementedError


@hookspec
def lab_models() -> Iterable[Model]:
    """Network architectures."""
    raise NotImplementedError


@hookspec
def lab_optimizers() -> Iterable[Optimizer]:
    """Optimizers, each with its learning-rate schedule."""
    raise NotImplementedError


@hookspec
def lab_envs() -> Iterable[Env]:
    """Makers of Gymnasium environments."""
    raise NotImplementedError


@hookspec
def lab_datasets() -> Iterable[Dataset]:
    """Datasets."""
    raise NotImplementedError


@hookspec
def lab_sinks() -> Iterable[Sink]:
    """Places where metrics go, beside TensorBoard."""
    raise NotImplementedError


@hookspec
def lab_conf() -> Path:
    """The folder with this plugin's Hydra groups, such as `agent/dqn.yaml`."""
    raise NotImplementedError
