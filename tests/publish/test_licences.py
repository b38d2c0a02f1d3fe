"""The licence file quotes each source that has rows, and no other; it holds no text of a licence."""

import dataclasses
from pathlib import Path

from curate.catalog import query
from curate.corpus import described
from curate.publish.facts import Licence, facts_of
from curate.publish.licences import licence_address, licence_keys, licences
from curate.publish.rows import open_release
from curate.publish.selection import select
from curate.terms import TermsClass
from tests.publish.cards import number, tables


def test_each_source_is_quoted_with_its_licence_and_rows(corpus: Path, published: Path) -> None:
    text = (published / "LICENSE.md").read_text()
    rows = dict(query(corpus, "SELECT source, count(*) FROM pairs GROUP BY source").fetchall())
    sections = {part.split("(`", 1)[1].split("`)", 1)[0]: part for part in text.split("\n## ")[1:]}
    assert set(sections) == set(rows)
    for name, card in described(corpus).cards.items():
        if name in rows:
            assert " ".join(card.terms.quote.split())[:40] in sections[name].replace("\\", "")
            told = next(tables(sections[name]))
            assert sum(number(row["rows"]) for row in told) == rows[name]
            assert {row["SPDX expression"].strip("`") for row in told} == {card.terms.licence}


def test_terms_of_the_most_bound_part_are_told(corpus: Path) -> None:
    chosen = select(corpus)
    release = open_release(chosen)
    facts = facts_of(chosen, release)
    bound = Licence("CC-BY-NC-SA-4.0", TermsClass.NON_COMMERCIAL, 1, 1)
    one = dataclasses.replace(facts.sources[0], licences=(bound,))
    changed = dataclasses.replace(facts, sources=(one, *facts.sources[1:]))
    text = licences(release, changed)
    assert "must not be used for commercial purposes" in text
    assert "goes on under CC-BY-NC-SA" in text
    assert "commercial" not in licences(release, facts).split("## ")[0]


def test_licences_are_named_with_the_address_of_their_text() -> None:
    assert licence_keys("CC-BY-4.0 AND (MIT OR Apache-2.0) AND MIT") == ["CC-BY-4.0", "MIT", "Apache-2.0"]
    assert licence_address("MIT") == "https://spdx.org/licenses/MIT.html"
    assert licence_address("LicenseRef-agreement") is None
