"""Which examples are for training, for evaluation while training, and for the last judgement. n examples."""

import numpy as np


def split_rows(n: int, shares: dict[str, float], seed: int, labels: np.ndarray | None = None) -> dict[str, np.ndarray]:
    """The rows of each split, each in ascending order, "train" having what the shares leave: {name: [rows]}.

    With `labels` [n] every class has its share in every split, as nearly as whole examples allow, and one at least for
    training.
    """
    rng = np.random.default_rng(seed)
    groups = [np.arange(n)] if labels is None else [np.flatnonzero(labels == each) for each in np.unique(labels)]
    ends = np.cumsum([*shares.values()])                                # of each part but the last, as a share
    parts = dict[str, list[np.ndarray]]({name: [] for name in (*shares, "train")})
    carried = np.zeros(len(ends))                                       # what rounding has left over from the groups
    for rows in groups:
        exact = ends * len(rows) + carried
        cuts = np.clip(np.maximum.accumulate(np.floor(exact + 0.5)), 0, max(len(rows) - 1, 0)).astype(int)
        carried = exact - cuts
        for name, part in zip(parts, np.split(rng.permutation(rows), cuts), strict=True):
            parts[name].append(part)
    return {name: np.sort(np.concatenate(found)) for name, found in parts.items()}
