"""Which files of a folder one card can hold as images, in which form, and the label sets that come with that form."""

import re
from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Final

from curate.images import Limits
from curate.images.base import quiet
from curate.images.dicom import element_value, read_dataset
from curate.layouts.sniff_files import Draft, Look
from curate.layouts.sniff_kinds import FileKind, Kinds
from curate.layouts.sniff_volumes import Volumes, stacked
from curate.layouts.tree import Entry
from curate.schema import Refusal

__all__ = ["as_images", "of_one_family"]

FAMILIES: Final[dict[str, tuple[FileKind, ...]]] = {
    "volumes": (FileKind.SERIES, FileKind.VOLUME),
    "slides": (FileKind.SLIDE,),
    "dicom": (FileKind.DICOM,),
    "pictures": (FileKind.PICTURE, FileKind.VIDEO),
}
"""What one card can hold together: a card that reads headers refuses what has none, and a form holds for all.

Of families with as many files the first is taken.
"""

FORMS: Final = {"volumes": "volume", "slides": "slide"}

MAX_STRUCTURE_SETS: Final = 20
"""Whose names of regions are read."""

MAX_OBJECT_BYTES: Final = 16 * 2**20

MAX_NAME: Final = 64
"""A longer name of a region is free text, which may hold anything (LO of PS3.5, 6.2)."""

MAX_NAMES: Final = 200

_PLAIN_NAME: Final = re.compile(r"[^\W_][\w .,+/()\[\]%&#:<>=*-]*")


def of_one_family(look: Look, kinds: Kinds, masks: frozenset[str]) -> tuple[str, list[Entry], tuple[str, ...]]:
    """The family of most files that are no masks, these files, and what is said of those left out."""
    rest = [image for image in look.images if image.key not in masks]
    held = {name: kinds.those(rest, *members) for name, members in FAMILIES.items()}
    family = max(held, key=lambda name: len(held[name]))
    told = []
    for name, entries in held.items():
        for kind in FAMILIES[name] if name != family else ():
            left = kinds.those(entries, kind)
            if left:
                kept = " and ".join(str(one) for one in FAMILIES[family] if kinds.those(held[family], one))
                told.append(f"images: {kind} beside {kept} need a card of their own; left out here: {len(left)}")
    if family not in ("pictures", "dicom") and masks:
        told.append(f"masks: {len(masks)} pictures called masks are left out")
    objects = kinds.those(look.images, FileKind.OBJECT)
    if objects:
        told.append(f"images: {len(objects)} DICOM objects that are no pictures are left out")
    return family, held[family], tuple(told)


def as_images(look: Look, kinds: Kinds, family: str, files: Sequence[Entry]) -> tuple[str | None, Look, list[Draft]]:
    """The form that the card states, the look whose images are `files`, and label sets of this family."""
    drafts: list[Draft] = []
    form = FORMS.get(family)
    if family == "volumes":
        look = stacked(look, kinds, files)
        series = [image for image in look.images if kinds.of.get(look.members(image)[0].key) is FileKind.SERIES]
        dicom = frozenset(image.key for image in series)
        drafts, maps = Volumes(replace(look, dicom=dicom)).label_maps()
        images = tuple(image for image in look.images if image.key not in maps)
        if len(series) < len(images):
            unit = "images: where the values of volumes are Hounsfield units, say `rescale_unit: HU`; no file says it"
            drafts.append(Draft({"layout": "none"}, frozenset(), (unit,)))
    else:
        images = tuple(files)
        dicom = look.dicom & {image.key for image in images}
        headers = {entry.key: header for entry, header in kinds.headers.items() if entry.key in dicom}
        look = replace(look, headers=headers)
    if family == "slides":
        told = (
            "images: taken for whole slides by their names or their tiled pyramids; say `form: image` if they are not"
        )
        drafts.append(Draft({"layout": "none"}, frozenset(), (told,)))
    for kind, layout in ((FileKind.SEGMENTATION, "dicom_seg"), (FileKind.STRUCTURES, "rtstruct")):
        held = kinds.those(look.tree.entries, kind)
        if held:
            drafts.append(_drawn(look, layout, held, bool(dicom)))
    return form, replace(look, images=images, dicom=dicom), drafts


def _drawn(look: Look, layout: str, files: Sequence[Entry], usable: bool) -> Draft:
    """A label set of DICOM segmentations or structure sets; only told of where no DICOM image can be meant."""
    keys = frozenset(entry.key for entry in files)
    if not usable:
        return Draft({"layout": "none"}, keys, (f"{layout}: {len(files)} files, and none of the images is DICOM",))
    drafted: dict[str, Any] = {"layout": layout, "files": look.globs(entry.name for entry in files)}
    if layout == "dicom_seg":
        told = "dicom_seg: segments are called as their codes mean; say `objects: true` if each is one object"
        return Draft(drafted, keys, (told,), objects=True)
    names = _region_names(look, files)
    if names:
        drafted["concepts"] = {name: name for name in names}
    told = (
        f"rtstruct: names of regions are free text; {len(names)} stand in `concepts` as they are: take out "
        "what names no structure, and give standard names"
    )
    return Draft(drafted, keys, (told,), objects=True)


def _region_names(look: Look, files: Sequence[Entry]) -> list[str]:
    """Short names of the regions of the first structure sets."""
    names: dict[str, None] = {}
    for entry in files[:MAX_STRUCTURE_SETS]:
        data = look.read(entry) if entry.bytes <= MAX_OBJECT_BYTES else None
        if not data:
            continue
        with quiet():
            read = read_dataset(data, Limits(), pixels=False)
            regions = () if isinstance(read, Refusal) else element_value(read[0], "StructureSetROISequence") or ()
            found = [str(element_value(region, "ROIName") or "").strip() for region in regions]
        names |= dict.fromkeys(name for name in found if len(name) <= MAX_NAME and _PLAIN_NAME.fullmatch(name))
    return sorted(names)[:MAX_NAMES]
