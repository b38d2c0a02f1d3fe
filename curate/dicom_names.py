"""Codes of DICOM headers as people say them: modality, body part, view, laterality.

The table is `dicom_names.yaml`, which cites its sources. Tables of other sources use the same codes, so that they are
read wherever an attribute of an image is spoken.
"""

import functools
import importlib.resources
import re
from typing import Final

import msgspec
import yaml

__all__ = ["side", "spoken", "table_text"]

_CODE: Final = re.compile(r"[A-Z0-9_ -]*[A-Z][A-Z0-9_ -]*")
"""A value without small letters is a code string (PS3.5 6.2, CS), not words."""
_SEPARATORS: Final = re.compile(r"[\s_-]+")


class _Names(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    modality: dict[str, str]
    anatomy: dict[str, str]
    view: dict[str, str]
    laterality: dict[str, str]

    def of(self, attribute: str) -> dict[str, str]:
        names = {"modality": self.modality, "anatomy": self.anatomy, "view": self.view, "laterality": self.laterality}
        return names.get(attribute, {})


@functools.cache
def table_text() -> str:
    """The table as it is written, for fingerprints."""
    return importlib.resources.files("curate").joinpath("dicom_names.yaml").read_text("utf-8")


@functools.cache
def _names() -> _Names:
    return msgspec.convert(yaml.safe_load(table_text()), _Names)


@functools.lru_cache(maxsize=4096)
def spoken(attribute: str, value: str) -> str | None:
    """The value of a modality, anatomy or view in words; None where it is a code that tells nobody anything.

    Words stay as they are. A known code has its name, in small letters too and whatever divides its words
    (`WHOLE BODY`, `whole_body`); an unknown code has none, and nor has one that means "other".
    """
    text = value.strip()
    known = _names().of(attribute).get(_SEPARATORS.sub("", text).upper())
    if known is not None:
        return known or None
    return None if not text or _CODE.fullmatch(text) else text


def side(value: str) -> str | None:
    """The side that a header's laterality means: left, right or bilateral; None where it is unpaired or no side."""
    words = spoken("laterality", value)
    return words if words in ("left", "right", "bilateral") else None
