"""False texts from true ones: one module per family of errors, each kind a function from a row to its variants.

A mutator proves from the annotations that what it makes is false or given nowhere, else it makes nothing. It knows no
rule: none of these modules imports `curate.verify`.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

from bench.verify.facts import Facts
from bench.verify.rows import Draw, Mutant, Row

__all__ = ["Change", "Make", "families", "kinds", "mutants"]


@dataclass(frozen=True, slots=True)
class Change:
    """Another answer, another question (without image tokens) or another whole prompt, and why it is false."""

    why: str
    answer: str | None = None
    question: str | None = None
    prompt: str | None = None


Make = Callable[[Row, Facts, Draw], Iterator[Change]]


def families() -> Mapping[str, Mapping[str, Make]]:
    """Family -> kind -> what makes it."""
    from bench.verify.mutators import (
        adjectives,
        answers,
        certainty,
        findings,
        forms,
        history,
        laterality,
        numbers,
        options,
        picture,
        places,
        polarity,
        tongues,
    )

    return {
        module.__name__.rpartition(".")[2]: module.KINDS
        for module in (
            polarity,
            certainty,
            laterality,
            findings,
            adjectives,
            numbers,
            places,
            picture,
            history,
            options,
            answers,
            tongues,
            forms,
        )
    }


def kinds() -> Mapping[str, Make]:
    """Every kind by name; a name stands once."""
    found: dict[str, Make] = {}
    for family in families().values():
        for kind, make in family.items():
            if kind in found:
                raise ValueError(f"two mutators make the kind {kind}")
            found[kind] = make
    return found


def mutants(row: Row) -> Iterator[Mutant]:
    """Every mutant of a row, each text once: the first kind that makes it keeps it."""
    facts = Facts(row)
    prompt, answer = row.draft.messages[0].content, row.answer
    seen = {(prompt, answer)}
    for kind, make in kinds().items():
        for change in make(row, facts, Draw(row.row_id, kind)):
            mutant = Mutant(
                kind,
                change.prompt or (prompt if change.question is None else row.tokens + change.question),
                answer if change.answer is None else change.answer,
                change.why,
            )
            if (mutant.prompt, mutant.answer) not in seen:
                seen.add((mutant.prompt, mutant.answer))
                yield mutant
