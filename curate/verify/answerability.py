"""The delivered view can show what is asked and told."""

from typing import ClassVar, Final

from curate.schema import Form, Kind, Reason
from curate.verify.base import NOT_APPLICABLE
from curate.verify.lexicon import concept_key
from curate.verify.measures import measures_of
from curate.verify.reading import Part, Reading
from curate.verify.rules import ReadingRule, Verdict, no

__all__ = ["Answerability"]

_SHOWN_BY: Final = {
    "motion": (frozenset({Form.VIDEO, Form.CLIP}), "movement, which a still picture does not show"),
    "volumetric": (frozenset({Form.VOLUME}), "an extent in three dimensions, which one plane does not show"),
}
"""Kind of cue: the forms of an asset that can show it."""
_NEVER: Final = frozenset(
    {"sex", "gender", "age", "ethnicity", "race", "history", "treatment", "diagnosis date", "outcome", "survival"}
)
"""Attributes of a person that no picture shows."""


class Answerability(ReadingRule):
    """No picture shows age, sex, history or a laboratory value; a still shows no movement, one plane no volume."""

    name: ClassVar[str] = "answerability"
    version: ClassVar[int] = 2

    def judge(self, reading: Reading) -> Verdict:
        """Applies where the text speaks of what not every picture shows, and to questions about a measure."""
        if reading.verbatim:
            return NOT_APPLICABLE
        if str(reading.asked.get("attribute", "")).lower() in _NEVER:
            return no(Reason.UNANSWERABLE, "the question asks about the person, whom the picture does not show")
        compared = reading.ask == "compare" and reading.facts.has_prior
        forms = {asset.form for asset in reading.facts.assets}
        applies = False
        for part in (reading.question, reading.answer):
            if any(not (compared and _of_time(part, span)) for span in part.cued("invisible")):
                return no(Reason.UNANSWERABLE, "the text speaks of what no picture shows")
            for kind, (shown_by, what) in _SHOWN_BY.items():
                if not any(not _is_named(reading, part, span) for span in part.cued(kind)):
                    continue
                applies = True
                if not forms & shown_by and not _has_volume(reading, kind):
                    return no(Reason.UNANSWERABLE, f"the text speaks of {what}")
        if reading.topic == "measure":
            return self._measure(reading)
        return None if applies else NOT_APPLICABLE

    def _measure(self, reading: Reading) -> Verdict:
        key = concept_key(str(reading.asked.get("concept", "")))
        asked = [measure for measure in measures_of(reading.own) if measure.key == key]
        if any(not measure.visible for measure in asked):
            return no(Reason.UNANSWERABLE, "the measure is none that a picture shows")
        return None


def _of_time(part: Part, span: tuple[int, int]) -> bool:
    """True for words that name the later of two images: `at follow-up`."""
    return [token.low for token in part.tokens[span[0] : span[1]]] == ["follow", "up"]


def _is_named(reading: Reading, part: Part, span: tuple[int, int]) -> bool:
    """True for words in the name of a finding of the source: a still may be labelled with a wall motion abnormality."""
    words = " ".join(token.stem for token in part.tokens[span[0] : span[1]])
    return any(f" {words} " in f" {key} " for keys in reading.facts.kinds.values() for key in keys)


def _has_volume(reading: Reading, kind: str) -> bool:
    return kind == "volumetric" and any(
        annotation.volume_mm3 is not None
        or (annotation.kind is Kind.MEASUREMENT and "volume" in (annotation.label or "").lower())
        for annotation in reading.own
    )
