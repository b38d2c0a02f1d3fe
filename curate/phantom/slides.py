"""Whole slides: pieces of stained tissue on bright glass, in a tiled pyramid."""

import io
from typing import Final

import numpy as np

from curate.phantom.folder import Folder
from curate.phantom.shapes import Bytes, Mask, blobs, generator, patches, place, smooth_noise
from curate.phantom.truth import ImageTruth

__all__ = ["MPP", "SLIDES", "write_slides"]

SLIDES: Final = 2
"""More would only take longer."""

WIDTH: Final = 1536
HEIGHT: Final = 1280
TILE_PX: Final = 256
LEVELS: Final = (1, 4)
"""How much smaller than the slide each level of the pyramid is."""

MPP: Final = 0.5
"""Micrometres between two pixels: an objective of 20 times."""

GLASS: Final = (244, 243, 245)
STROMA: Final = (226, 158, 192)
NUCLEUS: Final = (104, 66, 148)


def write_slides(folder: Folder, images: int) -> list[ImageTruth]:
    """`slides/slide_00.tif`: a tiled TIFF of JPEG tiles whose resolution tags state micrometres."""
    items = []
    for index in range(images):
        pixels, tissue = _slide(generator(folder.seed, folder.id, index))
        path = f"slides/slide_{index:02d}.tif"
        folder.write(path, _pyramid(pixels))
        share = float(np.count_nonzero(tissue)) / tissue.size
        items.append(ImageTruth(path=path, width=WIDTH, height=HEIGHT, mpp=(MPP, MPP), tissue_share=share))
    return items


def _slide(rng: np.random.Generator) -> tuple[Bytes, Mask]:
    """RGB pixels (height, width, 3), and which of them are tissue."""
    radii = 190 + rng.random(3) * 80
    kept, centres = place(rng, radii * 1.25, width=WIDTH, height=HEIGHT, gap_px=20, border=1.0, tries=40)
    drawn = patches(rng, centres, radii[kept], 1 + rng.random(len(kept)) * 0.4, 1024)
    tissue = np.zeros((HEIGHT, WIDTH), np.bool_)
    for blob in blobs(drawn, WIDTH, HEIGHT):
        rows, columns = blob.mask.shape
        tissue[blob.y0 : blob.y0 + rows, blob.x0 : blob.x0 + columns] |= blob.mask
    canvas = np.empty((HEIGHT, WIDTH, 3), np.float32)
    texture = smooth_noise(rng, HEIGHT, WIDTH, 24) * np.float32(10)
    for channel in range(3):
        canvas[..., channel] = np.where(tissue, STROMA[channel] + texture, np.float32(GLASS[channel]))
    _nuclei(rng, canvas, tissue)
    canvas += rng.random((HEIGHT, WIDTH, 1), np.float32) * 4 - 2
    return np.clip(canvas, 0, 255).astype(np.uint8), tissue


def _nuclei(rng: np.random.Generator, canvas: np.ndarray[tuple[int, ...], np.dtype[np.float32]], tissue: Mask) -> None:
    kept, centres = place(rng, 4 + rng.random(900) * 3, width=WIDTH, height=HEIGHT, gap_px=4, border=1.5, tries=2)
    inside = tissue[centres[:, 1].astype(np.int64), centres[:, 0].astype(np.int64)]
    kept, centres = kept[inside], centres[inside]
    drawn = patches(rng, centres, 4 + rng.random(len(kept)) * 3, 1 + rng.random(len(kept)) * 0.6, 24)
    for blob in blobs(drawn, WIDTH, HEIGHT):
        rows, columns = blob.mask.shape
        window = canvas[blob.y0 : blob.y0 + rows, blob.x0 : blob.x0 + columns]
        window[blob.mask & tissue[blob.y0 : blob.y0 + rows, blob.x0 : blob.x0 + columns]] = NUCLEUS


def _pyramid(pixels: Bytes) -> bytes:
    """The file; nothing in it names a program or a time."""
    import tifffile

    buffer = io.BytesIO()
    with tifffile.TiffWriter(buffer) as file:
        for shrunk in LEVELS:
            blocks = pixels.reshape(HEIGHT // shrunk, shrunk, WIDTH // shrunk, shrunk, 3)
            level = (blocks.sum(axis=(1, 3), dtype=np.uint32) + shrunk * shrunk // 2) // (shrunk * shrunk)
            per_cm = 10_000 / (MPP * shrunk)
            file.write(
                level.astype(np.uint8),
                photometric="rgb",
                tile=(TILE_PX, TILE_PX),
                compression="jpeg",
                compressionargs={"level": 85},
                subfiletype=0 if shrunk == 1 else 1,
                resolution=(per_cm, per_cm),
                resolutionunit="CENTIMETER",
                software=False,
                metadata=None,
            )
    return buffer.getvalue()
