"""Slides for tests: small tiled TIFFs as scanners write them, drawn here."""

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import tifffile

GLASS = (244, 243, 245)
EOSIN = (214, 140, 180)
NUCLEUS = (90, 60, 140)


def stained(width: int, height: int, seed: int = 1) -> npt.NDArray[np.uint8]:
    """A disc of stained tissue with nuclei on bright glass, a third of the picture."""
    rng = np.random.default_rng(seed)
    rows, columns = np.mgrid[:height, :width]
    tissue = (columns - width / 2) ** 2 + (rows - height / 2) ** 2 < width * height / 9.5
    picture = np.empty((height, width, 3), np.uint8)
    picture[:] = GLASS
    picture[tissue] = EOSIN
    for x, y in zip(rng.integers(0, width - 9, 400), rng.integers(0, height - 9, 400), strict=True):
        if tissue[y, x]:
            picture[y : y + 9, x : x + 9] = NUCLEUS
    noise = rng.integers(-2, 3, picture.shape)
    drawn: npt.NDArray[np.uint8] = np.clip(picture + noise, 0, 255).astype(np.uint8)
    return drawn


def write_slide(path: Path, pixels: npt.NDArray[np.uint8], **how: Any) -> Path:
    """Two levels (1 and 4) of JPEG tiles of 256 pixels in YCbCr, at 0.5 microns per pixel; `mpp` null states none."""
    mpp, tile = how.pop("mpp", 0.5), how.pop("tile", 256)
    settings: dict[str, Any] = {"photometric": "rgb", "compression": "jpeg", "compressionargs": {"level": 90}} | how
    small = pixels[: pixels.shape[0] // 4 * 4, : pixels.shape[1] // 4 * 4]
    small = small.reshape(small.shape[0] // 4, 4, small.shape[1] // 4, 4, 3).mean((1, 3)).round().astype(np.uint8)
    with tifffile.TiffWriter(path) as file:
        for scale, level in ((1, pixels), (4, small)):
            stated: dict[str, Any] = {}
            if mpp is not None:
                stated = {"resolution": (1e4 / (mpp * scale),) * 2, "resolutionunit": "CENTIMETER"}
            file.write(level, tile=(tile, tile), subfiletype=int(scale > 1), metadata=None, **stated, **settings)
    return path
