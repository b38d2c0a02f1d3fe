"""DICOM headers: an allow-list of technical values, identifiers apart, and how many frames there are.

Nothing is guessed: a file without its preamble and prefix is not DICOM here (PS3.10, 7.1), and deflated data sets are
inflated under a limit before any parser sees them. A parser's own words never leave: they may quote a patient.
"""

import io
import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from isal import isal_zlib

from curate.images.base import DEFAULT_LIMITS, Limits, quiet
from curate.schema import Reason, Refusal

if TYPE_CHECKING:
    from pydicom.dataset import Dataset

__all__ = [
    "HEADER_KEYWORDS",
    "IDENTIFIER_KEYWORDS",
    "Header",
    "is_encapsulated",
    "keyword_text",
    "read_dataset",
    "read_header",
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

MAX_CODE_LENGTH: Final = 16
"""Of a CS or SH value (PS3.5, 6.2); a longer one is free text in the wrong place."""

DEFLATED: Final = frozenset({"1.2.840.10008.1.2.1.99", "1.2.840.10008.1.2.4.95", "1.2.840.10008.1.2.4.205"})
"""Transfer syntaxes whose data set is deflated; pydicom knows the first, and reads the others as empty."""

EXPLICIT_LITTLE_ENDIAN: Final = b"1.2.840.10008.1.2.1\0"
LONG_LENGTHS: Final = frozenset(
    {b"OB", b"OD", b"OF", b"OL", b"OV", b"OW", b"SQ", b"SV", b"UC", b"UN", b"UR", b"UT", b"UV"}
)
UNDEFINED_LENGTH: Final = 0xFFFFFFFF
PREFIX: Final = 132


@dataclass(frozen=True, slots=True)
class Header:
    """What a header says. `values` are texts by keyword, several joined by a backslash; absent ones are left out.

    `frames` is 0 for an object without pixels.
    """

    values: dict[str, str]
    identifiers: dict[str, str]
    frames: int


def read_header(data: bytes, limits: Limits = DEFAULT_LIMITS) -> Header | Refusal:
    """The header of a DICOM file, without touching its pixels."""
    with quiet():
        read = read_dataset(data, limits, pixels=False)
        if isinstance(read, Refusal):
            return read
        dataset, rest = read
        texts = {keyword: keyword_text(dataset, keyword) for keyword in sorted(HEADER_KEYWORDS)}
        names = {keyword: _identifier(dataset, keyword) for keyword in IDENTIFIER_KEYWORDS}
        frames = _frames(dataset, rest)
    if isinstance(frames, Refusal):
        return frames
    return Header(
        {keyword: text for keyword, text in texts.items() if text},
        {keyword: text for keyword, text in names.items() if text},
        frames,
    )


def read_dataset(data: bytes, limits: Limits, *, pixels: bool) -> "tuple[Dataset, int] | Refusal":
    """A data set, and how many bytes of the file lie behind what was parsed: the pixel data, if they were left."""
    import pydicom

    if not data.startswith(b"DICM", 128):
        return Refusal(Reason.INVALID_HEADER, "no DICM prefix after the preamble")
    plain = _inflated(data, limits)
    if isinstance(plain, Refusal):
        return plain
    stream = io.BytesIO(plain)
    try:
        dataset = pydicom.dcmread(stream, stop_before_pixels=not pixels)
        short = _cut_short(dataset)
    except MemoryError:
        return Refusal(Reason.MEMORY_LIMIT, "parsing asks for more memory than there is")
    except Exception as problem:  # (parsers raise whatever they meet)
        return Refusal(Reason.INVALID_HEADER, f"the data set does not parse ({type(problem).__name__})")
    if short:
        reason = Reason.TRUNCATED_IMAGE if short.startswith("(7fe0") else Reason.INVALID_HEADER
        return Refusal(reason, f"element {short} is longer than the file")
    return dataset, len(plain) - stream.tell()


def keyword_text(dataset: "Dataset", keyword: str) -> str | None:
    """The value of a keyword as text; null where it is absent, empty, unreadable or free text."""
    value = element_value(dataset, keyword)
    if value is None or value == "":
        return None
    if keyword == "SOPClassUID":
        return str(getattr(value, "name", value))
    several = isinstance(value, list | tuple) or (hasattr(value, "__iter__") and not isinstance(value, str))
    texts = [str(item).strip() for item in (value if several else (value,))]
    if not any(texts) or any(len(text) > MAX_CODE_LENGTH for text in texts):
        return None
    return "\\".join(texts)


def element_value(dataset: "Dataset", keyword: str) -> Any:
    """The value of an element, or null where there is none or it cannot be converted."""
    try:
        return dataset.get(keyword)
    except Exception:  # (conversion of a damaged value raises whatever it meets)
        return None


def is_encapsulated(dataset: "Dataset") -> bool:
    """Whether frames are compressed; a transfer syntax that is absent or not known counts as one that does."""
    syntax = dataset.file_meta.get("TransferSyntaxUID")
    return not (syntax is not None and syntax.is_transfer_syntax and not syntax.is_compressed)


def _identifier(dataset: "Dataset", keyword: str) -> str | None:
    value = element_value(dataset, keyword)
    return str(value).strip() or None if value is not None else None


def _frames(dataset: "Dataset", rest: int) -> int | Refusal:
    """How many frames the header states, unless the bytes behind it could never hold them."""
    rows, columns = element_value(dataset, "Rows"), element_value(dataset, "Columns")
    if rest <= 8 or not isinstance(rows, int) or not isinstance(columns, int) or not rows or not columns:
        return 0
    stated = element_value(dataset, "NumberOfFrames")
    frames = int(stated) if isinstance(stated, int) and stated > 0 else 1
    bits = 64  # an encapsulated frame has at least the tag and length of its item
    if not is_encapsulated(dataset):
        allocated = element_value(dataset, "BitsAllocated")
        samples = element_value(dataset, "SamplesPerPixel")
        subsampled = element_value(dataset, "PhotometricInterpretation") == "YBR_FULL_422"
        bits = rows * columns * int(allocated or 1) * (2 if subsampled else int(samples or 1))
    room = 8 * rest // max(bits, 1)
    if frames > max(1, room):
        return Refusal(Reason.INVALID_HEADER, f"NumberOfFrames is {frames}, the pixel data have room for {room}")
    return frames


def _cut_short(dataset: "Dataset") -> str:
    """The first top-level element whose value is shorter than its length says: the parser takes what there is."""
    from pydicom.dataelem import RawDataElement

    for tag in tuple(dataset.keys()):
        element = dataset.get_item(tag)
        if not isinstance(element, RawDataElement) or not isinstance(element.value, bytes | bytearray):
            continue
        if element.length != UNDEFINED_LENGTH and len(element.value) < element.length:
            return f"({element.tag.group:04x},{element.tag.element:04x})"
    return ""


def _inflated(data: bytes, limits: Limits) -> bytes | Refusal:
    """The file with its data set inflated and its transfer syntax renamed; any other file as it is."""
    found = _transfer_syntax(data)
    if isinstance(found, Refusal):
        return found
    syntax, value_at, meta_end = found
    if syntax not in DEFLATED:
        return data
    stream = isal_zlib.decompressobj(-15)
    try:
        plain = stream.decompress(data[meta_end:], limits.max_bytes + 1)
    except isal_zlib.IsalError:  # type: ignore[misc]  # its stub declares an instance
        return Refusal(Reason.INVALID_HEADER, "the deflated data set does not inflate")
    if len(plain) > limits.max_bytes:
        return Refusal(Reason.TOO_LARGE, f"more than {limits.max_bytes} bytes when inflated")
    if not stream.eof:
        return Refusal(Reason.TRUNCATED_IMAGE, "the deflated data set ends early")
    meta = bytearray(data[:meta_end])
    (length,) = struct.unpack_from("<H", meta, value_at - 2)
    meta[value_at - 2 : value_at + length] = struct.pack("<H", len(EXPLICIT_LITTLE_ENDIAN)) + EXPLICIT_LITTLE_ENDIAN
    if meta[PREFIX : PREFIX + 4] == b"\x02\x00\x00\x00":
        struct.pack_into("<I", meta, PREFIX + 8, len(meta) - PREFIX - 12)
    return bytes(meta) + plain


def _transfer_syntax(data: bytes) -> tuple[str, int, int] | Refusal:
    """The transfer syntax, where its value stands, and where the file meta group ends (PS3.10, 7.1).

    The group is explicit little endian whatever the data set is. A file without one has an empty transfer syntax.
    """
    at, syntax, value_at = PREFIX, "", PREFIX
    while at + 8 <= len(data):
        group, _, representation, length = struct.unpack_from("<HH2sH", data, at)
        if group != 2:
            break
        element, start = data[at + 2 : at + 4], at + 8
        if representation in LONG_LENGTHS:
            if at + 12 > len(data):
                break
            (length,) = struct.unpack_from("<I", data, at + 8)
            start = at + 12
        if start + length > len(data):
            return Refusal(Reason.INVALID_HEADER, "the file meta group is longer than the file")
        if element == b"\x10\x00":
            syntax, value_at = data[start : start + length].rstrip(b"\0 ").decode("ascii", "replace"), start
        at = start + length
    return syntax, value_at, at
