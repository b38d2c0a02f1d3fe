"""A hedge where the source is sure, certainty where it is not."""

import re
from collections.abc import Iterator, Mapping

from bench.verify.facts import Facts
from bench.verify.invented import spoken
from bench.verify.mutators import Change, Make
from bench.verify.rows import Draw, Row
from bench.verify.texts import capital, has_hedge, has_negation, mentions, phrases, sentences, spans
from curate.schema import State

__all__ = ["KINDS"]

FIRM = {
    "en": (
        (r"\bpossible|\bprobable|\bsuspected|\bquestionable|\bpresumed|\bpotential|\blikely", "definite"),
        (r"\b(?:may|might|could) (?:be|represent|reflect|indicate)\b", "is definitely"),
        (r"\b(?:may|might|could) have\b", "definitely has"),
        (r"\bis (?:possible|suspected|likely|probable|questionable)\b", "is certain"),
        (r"\b(?:is|are) (?:equivocal|indeterminate|uncertain|inconclusive) for\b", "is diagnostic of"),
        (r"\bcannot be (?:excluded|ruled out)\b", "is proven"),
        (r"\bpossibly|\bprobably|\bpresumably|\bperhaps|\bmaybe", "definitely"),
        (r"\b(?:raises? the (?:possibility|question|suspicion)|is suspicious|is concerning) (?:of|for)\b", "proves"),
        (r"\bsuggests?\b|\bsuggestive of\b", "proves"),
    ),
    "zh": (
        (r"可疑|疑似|疑为|可能(?:为|存在|有|是)?|或为", "明确为"),
        (r"(?:首先|倾向)?考虑(?:为)?", "确诊为"),
        (r"不能(?:完全)?(?:排除|除外)|不除外|待排(?:除)?|待除外", "已明确证实"),
        (r"提示", "证实"),
    ),
}  # fmt: skip


def hedge_dropped(row: Row, facts: Facts, draw: Draw) -> Iterator[Change]:
    """The only hedge of a text about an uncertain finding made firm."""
    unsure = [concept for concept in facts.having(State.UNCERTAIN) if mentions(row.answer, concept, row.language)]
    if not unsure and row.asks.get("concept") not in facts.having(State.UNCERTAIN):
        return
    for pattern, other in FIRM[row.language]:
        changed, times = re.subn(pattern, other, row.answer, flags=re.IGNORECASE)
        rest = re.sub(pattern, "", row.answer, flags=re.IGNORECASE)
        if times and not has_hedge(rest, row.language) and not has_negation(rest, row.language):
            yield Change("the source is not sure of it", answer=capital(changed))


def uncertain_as_certain(row: Row, facts: Facts, draw: Draw) -> Iterator[Change]:
    """A whole new answer that is sure, either way, of what the source is not."""
    concept = row.asks.get("concept")
    if row.asks["ask"] != "presence" or facts.states.get(str(concept)) is not State.UNCERTAIN or len(row.assets) != 1:
        return
    name = spoken(str(concept), row.language)
    if name is None:
        return
    pool = phrases("certain", row.language, name)
    for answer in draw.some("words", pool, 3):
        yield Change(f"the source is not sure of {concept}", answer=answer)


def hedge_added(row: Row, facts: Facts, draw: Draw) -> Iterator[Change]:
    """A hedge before the name of a finding of which the source is sure."""
    if row.asks["ask"] == "source" or has_hedge(row.answer, row.language):
        return
    parts = sentences(row.answer, row.language)
    for concept in facts.having(State.PRESENT):
        for place, part in enumerate(parts):
            found = next(spans(part, concept, row.language), None)
            if found is None or has_negation(part, row.language):
                continue
            hedged = draw.pick(concept, _hedged(part, found, row.language))
            changed = "".join([*parts[:place], hedged, *parts[place + 1 :]])
            yield Change(f"the source is sure of {concept}", answer=changed)
            break


def _hedged(part: str, found: tuple[int, int], language: str) -> list[str]:
    before, name, after = part[: found[0]], part[found[0] : found[1]], part[found[1] :]
    if language == "zh":
        return [before + word + name + after for word in ("疑似", "可能为", "可疑", "考虑为")] + [
            before + name + "可能" + after
        ]
    bare = re.sub(r"\b(an?|the|some) $", "", before, flags=re.IGNORECASE)
    ways = [f"{bare}{word} {name[:1].lower() + name[1:] if bare else name}{after}"
            for word in ("possible", "probable", "suspected", "questionable")]  # fmt: skip
    softened, times = re.subn(r"\b(is|are) (present|seen|visible)\b", r"may be \2", part)
    ways += [softened] * bool(times)
    softened, times = re.subn(r"\bthere (?:is|are)\b", "there may be", part, count=1, flags=re.IGNORECASE)
    ways += [softened] * bool(times)
    return [way if way[:1].isupper() or not part[:1].isupper() else capital(way) for way in ways]


def sure_as_unsure(row: Row, facts: Facts, draw: Draw) -> Iterator[Change]:
    """A whole new answer that leaves open what the source states."""
    concept = row.asks.get("concept")
    state = facts.states.get(str(concept))
    if row.asks["ask"] != "presence" or state not in (State.PRESENT, State.ABSENT) or len(row.assets) != 1:
        return
    name = spoken(str(concept), row.language)
    if name is None:
        return
    pool = phrases("unsure", row.language, name)
    for answer in draw.some("words", pool, 2):
        yield Change(f"the source states that {concept} is {state}", answer=answer)


KINDS: Mapping[str, Make] = {
    "hedge_dropped": hedge_dropped,
    "uncertain_as_certain": uncertain_as_certain,
    "hedge_added": hedge_added,
    "sure_as_unsure": sure_as_unsure,
}
