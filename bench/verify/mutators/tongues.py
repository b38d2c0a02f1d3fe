"""The answer in another language than the one that was asked for."""

from collections.abc import Iterator, Mapping

from bench.verify.facts import Facts
from bench.verify.invented import spoken
from bench.verify.mutators import Change, Make
from bench.verify.rows import Draw, Row
from bench.verify.texts import load, surface
from curate.schema import State

__all__ = ["KINDS"]


def answer_in_another_language(row: Row, facts: Facts, draw: Draw) -> Iterator[Change]:
    """The whole answer in another language."""
    for answer in draw.some("answer", load("history")["whole_foreign"][row.language], 2):
        yield Change(f"an answer in {row.language} was asked for", answer=answer)
    other = "zh" if row.language == "en" else "en"
    for concept in facts.having(State.PRESENT)[:1]:
        name = spoken(concept, other)
        if row.asks["ask"] == "presence" and concept == row.asks["concept"] and name:
            told = f"是的，可见{name}。" if other == "zh" else f"Yes, {concept} can be seen."
            yield Change(f"an answer in {row.language} was asked for", answer=told)


def name_in_another_language(row: Row, facts: Facts, draw: Draw) -> Iterator[Change]:
    """The name of a finding in Chinese within an English sentence."""
    if row.language != "en" or row.asks["ask"] == "source":
        return
    for concept in facts.having(State.PRESENT):
        name = spoken(concept, "zh")
        found = [name for name in surface(concept, "en") if name in row.answer]
        if name and found:
            yield Change("an answer in English was asked for", answer=row.answer.replace(found[0], name))
            return


KINDS: Mapping[str, Make] = {
    "answer_in_another_language": answer_in_another_language,
    "name_in_another_language": name_in_another_language,
}
