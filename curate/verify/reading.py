"""One draft as its rules see it: what was asked, what the text mentions, and what it claims with which polarity."""

import functools
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import msgspec

from curate.rows import Annotation, Asset, Draft
from curate.schema import Origin, State
from curate.verify.facts import Facts, collect
from curate.verify.lexicon import CONCEPT, Mention, cues, find_cues, mentions
from curate.verify.text import COMMA, NUMBER, STOP, WORD, Token, tokenise

__all__ = ["Claim", "Part", "Reader", "Reading"]

_BRACKETED: Final = re.compile(r"\[[^\[\]]*\]")
_NUMERIC: Final = re.compile(r"\[\s*-?\d+(?:\.\d+)?(?:\s*,\s*-?\d+(?:\.\d+)?)*\s*\]")
_YES_NO: Final = re.compile(r"\s*(yes|no)\b\s*[,.;:!]*", re.IGNORECASE)
_IMAGE: Final = "<image>"
_ADVERBS: Final = frozenset({"not", "clearly", "also", "therefore", "definitely", "never"})
_FILLERS: Final = frozenset({"a", "an", "the", "in", "by", "as", "view", "this", "made", "taken"})


@dataclass(frozen=True, slots=True)
class Claim:
    """A mention and what the text says of it."""

    mention: Mention
    state: State


@dataclass(frozen=True, slots=True)
class Part:
    """A question or an answer: its tokens without coordinates, its mentions, claims and lists of numbers."""

    text: str
    tokens: tuple[Token, ...]
    mentions: tuple[Mention, ...]
    claims: tuple[Claim, ...]
    covered: frozenset[int]
    cues: Mapping[str, list[tuple[int, int]]]
    lists: tuple[tuple[float, ...], ...]

    def keys(self, kind: str) -> list[str]:
        """What it mentions, of one kind."""
        return [key for mention in self.mentions if (key := mention.key(kind)) is not None]


@dataclass(frozen=True, slots=True)
class Reading:
    """One draft, read."""

    draft: Draft
    facts: Facts
    asked: Mapping[str, Any]
    question: Part
    answer: Part
    yes: bool | None  # what a closed answer begins with
    own: tuple[Annotation, ...]
    ask: str  # what kind of question was put
    verbatim: bool  # a person wrote the text: the rules for renderings do not speak of it


class Reader:
    """Reads drafts; remembers the last draft and the facts of the last assets, because rules ask one after another."""

    def __init__(self, vocabulary: Mapping[str, tuple[str, ...]]) -> None:
        self._vocabulary = vocabulary
        self._last: tuple[Draft, tuple[Annotation, ...], Reading] | None = None
        self._facts: tuple[tuple[Asset, ...], tuple[Annotation, ...], Facts] | None = None

    def read(self, draft: Draft, assets: tuple[Asset, ...], annotations: tuple[Annotation, ...]) -> Reading:
        """The reading of a draft."""
        last = self._last
        if last is not None and last[0] is draft and last[1] is annotations:
            return last[2]
        reading = self._read(draft, self._facts_of(assets, annotations))
        self._last = (draft, annotations, reading)
        return reading

    def _facts_of(self, assets: tuple[Asset, ...], annotations: tuple[Annotation, ...]) -> Facts:
        last = self._facts
        if last is not None and last[1] is annotations and list(map(id, last[0])) == list(map(id, assets)):
            return last[2]
        facts = collect(assets, annotations, self._vocabulary)
        self._facts = (assets, annotations, facts)
        return facts

    def _read(self, draft: Draft, facts: Facts) -> Reading:
        asked = _constraints(draft)
        question = "\n".join(message.content for message in draft.messages if message.role == "user")
        answer = "\n".join(message.content for message in draft.messages if message.role != "user")
        ask = str(asked.get("ask", ""))
        closed = _YES_NO.match(answer) if ask in ("presence", "attribute_is") else None
        own = tuple(facts.annotations[i] for i in draft.annotation_ids if i in facts.annotations)
        return Reading(
            draft=draft,
            facts=facts,
            asked=asked,
            question=_part(question.replace(_IMAGE, " "), facts),
            answer=_part(answer[closed.end() :] if closed else answer, facts),
            yes=closed[1].lower() == "yes" if closed else None,
            own=own,
            ask=ask,
            verbatim=draft.origin is Origin.SOURCE or ask == "source",
        )


def _constraints(draft: Draft) -> Mapping[str, Any]:
    try:
        raw = msgspec.json.decode(draft.constraints)
    except msgspec.DecodeError:
        return {}
    return raw if isinstance(raw, dict) else {}


def _part(text: str, facts: Facts) -> Part:
    lists = tuple(
        tuple(float(number) for number in re.findall(r"-?\d+(?:\.\d+)?", found)) for found in _NUMERIC.findall(text)
    )
    tokens = tokenise(_BRACKETED.sub(_blank, text))
    found = mentions(tokens, facts.indexes)
    covered = frozenset(place for mention in found for place in range(mention.start, mention.end))
    spans = find_cues(tokens, covered)
    return Part(text, tokens, found, _claims(tokens, found, spans), covered, spans, lists)


def _blank(found: re.Match[str]) -> str:
    """Coordinates leave the sentence; another bracket stays."""
    return " " * len(found[0]) if _NUMERIC.fullmatch(found[0]) else found[0]


def _claims(
    tokens: Sequence[Token], found: Sequence[Mention], spans: Mapping[str, list[tuple[int, int]]]
) -> tuple[Claim, ...]:
    """What is said of each mention: present, absent, or uncertain, by the cues that govern it."""
    if not found:
        return ()
    clauses = _clauses(tokens, spans["contrast"])
    hedges = spans["hedges"]
    hedged = {place for start, end in hedges for place in range(start, end)}
    turned = {mention.start: 0 for mention in found}
    for start, end in spans["before"]:
        if start in hedged:
            continue
        for mention in _after(end, found, tokens, clauses):
            turned[mention.start] += 1
    for start, end in spans["around"]:
        if start in hedged:
            continue
        concepts = [mention for mention in found if mention.key(CONCEPT)]
        governed = _before(start, concepts, tokens, clauses) or _after(end, found, tokens, clauses)
        for mention in governed:
            turned[mention.start] += 1
    soft = {clauses[start] for start, _ in hedges}
    claims = []
    for mention in found:
        if clauses[mention.start] in soft and mention.key(CONCEPT):
            state = State.UNCERTAIN
        else:
            state = State.ABSENT if turned[mention.start] % 2 else State.PRESENT
        claims.append(Claim(mention, state))
    return tuple(claims)


def _clauses(tokens: Sequence[Token], contrast: Sequence[tuple[int, int]]) -> list[int]:
    """The number of each token's clause."""
    contrasts = {start for start, _ in contrast}
    numbers, clause = [], 0
    for place, token in enumerate(tokens):
        if token.kind == STOP or place in contrasts:
            clause += 1
        numbers.append(clause)
    return numbers


def _after(place: int, found: Sequence[Mention], tokens: Sequence[Token], clauses: Sequence[int]) -> list[Mention]:
    """The mentions that a cue governs to its right: up to the end of the clause, or a new statement after a verb.

    An attribute of the image is governed only where nothing stands between: `not a PA view`, but not `no platelets are
    seen in this CT image`.
    """
    governed: list[Mention] = []
    verb = False
    for mention in found:
        if mention.start < place:
            continue
        if clauses[mention.start] != clauses[place - 1]:
            break
        between = tokens[place : mention.start]
        verb = verb or any(_is_verb(token) for token in between)
        if governed and _begins_anew(tokens[governed[-1].end : mention.start], verb=verb):
            break
        if mention.key(CONCEPT) is None and (governed or any(t.kind == WORD and not _filler(t) for t in between)):
            continue
        governed.append(mention)
    return governed


def _begins_anew(between: Sequence[Token], *, verb: bool) -> bool:
    """True where a list that a cue governs ends: `no leukocytes and 4 platelets`, `no mass is seen and a cyst is`."""
    words = {token.low for token in between}
    if any(token.kind == NUMBER for token in between) or (words & {"a", "an"} and not words & {"or", "nor"}):
        return True
    return verb and ("and" in words or any(token.kind == COMMA for token in between))


def _before(place: int, found: Sequence[Mention], tokens: Sequence[Token], clauses: Sequence[int]) -> list[Mention]:
    """The mentions that are the subject of a cue's own verb: `platelets and leukocytes are not seen`."""
    own_verb = place
    while own_verb and (_is_verb(tokens[own_verb - 1]) or tokens[own_verb - 1].low in _ADVERBS):
        own_verb -= 1
    governed: list[Mention] = []
    for mention in reversed(found):
        if mention.end > own_verb:
            continue
        if clauses[mention.start] != clauses[place]:
            break
        if any(_is_verb(token) for token in tokens[mention.end : own_verb]):
            break
        governed.append(mention)
    return governed


def _is_verb(token: Token) -> bool:
    return token.low in _verbs()


@functools.cache
def _verbs() -> frozenset[str]:
    return frozenset(cues().verbs)


def _filler(token: Token) -> bool:
    return token.low in _FILLERS or _is_verb(token)
