"""Numbers, units and counts that the annotations do not give.

A number in a true text is one that they give, so another number in its place is false where they give that nowhere, in
no unit of the same kind.
"""

import re
from collections.abc import Iterator, Mapping

from bench.verify.facts import Facts
from bench.verify.invented import spoken
from bench.verify.mutators import Change, Make
from bench.verify.rows import Draw, Row
from bench.verify.texts import capital, has_negation, mentions, phrases, plural, sentences, spans
from curate.schema import Kind, State, World

__all__ = ["KINDS"]

DIGITS = re.compile(r"(?<![A-Za-z0-9.,/_-])\d+(?:\.\d+)?(?![\d.]*\d)(?=$|[^A-Za-z0-9_]|(?:mm|cm|ml|mL|HU|kg|px)\b)")
WORDS = {
    "en": [
        *("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve"),
        *("thirteen", "fourteen", "fifteen", "sixteen", "seventeen", "eighteen", "nineteen", "twenty"),
    ],
    "zh": list("零一二三四五六七八九十"),
}
PLACED = frozenset({"locate", "point", "identify"})
SCALES = (1.0, 10.0, 0.1, 100.0, 0.01, 1000.0, 0.001)
UNITS = {
    "en": (
        (r"mm\b", ("cm", "m", "%", "HU")), (r"millimet(?:er|re)s?\b", ("centimeters", "inches")),
        (r"cm\b", ("mm", "m")), (r"centimet(?:er|re)s?\b", ("millimeters", "meters")),
        (r"m[lL]\b", ("L", "mg")), (r"HU\b", ("SUV", "mm")), (r"Hounsfield units\b", ("SUV", "millimeters")),
        (r"mmHg\b", ("mm", "cmH2O")), (r"m/s\b", ("mm/s", "km/h")), (r"%", (" mm", " per mille")),
        (r"percent\b", ("millimeters",)), (r"degrees\b", ("radians",)), (r"°", (" mm",)), (r"µm\b|um\b", ("mm",)),
        (r"mg/L\b", ("g/L",)), (r"bpm\b", ("Hz",)), (r"mm2\b|mm²", ("cm²",)),
    ),
    "zh": (
        (r"毫米", ("厘米", "米")), (r"厘米", ("毫米", "米")), (r"mm", ("cm", "m")), (r"cm", ("mm", "m")),
        (r"HU", ("SUV",)), (r"毫升", ("升",)), (r"m[lL]", ("L",)), (r"%", ("毫米",)), (r"度", ("弧度",)),
        (r"微米", ("毫米",)),
        (r"米/秒", ("厘米/秒",)), (r"m/s", ("cm/s",)),
    ),
}  # fmt: skip


def _derivable(number: float, facts: Facts) -> bool:
    """True where the source gives this number, or one that it is by a step of ten, or may be by rounding."""
    return any(
        abs(number - given * scale) <= max(0.051 * abs(given * scale), 1e-9) if scale != 1.0 or given % 1
        else number == given
        for given in facts.numbers for scale in SCALES
    )  # fmt: skip


def _numbers(row: Row, text: str) -> list[re.Match[str]]:
    return [] if row.asks["ask"] in PLACED | {"source"} else list(DIGITS.finditer(text))


def number_changed(row: Row, facts: Facts, draw: Draw) -> Iterator[Change]:
    """One number in digits exchanged for another, nearby or by its digits."""
    for match in _numbers(row, row.answer)[:3]:
        said = match.group()
        value = float(said)
        near = [
            value + 1,
            value - 1,
            value + 2,
            value * 2,
            value * 1.3,
            value * 0.6,
            float(said[::-1]) if "." not in said else value + 0.5,
        ]
        decimals = len(said.partition(".")[2])
        pool = sorted({f"{each:.{decimals}f}" for each in near if each >= 0} - {said})
        pool = [each for each in pool if not _derivable(float(each), facts)]
        for other in draw.some(match.start(), pool, 2):
            answer = row.answer[: match.start()] + other + row.answer[match.end() :]
            yield Change(f"the source gives {said} and nowhere {other}", answer=answer)


def number_word_changed(row: Row, facts: Facts, draw: Draw) -> Iterator[Change]:
    """One number in words exchanged for another."""
    if row.asks["ask"] not in ("count", "count_total", "measure", "grade"):
        return
    words = WORDS[row.language]
    pattern = (
        r"\b(" + "|".join(words[2:]) + r")\b"
        if row.language == "en"
        else "([两" + "".join(words[2:]) + "])(?=[个枚处颗条只根支])"
    )
    for match in list(re.finditer(pattern, row.answer, re.IGNORECASE))[:2]:
        said = 2 if match.group(1) == "两" else words.index(match.group(1).lower())
        near = [each for each in (said - 1, said + 1, said + 2) if 0 < each < len(words)]
        for value in draw.some(match.start(), [each for each in near if not _derivable(float(each), facts)], 1):
            word = words[value] if not match.group(1)[0].isupper() else words[value].capitalize()
            answer = row.answer[: match.start()] + word + row.answer[match.end() :]
            yield Change(f"the source gives {said} and nowhere {value}", answer=answer)


def decimal_shifted(row: Row, facts: Facts, draw: Draw) -> Iterator[Change]:
    """The decimal point moved by one place under the same unit."""
    if not facts.values:
        return
    for match in _numbers(row, row.answer)[:2]:
        value = float(match.group())
        for factor in (10, 0.1):
            other = f"{value * factor:g}"
            if float(other) in facts.numbers or value == 0:
                continue
            answer = row.answer[: match.start()] + other + row.answer[match.end() :]
            yield Change(f"the source gives {match.group()} in this unit", answer=answer)


def unit_changed(row: Row, facts: Facts, draw: Draw) -> Iterator[Change]:
    """Another unit for the same number."""
    if not facts.values:
        return
    for pattern, others in UNITS[row.language]:
        match = re.search(rf"(\d[\d.]*(?:\s|-)?)({pattern})", row.answer)
        if match is None:
            continue
        for other in draw.some(pattern, others, 1):
            answer = row.answer[: match.start(2)] + other + row.answer[match.end(2) :]
            yield Change(f"the source gives it in {match.group(2)}", answer=answer)


def _counted(row: Row, facts: Facts) -> tuple[str, int] | None:
    concept = row.asks.get("concept")
    if row.asks["ask"] != "count" or concept not in facts.counts:
        return None
    return str(concept), facts.counts[str(concept)]


def count_off(row: Row, facts: Facts, draw: Draw) -> Iterator[Change]:
    """A whole new answer with another count."""
    counted = _counted(row, facts)
    name = spoken(counted[0], row.language) if counted else None
    if counted is None or name is None:
        return
    concept, count = counted
    others = [each for each in (count - 1, count + 1, count + 2, count * 2) if each > 0 and each != count]
    for other in draw.some("count", others, 2):
        pool = phrases("count_one" if other == 1 else "count_many", row.language, name, count=other)
        if row.language == "en" and 1 < other <= 20:
            pool.append(f"{WORDS['en'][other].capitalize()} {plural(name)}.")
        yield Change(f"there are {count} of {concept}", answer=draw.pick(("words", other), pool))


def count_denied(row: Row, facts: Facts, draw: Draw) -> Iterator[Change]:
    """None where there are some."""
    counted = _counted(row, facts)
    name = spoken(counted[0], row.language) if counted else None
    if counted is not None and name is not None and counted[1] > 0:
        answer = draw.pick("words", phrases("count_none", row.language, name))
        yield Change(f"there are {counted[1]} of {counted[0]}", answer=answer)


def count_vague(row: Row, facts: Facts, draw: Draw) -> Iterator[Change]:
    """Words for a quantity, or a bound that excludes the true number, where the number was asked for and is known."""
    counted = _counted(row, facts)
    name = spoken(counted[0], row.language) if counted else None
    if counted is None or name is None or counted[1] == 0:
        return
    concept, count = counted
    pool = phrases("count_vague", row.language, name, count=count, more=count + 1, most=count + 5)
    for answer in draw.some("words", pool, 2):
        yield Change(f"there are exactly {count} of {concept}", answer=answer)


def single_of_several(row: Row, facts: Facts, draw: Draw) -> Iterator[Change]:
    """A single one claimed where several are marked."""
    concept = str(row.asks.get("concept"))
    name = spoken(concept, row.language)
    if row.asks["ask"] in ("presence", "count") and facts.drawn.get(concept, 0) > 1 and name is not None:
        answer = draw.pick("words", phrases("single", row.language, name))
        yield Change(f"{facts.drawn[concept]} of {concept} are marked", answer=answer)


def count_unproved(row: Row, facts: Facts, draw: Draw) -> Iterator[Change]:
    """A number where the marks of the source are not all that there is."""
    concept = str(row.asks.get("concept"))
    name = spoken(concept, row.language)
    if row.asks["ask"] != "presence" or facts.states.get(concept) is not State.PRESENT or name is None:
        return
    if concept in facts.counts or any(each.kind is Kind.COUNT for each in row.annotations):
        return
    count = facts.drawn.get(concept, 0) + 2 + draw.below("more", 5)
    word = WORDS["en"][count] if count <= 20 else str(count)
    answer = draw.pick("words", phrases("count_unproved", row.language, name, count=count, word=word))
    yield Change(f"nothing gives the number of {concept}", answer=answer)


def whole_claimed(row: Row, facts: Facts, draw: Draw) -> Iterator[Change]:
    """That there is nothing else, where silence means nothing."""
    worlds = {names.world for names in row.vocabulary.values()} | {each.world for each in row.annotations}
    exhaustive = any(names.exhaustive for names in row.vocabulary.values()) or any(
        each.exhaustive for each in row.annotations
    )
    if worlds != {World.OPEN} or exhaustive or row.asks["ask"] not in ("presence", "caption", "findings", "class"):
        return
    stop = "" if re.search(r"[.。!]\s*$", row.answer) else ("." if row.language == "en" else "。")
    for tail in draw.some("tail", phrases("nothing_else", row.language), 1):
        yield Change("silence means nothing in these label sets", answer=row.answer.rstrip() + stop + tail)


def only_claimed(row: Row, facts: Facts, draw: Draw) -> Iterator[Change]:
    """Only one of several findings that are there."""
    present = facts.having(State.PRESENT)
    if len(present) < 2 or row.asks["ask"] not in ("presence", "caption", "findings"):
        return
    named = [concept for concept in present if mentions(row.answer, concept, row.language)]
    for concept in draw.some("which", named, 1):
        name = spoken(concept, row.language)
        if name is None:
            continue
        other = next(each for each in present if each != concept)
        yield Change(f"{other} is present too", answer=draw.pick("words", phrases("only", row.language, name)))


def quantity_added(row: Row, facts: Facts, draw: Draw) -> Iterator[Change]:
    """A quantity before a name of which the source marks one alone, all of them."""
    parts = sentences(row.answer, row.language)
    for concept, count in facts.counts.items():
        if count != 1 or row.asks["ask"] in ("choice", "count", "count_total"):
            continue
        for place, part in enumerate(parts):
            found = next(spans(part, concept, row.language), None)
            if found is None or has_negation(part, row.language):
                continue
            word = draw.pick(concept, phrases("several", row.language))
            name = plural(spoken(concept, row.language) or "") if row.language == "en" else part[found[0] : found[1]]
            head = re.sub(r"\b(?:an?|one|1|the|a single) $", "", part[: found[0]], flags=re.IGNORECASE)
            head = re.sub(r"一个$|1个$|单个$|一枚$", "", head)
            changed = head + word + name + part[found[1] :]
            yield Change(
                f"there is one {concept}", answer=capital("".join([*parts[:place], changed, *parts[place + 1 :]]))
            )
            break


def image_size_changed(row: Row, facts: Facts, draw: Draw) -> Iterator[Change]:
    """Another size of the image in the question."""
    sizes = {str(facts.asset.width), str(facts.asset.height)}
    if row.asks["ask"] not in PLACED:
        return
    for match in re.finditer(r"(?<!\[)\b\d{2,5}\b(?=(?:\s*(?:pixels?|[x×*]|像素|wide|high))|[^\[\]]*$)", row.question):
        if match.group() in sizes:
            other = str(int(match.group()) + draw.pick("by", (16, 64, 100, 256)))
            if other not in sizes:
                question = row.question[: match.start()] + other + row.question[match.end() :]
                yield Change(f"the image measures {facts.asset.width} x {facts.asset.height}", question=question)
            return


KINDS: Mapping[str, Make] = {
    "number_changed": number_changed,
    "number_word_changed": number_word_changed,
    "decimal_shifted": decimal_shifted,
    "unit_changed": unit_changed,
    "count_off": count_off,
    "count_denied": count_denied,
    "count_vague": count_vague,
    "single_of_several": single_of_several,
    "count_unproved": count_unproved,
    "whole_claimed": whole_claimed,
    "only_claimed": only_claimed,
    "quantity_added": quantity_added,
    "image_size_changed": image_size_changed,
}
