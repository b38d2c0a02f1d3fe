"""Drafts of a built corpus with all that their sources say, as the verify stage gets them."""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import msgspec

from bench.verify.rows import Row
from curate.build import build
from curate.execute import Executing
from curate.phantom import write_phantoms
from curate.plan import run_for
from curate.rows import Draft, rows_of
from curate.schema import DRAFTS, Origin
from curate.stages import Run
from curate.stages.base import bucket_parts
from curate.stages.draft import read_subjects, vocabulary_of
from curate.store.parquet import iter_tables
from curate.store.part import Part
from curate.vocabulary import Vocabulary

__all__ = [
    "AS_MODEL",
    "OF_PHANTOMS",
    "PHANTOMS",
    "RECIPE",
    "SOURCE_TEXT",
    "TEMPLATES",
    "as_model_text",
    "corpus_rows",
    "opened",
    "opened_phantoms",
    "vocabularies",
]

ROOT = Path(__file__).resolve().parents[2]
PHANTOMS = Path(__file__).parent / "phantoms.yaml"
RECIPE = ROOT / "pipelines" / "seven-sources.yaml"

TEMPLATES = "own templates"
OF_PHANTOMS = "own templates, phantoms"
AS_MODEL = " as model text"
SOURCE_TEXT = "source questions and answers"


@contextmanager
def opened_phantoms(folder: Path | None, jobs: int | None = None) -> Iterator[Run]:
    """Phantoms state what the seven sources do not: absence, doubt, classes that exclude each other.

    They are made and built in a folder that stays, where one is given, and then only what is not there yet.
    """
    with tempfile.TemporaryDirectory(prefix="curate-bench-verify-") as temporary:
        place = Path(temporary) if folder is None else folder
        data, out = place / "data", place / "corpus"
        if not data.exists():
            write_phantoms(data)
        build(PHANTOMS, out, data, executing=Executing(workers=jobs))
        yield run_for(PHANTOMS, out, data)


@contextmanager
def opened(recipe: Path, data: Path | None, corpus: Path | None, jobs: int | None = None) -> Iterator[Run]:
    """The corpus of a recipe: one that is built already, or built now in a folder that goes when this ends."""
    if corpus is not None:
        yield run_for(recipe, corpus, data)
        return
    with tempfile.TemporaryDirectory(prefix="curate-bench-verify-") as folder:
        out = Path(folder) / "corpus"
        build(recipe, out, data, executing=Executing(workers=jobs))
        yield run_for(recipe, out, data)


def vocabularies(run: Run) -> dict[str, Vocabulary]:
    """Source -> what its label sets can name."""
    return {source.card.id: vocabulary_of(run, source.card.id) for source in run.corpus.sources}


def corpus_rows(run: Run, templates: str = TEMPLATES) -> Iterator[Row]:
    """Every draft, by source and bucket, in the order in which they were written; `templates` names their group."""
    known = vocabularies(run)
    for part in bucket_parts(run, "verify"):
        yield from part_rows(run, part, known[part.source], templates)


def part_rows(run: Run, part: Part, vocabulary: Vocabulary, templates: str) -> Iterator[Row]:
    """The drafts of one part, what their source wrote itself in a group of its own."""
    subjects = {subject.asset.asset_id: subject for subject in read_subjects(run, part)}
    files = run.sidecars.need(Part("draft", part.source, part.bucket)).of("drafts")
    for table in iter_tables(run.out, files, DRAFTS):
        for draft in rows_of(table, Draft):
            about = [subjects[asset_id] for asset_id in draft.asset_ids]
            yield Row(
                row_id=draft.draft_id,
                group=templates if draft.origin is Origin.TEMPLATE else SOURCE_TEXT,
                kind=draft.task,
                draft=draft,
                assets=tuple(subject.asset for subject in about),
                annotations=tuple(each for subject in about for each in subject.annotations),
                vocabulary=vocabulary,
            )


def as_model_text(row: Row) -> Row:
    """The same text as if a model had written it."""
    draft = msgspec.structs.replace(row.draft, origin=Origin.LLM)
    return replace(row, group=row.group + AS_MODEL, draft=draft)
