"""Makes registered Gymnasium environments; a missing family names the extra that brings it."""

import importlib
import inspect
import os
from collections.abc import Callable
from typing import Any, TypeVar, cast

import gymnasium as gym
from gymnasium import error as gym_error
from gymnasium.envs.registration import EnvSpec, load_env_creator
from gymnasium.vector import AutoresetMode, VectorEnv

from .builtin import Gym
from .cartpole_vector import CartPoleVector
from .errors import UsageError, closest, making, nearest

Made = TypeVar("Made")
CARTPOLE = "gymnasium.envs.classic_control.cartpole:CartPoleVectorEnv"      # begins new episodes a step late
# what an id starts with -> (module that registers or implements the family, the extra)
FAMILIES = {
    "ALE/": ("ale_py", "atari"),
    "MinAtar/": ("minatar.gym", "minatar"),
}
# a module that is missing -> the extra that brings it
MODULES = {"Box2D": "box2d", "mujoco": "mujoco", "ale_py": "atari", "minatar": "minatar", "pygame": "classic-control"}


def build(cfg: Gym, render_mode: str | None = None) -> gym.Env[Any, Any]:
    """Raises UsageError for an id that is not registered and for a family that is not installed."""
    known(cfg)
    if render_mode == "rgb_array" and not {"DISPLAY", "WAYLAND_DISPLAY"} & os.environ.keys():
        os.environ.setdefault("SDL_VIDEODRIVER", "dummy")     # pygame looks for a screen even where it needs none
    given: dict[str, Any] = {"render_mode": render_mode, "max_episode_steps": cfg.max_episode_steps}
    given = {name: value for name, value in given.items() if value is not None}      # not every environment takes both
    return made(cfg, lambda: gym.make(cfg.id, disable_env_checker=True, **given, **cfg.options))


def build_vector(cfg: Gym, n: int) -> VectorEnv[Any, Any, Any]:
    """The environment's own vector version. Raises UsageError where it has none."""
    known(cfg)
    spec = gym.registry.get(cfg.id)
    if spec is not None and spec.vector_entry_point is None:
        raise UsageError(f"{cfg.id} has no vector environment of its own, which vector.mode=native asks for; "
                         "use vector.mode=sync or async")
    if spec is not None and spec.vector_entry_point == CARTPOLE:
        limit = cfg.max_episode_steps or spec.max_episode_steps
        return made(cfg, lambda: CartPoleVector(**{**spec.kwargs, "num_envs": n, "max_episode_steps": limit,
                                                     **cfg.options}))
    limits = {} if cfg.max_episode_steps is None else {"max_episode_steps": cfg.max_episode_steps}
    mode = {} if spec is None else autoreset_option(spec)
    return made(cfg, lambda: gym.make_vec(cfg.id, n, "vector_entry_point", **{**mode, **limits, **cfg.options}))


def autoreset_option(spec: EnvSpec) -> dict[str, Any]:
    """New episodes in the same step, where that is a choice."""
    kind = load_env_creator(spec.vector_entry_point) if isinstance(spec.vector_entry_point, str) \
        else spec.vector_entry_point
    choice = "autoreset_mode" in inspect.signature(cast(Any, kind)).parameters
    return {"autoreset_mode": AutoresetMode.SAME_STEP} if choice else {}


def known(cfg: Gym) -> None:
    """Register the family that the id belongs to. Raises UsageError for an id that would import a module."""
    if ":" in cfg.id:
        raise UsageError(f"env.id={cfg.id} would import the module before the colon and run its code; a plugin "
                         "must offer it (lab_envs), or a package register it (entry point gymnasium.envs): no colon")
    register_family(cfg.id)


def made(cfg: Gym, make: Callable[[], Made]) -> Made:
    """What `make` returns. Raises UsageError for whatever is wrong with the id or its options."""
    with making(f"env.id={cfg.id} with options {cfg.options}"):
        try:
            return make()
        except (gym_error.NameNotFound, gym_error.NamespaceNotFound, gym_error.VersionNotFound) as error:
            raise UsageError(f"no environment is registered as {cfg.id!r}. {close(cfg.id)}") from error
        except (gym_error.DependencyNotInstalled, ModuleNotFoundError) as error:
            raise UsageError(f"env.id={cfg.id} needs a package that is not installed{advice(error)}") from error
        except TypeError as error:
            refuse_unknown(cfg)
            raise UsageError(f"env.id={cfg.id} with options {cfg.options} cannot be made: {one_line(error)}") from error


def refuse_unknown(cfg: Gym) -> None:
    """Raises UsageError for an option that the environment has no place for, where its signature says so."""
    spec = gym.registry.get(cfg.id)
    if spec is None or spec.entry_point is None:
        return
    kind: Any = load_env_creator(spec.entry_point) if isinstance(spec.entry_point, str) else spec.entry_point
    try:
        takes = inspect.signature(kind).parameters.values()
    except (TypeError, ValueError):
        return
    if any(each.kind is each.VAR_KEYWORD for each in takes):
        return
    names = {each.name for each in takes if each.kind in (each.POSITIONAL_OR_KEYWORD, each.KEYWORD_ONLY)}
    for name in cfg.options.keys() - names:
        raise UsageError(f"{cfg.id} has no option {name!r}. {closest(name, names - {'render_mode'})}")


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
    """Which one, and what to install. Gymnasium raises an error of its own while it handles that of the module."""
    missing = error if isinstance(error, ImportError) else error.__context__
    module = str(getattr(missing, "name", "")).partition(".")[0]
    extra = MODULES.get(module)
    if extra == "classic-control":
        return ', pygame, with which it draws: pip install "gymnasium[classic-control]"'
    return f', {module}: pip install "pluglab[{extra}]"' if extra else f" ({one_line(error)}). Install it with pip"


def close(id: str) -> str:
    hint = nearest(id, gym.registry).partition("Known:")[0]
    return f"{hint}`python -c 'import gymnasium; gymnasium.pprint_registry()'` lists them."


def one_line(error: Exception) -> str:
    return " ".join(str(error).split())
