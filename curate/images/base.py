"""What every image format shares: limits, the delivered image, and quiet decoders."""

import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Final, Literal

import numpy as np
import numpy.typing as npt

from curate.schema import Reason, Refusal

__all__ = ["DEFAULT_LIMITS", "Array", "Delivered", "Limits", "ratio_refusal", "size_refusal"]

Array = npt.NDArray[Any]

MAX_PIXELS: Final = 200_000_000
"""Rows times columns: above the largest single radiograph or gigapixel-camera frame, below any whole slide."""

MAX_BYTES: Final = 512 * 2**20
"""Of one encoded file; also of one decoded raster, so that a worker with its copies stays within 2 GB."""

MAX_RATIO: Final = 4000
"""Decoded over encoded bytes. Deflate cannot pass 1032, and 1-bit pixels that become bytes multiply it by eight only
for blank images, which stay below `RATIO_FREE_BYTES` unless they are meant to harm."""

RATIO_FREE_BYTES: Final = 64 * 2**20
"""Decoded size up to which no ratio is suspicious: blank masks compress without bound and cost little."""


@dataclass(frozen=True, slots=True)
class Limits:
    """What one item may cost. Each is checked from the header, before anything is decoded."""

    max_pixels: int = MAX_PIXELS
    max_bytes: int = MAX_BYTES
    max_decoded_bytes: int = MAX_BYTES
    max_ratio: int = MAX_RATIO


DEFAULT_LIMITS: Final = Limits()


@dataclass(frozen=True, slots=True, kw_only=True)
class Delivered:
    """One image as it is stored: the raster is the source's, before any EXIF rotation.

    `changes` is empty where the bytes are stored as they came, else words of the form `name` or `name:detail`:

    `metadata_stripped`, `trailing_bytes_trimmed`, `stray_bytes_removed`, `end_marker_added`: bytes, never pixels;
    `decoder_warning:which`: kept although a decoder warned, of something that leaves the pixels whole;
    `reencoded_png:from=format`: decoded and stored anew without loss; `rgb:from=model`: colours converted;
    `offset:number`: added to signed values, and undone by the rescale; `first_frame:of=number`.

    Of DICOM also `decoder:name`: the first of its transfer syntax refused; `unused_bits_cleared`, `sign_extended`,
    `shifted:bits`: bits that are no sample's; `overlays_ignored:number`: planes that were left out.

    `affine_lps` places a slice in the patient (16 numbers, see `geometry_3d`); `frame_of_reference` is the raw
    identifier of that space: only its token may be stored. `spacing_mm` is (row, column). `rescale_slope` and
    `rescale_intercept` map the values of `data` to modality units; null where no tag states such a map.
    """

    data: bytes
    media_type: Literal["image/jpeg", "image/png"]
    width: int
    height: int
    channels: int
    bit_depth: int
    changes: tuple[str, ...]
    phash: int
    exif_orientation: int | None = None
    spacing_mm: tuple[float, float] | None = None
    photometric: str | None = None
    rescale_slope: float | None = None
    rescale_intercept: float | None = None
    rescale_unit: str | None = None
    affine_lps: tuple[float, ...] | None = None
    frame_of_reference: str | None = None


def size_refusal(width: int, height: int, limits: Limits) -> Refusal | None:
    """A refusal where a header states a raster that is empty or beyond the limit."""
    if width <= 0 or height <= 0:
        return Refusal(Reason.CORRUPT_IMAGE, f"the header states a raster of {width} x {height} pixels")
    if width * height > limits.max_pixels:
        return Refusal(Reason.TOO_MANY_PIXELS, f"{width} x {height} pixels, the limit is {limits.max_pixels}")
    return None


def ratio_refusal(decoded_bytes: int, encoded_bytes: int, limits: Limits) -> Refusal | None:
    """A refusal where decoding would cost more memory than one item may, or than its bytes can honestly hold."""
    if decoded_bytes > limits.max_decoded_bytes:
        return Refusal(
            Reason.TOO_MANY_PIXELS, f"{decoded_bytes} bytes when decoded, the limit is {limits.max_decoded_bytes}"
        )
    if decoded_bytes > RATIO_FREE_BYTES and decoded_bytes > limits.max_ratio * encoded_bytes:
        return Refusal(
            Reason.TOO_MANY_PIXELS,
            f"{encoded_bytes} bytes claim to decode to {decoded_bytes}, the limit is {limits.max_ratio} to 1",
        )
    return None


class _Quiet:
    """Counts the threads that decode, so that Python's process-wide warning filters change once and change back once.

    `warnings.catch_warnings` alone is not safe when threads overlap: the last to leave may restore the filters of
    another one.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._depth = 0
        self._caught = warnings.catch_warnings()

    def enter(self) -> None:
        with self._lock:
            if self._depth == 0:
                self._caught = warnings.catch_warnings()
                self._caught.__enter__()
                warnings.simplefilter("ignore")
            self._depth += 1

    def leave(self) -> None:
        with self._lock:
            self._depth -= 1
            if self._depth == 0:
                self._caught.__exit__(None, None, None)


_QUIET: Final = _Quiet()


@contextmanager
def quiet() -> Iterator[None]:
    """Decoders' warnings are silent within: they speak of values that may belong to a patient.

    What matters among them is checked here by value: sizes before decoding, lengths after.
    """
    _QUIET.enter()
    try:
        yield
    finally:
        _QUIET.leave()


def as_bytes_range(array: Array) -> npt.NDArray[np.uint8]:
    """Samples of more than 8 bits shifted into 8, by the bits that their range needs; 8-bit samples as they are."""
    if array.dtype == np.uint8:
        return array
    low = int(array.min())
    shift = max(0, (int(array.max()) - low).bit_length() - 8)
    shifted: npt.NDArray[np.uint8] = ((array - np.asarray(low, array.dtype)) >> shift).astype(np.uint8)
    return shifted
