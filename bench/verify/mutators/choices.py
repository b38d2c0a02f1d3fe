"""Multiple choice whose set of options is wrong: two that are true, none, or one of which nothing is known.

The lie is in the question and in what was asked alike, as a task would write it that draws its options badly. What the
answer takes is what was true before, so that nothing but the set betrays it.
"""

import re
import string
from collections.abc import Callable, Iterator, Mapping, Sequence

from bench.verify.facts import Facts
from bench.verify.invented import is_invented, outside, spoken
from bench.verify.mutators import Change, Make
from bench.verify.rows import Draw, Row
from bench.verify.texts import concepts, load, plural, surface
from curate.schema import State

__all__ = ["KINDS"]

NAMED = ("class", "findings", "identify")
"""What is asked for where options are concepts."""
ALL = {"en": ("All of the above", "all of these"), "zh": ("以上都是",)}


def _taken(row: Row) -> tuple[int, list[str]] | None:
    """The place of the option that is true, in a choice with letters among concepts or grades."""
    asks = row.asks
    if asks["ask"] != "choice" or not asks.get("letters") or "letter" not in asks:
        return None
    options = [str(option) for option in asks["options"]]
    place = string.ascii_uppercase.index(asks["letter"])
    return (place, options) if place < len(options) else None


def _line_of(question: str, place: int, option: str) -> str | None:
    """A question with another option on the line of a letter."""
    letter = string.ascii_uppercase[place]
    changed, times = re.subn(
        rf"^{letter}\. .*$", lambda _: f"{letter}. {option}", question, count=1, flags=re.MULTILINE
    )
    return changed if times else None


def _offering(row: Row, place: int, option: str, why: str, *, answer: str | None = None) -> Iterator[Change]:
    """Another option in the place of one, in what was asked too where that is in the language of the row."""
    question = _line_of(row.question, place, option)
    if question is None or row.language != "en":
        return
    options = [str(each) for each in row.asks["options"]]
    asks = row.asks | {"options": [*options[:place], option, *options[place + 1 :]]}
    yield Change(why, answer=answer, question=question, asks=asks)


def _in_place_of_a_wrong_one(
    name: str, what: Callable[[Row, Facts, Draw, str, Sequence[str]], Iterator[tuple[str, str]]]
) -> Make:
    """Options that may not stand beside the true one, each in the place of a wrong one."""

    def make(row: Row, facts: Facts, draw: Draw) -> Iterator[Change]:
        taken = _taken(row)
        if taken is None or row.asks["of"] not in NAMED:
            return
        place, options = taken
        others = [other for other in range(len(options)) if other != place]
        told = {option.lower() for option in options}
        for option, why in what(row, facts, draw, options[place], options):
            if option.lower() not in told:
                yield from _offering(row, draw.pick((name, option), others), option, why)

    return make


def _synonyms(row: Row, facts: Facts, draw: Draw, true: str, options: Sequence[str]) -> Iterator[tuple[str, str]]:
    for name in draw.some("name", [each for each in surface(true.lower(), "en") if each != true.lower()], 3):
        yield name, f"{name} is {true} by another name"


def _same_again(row: Row, facts: Facts, draw: Draw, true: str, options: Sequence[str]) -> Iterator[tuple[str, str]]:
    for again in (plural(true), true.replace("-", " "), f"the {true}", f"a {true}"):
        if again.lower() != true.lower():
            yield again, f"{again} says the same as {true}"


def _broader(row: Row, facts: Facts, draw: Draw, true: str, options: Sequence[str]) -> Iterator[tuple[str, str]]:
    words = true.split()
    wider = [" ".join(words[at:]) for at in range(1, len(words))] if words[0] not in ("no", "normal", "non") else []
    wider += [name for name, narrow in load("broader").items() if true.lower() in narrow]
    for name in draw.some("wider", sorted(set(wider)), 2):
        if name not in ("cell", "cells", "lung", "deficiency anemia"):
            yield name, f"whatever is {true} is {name} too"


def _also_there(row: Row, facts: Facts, draw: Draw, true: str, options: Sequence[str]) -> Iterator[tuple[str, str]]:
    if row.asks["of"] == "identify":
        return  # what else is in the image need not be in the box
    own = {each.concept for each in row.annotations if each.annotation_id in set(row.draft.annotation_ids)}
    for other in draw.some("other", [each for each in facts.having(State.PRESENT) if each not in own], 2):
        yield other, f"{other} is there as well"


def _doubtful(row: Row, facts: Facts, draw: Draw, true: str, options: Sequence[str]) -> Iterator[tuple[str, str]]:
    known = facts.having(State.PRESENT) + facts.having(State.ABSENT)
    for other in draw.some("unsure", [each for each in sorted(facts.possible) if each not in known], 2):
        yield other, f"whether {other} is there, the source does not say"


def _unknown(row: Row, facts: Facts, draw: Draw, true: str, options: Sequence[str]) -> Iterator[tuple[str, str]]:
    free = (term for term in draw.walk("term", outside("en")) if is_invented(term, facts))
    for term in (term for _, term in zip(range(2), free, strict=False)):
        name = spoken(re.sub(r"^an? ", "", term.name), "en") or term.name
        yield name, f"nothing is said of {name}"


def _near(row: Row, facts: Facts, draw: Draw, true: str, options: Sequence[str]) -> Iterator[tuple[str, str]]:
    known = {name for concept in facts.states for name in _names(concept)}
    near = [other for other in concepts().get(true.lower(), {}).get("near", []) if known.isdisjoint(_names(other))]
    for other in draw.some("near", near, 2):
        yield other, f"nothing is said of {other}"


def _names(concept: str) -> set[str]:
    """What a concept is called in both languages: those that share a name are one."""
    return {name.lower() for language in ("en", "zh") for name in surface(concept, language)}


def truth_removed(row: Row, facts: Facts, draw: Draw) -> Iterator[Change]:
    """The true option gone, and another name in its place, which the answer takes."""
    taken = _taken(row)
    if taken is None or row.asks["of"] not in NAMED:
        return
    place, options = taken
    names = row.vocabulary.get(row.asks["label_set"])
    absent = facts.having(State.ABSENT) if names is None else [c for c in names.concepts if c not in facts.possible]
    for other in draw.some("other", [each for each in absent if each.lower() not in map(str.lower, options)], 2):
        letter = string.ascii_uppercase[place]
        why = f"{options[place]} is true and stands no more among the options"
        yield from _offering(row, place, other, why, answer=f"{letter}. {other}")


def option_doubled(row: Row, facts: Facts, draw: Draw) -> Iterator[Change]:
    """An option that stands twice, as it is or in other letters."""
    taken = _taken(row)
    if taken is None:
        return
    place, options = taken
    other = draw.pick("other", [each for each in range(len(options)) if each != place])
    for again in (options[place], options[place].upper()):
        yield from _offering(row, other, again, f"{again} stands twice")


def all_of_them(row: Row, facts: Facts, draw: Draw) -> Iterator[Change]:
    """An option for all of the others together: at best it is false for a reason of grammar."""
    taken = _taken(row)
    if taken is None:
        return
    place, options = taken
    other = max(each for each in range(len(options)) if each != place)
    for name in ALL[row.language]:
        yield from _offering(row, other, name, "it stands for the others, of which one is true")
        letter = string.ascii_uppercase[other]
        yield from _offering(row, other, name, "one alone is true", answer=f"{letter}. {name}")


def key_of_another(row: Row, facts: Facts, draw: Draw) -> Iterator[Change]:
    """The letter by which answers are marked, another than that of the answer."""
    taken = _taken(row)
    if taken is None:
        return
    place, options = taken
    for other in draw.some("other", [each for each in range(len(options) + 1) if each != place], 2):
        yield Change(f"the true option is {options[place]}", asks=row.asks | {"letter": string.ascii_uppercase[other]})


def letters_shuffled(row: Row, facts: Facts, draw: Draw) -> Iterator[Change]:
    """The lines of two options exchanged, while the answer keeps its letter."""
    taken = _taken(row)
    if taken is None:
        return
    place, options = taken
    letter = string.ascii_uppercase[place]
    for other in draw.some("other", [each for each in range(len(options)) if each != place], 2):
        turned = list(options)
        turned[place], turned[other] = turned[other], turned[place]
        first = _line_of(row.question, place, turned[place])
        if first is None or row.language != "en":
            return
        lines = _line_of(first, other, turned[other])
        yield Change(
            f"behind {letter} stands {turned[place]}",
            answer=letter,
            question=lines,
            asks=row.asks | {"options": turned},
        )


KINDS: Mapping[str, Make] = {
    "choice_synonym_offered": _in_place_of_a_wrong_one("synonym", _synonyms),
    "choice_same_words_offered": _in_place_of_a_wrong_one("again", _same_again),
    "choice_broader_offered": _in_place_of_a_wrong_one("broader", _broader),
    "choice_other_truth_offered": _in_place_of_a_wrong_one("also", _also_there),
    "choice_doubtful_offered": _in_place_of_a_wrong_one("doubtful", _doubtful),
    "choice_unknown_offered": _in_place_of_a_wrong_one("unknown", _unknown),
    "choice_neighbour_offered": _in_place_of_a_wrong_one("near", _near),
    "choice_truth_removed": truth_removed,
    "choice_option_doubled": option_doubled,
    "choice_all_offered": all_of_them,
    "choice_key_of_another": key_of_another,
    "choice_letters_shuffled": letters_shuffled,
}
