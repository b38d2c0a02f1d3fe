"""Left for right, one for both, a side where the source gives none. Sides are the patient's."""

import re
from collections.abc import Iterator, Mapping

from bench.verify.facts import Facts
from bench.verify.mutators import Change, Make
from bench.verify.rows import Draw, Row
from bench.verify.texts import capital, has_negation, phrases, sentences, spans
from curate.schema import Kind, State

__all__ = ["KINDS"]

OTHER = {"left": "right", "right": "left", "左": "右", "右": "左"}
ONE = {"en": re.compile(r"\b(left|right)\b", re.I), "zh": re.compile(r"[左右](?!右|侧位|前斜|后斜)")}
BOTH = {
    "en": re.compile(r"\b(bilateral(?:ly)?|both(?: sides)?|on either side|left and right|right and left)\b", re.I),
    "zh": re.compile(r"双侧|两侧|双肺|双|两肺|左右(?:两侧|双侧)?"),
}
MICROSCOPY = re.compile(r"microscop|histolog|smear|patholog|SM\b|GM\b", re.I)
FIXED = re.compile(r"\b(?:right|left) ventric|left anterior descending|right heart|[左右]心|右位", re.I)
"""Words in which the side is part of the name."""


def _swapped(text: str, language: str) -> str:
    def turned(match: re.Match[str]) -> str:
        word = match.group()
        other = OTHER[word.lower()]
        return other.upper() if word.isupper() and len(word) > 1 else capital(other) if word[0].isupper() else other

    return ONE[language].sub(turned, text)


def side_swapped(row: Row, facts: Facts, draw: Draw) -> Iterator[Change]:
    """Each left and right of the answer exchanged, where the source gives one side alone."""
    sides = facts.all_sides
    if len(sides) != 1 or "bilateral" in sides or not ONE[row.language].search(row.answer):
        return
    if has_negation(row.answer, row.language) and row.asks["ask"] != "attribute":
        return
    yield Change(f"the source gives the side {next(iter(sides))} alone", answer=_swapped(row.answer, row.language))


def sides_exchanged(row: Row, facts: Facts, draw: Draw) -> Iterator[Change]:
    """Left and right exchanged where some findings are on the one side alone and some on the other."""
    single = [facts.sides(concept) for concept in facts.having(State.PRESENT) if facts.sides(concept)]
    if any(len(sides) != 1 for sides in single) or {side for sides in single for side in sides} != {"left", "right"}:
        return
    if len(row.assets) != 1 or facts.asset.laterality is not None or has_negation(row.answer, row.language):
        return
    if ONE[row.language].search(row.answer):
        yield Change("each is on the other side", answer=_swapped(row.answer, row.language))


def question_side_swapped(row: Row, facts: Facts, draw: Draw) -> Iterator[Change]:
    """The side that the question asks about exchanged, the answer yes as before."""
    concept = str(row.asks.get("concept"))
    sides = facts.sides(concept)
    affirmed = re.match(r"(yes|是的|有|是)\b|^(是的|有)", row.answer, re.I)
    if row.asks["ask"] != "presence" or len(sides) != 1 or facts.states.get(concept) is not State.PRESENT:
        return
    if "bilateral" in sides or not affirmed or not ONE[row.language].search(row.question):
        return
    yield Change(f"{concept} is {next(iter(sides))} alone", question=_swapped(row.question, row.language))


def one_for_both(row: Row, facts: Facts, draw: Draw) -> Iterator[Change]:
    """What is on both sides said of one."""
    if facts.all_sides != {"bilateral"} or not BOTH[row.language].search(row.answer):
        return
    if has_negation(row.answer, row.language):
        return
    side = draw.pick("side", ("left", "right"))
    zh = {"left": "左", "right": "右"}[side]

    def narrowed(match: re.Match[str]) -> str:
        word = match.group().lower()
        if row.language == "zh":
            return zh + "肺" if "肺" in word else zh + "侧" if "侧" in word else zh
        told = {"bilaterally": f"on the {side} only", "bilateral": f"{side}-sided"}.get(word, f"the {side} side")
        return f"on the {side} side" if word.startswith("on ") else told

    changed = BOTH[row.language].sub(narrowed, row.answer)
    yield Change("it is on both sides", answer=capital(changed))
    if row.language == "en":
        changed, times = re.subn(r"\bbilateral\b", "unilateral", row.answer, flags=re.IGNORECASE)
        if times:
            yield Change("it is on both sides", answer=capital(changed))


def both_for_one(row: Row, facts: Facts, draw: Draw) -> Iterator[Change]:
    """What is on one side said of both."""
    sides = facts.all_sides
    if len(sides) != 1 or "bilateral" in sides or has_negation(row.answer, row.language) or FIXED.search(row.answer):
        return
    side = next(iter(sides))
    zh = {"left": "左", "right": "右"}[side]
    if row.language == "en":
        changed = re.sub(rf"\b(?:an? )?{side}(?:[- ]sided)?\b", "bilateral", row.answer, flags=re.IGNORECASE)
        changed = re.sub(r"\bon the bilateral(?: side)?\b", "on both sides", changed)
    else:
        changed = re.sub(rf"{zh}侧?", "双侧", row.answer)
    if changed != row.answer:
        yield Change(f"it is on the {side} alone", answer=capital(changed))


def side_added(row: Row, facts: Facts, draw: Draw) -> Iterator[Change]:
    """A side for a finding or an image of which the source gives none."""
    told = f"{row.answer} {row.question}"
    if facts.all_sides or ONE[row.language].search(told) or BOTH[row.language].search(told) or FIXED.search(told):
        return
    if MICROSCOPY.search(facts.asset.modality or "") or any(each.kind is Kind.QA for each in row.annotations):
        return
    side = draw.pick("side", ("left", "right", "bilateral"))
    zh = {"left": "左侧", "right": "右侧", "bilateral": "双侧"}[side]
    parts = sentences(row.answer, row.language)
    for concept in facts.having(State.PRESENT):
        for place, part in enumerate(parts):
            found = next(spans(part, concept, row.language), None)
            if found is None or has_negation(part, row.language):
                continue
            word = (
                zh
                if row.language == "zh"
                else draw.pick("form", (side, f"{side}-sided" if side != "bilateral" else side))
            )
            space = "" if row.language == "zh" else " "
            name = part[found[0] :]
            changed = part[: found[0]] + word + space + (name[:1].lower() + name[1:] if found[0] == 0 else name)
            yield Change(
                f"the source gives {concept} no side",
                answer="".join([*parts[:place], capital(changed), *parts[place + 1 :]]),
            )
            tail = draw.pick("tail", phrases("on_a_side", row.language, zh if row.language == "zh" else side))
            if side != "bilateral":
                ended = re.sub(r"[.。；]?\s*$", "", part) + tail
                yield Change(
                    f"the source gives {concept} no side",
                    answer="".join([*parts[:place], ended, " " * (row.language == "en"), *parts[place + 1 :]]).rstrip(),
                )
            return


KINDS: Mapping[str, Make] = {
    "side_swapped": side_swapped,
    "sides_exchanged": sides_exchanged,
    "question_side_swapped": question_side_swapped,
    "one_for_both": one_for_both,
    "both_for_one": both_for_one,
    "side_added": side_added,
}
