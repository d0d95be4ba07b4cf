"""Makes registered Gymnasium environments; a missing family names the extra that brings it."""

import importlib
import os
from typing import Any

import gymnasium as gym
from gymnasium import error as gym_error

from .builtin import Gym
from .errors import UsageError, nearest

# what an id or an import error starts with -> (module that registers or implements the family, the extra)
FAMILIES = {
    "ALE/": ("ale_py", "atari"),
    "MinAtar/": ("minatar.gym", "minatar"),
}
MODULES = {"Box2D": "box2d", "box2d": "box2d", "swig": "box2d", "mujoco": "mujoco", "ale": "atari",
           "minatar": "minatar", "pygame": "classic-control"}


def build(cfg: Gym, render_mode: str | None = None) -> gym.Env[Any, Any]:
    """Raises UsageError for an id that is not registered and for a family that is not installed."""
    if ":" in cfg.id:
        raise UsageError(f"env.id={cfg.id} would import the module before the colon and run its code; a plugin "
                         "must offer it (lab_envs), or a package register it (entry point gymnasium.envs): no colon")
    register_family(cfg.id)
    if render_mode == "rgb_array" and not {"DISPLAY", "WAYLAND_DISPLAY"} & os.environ.keys():
        os.environ.setdefault("SDL_VIDEODRIVER", "dummy")     # pygame looks for a screen even where it needs none
    given: dict[str, Any] = {"render_mode": render_mode, "max_episode_steps": cfg.max_episode_steps}
    given = {name: value for name, value in given.items() if value is not None}      # not every environment takes both
    try:
        return gym.make(cfg.id, disable_env_checker=True, **given, **cfg.options)
    except (gym_error.NameNotFound, gym_error.NamespaceNotFound, gym_error.VersionNotFound) as error:
        raise UsageError(f"no environment is registered as {cfg.id!r}. {close(cfg.id)}") from error
    except (gym_error.DependencyNotInstalled, ModuleNotFoundError) as error:
        what = f"env.id={cfg.id} needs a package that is not installed ({one_line(error)}). {advice(error)}"
        raise UsageError(what) from error
    except (gym_error.Error, TypeError, ValueError, AssertionError) as error:
        raise UsageError(f"env.id={cfg.id} with options {cfg.options} cannot be made: {one_line(error)}") from error


def register_family(id: str) -> None:
    for start, (module, extra) in FAMILIES.items():
        if id.startswith(start) and id not in gym.registry:
            try:
                family = importlib.import_module(module)
            except ImportError:
                raise UsageError(f'env.id={id} needs the {extra} family: pip install "pluglab[{extra}]"') from None
            if hasattr(family, "register_envs"):          # others register when they are imported
                family.register_envs()


def advice(error: Exception) -> str:
    text = str(error)
    extras = [extra for word, extra in MODULES.items() if word in text]
    if extras and extras[0] == "classic-control":
        return 'It draws with pygame: pip install "gymnasium[classic-control]"'
    return f'pip install "pluglab[{extras[0]}]" brings it.' if extras else "Install it with pip."


def close(id: str) -> str:
    hint = nearest(id, gym.registry).partition("Known:")[0]
    return f"{hint}`python -c 'import gymnasium; gymnasium.pprint_registry()'` lists them."


def one_line(error: Exception) -> str:
    return " ".join(str(error).split())
