"""One game of Atari, steps and all of its state plain to read. H = W = `screen` pixels, `stack` screens.

Sticky actions are drawn here, from the generator that `reset(seed=...)` seeds: the emulator's own stickiness is no part
of the state that it gives out. So a game in mid-episode is saved and resumed exactly.
"""

import importlib
import math
import warnings
from collections.abc import Callable
from functools import partial
from typing import Any

import gymnasium as gym
import numpy as np
from gymnasium import spaces
from gymnasium.envs.registration import EnvSpec

from .builtin import Atari
from .errors import UsageError, closest

Look = Callable[[], np.ndarray]   # the screen as it is, uint8 [height, width] or [height, width, 3]


def library() -> Any:
    """ale_py. Raises UsageError where it is not installed."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return importlib.import_module("ale_py")
    except ImportError:
        raise UsageError('env=Atari needs the atari family: pip install "pluglab[atari]"') from None


def rom(game: str) -> Any:
    """The file of the game. Raises UsageError where there is none of this name."""
    library()
    roms = importlib.import_module("ale_py.roms")
    known = set(roms.get_all_rom_ids())
    if game not in known:
        raise UsageError(f"env.game={game} is no game of Atari. {closest(game, known)}")
    return roms.get_rom_path(game)


def emulator(cfg: Atari, window: bool = False) -> Any:
    """A game at its start. Raises UsageError for a flavour that it does not have."""
    ale_py, path = library(), rom(cfg.game)
    ale_py.ALEInterface.setLoggerMode(ale_py.LoggerMode.Error)
    ale = ale_py.ALEInterface()
    ale.setInt("random_seed", 0)                          # nothing random is left to the emulator
    ale.setFloat("repeat_action_probability", 0.0)
    ale.setBool("display_screen", window)
    ale.loadROM(path)
    for key, value, known in (("mode", cfg.mode, ale.getAvailableModes()),
                              ("difficulty", cfg.difficulty, ale.getAvailableDifficulties())):
        if value is not None and value not in known:
            raise UsageError(f"env.{key}={value}: {cfg.game} has {', '.join(map(str, known))}")
    if cfg.mode is not None:
        ale.setMode(cfg.mode)
    if cfg.difficulty is not None:
        ale.setDifficulty(cfg.difficulty)
    ale.reset_game()
    return ale


class AtariGame(gym.Env[Any, Any]):
    """Observations uint8 [stack, H, W], or [stack, H, W, 3] in colour, newest last; actions as the game knows them.

    The info of a step says `learning_reward` and `learning_terminal` as the config asks, `lives`, and the frames of
    the episode so far, `episode_frame_number`.
    """

    metadata: dict[str, Any] = {"render_modes": ["rgb_array", "human"]}

    def __init__(self, cfg: Atari, render_mode: str | None = None):
        self.cfg, self.render_mode, self.spec = cfg, render_mode, EnvSpec(cfg.id)
        self.metadata = {**self.metadata, "render_fps": max(60 // cfg.frame_skip, 1),
                         "frame_stack": (cfg.stack, "zero")}
        self.ale = emulator(cfg, render_mode == "human")
        self.known = actions(self.ale, cfg)
        shape = (cfg.screen, cfg.screen) if cfg.grayscale else (cfg.screen, cfg.screen, 3)
        self.observation_space = spaces.Box(0, 255, (cfg.stack, *shape), np.uint8)
        self.action_space = spaces.Discrete(len(self.known()))
        self.picture = "getScreenGrayscale" if cfg.grayscale else "getScreenRGB"
        self.look: Look = partial(getattr(self.ale, self.picture))
        self.shrink = shrinking(self.ale.getScreenDims(), cfg.screen)
        self.begin = beginning(self.ale)                  # the emulator at its start, again and again
        self.stack, self.last, self.frames, self.lives = np.zeros((cfg.stack, *shape), np.uint8), 0, 0, 0
        self.moved = False                                # since the reset: until then the screen is an old one

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None
              ) -> tuple[np.ndarray, dict[str, Any]]:
        super().reset(seed=seed)
        first = self.begin(self.picture)
        self.last, self.frames, self.moved, self.stack[:] = 0, 0, False, 0
        for _ in range(int(self.np_random.integers(self.cfg.noop_max + 1)) if self.cfg.noop_max else 0):
            if self.ale.game_over():
                first = self.begin(self.picture)
            self.ale.act(0)
            first, self.moved, self.frames = self.look(), True, self.frames + 1
        self.stack[-1], self.lives = self.shrink(first), self.ale.lives()
        return self.stack.copy(), self.info()

    def step(self, action: int) -> tuple[np.ndarray, float, bool, bool, dict[str, Any]]:
        cfg, ale, chosen = self.cfg, self.ale, self.known()[action]
        sticks = self.np_random.random(cfg.frame_skip) < cfg.sticky if cfg.sticky else [False] * cfg.frame_skip
        reward, screens = 0.0, []
        for left, stick in zip(range(cfg.frame_skip - 1, -1, -1), sticks, strict=True):
            self.last = self.last if stick else chosen
            reward += ale.act(self.last)
            self.frames += 1
            over = ale.game_over() or self.frames >= cfg.max_frames
            if left < 2 or over:
                screens.append(self.look())
            if over:
                break
        self.stack[:-1], self.moved = self.stack[1:], True
        self.stack[-1] = self.shrink(screens[0] if len(screens) == 1 else np.maximum(screens[0], screens[1]))
        lives, ended = ale.lives(), bool(ale.game_over())
        lost, self.lives = lives < self.lives and not ended, lives
        info = self.info()
        if cfg.clip_reward:
            info["learning_reward"] = float(np.sign(reward))
        if cfg.episodic_life and lost:
            info["learning_terminal"] = True
        return self.stack.copy(), reward, ended, not ended and self.frames >= cfg.max_frames, info

    def info(self) -> dict[str, Any]:
        return {"lives": self.lives, "episode_frame_number": self.frames}

    def render(self) -> Any:
        if self.render_mode == "human":
            return None
        return self.ale.getScreenRGB() if self.moved else self.begin("getScreenRGB")


def actions(ale: Any, cfg: Atari) -> Callable[[], list[int]]:
    """The emulator's numbers of the actions, those that do something or all 18."""
    known = [int(each.value) for each in (ale.getLegalActionSet() if cfg.full_action_space
                                          else ale.getMinimalActionSet())]
    return lambda: known


def beginning(ale: Any) -> Callable[[str], Any]:
    """What puts the emulator back to where it is now, in microseconds where a new start takes 0.1 s.

    A state of the emulator has no screen: the pictures of now are kept, and the one asked for is handed out.
    """
    state = ale.cloneState(include_rng=True)
    pictures = {name: getattr(ale, name)() for name in ("getScreenGrayscale", "getScreenRGB")}

    def begin(picture: str) -> Any:
        ale.restoreState(state)
        return pictures[picture].copy()

    return begin


def shrinking(size: tuple[int, int], to: int) -> Callable[[np.ndarray], np.ndarray]:
    """Pictures [height, width, ...] of `size` to [to, to, ...]: each pixel the mean of the area that it covers."""
    down, across = blocks(size[0], to), blocks(size[1], to)

    def shrink(picture: np.ndarray) -> np.ndarray:
        height, width, *colours = picture.shape
        rows = picture.reshape(height, width // across.shape[1], across.shape[1], -1).astype(np.float32)
        with np.errstate(invalid="ignore"):   # some BLAS compute lanes that nobody reads
            rows = np.matmul(across, rows).reshape(height // down.shape[1], down.shape[1], -1)
            small: np.ndarray = np.rint(np.matmul(down, rows)).astype(np.uint8)
        return small.reshape((to, to, *colours))

    return shrink


def blocks(n: int, to: int) -> np.ndarray:
    """Weights [b, a] by which `a` numbers become `b`, the same for each of gcd(n, to) blocks."""
    a, b = n // math.gcd(n, to), to // math.gcd(n, to)
    edge = np.arange(b + 1) * a / b                       # where the new pixels begin and end, in old ones
    low, high = np.maximum(edge[:-1, None], np.arange(a)), np.minimum(edge[1:, None], np.arange(a) + 1)
    return np.asarray(np.maximum(high - low, 0) * b / a, np.float32)


def build(cfg: Atari, render_mode: str | None = None) -> gym.Env[Any, Any]:
    """Raises UsageError where ale-py is not installed, for an unknown game and for a flavour it does not have."""
    return AtariGame(cfg, render_mode)
