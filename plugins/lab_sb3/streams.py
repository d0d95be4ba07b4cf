"""Stable-Baselines3's collect_rollouts as streams. T steps, N environments, K gradient steps, B rows."""

from collections.abc import Mapping
from typing import Any, ClassVar

import torch
from stable_baselines3.common.type_aliases import ReplayBufferSamples
from stable_baselines3.common.vec_env import VecTransposeImage

from lab.contract import Batch, Stream

from .held import Held, Rows
from .vector import Vector

ROLLOUT = {"obs": "observations", "action": "actions", "value": "values", "log_prob": "log_probs",
           "advantage": "advantages", "return": "returns"}    # name in a batch -> array of a RolloutBuffer
REPLAY = {"obs": "observations", "action": "actions", "next_obs": "next_observations", "terminal": "dones",
          "reward": "rewards", "discount": "discounts"}       # -> field of ReplayBufferSamples
Model = Any                       # an algorithm of Stable-Baselines3


class Collected(Stream):
    """What both kinds share: learn() without its loop."""

    def __init__(self, model: Model, vector: Vector, total_timesteps: int, notes: list[str]):
        self.model, self.about, self.count = model, notes, 0
        vector.now = lambda: int(model.num_timesteps)
        _, self.callback = model._setup_learn(total_timesteps)
        self.envs = vector.copies

    def next(self) -> Batch | None:
        torch.set_flush_denormal(False)       # as in a process of Stable-Baselines3 alone
        try:
            collected = self.collect()
        finally:
            self.count = self.model.num_timesteps
        return self.batch(collected)

    def collect(self) -> Any:
        raise NotImplementedError

    def batch(self, collected: Any) -> Batch | None:
        raise NotImplementedError

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        super().load_state_dict(state)
        env, obs = self.model.env, self.envs.obs.copy()
        self.model._last_obs = env.transpose_observations(obs) if isinstance(env, VecTransposeImage) else obs
        self.model.num_timesteps = self.count

    def metrics(self) -> dict[str, float]:
        return self.envs.metrics()

    def close(self) -> None:
        self.model.env.close()

    def notes(self) -> list[str]:
        return [*self.about, self.envs.recorder.describe()]


class Rollouts(Collected):
    """Each rollout once: [T, N, ...]."""

    saved = ("count", "envs")                 # the rollout is used up, and its first flag `episode_start` is never read

    def collect(self) -> None:
        model = self.model
        model.collect_rollouts(model.env, self.callback, model.rollout_buffer, n_rollout_steps=model.n_steps)

    def batch(self, collected: Any) -> Batch:
        model = self.model
        model._update_current_progress_remaining(self.count, model._total_timesteps)
        arrays = {name: getattr(model.rollout_buffer, array) for name, array in ROLLOUT.items()}
        return {name: torch.from_numpy(array).to(model.device) for name, array in arrays.items()}


class Experience(Collected):
    """Minibatches drawn from everything seen lately, [K, B, ...]: those that train() would draw, in the same order."""

    saved: ClassVar[tuple[str, ...]] = ("count", "envs", "rows")

    def __init__(self, model: Model, vector: Vector, total_timesteps: int, notes: list[str]):
        super().__init__(model, vector, total_timesteps, notes)
        self.rows, self.warmup = Rows(model.replay_buffer), model.learning_starts + 1

    @property
    def sampler(self) -> dict[str, Any]:
        """The generator of random actions."""
        return dict(self.model.action_space.np_random.bit_generator.state)

    @sampler.setter
    def sampler(self, state: Mapping[str, Any]) -> None:
        self.model.action_space.np_random.bit_generator.state = state

    def collect(self) -> Any:
        model = self.model
        return model.collect_rollouts(
            model.env, train_freq=model.train_freq, action_noise=model.action_noise, callback=self.callback,
            learning_starts=model.learning_starts, replay_buffer=self.rows.buffer, log_interval=None)

    def batch(self, collected: Any) -> Batch | None:
        model = self.model
        if self.count <= model.learning_starts:
            return None
        steps = model.gradient_steps if model.gradient_steps > 0 else collected.episode_timesteps
        drawn = [self.rows.buffer.sample(model.batch_size, env=None) for _ in range(steps)]
        fields = {name: [getattr(each, field) for each in drawn] for name, field in REPLAY.items()}
        return {name: torch.stack(each) for name, each in fields.items() if each[0] is not None}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        super().load_state_dict(state)
        for i in self.envs.lost:
            self.rows.end(i)


class Greedy(Experience):
    """Explores by random actions now and then."""

    saved = (*Experience.saved, "sampler", "calls", "exploration_rate")
    calls = Held("_n_calls")                                  # steps, for the updates of the target network
    exploration_rate = Held("exploration_rate")


class Noisy(Experience):
    """Explores by noise, after random actions in the warm-up."""

    saved = (*Experience.saved, "noise")

    @property
    def noise(self) -> dict[str, Any]:
        """Where each random process is; noise without memory has none."""
        return {"sampler": self.sampler, "processes": [process.noise_prev for process in self.processes()]}

    @noise.setter
    def noise(self, state: Mapping[str, Any]) -> None:
        self.sampler = state["sampler"]
        for process, place in zip(self.processes(), state["processes"], strict=True):
            process.noise_prev = place

    def processes(self) -> list[Any]:
        noise = self.model.action_noise
        return [each for each in getattr(noise, "noises", [noise]) if hasattr(each, "noise_prev")]


class Drawn:
    """Stands where train() looks for a replay buffer: hands out the minibatches of a batch [K, B, ...] in turn."""

    def __init__(self, batch: Batch):
        self.batch, self.k = batch, 0

    def sample(self, batch_size: int, env: Any = None) -> ReplayBufferSamples:
        given = {REPLAY[name]: rows[self.k].clone() for name, rows in self.batch.items()}         # [B, ...] each
        self.k += 1
        return ReplayBufferSamples(**given)
