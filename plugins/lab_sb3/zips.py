"""The .zip files of Stable-Baselines3: weights, and the plain values beside them. What is pickled in them is ignored.

Such a file holds JSON (`data`), in which objects are base64 texts of cloudpickle, never decoded here, and tensors
(`policy.pth`), read by torch's weights-only reader, which makes tensors and refuses to look up anything else.
"""

import io
import json
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from lab.errors import UsageError

LARGEST = 16 * 2**20              # bytes of JSON that are worth reading
MARKS = {"clip_range": "sb3_ppo", "cg_damping": "sb3_trpo", "gae_lambda": "sb3_a2c", "target_policy_noise": "sb3_td3",
         "top_quantiles_to_drop_per_net": "sb3_tqc", "n_quantiles": "sb3_qrdqn", "exploration_fraction": "sb3_dqn",
         "policy_delay": "sb3_crossq", "target_entropy": "sb3_sac"}   # the first that is there tells the algorithm
SHAPE = ("_shape", "n", "nvec")   # of a space; only of actions do the bounds matter too
Plain = Mapping[str, Any]


def read_data(path: Path) -> Plain:
    """The JSON of a .zip; what is pickled there stays text. Raises UsageError for what is none of these files."""
    try:
        data = json.loads(part(path, "data", LARGEST))
    except (ValueError, RecursionError) as error:
        raise UsageError(f"{path} is damaged: its data is no JSON ({error})") from None
    if not isinstance(data, dict):
        raise UsageError(f"{path} is damaged: its data is not a mapping")
    return data


def part(path: Path, name: str, largest: int) -> bytes:
    """One file of a .zip, at most `largest` bytes. Raises UsageError."""
    try:
        with zipfile.ZipFile(path) as file:
            size = file.getinfo(name).file_size
            if size > largest:
                raise UsageError(f"{path}: {name} has {size:,} bytes, at most {largest:,} were expected")
            return file.read(name)
    except KeyError:
        raise UsageError(f"{path} is no model of Stable-Baselines3: it holds no {name}") from None
    except (OSError, zipfile.BadZipFile, NotImplementedError, EOFError, RuntimeError) as error:
        raise UsageError(f"{path} cannot be read: {error}") from None


def agent_of(path: Path, data: Plain) -> str:
    """The agent whose algorithm made it. Raises UsageError for one that the lab does not have."""
    if found := next((agent for mark, agent in MARKS.items() if mark in data), None):
        return found
    raise UsageError(f"{path} is of no algorithm that the lab has. Known: {', '.join(sorted(MARKS.values()))}")


def fill(policy: Any, path: Path, data: Plain) -> None:
    """The weights of a .zip into the policy of a model. Raises UsageError where they are damaged or of other spaces."""
    here = {"policy_class": type(policy), "observation_space": policy.observation_space,
            "action_space": policy.action_space}
    for name, now in here.items():
        was = data.get(name)
        if differs := misfit(name, now, was if isinstance(was, dict) else {}):
            raise UsageError(f"{path} does not fit: {differs}")
    expected = policy.state_dict()
    weights = read_weights(path, sum(each.nbytes for each in expected.values()))
    if odd := sorted(weights.keys() ^ expected.keys()):
        raise UsageError(f"{path} is of another algorithm or network: {odd[0]} is in one of the two alone")
    for name, tensor in weights.items():
        if tensor.shape != expected[name].shape:
            raise UsageError(f"{path} is of another environment or network: {name} has the shape {list(tensor.shape)}, "
                             f"here {list(expected[name].shape)}")
        if tensor.is_floating_point() and not tensor.isfinite().all():
            raise UsageError(f"{path} is damaged: {name} is not finite")
    policy.load_state_dict(weights)


def misfit(part: str, here: Any, described: Plain) -> str:
    """What differs between an object and how a .zip describes the one that it had, or "". `part`: its name there."""
    names = {"policy_class": ("__module__",), "observation_space": SHAPE, "action_space": (*SHAPE, "low", "high")}[part]
    for name in (each for each in names if each in described and hasattr(here, each)):
        was, value = described[name], getattr(here, name)
        now = list(value) if isinstance(value, tuple) else value
        if str(was) != str(now):
            return f"its {part} has {name.strip('_')} {was!s:.100}, this one {now!s:.100}"
    return ""


def read_weights(path: Path, size: int) -> dict[str, Tensor]:
    """policy.pth, of about `size` bytes. Raises UsageError where it holds anything but tensors under names."""
    largest = 2 * size + 2**20
    body = part(path, "policy.pth", largest)
    try:
        with zipfile.ZipFile(io.BytesIO(body)) as file:
            if sum(each.file_size for each in file.infolist()) > largest:
                raise ValueError("its parts are larger than it")
        found = torch.load(io.BytesIO(body), map_location="cpu", weights_only=True)
    except Exception as error:        # of many kinds: a stranger wrote it
        text = " ".join(str(error).split())[:200]
        raise UsageError(f"{path}: policy.pth is damaged or holds more than weights ({type(error).__name__}: {text})"
                         ) from None
    if not (isinstance(found, dict) and all(isinstance(each, Tensor) for each in found.values())):
        raise UsageError(f"{path}: policy.pth holds something else than weights")
    return dict(found)
