"""How well a policy does, in environments of its own."""

from collections.abc import Mapping
from dataclasses import dataclass
from statistics import NormalDist
from typing import Any

import numpy as np

from . import signals
from .compute import Compute
from .contract import Policy, acting
from .envs import Envs, Make
from .state import frozen_rng, seed_globals

COPIES = 16                       # environments stepped together


@dataclass
class EpisodeReturn:
    """An evaluator: undiscounted returns of `policy` over `episodes` episodes, the same ones at every call."""

    make: Make
    policy: Policy
    episodes: int
    compute: Compute
    max_steps: int                # of one episode: a longer one is cut
    name: str = "evaluate"        # of the random numbers: another name, other episodes

    def __call__(self) -> Mapping[str, float]:
        returns, lengths = np.array(self.play(), np.float64).T           # [E]
        return {"return/mean": float(returns.mean()), "return/std": float(returns.std()),
                "return/min": float(returns.min()), "return/max": float(returns.max()),
                "length/mean": float(lengths.mean())}

    def names(self) -> list[str]:
        """Of what it will find."""
        return [*(f"return/{each}" for each in ("mean", "std", "min", "max")), "length/mean"]

    def play(self) -> list[tuple[float, int]]:
        """(return, length) of every episode. Copy i plays the episodes i, i + n, ...: short ones are not favoured.

        Global generators, from which an environment may draw, are the same at every call, and afterwards as before.
        """
        with frozen_rng():
            seed_globals(self.compute.seed_for(self.name))
            return self.played()

    def played(self) -> list[tuple[float, int]]:
        envs = Envs(self.make, min(COPIES, self.episodes), self.compute, self.name)
        n, played = len(envs), list[tuple[float, int]]()
        quota = [len(range(i, self.episodes, n)) for i in range(n)]
        try:
            while any(quota):
                signals.check()
                for i, episode in self.ended(envs):
                    played += [episode] if quota[i] else []
                    quota[i] = max(quota[i] - 1, 0)
        finally:
            envs.close()
        return played

    def ended(self, envs: Envs) -> list[tuple[int, tuple[float, int]]]:
        """After one step more: copy and (return, length) of the episodes that are over, or long enough.

        By the environment's own reward and termination, whatever is learned from.
        """
        before, envs.finished = list(envs.episodes), []
        envs.collect(acting(self.policy), 1)
        over = [i for i in range(len(envs)) if envs.episodes[i] > before[i]]
        ended = list(zip(over, envs.finished, strict=True))
        for i in range(len(envs)):
            if envs.lengths[i] >= self.max_steps:
                ended.append((i, (envs.returns[i], envs.lengths[i])))
                envs.restart(i)
        return sorted(ended)


def interval(values: Any, confidence: float = 0.95) -> float:
    """Half the width of the interval of the mean (normal approximation), in the unit of `values`."""
    values = np.asarray(values, np.float64)
    if len(values) < 2:
        return float("nan")
    return float(NormalDist().inv_cdf(0.5 + confidence / 2) * values.std(ddof=1) / np.sqrt(len(values)))
