"""What an answer claims and nothing of its row can support: classes, sides, flow, sizes, earlier images, persons.

Published records seldom hold the annotations that they were made from, so these rules only know what the row itself
says: its identifiers and paths, its fields, its question and how many images it has.
"""

import re
from collections.abc import Iterator, Mapping
from typing import Any, Final

from curate.published.lexicon import class_lexicon, phrases, sides
from curate.published.record import SYSTEM, Record
from curate.published.report import Finding, RuleDoc, Severity
from curate.published.rules.base import Kinds, Scope

__all__ = ["Claims", "Classes", "Flow", "Laterality"]

_CLASS = RuleDoc(
    "class_contradiction",
    "error",
    "A text does not contradict the class that its identifier, path or label gives.",
    "The name is the source's label; see the sources of `lexicons/classes.yaml`.",
)
_SIDE = RuleDoc(
    "unsupported_side",
    "warning",
    "A side is stated only where a field, a name or the question gives one.",
    "An image without a marker does not show its side, and a wrong side harms.",
)
_FLOW = RuleDoc(
    "flow_on_still",
    "warning",
    "Flow is stated only where the view shows it.",
    "B-mode stills show no flow. An upper bound: `no flow signal` is counted too, for it is as unprovable.",
)
_LENGTH = RuleDoc(
    "unsupported_size",
    "warning",
    "A physical size is stated only where a pixel spacing is published.",
    "A length in millimetres is pixels times spacing (DICOM PS3.3 10.7.1.3).",
)
_PRIOR = RuleDoc(
    "unsupported_prior",
    "warning",
    "Nothing is compared with an earlier image that the row does not hold.",
    "Ramesh et al. 2022, arXiv:2210.06340.",
)
_PERSON = RuleDoc(
    "person",
    "warning",
    "Age and sex are stated only where a field or the question gives them.",
    "Images seldom show them.",
)
_CLASS_FIELDS: Final = ("label", "class", "category", "diagnosis", "class_name", "label_name", "cat_name", "disease")
_NAME_FIELDS: Final = ("id", "segment_id", "mask_name", "file_name", "name", "filename", "image_id", "sample_id")
_TEXT_FIELDS: Final = ("answer", "output", "response", "caption", "description", "report", "text", "findings")
_SHORT: Final = 120
"""A longer value is a text, and no name."""
_SAMPLE: Final = 1000
_LONG_PATH: Final = 500
_SPACING: Final = re.compile(r"spacing|pixel_?size|mpp|resolution|um_per_px|mm_per_pixel|voxel")
_AGE_FIELDS: Final = ("age", "patient_age", "age_years")
_SEX_FIELDS: Final = ("sex", "gender", "patient_sex")


def _names(record: Record) -> tuple[str, ...]:
    """Identifiers and the ends of paths: a file with its folder. What stands above names the dataset."""
    fields = record.fields
    said = [fields[name] for name in _NAME_FIELDS if name in fields]
    paths = (*record.images, *record.media.get("video", ()), *(one for one in said if isinstance(one, str)))
    return tuple("/".join(path.replace("\\", "/").split("/")[-2:]) for path in paths if len(path) < _LONG_PATH)


def _labels(record: Record) -> tuple[str, ...]:
    fields = record.fields
    said = [fields[name] for name in _CLASS_FIELDS if name in fields]
    return tuple([one for one in said if isinstance(one, str) and len(one) < _SHORT])


def _stated(fields: Mapping[str, Any], names: tuple[str, ...]) -> bool:
    return any(fields.get(name) not in (None, "") for name in names)


class Classes:
    """`class_contradiction`."""

    def __init__(self, scope: Scope) -> None:
        self.kinds, self._lexicon = Kinds(_CLASS, scope), class_lexicon()
        self._named: dict[str, int] = {}

    def see(self, record: Record) -> None:
        """Look at a row."""
        named, labelled = (self._lexicon.named(names(record)) for names in (_names, _labels))
        if len(named) == len(labelled) == 1 and named != labelled:
            (name,), (label,) = named, labelled
            if label in self._lexicon.opposites.get(name, ()):
                self._count(name)
                self.kinds.hit(f"{name} label {label}", record.locator)
            return
        named |= labelled
        texts = record.low_said if record.levels else (record.low_final,) if record.low_final else ()
        if len(named) != 1 or not texts:  # no class, or a path that names several
            return
        (name,) = named
        self._count(name)
        for statement in self._lexicon.contradicted_by.get(name, ()):
            if any(self._lexicon.says(statement, low) for low in texts):
                self.kinds.hit(f"{name} {statement}", record.locator)

    def _count(self, name: str) -> None:
        self._named[name] = self._named.get(name, 0) + 1

    def findings(self) -> Iterator[Finding]:
        """What breaks the rule."""
        said = {"lesion": "describes a lesion", "unremarkable": "finds nothing abnormal"}
        severity: Severity = "error" if len(self._named) > 1 else "warning"  # one word for all may name the dataset
        for name, of in self._named.items():
            for statement in self._lexicon.contradicted_by.get(name, ()):
                message = f"the name says {name}, the text {said.get(statement, f'affirms {statement}')}"
                yield from self.kinds.findings({f"{name} {statement}": message}, of=of, severity=severity)
            for label in self._lexicon.opposites.get(name, ()):
                message = f"the name says {name}, the label {label}"
                yield from self.kinds.findings({f"{name} label {label}": message}, of=of)


class Laterality:
    """`unsupported_side`, in the last answer."""

    def __init__(self, scope: Scope) -> None:
        self.kinds, self._words = Kinds(_SIDE, scope), sides()

    def see(self, record: Record) -> None:
        """Look at a row."""
        low = record.low_final
        if low is None or not (record.media or record.shape == "preference"):
            return
        self.kinds.of += 1
        kinds = self._words.kinds(low)
        if kinds and not self._gives_a_side(record):
            for kind in kinds:
                self.kinds.hit(kind, record.locator)

    def _gives_a_side(self, record: Record) -> bool:
        if self._words.named_in(record.asked):
            return True
        for key, value in record.fields.items():
            if key.lower() in self._words.fields and value not in (None, ""):
                return True
            short = isinstance(value, str) and len(value) < _SHORT and value != record.final
            if short and key.lower() not in _TEXT_FIELDS and self._words.named_in(value):
                return True
        return any(self._words.named_in(name) for name in (*_names(record), *_labels(record)))

    def findings(self) -> Iterator[Finding]:
        """What breaks the rule."""
        nothing = "no field, name or question gives one"
        yield from self.kinds.findings({"one_side": f"a side, a sided breast or lobe is stated; {nothing}"})
        both = {"organ": f"a sided organ is stated; {nothing}", "both": f"both sides are stated; {nothing}"}
        yield from self.kinds.findings(both, severity="note")


class Flow:
    """`flow_on_still`, in the last answer of rows with stills of ultrasound.

    A row is one of ultrasound if it says so, or if at least half of its file does: of the first
    thousand rows, and of all that speak of flow.
    """

    def __init__(self, scope: Scope) -> None:
        self.all, self.own = Kinds(_FLOW, scope), Kinds(_FLOW, scope)
        self._words = {"flow": phrases("flow"), "doppler": phrases("doppler")}
        self._ultrasound, self._moving = phrases("ultrasound"), phrases("moving")
        self._looked = self._ultrasounds = 0

    def see(self, record: Record) -> None:
        """Look at a row."""
        low = record.low_final
        if low is None or not record.images or record.media.get("video"):
            return
        around = record.low_asked
        if record.turns and record.turns[0].role == SYSTEM:
            around += (record.turns[0].text or "").lower()
        self.all.of += 1
        kinds = [kind for kind, words in self._words.items() if words.found(low)]
        if not kinds and self._looked >= _SAMPLE:
            return
        own = self._ultrasound.found(low) is not None or self._ultrasound.found(around) is not None
        self._looked += 1
        self._ultrasounds += own
        if not kinds or self._moving.found(around):
            return
        for kind in kinds:
            self.all.hit(kind, record.locator)
            if own:
                self.own.hit(kind, record.locator)

    def findings(self) -> Iterator[Finding]:
        """What breaks the rule."""
        kinds = self.all if 2 * self._ultrasounds >= self._looked else self.own
        kinds.of = self.all.of
        yield from kinds.findings(
            {
                "flow": "blood flow is stated on a still of ultrasound",
                "doppler": "Doppler, vascularity or a velocity is stated on a still of ultrasound",
            }
        )


class Claims:
    """`unsupported_size`, `unsupported_prior` and `person`, in the last answer."""

    def __init__(self, scope: Scope) -> None:
        self.size, self.prior, self.person = Kinds(_LENGTH, scope), Kinds(_PRIOR, scope), Kinds(_PERSON, scope)
        self._words = {name: phrases(name) for name in ("length", "quantity", "prior", "age", "sex")}

    def see(self, record: Record) -> None:
        """Look at a row."""
        low, asked = record.low_final, record.low_asked
        if low is None or not record.images:
            return
        for kinds in (self.size, self.prior, self.person):
            kinds.of += 1
        for name in ("length", "quantity"):
            stated = self._words[name].found(low) and not self._words[name].found(asked)
            if stated and not any(_SPACING.search(key.lower()) for key in record.fields):
                self.size.hit(name, record.locator)
        alone = len(record.images) == 1 and not record.media.get("video")
        if alone and self._words["prior"].found(low) and not self._words["prior"].found(asked):
            self.prior.hit("prior", record.locator)
        for name, fields in (("age", _AGE_FIELDS), ("sex", _SEX_FIELDS)):
            if (
                self._words[name].found(low)
                and not self._words[name].found(asked)
                and not _stated(record.fields, fields)
            ):
                self.person.hit(name, record.locator)

    def findings(self) -> Iterator[Finding]:
        """What breaks the rules."""
        yield from self.size.findings(
            {
                "length": "a length in mm or cm is stated, no pixel spacing is published",
                "quantity": "a physical size is stated in another unit, no pixel spacing is published",
            }
        )
        yield from self.prior.findings({"prior": "a comparison with an earlier image, the row has one image"})
        yield from self.person.findings(
            {"age": "an age is stated, no field gives it", "sex": "a sex is stated, no field gives it"}
        )
