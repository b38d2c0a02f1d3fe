"""What the cells of a row say: column specifications of a card, and annotations from them.

Shared by the layouts `table`, `headers` and `qa`. A cell is read with surrounding white space taken off; `missing`
cells say nothing, and nothing is never turned into `absent`.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final, Literal, TypeVar

from msgspec import field
from msgspec.structs import replace

from curate.card import Concept, LabelSet, Struct
from curate.layouts.base import RawAnnotation
from curate.layouts.concepts import key_of, name_label, shown
from curate.layouts.numbers import NUMBER, count_in, finite, measured, whole_number_in
from curate.layouts.row import Broken, Row
from curate.schema import Kind, Laterality, Reason, Refusal, State, Verdict

__all__ = [
    "ColumnSpec",
    "FieldName",
    "FieldSpec",
    "FromColumn",
    "Said",
    "annotate",
    "columns_of",
    "field_columns",
    "fill_template",
    "missing_cells",
    "read_fields",
    "read_qualifiers",
    "stated_cells",
    "template_columns",
]

FieldName = Literal["modality", "anatomy", "view", "laterality", "day_offset", "licence"]

NO_LICENCE: Final = "NOASSERTION"
"""What a row says that states no licence, in SPDX's own word: never what another row or the card says."""


T = TypeVar("T")

_KINDS: Final = frozenset(
    {
        Kind.CLASS,
        Kind.MULTILABEL,
        Kind.GRADE,
        Kind.MEASUREMENT,
        Kind.COUNT,
        Kind.ATTRIBUTE,
        Kind.CAPTION,
        Kind.REPORT,
        Kind.SENTENCE,
        Kind.CODE,
    }
)
_LABELS: Final = frozenset({Kind.CLASS, Kind.MULTILABEL})
_NUMBERS: Final = frozenset({Kind.MEASUREMENT, Kind.COUNT, Kind.GRADE})
_WHOLE = re.compile(r"-?[0-9]+\.0")
_PLACE = re.compile(r"\{(?P<column>[^{}]+)\}")


class FromColumn(Struct, frozen=True):
    """A value that stands in a column, with other names for it where the card gives them."""

    column: str
    values: dict[str, str | None] | None = None  # null leaves it out
    times: int | None = None  # a whole number that turns the source's sign or unit: -1 for days before the exam


FieldSpec = str | FromColumn
"""A column, or a column with other names for its values."""


class ColumnSpec(Struct, frozen=True):
    """What one column says."""

    kind: Kind
    concept: str | None = None  # what the column speaks of; default: the column's name
    code: str | None = None
    system: str | None = None
    separator: str | None = None  # the cell holds several labels
    none: str | None = None  # the label that says that there is no finding
    states: dict[str, State] | None = None  # the column is the label, the cell its state
    values: dict[str, str | None] | None = None  # cell -> what it means; null leaves it out
    unit: str | FromColumn | None = None  # a unit, or the column that states it
    qualifiers: dict[str, str] = field(default_factory=dict)  # name -> column

    def __post_init__(self) -> None:
        if self.kind not in _KINDS:
            raise ValueError(f"a column cannot say a {self.kind.value}; known: {', '.join(sorted(_KINDS))}")
        if self.states is not None and (self.kind not in _LABELS or self.separator is not None):
            raise ValueError("`states` belongs to class and multilabel columns without a `separator`")
        if self.kind in _LABELS and self.states is None and self.concept is not None:
            raise ValueError("the cells of this column name the concepts; use the label set's `concepts`")
        if self.separator is not None and (self.kind is not Kind.MULTILABEL or not self.separator):
            raise ValueError("`separator` is a text that parts the labels of a multilabel column")
        if self.none is not None and (self.kind is not Kind.MULTILABEL or self.states is not None):
            raise ValueError("`none` belongs to multilabel columns without `states`")
        if self.unit is not None and self.kind not in (Kind.MEASUREMENT, Kind.COUNT):
            raise ValueError("`unit` belongs to measurements and counts")
        if self.values is not None and (self.states is not None or self.kind in (Kind.MEASUREMENT, Kind.COUNT)):
            raise ValueError("`values` belongs to columns of words; states have `states`, numbers need none")


@dataclass(frozen=True, slots=True)
class Said:
    """What a row says.

    `covers` is False where a cell that would name the findings is empty: then the row's silence about others means
    nothing. `ignored` tells that a label was left out as the card wishes.
    """

    annotations: tuple[RawAnnotation, ...]
    covers: bool
    ignored: Refusal | None


def missing_cells(missing: str | list[str]) -> frozenset[str]:
    """Cells that mean null: those that the card lists, `-1` where it lists `-1.0`, and always the empty one."""
    listed = [missing] if isinstance(missing, str) else missing
    return frozenset({"", *listed, *(cell.removesuffix(".0") for cell in listed if _WHOLE.fullmatch(cell))})


def stated_cells(cells: Mapping[str, str], missing: frozenset[str]) -> dict[str, str]:
    """The plain cells of a row as the card's subject, study and split read them: stripped, missing ones empty."""
    stripped = ((column, cell.strip()) for column, cell in cells.items())
    return {column: "" if cell in missing else cell for column, cell in stripped}


def columns_of(specs: Mapping[str, ColumnSpec]) -> Iterator[str]:
    """Every column that the specifications read."""
    for column, spec in specs.items():
        yield column
        yield from spec.qualifiers.values()
        if isinstance(spec.unit, FromColumn):
            yield spec.unit.column


def field_columns(fields: Mapping[FieldName, FieldSpec]) -> Iterator[str]:
    """Every column that the fields read."""
    for spec in fields.values():
        yield spec.column if isinstance(spec, FromColumn) else spec


def template_columns(image: str) -> list[str]:
    """The columns that name the image: one, or those within the braces of a template."""
    return [found["column"] for found in _PLACE.finditer(image)] or [image]


def fill_template(image: str, row: Row, missing: frozenset[str]) -> str:
    """The image's name in this row. Raises `Broken` where a part of it is missing."""
    values = {column: row.text(column) for column in template_columns(image)}
    for column, value in values.items():
        if value in missing:
            raise Broken(Reason.MISSING_VALUE, f"column {column!r} names the image and is empty")
    if not _PLACE.search(image):
        return values[image]
    return _PLACE.sub(lambda found: values[found["column"]], image)


def annotate(row: Row, specs: Mapping[str, ColumnSpec], label_set: LabelSet, missing: frozenset[str]) -> Said:
    """What the columns say in this row.

    Raises:
        Broken: a cell that its specification does not allow; the row as a whole is refused.
    """
    annotations: list[RawAnnotation] = []
    covers = True
    ignored: Refusal | None = None
    for column, spec in specs.items():
        for one in _column(row, column, spec, label_set, missing):
            if isinstance(one, RawAnnotation):
                annotations.append(one)
            elif one is None:
                covers = False
            else:
                ignored = one
    return Said(tuple(annotations), covers, ignored)


def _column(
    row: Row, column: str, spec: ColumnSpec, label_set: LabelSet, missing: frozenset[str]
) -> Iterator[RawAnnotation | Refusal | None]:
    """Annotations of one column; None where a cell of labels is empty, a refusal where a label is ignored."""
    if spec.states is not None:
        yield _state(row, column, spec, label_set, missing)
    elif spec.kind in _LABELS:
        yield from _labels(row, column, spec, label_set, missing)
    else:
        value = _value(row, column, spec, label_set, missing)
        if value is not None:
            yield value


def _state(
    row: Row, column: str, spec: ColumnSpec, label_set: LabelSet, missing: frozenset[str]
) -> RawAnnotation | Refusal | None:
    cell = row.text(column)
    states = spec.states or {}
    state = states.get(key_of(cell, states))
    if state is None:
        if cell in missing:
            return None
        found = f"{shown(cell)} is" if NUMBER.fullmatch(cell) else "the cell is"
        raise Broken(Reason.UNKNOWN_STATE, f"column {column!r}: {found} not in the card's `states`")
    concept = _concept_of_column(column, spec, label_set) if spec.concept else name_label(column, label_set)
    qualifiers = read_qualifiers(row, spec.qualifiers, missing)
    return _labelled(
        column, concept, kind=spec.kind, locator=row.locator_in(column), state=state, qualifiers=qualifiers
    )


def _labels(
    row: Row, column: str, spec: ColumnSpec, label_set: LabelSet, missing: frozenset[str]
) -> Iterator[RawAnnotation | Refusal | None]:
    cells = row.lists.get(column)
    if cells is None or spec.kind is Kind.CLASS:
        cell = row.text(column)
        if cell in missing:
            yield None
            return
        cells = tuple(cell.split(spec.separator)) if spec.separator else (cell,)
    labels = list(dict.fromkeys(cell.strip() for cell in cells if cell.strip()))
    if spec.none is not None and spec.none in labels and len(labels) > 1:
        raise Broken(Reason.INVALID_ROW, f"column {column!r} says {shown(spec.none)} together with a finding")
    qualifiers = read_qualifiers(row, spec.qualifiers, missing)
    for number, cell in enumerate(label for label in labels if label != spec.none):
        label = _meaning(cell, column, spec)
        if label is None:
            yield Refusal(Reason.IGNORED_CLASS, f"the card leaves label {shown(cell)} out", Verdict.FILTERED)
            continue
        locator = f"{row.locator_in(column)}[{number}]" if len(cells) > 1 else row.locator_in(column)
        concept = name_label(label, label_set)
        yield _labelled(label, concept, kind=spec.kind, locator=locator, state=State.PRESENT, qualifiers=qualifiers)


def _labelled(
    label: str, concept: Concept | Refusal, *, kind: Kind, locator: str, state: State, qualifiers: dict[str, str]
) -> RawAnnotation | Refusal:
    if isinstance(concept, Refusal):
        if concept.verdict is Verdict.REJECTED:
            raise Broken(concept.reason, concept.detail)
        return concept
    return RawAnnotation(
        kind=kind,
        locator=locator,
        label=label,
        concept=concept.name,
        code=concept.code,
        code_system=concept.system,
        state=state,
        qualifiers=qualifiers,
    )


def _value(
    row: Row, column: str, spec: ColumnSpec, label_set: LabelSet, missing: frozenset[str]
) -> RawAnnotation | None:
    """A text, a number, a grade, an attribute or a code; None where the cell is empty or the card leaves it out."""
    cell = row.text(column)
    if cell in missing or (spec.kind in _NUMBERS and cell.lower() == "nan"):
        return None
    meant = _meaning(cell, column, spec)
    concept = _concept_of_column(column, spec, label_set)
    if meant is None or isinstance(concept, Refusal):
        return None
    named = RawAnnotation(
        kind=spec.kind,
        locator=row.locator_in(column),
        concept=concept.name,
        code=concept.code,
        code_system=concept.system,
        qualifiers=read_qualifiers(row, spec.qualifiers, missing),
    )
    match spec.kind:
        case Kind.MEASUREMENT:
            value, censored = measured(cell, column)
            qualifiers = {**named.qualifiers, **censored}
            said = replace(named, value=value, unit=_unit(row, spec, missing), qualifiers=qualifiers)
        case Kind.COUNT:
            said = replace(named, value=count_in(cell, column), unit=_unit(row, spec, missing))
        case Kind.GRADE:
            said = replace(named, label=meant, value=finite(meant))
        case Kind.ATTRIBUTE:
            said = replace(named, label=cell, text=meant)
        case Kind.CODE:
            said = replace(named, concept=spec.concept, label=cell, code=meant, code_system=spec.system)
        case _:
            said = replace(named, concept=spec.concept, text=meant, language=label_set.language)
    return said


def _meaning(cell: str, column: str, spec: ColumnSpec) -> str | None:
    reason = Reason.UNKNOWN_CLASS if spec.kind in _LABELS else Reason.UNKNOWN_STATE
    return cell if spec.values is None else _renamed(cell, column, spec.values, reason)


def _renamed(cell: str, column: str, values: Mapping[str, T], reason: Reason = Reason.UNKNOWN_STATE) -> T:
    key = key_of(cell, values)
    if key not in values:
        raise Broken(reason, f"column {column!r}: the cell is not in the card's `values`")
    return values[key]


def _concept_of_column(column: str, spec: ColumnSpec, label_set: LabelSet) -> Concept | Refusal:
    """What a column speaks of; its name stands for itself where neither the column nor `concepts` says more."""
    if spec.concept is None and label_set.concepts is not None and column in label_set.concepts:
        return name_label(column, label_set)
    return Concept(name=spec.concept or column, code=spec.code, system=spec.system)


def _unit(row: Row, spec: ColumnSpec, missing: frozenset[str]) -> str | None:
    if not isinstance(spec.unit, FromColumn):
        return spec.unit
    cell = row.text(spec.unit.column)
    if cell in missing:
        return None
    return cell if spec.unit.values is None else _renamed(cell, spec.unit.column, spec.unit.values)


def read_qualifiers(row: Row, qualifiers: Mapping[str, str], missing: frozenset[str]) -> dict[str, str]:
    """Further columns by the names that the card gives them; empty cells are left out."""
    if not qualifiers:
        return {}
    values = ((name, row.text(column)) for name, column in sorted(qualifiers.items()))
    return {name: value for name, value in values if value not in missing}


def read_fields(row: Row, fields: Mapping[FieldName, FieldSpec], missing: frozenset[str]) -> dict[str, str]:
    """The typed columns of the asset, as `@modality`, `@laterality` and so on; empty cells are left out.

    Of licences nothing is left out: a cell that is empty or not listed says `NO_LICENCE`; no row passes for free.

    Raises:
        Broken: a side that is none of left, right and bilateral, or a day that is no whole number.
    """
    found: dict[str, str] = {}
    for name, spec in sorted(fields.items()):
        source = FromColumn(column=spec) if isinstance(spec, str) else spec
        cell = row.text(source.column)
        if name == "licence":
            found["@licence"] = _licence(cell, source, missing)
            continue
        if cell in missing or (name == "day_offset" and cell.lower() == "nan"):
            continue
        value = cell if source.values is None else _renamed(cell, source.column, source.values)
        if value is None:
            continue
        if name == "laterality":
            value = value.lower()
            if value not in set(Laterality):
                raise Broken(Reason.UNKNOWN_STATE, f"column {source.column!r} is no side; say its `values`")
        if name == "day_offset":
            value = str(whole_number_in(value, source.column) * (1 if source.times is None else source.times))
        found[f"@{name}"] = value
    return found


def _licence(cell: str, source: FromColumn, missing: frozenset[str]) -> str:
    if cell in missing:
        return NO_LICENCE
    return cell if source.values is None else source.values.get(key_of(cell, source.values)) or NO_LICENCE
