"""Acts at random and learns nothing. N environments."""

import torch
from gymnasium.spaces import Discrete
from torch import Tensor

from lab.contract import Batch, Experiment, Learner, Metrics
from lab.errors import UsageError
from lab.streams import Steps
from lab.world import World

from .plugin import Noise


class Random(Learner):
    saved = ("rng",)

    def __init__(self, n_actions: int, scale: float, rng: torch.Generator):
        self.n_actions, self.scale, self.rng = n_actions, scale, rng

    def act(self, obs: Tensor, count: int) -> Tensor:
        return torch.randint(self.n_actions, (len(obs),), generator=self.rng, device=obs.device)     # [N]

    def update(self, batch: Batch) -> Metrics:
        return {"noise/reward": self.scale * batch["reward"].mean()}


def build(cfg: Noise, world: World) -> Experiment:
    envs = world.envs(cfg.num_envs)
    if not isinstance(envs.action_space, Discrete):
        raise UsageError(f"noise needs a Discrete action space; {envs.id} has {envs.action_space}")
    learner = Random(int(envs.action_space.n), cfg.scale, world.compute.rng("explore"))
    return Experiment(learner, Steps(envs, learner.act))
