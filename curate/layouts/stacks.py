"""Items of several files: the slices of a DICOM series, a header with its data beside it."""

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Final

from curate.images.dicom import Header
from curate.layouts.tree import Entry, in_order
from curate.schema import Reason, Refusal

__all__ = ["OBJECT_CLASSES", "UID_NAME", "Stack", "merged", "paired", "series_of", "uid_name"]

OBJECT_CLASSES: Final = frozenset(
    {"Segmentation Storage", "Label Map Segmentation Storage", "1.2.840.10008.5.1.4.1.1.66.7"}
)
"""SOP classes whose frames are no pictures: label maps by their UID too, where pydicom has no name for it.

Objects without frames are told by that.
"""

UID_NAME: Final = "uid:"

_PAIRS: Final = (
    (re.compile(r"\.HEAD$", re.IGNORECASE), (".BRIK", ".BRIK.gz")),  # AFNI
    (re.compile(r"\.PAR$", re.IGNORECASE), (".REC",)),  # Philips
    (re.compile(r"\.mhd$", re.IGNORECASE), (".raw", ".zraw")),  # MetaImage
    (re.compile(r"\.nhdr$", re.IGNORECASE), (".raw", ".raw.gz")),  # NRRD
    (re.compile(r"\.hdr$", re.IGNORECASE), (".img", ".img.gz")),  # NIfTI pairs, Analyze
)
"""Suffix of a header, and those of the data file of the same stem."""


@dataclass(frozen=True, slots=True)
class Stack:
    """One item of several files. `names` are those by which labels may mean it, besides its own."""

    entry: Entry
    members: tuple[Entry, ...]
    names: tuple[str, ...] = ()


def uid_name(uid: str) -> str:
    """How a label that knows its image by a UID names it: never shown, see `scan`."""
    return UID_NAME + uid


def series_of(headers: Mapping[Entry, Header], token: Callable[[str], str]) -> list[Stack]:
    """The stacks of single-frame DICOM files, one per series that has pictures.

    `token` hides a series' UID: the stack's path is `series/<token>`. A multi-frame file is an item by itself. Where
    de-identification took the series' UID away, files of one folder that share their frame of reference, series number,
    modality and raster are put together as `frame_of_reference/<token>`: `read` still refuses what is no volume.
    """
    members: dict[tuple[str, str], list[Entry]] = {}
    for entry, header in headers.items():
        place = _place_of(entry, header)
        if place is not None and header.frames == 1:
            members.setdefault(place, []).append(entry)
    stacks = []
    for (kind, identifier), entries in members.items():
        ordered = tuple(in_order(entries))
        total = sum(entry.bytes for entry in ordered)
        uids = [identifier if kind == "series" else ""]
        uids += [headers[entry].identifiers.get("SOPInstanceUID", "") for entry in ordered]
        folders = {entry.folder for entry in ordered}
        names = [entry.name for entry in ordered] + [uid_name(one) for one in uids if one]
        if len(folders) == 1 and "" not in folders:
            names += sorted(folders)
        stacks.append(Stack(Entry(f"{kind}/{token(identifier)}", None, total), ordered, tuple(names)))
    return stacks


def _place_of(entry: Entry, header: Header) -> tuple[str, str] | None:
    """What kind of thing a file is a part of, and its identifier; null where nothing says so."""
    series = header.identifiers.get("SeriesInstanceUID")
    if series is not None:
        return ("series", series)
    frame = header.identifiers.get("FrameOfReferenceUID")
    if frame is None:
        return None
    alike = [header.values.get(keyword, "") for keyword in ("SeriesNumber", "Modality", "Rows", "Columns")]
    return ("frame_of_reference", "\0".join([entry.folder, frame, *alike]))


def merged(headers: Iterable[Header]) -> Header | Refusal:
    """What all headers of a series say alike; a series of two patients is refused."""
    first, *others = headers
    if any(other.identifiers.get("PatientID") != first.identifiers.get("PatientID") for other in others):
        return Refusal(Reason.CONFLICTING_SUBJECT, "the files of one series name different patients")
    return Header(
        {key: text for key, text in first.values.items() if all(other.values.get(key) == text for other in others)},
        {key: uid for key, uid in first.identifiers.items() if all(o.identifiers.get(key) == uid for o in others)},
        first.frames + sum(other.frames for other in others),
    )


def paired(entries: Iterable[Entry], listed: Mapping[str, Entry]) -> list[Stack]:
    """Headers with the data file of the same stem, where it is there; `listed` finds an entry by its virtual path."""
    stacks = []
    for entry in entries:
        for suffix, ends in _PAIRS:
            stem = suffix.sub("", entry.name)
            if stem == entry.name:
                continue
            found = [listed[name] for end in ends for name in (stem + end, stem + end.lower()) if name in listed]
            if found:
                whole = Entry(entry.path, entry.member, entry.bytes + found[0].bytes)
                stacks.append(Stack(whole, (entry, found[0])))
            break
    return stacks
