"""Images with masks: nuclei with one file each, and chests with a label map."""

from typing import Final

import numpy as np
import numpy.typing as npt

from curate.phantom.cells import nuclei
from curate.phantom.chest import anatomy, chest
from curate.phantom.encode import png
from curate.phantom.folder import Folder, counts_of
from curate.phantom.shapes import Blob, generator
from curate.phantom.truth import ImageTruth, ObjectTruth
from curate.schema import Kind, identity

__all__ = ["ORGANS", "write_labelmaps", "write_nuclei"]

ORGANS: Final = ("right lung", "left lung", "heart")
"""What the values 1, 2 and 3 of a label map mean."""


def _object(blob: Blob, label: str, width: int, height: int) -> ObjectTruth:
    return ObjectTruth(
        kind=Kind.MASK,
        label=label,
        concept=label,
        box=blob.box,
        point=blob.point,
        area_px=blob.area_px,
        truncated=blob.truncated,
        mask=blob.rle(width, height),
    )


def _paint(blobs: tuple[Blob, ...], values: tuple[int, ...], width: int, height: int) -> npt.NDArray[np.uint8]:
    canvas = np.zeros((height, width), np.uint8)
    for blob, value in zip(blobs, values, strict=True):
        rows, columns = blob.mask.shape
        canvas[blob.y0 : blob.y0 + rows, blob.x0 : blob.x0 + columns][blob.mask] = value
    return canvas


def write_nuclei(folder: Folder, images: int) -> list[ImageTruth]:
    """`stage1_train/<id>/images/<id>.png` beside `masks/`, one mask of 0 and 255 per nucleus."""
    items: list[ImageTruth] = []
    for index in range(images):
        name = identity(folder.seed, folder.id, index)
        pixels, found = nuclei(generator(folder.seed, folder.id, index))
        height, width = pixels.shape
        path = f"stage1_train/{name}/images/{name}.png"
        folder.write(path, png(pixels))
        for number, blob in enumerate(found):
            mask = png(_paint((blob,), (255,), width, height))
            folder.write(f"stage1_train/{name}/masks/{identity(name, number)}.png", mask)
        objects = tuple(_object(blob, "nucleus", width, height) for blob in found)
        counts = counts_of(objects, ("nucleus",))
        items.append(ImageTruth(path=path, width=width, height=height, objects=objects, counts=counts))
    return items


def write_labelmaps(folder: Folder, images: int) -> list[ImageTruth]:
    """`images/CHEST_0000.png`, of 16 and 8 bits in turn, and `masks/CHEST_0000_mask.png` with values as in `ORGANS`."""
    items: list[ImageTruth] = []
    for index in range(images):
        rng = generator(folder.seed, folder.id, index)
        drawn = chest(rng, anatomy(rng))
        height, width = drawn.brightness.shape
        bits = 8 if index % 2 else 16
        levels = np.floor(drawn.brightness * np.float32(2**bits - 1))
        pixels = levels.astype(np.uint8) if bits == 8 else levels.astype(np.uint16)
        organs = (drawn.right_lung, drawn.left_lung, drawn.heart)
        path = f"images/CHEST_{index:04d}.png"
        folder.write(path, png(pixels))
        folder.write(f"masks/CHEST_{index:04d}_mask.png", png(_paint(organs, (1, 2, 3), width, height)))
        objects = tuple(_object(blob, label, width, height) for blob, label in zip(organs, ORGANS, strict=True))
        counts = counts_of(objects, ORGANS)
        items.append(ImageTruth(path=path, width=width, height=height, bit_depth=bits, objects=objects, counts=counts))
    return items
