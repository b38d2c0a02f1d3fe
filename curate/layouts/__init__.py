"""How labels lie on disk: one module per layout, found by the name that a card's label set gives.

Further layouts register under the entry point group `curate.layouts`, name -> class. A layout that reads no files of
its own, because the images or their paths say it all, states `has_files = False`.
"""

from typing import Final

from curate.card import LABEL_SET_KEYS, Card, LabelSet, check_known, convert_strictly
from curate.errors import CardError
from curate.layouts.base import Layout, LayoutOptions
from curate.plugins import Registry

__all__ = ["check_card", "layout_names", "layout_of", "options_of", "registry"]

GROUP: Final = "curate.layouts"

BUILT_IN: Final = {
    "coco": "curate.layouts.coco:Coco",
    "dicom_seg": "curate.layouts.dicom_seg:DicomSeg",
    "folders": "curate.layouts.folders:Folders",
    "headers": "curate.layouts.headers:Headers",
    "labelme": "curate.layouts.labelme:Labelme",
    "masks": "curate.layouts.masks:Masks",
    "points": "curate.layouts.points:Points",
    "qa": "curate.layouts.qa:Qa",
    "rtstruct": "curate.layouts.rtstruct:RtStruct",
    "table": "curate.layouts.table:Table",
    "voc": "curate.layouts.voc:Voc",
    "webdataset": "curate.layouts.webdataset:WebDataset",
    "yolo": "curate.layouts.yolo:Yolo",
}

_LAYOUTS: Final[Registry[Layout]] = Registry("layout", GROUP, BUILT_IN, CardError)


def layout_names() -> list[str]:
    """Every layout that a card may name, sorted."""
    return list(_LAYOUTS.names)


def registry() -> dict[str, type[Layout]]:
    """Every layout by its name, built-in or plugged in; imports them all."""
    return {name: _LAYOUTS.named(name, "the registry") for name in layout_names()}


def layout_of(label_set: LabelSet, where: str = "card") -> Layout:
    """The layout that a label set names.

    Raises:
        CardError: there is none of this name, two plug-ins claim it, or it does not import.
    """
    return _LAYOUTS.named(label_set.layout, f"{where}, label set {label_set.name}")()


def options_of(label_set: LabelSet, where: str) -> LayoutOptions:
    """The keys that only the layout understands, checked; `where` names the card in errors.

    Raises:
        CardError: a key that the layout does not know, or a value that it cannot mean.
    """
    place = f"{where}, label set {label_set.name}"
    return convert_strictly(
        label_set.options, _LAYOUTS.named(label_set.layout, place).Options, place, CardError, beside=LABEL_SET_KEYS
    )


def check_card(card: Card) -> None:
    """Check every label set of a card, and the DICOM keywords that it names, before any data is read.

    Raises:
        CardError: an unknown layout, wrong options, `files` missing or given in vain, a keyword that is not read.
    """
    where = f"card {card.id}"
    if card.reads_headers:
        _check_keywords(card, where)
    for label_set in card.labels:
        layout = layout_of(label_set, where)
        options_of(label_set, where)
        place = f"{where}, label set {label_set.name}: layout {label_set.layout}"
        has_files = getattr(layout, "has_files", True)
        if has_files and not label_set.files:
            raise CardError(f"{place} needs `files`, the pattern of its label files")
        if not has_files and label_set.files:
            raise CardError(f"{place} reads no files of its own; leave out `files`")


def _check_keywords(card: Card, where: str) -> None:
    # Imported late: most cards read no header, and the images package takes a while.
    from curate.images.dicom import HEADER_KEYWORDS, IDENTIFIER_KEYWORDS

    try:
        for keyword in card.images.header.values():
            check_known(keyword, HEADER_KEYWORDS, "a DICOM keyword that can be read")
        for rule in (card.subject, card.study):
            if rule is not None and rule.header is not None:
                check_known(rule.header, IDENTIFIER_KEYWORDS, "a DICOM keyword that names a subject or a study")
    except ValueError as problem:
        raise CardError(f"{where}: {problem}") from None
