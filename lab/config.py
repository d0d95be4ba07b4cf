"""Joins plugins to Hydra: where YAML is found, which dataclass types each part, and the checks before anything runs."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from typing import Any

from hydra import compose, initialize_config_dir
from hydra.core.config_search_path import ConfigSearchPath
from hydra.core.config_store import ConfigStore
from hydra.core.global_hydra import GlobalHydra
from hydra.core.plugins import Plugins
from hydra.errors import HydraException, MissingConfigException
from hydra.plugins.search_path_plugin import SearchPathPlugin
from omegaconf import MISSING, DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from . import argv
from .errors import UsageError, nearest, within
from .host import core_folder, host

GROUPS = ("agent", "env", "data", "model", "optimizer")
HYDRA = "1.3"                     # the version of Hydra's behaviour that the lab asks for


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
    sinks: list[str] = field(default_factory=list)      # trackers beside TensorBoard, by the names plugins gave them
    histograms: bool = False      # of every parameter, at each evaluation

    def __post_init__(self) -> None:
        within("log.every", self.every, 1, 10**15)


@dataclass
class EvaluateConfig:
    every: int | None = None      # in the stream's unit; None: a tenth of the budget
    episodes: int = 10            # per evaluation, where there is an environment
    max_steps: int = 10_000       # of an episode in an environment without a time limit of its own
    videos: int = 1               # episodes recorded as GIF at the end of the run

    def __post_init__(self) -> None:
        within("evaluate.every", self.every, 1, 10**15)
        within("evaluate.episodes", self.episodes, 1, 100_000)
        within("evaluate.max_steps", self.max_steps, 1, 10**9)
        within("evaluate.videos", self.videos, 0, 100)


@dataclass
class CheckpointConfig:
    every: int | None = None      # in the stream's unit; None: a tenth of the budget
    keep: int = 3                 # the newest

    def __post_init__(self) -> None:
        within("checkpoint.every", self.every, 1, 10**15)
        within("checkpoint.keep", self.keep, 1, 10_000)


@dataclass
class LabConfig:
    """The top level. The groups hold the dataclass that the plugin registered, or None."""

    agent: Any = MISSING
    env: Any = None
    data: Any = None
    model: Any = None
    optimizer: Any = None
    compute: ComputeConfig = field(default_factory=ComputeConfig)
    seed: int = 0
    budget: BudgetConfig = field(default_factory=BudgetConfig)
    log: LogConfig = field(default_factory=LogConfig)
    evaluate: EvaluateConfig = field(default_factory=EvaluateConfig)
    checkpoint: CheckpointConfig = field(default_factory=CheckpointConfig)

    def __post_init__(self) -> None:
        within("seed", self.seed, 0, 2**63 - 1)


def one_of(name: str, value: str, known: Sequence[str]) -> None:
    if value not in known:
        raise UsageError(f"{name}={value} is not known. {nearest(value, known)}")


class LabSearchPath(SearchPathPlugin):
    def manipulate_search_path(self, search_path: ConfigSearchPath) -> None:
        for name, folder in host().folders.items():
            search_path.append(provider=f"lab:{name}", path=f"file://{folder}")


def install() -> None:
    """Tell this process's Hydra about the plugins; other Hydra programs in the environment notice nothing."""
    Plugins.instance().register(LabSearchPath)
    store = ConfigStore.instance()
    store.store(name="lab_schema", node=LabConfig, provider="lab")
    for (group, name), entry in host().entries.items():
        node = OmegaConf.structured(entry.config)
        rows = getattr(entry, "tuned", {}).values()
        for key in {key for row in rows for key in row if key.startswith("agent.")}:
            node[key.removeprefix("agent.")] = f"${{tuned:{key}}}"
        store.store(group=f"schema/{group}", name=name, node=node, provider=f"lab:{host().provider[group, name]}")
    OmegaConf.register_new_resolver("tuned", tuned, replace=True)


def tuned(key: str, default: Any = None, *, _root_: DictConfig) -> Any:
    """`${tuned:optimizer.lr,1e-3}`: what the chosen agent says for the chosen env or data, else its default."""
    agent = OmegaConf.select(_root_, "agent.name")
    entry = host().entries.get(("agent", agent))
    if key == "budget.steps" and any(OmegaConf.select(_root_, f"budget.{other}") for other in ("epochs", "updates", "minutes")):
        return None
    table: Mapping[str, Mapping[str, Any]] = getattr(entry, "tuned", {})
    world = OmegaConf.select(_root_, "env.id") or OmegaConf.select(_root_, "env.name") or OmegaConf.select(_root_, "data.name")
    for row in (table.get(str(world), {}), table.get("default", {})):
        if key in row:
            return row[key]
    if entry is not None and key.startswith("agent."):
        return getattr(OmegaConf.structured(entry.config), key.removeprefix("agent."))
    return default


def composed(overrides: Sequence[str]) -> LabConfig:
    """What a command line says, typed and checked. Raises UsageError."""
    install()
    GlobalHydra.instance().clear()
    try:
        with initialize_config_dir(str(core_folder()), version_base=HYDRA, job_name="lab"):
            plain = OmegaConf.to_container(compose("config", list(overrides)), resolve=True)
    except MissingConfigException as error:
        raise UsageError(missing(error)) from None
    except (HydraException, OmegaConfBaseException) as error:
        raise UsageError(explain(error, overrides)) from None
    return typed(plain)


def missing(error: MissingConfigException) -> str:
    """An unknown choice, with the nearest right one."""
    group, _, name = str(error.missing_cfg_file).rpartition("/")
    known = [option for option in error.options or [] if option != "none"]
    if not group or not known:
        return " ".join(str(error).split())
    left_out = "".join(f" The plugin {plugin!r} was left out: {why}." for plugin, why in host().left_out.items())
    return f"no {group} is called {name!r}. {nearest(name, known)}{left_out}"


def explain(error: Exception, overrides: Sequence[str]) -> str:
    """Hydra's and OmegaConf's errors in one line, with the nearest right key where a key is wrong."""
    cause = error.__cause__ if isinstance(error.__cause__, OmegaConfBaseException) else error
    key = str(getattr(cause, "full_key", "") or "")
    text = " ".join(str(cause).split("\n")[0].split())
    if not key or ("not in" not in text and "not exist" not in text):
        return f"{key + ': ' if key else ''}{text}"
    parent, _, name = key.rpartition(".")
    rest = [each for each in overrides if not f"{argv.key(each)}.".startswith(f"{key}.")]
    try:
        node = composed(rest)
        known = vars(node if not parent else getattr(node, parent))
    except (UsageError, AttributeError, TypeError):
        return f"unknown key {key!r}: {text}"
    return f"unknown key {key!r}. {nearest(name, known)}"


def typed(plain: Any) -> LabConfig:
    """Plain resolved data, from a command line or from a run folder, as dataclasses. Raises UsageError."""
    if not isinstance(plain, dict):
        raise UsageError("the config is not a mapping")
    known = [each.name for each in fields(LabConfig)]
    for key in plain:
        if key not in known:
            raise UsageError(f"unknown key {key!r}. {nearest(str(key), known)}")
    nodes = {group: node_of(group, plain.get(group)) for group in GROUPS}
    if nodes["agent"] is None:
        raise UsageError(f"no agent chosen; add +agent=NAME. {nearest('', host().names('agent'))}")
    try:
        rest = {key: value for key, value in plain.items() if key not in GROUPS}
        cfg: Any = OmegaConf.to_object(OmegaConf.merge(OmegaConf.structured(LabConfig(agent=None)), rest))
    except OmegaConfBaseException as error:
        raise UsageError(explain(error, ())) from None
    for group, node in nodes.items():
        setattr(cfg, group, node)
    return settled(cfg)


def node_of(group: str, plain: Any) -> Any:
    """One group's dataclass, made by the type that a plugin registered under its name."""
    if not plain or plain == MISSING:
        return None
    name = plain.get("name") if isinstance(plain, dict) else None
    if not isinstance(name, str):
        raise UsageError(f"{group} has no name: expected a choice of {host().names(group)}, came {plain!r}")
    schema = OmegaConf.structured(host().entry(group, name).config)
    try:
        return OmegaConf.to_object(OmegaConf.merge(schema, plain))
    except OmegaConfBaseException as error:
        key, text = str(getattr(error, "full_key", "") or ""), str(error).split("\n")[0]
        if key and key not in schema:
            raise UsageError(f"unknown key {group}.{key}. {nearest(key, [str(each) for each in schema])}") from None
        raise UsageError(f"{group}.{key}: {text}") from None


def settled(cfg: LabConfig) -> LabConfig:
    """Fill the periods that were left to the lab: absolute numbers from here on, so that a resume keeps them."""
    if not any(vars(cfg.budget).values()):
        raise UsageError("no budget: say how long to train with budget.steps=, .epochs=, .updates= or .minutes=")
    base = cfg.budget.steps or host_budget(cfg) or 100_000
    cfg.log.every = cfg.log.every or max(base // 100, 1)
    cfg.evaluate.every = cfg.evaluate.every or max(base // 10, 1)
    cfg.checkpoint.every = cfg.checkpoint.every or max(base // 10, 1)
    return cfg


def host_budget(cfg: LabConfig) -> int | None:
    """The steps that the agent would take by itself: the measure of the periods when the budget is in other units."""
    table = getattr(host().entries["agent", cfg.agent.name], "tuned", {})
    row = {**table.get("default", {}), **table.get(world_name(cfg), {})}
    return row.get("budget.steps")


def world_name(cfg: LabConfig) -> str:
    """The environment's id, or the dataset's name."""
    chosen = cfg.env or cfg.data
    return str(getattr(chosen, "id", None) or getattr(chosen, "name", "none"))


def plain_of(cfg: LabConfig) -> dict[str, Any]:
    """The config as it is written to config.yaml."""
    return asdict(cfg)
