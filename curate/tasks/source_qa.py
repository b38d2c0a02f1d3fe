"""The source's own questions and answers, word for word."""

from collections.abc import Iterator
from typing import ClassVar

import msgspec

from curate.rows import Annotation, Draft, Message, Subject
from curate.schema import Kind, Origin, Refusal, identity
from curate.tasks.base import Scope, TaskOptions, Vocabulary
from curate.tasks.wording import IMAGE_TOKEN

__all__ = ["SourceQa"]

_CONSTRAINTS = msgspec.json.encode({"ask": "source"}).decode()


class SourceQa:
    """One draft per question-answer record. Variants do not apply: nothing is worded here."""

    name: ClassVar[str] = "source_qa"
    version: ClassVar[int] = 1
    scope: ClassVar[Scope] = "asset"
    Options: ClassVar[type[TaskOptions]] = TaskOptions

    def __init__(self, options: TaskOptions, vocabulary: Vocabulary) -> None:
        self.options = options
        self.vocabulary = vocabulary

    def draft(self, subject: Subject) -> Iterator[Draft | Refusal]:
        """The records in their own order."""
        for annotation in subject.annotations:
            if annotation.kind is Kind.QA and annotation.question and annotation.text:
                yield self._draft(subject, annotation, annotation.question, annotation.text)

    def _draft(self, subject: Subject, annotation: Annotation, question: str, answer: str) -> Draft:
        asset = subject.asset
        return Draft(
            draft_id=identity(self.name, asset.asset_id, annotation.annotation_id, 0),
            source=asset.source,
            asset_ids=[asset.asset_id],
            annotation_ids=[annotation.annotation_id],
            task=self.name,
            variant=0,
            wording="verbatim",
            language=annotation.language or "en",
            origin=Origin.SOURCE,
            messages=[Message("user", IMAGE_TOKEN + question), Message("assistant", answer)],
            constraints=_CONSTRAINTS,
        )
