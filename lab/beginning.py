"""A network that begins as that of another run: model.init=RUN."""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

from torch import Tensor, nn

from . import argv
from .chosen import chosen
from .config import simple
from .data.config import TOKENIZER_FILES
from .errors import ResumeError, UsageError
from .host import host
from .low_rank import is_new, low_rank, merged
from .saved_config import TRAINING, read_config

if TYPE_CHECKING:
    from .data.tokenizer import Tokenizer

OWN = ("name", "init", "lora", "dropout")             # settings that are not taken from the other run
FREE = (*OWN, *TRAINING, "tie")                       # settings that may be others than there


@dataclass(frozen=True)
class Foreign:
    """A network in a folder of another library: the settings of the model that has it, and its weights as there."""

    settings: Mapping[str, Any]
    weights: Callable[[], Mapping[str, Tensor]]


def foreign(path: Path) -> tuple[str, Foreign] | None:
    """The name of a model that can begin with what is in a folder, and what that is."""
    for entry in host().entries.values():
        if getattr(entry, "begins", ""):
            found = host().load("model", entry.name, "begins")(path)
            if found is not None:
                return entry.name, found
    return None


def inherited(overrides: Sequence[str]) -> list[str]:
    """With the model and the tokens of the run that model.init names, where the command line says no others.

    Raises UsageError where there is no such run, nor a folder that some model can begin with.
    """
    given = {argv.key(each) for each in overrides}
    path = (argv.take(list(overrides), "model.init")[0] or "").strip("\"'")
    if not path or path == "null":
        return list(overrides)
    folder, more, model = Path(path).expanduser(), dict[str, Any](), argv.take(list(overrides), "model")[0]
    if model is None or model == model_of(folder):
        settings = settings_of(folder, path)
        own = {f"model.{key}": value for key, value in settings.items() if key not in OWN}
        more = {"model": settings["name"], **own}
    for key, file in zip(("tokenizer", "tokenizer_y"), TOKENIZER_FILES, strict=True):
        if (folder / file).exists():
            more[f"data.{key}"] = str(folder / file)
    if read_joint(folder) and "data.tokenizer_y" not in given:
        more["data.joint"] = True
    return [f"{key}={json.dumps(value)}" for key, value in more.items() if key not in given] + list(overrides)


def model_of(folder: Path) -> str:
    """The name of the model of a run, or of another library; "" where there is none that is known here."""
    try:
        return str(settings_of(folder, "")["name"])
    except UsageError:
        return ""


def read_joint(folder: Path) -> bool:
    """Whether it is a run of pairs with the same tokens on both sides."""
    try:
        data = read_config(folder).get("data")
    except ResumeError:
        return False
    return isinstance(data, dict) and data.get("joint") is True


def settings_of(folder: Path, path: str) -> dict[str, Any]:
    """Of the model of a run, or of one of another library. Raises UsageError where there is none."""
    if (folder / "config.json").exists() and (found := foreign(folder)):
        return {"name": found[0], **found[1].settings}
    try:
        model = read_config(folder).get("model")
        if not isinstance(model, dict) or model.get("name") not in host().names("model"):
            raise ResumeError("that run has no model that is known here")
        known = {each.name for each in fields(host().entry("model", model["name"]).config)}
        if odd := sorted(map(str, set(model) - known)):
            raise ResumeError(f"its model has no {odd[0]!r:.80}")
    except ResumeError as error:
        raise UsageError(f"model.init={path}: {error}") from None
    return model


def begun(net: nn.Module, cfg: Any, goes_on: bool, tokenizers: Sequence["Tokenizer"]) -> nn.Module:
    """`net` as the config of its model says: of one that goes on the weights come later."""
    path, rank = Path(getattr(cfg, "init", "")), getattr(cfg, "lora", 0)
    if getattr(cfg, "init", "") and not goes_on:
        if tokenizers and (path / TOKENIZER_FILES[0]).exists():
            same_tokens(path, tokenizers)
        same_settings(path, cfg)
        begin(net, path, cfg.name)
    if rank:
        low_rank(net, rank)
    return net


def same_settings(path: Path, cfg: Any) -> None:
    """Raises UsageError where the network there is another one, though of the same kind."""
    if model_of(path) != cfg.name:
        return
    here = simple(asdict(cfg))
    for key, value in settings_of(path, str(path)).items():
        if key not in FREE and here[key] != value:
            raise UsageError(f"model.init={path}: that run has model.{key}={value}, here it is {here[key]}; leave "
                             f"model.{key} out, and it is taken from there")


def same_tokens(path: Path, tokenizers: Sequence["Tokenizer"]) -> None:
    """Raises UsageError where the run has learned others."""
    from .data.vocabulary import saved  # brings in the library of tokenizers

    there = saved(path)
    if any(own.json != there[min(i, len(there) - 1)].json for i, own in enumerate(tokenizers)):
        raise UsageError(f"model.init={path}: that run has another vocabulary; leave out data.tokenizer, and it is "
                         "taken from there")


def begin(net: nn.Module, path: Path, model: str) -> None:
    """Give `net`, a `model`, the weights of the network of a run, but for a last layer of its own. Raises UsageError
    where they do not fit.
    """
    source, own = weights(path), {name: value for name, value in net.state_dict().items() if not is_new(name)}
    for name, value in own.items():
        found = source.get(name)
        if found is None:
            raise UsageError(f"model.init={path}: its network has no {name!r}, which model={model} has here; begin "
                             "with a run of such a model, and leave out the other model.*: they are taken from there")
        rows = len(value) if found.ndim and found.shape[1:] == value.shape[1:] and len(found) > len(value) else None
        if found[:rows].shape != value.shape:         # an agent may have had tokens of its own, behind the others
            hint = "leave out model.* and data.tokenizer, and they are taken from that run"
            if "places" in name and found.ndim == value.ndim and len(found) < len(value):
                hint = (f"it has learned {len(found):,} places of a text, here there are {len(value):,}: learn from "
                        "shorter texts (data.longest or data.block), or begin with a run whose model.positions are not "
                        "learned, such as rotary")
            raise UsageError(f"model.init={path}: its {name!r} is {list(found.shape)}, here it would be "
                             f"{list(value.shape)}; {hint}")
        value.copy_(found[:rows])


def weights(path: Path) -> Mapping[str, Tensor]:
    """Of the network of a run, or of its average, or of another library. Raises UsageError where there is none."""
    if (path / "config.json").exists() and (other := foreign(path)):
        return other[1].weights()
    try:
        learner: Any = chosen(path.expanduser())[2]["learner"]
        found = learner["average"]["net"] if learner.get("average") else learner["net"]
        return merged({name.removeprefix("reader."): value for name, value in found.items()})
    except (ResumeError, KeyError, TypeError, AttributeError) as error:
        raise UsageError(f"model.init={path}: there is no network to begin with ({error})") from None
