"""Where batches come from when the world is an environment. N environments. See also lab.replay and lab.rollouts."""

import math

import numpy as np

from .contract import Act, Batch, Stream
from .envs import Envs


def observation_bytes(envs: Envs) -> int:
    """What one observation takes, a stack of pictures whole."""
    size: int = math.prod(envs.shape or ()) * np.dtype(envs.dtype).itemsize
    return size


class OfEnvs(Stream):
    """What streams of environments have in common."""

    envs: Envs

    def metrics(self) -> dict[str, float]:
        return self.envs.metrics()

    def close(self) -> None:
        self.envs.close()

    def notes(self) -> list[str]:
        return self.envs.describe()


class Steps(OfEnvs):
    """The last transition of every environment, each seen once: [N, ...]."""

    saved = ("count", "envs")

    def __init__(self, envs: Envs, act: Act):
        self.envs, self.act = envs, act

    def next(self) -> Batch:
        rows = self.envs.collect(self.act, 1, self.count)                # [1, N, ...]
        self.count += len(self.envs)
        return self.envs.normalized({name: row[0] for name, row in rows.items()})
