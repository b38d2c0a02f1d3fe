"""A DICOM file opened: its data set up to the pixel data, and where those lie.

Only elements of an allow-list are taken from the file, as they stand; pydicom converts a value when it is asked for.
Nothing is guessed: a file without its preamble and prefix is not DICOM here (PS3.10, 7.1; a data set that begins with
an arbitrary tag cannot be told from other bytes), and deflated data sets are inflated under a limit before any parser
sees them. A parser's own words never leave: they may quote a patient.
"""

import io
import struct
from dataclasses import dataclass, field
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final

from isal import isal_zlib

from curate.images import dicom_elements
from curate.images.base import Limits
from curate.images.dicom_elements import PIXEL_TAGS, Element, Irregular, TooDeep, TooShort
from curate.schema import Reason, Refusal

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pydicom.dataelem import DataElement, RawDataElement
    from pydicom.dataset import Dataset
    from pydicom.tag import BaseTag

__all__ = [
    "HEADER_KEYWORDS",
    "IDENTIFIER_KEYWORDS",
    "DicomFile",
    "PixelElement",
    "cut_short",
    "inflated",
    "open_file",
    "tag_of",
    "wanted",
]

HEADER_KEYWORDS: Final = frozenset(
    {
        "AcquisitionNumber",
        "BitsAllocated",
        "BitsStored",
        "BodyPartExamined",
        "BurnedInAnnotation",
        "Columns",
        "EchoTime",
        "ImageLaterality",
        "ImageType",
        "ImagerPixelSpacing",
        "InstanceNumber",
        "KVP",
        "Laterality",
        "LossyImageCompression",
        "MRAcquisitionType",
        "MagneticFieldStrength",
        "Modality",
        "NumberOfFrames",
        "PatientIdentityRemoved",
        "PatientOrientation",
        "PatientPosition",
        "PhotometricInterpretation",
        "PixelRepresentation",
        "PixelSpacing",
        "PresentationIntentType",
        "RepetitionTime",
        "RescaleIntercept",
        "RescaleSlope",
        "RescaleType",
        "Rows",
        "SOPClassUID",
        "SamplesPerPixel",
        "ScanningSequence",
        "SequenceVariant",
        "SeriesNumber",
        "SliceThickness",
        "SpacingBetweenSlices",
        "ViewPosition",
    }
)
"""What a card may read from a header: codes and numbers, no free text, no names, no dates."""

IDENTIFIER_KEYWORDS: Final = (
    "PatientID",
    "StudyInstanceUID",
    "SeriesInstanceUID",
    "SOPInstanceUID",
    "FrameOfReferenceUID",
)
"""Read only to be turned into tokens; never stored."""

PIXEL_KEYWORDS: Final = frozenset(
    {
        "BluePaletteColorLookupTableData",
        "BluePaletteColorLookupTableDescriptor",
        "ExtendedOffsetTable",
        "ExtendedOffsetTableLengths",
        "GreenPaletteColorLookupTableData",
        "GreenPaletteColorLookupTableDescriptor",
        "HighBit",
        "ImageOrientationPatient",
        "ImagePositionPatient",
        "ModalityLUTSequence",
        "MultienergyCTAcquisition",
        "NominalScannedPixelSpacing",
        "PerFrameFunctionalGroupsSequence",
        "PixelPaddingRangeLimit",
        "PixelPaddingValue",
        "PixelPresentation",
        "PixelSpacingCalibrationType",
        "PlanarConfiguration",
        "PresentationLUTShape",
        "RedPaletteColorLookupTableData",
        "RedPaletteColorLookupTableDescriptor",
        "SegmentedBluePaletteColorLookupTableData",
        "SegmentedGreenPaletteColorLookupTableData",
        "SegmentedRedPaletteColorLookupTableData",
        "SequenceOfUltrasoundRegions",
        "SharedFunctionalGroupsSequence",
        "SpecificCharacterSet",
        "VOILUTFunction",
        "VOILUTSequence",
        "WindowCenter",
        "WindowWidth",
    }
)
"""What it takes to read pixels, to place them in the patient, and to show them."""

OVERLAY_GROUPS: Final = frozenset(range(0x6000, 0x6020, 2))
"""Repeating groups of overlay planes (PS3.3 C.9.2)."""
OVERLAY_ROWS: Final = 0x0010
OVERLAY_TAGS: Final = frozenset(group << 16 | OVERLAY_ROWS for group in OVERLAY_GROUPS)

DEFLATED: Final = frozenset({"1.2.840.10008.1.2.1.99", "1.2.840.10008.1.2.4.95", "1.2.840.10008.1.2.4.205"})
"""Transfer syntaxes whose data set is deflated; pydicom knows the first, and reads the others as empty."""

CHARACTER_SET: Final = 0x00080005
IMPLICIT: Final = "1.2.840.10008.1.2"
BIG_ENDIAN: Final = "1.2.840.10008.1.2.2"
EXPLICIT: Final = "1.2.840.10008.1.2.1"
PREFIX: Final = 132

SHORT_VALUE: Final = 128
"""Bytes of a value whose conversion is remembered: the slices of a series share nearly all of theirs."""


@dataclass(frozen=True, slots=True)
class PixelElement:
    """The element that holds the pixels: `length` is null where it is not stated; nothing about it was checked yet."""

    keyword: str
    vr: str
    start: int
    length: int | None


@dataclass(frozen=True, slots=True)
class DicomFile:
    """An opened file. `data` is the file with its data set inflated; `pixels` is null for an object without any.

    `identifiers` and free text are in `dataset` too: what may leave is for `dicom` to say. `elements` are what
    `dataset` holds, to be looked up by `tag_of` without its detours; null where another parser made it.
    """

    data: bytes = field(repr=False)
    dataset: "Dataset" = field(repr=False)
    syntax: str
    little_endian: bool
    pixels: PixelElement | None
    overlays: int
    elements: "Mapping[BaseTag, DataElement | RawDataElement] | None" = field(repr=False, default=None)


def open_file(data: bytes, limits: Limits) -> DicomFile | Refusal:
    """The data set of a file, without touching its pixels."""
    if not data.startswith(b"DICM", 128):
        return Refusal(Reason.INVALID_HEADER, "no DICM prefix after the preamble")
    opened = inflated(data, limits)
    if isinstance(opened, Refusal):
        return opened
    plain, syntax, meta_end = opened
    if not syntax and meta_end < len(plain):
        return Refusal(Reason.UNSUPPORTED_FORMAT, "the file states no transfer syntax")
    if syntax == BIG_ENDIAN:
        return _by_pydicom(plain, meta_end, syntax)
    try:
        return _by_walk(plain, meta_end, syntax)
    except TooDeep:
        return Refusal(Reason.INVALID_HEADER, f"more than {dicom_elements.MAX_DEPTH} sequences stand within each other")
    except TooShort as problem:
        return _too_short(problem.tag)
    except Irregular:
        return _by_pydicom(plain, meta_end, syntax)


def _too_short(tag: int) -> Refusal:
    return Refusal(Reason.INVALID_HEADER, f"element ({tag >> 16:04x},{tag & 0xFFFF:04x}) is longer than the file")


@lru_cache(maxsize=1)
def wanted() -> "Mapping[int, str]":
    """Tag -> representation of every element that is taken."""
    from pydicom.datadict import dictionary_VR, tag_for_keyword

    names = HEADER_KEYWORDS | PIXEL_KEYWORDS | set(IDENTIFIER_KEYWORDS)
    tags = [tag_for_keyword(name) for name in sorted(names)]
    return {tag: dictionary_VR(tag) for tag in tags if tag is not None}


@lru_cache(maxsize=1024)
def tag_of(keyword: str) -> "BaseTag | None":
    """The tag of a keyword, as the keys of data sets have it; one object for each, which dictionaries find soonest."""
    from pydicom.datadict import tag_for_keyword

    tag = tag_for_keyword(keyword)
    return None if tag is None else _key(tag)


@lru_cache(maxsize=1024)
def _key(tag: int) -> "BaseTag":
    from pydicom.tag import BaseTag

    return BaseTag(tag)


@lru_cache(maxsize=1)
def _taken() -> frozenset[int]:
    return frozenset(wanted()) | OVERLAY_TAGS


def _encodings(vr: str | None, value: bytes) -> list[str]:
    """Python's names of the character sets that the value of Specific Character Set states."""
    return list((_named_encodings if len(value) <= SHORT_VALUE else _named_encodings.__wrapped__)(vr, value))


@lru_cache(maxsize=64)
def _named_encodings(vr: str | None, value: bytes) -> tuple[str, ...]:
    from pydicom.charset import convert_encodings
    from pydicom.dataelem import RawDataElement
    from pydicom.dataset import Dataset

    key = _key(CHARACTER_SET)
    found: Any = {key: RawDataElement(key, vr, len(value), value, 0, vr is None, True)}
    return tuple(convert_encodings(Dataset(found).get("SpecificCharacterSet") or None))


@lru_cache(maxsize=1)
def _sequences() -> frozenset[int]:
    """The tags that the dictionary of DICOM calls sequences."""
    from pydicom.datadict import DicomDictionary  # type: ignore[attr-defined]  # (imported there, and not hidden)

    return frozenset(tag for tag, (vr, *_) in DicomDictionary.items() if vr == "SQ")


def _by_walk(data: bytes, start: int, syntax: str) -> DicomFile:
    from pydicom.dataelem import RawDataElement
    from pydicom.dataset import Dataset

    implicit = syntax == IMPLICIT
    taken = wanted()
    nested = _sequences() if implicit else frozenset()
    found: dict[Any, Any] = {}
    overlays: set[int] = set()
    pixels: Element | None = None
    charset: tuple[str | None, bytes] = (None, b"")
    for element in dicom_elements.walk(data, start, implicit=implicit, nested=nested, taken=_taken()):
        tag = element.tag
        if tag in taken:
            value = data[element.start : element.start + element.length]
            key = _key(tag)
            vr = element.vr or (taken[tag] if len(taken[tag]) == 2 else None)  # (some depend on others: "US or SS")
            found[key] = RawDataElement(key, vr, element.length, value, element.start, implicit, True)
            if tag == CHARACTER_SET:
                charset = vr, value
        elif tag in PIXEL_TAGS:
            pixels = element
        elif tag in OVERLAY_TAGS:
            overlays.add(tag)
    dataset = Dataset(found)
    dataset.set_original_encoding(implicit, True, _encodings(*charset))
    where = None
    if pixels is not None:
        length = None if pixels.undefined else pixels.length
        where = PixelElement(PIXEL_TAGS[pixels.tag], pixels.vr or "OW", pixels.start, length)
    return DicomFile(data, dataset, syntax, True, where, len(overlays), found)


def _by_pydicom(data: bytes, start: int, syntax: str) -> DicomFile | Refusal:
    """Big endian, and dialects that the walk does not know."""
    from pydicom.filereader import read_dataset

    implicit, little = syntax == IMPLICIT, syntax != BIG_ENDIAN
    stream = io.BytesIO(data)
    stream.seek(start)
    try:
        dataset = read_dataset(
            stream,
            implicit,
            little,
            stop_when=lambda tag, vr, length: int(tag) in PIXEL_TAGS,
        )
        short = cut_short(dataset)
    except MemoryError:
        return Refusal(Reason.MEMORY_LIMIT, "parsing asks for more memory than there is")
    except Exception as problem:  # (parsers raise whatever they meet)
        return Refusal(Reason.INVALID_HEADER, f"the data set does not parse ({type(problem).__name__})")
    if short is not None:
        return _too_short(short)
    pixels = _pixels_at(data, stream.tell(), implicit, "<" if little else ">")
    overlays = sum(tag in dataset for tag in OVERLAY_TAGS)
    return DicomFile(data, dataset, syntax, little, pixels, overlays)


def _pixels_at(data: bytes, at: int, implicit: bool, order: str) -> PixelElement | None:
    if at + 8 > len(data):
        return None
    group, element = struct.unpack_from(order + "HH", data, at)
    keyword = PIXEL_TAGS.get(group << 16 | element)
    # Some writers leave representations out whatever their transfer syntax says; the parser has seen to the rest.
    implicit = implicit or data[at + 4 : at + 6] not in dicom_elements.LONG
    if keyword is None or (not implicit and at + 12 > len(data)):
        return None
    vr = "OW" if implicit else data[at + 4 : at + 6].decode("ascii")
    start = at + (8 if implicit else 12)
    (length,) = struct.unpack_from(order + "I", data, start - 4)
    return PixelElement(keyword, vr, start, None if length == dicom_elements.UNDEFINED else length)


def cut_short(dataset: "Dataset") -> int | None:
    """The first top-level element whose value is shorter than its length says: the parser takes what there is."""
    from pydicom.dataelem import RawDataElement

    for tag in tuple(dataset.keys()):
        element = dataset.get_item(tag)
        if not isinstance(element, RawDataElement) or not isinstance(element.value, bytes | bytearray):
            continue
        if element.length != dicom_elements.UNDEFINED and len(element.value) < element.length:
            return int(element.tag)
    return None


def inflated(data: bytes, limits: Limits) -> tuple[bytes, str, int] | Refusal:
    """A file with its data set inflated, its transfer syntax, and where the data set begins.

    The meta group is left as it is: it still says that the data set was deflated.
    """
    meta = _meta(data)
    if isinstance(meta, Refusal):
        return meta
    syntax, meta_end = meta
    if syntax not in DEFLATED:
        return data, syntax, meta_end
    stream = isal_zlib.decompressobj(-15)
    try:
        plain = stream.decompress(data[meta_end:], limits.max_bytes + 1)
    except isal_zlib.IsalError:  # type: ignore[misc]  # its stub declares an instance
        return Refusal(Reason.INVALID_HEADER, "the deflated data set does not inflate")
    if len(plain) > limits.max_bytes:
        return Refusal(Reason.TOO_LARGE, f"more than {limits.max_bytes} bytes when inflated")
    if not stream.eof:
        return Refusal(Reason.TRUNCATED_IMAGE, "the deflated data set ends early")
    return data[:meta_end] + plain, syntax, meta_end


def _meta(data: bytes) -> tuple[str, int] | Refusal:
    """The transfer syntax, and where the file meta group ends (PS3.10, 7.1).

    The group is explicit little endian whatever the data set is. A file without one has an empty transfer syntax.
    """
    at, syntax = PREFIX, ""
    while at + 8 <= len(data):
        group, element, vr, length = struct.unpack_from("<HH2sH", data, at)
        if group != 2:
            break
        start = at + 8
        if vr in dicom_elements.LONG:
            if at + 12 > len(data):
                break
            (length,) = struct.unpack_from("<I", data, at + 8)
            start = at + 12
        if start + length > len(data):
            return Refusal(Reason.INVALID_HEADER, "the file meta group is longer than the file")
        if element == 0x0010:
            syntax = data[start : start + length].rstrip(b"\0 ").decode("ascii", "replace")
        at = start + length
    return syntax, at
