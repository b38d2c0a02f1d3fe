"""Licences and data-use classes: what a card's terms allow, decided from its SPDX expression and its own words."""

from enum import StrEnum
from functools import lru_cache

from license_expression import ExpressionError, Licensing, get_spdx_licensing

from curate.card import Card
from curate.errors import CardError

__all__ = ["TermsClass", "check_terms", "terms_class"]


class TermsClass(StrEnum):
    """How freely rows of a source may travel, from the freest to the most bound."""

    OPEN = "open"  # attribution at most
    SHARE_ALIKE = "share_alike"
    NON_COMMERCIAL = "non_commercial"
    NO_DERIVATIVES = "no_derivatives"
    AGREEMENT = "agreement"  # registration or a data-use agreement: never redistributed
    UNKNOWN = "unknown"  # blocked from publishing, not guessed


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


def terms_class(card: Card) -> TermsClass:
    """The class of a card's licence: the most bound of its parts, unknown where the expression names none we know."""
    keys = list(_licensing().license_keys(card.terms.licence))
    order = list(TermsClass)
    classes = [_class_of(key) for key in keys] or [TermsClass.UNKNOWN]
    if card.terms.redistribute is False:
        classes.append(TermsClass.AGREEMENT)
    return max(classes, key=order.index)


def _class_of(key: str) -> TermsClass:
    if key in _OPEN:
        return TermsClass.OPEN
    if key.startswith("LicenseRef-"):
        return TermsClass.AGREEMENT
    words = key.split("-")
    if key.startswith("CC-BY") and "ND" in words:
        return TermsClass.NO_DERIVATIVES
    if key.startswith("CC-BY") and "NC" in words:
        return TermsClass.NON_COMMERCIAL
    if (key.startswith("CC-BY") and "SA" in words) or key.startswith(("GPL", "LGPL", "AGPL", "ODbL")):
        return TermsClass.SHARE_ALIKE
    return TermsClass.UNKNOWN


def check_terms(card: Card) -> None:
    """Refuse a licence that is no SPDX expression.

    Raises:
        CardError: the expression does not parse, or names an unknown licence that is not a `LicenseRef-`.
    """
    try:
        info = _licensing().validate(card.terms.licence)
    except ExpressionError as problem:
        raise CardError(
            f"card {card.id}: licence {card.terms.licence!r} is not an SPDX expression ({problem})"
        ) from None
    unknown = [symbol for symbol in info.invalid_symbols if not symbol.startswith("LicenseRef-")]
    if unknown or (info.errors and not info.invalid_symbols):
        raise CardError(
            f"card {card.id}: licence {card.terms.licence!r} names {', '.join(unknown) or 'nothing'}, "
            "which SPDX does not list; write the SPDX identifier, or LicenseRef-<name> for an agreement of its own"
        )
