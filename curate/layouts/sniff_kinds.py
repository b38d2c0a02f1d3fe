"""What kind of medical file each image is, by the heads of its bytes: a picture, one slice of a series, a slide, ...

Nothing is read whole but members of archives, and nothing is decoded. Names are believed only where they agree with
the first bytes, or where a format has none that tell.
"""

import re
import struct
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from curate.images import Limits
from curate.images.base import MAX_PIXELS, quiet
from curate.images.dicom import Header, element_value
from curate.images.dicom_file import IDENTIFIER_KEYWORDS, open_file
from curate.images.formats import Format, form_of, format_of
from curate.images.series_geometry import MIN_SLICES
from curate.layouts.sniff_files import MAX_SAMPLE_BYTES, Look
from curate.layouts.tree import Entry
from curate.schema import Form, Refusal

__all__ = ["HEAD_BYTES", "FileKind", "Kinds", "head_of", "kinds_of"]

MAX_HEADS: Final = 2000
"""Files whose heads are read to tell their kind; those behind are told by their folder and extension."""

HEAD_BYTES: Final = 4096

DICOM_HEAD_BYTES: Final = (2**16, 2**20, 2**23)
"""Of a DICOM file, tried in turn until the elements before the pixels are whole: sequences of codes may be long."""

MAX_TAGS: Final = 512
"""Entries of one directory of a TIFF; more are nonsense."""

_SLIDE_NAME: Final = re.compile(r"\.(?:svs|ndpi|mrxs|scn|bif|vms|vmu|svslide)$", re.IGNORECASE)
_TIFF_NAME: Final = re.compile(r"\.tiff?$", re.IGNORECASE)
_VOLUME_NAME: Final = re.compile(r"\.(?:nii|nii\.gz|nrrd|nhdr|mha|mhd|mnc|mgh|mgz)$", re.IGNORECASE)
_HEADER_NAME: Final = re.compile(r"\.(?:hdr|head|par)$", re.IGNORECASE)
"""Headers beside their data: common words, so that their bytes must agree."""

_HEADER_BYTES: Final = re.compile(
    rb"\x5c\x01\x00\x00|\x00\x00\x01\x5c|\x1c\x02\x00\x00|\x00\x00\x02\x1c"  # sizes of the headers of Analyze and NIfTI
    rb"|\s*type\s*=\s*\w+-attribute|# === DATA DESCRIPTION FILE",
)
_SLIDE_LEVELS: Final = 2
_ENHANCED: Final = re.compile(r"^(?:Legacy Converted )?Enhanced (?:CT|MR|PET) Image Storage$")
_SEGMENTATIONS: Final = frozenset({"Segmentation Storage", "Label Map Segmentation Storage"})
_STRUCTURES: Final = "RT Structure Set Storage"


class FileKind(StrEnum):
    """What a file is, as far as a card must know it."""

    PICTURE = "plain pictures"
    VIDEO = "videos"
    DICOM = "DICOM files"  # a picture or several by itself
    SERIES = "DICOM series"  # one slice of a volume, or a volume in one file
    VOLUME = "volumes"
    SLIDE = "slides"
    SEGMENTATION = "DICOM segmentations"
    STRUCTURES = "structure sets"
    OBJECT = "DICOM objects that are no pictures"


@dataclass(frozen=True, slots=True)
class Kinds:
    """The kind of each file by its key, and the headers of DICOM files that were looked at."""

    of: Mapping[str, FileKind]
    headers: Mapping[Entry, Header]
    unsure: tuple[str, ...] = ()
    unfinished: frozenset[str] = frozenset()  # folders some of whose files were not looked at

    def those(self, entries: Iterable[Entry], *kinds: FileKind) -> list[Entry]:
        """The entries of these kinds, in their order."""
        return [entry for entry in entries if self.of.get(entry.key) in kinds]


def kinds_of(look: Look) -> Kinds:
    """The kind of every image of a folder; of many, the first of each folder and extension stand for the rest."""
    found: dict[str, FileKind] = {}
    headers: dict[Entry, Header] = {}
    places: dict[Entry, tuple[float, ...]] = {}
    alike: dict[tuple[str | None, str], Counter[FileKind]] = {}
    behind: list[Entry] = []
    looked_at = 0
    for entry in look.images:
        known = _by_name(entry)
        if known is None and looked_at >= MAX_HEADS:
            behind.append(entry)
            continue
        looked_at += known is None
        kind = known or _by_head(look, entry, headers, places)
        found[entry.key] = kind
    _mark_series(found, headers, places)
    for entry in look.images:
        if entry.key in found:
            for sort in (_sort(entry), (None, _sort(entry)[1])):
                alike.setdefault(sort, Counter())[found[entry.key]] += 1
    for entry in behind:
        seen = alike.get(_sort(entry)) or alike.get((None, _sort(entry)[1]))
        found[entry.key] = seen.most_common(1)[0][0] if seen else FileKind.PICTURE
    told = (f"files: the heads of {looked_at} were read; {len(behind)} more are taken for what lies beside them",)
    return Kinds(found, headers, told if behind else (), frozenset(entry.folder for entry in behind))


def _sort(entry: Entry) -> tuple[str, str]:
    return entry.folder, entry.name.rpartition(".")[2].lower()


_PLAIN_NAME: Final = re.compile(r"\.(?:png|jpe?g|jpe|jfif|bmp|gif|webp|jp2|j2k|jls|pgm|ppm|pbm)$", re.IGNORECASE)


def _by_name(entry: Entry) -> FileKind | None:
    """What common names tell; whether they lie is for the build to say."""
    if _PLAIN_NAME.search(entry.name):
        return FileKind.PICTURE
    if _VOLUME_NAME.search(entry.name):
        return FileKind.VOLUME
    return FileKind.SLIDE if _SLIDE_NAME.search(entry.name) else None


def _by_head(
    look: Look, entry: Entry, headers: dict[Entry, Header], places: dict[Entry, tuple[float, ...]]
) -> FileKind:
    head = head_of(look, entry, HEAD_BYTES)
    kind = format_of(head)
    if kind is Format.DICOM:
        return _dicom(look, entry, headers, places)
    if kind is Format.TIFF and _TIFF_NAME.search(entry.name):
        return FileKind.SLIDE if _is_pyramid(look, entry, head) else FileKind.PICTURE
    if _HEADER_NAME.search(entry.name) and _HEADER_BYTES.match(head):
        return FileKind.VOLUME
    form = form_of(head) if kind is None else Form.IMAGE
    if entry.key in look.dicom:
        return FileKind.DICOM
    return {Form.VIDEO: FileKind.VIDEO, Form.VOLUME: FileKind.VOLUME}.get(form, FileKind.PICTURE)


def head_of(look: Look, entry: Entry, count: int) -> bytes:
    """The first bytes of a file; none where they cannot be had, or a member is too large to be unpacked for a look."""
    if entry.member is not None and entry.bytes > MAX_SAMPLE_BYTES:
        return b""
    try:
        return look.reader.head(entry.path, entry.member, count)
    except OSError:
        return b""


# --- DICOM -----------------------------------------------------------------------------------------------------------


def _dicom(look: Look, entry: Entry, headers: dict[Entry, Header], places: dict[Entry, tuple[float, ...]]) -> FileKind:
    """By the storage class and the elements before the pixels."""
    for count in DICOM_HEAD_BYTES:
        with quiet():
            file = open_file(head_of(look, entry, count), Limits())
        if not isinstance(file, Refusal) or entry.bytes <= count:
            break
    if isinstance(file, Refusal):
        return FileKind.DICOM
    with quiet():
        stated = {keyword: element_value(file.dataset, keyword) for keyword in IDENTIFIER_KEYWORDS}
        sop = element_value(file.dataset, "SOPClassUID")
        frames = element_value(file.dataset, "NumberOfFrames")
        place = element_value(file.dataset, "ImagePositionPatient")
    name = str(getattr(sop, "name", sop))
    if name in _SEGMENTATIONS or name == _STRUCTURES:
        return FileKind.STRUCTURES if name == _STRUCTURES else FileKind.SEGMENTATION
    if file.pixels is None:
        return FileKind.OBJECT
    number = frames if isinstance(frames, int) and frames > 0 else 1
    identifiers = {keyword: str(uid) for keyword, uid in stated.items() if uid}
    headers[entry] = Header({"SOPClassUID": name}, identifiers, int(number))
    try:
        places[entry] = tuple(round(float(part), 3) for part in place or ())
    except (TypeError, ValueError):
        places[entry] = ()
    return FileKind.SERIES if number >= MIN_SLICES and _ENHANCED.match(name) else FileKind.DICOM


def _mark_series(
    found: dict[str, FileKind], headers: Mapping[Entry, Header], places: Mapping[Entry, tuple[float, ...]]
) -> None:
    """Files of one series that lie at enough different places are slices of a volume."""
    members: dict[str, list[Entry]] = {}
    for entry, header in headers.items():
        uid = header.identifiers.get("SeriesInstanceUID")
        if uid is not None and header.frames == 1:
            members.setdefault(uid, []).append(entry)
    for entries in members.values():
        slices = _without_copies(entries, places)
        if len({places[entry] for entry in slices if len(places[entry]) == 3}) >= MIN_SLICES:
            found.update((entry.key, FileKind.SERIES) for entry in slices)


def _without_copies(entries: list[Entry], places: Mapping[Entry, tuple[float, ...]]) -> list[Entry]:
    """The files of a series without folders that only repeat places of a larger one: two copies make no volume."""
    folders: dict[str, list[Entry]] = {}
    for entry in entries:
        folders.setdefault(entry.folder, []).append(entry)
    kept: list[Entry] = []
    for _, held in sorted(folders.items(), key=lambda item: (-len(item[1]), item[0])):
        known = {places[entry] for entry in kept}
        if not known or not all(places[entry] in known for entry in held):
            kept += held
    return kept


# --- TIFF ------------------------------------------------------------------------------------------------------------

_WIDTH, _HEIGHT, _TILE_WIDTH = 256, 257, 322


def _is_pyramid(look: Look, entry: Entry, head: bytes) -> bool:
    """Whether a TIFF holds the same picture tiled and again smaller, or tiled and too large for a picture.

    By its directories alone.
    """
    pages = _directories(look, entry, head)
    if not pages or _TILE_WIDTH not in pages[0]:
        return False
    tiled = [page.get(_WIDTH, 0) for page in pages if _TILE_WIDTH in page]
    large = tiled[0] * pages[0].get(_HEIGHT, 0) > MAX_PIXELS
    return large or (len(tiled) >= _SLIDE_LEVELS and max(tiled[1:]) < tiled[0])


MAX_PAGES: Final = 4


def _directories(look: Look, entry: Entry, head: bytes) -> list[dict[int, int]]:
    """Tag -> first value of small numbers, of the first few directories (TIFF 6.0, section 2; BigTIFF)."""
    order = "<" if head[:2] == b"II" else ">"
    big = head[2:4] in (b"+\0", b"\0+")
    counts, places = (8, "Q") if big else (2, "I")
    size = 20 if big else 12
    start = 8 if big else 4
    if len(head) < 16:
        return []
    (at,) = struct.unpack_from(order + places, head, start)
    pages: list[dict[int, int]] = []
    while at and len(pages) < MAX_PAGES:
        data = _slice(look, entry, at, counts + size * MAX_TAGS + 8)
        if len(data) < counts:
            break
        (number,) = struct.unpack_from(order + ("Q" if big else "H"), data)
        end = counts + size * number
        if number > MAX_TAGS or len(data) < end:
            break
        pages.append(dict(_tag(data, counts + size * index, order, big) for index in range(number)))
        following = data[end : end + struct.calcsize(places)]
        at = struct.unpack(order + places, following)[0] if len(following) == struct.calcsize(places) else 0
    return pages


def _tag(data: bytes, at: int, order: str, big: bool) -> tuple[int, int]:
    tag, kind = struct.unpack_from(f"{order}HH", data, at)
    (value,) = struct.unpack_from(order + ("H" if kind == 3 else "I"), data, at + (12 if big else 8))
    return tag, value


def _slice(look: Look, entry: Entry, start: int, count: int) -> bytes:
    """Bytes from the middle of a file."""
    if entry.member is not None:
        return head_of(look, entry, start + count)[start:]
    try:
        with look.reader.local(entry.path) as path, path.open("rb") as file:
            file.seek(start)
            return file.read(count)
    except (OSError, OverflowError, ValueError):
        return b""
