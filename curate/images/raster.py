"""One image on its way in: told apart by its bytes, checked in full, and stored with its compressed pixels untouched.

Browser-safe JPEG and PNG keep their compressed pixels; metadata segments are stripped without loss. Everything else is
decoded and stored as PNG, which `changes` says. Decoding is deterministic: the integer transforms of the decoders give
the same samples on every machine for one version of a library; the bytes of a new PNG also depend on the architecture.
The hash is the difference hash of the luma that `hash` defines.
"""

import hashlib
from typing import Final

from curate.images.base import DEFAULT_LIMITS, Array, Delivered, Limits
from curate.images.formats import Format, format_of
from curate.images.jpeg import decode_jpeg, read_jpeg
from curate.images.png import GREY_ALPHA, PALETTE, Png, inflate
from curate.images.png import walk as walk_png
from curate.images.samples import drawn_samples, hash_of_png
from curate.images.store_png import from_samples
from curate.schema import Reason, Refusal

__all__ = ["decode", "deliver", "frames_of", "pixel_sha256"]

_KNOWN: Final = "JPEG, PNG, DICOM, TIFF, BMP, GIF, WebP and JPEG 2000 are read"


def deliver(
    data: bytes, *, frame: int | None = None, keep_metadata: bool = False, limits: Limits = DEFAULT_LIMITS
) -> Delivered | Refusal:
    """The image in a file's bytes, verified in full, as it is to be stored.

    `frame` picks one of a multi-frame DICOM, a multi-page TIFF or an animation, 0-based; without it the first is
    taken, and `changes` says of how many. `keep_metadata` leaves EXIF and text where they are. Safe to call from
    threads: the decoders release the interpreter lock.
    """
    known = _admitted(data, limits)
    if isinstance(known, Refusal):
        return known
    if known in {Format.JPEG, Format.PNG} and frame:
        return Refusal(Reason.NO_PIXELS, f"there is no frame {frame}")
    if known is Format.JPEG:
        return _deliver_jpeg(data, keep_metadata, limits)
    if known is Format.PNG:
        return _deliver_png(data, keep_metadata, limits)
    if known is Format.DICOM:
        from curate.images.dicom_pixels import deliver_dicom

        return deliver_dicom(data, frame, limits)
    return _deliver_foreign(data, known, frame, limits)


def frames_of(data: bytes, limits: Limits = DEFAULT_LIMITS) -> int | Refusal:
    """How many images a file holds; 0 for a DICOM object without pixels."""
    known = _admitted(data, limits)
    if isinstance(known, Refusal):
        return known
    if known in {Format.JPEG, Format.PNG, Format.BMP, Format.JPEG2000}:
        return 1
    if known is Format.DICOM:
        from curate.images.dicom import read_header

        header = read_header(data, limits)
        return header if isinstance(header, Refusal) else header.frames
    from curate.images.foreign import count_frames

    return count_frames(data, known)


def decode(data: bytes, limits: Limits = DEFAULT_LIMITS) -> Array:
    """The samples of a stored JPEG or PNG as a viewer draws them, before any EXIF rotation.

    Rows, columns, and channels where there is more than one; uint8 or uint16. Palettes are applied, small depths scaled
    to 8 bits, alpha that is opaque everywhere left out. Raises `ValueError` for bytes that `deliver` did not give.
    """
    known = format_of(data)
    if known is Format.JPEG:
        return decode_jpeg(data)
    png = walk_png(data, keep_metadata=True, limits=limits) if known is Format.PNG else None
    if not isinstance(png, Png):
        raise ValueError("not a stored image: decode() reads what deliver() gave")
    raw = inflate(png)
    if isinstance(raw, Refusal):
        raise ValueError(f"a stored image is damaged: {raw.detail}")
    return drawn_samples(png, raw)


def pixel_sha256(data: bytes, limits: Limits = DEFAULT_LIMITS) -> str:
    """sha256 over shape, depth and samples of a stored image: equal for equal pixels, however they were coded.

    A grey image and the same picture as RGB with equal channels differ; a palette and the RGB it stands for do not.
    Samples enter in big-endian order.
    """
    samples = decode(data, limits)
    digest = hashlib.sha256(f"{samples.shape} {8 * samples.itemsize} ".encode())
    digest.update(samples.astype(samples.dtype.newbyteorder(">"), order="C", copy=False).data)
    return digest.hexdigest()


def _admitted(data: bytes, limits: Limits) -> Format | Refusal:
    if not data:
        return Refusal(Reason.EMPTY_FILE, "no bytes")
    if len(data) > limits.max_bytes:
        return Refusal(Reason.TOO_LARGE, f"{len(data)} bytes, the limit is {limits.max_bytes}")
    known = format_of(data)
    return known or Refusal(Reason.UNSUPPORTED_FORMAT, f"the first bytes are of no known format; {_KNOWN}")


def _deliver_jpeg(data: bytes, keep_metadata: bool, limits: Limits) -> Delivered | Refusal:
    read = read_jpeg(data, keep_metadata=keep_metadata, limits=limits)
    if isinstance(read, Refusal):
        return read
    jpeg, found = read
    if not isinstance(found, int):
        source = "cmyk_jpeg" if jpeg.frame.components == 4 else "arithmetic_jpeg"
        return from_samples(found, changes=(f"reencoded_png:from={source}",), exif_orientation=jpeg.orientation)
    return Delivered(
        data=jpeg.data,
        media_type="image/jpeg",
        width=jpeg.frame.width,
        height=jpeg.frame.height,
        channels=jpeg.frame.components,
        bit_depth=8,
        changes=jpeg.changes,
        phash=found,
        exif_orientation=jpeg.orientation,
    )


def _deliver_png(data: bytes, keep_metadata: bool, limits: Limits) -> Delivered | Refusal:
    png = walk_png(data, keep_metadata=keep_metadata, limits=limits)
    if isinstance(png, Refusal):
        return png
    raw = inflate(png)
    if isinstance(raw, Refusal):
        return raw
    header = png.header
    channels = header.channels
    if header.colour == PALETTE:
        channels = 3
    if png.transparency is not None and header.colour < GREY_ALPHA:
        channels += 1
    return Delivered(
        data=png.data,
        media_type="image/png",
        width=header.width,
        height=header.height,
        channels=channels,
        bit_depth=max(8, header.depth),
        changes=png.changes,
        phash=hash_of_png(png, raw),
        exif_orientation=png.orientation,
    )


def _deliver_foreign(data: bytes, known: Format, frame: int | None, limits: Limits) -> Delivered | Refusal:
    from curate.images.foreign import decode_foreign

    raster = decode_foreign(data, known, frame, limits)
    if isinstance(raster, Refusal):
        return raster
    changes = [f"reencoded_png:from={known}", *raster.changes]
    if raster.frames > 1:
        changes.append(f"first_frame:of={raster.frames}")
    if raster.offset:
        changes.append(f"offset:{raster.offset}")
    return from_samples(
        raster.samples,
        changes=tuple(changes),
        icc_profile=raster.icc_profile,
        exif_orientation=raster.orientation,
        photometric=raster.photometric,
        rescale_slope=1.0 if raster.offset else None,
        rescale_intercept=float(-raster.offset) if raster.offset else None,
    )
