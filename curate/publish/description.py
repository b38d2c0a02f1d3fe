"""What describes a release, written after its data and before its manifest: card, licences, pictures, Croissant."""

from collections.abc import Iterator, Sequence
from typing import Final

from curate.publish import figures
from curate.publish.base import Release, Written
from curate.publish.contact_sheet import Example, chosen_examples, contact_sheet
from curate.publish.croissant import CROISSANT, croissant
from curate.publish.facts import Facts, facts_of
from curate.publish.licences import licences
from curate.publish.markdown import plain, table
from curate.publish.readme import Picture, Rebuild, readme
from curate.publish.rebuild import FOLDER, digests_of, recipe_files
from curate.publish.rows import CorpusReader
from curate.publish.writing import Staging
from curate.store.place import Place

__all__ = ["describe"]

_FIGURES: Final = "figures"


def describe(out: Place, release: Release, staging: Staging, written: Sequence[Written]) -> None:
    """Write all that describes a release, from its rows, the files that were staged and the ledger of `out`."""
    reader = release.reader
    if not isinstance(reader, CorpusReader):
        raise TypeError(f"{out}: only a release that is read from a corpus can be described")
    facts = facts_of(reader.chosen, release)
    pictures = list(_pictures(release, facts, staging))
    for path, text in recipe_files(facts.about):
        _write(staging, path, text.encode())
    digests = {}
    for source, data in digests_of(reader.chosen):
        digests[source] = f"{FOLDER}/{source}.parquet"
        _write(staging, digests[source], data)
    _write(staging, "LICENSE.md", licences(release, facts).encode())
    told = readme(
        release,
        facts,
        written,
        staging.files,
        pictures=pictures,
        rebuild=Rebuild("recipe/recipe.yaml", digests),
    )
    _write(staging, "README.md", told.encode())
    _write(staging, CROISSANT, croissant(release, facts, written, staging.files, staging.local))


def _write(staging: Staging, path: str, data: bytes) -> None:
    with staging.create(path) as file:
        file.write(data)


def _pictures(release: Release, facts: Facts, staging: Staging) -> Iterator[Picture]:
    """The pictures of the card, written as they come."""
    examples = chosen_examples(release)
    drawn = {
        "examples": (
            contact_sheet(release, examples),
            f"{len(examples)} examples with what their sources drew on them",
        ),
        "sources": (figures.sources(facts), "Rows by source and split; the numbers stand in the tables below"),
        "tasks": (figures.splits(facts), "Rows by task and split; the numbers stand in the tables below"),
        "labels": (figures.labels(facts), "Images by label and by what is said of it"),
        "sizes": (figures.sizes(facts), "Media by the length of their longer side in pixels"),
        "lengths": (figures.lengths(facts), "Rows by the length of question and answer in characters"),
    }
    for name, (data, shown) in drawn.items():
        if data is not None:
            path = f"{_FIGURES}/{name}.png"
            _write(staging, path, data)
            yield Picture(path, shown, _told(examples) if name == "examples" else "")


def _told(examples: Sequence[Example]) -> str:
    """What is asked and answered about the pictures of the sheet."""
    return table(
        ("", "question", "answer", "licence"),
        [
            (f"{place}", plain(one.row.question), plain(one.row.answer), plain(one.row.licence))
            for place, one in enumerate(examples, start=1)
        ],
    )
