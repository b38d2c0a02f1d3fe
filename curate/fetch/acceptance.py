"""The terms of a dataset as a person is shown them before anything of it is fetched."""

import hashlib
from dataclasses import dataclass

from curate.card import Card
from curate.errors import CardError, GateError
from curate.terms import TermsClass, check_terms, terms_class

__all__ = ["Terms", "check_fetchable", "terms_of"]


@dataclass(frozen=True, slots=True)
class Terms:
    """What is shown and accepted: the whole text, and its digest."""

    text: str
    licence: str

    @property
    def sha256(self) -> str:
        """The digest of the text: other words, other terms."""
        return hashlib.sha256(self.text.encode()).hexdigest()


def terms_of(card: Card) -> Terms:
    """The terms of a card: its licence, the words it quotes and where they stand."""
    terms, source = card.terms, card.source
    lines = [
        f"{card.title} ({card.id})",
        f"from:     {source.home}" + (f", {source.version}" if source.version else ""),
        f"licence:  {terms.licence} ({terms_class(card)})",
        f"it says:  {terms.quote}",
        f"read at:  {terms.read_at}",
    ]
    if source.cite:
        lines.append(f"cite:     {source.cite}")
    return Terms("\n".join(lines) + "\n", terms.licence)


def check_fetchable(card: Card) -> None:
    """Refuse a card that gives no address, or whose terms somebody must agree to elsewhere.

    Raises:
        GateError: the terms need a registration or an agreement.
        CardError: there is no address, or the licence is none.
    """
    check_terms(card)
    if terms_class(card) is TermsClass.AGREEMENT:
        raise GateError(
            f"source {card.id}: its terms ({card.terms.licence}) need a registration or an agreement, which nobody can "
            f"accept here; go to {card.source.home}, agree there, and put the data into ROOT/{card.id}"
        )
    if not card.source.has_addresses:
        raise CardError(
            f"card {card.id}: it gives no address to fetch from; get the dataset at {card.source.home} and put it into "
            f"ROOT/{card.id}, or give its card `source.files` or `source.hub` (docs/fetch.md)"
        )
