"""One draft as its rules see it: what was asked, what the text mentions, and what it claims with which polarity."""

import functools
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import msgspec

from curate.rows import Annotation, Asset, Draft
from curate.schema import Origin, State
from curate.verify.facts import Facts, collect
from curate.verify.lexicon import CONCEPT, Index, Mention, concept_key, cues, find_cues, mentions, plain_stems
from curate.verify.text import COMMA, NUMBER, STOP, WORD, Token, normal, tokenise
from curate.vocabulary import Vocabulary

__all__ = ["SIDES", "Claim", "Part", "Reader", "Reading", "Size"]

_BRACKETED: Final = re.compile(r"\[[^\[\]]*\]")
_NUMERIC: Final = re.compile(r"\[\s*-?\d+(?:\.\d+)?(?:\s*,\s*-?\d+(?:\.\d+)?)*\s*\]")
_YES_NO: Final = re.compile(r"\s*(yes|no)\b\s*[,.;:!]*", re.IGNORECASE)
_NUMBERS: Final = re.compile(r"-?\d+(?:\.\d+)?")
_SIZE: Final = re.compile(
    r"(?P<w>\d+) (?:pixels )?wide and (?P<h>\d+) (?:pixels )?high|(?P<w2>\d+) ?[x×] ?(?P<h2>\d+)(?= (?:pixels?|image))"
)
_ONE_OF: Final = ("of", "such", "another")
"""`one of`, `one such` and `one another` count nothing."""
_SPEAKING_CUES: Final = ("before", "around", "hedges", "contrast", "verbs", "complete")
_PLAIN_SIDES: Final = frozenset({"left", "right", "bilateral"})
SIDES: Final = {
    "left": "left", "leftsided": "left", "lefthand": "left", "sinistral": "left",
    "right": "right", "rightsided": "right", "righthand": "right", "dextral": "right",
    "bilateral": "bilateral", "bilaterally": "bilateral", "unilateral": "unilateral",
    "contralateral": "contralateral", "ipsilateral": "ipsilateral",
}  # fmt: skip
"""Words for sides: the side that they name."""
_IMAGE: Final = "<image>"
_ADVERBS: Final = frozenset({"not", "clearly", "also", "therefore", "definitely", "never"})
_FILLERS: Final = frozenset({"a", "an", "the", "in", "by", "as", "view", "this", "made", "taken"})


@dataclass(frozen=True, slots=True)
class Claim:
    """A mention and what the text says of it."""

    mention: Mention
    state: State


@dataclass(frozen=True, slots=True)
class Size:
    """The size of an image as a text states it, and where."""

    start: int
    end: int
    width: int
    height: int


class Part(msgspec.Struct, frozen=True):
    """A question or an answer: its tokens without coordinates, its mentions, claims and lists of numbers.

    All but `text` and `lists` depend on the words and the known terms alone, and so does what the rules ask of every
    text: it is worked out once where texts repeat, see `_words`.
    """

    text: str
    tokens: tuple[Token, ...]
    mentions: tuple[Mention, ...]
    claims: tuple[Claim, ...]
    covered: frozenset[int]
    cues: Mapping[str, list[tuple[int, int]]]
    lists: tuple[tuple[float, ...], ...]
    concepts: frozenset[str]  # keys of the concepts that it mentions
    numbers: tuple[tuple[int, float], ...]  # in digits or words and no part of a name, with the place of their token
    sizes: tuple[Size, ...]
    sides: tuple[tuple[int, str], ...]  # side words that are no part of a name, with the place of their token
    strange: tuple[str, ...]  # words that are in no term, no cue and not plain
    normal: str  # words and numbers in small letters, without marks


class Reading(msgspec.Struct, frozen=True):
    """One draft, read."""

    draft: Draft
    facts: Facts
    asked: Mapping[str, Any]
    question: Part
    answer: Part
    yes: bool | None  # what a closed answer begins with
    own: tuple[Annotation, ...]
    own_keys: frozenset[str]  # concepts that the draft rests on
    ask: str  # what kind of question was put
    verbatim: bool  # a person wrote the text: the rules for renderings do not speak of it


class Reader:
    """Reads drafts; remembers the last draft and the facts of the last assets, because rules ask one after another."""

    def __init__(self, vocabulary: Vocabulary) -> None:
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
        verbatim = draft.origin is Origin.SOURCE or ask == "source"
        indexes = None if verbatim else facts.indexes
        return Reading(
            draft=draft,
            facts=facts,
            asked=asked,
            question=_part(question.replace(_IMAGE, " "), indexes),
            answer=_part(answer[closed.end() :] if closed else answer, indexes),
            yes=closed[1].lower() == "yes" if closed else None,
            own=own,
            own_keys=frozenset({concept_key(annotation.concept) for annotation in own if annotation.concept}),
            ask=ask,
            verbatim=verbatim,
        )


def _constraints(draft: Draft) -> Mapping[str, Any]:
    try:
        raw = msgspec.json.decode(draft.constraints)
    except msgspec.DecodeError:
        return {}
    return raw if isinstance(raw, dict) else {}


def _part(text: str, indexes: tuple[Index, ...] | None) -> Part:
    """The part of a text; without indexes nothing but the text, for what a person wrote no rule looks further."""
    if indexes is None:
        return msgspec.structs.replace(_words("", ()), text=text, normal=normal(text))
    if "[" not in text:
        return _words(text, indexes)
    lists = tuple(tuple(map(float, _NUMBERS.findall(found))) for found in _NUMERIC.findall(text))
    return msgspec.structs.replace(_words(_BRACKETED.sub(_blank, text), indexes), text=text, lists=lists)


@functools.lru_cache(maxsize=8192)
def _words(text: str, indexes: tuple[Index, ...]) -> Part:
    """A part without lists of numbers. Texts repeat, those of templates from image to image and those of a model at
    least from rule to rule."""
    tokens = tokenise(text)
    found = mentions(tokens, indexes)
    covered = frozenset(place for mention in found for place in range(mention.start, mention.end))
    spans = find_cues(tokens, covered)
    return Part(
        text=text,
        tokens=tokens,
        mentions=found,
        claims=_claims(tokens, found, spans),
        covered=covered,
        cues=spans,
        lists=(),
        concepts=frozenset(key for mention in found if (key := mention.key(CONCEPT)) is not None),
        numbers=tuple(_numbers(tokens, covered)),
        sizes=tuple(_sizes(text)),
        sides=tuple(_sides(tokens, covered)),
        strange=tuple(_strange(tokens, covered, spans)),
        normal=normal(text),
    )


def _numbers(tokens: Sequence[Token], covered: frozenset[int]) -> Iterator[tuple[int, float]]:
    words = cues().numbers
    for place, token in enumerate(tokens):
        if place in covered:
            continue
        if token.kind == NUMBER:
            yield place, float(token.raw)
        elif token.kind == WORD and token.low in words:
            following = tokens[place + 1].low if place + 1 < len(tokens) else ""
            if not (token.low == "one" and following in _ONE_OF):
                yield place, float(words[token.low])


def _sizes(text: str) -> Iterator[Size]:
    for found in _SIZE.finditer(text):
        yield Size(*found.span(), int(found["w"] or found["w2"]), int(found["h"] or found["h2"]))


def _strange(
    tokens: Sequence[Token], covered: frozenset[int], spans: Mapping[str, list[tuple[int, int]]]
) -> Iterator[str]:
    cued = {place for kind in _SPEAKING_CUES for start, end in spans[kind] for place in range(start, end)}
    known, numbers = plain_stems(), cues().numbers
    for place, token in enumerate(tokens):
        if token.kind != WORD or place in covered or place in cued:
            continue
        if token.stem not in known and token.low not in numbers and token.low not in _PLAIN_SIDES:
            yield token.raw


def _sides(tokens: Sequence[Token], covered: frozenset[int]) -> Iterator[tuple[int, str]]:
    for place, token in enumerate(tokens):
        word = token.low
        if word == "both" and any(t.low.startswith("side") for t in tokens[place : place + 3]):
            word = "bilateral"
        if word in SIDES and place not in covered:
            yield place, SIDES[word]


def _blank(found: re.Match[str]) -> str:
    """Coordinates leave the sentence; another bracket stays."""
    return " " if _NUMERIC.fullmatch(found[0]) else found[0]


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
    starts = frozenset(start for start, _ in spans["before"])
    for start, end in spans["before"]:
        if start in hedged:
            continue
        for mention in _after(end, found, tokens, clauses, starts):
            turned[mention.start] += 1
    for start, end in spans["around"]:
        if start in hedged:
            continue
        concepts = [mention for mention in found if mention.key(CONCEPT)]
        governed = _before(start, concepts, tokens, clauses) or _after(end, found, tokens, clauses, starts)
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


def _after(
    place: int, found: Sequence[Mention], tokens: Sequence[Token], clauses: Sequence[int], cued: frozenset[int]
) -> list[Mention]:
    """The mentions that a cue governs to its right: up to the end of the clause, or a new statement after a verb.

    A further cue behind a governed mention (`cued`: where cues begin) takes over: `no leukocytes and no platelets` and
    `neither leukocytes nor platelets` deny each once.
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
        if governed and not cued.isdisjoint(range(governed[-1].end, mention.start)):
            break
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
