"""An answer to another question, an answer in its own question, a text cut off or gone."""

import re
from collections.abc import Iterator, Mapping

from bench.verify.facts import Facts
from bench.verify.invented import spoken
from bench.verify.mutators import Change, Make
from bench.verify.rows import Draw, Row
from bench.verify.texts import has_negation, phrases, plural
from curate.schema import State

__all__ = ["KINDS"]

CLOSED = frozenset({"presence", "attribute_is"})
PLACED = frozenset({"locate", "point"})
NUMBER = frozenset({"count", "count_total", "measure"})


def answer_of_another_question(row: Row, facts: Facts, draw: Draw) -> Iterator[Change]:
    """A true sentence about the image that answers something else than what was asked."""
    ask, asset = row.asks["ask"], facts.asset
    if ask in ("caption", "source", "findings", "choice", "compare"):
        return
    zh = row.language == "zh"
    pool: list[str] = []
    if ask not in CLOSED | NUMBER:
        pool += ["是的。", "没有。"] if zh else ["Yes.", "No."]
    if ask not in PLACED and ask != "identify":
        pool += ["[[12, 30, 88, 97]]", "[[101, 77]]"]
    if ask not in NUMBER | {"grade"}:
        pool += ["3个。"] if zh else ["3.", "12 mm."]
    if ask in CLOSED | PLACED | NUMBER:
        pool += ["这是一幅医学图像。"] if zh else ["This is a medical image.", "The picture measures "
                 f"{asset.width} x {asset.height} pixels."]  # fmt: skip
        if asset.modality and row.asks.get("attribute") != "modality" and not zh:
            pool.append(f"The modality is {asset.modality}.")
    for answer in draw.some("answer", pool, 2):
        yield Change(f"the question asks for something else ({ask})", answer=answer)


CUT = {
    "en": re.compile(r"\b(?:a|an|the|of|and|is|are|with|in|by|shows|no|or)\b(?= )"),
    "zh": re.compile(r"(?:可见|未见|位于|显示|为|及|和|的)(?=.)"),
}


def cut_off(row: Row, facts: Facts, draw: Draw) -> Iterator[Change]:
    """The answer ends within a sentence, a word or a list."""
    if row.answer.lstrip().startswith("["):
        for end in draw.some("end", range(2, len(row.answer) - 1), 2):
            yield Change("the list is cut off", answer=row.answer[:end])
        return
    ends = [match.end() for match in CUT[row.language].finditer(row.answer) if match.end() < len(row.answer) - 2]
    ends = [
        end for end in ends if row.answer[:end] not in ("未见", "可见", "No", "no")
    ]  # short answers that say it all
    for end in draw.some("end", ends, 1):
        yield Change("the sentence is cut off", answer=row.answer[:end])
    long = list(re.finditer(r"[a-z]{8,}", row.answer))
    for match in draw.some("word", long, 1):
        yield Change("the word is cut off", answer=row.answer[: match.start() + 4])


def emptied(row: Row, facts: Facts, draw: Draw) -> Iterator[Change]:
    """Nothing, or nothing that says anything."""
    yield Change("an answer that says nothing", answer=draw.pick("answer", phrases("nothing_said", row.language)))
    yield Change("a question that asks nothing", question=draw.pick("question", phrases("nothing_asked", row.language)))


def answer_in_question(row: Row, facts: Facts, draw: Draw) -> Iterator[Change]:
    """The question gives away the answer word for word."""
    if len(row.answer) < 5 or row.asks["ask"] in ("source", "choice"):
        return
    pool = phrases("answer_leaked", row.language, question=row.question, answer=row.answer.strip())
    yield Change("the answer stands in the question", question=draw.pick("way", pool))


def fact_in_question(row: Row, facts: Facts, draw: Draw) -> Iterator[Change]:
    """The question names what it asks for."""
    ask, language = row.asks["ask"], row.language
    told: str | None = None
    if ask == "count" and row.asks["concept"] in facts.counts:
        name = spoken(row.asks["concept"], language)
        count = facts.counts[row.asks["concept"]]
        if name and count > 1:
            told = f"There are {count} {plural(name)}." if language == "en" else f"共有{count}个{name}。"
    elif ask in ("class", "identify", "findings"):
        held = [
            spoken(each, language)
            for each in facts.having(State.PRESENT)
            if (spoken(each, language) or "~") in row.answer
        ]
        if len(held) == 1:
            told = f"This is {held[0]}." if language == "en" else f"这是{held[0]}。"
    elif ask == "attribute":
        value = {"modality": facts.asset.modality, "anatomy": facts.asset.anatomy, "view": facts.asset.view}.get(
            row.asks["attribute"]
        )
        if value and value in row.answer:
            told = f"This is {value}." if language == "en" else None
    if told is not None:
        space = " " if language == "en" else ""
        yield Change("the question tells what it asks for", question=f"{told}{space}{row.question}")


def contradicts_itself(row: Row, facts: Facts, draw: Draw) -> Iterator[Change]:
    """A true answer with its own denial behind it."""
    concept = str(row.asks.get("concept"))
    name = spoken(concept, row.language)
    state = facts.states.get(concept)
    if row.asks["ask"] != "presence" or name is None or len(row.assets) != 1 or row.answer.rstrip()[-1:] not in ".。":
        return
    if state is State.PRESENT and not has_negation(row.answer, row.language):
        kind = "then_denied"
    elif state is State.ABSENT:
        kind = "then_claimed"
    else:
        return
    tail = draw.pick("tail", phrases(kind, row.language, name))
    yield Change(f"{concept} is {state}", answer=row.answer.rstrip() + tail)


KINDS: Mapping[str, Make] = {
    "answer_of_another_question": answer_of_another_question,
    "cut_off": cut_off,
    "emptied": emptied,
    "answer_in_question": answer_in_question,
    "fact_in_question": fact_in_question,
    "contradicts_itself": contradicts_itself,
}
