"""DICOM headers: an allow-list of technical values, identifiers apart, and how many frames there are.

How a file is opened, and what is not DICOM here, stands in `dicom_file`.
"""

import io
import struct
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final

from curate.images.base import DEFAULT_LIMITS, Limits, quiet
from curate.images.dicom_file import (
    EXPLICIT,
    HEADER_KEYWORDS,
    IDENTIFIER_KEYWORDS,
    PREFIX,
    SHORT_VALUE,
    DicomFile,
    cut_short,
    inflated,
    open_file,
    tag_of,
    wanted,
)
from curate.schema import Reason, Refusal

if TYPE_CHECKING:
    from pydicom.dataset import Dataset

__all__ = [
    "HEADER_KEYWORDS",
    "IDENTIFIER_KEYWORDS",
    "Header",
    "element_value",
    "frames_in",
    "keyword_text",
    "read_dataset",
    "read_header",
]

MAX_CODE_LENGTH: Final = 16
"""Of a CS or SH value (PS3.5, 6.2); a longer one is free text in the wrong place."""

MIN_FRAME_BYTES: Final = 8
"""An encapsulated frame has at least the tag and length of its item."""

_TEXTS: Final = frozenset({"CS", "SH", "LO"})
_SHORTS: Final = {"US": "H", "UL": "I"}
_HEADER_ORDER: Final = tuple(sorted(HEADER_KEYWORDS))


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
        file = open_file(data, limits)
        if isinstance(file, Refusal):
            return file
        texts = {keyword: _text(file, keyword) for keyword in _HEADER_ORDER}
        names = {keyword: _identifier(file, keyword) for keyword in IDENTIFIER_KEYWORDS}
        frames = frames_in(file)
    if isinstance(frames, Refusal):
        return frames
    return Header(
        {keyword: text for keyword, text in texts.items() if text},
        {keyword: text for keyword, text in names.items() if text},
        frames,
    )


def read_dataset(data: bytes, limits: Limits, *, pixels: bool) -> "tuple[Dataset, int] | Refusal":
    """A whole data set, and how many bytes of the file lie behind what was parsed: the pixel data, if they were left.

    For what needs elements that `dicom_file` does not take; a tenth as fast.
    """
    import pydicom

    if not data.startswith(b"DICM", 128):
        return Refusal(Reason.INVALID_HEADER, "no DICM prefix after the preamble")
    opened = inflated(data, limits)
    if isinstance(opened, Refusal):
        return opened
    plain, _, meta_end = opened
    stream = io.BytesIO(plain if plain is data else _plain_meta() + plain[meta_end:])
    try:
        dataset = pydicom.dcmread(stream, stop_before_pixels=not pixels)
        short = cut_short(dataset)
    except MemoryError:
        return Refusal(Reason.MEMORY_LIMIT, "parsing asks for more memory than there is")
    except Exception as problem:  # (parsers raise whatever they meet)
        return Refusal(Reason.INVALID_HEADER, f"the data set does not parse ({type(problem).__name__})")
    if short is not None:
        reason = Reason.TRUNCATED_IMAGE if short >> 16 == 0x7FE0 else Reason.INVALID_HEADER
        return Refusal(reason, f"element ({short >> 16:04x},{short & 0xFFFF:04x}) is longer than the file")
    return dataset, len(stream.getbuffer()) - stream.tell()


def _plain_meta() -> bytes:
    """Preamble, prefix and meta group of an explicit little-endian file."""
    value = EXPLICIT.encode() + b"\0"
    element = struct.pack("<HH2sH", 2, 0x10, b"UI", len(value)) + value
    return bytes(PREFIX - 4) + b"DICM" + struct.pack("<HH2sHI", 2, 0, b"UL", 4, len(element)) + element


def keyword_text(dataset: "Dataset", keyword: str) -> str | None:
    """The value of a keyword as text; null where it is absent, empty, unreadable or free text."""
    value = element_value(dataset, keyword)
    if value is None or value == "":
        return None
    if keyword == "SOPClassUID":
        return str(getattr(value, "name", value))
    several = isinstance(value, list | tuple) or (hasattr(value, "__iter__") and not isinstance(value, str))
    return _joined([str(item) for item in (value if several else (value,))])


def _joined(values: list[str]) -> str | None:
    texts = [value.strip() for value in values]
    if not any(texts) or any(len(text) > MAX_CODE_LENGTH for text in texts):
        return None
    return "\\".join(texts)


def _text(file: DicomFile, keyword: str) -> str | None:
    """`keyword_text`, without a conversion where the bytes are plain text or a number."""
    found = _raw(file, keyword)
    if found is None:
        return None
    vr, value = found
    remembered = len(value) <= SHORT_VALUE
    is_plain, text = (_plain_text if remembered else _plain_text.__wrapped__)(vr, value, file.little_endian)
    if is_plain:
        return text
    if keyword == "SOPClassUID" and vr == "UI" and remembered and file.elements is not None:
        return _class_name(value)
    return keyword_text(file.dataset, keyword)


@lru_cache(maxsize=4096)
def _plain_text(vr: str, value: bytes, little_endian: bool) -> tuple[bool, str | None]:
    """Whether the bytes of a value are plain text or a number, and then its text."""
    if vr in _SHORTS and little_endian and value:
        size = struct.calcsize(_SHORTS[vr])
        if not len(value) % size:
            numbers = struct.unpack(f"<{len(value) // size}{_SHORTS[vr]}", value)
            return True, _joined([str(number) for number in numbers])
    if value.isascii() and vr in _TEXTS:
        return True, _joined([part.strip("\0 ") for part in value.decode("ascii").split("\\")])
    if value.isascii() and vr in {"DS", "IS"}:
        parts = [part.strip("\0 ") for part in value.decode("ascii").split("\\")]
        if all(_is_number(part, whole=vr == "IS") for part in parts):
            return True, _joined(parts)
    return False, None


@lru_cache(maxsize=64)
def _class_name(value: bytes) -> str | None:
    """The name of a SOP class by the bytes of its UID, which no character set changes."""
    from pydicom.dataelem import RawDataElement
    from pydicom.dataset import Dataset

    key = tag_of("SOPClassUID")
    assert key is not None
    found: Any = {key: RawDataElement(key, "UI", len(value), value, 0, False, True)}
    return keyword_text(Dataset(found), "SOPClassUID")


def _raw(file: DicomFile, keyword: str) -> tuple[str, bytes] | None:
    """Representation and bytes of an element; `("", b"")` for one that was converted, null where there is none."""
    tag = tag_of(keyword)
    if tag is None:
        return None
    element: Any
    if file.elements is not None:
        element = file.elements.get(tag)
        if element is None:
            return None
    elif tag in file.dataset:
        element = file.dataset.get_item(tag)
    else:
        return None
    if not element.is_raw or not isinstance(element.value, bytes):
        return "", b""
    return element.VR or wanted()[tag], element.value


def _is_number(text: str, *, whole: bool) -> bool:
    try:
        (int if whole else float)(text)
    except ValueError:
        return False
    return "_" not in text


def element_value(dataset: "Dataset", keyword: str) -> Any:
    """The value of an element, or null where there is none or it cannot be converted."""
    tag = tag_of(keyword)
    if tag is None or tag not in dataset:
        return None
    raw: Any = dataset.get_item(tag)
    if raw.VR == "US" and raw.is_raw and raw.is_little_endian and raw.value is not None and len(raw.value) == 2:
        return int.from_bytes(raw.value, "little")
    try:
        return dataset[tag].value
    except Exception:  # (conversion of a damaged value raises whatever it meets)
        return None


@lru_cache(maxsize=64)
def encapsulates(syntax: str) -> bool:
    """Whether frames of a transfer syntax are compressed; one that is absent or not known counts as compressed."""
    from pydicom.uid import UID

    uid = UID(syntax)
    return not (uid.is_transfer_syntax and not uid.is_compressed)


def _identifier(file: DicomFile, keyword: str) -> str | None:
    found = _raw(file, keyword)
    if found is not None and found[0] in {"UI", "LO"} and found[1].isascii() and b"\\" not in found[1]:
        return found[1].decode("ascii").rstrip("\0 ").strip() or None
    value = element_value(file.dataset, keyword)
    return str(value).strip() or None if value is not None else None


def frames_in(file: DicomFile) -> int | Refusal:
    """How many frames the header states, unless the bytes behind it could never hold them."""
    dataset, pixels = file.dataset, file.pixels
    rows, columns = element_value(dataset, "Rows"), element_value(dataset, "Columns")
    if pixels is None or not isinstance(rows, int) or not isinstance(columns, int) or not rows or not columns:
        return 0
    rest = len(file.data) - pixels.start
    if not rest or pixels.length == 0:
        return 0
    stated = element_value(dataset, "NumberOfFrames")
    frames = int(stated) if isinstance(stated, int) and stated > 0 else 1
    bits = 8 * MIN_FRAME_BYTES
    if not encapsulates(file.syntax):
        allocated = element_value(dataset, "BitsAllocated")
        samples = element_value(dataset, "SamplesPerPixel")
        subsampled = element_value(dataset, "PhotometricInterpretation") == "YBR_FULL_422"
        bits = rows * columns * int(allocated or 1) * (2 if subsampled else int(samples or 1))
    room = 8 * rest // max(bits, 1)
    if frames > max(1, room):
        return Refusal(Reason.INVALID_HEADER, f"NumberOfFrames is {frames}, the pixel data have room for {room}")
    return frames
