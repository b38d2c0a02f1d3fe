"""Licences and data-use classes: what a card's terms allow, decided from its SPDX expression and its own words.

Where the rows of a source state licences of their own, each asset has that of its row. A row without one is not taken
to have the card's: what nobody states is `UNSTATED`, and that class is unknown.
"""

import re
from collections.abc import Iterator
from enum import StrEnum
from functools import lru_cache
from typing import Any, Final

from license_expression import ExpressionError, Licensing, get_spdx_licensing

from curate.card import Card
from curate.errors import CardError

__all__ = [
    "UNSTATED",
    "TermsClass",
    "bound_alike",
    "check_terms",
    "publish_problem",
    "remote_problem",
    "row_licence",
    "rows_state_licences",
    "terms_class",
]

UNSTATED: Final = "LicenseRef-unstated"
"""The licence of an asset whose source states licences row by row, but none for this one."""


class TermsClass(StrEnum):
    """How freely rows of a source may travel, from the freest to the most bound."""

    OPEN = "open"  # attribution at most
    SHARE_ALIKE = "share_alike"
    NON_COMMERCIAL = "non_commercial"
    NO_DERIVATIVES = "no_derivatives"
    AGREEMENT = "agreement"  # registration or a data-use agreement: never redistributed
    UNKNOWN = "unknown"  # blocked from publishing, not guessed


_BOUND: Final = frozenset({TermsClass.NO_DERIVATIVES, TermsClass.AGREEMENT, TermsClass.UNKNOWN})
_OPEN = frozenset(
    {
        "0BSD",
        "Apache-2.0",
        "BSD-2-Clause",
        "BSD-3-Clause",
        "CC-BY-1.0",
        "CC-BY-2.0",
        "CC-BY-2.5",
        "CC-BY-3.0",
        "CC-BY-4.0",
        "CC0-1.0",
        "CDLA-Permissive-1.0",
        "CDLA-Permissive-2.0",
        "HPND",
        "ISC",
        "MIT",
        "MIT-CMU",
        "ODC-By-1.0",
        "PDDL-1.0",
        "Unlicense",
        "Zlib",
    }
)


@lru_cache(maxsize=1)
def _licensing() -> Licensing:
    return get_spdx_licensing()


def terms_class(card: Card, licence: str | None = None) -> TermsClass:
    """The class of a licence, the card's or that of a row: the most bound of its parts.

    Unknown where the expression names none that we know. `redistribute: false` on the card binds its rows too.
    """
    keys = list(_licensing().license_keys(card.terms.licence if licence is None else licence))
    order = list(TermsClass)
    classes = [_class_of(key) for key in keys] or [TermsClass.UNKNOWN]
    if card.terms.redistribute is False:
        classes.append(TermsClass.AGREEMENT)
    return max(classes, key=order.index)


def remote_problem(card: Card, *, images: bool) -> str | None:
    """Why what a source says, and with `images` its images, may not be sent to a third party; null where it may.

    The card's own word (`remote_llm`) decides; without one, an agreement or unknown terms keep everything here, and so
    do terms that rows of the source state for themselves, since they are known only when they are read. What is said
    not to be de-identified never leaves, and images leave only where the card says that they are.
    """
    terms = card.terms
    if terms.deidentified is False:
        return "its card says that it is not de-identified"
    if images and terms.deidentified is not True:
        return "its card does not say that its images are de-identified"
    if terms.remote_llm is not None:
        return None if terms.remote_llm else "its card says `remote_llm: false`"
    found = terms_class(card)
    if found in (TermsClass.AGREEMENT, TermsClass.UNKNOWN):
        return f"its terms are of the class {found}, and its card does not say `remote_llm: true`"
    if rows_state_licences(card):
        return "its rows state licences of their own, and its card does not say `remote_llm: true`"
    return None


def publish_problem(card: Card, found: TermsClass) -> str | None:
    """Why rows of a source may not be published under terms of this class, in one word; null where they may.

    A pair is an adaptation of what its source says, so terms without derivatives keep it here.
    """
    if card.terms.deidentified is not True:
        return "not_deidentified"
    return str(found) if found in _BOUND else None


def bound_alike(licence: str) -> str | None:
    """What the share-alike part of a licence asks of everything that it stands beside; null where it asks nothing.

    Two answers that differ cannot be met by one release: adapted material must go under the licence of each. Versions
    of one licence are the same answer, since the Creative Commons let later ones be used (CC BY-SA 4.0, section 3 b 1).
    """
    asked = {_family(key) for key in _licensing().license_keys(licence) if _is_alike(key)}
    return " and ".join(sorted(asked)) or None


def _family(key: str) -> str:
    return re.sub(r"-\d+(?:\.\d+)*(?:-[A-Z]{2,3})?(?:-only|-or-later)?$", "", key)


def rows_state_licences(card: Card) -> bool:
    """True where a label set of the card names a column of licences."""
    return any(True for _ in _licence_fields(card))


def row_licence(word: str) -> str:
    """What a row's word is worth: an SPDX expression as it stands, else `UNSTATED`."""
    return UNSTATED if _problem_of(word) else word


def _licence_fields(card: Card) -> Iterator[Any]:
    """What `fields: {licence: ...}` says, label set by label set."""
    for labels in card.labels:
        fields = labels.options.get("fields")
        if isinstance(fields, dict) and "licence" in fields:
            yield fields["licence"]


def _class_of(key: str) -> TermsClass:
    if key in _OPEN:
        return TermsClass.OPEN
    if key == UNSTATED:
        return TermsClass.UNKNOWN
    if key.startswith("LicenseRef-"):
        return TermsClass.AGREEMENT
    words = key.split("-")
    if key.startswith("CC-BY") and "ND" in words:
        return TermsClass.NO_DERIVATIVES
    if key.startswith("CC-BY") and "NC" in words:
        return TermsClass.NON_COMMERCIAL
    return TermsClass.SHARE_ALIKE if _is_alike(key) else TermsClass.UNKNOWN


def _is_alike(key: str) -> bool:
    return (key.startswith("CC-BY") and "SA" in key.split("-")) or key.startswith(("GPL", "LGPL", "AGPL", "ODbL"))


def check_terms(card: Card) -> None:
    """Refuse a licence that is no SPDX expression, the card's own or one that its rows are said to have.

    Raises:
        CardError: the expression does not parse, or names an unknown licence that is not a `LicenseRef-`.
    """
    words = [card.terms.licence]
    for field in _licence_fields(card):
        values = field.get("values") if isinstance(field, dict) else None
        words += [word for word in (values or {}).values() if word is not None]
    for word in words:
        problem = _problem_of(word)
        if problem:
            raise CardError(
                f"card {card.id}: licence {word!r} {problem}; "
                "write the SPDX identifier, or LicenseRef-<name> for an agreement of its own"
            )


def _problem_of(word: str) -> str | None:
    """Why a word is no SPDX expression, or none."""
    if not word.strip():
        return "is empty"
    try:
        parsed = _licensing().parse(word, strict=True)
    except ExpressionError as problem:
        return f"is not an SPDX expression ({problem})"
    unknown = [key for key in _licensing().unknown_license_keys(parsed) if not key.startswith("LicenseRef-")]
    return f"names {', '.join(unknown)}, which SPDX does not list" if unknown else None
