"""lab play RUN: watch what a run has learned, as a GIF, an mp4 or in a window."""

import os
import sys
from pathlib import Path

from .. import checkpoint, media
from ..contract import Policy, acting
from ..envs import Envs
from ..errors import UsageError, within
from ..video import Video
from ..world import World
from .runs import parser, trained


def main(argv: list[str]) -> int:
    """Writes a film of each episode; prints their names."""
    args = parser("play", "Play episodes with the greedy policy of a run.")
    args.add_argument("--episodes", type=int, default=1)
    args.add_argument("--out", type=Path, default=None, help="film.gif or film.mp4 (default: play.gif here)")
    args.add_argument("--window", action="store_true", help="show a window instead (needs a screen)")
    given = args.parse_intermixed_args(argv)
    within("--episodes", given.episodes, 1, 1000)
    out = given.out or Path("play.gif")
    if out.suffix not in (".gif", ".mp4"):
        raise UsageError(f"--out {out}: expected a name that ends in .gif or .mp4")
    cfg, made, world, _ = trained(given.run, given.seed, given.changes)
    if made.experiment.policy is None:
        raise UsageError(f"{cfg.agent.name} has no policy to play episodes with")
    if given.window:
        return window(world, made.experiment.policy, given.episodes)
    video = Video(world.make_env, made.experiment.policy, given.episodes, made.compute, cfg.evaluate.max_steps, "play",
                  frames=1000, width=10_000)
    for i, frames in enumerate(video.films()):
        file = out if given.episodes == 1 else out.with_stem(f"{out.stem}-{i}")
        try:
            if file.suffix == ".mp4":
                media.mp4(frames, file, media.FPS)
            else:
                file.write_bytes(media.gif(frames, media.FPS))
        except OSError as error:
            raise checkpoint.disk_error(error, file) from error
        print(f"{file}: {len(frames)} frames")
    return 0


def window(world: World, policy: Policy, episodes: int) -> int:
    """Play in a window until the episodes are over. Raises UsageError where there is no screen."""
    if sys.platform == "linux" and not {"DISPLAY", "WAYLAND_DISPLAY"} & os.environ.keys():
        raise UsageError("--window needs a screen, and there is none (no DISPLAY); write a film with --out film.gif")
    envs = Envs(lambda: world.make_env("human"), 1, world.compute, "play")
    try:
        while envs.episodes[0] < episodes:
            envs.collect(acting(policy), 1)
    finally:
        envs.close()
    return 0
