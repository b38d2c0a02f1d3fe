"""What no image and no label tells: an earlier image, a patient's person, story, name or date, talk about the task."""

import re
from collections.abc import Iterator, Mapping
from functools import cache

from bench.verify.facts import Facts
from bench.verify.mutators import Change, Make
from bench.verify.rows import Draw, Row
from bench.verify.texts import before, has_negation, load, phrases, sentences, spans
from curate.schema import State

__all__ = ["KINDS"]


@cache
def _words() -> dict[str, dict[str, list[str]]]:
    table: dict[str, dict[str, list[str]]] = load("history")
    return table


def _behind(row: Row, sentence: str) -> str:
    answer = row.answer.rstrip()
    stop = "" if re.search(r"[.。!！\]]$", answer) else ("." if row.language == "en" else "。")
    space = " " if row.language == "en" else ""
    return answer + stop + space + sentence


def _sentences_of(kind: str, why: str) -> Make:
    def make(row: Row, facts: Facts, draw: Draw) -> Iterator[Change]:
        if kind == "comparison" and (row.prior or row.asks["ask"] == "compare"):
            return
        # Where the source tells a sex or an age, a sentence on it may be true.
        if kind == "history" and re.search(r"\b(sex|age|gender)\b", facts.told):
            return
        # What a source said itself is kept as it is, so there it is enough to try one.
        for sentence in draw.some("sentence", _words()[kind][row.language], 1 if row.asks["ask"] == "source" else 2):
            yield Change(f"{why}: {sentence}", answer=_behind(row, sentence))

    make.__doc__ = f"A sentence of the kind {kind} put behind the answer."
    return make


def _put_in(kind: str) -> Make:
    def make(row: Row, facts: Facts, draw: Draw) -> Iterator[Change]:
        if row.prior or row.asks["ask"] in ("source", "choice", "compare"):
            return
        parts = sentences(row.answer, row.language)
        pool = [
            word for word in phrases(kind, row.language) if word.strip() not in f"{facts.told} {row.answer}".lower()
        ]
        for concept in facts.having(State.PRESENT):
            for place, part in enumerate(parts):
                found = next(spans(part, concept, row.language), None)
                if found is None or has_negation(part, row.language) or (found[0] == 0 and row.language == "en"):
                    continue
                word = draw.pick(concept, pool)
                head = part[: found[0]]
                if kind == "person_put_in":
                    if re.search(r"(?:\d|one|two|three|four|five|six) $", head):
                        continue
                    head = re.sub(r"\b(?:an?|some|the) $", "", head, flags=re.IGNORECASE)
                changed = before(head, word) + word + part[found[0] :]
                yield Change(
                    f"nothing tells {word.strip()}", answer="".join([*parts[:place], changed, *parts[place + 1 :]])
                )
                return

    make.__doc__ = "Words before the name of a finding that only another image or the patient could prove."
    return make


def history_in_question(row: Row, facts: Facts, draw: Draw) -> Iterator[Change]:
    """The invented story told in the question."""
    if row.prior or row.asks["ask"] == "compare" or re.search(r"\b(sex|age|gender)\b", facts.told):
        return
    asked = row.question[:1].lower() + row.question[1:] if row.language == "en" else row.question
    pool = phrases("history_asked", row.language, question=asked)
    yield Change("nothing tells it", question=draw.pick("way", pool))


KINDS: Mapping[str, Make] = {
    "comparison_invented": _sentences_of("comparison", "there is no earlier image"),
    "comparison_put_in": _put_in("comparison_put_in"),
    "history_invented": _sentences_of("history", "no annotation tells it"),
    "person_put_in": _put_in("person_put_in"),
    "identifier_invented": _sentences_of("identifier", "no annotation tells it"),
    "history_in_question": history_in_question,
    "meta_text": _sentences_of("meta", "talk about the task is no part of an answer"),
    "foreign_sentence": _sentences_of("foreign", "the other language was asked for"),
}
