"""Label maps in the formats of volumes: whole numbers on a grid, in the orientation nearest to LPS."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Final

import numpy as np

from curate.geometry_3d import Grid
from curate.images.volume_data import Array, VolumeData, VolumeLimits
from curate.images.volumes import VolumeFile, read_volume
from curate.schema import Reason, Refusal

__all__ = ["LabelMap", "VolumeFile", "label_map_of", "read_label_map"]

LARGEST: Final = 2**31 - 1


@dataclass(frozen=True, slots=True)
class LabelMap:
    """Values [slice, row, column], and where their voxels lie."""

    values: Array = field(repr=False)
    grid: Grid
    frame_of_reference: str | None = None  # the raw UID, where the format states one


def read_label_map(
    files: Sequence[VolumeFile], beat: Callable[[], None], limits: VolumeLimits | None = None
) -> LabelMap | Refusal:
    """The label map in a file of any format that volumes come in."""
    limits = VolumeLimits() if limits is None else limits
    volume = read_volume(files, beat=beat, limits=limits, rescale_unit=None)
    return volume if isinstance(volume, Refusal) else label_map_of(volume, limits)


def label_map_of(volume: VolumeData, limits: VolumeLimits) -> LabelMap | Refusal:
    """A volume as a label map.

    Values are the modality's, after any rescaling, and must be whole numbers: many tools store labels as floats. More
    than one time or channel is refused, and so is a grid that the file does not state.
    """
    if volume.axes != "zyx":
        return Refusal(Reason.UNSUPPORTED_FORMAT, f"a mask of axes {volume.axes}: which one holds is not said")
    if volume.grid is None:
        return Refusal(Reason.NO_GEOMETRY, "the mask states no geometry, so its place in the image is not known")
    slope = 1.0 if volume.rescale_slope is None else volume.rescale_slope
    intercept = 0.0 if volume.rescale_intercept is None else volume.rescale_intercept
    as_stored = (slope, intercept) == (1.0, 0.0) and np.issubdtype(volume.dtype, np.integer)
    voxels = math.prod(volume.shape)
    if voxels > limits.max_decoded_bytes:
        return _too_large(voxels, limits)
    values: Array = np.zeros(volume.shape, dtype=np.uint8)  # widened when a value needs it: most maps hold few labels
    filled = 0
    for slab in volume.slabs():
        if isinstance(slab, Refusal):
            return slab
        whole = slab if as_stored else _whole_numbers(slab, slope, intercept)
        if isinstance(whole, Refusal):
            return whole
        wide = np.promote_types(values.dtype, np.promote_types(*map(np.min_scalar_type, _ends(whole))))
        if wide != values.dtype:
            if voxels * wide.itemsize > limits.max_decoded_bytes:
                return _too_large(voxels * wide.itemsize, limits)
            values = values.astype(wide)
        values[filled : filled + len(whole)] = whole
        filled += len(whole)
    if filled != volume.shape[0]:
        return Refusal(Reason.TRUNCATED_IMAGE, f"{filled} of {volume.shape[0]} slices could be read")
    return LabelMap(values, volume.grid, volume.frame_of_reference)


def _ends(values: Array) -> tuple[int, int]:
    """The smallest and the largest of whole numbers; zeros where there is none."""
    return (int(values.min()), int(values.max())) if values.size else (0, 0)


def _too_large(size: int, limits: VolumeLimits) -> Refusal:
    return Refusal(Reason.TOO_MANY_PIXELS, f"{size} bytes when decoded, the limit is {limits.max_decoded_bytes}")


def _whole_numbers(slab: Array, slope: float, intercept: float) -> Array | Refusal:
    scaled = slab.astype(np.float64) * slope + intercept
    whole = np.rint(scaled)
    with np.errstate(invalid="ignore"):
        wrong = ~(np.abs(scaled - whole) <= 1e-4) | (np.abs(whole) > LARGEST)
    if wrong.any():
        return Refusal(Reason.UNSUPPORTED_FORMAT, "a mask whose values are no whole numbers")
    labels: Array = whole.astype(np.int32)
    return labels
