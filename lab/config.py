"""The types, defaults and units of everything that is not a plugin's own."""

from dataclasses import asdict, dataclass, field
from enum import Enum
from pathlib import Path
from typing import Any

from omegaconf import MISSING

from .errors import UsageError, one_of, within

GROUPS = ("agent", "env", "data", "model", "optimizer")


@dataclass
class ComputeConfig:
    device: str = "auto"          # auto, cpu, cuda, cuda:N
    precision: str = "auto"       # auto: bf16 where the hardware has it and the network is large; fp32; bf16
    threads: int = 0              # of torch; 0: one, or all cores for a large network
    jit: str = "eager"            # eager, compile, graph (CUDA graphs)

    def __post_init__(self) -> None:
        one_of("compute.precision", self.precision, ("auto", "fp32", "bf16"))
        one_of("compute.jit", self.jit, ("eager", "compile", "graph"))
        within("compute.threads", self.threads, 0, 1024)


@dataclass
class BudgetConfig:
    """The run ends at whichever is reached first; None: no such bound. All count what was done before a resume."""

    steps: int | None = None      # in the stream's own unit: environment steps, examples or tokens
    epochs: int | None = None     # passes over the training data
    updates: int | None = None    # calls of the learner's update
    minutes: float | None = None  # of training

    def __post_init__(self) -> None:
        for name, value in vars(self).items():
            if value is not None:
                within(f"budget.{name}", value, 1e-6 if name == "minutes" else 1, 10**15)


@dataclass
class LogConfig:
    every: int | None = None      # in the stream's unit; None: a hundredth of the budget
    sinks: list[Any] = field(default_factory=list)      # trackers beside TensorBoard: NAME, or {name: NAME, KEY: VALUE}
    histograms: bool = False      # of every parameter and its gradient, at each evaluation

    def __post_init__(self) -> None:
        within("log.every", self.every, 1, 10**15)


LEAST = 20                        # examples whose features are said to vary


@dataclass
class EvaluateConfig:
    every: int | None = None      # in the stream's unit; None: a tenth of the budget, or an epoch of data
    episodes: int = 10            # per evaluation, where there is an environment
    max_steps: int = 30_000       # of an episode, a longer one is cut; a game of Atari has 27,000 at most
    videos: int = 1               # episodes recorded as GIF at the end of the run
    samples: int = 5_000          # that a generative agent makes, to be measured against a split, at most; 0: none
    metric: str = ""              # of an evaluation, such as accuracy or return/mean: its best checkpoint is kept, ...
    patience: int | None = None   # ... and the run ends after so many evaluations without a better one; None: never

    def __post_init__(self) -> None:
        within("evaluate.every", self.every, 1, 10**15)
        within("evaluate.episodes", self.episodes, 1, 100_000)
        within("evaluate.max_steps", self.max_steps, 1, 10**9)
        within("evaluate.videos", self.videos, 0, 100)
        within("evaluate.samples", self.samples, 0, 100_000)
        if 0 < self.samples < LEAST:
            raise UsageError(f"evaluate.samples={self.samples} is too few to measure by; use at least {LEAST}, or "
                             "0 for none")
        within("evaluate.patience", self.patience, 1, 10**9)
        if self.patience and not self.metric:
            raise UsageError("evaluate.patience waits for a better evaluation: say by which with evaluate.metric, such "
                             "as evaluate.metric=accuracy")


@dataclass
class CheckpointConfig:
    every: int | None = None      # in the stream's unit; None: a tenth of the budget
    keep: int = 3                 # the newest

    def __post_init__(self) -> None:
        within("checkpoint.every", self.every, 1, 10**15)
        within("checkpoint.keep", self.keep, 1, 10_000)


@dataclass
class VectorConfig:
    """How the copies of an environment are stepped in training; evaluation and films step theirs one by one."""

    mode: str = "sync"            # sync: in turn; async: by worker processes; native: the library's own vector env
    workers: int = 0              # processes of async; 0: one per core of the machine. At most one per copy

    def __post_init__(self) -> None:
        one_of("vector.mode", self.mode, ("sync", "async", "native"))
        within("vector.workers", self.workers, 0, 4096)


@dataclass
class NormalizeConfig:
    """Running statistics of training, saved with it and frozen in evaluation (Engstrom et al. 2020, section 3)."""

    obs: bool = False             # observations to mean 0, deviation 1
    reward: bool = False          # rewards divided by the deviation of the discounted return; what is reported is not
    clip: float = 10.0            # both, to +- this many deviations
    discount: float | None = None     # of that return, per step; None: the agent's, or 0.99 where it has none

    def __post_init__(self) -> None:
        within("normalize.clip", self.clip, 1e-3, 1e6)
        within("normalize.discount", self.discount, 0, 1)


@dataclass
class OneLossConfig:
    """What agents of one network, one loss and one optimizer have."""

    name: str = ""
    batch_size: int = 128         # examples per optimizer step; 0: all of them
    accumulate: int = 1           # parts of a batch that go through the network one after the other
    max_grad_norm: float = 1e12   # the gradient is scaled down to this norm
    ema: float = 0.0              # decay per step of an average of the weights, which is then evaluated; 0: none

    def __post_init__(self) -> None:
        within("agent.batch_size", self.batch_size, 0, 10**9)
        within("agent.accumulate", self.accumulate, 1, self.batch_size or 10**9)
        within("agent.max_grad_norm", self.max_grad_norm, 1e-9, 1e12)
        within("agent.ema", self.ema, 0, 0.9999999)


@dataclass
class LabConfig:
    """The top level. The groups hold the dataclass that the plugin registered, or None."""

    agent: Any = MISSING
    env: Any = None
    data: Any = None
    model: Any = None
    optimizer: Any = None
    compute: ComputeConfig = field(default_factory=ComputeConfig)
    vector: VectorConfig = field(default_factory=VectorConfig)
    normalize: NormalizeConfig = field(default_factory=NormalizeConfig)
    seed: int = 0
    budget: BudgetConfig = field(default_factory=BudgetConfig)
    log: LogConfig = field(default_factory=LogConfig)
    evaluate: EvaluateConfig = field(default_factory=EvaluateConfig)
    checkpoint: CheckpointConfig = field(default_factory=CheckpointConfig)

    def __post_init__(self) -> None:
        within("seed", self.seed, 0, 2**63 - 1)


def world_name(cfg: LabConfig) -> str:
    """The environment's id, or the dataset's name and that of its file or folder."""
    if cfg.env is not None:
        return str(getattr(cfg.env, "id", None) or cfg.env.name)
    name, path = getattr(cfg.data, "name", "none"), getattr(cfg.data, "path", "")
    return f"{name}-{Path(path).stem}" if path else str(name)


def plain_of(cfg: LabConfig) -> dict[str, Any]:
    """The config as it is written to config.yaml: plain data alone."""
    plain: dict[str, Any] = simple(asdict(cfg))
    return plain


def simple(value: Any) -> Any:
    """Paths and enums, which OmegaConf knows and plain YAML does not, as the text that it reads them from."""
    if isinstance(value, dict):
        return {simple(key): simple(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [simple(item) for item in value]
    if isinstance(value, Enum):
        return value.name
    return str(value) if isinstance(value, Path) else value
