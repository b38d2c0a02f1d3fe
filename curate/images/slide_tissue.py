"""Where a slide holds tissue: one mask of a small picture of it, by light absorbed or light given.

On a bright ground (transmitted light: any stain) a pixel is tissue where its optical density over the empty slide's
passes a threshold, in the colour that is absorbed most; on a dark ground (fluorescence) where it is brighter than the
ground. The threshold is Otsu's (IEEE Trans. SMC 9, 1979, 62-66) within fixed bounds, so that a slide that is all
tissue, or has none, is not cut in two. Pen marks and folds absorb light as well and are not told apart.
"""

from typing import Final

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageFilter

__all__ = ["share_of_tissue", "tissue_mask"]

DENSITY_BOUNDS: Final = (0.04, 0.12)
"""Optical density: below is noise and glass, above is stained tissue whatever the rest of the slide is like."""

GLOW_BOUNDS: Final = (6.0, 40.0)
"""Grey levels above a dark ground, for the same two reasons."""

WHITE: Final = 200
"""An empty slide in transmitted light is at least as bright, in grey levels."""

NEUTRAL: Final = 24
"""An empty slide's colours differ by at most this much."""

EMPTY_SHARE: Final = 0.01
"""From this share of bright, neutral pixels they are taken for the empty slide; else it is taken to be white."""

DARK: Final = 50
DARK_SHARE: Final = 0.5
"""A slide of which half is darker than `DARK`, and nothing is empty and bright, has a dark ground."""

UNLIT: Final = 8
"""Pixels whose colours are all at most this bright were not scanned: no tissue lets so little light through."""

BINS: Final = 256
SMOOTHED: Final = 3
"""Side, in pixels of the small picture, of the median that removes specks."""


def tissue_mask(rgb: npt.NDArray[np.uint8]) -> npt.NDArray[np.bool_]:
    """True where there is tissue, of a picture of rows x columns x 3."""
    brightest, dimmest = rgb.max(axis=2), rgb.min(axis=2)
    empty = (dimmest >= WHITE) & (brightest - dimmest <= NEUTRAL)
    share = float(empty.mean())
    if share < EMPTY_SHARE and float((brightest < DARK).mean()) >= DARK_SHARE:
        ground = float(np.median(brightest[brightest < DARK]))
        return _above(brightest.astype(np.float32) - np.float32(ground), GLOW_BOUNDS, 255.0)
    ground_rgb = (
        np.median(rgb[empty], axis=0) if share >= EMPTY_SHARE else np.full(3, 255.0)
    )  # the empty slide's light, column by colour
    table = -np.log10((np.arange(256, dtype=np.float32)[:, None] + 1) / (ground_rgb.astype(np.float32) + 1))
    density = table[:, 0][rgb[..., 0]]
    for colour in (1, 2):
        np.maximum(density, table[:, colour][rgb[..., colour]], out=density)
    density[brightest <= UNLIT] = 0
    return _above(density, DENSITY_BOUNDS, 1.0)


def _above(signal: npt.NDArray[np.float32], bounds: tuple[float, float], top: float) -> npt.NDArray[np.bool_]:
    """Where a signal, smoothed, passes Otsu's threshold within bounds. Values beyond `top` count as `top`."""
    scaled = np.clip(signal * np.float32((BINS - 1) / top), 0, BINS - 1).astype(np.uint8)
    if min(scaled.shape) >= SMOOTHED:
        scaled = np.asarray(Image.fromarray(scaled).filter(ImageFilter.MedianFilter(SMOOTHED)))
    low, high = (bound * (BINS - 1) / top for bound in bounds)
    above: npt.NDArray[np.bool_] = scaled > min(max(_otsu(scaled), low), high)
    return above


def _otsu(values: npt.NDArray[np.uint8]) -> float:
    """The bin that parts a histogram into the two groups of the greatest variance between them."""
    counts = np.bincount(values.ravel(), minlength=BINS).astype(np.float64)
    below = np.cumsum(counts)
    sums = np.cumsum(counts * np.arange(BINS))
    above = below[-1] - below
    with np.errstate(divide="ignore", invalid="ignore"):
        between = below * above * (sums / below - (sums[-1] - sums) / above) ** 2
    return float(np.argmax(np.nan_to_num(between)))


def share_of_tissue(
    mask: npt.NDArray[np.bool_], boxes: npt.NDArray[np.float64], size: tuple[float, float]
) -> npt.NDArray[np.float64]:
    """The share of tissue in each box: n x (x0, y0, x1, y1) in the coordinates of a raster of `size` width, height.

    Pixels of the mask that a box touches count whole.
    """
    height, width = mask.shape
    total = np.zeros((height + 1, width + 1), np.int64)
    total[1:, 1:] = mask.cumsum(0, dtype=np.int64).cumsum(1)
    scaled = boxes * np.array([width / size[0], height / size[1]] * 2)
    # A whole number that division made a little larger or smaller must not touch one more pixel.
    low = np.floor(scaled[:, :2] + 1e-6).astype(np.int64)
    high = np.ceil(scaled[:, 2:] - 1e-6).astype(np.int64)
    x0, y0 = np.clip(low[:, 0], 0, width - 1), np.clip(low[:, 1], 0, height - 1)
    x1, y1 = np.clip(high[:, 0], x0 + 1, width), np.clip(high[:, 1], y0 + 1, height)
    found = total[y1, x1] - total[y0, x1] - total[y1, x0] + total[y0, x0]
    shares: npt.NDArray[np.float64] = found / ((x1 - x0) * (y1 - y0))
    return shares
