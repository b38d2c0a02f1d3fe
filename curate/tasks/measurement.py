"""Measurements of what masks mark: volumes, extents, areas, attenuation, parts and relations, free or with options.

Serves DeepTumorVQA (Chen et al. 2025, arXiv:2505.18915), whose measurement, recognition and visual questions are typed
programs over the masks of a CT; Merlin (Blankemeier et al. 2024) and VELVET-Med (Zhang et al. 2025) where they speak of
organs by structure. The rules and their reasons:

*   A value follows from voxels and affine alone, and stands in the annotation that the draft names: whoever doubts it
    counts again. Unit, digits and tolerance stand in `constraints`; the text is rounded from the value itself.
*   Volumes are asked of volumes. A slice is asked for areas and extents in its own plane, by its own spacing.
*   What reaches the edge of the field of view is measured by none: the rest of it may lie outside.
*   A diameter of which nobody says how it was taken is no measure: extents are those of the box of the mask along the
    patient's axes, and are left out where the array is oblique to them or the mask lies in several pieces.
*   Attenuation is told where the values are proved to be Hounsfield units.
*   Of a concept that several masks mark on one asset, or that is a part cut out of another (a liver without its
    lesion), no measure is the concept's own.
*   The wrong options of a choice are further from the value than twice the tolerance and from each other than once,
    have its unit and as many digits, and the true one has any rank among them.
"""

import itertools
from collections.abc import Iterator, Sequence
from typing import ClassVar, Final, TypeVar

from curate.rows import Asset, Draft, Subject
from curate.schema import Form, Refusal
from curate.tasks.base import Scope, TaskOptions, Vocabulary
from curate.tasks.english import capitalised, plural, verb
from curate.tasks.measures import Marked, Pieces, Value, marked_in, pieces_of, ratio_of, values_of
from curate.tasks.options_of_values import lettered, shuffled, spread
from curate.tasks.picture import noun
from curate.tasks.wording import Said, drafts, hash_of

__all__ = ["Measurement"]

T = TypeVar("T")

_CHOICES: Final = 4


class MeasurementOptions(TaskOptions, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`each`: how many things are asked for each quantity, chosen by a hash; `choices`: whether with options too.

    `lesions`: concepts of which separate parts are lesions by themselves, vouched for by whoever writes the recipe.
    `label_sets`: those that are measured, where a source has several; empty: all. `cut_off`: measure what reaches the
    edge of the field of view too. `larger`: two volumes are compared where one is so many times the other.
    """

    each: int = 4
    choices: bool = True
    lesions: tuple[str, ...] = ()
    label_sets: tuple[str, ...] = ()
    cut_off: bool = False
    larger: float = 1.25

    def __post_init__(self) -> None:
        if self.each < 1:
            raise ValueError(f"`each` is 1 or more, got {self.each}")
        if self.larger < 1.1:
            raise ValueError(f"`larger` is 1.1 or more, since masks are not more accurate, got {self.larger}")


class Measurement:
    """Values, relations and parts, each free and as a choice."""

    name: ClassVar[str] = "measurement"
    version: ClassVar[int] = 1
    scope: ClassVar[Scope] = "asset"
    Options: ClassVar[type[TaskOptions]] = MeasurementOptions

    def __init__(self, options: MeasurementOptions, vocabulary: Vocabulary) -> None:
        self.options = options
        self.vocabulary = vocabulary

    def draft(self, subject: Subject) -> Iterator[Draft | Refusal]:
        """Quantity by quantity, then relations of volumes, then parts of lesions."""
        asset = subject.asset
        if asset.form not in (Form.VOLUME, Form.SLICE, Form.IMAGE):
            return
        for said in (*self._values(subject), *self._relations(subject), *self._parts(subject)):
            yield from drafts(self, asset, said)

    def _marked(self, subject: Subject) -> list[Marked]:
        found = marked_in(subject, self.options.label_sets)
        lesions = frozenset(self.options.lesions)
        whole = [one for one in found if self.options.cut_off or not one.cut_off]
        return [one for one in whole if one.concept not in lesions or one.annotation.pieces in (None, 1)]

    def _values(self, subject: Subject) -> Iterator[Said]:
        asset = subject.asset
        by_quantity: dict[str, list[tuple[Marked, Value]]] = {}
        for one in self._marked(subject):
            for value in values_of(asset, one):
                by_quantity.setdefault(value.quantity, []).append((one, value))
        for quantity, group in by_quantity.items():
            for one, value in self._chosen(group, asset, quantity):
                yield _free(asset, one, value)
                if self.options.choices and (offered := spread(asset, value, _CHOICES)):
                    yield _choice(asset, one, value, offered)

    def _relations(self, subject: Subject) -> Iterator[Said]:
        """Which of two is larger, and by what factor: the sides of a pair first, then others by a hash."""
        if subject.asset.form is not Form.VOLUME:
            return
        found = [one for one in self._marked(subject) if one.annotation.volume_mm3]
        pairs = list(itertools.combinations(found, 2))
        sided = [pair for pair in pairs if pair[0].is_other_side_of(pair[1])]
        others = [pair for pair in pairs if pair not in sided]
        ranked = self._chosen(sided, subject.asset, "sides")
        ranked += self._chosen(others, subject.asset, "pair")[: max(0, self.options.each - len(ranked))]
        for first, second in ranked:
            if hash_of(first.annotation.annotation_id, second.annotation.annotation_id, "order") % 2:
                first, second = second, first  # noqa: PLW2901
            yield from self._compared(subject.asset, first, second)

    def _compared(self, asset: Asset, first: Marked, second: Marked) -> Iterator[Said]:
        factor = ratio_of(first, second)
        if max(factor.value, 1 / factor.value) >= self.options.larger:
            larger, smaller = (first, second) if factor.value > 1 else (second, first)
            yield _larger(asset, first, second, larger, smaller)
        if first.is_other_side_of(second):
            yield _ratio(asset, first, second, factor)
            if self.options.choices and (offered := spread(asset, factor, _CHOICES)):
                yield _ratio(asset, first, second, factor, offered)

    def _parts(self, subject: Subject) -> Iterator[Said]:
        for concept in self.options.lesions:
            found = pieces_of(subject, concept, self.vocabulary, self.options.label_sets)
            if found is not None:
                yield _pieces(subject.asset, concept, found)

    def _chosen(self, group: Sequence[T], asset: Asset, what: str) -> list[T]:
        keys = [(hash_of(asset.asset_id, what, _key(one)), number) for number, one in enumerate(group)]
        return [group[number] for _, number in sorted(keys)[: self.options.each]]


def _key(one: object) -> str:
    """The annotations of a thing or a pair of things."""
    parts = one if isinstance(one, tuple) else (one,)
    return ",".join(part.annotation.annotation_id for part in parts if isinstance(part, Marked))


def _constraints(value: Value, **more: object) -> dict[str, object]:
    return {
        "ask": "measure",
        "quantity": value.quantity,
        "unit": value.unit,
        "decimals": value.decimals,
        "tolerance": value.tolerance,
        **more,
    }


def _asked(one: Marked, value: Value) -> dict[str, object]:
    asked = _constraints(value, concept=one.concept, label_set=one.annotation.label_set)
    return asked | ({"cut_off": True} if one.cut_off else {})


def _words(asset: Asset, value: Value) -> dict[str, str]:
    return {"noun": noun(asset), "measured": value.text, "unit": value.unit_words}


def _free(asset: Asset, one: Marked, value: Value) -> Said:
    return Said(
        aspect=f"{one.aspect}:{value.quantity}",
        exchange=value.quantity.replace(" ", "_"),
        words=_words(asset, value) | _named(one),
        annotations=(one.annotation,),
        constraints=_asked(one, value),
    )


def _named(one: Marked) -> dict[str, str]:
    return {
        "thing": one.name,
        "Thing": capitalised(one.name),
        "measures": verb(one.name, "measures", "measure"),
        "has": verb(one.name, "has", "have"),
    }


def _choice(asset: Asset, one: Marked, value: Value, offered: Sequence[str]) -> Said:
    lines, letter = lettered(offered, value.text)
    return Said(
        aspect=f"{one.aspect}:{value.quantity}:choice",
        exchange=f"{value.quantity.replace(' ', '_')}_choice",
        words=_words(asset, value) | _named(one) | {"options": lines, "letter": letter, "option": value.text},
        annotations=(one.annotation,),
        constraints=_asked(one, value)
        | {"ask": "choice", "of": "measure", "options": list(offered), "letters": True, "letter": letter},
    )


def _of_two(asset: Asset, first: Marked, second: Marked) -> dict[str, str]:
    return {"noun": noun(asset), "first": first.name, "second": second.name}


def _two(first: Marked, second: Marked) -> dict[str, object]:
    """Which two are compared; their sides where the names of their concepts do not tell them."""
    asked: dict[str, object] = {"concepts": [first.concept, second.concept]}
    if first.added_side or second.added_side:
        asked["sides"] = [first.added_side, second.added_side]
    if first.cut_off or second.cut_off:
        asked["cut_off"] = True
    return asked


def _larger(asset: Asset, first: Marked, second: Marked, larger: Marked, smaller: Marked) -> Said:
    offered = shuffled(asset, (first.name, second.name))
    lines, letter = lettered(offered, larger.name)
    return Said(
        aspect=f"{first.aspect}:{second.aspect}:larger",
        exchange="larger",
        words=_of_two(asset, first, second)
        | {"options": lines, "letter": letter, "option": larger.name, "larger": larger.name, "smaller": smaller.name},
        annotations=(first.annotation, second.annotation),
        constraints={
            "ask": "choice",
            "of": "measure",
            "quantity": "larger volume",
            **_two(first, second),
            "label_set": first.annotation.label_set,
            "options": list(offered),
            "letters": True,
            "letter": letter,
        },
    )


def _ratio(asset: Asset, first: Marked, second: Marked, factor: Value, offered: Sequence[str] = ()) -> Said:
    words, asked = _of_two(asset, first, second) | {"measured": factor.text}, _constraints(factor)
    if offered:
        lines, letter = lettered(offered, factor.text)
        words |= {"options": lines, "letter": letter, "option": factor.text}
        asked |= {"ask": "choice", "of": "measure", "options": list(offered), "letters": True, "letter": letter}
    return Said(
        aspect=f"{first.aspect}:{second.aspect}:ratio{':choice' if offered else ''}",
        exchange="ratio_choice" if offered else "ratio",
        words=words,
        annotations=(first.annotation, second.annotation),
        constraints=asked | _two(first, second) | {"label_set": first.annotation.label_set},
    )


def _pieces(asset: Asset, concept: str, found: Pieces) -> Said:
    several = plural(found.name)
    return Said(
        aspect=f"{found.label_set}:{concept}:pieces",
        exchange="pieces" if found.number else "pieces_none",
        words={
            "noun": noun(asset),
            "things": several,
            "n_things": f"{found.number} distinct {found.name if found.number == 1 else several}",
            "is": "is" if found.number == 1 else "are",
        },
        annotations=found.annotations,
        constraints={
            "ask": "measure",
            "quantity": "pieces",
            "unit": "",
            "decimals": 0,
            "tolerance": 0.0,
            "concept": concept,
            "label_set": found.label_set,
        },
    )
