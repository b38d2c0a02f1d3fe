"""Two images of one subject, the prior strictly earlier: what became of a finding, and by how much a value changed.

Serves MMXU (Mu et al. 2025) and TemMed-Bench (Zhang et al. 2025), which take what changed from the sentences of
reports; here it follows from what tables or labels state of each visit by itself. The rules and their reasons:

*   The two are of one subject, of known days, the first strictly earlier, and consecutive among comparable images:
    equal modality, part of the body, view and side. A heart looks larger on an AP than on a PA radiograph.
*   The state of the finding is stated of both, or follows from a closed label set. An uncertain one gives no change.
*   A finding that was on one side and is on the other did not persist; nothing is said of it.
*   Presence alone is known, so what is there twice `persists`; whether it grew, no label says.
*   "No change" is asked as well, else every question of this kind would mean that something happened; `unchanged` says
    how many more of those than of changes.
*   Values are compared only where the recipe vouches that the image shows them: a cardiothoracic ratio, not a
    laboratory value. A difference smaller than measuring is accurate is neither a change nor none: it is not asked.
"""

import itertools
from collections.abc import Iterator, Sequence
from functools import partial
from typing import ClassVar, Final

from curate.rows import Annotation, Asset, Draft, Subject
from curate.schema import Form, Kind, Refusal, State
from curate.tasks.base import Scope, SpokenOptions, TaskOptions, Vocabulary
from curate.tasks.chinese import bare_in_chinese, measured_in_chinese, picture_in_chinese, term
from curate.tasks.english import capitalised, plural, verb
from curate.tasks.facts import Finding, findings, silent_absences
from curate.tasks.picture import noun
from curate.tasks.statements import a_thing, bare, is_structure, reads_as_label
from curate.tasks.wording import Said, drafts, hash_of

__all__ = ["Temporal"]

_FORMS: Final = frozenset({Form.IMAGE, Form.VOLUME})
_BECAME: Final = {
    (State.ABSENT, State.PRESENT): ("compare_new", "developed_yes"),
    (State.PRESENT, State.ABSENT): ("compare_gone", "resolved_yes"),
    (State.PRESENT, State.PRESENT): ("compare_persists", "resolved_no"),
    (State.ABSENT, State.ABSENT): ("compare_absent", "developed_no"),
}


class TemporalOptions(SpokenOptions, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`unchanged`: how many more questions about a pair may end in no change than in a change.

    `measurements`: concepts whose values the images themselves show, vouched for by whoever writes the recipe, each
    with the smallest difference, in the unit of its source, that is a change and not an inaccuracy of measuring.
    """

    unchanged: int = 1
    measurements: dict[str, float] = {}


class Temporal:
    """Comparisons of consecutive visits: open, closed, and of values."""

    name: ClassVar[str] = "temporal"
    version: ClassVar[int] = 2
    scope: ClassVar[Scope] = "subject"
    Options: ClassVar[type[TaskOptions]] = TemporalOptions

    def __init__(self, options: TemporalOptions, vocabulary: Vocabulary) -> None:
        self.options = options
        self.vocabulary = vocabulary

    def draft(self, history: Sequence[Subject]) -> Iterator[Draft | Refusal]:
        """Pair by pair: the changes, then as many without change as balance allows, chosen by a hash."""
        for before, after in _visits(history):
            pair = (before.asset, after.asset)
            changed: list[Said] = []
            unchanged: list[Said] = []
            for first, second in self._findings(before, after):
                same = first.state is second.state
                (unchanged if same else changed).append(_compared(pair, first, second))
            for first_value, second_value in self._values(before, after):
                same = first_value.value == second_value.value
                (unchanged if same else changed).append(_valued(pair, first_value, second_value))
            most = max(0, len(changed) + self.options.unchanged)
            ranked = sorted(
                unchanged, key=lambda said: hash_of(pair[0].asset_id, pair[1].asset_id, said.aspect, "same")
            )
            for said in (*changed, *ranked[:most]):
                yield from drafts(self, pair, said)

    def _findings(self, before: Subject, after: Subject) -> Iterator[tuple[Finding, Finding]]:
        """Findings whose state is known of both, in the order of the first."""
        known = {finding.concept: finding for finding in self._known(after)}
        for first in self._known(before):
            second = known.get(first.concept)
            if second is None or (first.state, second.state) not in _BECAME or first.label_set != second.label_set:
                continue
            moved = first.state is second.state is State.PRESENT and first.side != second.side
            if not (moved or reads_as_label(first) or is_structure(first)):
                yield first, second

    def _known(self, subject: Subject) -> list[Finding]:
        return [*findings(subject), *silent_absences(subject, self.vocabulary)]

    def _values(self, before: Subject, after: Subject) -> Iterator[tuple[Annotation, Annotation]]:
        """Values of both, equal or so far apart that they changed."""
        for concept, least in sorted(self.options.measurements.items()):
            first, second = (_value(subject, concept) for subject in (before, after))
            if first is None or second is None or first.unit != second.unit:
                continue
            assert first.value is not None
            assert second.value is not None
            if first.value == second.value or abs(second.value - first.value) >= least:
                yield first, second


def _visits(history: Sequence[Subject]) -> Iterator[tuple[Subject, Subject]]:
    """Consecutive comparable images, of one day the one that a hash chooses."""
    alike: dict[tuple[str | None, ...], dict[int, Subject]] = {}
    for one in sorted(history, key=lambda one: hash_of(one.asset.asset_id, "visit")):
        asset = one.asset
        if asset.form not in _FORMS or asset.day_offset is None or (asset.view is None and asset.form is Form.IMAGE):
            continue
        key = (asset.form, asset.modality, asset.anatomy, asset.view, asset.laterality)
        alike.setdefault(key, {}).setdefault(asset.day_offset, one)
    for _, days in sorted(alike.items(), key=lambda item: tuple(word or "" for word in item[0])):
        yield from itertools.pairwise(days[day] for day in sorted(days))


def _compared(pair: tuple[Asset, Asset], first: Finding, second: Finding) -> Said:
    become = _BECAME[first.state, second.state]
    chosen = hash_of(pair[0].asset_id, pair[1].asset_id, first.concept, "form") % len(become)
    shown = second if first.state is State.ABSENT else first
    name = bare(shown)
    return Said(
        aspect=f"{first.concept}:change",
        exchange=become[chosen],
        words=_nouns(pair)
        | {
            "thing": name,
            "Thing": capitalised(name),
            "a_thing": a_thing(shown),
            "A_thing": capitalised(a_thing(shown)),
            "a_new": f"new {name}" if a_thing(shown) == name else f"a new {name}",
            "is": verb(name),
        },
        annotations=(*first.annotations, *second.annotations),
        constraints={"ask": "compare", "concept": first.concept, "label_set": first.label_set},
        chinese=partial(_compared_in_chinese, pair[0], shown),
    )


def _compared_in_chinese(asset: Asset, shown: Finding) -> dict[str, str]:
    return {**picture_in_chinese(asset), "measure": measured_in_chinese(asset), "thing": bare_in_chinese(shown)}


def _valued(pair: tuple[Asset, Asset], first: Annotation, second: Annotation) -> Said:
    assert first.value is not None
    assert second.value is not None
    change = second.value - first.value
    return Said(
        aspect=f"{first.concept}:value",
        exchange="value_more" if change > 0 else "value_less" if change < 0 else "value_same",
        words=_nouns(pair) | {"thing": str(first.concept), "before": _told(first), "after": _told(second)},
        annotations=(first, second),
        constraints={"ask": "compare", "concept": first.concept, "label_set": first.label_set},
        chinese=partial(_valued_in_chinese, pair[0], first, second),
    )


def _valued_in_chinese(asset: Asset, first: Annotation, second: Annotation) -> dict[str, str]:
    return {
        **picture_in_chinese(asset),
        "measure": measured_in_chinese(asset),
        "thing": term(first.concept or ""),
        "before": _told(first),
        "after": _told(second),
    }


def _nouns(pair: tuple[Asset, Asset]) -> dict[str, str]:
    name = noun(pair[0], without=frozenset({"view"}))
    return {"noun": name, "nouns": plural(name)}


def _value(subject: Subject, concept: str) -> Annotation | None:
    """The one value that a source gives of a concept on an asset."""
    given = [
        annotation
        for annotation in subject.annotations
        if annotation.kind is Kind.MEASUREMENT and annotation.concept == concept and annotation.value is not None
    ]
    return given[0] if len(given) == 1 else None


def _told(annotation: Annotation) -> str:
    number = f"{annotation.value:.12g}"
    return number if annotation.unit is None else f"{number} {annotation.unit}"
