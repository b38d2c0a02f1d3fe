"""Texts written by hand, judged against the annotations of a subject."""

from collections.abc import Iterable, Mapping
from typing import Any

import msgspec

from curate.rows import Annotation, Draft, Message, Subject
from curate.schema import Origin, Reason
from curate.tasks.base import Vocabulary
from curate.verify import verify
from tests.tasks import subjects as s


def reason_of(
    subject: Subject,
    question: str,
    answer: str,
    asked: Mapping[str, Any],
    *,
    rests_on: Iterable[Annotation] = (),
    vocabulary: Vocabulary = s.VOCABULARY,
    language: str = "en",
    task: str = "t",
) -> Reason | None:
    """Why the answer is refused as one to what was `asked` of the subject's image; None where it is accepted."""
    draft = Draft(
        draft_id="d",
        source="hand",
        asset_ids=[subject.asset.asset_id],
        annotation_ids=[annotation.annotation_id for annotation in rests_on],
        task=task,
        variant=0,
        wording="by hand",
        language=language,
        origin=Origin.LLM,
        messages=[Message("user", "<image>\n" + question), Message("assistant", answer)],
        constraints=msgspec.json.encode(asked).decode(),
    )
    refusal = verify(draft, (subject.asset,), subject.annotations, vocabulary).refusal
    return refusal.reason if refusal else None


def about(subject: Subject, *concepts: str | None) -> list[Annotation]:
    """The subject's annotations of these concepts."""
    return [annotation for annotation in subject.annotations if annotation.concept in concepts]
