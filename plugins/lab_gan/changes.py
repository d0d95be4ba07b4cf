"""Changes of real and made pictures alike, through which a gradient passes (DiffAugment, Zhao et al. 2020).

B pictures [B, C, H, W] from -1 to 1; what comes in is black.
"""

from collections.abc import Sequence

from torch import Tensor

from lab.data.augment import cutout, shift

DRAWS = 7                         # random numbers for a picture
SHIFTED, CUT = 8, 2               # a shift of up to an eighth of a side; a square of half of it


def changed(x: Tensor, kinds: Sequence[str], u: Tensor) -> Tensor:
    """`u` [B, 7] from 0 to 1 says how much, each of `kinds` its own."""
    bright, contrast, down, right, top, left, colour = u.T
    if "brightness" in kinds:
        x = x + (bright - 0.5)[:, None, None, None]
    if "saturation" in kinds:
        grey = x.mean(1, keepdim=True)
        x = grey + (x - grey) * (2 * colour)[:, None, None, None]
    if "contrast" in kinds:
        mean = x.mean((1, 2, 3), keepdim=True)
        x = mean + (x - mean) * (contrast + 0.5)[:, None, None, None]
    least = min(x.shape[-2:])
    if "shift" in kinds:
        most = max(round(least / SHIFTED), 1)
        down, right = ((way * (2 * most + 1)).long() - most for way in (down, right))
        x = shift(x + 1, down, right, most) - 1
    if "cutout" in kinds:
        side = max(least // CUT, 1)
        top, left = ((way * size).long() - side // 2 for way, size in zip((top, left), x.shape[-2:], strict=True))
        x = cutout(x + 1, top, left, side) - 1
    return x
