"""The options of a question: one is true, the others are known to be false, and the answer takes the true one."""

import re
import string
from typing import Any, ClassVar, Final

from curate.schema import Reason, State
from curate.verify.base import NOT_APPLICABLE
from curate.verify.choices import Choice
from curate.verify.counting import kinds_asked, total_of
from curate.verify.lexicon import ATTRIBUTE, CONCEPT, VALUE, attribute_key, broader, concept_key
from curate.verify.measured import is_option, names_quantity
from curate.verify.measuring import measured_as, measures_asked
from curate.verify.naming import covers
from curate.verify.part import SIDES, Part
from curate.verify.places import is_elsewhere
from curate.verify.reading import Reading, words_of
from curate.verify.rules import ReadingRule, Verdict, no
from curate.verify.text import normal, stems

__all__ = ["Options"]

_STATES: Final = {
    "yes": State.PRESENT, "present": State.PRESENT, "true": State.PRESENT, "no": State.ABSENT, "absent": State.ABSENT,
    "false": State.ABSENT, "not present": State.ABSENT, "uncertain": State.UNCERTAIN, "possible": State.UNCERTAIN,
    "equivocal": State.UNCERTAIN, "indeterminate": State.UNCERTAIN, "possibly present": State.UNCERTAIN,
    "cannot be determined": State.UNCERTAIN, "suspected": State.UNCERTAIN, "suspicious": State.UNCERTAIN,
    "probable": State.UNCERTAIN, "likely": State.UNCERTAIN, "unclear": State.UNCERTAIN, "possibly": State.UNCERTAIN,
    "seen": State.PRESENT, "not seen": State.ABSENT, "visible": State.PRESENT, "not visible": State.ABSENT,
    "positive": State.PRESENT, "negative": State.ABSENT, "indefinite": State.UNCERTAIN, "questionable": State.UNCERTAIN,
    "maybe": State.UNCERTAIN, "undetermined": State.UNCERTAIN, "是": State.PRESENT,
    "有": State.PRESENT, "否": State.ABSENT, "无": State.ABSENT,
    "没有": State.ABSENT, "存在": State.PRESENT, "不存在": State.ABSENT, "不确定": State.UNCERTAIN,
    "可疑": State.UNCERTAIN, "无法判断": State.UNCERTAIN, "无法确定": State.UNCERTAIN, "不能确定": State.UNCERTAIN,
    "难以判断": State.UNCERTAIN, "难以确定": State.UNCERTAIN, "可能": State.UNCERTAIN, "可能有": State.UNCERTAIN,
    "可能存在": State.UNCERTAIN, "疑似": State.UNCERTAIN, "不能排除": State.UNCERTAIN, "待定": State.UNCERTAIN,
    "不能判断": State.UNCERTAIN, "可见": State.PRESENT, "未见": State.ABSENT, "阳性": State.PRESENT,
    "阴性": State.ABSENT,
    "是的": State.PRESENT, "不是": State.ABSENT, "对": State.PRESENT, "不对": State.ABSENT, "正确": State.PRESENT,
    "错误": State.ABSENT,
}  # fmt: skip
_NONE: Final = frozenset(
    {"none of the above", "none of these", "none", "none of them", "以上都不是", "以上均不是", "都不是"}
)
_FOUND: Final = frozenset({"class", "findings", "caption"})
_NAMING: Final = _FOUND | {"identify"}
"""Where options are the names of findings and objects."""
_CHATTER: Final = re.compile(
    r"\W*(?:sure|certainly|of course|okay|ok|absolutely|great|gladly)\b\s*[!,.]", re.IGNORECASE
)
"""How an assistant opens, and nobody who answers a question of an examination."""
_ALL: Final = frozenset({"all of the above", "all of these", "以上都是", "以上均是"})


class Options(ReadingRule):
    """One option is true, none of the others may be, and the answer is that option, by letter and text."""

    name: ClassVar[str] = "options"
    version: ClassVar[int] = 4

    def judge(self, reading: Reading) -> Verdict:
        """Applies to questions that offer options."""
        choice = reading.choice
        if choice is None:
            return NOT_APPLICABLE
        if choice.problem:
            return no(Reason.OPTION, choice.problem)
        names = [normal(option) or option.strip() for option in choice.options]
        problem = _problem_of_set(reading, choice, names)
        if problem:
            return no(Reason.OPTION, problem)
        true = _truths(reading, names)
        if None in true:
            return no(Reason.OPTION, "of an option the annotations do not say whether it is true")
        if true.count(True) != 1:
            return no(Reason.OPTION, f"{true.count(True)} options are true, there must be one")
        if choice.picked is None or not true[choice.picked]:
            return no(Reason.OPTION, "the answer is not the option that is true")
        problem = _problem_of_answer(reading, choice, choice.picked)
        if problem:
            return no(Reason.OPTION, problem)
        said = _STATES.get(names[choice.picked])
        if reading.yes is not None and said in (State.PRESENT, State.ABSENT) and reading.yes != (said is State.PRESENT):
            return no(Reason.OPTION, "the answer says yes and no")
        if reading.answer.stray or (reading.answer.turned and not reading.answer.claims):
            return no(Reason.OPTION, "the answer denies or doubts the option that it takes")
        return None


def _problem_of_set(reading: Reading, choice: Choice, names: list[str]) -> str:
    """What is wrong with the options before any is held true or false; empty where nothing is."""
    keys = [" ".join(stems(option)) or option.strip() for option in choice.options]
    if len({name.casefold() for name in names}) < len(names) or len(set(keys)) < len(keys):
        return "two options are the same"
    if any(name in _ALL for name in names):
        return "an option stands for all the others"
    if choice.of in _NAMING:
        told = [named for option in choice.options if (named := _named(words_of(reading, option), option))]
        if len(set(told)) < len(told):
            return "two options mean the same"
    if any(
        not _same(words_of(reading, told), option) for told, option in zip(choice.offered, choice.options, strict=False)
    ):
        return "the question words an option as another one"
    return ""


def _problem_of_answer(reading: Reading, choice: Choice, picked: int) -> str:
    """What is wrong with an answer that takes the true option; empty where nothing is."""
    if not _is_letter_of(reading.asked.get("letter"), picked):
        return "the letter by which answers are marked is not that of the true option"
    if _CHATTER.match(reading.prose[1]):
        return "the answer talks before it answers"
    option = choice.options[picked]
    if choice.of in _NAMING and not _says_no_other(reading, _named(words_of(reading, option), option)):
        return "the answer names something else than the option that it takes"
    return ""


def _says_no_other(reading: Reading, named: frozenset[str]) -> bool:
    """True where all that an answer says to be there is what its option names, or a general word for it."""
    said = {key for c in reading.answer.claims if c.state is not State.ABSENT and (key := c.mention.key(CONCEPT))}
    return all(key in named or (covers(key, set(named)) and not reading.facts.names(key)) for key in said)


def _is_letter_of(letter: object, picked: int) -> bool:
    """True for the letter of an option, and where the draft names none."""
    return letter is None or letter == string.ascii_uppercase[picked : picked + 1]


def _same(told: Part, option: str) -> bool:
    """True where an option in another language means what it should."""
    if told.strange:
        return False
    keys = {meaning.key for mention in told.mentions for meaning in mention.meanings}
    keys |= {side for _, side in told.sides} | {f"{number:g}" for _, number in told.numbers}
    wanted = {concept_key(option), normal(option), " ".join(stems(option))}
    wanted |= {attribute_key(name, option) for name in ("modality", "view", "anatomy", "laterality")}
    state = _STATES.get(normal(option))
    return not keys.isdisjoint(wanted) or (state is not None and _STATES.get(told.text.strip()) is state)


def _truths(reading: Reading, names: list[str]) -> list[bool | None]:
    choice = reading.choice
    if choice is None:
        return []
    true = [
        None if name in _NONE else _truth(reading, choice.of, option)
        for option, name in zip(choice.options, names, strict=True)
    ]
    if reading.asked.get("state") == "absent":
        true = [None if each is None else not each for each in true]
    rest = [each for each, name in zip(true, names, strict=True) if name not in _NONE]
    none_of = None if None in rest else not any(rest)
    return [none_of if name in _NONE else each for each, name in zip(true, names, strict=True)]


def _truth(reading: Reading, of: str, option: str) -> bool | None:
    """Whether an option holds; None where the annotations do not say."""
    part = words_of(reading, option)
    if of in ("presence", "attribute_is"):
        return _is_state(reading, option)
    if of in _FOUND:
        return _is_found(reading, part, option)
    if of == "identify":
        return _is_held(reading, part, option)
    if of == "attribute":
        return _is_attribute(reading, part, option)
    if of in ("count", "count_total"):
        return _is_count(reading, part)
    if of == "grade":
        return _is_grade(reading, part, option)
    if of == "measure":
        return is_option(reading, option) if names_quantity(reading) else _is_measure(reading, part)
    return None


def _is_state(reading: Reading, option: str) -> bool | None:
    said = _STATES.get(normal(option) or option.strip())
    key = concept_key(str(reading.asked.get("concept")))
    known = reading.facts.state(key)
    if said is None:
        claimed = {claim.state for claim in words_of(reading, option).claims if claim.mention.key(CONCEPT) == key}
        said = claimed.pop() if len(claimed) == 1 and not words_of(reading, option).strange else None
    return None if said is None or known is None or known is State.NOT_STATED else said is known


def _is_found(reading: Reading, part: Part, option: str) -> bool | None:
    states: set[Any] = {_stated(reading, key) for key in _named(part, option)}
    if not states or part.strange:
        return None
    if State.ABSENT in states:
        return False
    return True if states == {State.PRESENT} else None


def _named(part: Part, option: str) -> frozenset[str]:
    """What an option names. By a general word alone it means the general word, not the one label that ends with it."""
    key = concept_key(option)
    return frozenset({key}) if key in broader() and part.concepts else part.concepts


def _stated(reading: Reading, key: str) -> State | None:
    """The state of a concept; that a general word is absent nothing proves but its own label, while others are there.

    Which findings are of a kind no list says completely: a tumor may be called by a name that none knows for one.
    """
    known = reading.facts.state(key)
    return None if known is State.ABSENT and key not in reading.facts.states else known


def _is_held(reading: Reading, part: Part, option: str) -> bool | None:
    """Whether the region in a question holds what an option names: where it may lie there too, nothing is known."""
    keys = {concept_key(a.concept) for a in reading.own if a.concept}
    named = _named(part, option)
    if not named or not keys or part.strange:
        return None
    if named <= keys:
        return True
    others = named - keys
    return False if any(_stated(reading, key) is State.ABSENT or is_elsewhere(reading, key) for key in others) else None


def _is_attribute(reading: Reading, part: Part, option: str) -> bool | None:
    name = str(reading.asked.get("attribute"))
    if name == "laterality":
        true = {str(asset.laterality) for asset in reading.facts.assets if asset.laterality}
        said = {side for _, side in part.sides} or {SIDES[word] for word in normal(option).split() if word in SIDES}
        return said == true if said and len(true) == 1 else None
    known = reading.facts.attributes.get(name, set())
    if not known:
        return None
    said = {m.key for mention in part.mentions for m in mention.meanings if m.kind == ATTRIBUTE and m.of == name}
    return bool((said or {attribute_key(name, option)}) & known)


def _is_count(reading: Reading, part: Part) -> bool | None:
    total = total_of(reading)
    known = [reading.facts.count(str(reading.asked.get("label_set")), key) for key in kinds_asked(reading)]
    true = total if reading.choice is not None and reading.choice.of == "count_total" else known[0] if known else None
    said = {number for _, number in part.numbers} or {0.0 for _ in part.stray[:1]}
    return None if true is None or len(said) != 1 else said == {float(true)}


def _is_grade(reading: Reading, part: Part, option: str) -> bool | None:
    key = concept_key(str(reading.asked.get("concept")))
    grades = reading.facts.grades.get(key, [])
    if not grades:
        return None
    spoken = {m.key for mention in part.mentions for m in mention.meanings if m.kind == VALUE and m.of == key}
    said = next(iter(spoken)) if len(spoken) == 1 else " ".join(stems(option))
    numbers = {number for _, number in part.numbers}
    held = [
        said in {" ".join(stems(word)) for word in (grade.text, grade.label) if word} or grade.value in numbers
        for grade in grades
    ]
    return held[0] if len(set(held)) == 1 else None


def _is_measure(reading: Reading, part: Part) -> bool | None:
    if len(part.quantities) != 1:
        return None
    measures = measures_asked(reading)
    return any(measured_as(part, part.quantities[0], measure) for measure in measures) if measures else None
