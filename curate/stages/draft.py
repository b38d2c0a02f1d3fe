"""draft: one bucket's annotations rendered as instructions by every task of the recipe."""

from collections.abc import Iterator
from typing import Any

import msgspec
import pyarrow as pa
import pyarrow.compute as pc

from curate import tasks
from curate.layouts.masks import is_label_map
from curate.recipe import TaskEntry
from curate.rows import Asset, Draft, Subject, rows_of, subjects, to_table
from curate.schema import ANNOTATIONS, ASSETS, DRAFTS, Form, Refusal, Unit
from curate.stages.asking import Asking, SliceDigests, config_of, pictures_of
from curate.stages.base import Beat, Run, bucket_parts, digest_of, stage_fingerprint
from curate.store.commit import PartWriter
from curate.store.parquet import read_table
from curate.store.part import Part, Sidecar
from curate.tasks.wording import wordings_digest
from curate.vocabulary import LabelNames, Vocabulary

__all__ = ["DraftStage", "read_part", "read_subjects", "vocabulary_digest", "vocabulary_of"]

SILENT_FORMS = (Form.RENDERING, Form.TILE, Form.FRAME, Form.CLIP)
"""What no annotation is ever placed on: pieces of a whole that the source speaks of, and other views of it."""

CHUNK_ROWS = 5000
"""Drafts held as Python values before they become an Arrow table."""


def vocabulary_of(run: Run, source: str) -> dict[str, LabelNames]:
    """Label set -> the concepts that it can name, as scan found them."""
    found: dict[str, list[str]] = run.sidecars.need(Part("scan", source)).statistics["vocabulary"]
    labels = run.corpus.source(source).card.labels
    return {
        each.name: LabelNames(tuple(sorted(found[each.name])), each.world, each.exhaustive, is_label_map(each))
        for each in labels
    }


def vocabulary_digest(run: Run, source: str) -> str:
    """One digest over the names of a source's labels and what their absence means."""

    def digest() -> str:
        vocabulary: Vocabulary = vocabulary_of(run, source)
        return digest_of((name, *msgspec.structs.astuple(names)) for name, names in sorted(vocabulary.items()))

    return run.sidecars.derived(("vocabulary", source), digest)


def read_part(run: Run, part: Part) -> Sidecar:
    """The read part of the same bucket."""
    return run.sidecars.need(Part("read", part.source, part.bucket))


def read_subjects(run: Run, part: Part) -> Iterator[Subject]:
    """The bucket's assets with their annotations; those of which nothing can be said are left out."""
    sidecar = read_part(run, part)
    assets = read_table(run.out, sidecar.of("assets"), ASSETS)
    silent = pc.is_in(assets.column("form"), value_set=pa.array([str(form) for form in SILENT_FORMS]))
    assets = assets.filter(pc.and_(pc.invert(silent), pc.is_null(assets.column("rendering_of"))))
    annotations = read_table(run.out, sidecar.of("annotations"), ANNOTATIONS)
    return subjects(assets, annotations)


def _tasks(run: Run) -> list[TaskEntry]:
    """The recipe's tasks by name: in which order it lists them makes no difference."""
    return sorted(run.corpus.recipe.tasks, key=lambda entry: entry.name)


class DraftStage:
    """One part per bucket of a source."""

    name = "draft"
    version = 3
    tables: tuple[str, ...] = ("drafts", "requests", "rejects")
    after: tuple[str, ...] = ("scan", "read")

    def parts(self, run: Run) -> list[Part]:
        """The buckets of read."""
        return bucket_parts(run, self.name)

    def fingerprint(self, run: Run, part: Part) -> dict[str, str]:
        """The recipe's tasks with their settings, versions and wordings."""
        config: dict[str, Any] = {"wordings": wordings_digest()} | config_of(run)
        for entry in _tasks(run):
            task = tasks.task_class(entry.name)
            config[f"task.{entry.name}"] = [task.version, entry.variants, entry.options]
        return stage_fingerprint(self, config, ("pyarrow",))

    def inputs(self, run: Run, part: Part) -> dict[str, str]:
        """The bucket's assets and annotations, and the source's vocabulary; never its images."""
        sidecar = read_part(run, part)
        return {
            "assets": sidecar.digest("assets"),
            "annotations": sidecar.digest("annotations"),
            "vocabulary": vocabulary_digest(run, part.source),
        }

    def build(self, run: Run, part: Part, writer: PartWriter, beat: Beat) -> dict[str, str]:
        """Draft, asset by asset and task by task."""
        vocabulary = vocabulary_of(run, part.source)
        made = [
            tasks.make_task(entry.name, entry.options, vocabulary, variants=entry.variants) for entry in _tasks(run)
        ]
        drafts: list[Draft] = []
        asking = _asking(run, part)
        for subject in read_subjects(run, part):
            beat(subject.asset.item_key)
            writer.saw(Unit.ASSET)
            writer.used(Unit.ASSET)
            for task in made:
                for draft in task.draft(subject):
                    if isinstance(draft, Refusal):
                        writer.saw(Unit.DRAFT)
                        writer.refuse(Unit.DRAFT, subject.asset.item_key, draft, locator=task.name)
                    else:
                        drafts.append(draft if asking is None else asking.ask(draft, subject))
            if len(drafts) >= CHUNK_ROWS:
                writer.write("drafts", to_table(drafts, DRAFTS))
                drafts = []
        writer.write("drafts", to_table(drafts, DRAFTS) if drafts else pa.Table.from_pylist([], schema=DRAFTS))
        if asking is not None:
            digests = SliceDigests()
            for table in asking.tables():
                writer.write("requests", table)
                digests.add(table)
            writer.statistics = {"requests": digests.told()}
        return self.inputs(run, part)


def _asking(run: Run, part: Part) -> Asking | None:
    rewrite = run.corpus.recipe.rewrite
    if rewrite is None or run.corpus.pack is None:
        return None
    pictures: dict[str, Asset] = {}
    if rewrite.see_image:
        pictures = pictures_of(rows_of(read_table(run.out, read_part(run, part).of("assets"), ASSETS), Asset))
    return Asking(rewrite, run.corpus.pack, pictures)
