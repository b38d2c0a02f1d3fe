"""How an image is called in a sentence: `chest radiograph`, `axial CT image of the head`."""

from collections.abc import Iterator
from typing import Final

from curate.dicom_names import spoken
from curate.rows import Asset
from curate.schema import Form, Laterality
from curate.tasks.english import ModalityWords, grammar, is_specimen, phrase, speakable

__all__ = ["anatomy_phrase", "attributes", "body_part", "called", "modality_name", "noun", "view_name"]

_CALLED: Final = {Form.VOLUME: "scan", Form.VIDEO: "video", Form.CLIP: "video"}

ATTRIBUTES = ("modality", "anatomy", "view", "laterality")
"""What an image shows of itself; age, sex and laboratory values are not among them."""


def _phrase_of(attribute: str, value: str | None) -> str | None:
    name = spoken(attribute, value) if value and speakable(value) else None
    return phrase(name) if name else None


def _modality_words(asset: Asset) -> ModalityWords | None:
    name = _phrase_of("modality", asset.modality)
    return grammar().modality.get(name.lower()) if name else None


def modality_name(asset: Asset) -> str | None:
    """`radiography` for the DICOM codes CR and DX, names as they are; None for `OT` and codes that nobody knows."""
    words = _modality_words(asset)
    return words.name if words else _phrase_of("modality", asset.modality)


def view_name(asset: Asset) -> str | None:
    """The projection or plane, codes written out."""
    return _phrase_of("view", asset.view)


def anatomy_phrase(asset: Asset) -> str | None:
    """The part of the body as its own phrase, codes written out."""
    return _phrase_of("anatomy", asset.anatomy)


def body_part(asset: Asset) -> str | None:
    """The part of the body with its article and the patient's side: `the left breast`, `both lungs`."""
    part, side = anatomy_phrase(asset), asset.laterality
    if side in (Laterality.LEFT, Laterality.RIGHT) and (part is None or side not in part.split(" ")):
        return f"the {side} {part or 'side'}"
    if part is None:
        return None
    return part if is_specimen(part) else f"the {part}"


def attributes(asset: Asset) -> Iterator[tuple[str, str]]:
    """The attributes that are known, with their values as phrases."""
    values = (modality_name(asset), anatomy_phrase(asset), view_name(asset), asset.laterality)
    for name, value in zip(ATTRIBUTES, values, strict=True):
        if value:
            yield name, str(value)


def called(asset: Asset) -> str:
    """What templates call the asset where they say `image`: a volume is a scan, a video is a video."""
    return _CALLED.get(asset.form, "image")


def noun(asset: Asset, *, without: frozenset[str] = frozenset()) -> str:
    """The image as a noun phrase without an article; `without` leaves out what a question asks about."""
    part = None if "anatomy" in without else anatomy_phrase(asset)
    placed = None if "anatomy" in without else body_part(asset)
    words = None if "modality" in without else _modality_words(asset)
    name = words.noun if words else "image"
    if not words and "modality" not in without and (modality := modality_name(asset)):
        name = modality if modality.endswith(("image", "photograph")) else f"{modality} image"
    if name == "image" or name.endswith(" image"):
        name = name.removesuffix("image") + called(asset)
    if words and words.whole and part and placed == f"the {part}":
        name = f"{part} {name}"
    elif placed:
        name = f"{name} of {placed}"
    view = None if "view" in without else view_name(asset)
    return f"{view} {name}" if view else name
