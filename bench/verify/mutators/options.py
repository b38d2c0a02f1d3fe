"""Multiple choice: another option, a letter that is another's, an answer outside, a set without the true one."""

import re
from collections.abc import Iterator, Mapping

from bench.verify.facts import Facts
from bench.verify.mutators import Change, Make
from bench.verify.rows import Draw, Row
from bench.verify.texts import phrases

__all__ = ["KINDS"]

LETTERS = "ABCDEFGH"
LETTER = re.compile(r"(?<![A-Za-z])([A-H])(?![A-Za-z])")


def _chosen(row: Row) -> tuple[int, list[str]] | None:
    """The place of the option that the answer names, where it names one alone."""
    if row.asks["ask"] != "choice":
        return None
    options = [str(option) for option in row.asks["options"]]
    answer = row.answer.lower()
    named = [place for place, option in enumerate(options) if option.lower() in answer]
    longest = [
        place
        for place in named
        if not any(options[place].lower() in options[other].lower() for other in named if other != place)
    ]
    if len(longest) == 1:
        return longest[0], options
    letters = LETTER.findall(row.answer)
    if row.asks["letters"] and len(set(letters)) == 1 and LETTERS.index(letters[0]) < len(options):
        return LETTERS.index(letters[0]), options
    return None


def option_swapped(row: Row, facts: Facts, draw: Draw) -> Iterator[Change]:
    """Another option, letter and text alike."""
    chosen = _chosen(row)
    if chosen is None:
        return
    place, options = chosen
    others = [other for other in range(len(options)) if other != place]
    for other in draw.some("other", others, 3):
        letter = f"{LETTERS[other]}. " if row.asks["letters"] else ""
        stop = "." if row.language == "en" else "。"
        yield Change(f"the true option is {options[place]}", answer=f"{letter}{options[other]}{stop}")
        if row.asks["letters"]:
            yield Change(f"the true option is {LETTERS[place]}", answer=f"{LETTERS[other]}")
            told = f"The answer is {LETTERS[other]}." if row.language == "en" else f"答案是{LETTERS[other]}。"
            yield Change(f"the true option is {LETTERS[place]}", answer=told)


def letter_of_another(row: Row, facts: Facts, draw: Draw) -> Iterator[Change]:
    """The letter of one option with the text of another."""
    chosen = _chosen(row)
    if chosen is None or not row.asks["letters"]:
        return
    place, options = chosen
    for other in draw.some("other", [each for each in range(len(options)) if each != place], 2):
        yield Change("letter and text differ", answer=f"{LETTERS[other]}. {options[place]}")
        yield Change("letter and text differ", answer=f"{LETTERS[place]}. {options[other]}")
        changed, times = LETTER.subn(LETTERS[other], row.answer)
        if times == 1:
            yield Change("letter and text differ", answer=changed)


def outside_the_options(row: Row, facts: Facts, draw: Draw) -> Iterator[Change]:
    """An answer that is no option, or several, or a letter that no option has."""
    chosen = _chosen(row)
    if chosen is None:
        return
    place, options = chosen
    stop = "." if row.language == "en" else "。"
    other = draw.pick("other", [each for each in range(len(options)) if each != place])
    both = " and " if row.language == "en" else "和"
    yield Change("two options", answer=f"{options[place]}{both}{options[other]}{stop}")
    none = phrases("option_none", row.language)
    yield Change(f"the true option is {options[place]}", answer=draw.pick("none", none))
    if row.asks["letters"]:
        yield Change("no option has this letter", answer=f"{LETTERS[len(options)]}. {options[place]}")
    foreign = phrases("option_foreign", row.language)
    word = draw.pick("foreign", foreign)
    if all(word not in option for option in options):
        yield Change("it is no option", answer=word + stop)


def true_option_removed(row: Row, facts: Facts, draw: Draw) -> Iterator[Change]:
    """The true option exchanged in the question for another that is false."""
    chosen = _chosen(row)
    if chosen is None:
        return
    place, options = chosen
    named = row.question.count(options[place])
    if named == 1:
        other = options[(place + 1) % len(options)]
        yield Change("the options no longer hold the true one", question=row.question.replace(options[place], other))


KINDS: Mapping[str, Make] = {
    "option_swapped": option_swapped,
    "option_letter_of_another": letter_of_another,
    "option_outside": outside_the_options,
    "option_true_one_removed": true_option_removed,
}
