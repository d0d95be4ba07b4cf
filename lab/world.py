"""What there is to learn from and with: handed to every agent's `build`. Asking for what was not chosen says how."""

from collections.abc import Callable, Iterable
from functools import cached_property
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
import torch
from gymnasium import Space
from gymnasium.vector import VectorEnv
from torch import Tensor, nn
from torch.optim import Optimizer

from .asynchronous import AsyncEnvs
from .beginning import begun
from .compute import Compute
from .config import LabConfig
from .contract import Policy, acting
from .data.loaded import Data
from .data.source import opened
from .devices import room
from .env_state import Tier, probe
from .env_walk import sampler
from .envs import Envs, standard
from .errors import EnvError, UsageError, making
from .evaluate import EpisodeReturn
from .host import host
from .native import NativeEnvs
from .nn import reading
from .normalize import Normalizer, normalizer
from .optimizers import overridable
from .roles import fitting
from .schedules import scheduled
from .spaces import COUNTED, about
from .state import frozen_rng
from .worker import FromConfig


class World:
    def __init__(self, cfg: LabConfig, compute: Compute, run: Path | None = None):
        self.cfg, self.compute, self.run = cfg, compute, run                # the folder of what goes on
        self.used = set[str]()                            # env, envs that train, model, optimizer
        self.normalizer: Normalizer | None = None         # of the environments that train

    def make_env(self, render_mode: str | None = None) -> gym.Env[Any, Any]:
        """One environment, its observations joined to one array or number.

        Raises UsageError where none was chosen, and where it cannot be made.
        """
        if self.cfg.env is None:
            raise UsageError(f"{self.cfg.agent.name} learns from an environment: add env=NAME, such as env=CartPole")
        self.used.add("env")
        with making(f"env={self.cfg.env.name}"):
            return standard(host().load("env", self.cfg.env.name)(self.cfg.env, render_mode))

    def envs(self, n: int, name: str = "train") -> Envs:
        """`n` copies for training, stepped as vector.mode says, their state saved as exactly as they allow.

        Raises UsageError where the environment cannot be stepped or normalised as the config asks.
        """
        envs = self.copies(n, name)
        if self.cfg.normalize.obs or self.cfg.normalize.reward:
            envs.normalizer = self.normalizer = normalizer(self.cfg, envs)
        self.used.add("envs")
        return envs

    def copies(self, n: int, name: str) -> Envs:
        if self.cfg.vector.mode == "native":
            (env := self.make_env()).close()
            return NativeEnvs(self.make_vector, n, self.compute, about(env), name)
        self.tried()
        if self.cfg.vector.mode == "async":
            (env := self.make_env()).close()
            make = FromConfig(self.cfg.env, gym.registry.get(str(getattr(self.cfg.env, "id", ""))))
            return AsyncEnvs(make, n, self.compute, about(env), self.tier, self.cfg.vector.workers)
        return Envs(self.make_env, n, self.compute, name, self.tier)

    def tried(self) -> None:
        """Raises UsageError where the reset or the first step of one is not what its spaces promise."""
        with frozen_rng():
            try:
                envs = Envs(self.make_env, 1, self.compute, "try")
            except EnvError as error:
                raise UsageError(str(error)) from error
            act, start = sampler(envs.envs[0]), getattr(envs.action_space, "start", 0)
            try:
                if isinstance(envs.action_space, COUNTED):      # others are for the agent to take or to refuse
                    envs.collect(lambda obs, count: torch.as_tensor(np.asarray(act() - start)[None]), 1)
            except EnvError as error:
                raise UsageError(f"{error}: it fails at its first step") from error
            finally:
                envs.close()

    def make_vector(self, n: int) -> VectorEnv[Any, Any, Any]:
        """`n` copies in one object. Raises UsageError where the environment offers no such thing."""
        cfg = self.cfg.env
        self.used.add("env")
        if not getattr(host().entry("env", cfg.name), "build_vector", ""):
            raise UsageError(f"env {cfg.name} has no vector environment of its own, which vector.mode=native asks for; "
                             "use vector.mode=sync or async")
        with making(f"the vector environment of env={cfg.name}"):
            made: VectorEnv[Any, Any, Any] = host().load("env", cfg.name, "build_vector")(cfg, n)
        return made

    def seen(self, policy: Policy) -> Policy:
        """`policy` on observations as training saw them: on the scale of its statistics, which stay as they are."""
        if not self.cfg.normalize.obs:
            return policy
        return acting(policy, lambda obs: obs if self.normalizer is None else self.normalizer.obs(obs))

    def must_fit(self, key: str, n: int, size: int) -> None:
        """Raises UsageError where memory has no room for the `n` things of `size` bytes that `key` asks for: they may
        come long after the start, when it is late to find out.
        """
        free, takes = room(self.compute.device), n * size
        if takes > free:
            raise UsageError(f"{key}={n:,} of {size:,} bytes each take {takes / 1e9:.1f} GB, {free / 1e9:.1f} GB are "
                             f"free on {self.compute.device}; at most {int(0.8 * free / size):,} fit")

    @cached_property
    def tier(self) -> Tier:
        """How exactly this environment can be resumed in mid-episode; found out by trying."""
        return probe(self.make_env, lambda episode: self.compute.seed_for(f"probe/{episode}"))

    def returns(self, policy: Policy) -> EpisodeReturn:
        """An evaluator: the return of `policy` over `evaluate.episodes` episodes, always the same ones."""
        evaluate = self.cfg.evaluate
        return EpisodeReturn(self.make_env, self.seen(policy), evaluate.episodes, self.compute, evaluate.max_steps)

    @cached_property
    def data(self) -> Data:
        """The dataset, split and checked. Raises UsageError where none was chosen, and for what is wrong with it."""
        return opened(self.cfg, self.compute, self.run)

    def models(self, role: str) -> list[str]:
        """The names of those that have this role."""
        return [entry.name for entry in host().entries.values() if getattr(entry, "role", None) == role]

    def model(self, *arguments: Any, role: str | tuple[str, ...] = "net") -> Any:
        """The chosen network, made for its role, which may be one of several, and of the class that this role has.

        Raises UsageError where none was chosen, it has another role, its build returned something else, or it begins
        with a run of another vocabulary than `data`, which is to be asked for before.
        """
        self.used.add("model")
        cfg, roles = self.cfg.model, (role,) if isinstance(role, str) else role
        fit = {name: role for role in roles for name in self.models(role)}
        if (name := getattr(cfg, "name", "none")) not in fit:
            raise UsageError(f"{self.cfg.agent.name} needs a model of role {' or '.join(map(repr, roles))}, came {name}"
                             f"; add model=NAME, one of: {', '.join(sorted(fit))}")
        net = fitting(host().load("model", name)(cfg, *arguments), fit[name], name, self.compute.device, *arguments)
        tokenizers = getattr(vars(self).get("data"), "tokenizers", ())       # where the agent has asked for data
        return begun(net, cfg, self.run is not None, tokenizers)

    def net(self, space: Space[Any], outputs: int | None = None) -> nn.Module:
        """The chosen network for observations of `space`: [B, ...] -> [B, outputs], or the features before its last
        layer, [B, F], where `outputs` is None; `lab.nn.width` counts them.

        Raises UsageError where they do not fit.
        """
        before, shape = reading(space)
        try:
            return nn.Sequential(*before, self.model(shape, outputs)).to(self.compute.device)
        except TypeError as error:
            if outputs is not None:
                raise
            raise UsageError(f"{self.cfg.agent.name} needs the features of a network, for which the build of a model "
                             f"takes outputs=None and leaves its last layer out; that of model={self.cfg.model.name} "
                             f"raised TypeError: {error}. Use another model, such as model=auto") from error

    def optimizer(self, parameters: Iterable[Tensor], rate: float = 1.0, per_update: int = 1) -> Optimizer:
        """The chosen optimizer with its schedule, fused where torch can. Raises UsageError where none was chosen.

        `rate` times optimizer.lr; with several steps `per_update` the schedule counts updates.
        """
        self.used.add("optimizer")
        cfg = self.cfg.optimizer
        if cfg is None:
            raise UsageError(f"{self.cfg.agent.name} needs an optimizer: add optimizer=NAME, such as optimizer=adam")
        build: Callable[..., Optimizer] = host().load("optimizer", cfg.name)
        return scheduled(overridable(build(cfg, parameters, fused=True)), cfg, rate, per_update)


class Exhibition(World):
    """Where nothing is trained: no buffer is filled, and no environment has to come back."""

    tier = Tier.BOUNDARY

    def copies(self, n: int, name: str) -> Envs:
        return Envs(self.make_env, n, self.compute, name)

    def tried(self) -> None:
        pass

    def must_fit(self, key: str, n: int, size: int) -> None:
        pass
