"""How an image is called in a sentence: `chest radiograph`, `axial CT image of the head`."""

from collections.abc import Iterator

from curate.rows import Asset
from curate.schema import Laterality
from curate.tasks.english import grammar, phrase, speakable

__all__ = ["anatomy_phrase", "attributes", "body_part", "modality_name", "noun", "view_name"]

ATTRIBUTES = ("modality", "anatomy", "view", "laterality")
"""What an image shows of itself; age, sex and laboratory values are not among them."""


def modality_name(asset: Asset) -> str | None:
    """`CT` for the DICOM code CT, `radiography` for CR and DX; other names as they are."""
    if not asset.modality or not speakable(asset.modality):
        return None
    words = grammar().modality.get(asset.modality.strip().lower())
    return words.name if words else phrase(asset.modality)


def view_name(asset: Asset) -> str | None:
    """The projection or plane, codes written out."""
    if not asset.view or not speakable(asset.view):
        return None
    return grammar().view.get(asset.view.strip().lower()) or phrase(asset.view)


def anatomy_phrase(asset: Asset) -> str | None:
    """The part of the body as its own phrase."""
    return phrase(asset.anatomy) if asset.anatomy and speakable(asset.anatomy) else None


def body_part(asset: Asset) -> str | None:
    """The part of the body with its article and the patient's side: `the left breast`, `both lungs`."""
    part, side = anatomy_phrase(asset), asset.laterality
    if side in (Laterality.LEFT, Laterality.RIGHT) and (part is None or side not in part.split(" ")):
        return f"the {side} {part or 'side'}"
    if part is None:
        return None
    return part if part.split(" ")[-1] in grammar().bare_anatomy else f"the {part}"


def attributes(asset: Asset) -> Iterator[tuple[str, str]]:
    """The attributes that are known, with their values as phrases."""
    values = (modality_name(asset), anatomy_phrase(asset), view_name(asset), asset.laterality)
    for name, value in zip(ATTRIBUTES, values, strict=True):
        if value:
            yield name, str(value)


def noun(asset: Asset, *, without: frozenset[str] = frozenset()) -> str:
    """The image as a noun phrase without an article; `without` leaves out what a question asks about."""
    part = None if "anatomy" in without else anatomy_phrase(asset)
    placed = None if "anatomy" in without else body_part(asset)
    words = None
    if asset.modality and "modality" not in without:
        words = grammar().modality.get(asset.modality.strip().lower())
    name = words.noun if words else "image"
    if not words and "modality" not in without and (modality := modality_name(asset)):
        name = modality if modality.endswith(("image", "photograph")) else f"{modality} image"
    if words and words.whole and part and placed == f"the {part}":
        name = f"{part} {name}"
    elif placed:
        name = f"{name} of {placed}"
    view = None if "view" in without else view_name(asset)
    return f"{view} {name}" if view else name
