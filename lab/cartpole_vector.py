"""Gymnasium's vector CartPole with episodes that begin when they are told to. N copies."""

from typing import Any

import numpy as np
from gymnasium.envs.classic_control.cartpole import CartPoleVectorEnv
from gymnasium.utils import seeding
from gymnasium.vector import AutoresetMode


class CartPoleVector(CartPoleVectorEnv):
    """The same dynamics; `reset(seed=[...], options={"reset_mask": mask})` begins episodes of the masked copies alone.

    Each begins where a single CartPole of its seed does.
    """

    state: Any
    metadata: dict[str, Any] = {**CartPoleVectorEnv.metadata, "autoreset_mode": AutoresetMode.DISABLED}

    def step(self, action: Any) -> Any:
        """[N, ...] obs, reward, terminated and truncated, none of a new episode."""
        self.prev_done[:] = False
        return super().step(action)

    def reset(self, *, seed: Any = None, options: dict[str, Any] | None = None) -> tuple[np.ndarray, dict[str, Any]]:
        options = dict(options or {})
        mask = options.pop("reset_mask", np.ones(self.num_envs, bool))
        seeds = seed if isinstance(seed, list) else [seed] * self.num_envs
        if self.state is None:
            super().reset(seed=seeds[0], options=options)
        for i in np.flatnonzero(mask):
            self.state[:, i] = seeding.np_random(seeds[i])[0].uniform(self.low, self.high, size=(4,))
        self.steps[mask] = 0
        return np.asarray(self.state.T, np.float32), {}
