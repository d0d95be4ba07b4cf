"""The state of N environments, cut into shares of copies and put together again."""

from collections.abc import Mapping, Sequence
from itertools import chain
from typing import Any

import numpy as np

from .env_state import Tier
from .recorder import MEANING, Recorder

WORST = list(Tier)                # the last
LISTS = ("episodes", "returns", "lengths")


class Told:
    """What is known of recorders that are elsewhere."""

    def __init__(self, level: Tier):
        self.level = level

    def describe(self) -> str:
        return f"environment state: {MEANING[self.level]}"


class TeamRecorder(Recorder):
    """Of some of the copies: a tier that failed for one of them is left by all, each with its next episode."""

    def __init__(self, shared: np.ndarray, *given: Any):
        self.shared = shared          # int64 [1], in memory that all processes see: the place of the tier in WORST
        super().__init__(*given)

    def follow(self, tier: Tier) -> None:
        super().follow(tier)
        self.shared[0] = max(self.shared[0], WORST.index(tier))

    def agree(self) -> None:
        self.leave_for(max(self.level, WORST[self.shared[0]], key=WORST.index))

    def began(self, i: int, episode: int) -> None:
        self.agree()
        super().began(i, episode)


def joined(states: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """One state of all copies. A tier that failed for some holds for none."""
    recorders = [state["recorder"] for state in states]
    level = max((Tier(each["level"]) for each in recorders), key=WORST.index)
    logs = [log if each["level"] == level else {**log, "actions": None} for each in recorders for log in each["logs"]]
    return {"obs": np.concatenate([state["obs"] for state in states]),
            "frames": np.concatenate([state["frames"] for state in states], -1),
            **{name: chained(states, name) for name in LISTS},
            "recorder": {"level": level, "inner": chained(recorders, "inner"), "logs": logs}}


def chained(states: Sequence[Mapping[str, Any]], name: str) -> list[Any]:
    return list(chain.from_iterable(state[name] for state in states))


def part(state: Mapping[str, Any], share: range) -> dict[str, Any]:
    """The copies of `share` alone; what has been reported is nobody's."""
    mine, recorder = slice(share.start, share.stop), state["recorder"]
    return {"obs": state["obs"][mine], "frames": state["frames"][:, mine], "finished": [],
            **{name: state[name][mine] for name in LISTS},
            "recorder": {"level": recorder["level"],
                         **{name: recorder[name][mine] for name in ("inner", "logs")}}}


def lost(envs: Any, share: range) -> dict[str, Any]:
    """The state of copies whose process is no more: each begins a new episode."""
    mine, n, log = slice(share.start, share.stop), len(share), {"first": 0, "begins": [], "actions": None}
    return {"obs": envs.obs[mine].copy(), "frames": envs.frames[:, mine].copy(),
            "episodes": envs.episodes[mine].tolist(), "returns": [0.0] * n, "lengths": [0] * n,
            "recorder": {"level": envs.recorder.level, "inner": [None] * n, "logs": [log] * n}}
