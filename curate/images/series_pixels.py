"""The samples of a series' frames, by the decoders of 2-D DICOM; a frame that is not there in full is refused."""

from collections.abc import Callable

import numpy as np

from curate.images.base import DEFAULT_LIMITS
from curate.images.dicom_file import PixelElement
from curate.images.dicom_pixels import open_image, read_frame
from curate.images.series_headers import FileHeader, Raster, header_digest
from curate.images.volume_data import Array
from curate.schema import Reason, Refusal

__all__ = ["FrameReader", "frames_of"]

FrameReader = Callable[[int], Array | Refusal]
"""0-based index of a frame -> its samples (rows, columns), with RGB last where there is colour."""


def frames_of(data: bytes, header: FileHeader, words: set[str]) -> FrameReader | Refusal:
    """A reader of the frames of a file whose header was read before; `data` is the whole file.

    What decoding shows of a frame is added to `words`, as `changes` has it.
    """
    changed = Refusal(Reason.UNREADABLE_FILE, "the file changed while it was read")
    if header.pixels is not None:
        same = header_digest(data, header.pixels) == header.digest
        return _plain(data, header.pixels, header, words) if same else changed
    image = open_image(data, DEFAULT_LIMITS)
    if isinstance(image, Refusal):
        return image
    if header_digest(image.file.data, image.file.pixels) != header.digest:
        return changed

    def read(frame: int) -> Array | Refusal:
        try:
            decoded = read_frame(image, frame)
        except (KeyboardInterrupt, SystemExit):
            raise
        except BaseException as problem:  # (a decoder in Rust panics with what is no Exception)
            return Refusal(Reason.CORRUPT_IMAGE, f"the pixel data do not decode ({type(problem).__name__})")
        if isinstance(decoded, Refusal):
            return decoded
        words.update(decoded.changes)
        return _checked(decoded.samples, header.raster)

    return read


def _plain(data: bytes, pixels: PixelElement, header: FileHeader, words: set[str]) -> FrameReader | Refusal:
    """Grey samples as they lie: a series of them need not have each header parsed again."""
    raster, held = header.raster, len(data) - pixels.start
    if pixels.length is None:
        return Refusal(Reason.INVALID_HEADER, "uncompressed pixel data without a length")
    count = raster.rows * raster.columns
    needed = max(pixels.length, count * raster.dtype.itemsize * len(header.slices))
    if min(pixels.length, held) < needed:
        return Refusal(Reason.TRUNCATED_IMAGE, f"{min(pixels.length, held)} bytes of pixels, {needed} are needed")
    unused = 0 if raster.is_float else raster.allocated - raster.stored
    low = -(1 << raster.stored - 1) if raster.dtype.kind == "i" else 0
    high = low + (1 << raster.stored) - 1

    def read(frame: int) -> Array:
        start = pixels.start + frame * count * raster.dtype.itemsize
        flat = np.frombuffer(data, raster.dtype.newbyteorder("<"), count, start)
        samples = flat.reshape(raster.rows, raster.columns).astype(raster.dtype, copy=False)
        # Bits above Bits Stored are no part of a value (PS3.5, 8.1.1) and take its sign.
        if not unused or (low <= int(samples.min()) and int(samples.max()) <= high):
            return samples
        words.add("sign_extended" if raster.dtype.kind == "i" else "unused_bits_cleared")
        return (samples << unused) >> unused

    return read


def _checked(samples: Array, raster: Raster) -> Array | Refusal:
    """Samples of the size and the type that the header states; the decoder's own word is not taken for either."""
    expected = (raster.rows, raster.columns, *((raster.samples,) if raster.samples > 1 else ()))
    if samples.shape != expected:
        return Refusal(Reason.CORRUPT_IMAGE, f"a frame decodes to {samples.shape}, the header states {expected}")
    if samples.dtype == raster.dtype:
        return samples
    if samples.dtype.kind != raster.dtype.kind or samples.dtype.itemsize > raster.dtype.itemsize:
        return Refusal(Reason.CORRUPT_IMAGE, f"a frame decodes to {samples.dtype}, the header states {raster.dtype}")
    return samples.astype(raster.dtype)
