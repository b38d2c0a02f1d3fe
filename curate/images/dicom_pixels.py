"""DICOM frames: the stored values themselves, with the map to modality units beside them, and a picture for the eye.

A frame as an asset has no window, no inversion and no masking: a MONOCHROME1 frame stays one, and `photometric` says
so. What the eye cannot see that way has a rendering beside it (see `windows`).
"""

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Final

import numpy as np

from curate.images import windows
from curate.images.base import Array, Delivered, Limits, quiet
from curate.images.dicom import encapsulates, keyword_text
from curate.images.dicom_codecs import SYNTAXES, by_pydicom, decode_compressed
from curate.images.dicom_facts import (
    Display,
    affine_of,
    display_of,
    frame_of_reference_of,
    padding_of,
    rescale_of,
    spacing_of,
)
from curate.images.dicom_file import DicomFile, open_file
from curate.images.dicom_fragments import Items, frame_bytes, frame_items, read_items
from curate.images.dicom_layout import RLE, Layout, layout_of, within_bits
from curate.images.dicom_tables import Palette, apply_palette, apply_table, palette_of
from curate.images.store_png import from_samples
from curate.rows import Window
from curate.schema import Reason, Refusal

if TYPE_CHECKING:
    from pydicom.dataset import Dataset

__all__ = [
    "DicomImage",
    "Frame",
    "Rendering",
    "deliver_dicom",
    "delivered_frame",
    "open_image",
    "read_frame",
    "rendering_of",
    "rescale_of",
    "spacing_of",
]

PNG_BITS: Final = 16
"""What a PNG holds; floats and wider integers go to an array."""

EYE_BITS: Final = 8


@dataclass(frozen=True, slots=True)
class DicomImage:
    """An opened file with pixels, checked as far as its header goes; `read_frame` decodes."""

    file: DicomFile = field(repr=False)
    layout: Layout
    frames: int
    items: Items | None
    spans: tuple[tuple[int, int], ...]
    palette: Palette | None
    limits: Limits


@dataclass(frozen=True, slots=True)
class Frame:
    """One decoded frame: rows, columns, and RGB where there is colour, as the file stores them.

    `rescale` maps `samples` to modality units. `frame_of_reference` is the raw identifier.
    """

    samples: Array = field(repr=False)
    layout: Layout
    photometric: str
    changes: tuple[str, ...]
    display: Display
    padding: tuple[float, float] | None
    rescale: tuple[float | None, float | None, str | None]
    spacing_mm: tuple[float, float] | None
    affine_lps: tuple[float, ...] | None
    frame_of_reference: str | None
    modality: str | None

    @property
    def is_deep(self) -> bool:
        """True where no PNG holds the values: floats, and integers of more than 16 bits."""
        return self.samples.dtype.kind == "f" or 8 * self.samples.itemsize > PNG_BITS


@dataclass(frozen=True, slots=True)
class Rendering:
    """A frame for the eye: 8 bits, through `window`."""

    samples: Array = field(repr=False)
    window: Window
    photometric: str
    changes: tuple[str, ...]


def deliver_dicom(data: bytes, frame: int | None, limits: Limits) -> Delivered | Refusal:
    """One frame, 0-based, as 8-bit or 16-bit PNG; the first where none is named."""
    image = open_image(data, limits)
    if isinstance(image, Refusal):
        return image
    read = read_frame(image, frame)
    if isinstance(read, Refusal):
        return read
    if read.is_deep:
        bits = 8 * read.samples.itemsize
        return Refusal(Reason.UNSUPPORTED_FORMAT, f"samples of {bits} bits: no PNG holds them without loss")
    return delivered_frame(read)


def open_image(data: bytes, limits: Limits) -> DicomImage | Refusal:
    """A file whose header agrees with itself and with the length of its pixel data; nothing is decoded."""
    if len(data) > limits.max_bytes:
        return Refusal(Reason.TOO_LARGE, f"{len(data)} bytes, the limit is {limits.max_bytes}")
    with quiet():
        file = open_file(data, limits)
        return file if isinstance(file, Refusal) else _image_of(file, limits)


def _image_of(file: DicomFile, limits: Limits) -> DicomImage | Refusal:
    checked = layout_of(file, limits)
    if isinstance(checked, Refusal):
        return checked
    layout, frames = checked
    items: Items | None = None
    spans: tuple[tuple[int, int], ...] = ()
    if encapsulates(file.syntax):
        found = _encapsulated(file, frames)
        if isinstance(found, Refusal):
            return found
        items, spans = found
    palette = None
    if layout.photometric == "PALETTE COLOR":
        palette = palette_of(file.dataset, little_endian=file.little_endian)
        if palette is None or layout.is_float or layout.allocated > PNG_BITS:
            return Refusal(Reason.INVALID_HEADER, "the palette is absent, or not as long as its descriptor says")
    return DicomImage(file, layout, frames, items, spans, palette, limits)


def _encapsulated(file: DicomFile, frames: int) -> tuple[Items, tuple[tuple[int, int], ...]] | Refusal:
    assert file.pixels is not None
    if file.syntax not in SYNTAXES:
        return Refusal(Reason.UNSUPPORTED_FORMAT, "a transfer syntax that no decoder here reads")
    if file.pixels.keyword != "PixelData":
        return Refusal(Reason.UNSUPPORTED_FORMAT, "floating point pixels that are compressed")
    items = read_items(file.data, file.pixels.start, file.pixels.length)
    if isinstance(items, Refusal):
        return items
    spans = frame_items(file.data, items, frames, _extended_offsets(file.dataset))
    return spans if isinstance(spans, Refusal) else (items, tuple(spans))


def _extended_offsets(dataset: "Dataset") -> tuple[int, ...] | None:
    value = dataset.get("ExtendedOffsetTable")
    if not isinstance(value, bytes) or not value or len(value) % 8:
        return None
    return tuple(np.frombuffer(value, "<u8").tolist())


def read_frame(image: DicomImage, frame: int | None = None) -> Frame | Refusal:
    """One frame, 0-based, decoded, with what its header says of it; the first where none is named."""
    number = frame or 0
    if not 0 <= number < image.frames:
        return Refusal(Reason.NO_PIXELS, f"there is no frame {number}, the object states {image.frames}")
    with quiet():
        try:
            return _read(image, number, named=frame is not None)
        except MemoryError:
            return Refusal(Reason.MEMORY_LIMIT, "decoding asks for more memory than there is")
        except Exception as problem:  # (decoders raise whatever they meet)
            return Refusal(Reason.CORRUPT_IMAGE, f"the pixel data do not decode ({type(problem).__name__})")


def _samples(image: DicomImage, number: int) -> tuple[Array, tuple[str, ...]] | Refusal:
    """A frame as the file stores it, colours as RGB, and words for what was done to its bits."""
    decoded = _native(image, number) if image.items is None else _compressed(image, number)
    if isinstance(decoded, Refusal):
        return decoded
    samples, words = decoded
    if image.palette is not None:
        samples = apply_palette(samples, image.palette)
    return samples, words


def _read(image: DicomImage, number: int, *, named: bool) -> Frame | Refusal:
    decoded = _samples(image, number)
    if isinstance(decoded, Refusal):
        return decoded
    samples, words = decoded
    layout, dataset = image.layout, image.file.dataset
    changes = [*words]
    photometric = layout.photometric
    if samples.ndim == 3:
        if photometric != "RGB":
            changes.append(f"rgb:from={photometric.lower().replace(' ', '_')}")
        photometric = "RGB"
    if not named and image.frames > 1:
        changes.append(f"first_frame:of={image.frames}")
    if image.file.overlays:
        changes.append(f"overlays_ignored:{image.file.overlays}")
    return Frame(
        samples=_narrowed(samples, layout),
        layout=layout,
        photometric=photometric,
        changes=tuple(changes),
        display=display_of(dataset, number, little_endian=image.file.little_endian),
        padding=padding_of(dataset, signed=layout.signed),
        rescale=rescale_of(dataset, number),
        spacing_mm=spacing_of(dataset, number),
        affine_lps=affine_of(dataset, number, image.frames),
        frame_of_reference=frame_of_reference_of(dataset),
        modality=keyword_text(dataset, "Modality"),
    )


def _native(image: DicomImage, number: int) -> tuple[Array, tuple[str, ...]]:
    """A frame that is not compressed."""
    layout, file = image.layout, image.file
    pixels = file.pixels
    assert pixels is not None
    if layout.allocated == 1 or layout.photometric == "YBR_FULL_422" or not file.little_endian:
        data = memoryview(file.data)[pixels.start : pixels.start + (pixels.length or 0)]
        syntax = file.syntax if not file.little_endian else "1.2.840.10008.1.2.1"
        if layout.is_float:
            samples = np.frombuffer(data, layout.dtype.newbyteorder(">"), _count(layout), number * layout.decoded_bytes)
            return samples.astype(layout.dtype).reshape(layout.rows, layout.columns), ()
        samples = by_pydicom(data, syntax, layout, frame=number, frames=image.frames, vr=pixels.vr)
        samples = samples.astype(samples.dtype.newbyteorder("="))
    else:
        start = pixels.start + number * layout.decoded_bytes
        samples = np.frombuffer(file.data, layout.dtype, _count(layout), start)
        if layout.samples == 1:
            samples = samples.reshape(layout.rows, layout.columns)
        elif layout.planar:
            samples = np.ascontiguousarray(
                samples.reshape(layout.samples, layout.rows, layout.columns).transpose(1, 2, 0)
            )
        else:
            samples = samples.reshape(layout.rows, layout.columns, layout.samples)
        if layout.photometric == "YBR_FULL":
            from pydicom.pixels.processing import convert_color_space

            samples = convert_color_space(samples.copy(), "YBR_FULL", "RGB")
    samples, word = within_bits(samples, layout)
    return samples, () if word is None else (word,)


def _count(layout: Layout) -> int:
    return layout.rows * layout.columns * layout.samples


def _compressed(image: DicomImage, number: int) -> tuple[Array, tuple[str, ...]] | Refusal:
    assert image.items is not None
    encoded = frame_bytes(image.file.data, image.items, image.spans[number])
    decoded = decode_compressed(encoded, image.file.syntax, image.layout, image.limits)
    if isinstance(decoded, Refusal):
        return decoded
    samples, decoder = decoded
    words = [] if decoder is None else [f"decoder:{decoder}"]
    layout = image.layout
    if image.file.syntax != RLE:
        # A code stream holds the samples and no other bits: there is nothing to shift out of the way.
        layout = replace(layout, high_bit=layout.stored - 1)
    samples, word = within_bits(samples, layout)
    return samples, tuple(words if word is None else [*words, word])


def _narrowed(samples: Array, layout: Layout) -> Array:
    """Samples in the fewest of 8 and 16 bits that all values of their stored bits need; wider ones as they are."""
    if samples.dtype.kind == "f" or (samples.ndim == 3 and layout.samples == 1):
        return samples
    bits = 8 if layout.stored <= EYE_BITS and not layout.signed else 16
    if layout.stored > PNG_BITS or 8 * samples.itemsize <= bits:
        return samples
    narrow: Array = samples.astype(f"{samples.dtype.kind}{bits // 8}")
    return narrow


def delivered_frame(frame: Frame) -> Delivered:
    """A frame of at most 16 bits as PNG: signed values are offset, and the rescale undoes it."""
    samples, changes = frame.samples, ["reencoded_png:from=dicom", *frame.changes]
    slope, intercept, unit = frame.rescale
    if samples.dtype.kind == "i":
        # By the bits of the type, not by the values: the same number in every slice of a series.
        offset = 1 << (8 * samples.itemsize - 1)
        samples = samples.view(samples.dtype.str.replace("i", "u")) ^ np.asarray(offset, f"u{samples.itemsize}")
        changes.append(f"offset:{offset}")
        if frame.display.modality is None:
            slope, intercept = slope or 1.0, (intercept or 0.0) - (slope or 1.0) * offset
    return from_samples(
        samples,
        changes=tuple(changes),
        spacing_mm=frame.spacing_mm,
        photometric=frame.photometric,
        rescale_slope=slope,
        rescale_intercept=intercept,
        rescale_unit=unit,
        affine_lps=frame.affine_lps,
        frame_of_reference=frame.frame_of_reference,
    )


def rendering_of(frame: Frame) -> Rendering | None:
    """A frame as the eye should see it; null where the stored raster is that already.

    The header's first view; else the whole range of 8 stored bits, or percentiles of what is no padding. Colours of
    more than 8 bits keep their highest 8.
    """
    if frame.samples.ndim == 3:
        return _colour_rendering(frame)
    display, samples = frame.display, frame.samples
    changes = [f"{name}_unusable" for name in display.broken]
    slope, intercept, _ = frame.rescale
    if display.modality is not None and samples.dtype.kind in "iu":
        samples, slope, intercept = apply_table(samples, display.modality), None, None
        changes.append("modality_lut")
    window = display.window
    if window is None and _is_whole(frame):
        window = _range(EYE_BITS, slope, intercept)
    elif window is None:
        ignored = frame.padding if display.modality is None else None
        window = windows.percentile_window(samples, slope=slope, intercept=intercept, ignore=ignored)
        if ignored is not None:
            changes.append("padding_ignored")
    elif display.views > 1:
        changes.append(f"first_view:of={display.views}")
    shown = windows.render(
        samples, slope=slope, intercept=intercept, window=window, invert=display.invert, lut=display.table
    )
    if shown.dtype == frame.samples.dtype and np.array_equal(shown, frame.samples):
        return None
    if display.invert:
        changes.append("inverted")
    return Rendering(shown, window, "MONOCHROME2", ("rendered", *changes))


def _is_whole(frame: Frame) -> bool:
    """Whether the stored values are grey levels from black to white already, or from white to black."""
    return frame.samples.dtype == np.uint8 and frame.layout.stored == EYE_BITS and frame.display.modality is None


def _range(bits: int, slope: float | None = None, intercept: float | None = None) -> Window:
    """The window that shows every value that so many bits can hold, in modality units."""
    most, step = float(2**bits - 1), slope or 1.0
    return Window(most / 2 * step + (intercept or 0.0), most * abs(step), "linear_exact", "range")


def _colour_rendering(frame: Frame) -> Rendering | None:
    if frame.samples.dtype == np.uint8:
        return None
    bits = (
        min(frame.layout.stored, 8 * frame.samples.itemsize)
        if frame.layout.samples == 3
        else 8 * frame.samples.itemsize
    )
    shown = windows.render(frame.samples, slope=None, intercept=None, window=_range(bits))
    return Rendering(shown, _range(bits), "RGB", ("rendered",))
