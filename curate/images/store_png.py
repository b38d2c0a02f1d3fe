"""Decoded samples on their way out: one PNG with its hash."""

from curate.images.base import Array, Delivered
from curate.images.hash import hash_of_array
from curate.images.png import encode_png

__all__ = ["from_samples"]


def from_samples(
    samples: Array,
    *,
    changes: tuple[str, ...],
    icc_profile: bytes | None = None,
    exif_orientation: int | None = None,
    spacing_mm: tuple[float, float] | None = None,
    photometric: str | None = None,
    rescale_slope: float | None = None,
    rescale_intercept: float | None = None,
    rescale_unit: str | None = None,
    affine_lps: tuple[float, ...] | None = None,
    frame_of_reference: str | None = None,
) -> Delivered:
    """Samples of 8 or 16 bits as a delivered PNG: rows, columns, and channels where there is more than one."""
    height, width = samples.shape[:2]
    return Delivered(
        data=encode_png(samples, icc_profile=icc_profile),
        media_type="image/png",
        width=width,
        height=height,
        channels=1 if samples.ndim == 2 else samples.shape[2],
        bit_depth=8 * samples.itemsize,
        changes=changes,
        phash=hash_of_array(samples),
        exif_orientation=exif_orientation,
        spacing_mm=spacing_mm,
        photometric=photometric,
        rescale_slope=rescale_slope,
        rescale_intercept=rescale_intercept,
        rescale_unit=rescale_unit,
        affine_lps=affine_lps,
        frame_of_reference=frame_of_reference,
    )
