"""What a label set says against itself about one image: such statements are all refused, for none can be believed."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final

from curate.card import LabelSet
from curate.schema import Kind, Reason, Refusal, State, World

__all__ = ["conflicts"]

_LABELS: Final = frozenset({Kind.CLASS, Kind.MULTILABEL})


def conflicts(rows: Iterable[Mapping[str, Any]], labels: Mapping[str, LabelSet]) -> dict[str, Refusal]:
    """Annotation id -> why it cannot stand, for the rows of `annotations` about one asset.

    An exclusive set holds one class: two that are present refute each other. In any set one finding (of one side) has
    one state; what is not stated says nothing against anything.
    """
    found: dict[str, Refusal] = {}
    by_set: dict[str, list[Mapping[str, Any]]] = {}
    for row in rows:
        if row["kind"] in _LABELS and _state(row) != State.NOT_STATED:
            by_set.setdefault(row["label_set"], []).append(row)
    for name, said in by_set.items():
        for group in _by_finding(said):
            states = sorted({_state(row) for row in group})
            if len(states) > 1:
                refusal = Refusal(Reason.CONFLICTING_LABELS, f"one finding is stated {' and '.join(states)}")
                found |= {row["annotation_id"]: refusal for row in group}
        present = [row for row in said if _state(row) == State.PRESENT]
        classes = {_concept(row) for row in present}
        if labels[name].world is World.EXCLUSIVE and len(classes) > 1:
            refusal = Refusal(Reason.CONFLICTING_LABELS, f"an exclusive label set states {len(classes)} classes")
            found |= {row["annotation_id"]: refusal for row in present}
    return found


def _by_finding(rows: Iterable[Mapping[str, Any]]) -> Iterator[list[Mapping[str, Any]]]:
    """Rows about one concept and side together."""
    grouped: dict[tuple[str | None, str | None], list[Mapping[str, Any]]] = {}
    for row in rows:
        grouped.setdefault((_concept(row), row["side"]), []).append(row)
    yield from grouped.values()


def _concept(row: Mapping[str, Any]) -> str | None:
    concept: str | None = row["concept"] or row["label"]
    return concept


def _state(row: Mapping[str, Any]) -> str:
    return row["state"] or State.PRESENT
