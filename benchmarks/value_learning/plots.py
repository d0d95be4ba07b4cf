"""Learning curves of what `python -m benchmarks.value_learning.returns` has measured, as docs/pictures/returns-ENV.png.

    python -m benchmarks.value_learning.plots [--quick]

A line is the interquartile mean over the seeds, a band its 95 % bootstrap interval; a point is of 20 greedy episodes.
Needs the `bench` extra.
"""

from pathlib import Path
from typing import Any

import matplotlib
import numpy as np

from .. import common
from .returns import ENVS, FOLDER, read

PICTURES = Path(__file__).parents[2] / "docs" / "pictures"
THRESHOLDS = {"CartPole": 475.0, "Acrobot": -100.0, "MountainCar": -110.0, "LunarLander": 200.0}      # Gymnasium's


def curves(env: str, side: str, quick: bool) -> tuple[np.ndarray, np.ndarray]:
    """Steps [P] and mean returns of every seed [S, P]."""
    rows = read(env, side, quick)
    returns = np.array([[float(point) for point in row["curve"].split()] for row in rows])       # [S, P]
    points = returns.shape[1]
    return int(rows[0]["steps"]) * np.arange(1, points + 1) / points, returns


def draw(axes: Any, env: str, side: str, quick: bool) -> None:
    steps, returns = curves(env, side, quick)
    low, high = np.array([common.interval(common.iqm, point, resamples=1_000) for point in returns.T]).T        # [P]
    line, = axes.plot(steps, [common.iqm(point) for point in returns.T], label=f"{side} ({len(returns)} seeds)",
                      linestyle="--" if side.startswith("sb3") else "-")
    axes.fill_between(steps, low, high, alpha=0.15, color=line.get_color(), linewidth=0)


def main() -> None:
    matplotlib.use("Agg")
    from matplotlib import pyplot

    args = common.options(__doc__).parse_args()
    folder, pictures = (FOLDER.with_name("returns-quick"), FOLDER.parent) if args.quick else (FOLDER, PICTURES)
    pictures.mkdir(parents=True, exist_ok=True)
    for env in ENVS:
        sides = sorted(path.stem.partition("-")[2] for path in folder.glob(f"{env}-*.csv"))
        if not sides:
            continue
        figure, axes = pyplot.subplots(figsize=(7, 4), layout="constrained")
        for side in sides:
            draw(axes, env, side, args.quick)
        axes.axhline(THRESHOLDS[env], color="grey", linewidth=0.8, linestyle=":", label="Gymnasium's threshold")
        axes.set(title=env, xlabel="environment steps", ylabel="mean return of 20 greedy episodes")
        axes.legend(fontsize="small")
        path = pictures / f"returns-{env}{'-quick' if args.quick else ''}.png"
        figure.savefig(path, dpi=110)
        pyplot.close(figure)
        print(path)


if __name__ == "__main__":
    main()
