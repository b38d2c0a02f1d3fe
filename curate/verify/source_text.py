"""What a person wrote is delivered word for word."""

from typing import ClassVar

from curate.rows import Annotation
from curate.schema import Kind, Reason
from curate.verify.base import NOT_APPLICABLE
from curate.verify.reading import Reading
from curate.verify.rules import ReadingRule, Verdict, no

__all__ = ["SourceText"]

_IMAGE_LINE = "<image>\n"


class SourceText(ReadingRule):
    """Question and answer equal those of one annotation that the draft names."""

    name: ClassVar[str] = "source_text"

    def judge(self, reading: Reading) -> Verdict:
        """Applies to drafts whose text comes from the source."""
        if not reading.verbatim:
            return NOT_APPLICABLE
        messages = reading.draft.messages
        question = messages[0].content.removeprefix(_IMAGE_LINE * len(reading.draft.asset_ids))
        answers = [message.content for message in messages[1:]]
        if len(reading.own) == 1 and _is(reading.own[0], question, answers):
            return None
        return no(Reason.SOURCE_TEXT, "the text is not that of the annotation, word for word")


def _is(annotation: Annotation, question: str, answers: list[str]) -> bool:
    return annotation.kind is Kind.QA and annotation.question == question and [annotation.text] == answers
