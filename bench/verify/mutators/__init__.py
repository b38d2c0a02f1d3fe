"""False texts from true ones: one module per family of errors, each kind a function from a row to its variants.

A mutator proves from the annotations that what it makes is false or given nowhere, else it makes nothing. It knows no
rule: none of these modules imports `curate.verify`.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import msgspec

from bench.verify.facts import Facts
from bench.verify.rows import Draw, Mutant, Row
from curate.rows import Asset

__all__ = ["Change", "Make", "families", "kinds", "mutants"]


@dataclass(frozen=True, slots=True)
class Change:
    """Another answer, another question (without image tokens) or another whole prompt, and why it is false.

    `asks`: what was asked is changed with the text. `assets`: other images, or the same in another order.
    """

    why: str
    answer: str | None = None
    question: str | None = None
    prompt: str | None = None
    asks: Mapping[str, Any] | None = None
    assets: tuple[Asset, ...] | None = None


Make = Callable[[Row, Facts, Draw], Iterator[Change]]


def families() -> Mapping[str, Mapping[str, Make]]:
    """Family -> kind -> what makes it."""
    from bench.verify.mutators import (
        adjectives,
        answers,
        certainty,
        choices,
        findings,
        forms,
        history,
        knowledge,
        laterality,
        measures,
        numbers,
        options,
        picture,
        places,
        polarity,
        referring,
        tongues,
        visits,
    )

    return {
        module.__name__.rpartition(".")[2]: module.KINDS
        for module in (
            polarity,
            certainty,
            laterality,
            measures,
            findings,
            adjectives,
            numbers,
            places,
            referring,
            picture,
            history,
            knowledge,
            options,
            choices,
            visits,
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
    seen = {(prompt, answer, row.draft.constraints, "")}
    for kind, make in kinds().items():
        for change in make(row, facts, Draw(row.row_id, kind)):
            mutant = Mutant(
                kind,
                change.prompt or (prompt if change.question is None else row.tokens + change.question),
                answer if change.answer is None else change.answer,
                change.why,
                None if change.asks is None else msgspec.json.encode(change.asks, order="deterministic").decode(),
                change.assets,
            )
            shown = "" if mutant.assets is None else repr(mutant.assets)
            whole = (mutant.prompt, mutant.answer, mutant.constraints or row.draft.constraints, shown)
            if whole not in seen:
                seen.add(whole)
                yield mutant
