"""Yes for no, a negation put in, taken out or broken. A simple sentence is true, so its negation is false."""

import re
from collections.abc import Callable, Iterator, Mapping

from bench.verify.facts import Facts
from bench.verify.invented import spoken
from bench.verify.mutators import Change, Make
from bench.verify.rows import Draw, Row
from bench.verify.texts import NEGATION, has_hedge, has_negation, phrases, sentences
from curate.schema import State

__all__ = ["KINDS"]

YES_NO = {
    "en": (
        (re.compile(r"^(yes|yeah|yep|correct|true)\b", re.I), "No"),
        (re.compile(r"^(no|nope|incorrect|false)\b(?=[,.;:!]|$)", re.I), "Yes"),
    ),
    "zh": (
        (re.compile(r"^(是的|是|有的|有|对的|对|存在)(?=[，。,；！]|$)"), "没有"),
        (re.compile(r"^(没有|不是|否|无|不|未见)(?=[，。,；！]|$)"), "是的"),
    ),
}
NEGATED_QUESTION = {
    "en": re.compile(r"\b(no|not|none|never)\b|n't", re.I),
    "zh": re.compile(r"没有|无|未|不|排除|除外"),
}

NEGATE = {
    "en": (
        (r"\bthere is (?:an? |one |some )?(?!no\b)", "there is no "),
        (r"\bthere are (?:some |two |three |four |five |several |multiple |\d+ )?(?!no\b)", "there are no "),
        (r"\b(shows?|contains?|reveals?|demonstrates?|depicts?) (?:a |an |some )?(?!no\b)", r"\1 no "),
        (r"\b(is|are) (seen|visible|present|noted|identified|demonstrated|evident|found)\b", r"\1 not \2"),
        (r"\bcan be (seen|identified|recogni[sz]ed|appreciated)\b", r"cannot be \1"),
        (r"\b(is|are|was|were) (classified|labell?ed|made|taken|acquired|obtained)\b", r"\1 not \2"),
        (r"\b(is|are) (enlarged|marked|shown)\b", r"\1 not \2"),
        (r"\b(has|have) (?!been\b)(?:a |an )?", r"\1 no "),
    ),
    "zh": (
        (r"可见", "未见"),
        (r"(?<![未所可])见(?![未于])", "未见"),
        (r"(?<![没未])显示(?:有|出)?", "未显示"),
        (r"存在", "不存在"),
        (r"(?<![没具])有(?!关|所)", "没有"),
        (r"(?<![不但])是(?!否)", "不是"),
    ),
}  # fmt: skip
"""What turns a sentence that holds neither negation nor hedge; the first that fits does."""

UNNEGATE = {
    "en": (
        (r"\bno (?:evidence|sign|signs|indication|trace|suggestion) of\b", "clear evidence of"),
        (r"\bthere is no\b", "there is a"),
        (r"\bthere are no\b", "there are"),
        (r"\bwithout (?:any |evidence of |a |an )?", "with "),
        (r"\b(is|are|was|were) not\b", r"\1"),
        (r"\bcannot be (seen|identified|recogni[sz]ed)\b", r"can be \1"),
        (r"\b(?:does|do) not (show|contain|reveal|demonstrate|have)\b", r"does \1"),
        (r"\b(shows?|contains?|reveals?|demonstrates?|has|have|with) no\b", r"\1"),
        (r"\bfree of\b", "full of"),
        (r"\babsent\b", "present"),
        (r"\bno (?=[a-z])", ""),
        (r"\bnegative for\b", "positive for"),
    ),
    "zh": (
        (r"未见(?:明显|明确|到)?", "可见"),
        (r"没有", "有"),
        (r"未(显示|发现|检出|探及|提示)", r"\1"),
        (r"不存在", "存在"),
        (r"不是", "是"),
        (r"(?<![有])无(?!回声|名)", "有"),
        (r"阴性", "阳性"),
    ),
}  # fmt: skip

DOUBLE = {
    "en": (
        (r"\b(?:cannot|can not|can't|could not|couldn't) be (\w+ly )?(excluded|ruled out|dismissed)\b", r"can be \1\2"),
        (r"\b(is|are|was|were) not (excluded|ruled out)\b", r"\1 \2"),
        (r"\bnot been (excluded|ruled out)\b", r"been \1"),
        (r"\b(does|do) not (exclude|rule out)\b", r"excludes"),
        (r"\bcannot (exclude|rule out|dismiss)\b", r"can \1"),
        (r"\bnot (without|free of|devoid of|lacking)\b", r"\1"),
        (r"\bnot (absent|negative|normal|unremarkable|clear)\b", r"\1"),
        (r"\bno longer (in doubt|doubtful|uncertain)\b", r"still \1"),
        (r"\bno doubt (about|that|as to)\b", r"much doubt \1"),
        (r"\b(without|beyond) (?:a )?doubt\b", "doubtfully"),
    ),
    "zh": (
        (r"不能(完全)?(?:排除|除外)", "可以排除"),
        (r"不除外", "可除外"),
        (r"(?:无法|难以|尚不能|未能)(完全)?(?:排除|除外)", "已排除"),
        (r"并非没有|不是没有|并非无", "没有"),
        (r"毫无疑问|无疑", "存疑"),
        (r"并非正常|不正常", "正常"),
    ),
}  # fmt: skip


def yes_no_flipped(row: Row, facts: Facts, draw: Draw) -> Iterator[Change]:
    """The first word turned round; what stands behind it stays, or goes with it."""
    if NEGATED_QUESTION[row.language].search(row.question):
        return
    for pattern, other in YES_NO[row.language]:
        match = pattern.match(row.answer)
        if match is None:
            continue
        why = f"the question is closed and {match.group()} is true"
        stop = "." if row.language == "en" else "。"
        if match.end() == len(row.answer.rstrip(".。!！ ")):
            yield Change(why, answer=other + row.answer[match.end() :])
        else:
            yield Change(why, answer=other + stop)
            yield Change(why + "; the text behind it contradicts it", answer=other + row.answer[match.end() :])


def stated_against(row: Row, facts: Facts, draw: Draw) -> Iterator[Change]:
    """A whole new answer that says the opposite of a state that the source states."""
    asks = row.asks
    if asks["ask"] != "presence" or len(row.assets) != 1:
        return
    state, name = facts.states.get(asks["concept"]), spoken(asks["concept"], row.language)
    if name is None or state not in (State.PRESENT, State.ABSENT):
        return
    if NEGATED_QUESTION[row.language].search(row.question):
        return
    why = f"{asks['concept']} is {state}"
    pool = phrases("denied" if state is State.PRESENT else "claimed", row.language, name)
    for answer in draw.some("words", pool, 2):
        yield Change(why, answer=answer)


def _changed(
    row: Row, patterns: tuple[tuple[str, str], ...], fits: Callable[[str, str], bool]
) -> Iterator[tuple[str, str]]:
    """Each sentence that fits, with the first pattern that it holds replaced: the whole text and the sentence."""
    parts = sentences(row.answer, row.language)
    for place, part in enumerate(parts):
        if not fits(part, row.language):
            continue
        for pattern, other in patterns:
            changed, times = re.subn(pattern, other, part, count=1, flags=re.IGNORECASE)
            if times:
                changed = re.sub(r"^(\W*)([a-z])", lambda found: found[1] + found[2].upper(), changed)
                yield "".join([*parts[:place], changed, *parts[place + 1 :]]), part
                break


def _plain(sentence: str, language: str) -> bool:
    several = re.search(r"\bbut\b|\bwhile\b|\bexcept\b|\balthough\b|但|而|除", sentence)
    return not has_negation(sentence, language) and not has_hedge(sentence, language) and several is None


def _negated_once(sentence: str, language: str) -> bool:
    # A "No," in front answers the question; the clause behind it is what is turned.
    body = re.sub(r"^(no|没有|不是|否|无)[,，]", "", sentence, flags=re.IGNORECASE)
    several = re.search(r"\bbut\b|\bwhile\b|\bexcept\b|\bother than\b|\bapart from\b|但|而|除", body)
    return len(NEGATION[language].findall(body)) == 1 and not has_hedge(body, language) and several is None


def negated(row: Row, facts: Facts, draw: Draw) -> Iterator[Change]:
    """A negation put into a sentence that has none."""
    if row.asks["ask"] in ("source", "measure"):
        return
    for text, _ in _changed(row, NEGATE[row.language], _plain):
        yield Change("the sentence is true without the negation", answer=text)


def negation_dropped(row: Row, facts: Facts, draw: Draw) -> Iterator[Change]:
    """The one negation of a sentence taken out."""
    if row.asks["ask"] == "source":
        return
    for text, part in _changed(row, UNNEGATE[row.language], _negated_once):
        if re.search(r"\bno (?:significant|acute|definite|obvious)", part):
            continue
        yield Change("the sentence is true with its only negation", answer=text)


def double_negation_broken(row: Row, facts: Facts, draw: Draw) -> Iterator[Change]:
    """One half of a double negation taken out: what could not be excluded now is."""
    for pattern, other in DOUBLE[row.language]:
        changed, times = re.subn(pattern, other, row.answer, count=1, flags=re.IGNORECASE)
        if times:
            yield Change("the sentence is true with both negations", answer=changed)


LISTS = {
    "en": (
        (r"\b(no|without) ([^,.;]+?),? (?:or|nor|and) (?!no\b)", r"\1 \2, but "),
        (r"\bneither ([^,.;]+) nor ", r"\1 but not "),
        (r", (?:but|and) (?:not |no |without )(?:a |an |any )?", r" and "),
        (r"\b(no|without) ([^,.;]+?), (?!(?:no|and|or|but)\b)([^,.;]+?),? (?:or|and) ", r"\1 \2, but \3 and "),
    ),
    "zh": (
        (r"未见([^，。；、]+)[及或和与、]", r"未见\1，可见"),
        (r"无([^，。；、]+)[及或和与、]", r"无\1，有"),
        (r"，(?:但)?(?:未见|无|没有)", r"，并可见"),
        (r"既无([^，。；]+)[，]?也无", r"既有\1，也无"),
    ),
}  # fmt: skip


def list_negation_dropped(row: Row, facts: Facts, draw: Draw) -> Iterator[Change]:
    """In a list under one negation, the negation no longer reaches the later items, all of which are absent."""
    absent = facts.having(State.ABSENT)
    if len(absent) < 1 or len(row.assets) != 1:
        return
    parts = sentences(row.answer, row.language)
    for place, part in enumerate(parts):
        if has_hedge(part, row.language):
            continue
        for pattern, other in LISTS[row.language]:
            changed, times = re.subn(pattern, other, part, count=1, flags=re.IGNORECASE)
            # With a further negation in the sentence, the later items may still be denied.
            if times and len(NEGATION[row.language].findall(part)) <= 1 + part.lower().startswith("neither"):
                answer = "".join([*parts[:place], changed, *parts[place + 1 :]])
                yield Change("every item of the list is absent", answer=answer)


KINDS: Mapping[str, Make] = {
    "yes_no_flipped": yes_no_flipped,
    "stated_against": stated_against,
    "negated": negated,
    "negation_dropped": negation_dropped,
    "double_negation_broken": double_negation_broken,
    "list_negation_dropped": list_negation_dropped,
}
