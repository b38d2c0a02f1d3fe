"""A false answer to the question of a row, proved to be false: what preference training rejects.

One fact is changed (`otherwise`), and the task that drafted the row speaks of the changed asset; where a model wrote
the row, an answer is taken that it gave to the same question about another asset, so that both answers are written
alike. An answer is kept if the verifier refuses it about the real asset and accepts it about the changed one: so it is
refused for its fact, not for its form.
"""

import heapq
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final, cast

import msgspec

from curate.errors import RecipeError
from curate.publish.base import Release, Row
from curate.publish.otherwise import Otherwise, known_of, otherwise
from curate.rows import Annotation, Draft, Message, Subject
from curate.schema import Kind, Origin, Reason, identity
from curate.tasks import make_task
from curate.tasks.base import Task
from curate.tasks.statements import grade_value
from curate.verify import Verifier
from curate.vocabulary import Vocabulary

__all__ = ["NOT_PROVED", "Contrast", "Contraster", "Seen", "contrasts", "survey"]

NOT_PROVED: Final = "no answer to its question can be proved to be false"
_ALL_WORDINGS: Final = 10_000
_OPTIONS: Final[Mapping[str, Mapping[str, int]]] = {
    "closed_vqa": {"surplus_no": _ALL_WORDINGS, "surplus_yes": _ALL_WORDINGS, "max_attributes": _ALL_WORDINGS},
    "open_vqa": {"max_attributes": _ALL_WORDINGS},
    "grounding": {"regions": _ALL_WORDINGS},
}
"""Settings under which a task puts every question that it can, so that the row's own is among them."""
_KEPT: Final = 8
"""So many answers of a model to one question, and values of one grade, are remembered."""
_LONGER: Final = 2.0
_SLACK: Final = 3
"""A false answer has at most so many times the words of the true one, and some; nor fewer: length must not tell."""


class Contrast(msgspec.Struct, frozen=True, kw_only=True):
    """A false answer, and why it is false.

    `fact`: the kind of fact that differs; `true` and `false`: what the source says of it, and what the text says;
    `refused_by`: the reason for which the verifier refuses it.
    """

    text: str
    fact: str
    true: str
    false: str
    refused_by: Reason


class Seen(msgspec.Struct, frozen=True):
    """What a release says elsewhere: answers of a model by question, values of grades by their name. See `survey`."""

    answers: Mapping[tuple[str, ...], tuple[str, ...]] = {}
    grades: Mapping[str, Mapping[str, tuple[Annotation, ...]]] = {}  # source -> name -> one annotation per value


@dataclass(frozen=True, slots=True)
class _Source:
    """What is needed to speak of the assets of one source."""

    vocabulary: Vocabulary
    verifier: Verifier
    tasks: dict[str, Task | None]

    def task(self, name: str) -> Task | None:
        """The task that drafted a row, ready to put every question; None where none is at hand for one asset."""
        if name not in self.tasks:
            try:
                found = make_task(name, _OPTIONS.get(name, {}), self.vocabulary, variants=_ALL_WORDINGS)
            except RecipeError:
                found = None
            self.tasks[name] = None if found is None or found.scope != "asset" else cast("Task", found)
        return self.tasks[name]


class Contraster:
    """Makes contrasts for the rows of one release; belongs to one thread."""

    def __init__(self, vocabularies: Mapping[str, Vocabulary], seen: Seen | None = None) -> None:
        self._vocabularies = vocabularies
        self._seen = Seen() if seen is None else seen
        self._sources: dict[str, _Source] = {}

    def contrast(self, row: Row, subjects: tuple[Subject, ...]) -> Contrast | None:
        """A false answer to the question of a row, or None where none can be proved to be false.

        `subjects`: the assets of the row with all their annotations. Rows of several assets or turns have none.
        """
        if len(subjects) != 1 or len(row.messages) != 2:
            return None
        source = self._source(row.source)
        asset, annotations = subjects[0].asset, subjects[0].annotations
        known = known_of(subjects[0], source.vocabulary, self._seen.grades.get(row.source, {}))
        for other in otherwise(row, known):
            for said in self._said(source, row, other):
                if not _alike(row.answer, _answer(said)):
                    continue
                refusal = source.verifier.verify(_draft(row, _answer(said)), (asset,), annotations).refusal
                if refusal is None:
                    continue
                accepted = source.verifier.verify(said, (other.subject.asset,), other.subject.annotations)
                if accepted.refusal is None:
                    return Contrast(
                        text=_answer(said),
                        fact=other.fact,
                        true=other.true,
                        false=other.false,
                        refused_by=refusal.reason,
                    )
        return None

    def _source(self, name: str) -> _Source:
        if name not in self._sources:
            vocabulary = self._vocabularies[name]
            self._sources[name] = _Source(vocabulary, Verifier(vocabulary), {})
        return self._sources[name]

    def _said(self, source: _Source, row: Row, other: Otherwise) -> Iterator[Draft]:
        """What would be answered to the row's question about the changed asset, the likest wording first."""
        if row.origin is Origin.LLM:
            rests_on = _named(row, other)
            for text in self._seen.answers.get(_question_key(row), ()):
                yield _draft(row, text, other.subject.asset.asset_id, rests_on)
            return
        task = source.task(row.task)
        if task is None:
            return
        drafts = [
            draft
            for draft in task.draft(other.subject)
            if isinstance(draft, Draft)
            and draft.messages[0].content == row.messages[0].content
            and _asked(draft.constraints) == row.constraints
        ]
        yield from sorted(drafts, key=lambda draft: _unlike(row, draft))[:1]


def _named(row: Row, other: Otherwise) -> list[str]:
    there = {annotation.annotation_id for annotation in other.subject.annotations}
    return [annotation_id for annotation_id in row.annotation_ids if annotation_id in there]


def _unlike(row: Row, draft: Draft) -> tuple[bool, int, str]:
    """How unlike the wording of a draft is that of the row: the same place in the pool, then the nearest length."""
    tail = row.wording.rpartition("/")[2]
    return draft.wording.rpartition("/")[2] != tail, abs(len(_answer(draft)) - len(row.answer)), draft.wording


def _alike(true: str, false: str) -> bool:
    """True for another text of about the same length."""
    if " ".join(true.split()).lower() == " ".join(false.split()).lower():
        return False
    short, long = sorted((len(true.split()), len(false.split())))
    return long <= _LONGER * short + _SLACK


def _answer(draft: Draft) -> str:
    return draft.messages[-1].content


def _asked(constraints: str) -> Any:
    return msgspec.json.decode(constraints)


def _draft(row: Row, answer: str, asset_id: str | None = None, rests_on: list[str] | None = None) -> Draft:
    """The row with another answer, as the verifier reads it."""
    return Draft(
        draft_id=row.pair_id,
        source=row.source,
        asset_ids=[medium.shows for medium in row.media] if asset_id is None else [asset_id],
        annotation_ids=list(row.annotation_ids) if rests_on is None else rests_on,
        task=row.task,
        variant=row.variant,
        wording=row.wording,
        language=row.language,
        origin=row.origin,
        messages=[*row.messages[:-1], Message("assistant", answer)],
        constraints=msgspec.json.encode(row.constraints, order="deterministic").decode(),
    )


def _question_key(row: Row) -> tuple[str, ...]:
    """Rows of one key were asked the same, in other words: an answer to one answers the others too."""
    asked = msgspec.json.encode(row.constraints, order="deterministic").decode()
    return row.split, row.source, row.task, row.language, asked


def survey(release: Release) -> Seen:
    """What the rows of a release say: of each question and grade, some answers and values, chosen by their hash.

    Answers stay within their split, so that no words of one are trained on in another.
    """
    answers: dict[tuple[str, ...], dict[str, str]] = {}
    grades: dict[str, dict[str, dict[str, Annotation]]] = {}
    for row, subjects in release.annotated():
        if row.origin is Origin.LLM and len(row.messages) == 2:
            _keep(answers.setdefault(_question_key(row), {}), row.answer, row.answer)
        for annotation in (a for subject in subjects for a in subject.annotations if a.kind is Kind.GRADE):
            value = grade_value(annotation)
            if value is not None and annotation.concept:
                named = grades.setdefault(row.source, {}).setdefault(annotation.concept, {})
                if value not in named or annotation.annotation_id < named[value].annotation_id:
                    _keep(named, value, annotation)
    return Seen(
        answers={key: tuple(texts[text] for text in sorted(texts, key=identity)) for key, texts in answers.items()},
        grades={
            source: {name: tuple(found[value] for value in sorted(found)) for name, found in named.items()}
            for source, named in grades.items()
        },
    )


def _keep(kept: dict[str, Any], key: str, value: Any) -> None:
    """Keep at most `_KEPT` values: those whose keys have the smallest hashes, in whatever order they come."""
    kept[key] = value
    if len(kept) > _KEPT:
        del kept[heapq.nlargest(1, kept, key=identity)[0]]


def contrasts(release: Release, split: str, seen: Seen) -> Iterator[tuple[Row, Contrast | None]]:
    """The rows of a split with a false answer each, where there is one."""
    made = Contraster({source: release.vocabulary(source) for source in release.cards}, seen)
    for row, subjects in release.annotated(split):
        yield row, made.contrast(row, subjects)
