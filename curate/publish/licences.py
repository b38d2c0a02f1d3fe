"""`LICENSE.md`: under which terms a release goes, source by source, in the words of the sources.

No text of a licence is held here: an expression is named as SPDX names it, with the address of its text at spdx.org.
"""

from collections.abc import Iterator

from license_expression import get_spdx_licensing

from curate.publish.base import Release
from curate.publish.facts import Facts, SourceFacts
from curate.publish.markdown import count, plain, quote, table
from curate.terms import TermsClass, bound_alike

__all__ = ["licence_address", "licence_keys", "licences"]

_SPDX = "https://spdx.org/licenses/"


def licences(release: Release, facts: Facts) -> str:
    """The whole file."""
    parts = ["# Licences", _whole(release, facts)]
    for one in facts.going:
        parts += _section(one)
    return "\n\n".join(parts) + "\n"


def licence_keys(expression: str) -> list[str]:
    """The licences that an SPDX expression names, in its order, each once."""
    return list(dict.fromkeys(get_spdx_licensing().license_keys(expression)))


def licence_address(key: str) -> str | None:
    """Where the text of a licence stands; null for one that SPDX does not list."""
    return None if key.startswith("LicenseRef-") else f"{_SPDX}{key}.html"


def _whole(release: Release, facts: Facts) -> str:
    if not facts.rows:
        return (
            "No row and no medium is passed on here, so no licence of a source is exercised; nobody stated one for the "
            "recipe and the digests. Whoever builds the rows does so under the terms of each source, as quoted below. "
            "This file is no legal advice."
        )
    told = [f"The whole release goes under `{release.licence}`."]
    classes = {licence.terms for one in facts.sources for licence in one.licences}
    if TermsClass.NON_COMMERCIAL in classes:
        told.append("Part of it must not be used for commercial purposes; rows say under which licence each goes.")
    asked = sorted(
        {word for one in facts.sources for licence in one.licences if (word := bound_alike(licence.expression))}
    )
    if asked:
        told.append(f"What is made of the whole goes on under {' and '.join(asked)}, as its share-alike terms ask.")
    told.append(
        "Texts that templates or models wrote of a source's annotations go under the terms of that source. This file "
        "quotes what the sources say; it is no legal advice."
    )
    keys = sorted(
        {key for one in facts.sources for licence in one.licences for key in licence_keys(licence.expression)}
    )
    lines = [
        f"- `{key}`: {licence_address(key) or 'no licence that SPDX lists; see the section of its source'}"
        for key in keys
    ]
    return " ".join(told) + "\n\n" + "\n".join(lines)


def _section(one: SourceFacts) -> Iterator[str]:
    terms = one.card.terms
    yield f"## {plain(one.card.title)} (`{one.id}`)"
    if one.licences:
        yield table(("SPDX expression", "terms", "media", "rows"), [
            (f"`{licence.expression}`", str(licence.terms), licence.media, licence.rows) for licence in one.licences
        ])  # fmt: skip
    else:
        yield f"Its card states `{terms.licence}`."
    yield f"What the source says, read at {plain(terms.read_at)}:"
    yield quote(terms.quote)
    if not one.licences:
        return
    if [licence.expression for licence in one.licences] != [terms.licence]:
        yield (
            f"Its card as a whole: `{terms.licence}`. Rows of the source state licences of their own; those stand in "
            "the table, and rows without one are left out."
        )
    version = f", version {plain(one.card.source.version)}" if one.card.source.version else ""
    cite = f" {plain(one.card.source.cite).rstrip('.')}." if one.card.source.cite else ""
    under = ", ".join(licence.expression for licence in one.licences)
    yield (
        f"Attribution: {plain(one.card.title)}{version}, {plain(one.card.source.home)}, under {under}.{cite} Changed: "
        f"chosen, converted and put into words as {count(one.rows)} rows."
    )
