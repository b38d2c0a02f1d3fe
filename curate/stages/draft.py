"""draft: one bucket's annotations rendered as instructions by every task of the recipe."""

from collections.abc import Iterable, Iterator, Sequence
from typing import Any, cast

import msgspec
import pyarrow as pa
import pyarrow.compute as pc

from curate import tasks
from curate.card import Card
from curate.layouts.masks import marks_regions
from curate.recipe import TaskEntry
from curate.rows import Asset, Draft, Subject, rows_of, subjects, to_table
from curate.schema import ANNOTATIONS, ASSETS, DRAFTS, Form, Reason, Refusal, Unit
from curate.stages.asking import Asking, SliceDigests, config_of, pictures_of
from curate.stages.base import Beat, Run, bucket_parts, digest_of, stage_fingerprint
from curate.store.commit import PartWriter
from curate.store.parquet import read_table
from curate.store.part import Part, Sidecar
from curate.tasks.base import SubjectTask, Task
from curate.tasks.wording import wordings_digest
from curate.vocabulary import LabelNames, Vocabulary

__all__ = ["DraftStage", "read_part", "read_subjects", "vocabulary_digest", "vocabulary_in", "vocabulary_of"]

SILENT_FORMS = (Form.RENDERING, Form.TILE, Form.FRAME, Form.CLIP)
"""What no annotation is ever placed on: pieces of a whole that the source speaks of, and other views of it."""

CHUNK_ROWS = 5000
"""Drafts held as Python values before they become an Arrow table."""


def vocabulary_of(run: Run, source: str) -> dict[str, LabelNames]:
    """Label set -> the concepts that it can name, as scan found them."""
    return vocabulary_in(run.sidecars.need(Part("scan", source)), run.corpus.source(source).card)


def vocabulary_in(scanned: Sidecar, card: Card) -> dict[str, LabelNames]:
    """The vocabulary of a source by what scan found and its card says of silence."""
    found: dict[str, list[str]] = scanned.statistics["vocabulary"]
    return {
        each.name: LabelNames(tuple(sorted(found[each.name])), each.world, each.exhaustive, marks_regions(each))
        for each in card.labels
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
    version = 4
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
        """Draft, asset by asset and then subject by subject, task by task."""
        vocabulary = vocabulary_of(run, part.source)
        made = [
            tasks.make_task(entry.name, entry.options, vocabulary, variants=entry.variants) for entry in _tasks(run)
        ]
        of_asset = [cast(Task, task) for task in made if task.scope == "asset"]
        of_subject = [cast(SubjectTask, task) for task in made if task.scope == "subject"]
        histories: dict[str, list[Subject]] = {}
        asking = _asking(run, part)
        drafts = _Drafts(writer, asking)
        for subject in read_subjects(run, part):
            beat(subject.asset.item_key)
            writer.saw(Unit.ASSET)
            writer.used(Unit.ASSET)
            for task in of_asset:
                drafts.take(task.name, task.draft(subject), [subject])
            if of_subject and subject.asset.subject is not None:
                histories.setdefault(subject.asset.subject, []).append(subject)
        for history in histories.values():
            beat(history[0].asset.item_key)
            for together in of_subject:
                drafts.take(together.name, together.draft(history), history)
        drafts.close()
        if asking is not None:
            digests = SliceDigests()
            for table in asking.tables():
                writer.write("requests", table)
                digests.add(table)
            writer.statistics = {"requests": digests.told()}
        return self.inputs(run, part)


class _Drafts:
    """Drafts on their way to their table, and what tasks refuse to the ledger."""

    def __init__(self, writer: PartWriter, asking: Asking | None) -> None:
        self._unnamed: set[tuple[str, str]] = set()
        self._writer = writer
        self._asking = asking
        self._held: list[Draft] = []

    def take(self, task: str, said: Iterable[Draft | Refusal], shown: Sequence[Subject]) -> None:
        """What a task says of what it was shown; a refusal stands under the first of it.

        A name that is missing in a language is told once per task, not for each of the drafts that it keeps from being.
        """
        by_id = {subject.asset.asset_id: subject for subject in shown}
        for draft in said:
            if isinstance(draft, Refusal):
                if draft.reason is Reason.NO_TERM:
                    if (task, draft.detail) in self._unnamed:
                        continue
                    self._unnamed.add((task, draft.detail))
                self._writer.saw(Unit.DRAFT)
                self._writer.refuse(Unit.DRAFT, shown[0].asset.item_key, draft, locator=task)
            else:
                about = [by_id[asset_id] for asset_id in draft.asset_ids]
                self._held.append(draft if self._asking is None else self._asking.ask(draft, about))
        if len(self._held) >= CHUNK_ROWS:
            self._write()

    def close(self) -> None:
        """Write what is still held; a part without drafts has an empty table."""
        self._write()

    def _write(self) -> None:
        empty = pa.Table.from_pylist([], schema=DRAFTS)
        self._writer.write("drafts", to_table(self._held, DRAFTS) if self._held else empty)
        self._held = []


def _asking(run: Run, part: Part) -> Asking | None:
    rewrite = run.corpus.recipe.rewrite
    if rewrite is None or run.corpus.pack is None:
        return None
    pictures: dict[str, Asset] = {}
    if rewrite.see_image:
        pictures = pictures_of(rows_of(read_table(run.out, read_part(run, part).of("assets"), ASSETS), Asset))
    return Asking(rewrite, run.corpus.pack, pictures)
