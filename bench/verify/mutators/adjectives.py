"""A severity, size, age or nature that no annotation gives, put before the name of a finding."""

from collections.abc import Iterator, Mapping

from bench.verify.facts import Facts
from bench.verify.invented import kinds_of
from bench.verify.mutators import Change, Make
from bench.verify.rows import Draw, Row
from bench.verify.texts import before, capital, has_negation, phrases, sentences, spans
from curate.schema import Kind, State

__all__ = ["KINDS"]

POOLS = {"severity_added": "severity", "size_added": "size", "nature_added": "nature"}
IMPLIED = {
    "malignant": "growth", "benign": "growth", "恶性": "growth", "良性": "growth",
    "enlarged": "shape", "large": "shape", "huge": "shape", "giant": "shape", "巨大": "shape", "较大": "shape",
    "calcified": "stone", "钙化": "stone", "congenital": "cells", "先天性": "cells", "infected": "infection",
    "chronic": "liver", "慢性": "liver",
}  # fmt: skip
"""A nature that may follow from what a finding of that kind is."""
SOURCE_WORDS = frozenset({Kind.QA, Kind.CAPTION, Kind.REPORT, Kind.SENTENCE})


def _maker(kind: str) -> Make:
    def make(row: Row, facts: Facts, draw: Draw) -> Iterator[Change]:
        if any(each.kind in SOURCE_WORDS for each in row.annotations) or row.asks["ask"] in ("choice",):
            return
        if kind != "nature_added" and any(each.kind in (Kind.GRADE, Kind.MEASUREMENT) for each in row.annotations):
            return
        free = [word for word in phrases(POOLS[kind], row.language) if not _given(word, row, facts)]
        parts = sentences(row.answer, row.language)
        for concept in facts.having(State.PRESENT):
            pool = [word for word in free if IMPLIED.get(word) not in kinds_of(concept)]
            for place, part in enumerate(parts):
                found = next(spans(part, concept, row.language), None)
                if found is None or not pool or has_negation(part, row.language):
                    continue
                for word in draw.some(concept, pool, 2):
                    changed = "".join([*parts[:place], _before(part, found, word, row.language), *parts[place + 1 :]])
                    yield Change(f"the source does not call {concept} {word}", answer=changed)
                return

    make.__doc__ = f"{kind.replace('_', ' ').capitalize()}."
    return make


def _given(word: str, row: Row, facts: Facts) -> bool:
    told = f"{facts.told} {row.answer} {row.question}".lower()
    return any(each in told for each in word.lower().split() if not each.isdigit())


def _before(part: str, found: tuple[int, int], word: str, language: str) -> str:
    head, name = part[: found[0]], part[found[0] :]
    if language == "zh":
        return head + word + ("的" if word[-1] in "米cm" else "") + name
    head = before(head, word)
    return f"{head}{word} {name}" if head else capital(f"{word} {name[:1].lower()}{name[1:]}")


KINDS: Mapping[str, Make] = {kind: _maker(kind) for kind in POOLS}
