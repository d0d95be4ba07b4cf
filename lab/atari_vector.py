"""Games of Atari by ale-py's own vector environment: its threads step all N copies in one call."""

from typing import Any

import numpy as np
from gymnasium.vector import AutoresetMode, VectorEnv

from .atari import library, rom
from .builtin import Atari
from .errors import UsageError


class AtariVector(VectorEnv[Any, Any, Any]):
    """Sees and pays what lab.atari.AtariGame does, with these differences.

    Rounding: one grey level in at most 2 of 10,000 pixels. The last screen of a game that ends in the midst of a step.
    The emulator repeats sticky actions by its own generators, and begins a new game where its last one left it, not
    from a fresh start; only the first game of each copy is seeded. A state cannot be read: a resume replays all steps.
    """

    metadata: dict[str, Any] = {"autoreset_mode": AutoresetMode.SAME_STEP}

    def __init__(self, cfg: Atari, n: int):
        self.cfg, self.num_envs, self.games = cfg, n, library().vector_env.AtariVectorEnv(
            cfg.game, n, autoreset_mode=AutoresetMode.SAME_STEP, max_num_frames_per_episode=cfg.max_frames,
            repeat_action_probability=cfg.sticky, full_action_space=cfg.full_action_space, img_height=cfg.screen,
            img_width=cfg.screen, grayscale=cfg.grayscale, stack_num=cfg.stack, frameskip=cfg.frame_skip,
            noop_max=cfg.noop_max, episodic_life=False, reward_clipping=False, use_fire_reset=False)
        self.single_observation_space, self.observation_space = (
            self.games.single_observation_space, self.games.observation_space)
        self.single_action_space, self.action_space = self.games.single_action_space, self.games.action_space
        self.lives, self.frames = np.zeros(n, np.int64), np.zeros(n, np.int64)

    def reset(self, *, seed: Any = None, options: dict[str, Any] | None = None) -> tuple[Any, dict[str, Any]]:
        obs, info = self.games.reset(seed=seed)
        self.lives, self.frames = info["lives"].copy(), info["episode_frame_number"].copy()
        return obs, info

    def step(self, actions: Any) -> tuple[Any, Any, Any, Any, dict[str, Any]]:
        obs, reward, terminated, truncated, info = self.games.step(actions)
        over, lives = terminated | truncated, info["lives"]                                 # [N]
        info["learning_terminal"] = (lives < self.lives) & ~over & self.cfg.episodic_life
        if self.cfg.clip_reward:
            info["learning_reward"] = np.sign(reward)
        now = info["episode_frame_number"]
        info["episode_frame_number"] = np.where(over, self.frames + self.cfg.frame_skip, now)     # of the last episode
        self.lives, self.frames = lives.copy(), now.copy()
        return obs, reward.astype(np.float64), terminated, truncated, info

    def close_extras(self, **kwargs: Any) -> None:
        self.games.close()


def build(cfg: Atari, n: int) -> AtariVector:
    """Raises UsageError where ale-py is not installed, for an unknown game and for a flavour, which it cannot set."""
    rom(cfg.game)
    if cfg.mode is not None or cfg.difficulty is not None:
        raise UsageError("ale-py's vector environment plays each game as it comes, without env.mode and "
                         "env.difficulty; use vector.mode=sync or async")
    if not hasattr(library(), "vector_env"):
        raise UsageError("vector.mode=native needs the vector environment of ale-py 0.11 or later")
    return AtariVector(cfg, n)
