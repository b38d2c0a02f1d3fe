"""One draft as its rules see it: what was asked, what the text says, and what its source says."""

import functools
import operator
import re
from collections.abc import Callable, Mapping
from typing import Any, Final

import msgspec

from curate.rows import Annotation, Asset, Draft
from curate.schema import Origin, State
from curate.verify import english
from curate.verify.choices import Choice, choice_of
from curate.verify.definitions import without_definition
from curate.verify.enumeration import without_item_numbers
from curate.verify.facts import Facts, collect
from curate.verify.knowledge import Told, without_knowledge
from curate.verify.lexicon import CONCEPT, Index, Mention, concept_key
from curate.verify.part import SIDES, Claim, Part, Size, with_derived
from curate.verify.referring import Referred, referred_in
from curate.verify.text import normal
from curate.vocabulary import Vocabulary

__all__ = ["SIDES", "Claim", "Part", "Reader", "Reading", "Size", "is_closed_form", "words_of"]

_BRACKETED: Final = re.compile(r"\[[^\[\]]*\]")
_NUMERIC: Final = re.compile(r"\[\s*-?\d+(?:\.\d+)?(?:\s*,\s*-?\d+(?:\.\d+)?)*\s*\]")
_NUMBERS: Final = re.compile(r"-?\d+(?:\.\d+)?")
_LISTS: Final = re.compile(r"\[[\s\d,.\[\]-]*\]")
_IMAGE: Final = "<image>"
_CLOSED: Final = frozenset({"presence", "attribute_is", "compare"})
"""Questions that a yes or no may answer."""
_NAMING: Final = frozenset({"class", "findings"})
"""Questions that may be put so that yes or no answers them: `is it benign`."""
_CLOSED_FORM: Final = re.compile(
    r"\W*(?:is|are|was|were|do|does|did|has|have|had|can|could|would|will|should|isn't|aren't|doesn't|any|anything)\b"
    r"|(?![\s\S]*(?:哪|什么|何|几|多少))\s*[^。！\n]*"
    r"(?:(?:吗|么|没有|与否)\s*[？?]\s*$|是否|有无|有没有|是不是|能否|可否)",
    re.IGNORECASE,
)


def is_closed_form(question: str) -> bool:
    """True for a question that begins like one that yes or no answers."""
    return _CLOSED_FORM.match(question) is not None


_ANY: Final = re.compile(r"\W*(?:(?:is|was) there )?any", re.IGNORECASE)
_NOTHING: Final = re.compile(r"\s*(?:nothing|none)(?: at all)?(?: does| is| has)?\s*[,.;:–—-]+", re.IGNORECASE)
"""The beginning of an answer that says no to a question for anything: `Anything wrong? Nothing: ...`."""
_WRONG: Final = re.compile(r"\b(?:wrong|incorrect|mistaken|false|untrue|a mistake|an error)\b", re.IGNORECASE)
_IS_WRONG: Final = re.compile(
    r"(?:that|it|this)(?: is|'s| would be) "
    r"(?:wrong|incorrect|mistaken|false|untrue|a mistake|an error)\s*[,.;:–—-]+\s*",
    re.IGNORECASE,
)
_NEITHER: Final = re.compile(
    r"\s*neither(?: (?:of (?:them|these|those|the two)|one))?(?: is| are| does)?\s*(?:[,.;:–—-]+|$)", re.IGNORECASE
)
_REMEMBERED: Final = 512
"""Facts of so many groups of assets are kept: the drafts of one image need not stand together."""


class Reading(msgspec.Struct, frozen=True, gc=False):
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
    free: bool  # a model wrote it: held to more than what a reviewed template is
    chinese: bool
    prose: tuple[str, str]  # question and answer as they stand, without image tokens and lists of numbers
    choice: Choice | None = None  # the options of a question that offers some
    referred: Referred | None = None  # by what a text singles out an object; its words are no part of the others

    told_in_general: Told | None = None  # reviewed sentences about classes; no part of the others
    defined: bool | None = None  # whether the definition in a question is the reviewed one of its concept

    @property
    def topic(self) -> str:
        """What kind of question was put, be it with options or without."""
        return self.ask if self.choice is None else self.choice.of


class Reader:
    """Reads drafts; remembers the last draft, because rules ask one after another, and the facts of assets."""

    def __init__(self, vocabulary: Vocabulary) -> None:
        self._vocabulary = vocabulary
        self._last: tuple[Draft, tuple[Annotation, ...], Reading] | None = None
        self._facts: dict[tuple[str, ...], tuple[tuple[Asset, ...], tuple[Annotation, ...], Facts]] = {}

    def read(self, draft: Draft, assets: tuple[Asset, ...], annotations: tuple[Annotation, ...]) -> Reading:
        """The reading of a draft."""
        last = self._last
        if last is not None and last[0] is draft and last[1] is annotations:
            return last[2]
        reading = self._read(draft, self._facts_of(assets, annotations))
        self._last = (draft, annotations, reading)
        return reading

    def _facts_of(self, assets: tuple[Asset, ...], annotations: tuple[Annotation, ...]) -> Facts:
        key = tuple([asset.asset_id for asset in assets])
        known = self._facts.get(key)
        if known is not None and _same(known[0], assets) and _same(known[1], annotations):
            return known[2]
        if len(self._facts) >= _REMEMBERED:
            self._facts.clear()
        facts = collect(assets, annotations, self._vocabulary)
        self._facts[key] = (assets, annotations, facts)
        return facts

    def _read(self, draft: Draft, facts: Facts) -> Reading:
        asked = _constraints(draft)
        question = "\n".join(message.content for message in draft.messages if message.role == "user").replace(
            _IMAGE, " "
        )
        answer = "\n".join(message.content for message in draft.messages if message.role != "user")
        ask = str(asked.get("ask", ""))
        own = tuple(facts.annotations[i] for i in draft.annotation_ids if i in facts.annotations)
        verbatim = draft.origin is Origin.SOURCE or ask == "source"
        in_chinese = draft.language == "zh"
        indexes = None if verbatim else facts.indexes
        told_in_general: Told | None = None
        if not verbatim and not in_chinese:
            question, answer, told_in_general = without_knowledge(asked, question, answer)
        prose = (_prose(question), _prose(answer))
        question, defined = (question, None) if verbatim else without_definition(asked, question)
        referred = None if verbatim or in_chinese else referred_in(ask, question, answer)
        if referred is not None:
            ask, question, answer = referred.ask, referred.question, referred.answer
        choice = choice_of(asked, question, answer, translated=in_chinese) if ask == "choice" and not verbatim else None
        if choice is not None:
            question, answer = choice.question, choice.answer
        else:
            answer = answer if verbatim else without_item_numbers(answer)
        yes, start = None, 0
        if (
            ask in _CLOSED
            or (ask in _NAMING and _CLOSED_FORM.match(question))
            or (choice is not None and choice.of in _CLOSED)
        ):
            yes, start = _opening(answer, in_chinese)
            if yes and not in_chinese and _WRONG.search(question) and (echo := _IS_WRONG.match(answer, start)):
                start = echo.end()
            if yes is None and not in_chinese and (nothing := _NOTHING.match(answer)) and _ANY.match(question):
                yes, start = False, nothing.end()
            elif yes is None and not in_chinese and ask in _NAMING and (neither := _NEITHER.match(answer)):
                yes, start = False, neither.end()
        told = _part(answer[start:], indexes, in_chinese)
        changes = ask == "compare" and any(map(told.cued, ("same", "more", "less", "new", "gone")))
        if yes is None and told.ellipses and not changes:
            yes = told.ellipses[0] is State.PRESENT if told.ellipses[0] is not State.UNCERTAIN else None
        asking = _part(question, indexes, in_chinese)
        if ask in _NAMING and yes is False:
            told = _denied(asking, told, facts)
        return Reading(
            draft=draft,
            facts=facts,
            asked=asked,
            question=asking,
            answer=told,
            yes=yes,
            own=own,
            own_keys=frozenset({concept_key(annotation.concept) for annotation in own if annotation.concept}),
            ask=ask,
            verbatim=verbatim,
            free=draft.origin is Origin.LLM,
            chinese=in_chinese,
            prose=prose,
            choice=choice,
            referred=referred,
            defined=defined,
            told_in_general=told_in_general,
        )


def _denied(question: Part, answer: Part, facts: Facts) -> Part:
    """An answer that says no and names no finding, as a denial of those that its question names: `neither is seen`."""
    if answer.concepts:
        return answer
    asked = tuple(
        Claim(claim.mention, State.ABSENT)
        for claim in question.claims
        if (key := claim.mention.key(CONCEPT)) is not None and facts.state(key) is not None
    )
    if not asked:
        return answer
    end = len(answer.tokens)
    said = tuple(Claim(Mention(end, end, claim.mention.meanings), claim.state) for claim in asked)
    mentions = tuple(claim.mention for claim in said)
    return with_derived(
        msgspec.structs.replace(
            answer,
            mentions=(*answer.mentions, *mentions),
            claims=(*answer.claims, *said),
            concepts=frozenset(key for mention in mentions if (key := mention.key(CONCEPT)) is not None),
            bare=(),
            stray=tuple(state for state in answer.stray if state is not State.ABSENT),
            ellipses=tuple(state for state in answer.ellipses if state is not State.ABSENT),
        )
    )


def _same(one: tuple[object, ...], other: tuple[object, ...]) -> bool:
    """True for the very same objects: rows are never changed."""
    return one is other or (len(one) == len(other) and all(map(operator.is_, one, other)))


def _constraints(draft: Draft) -> Mapping[str, Any]:
    try:
        raw = msgspec.json.decode(draft.constraints)
    except msgspec.DecodeError:
        return {}
    return raw if isinstance(raw, dict) else {}


@functools.cache
def _empty() -> Part:
    return english.words("", ())


@functools.lru_cache(maxsize=16384)
def _part(text: str, indexes: tuple[Index, ...] | None, in_chinese: bool) -> Part:
    """The part of a text; without indexes nothing but the text, for what a person wrote no rule looks further."""
    if indexes is None:
        return msgspec.structs.replace(_empty(), text=text, normal=normal(text))
    words = _words_of(in_chinese)
    if "[" not in text:
        return with_derived(words(text, indexes))
    lists = tuple(tuple(map(float, _NUMBERS.findall(found))) for found in _NUMERIC.findall(text))
    return msgspec.structs.replace(with_derived(words(_BRACKETED.sub(_blank, text), indexes)), text=text, lists=lists)


def _prose(text: str) -> str:
    return _LISTS.sub(" ", text) if "[" in text else text


def _words_of(in_chinese: bool) -> Callable[[str, tuple[Index, ...]], Part]:
    if not in_chinese:
        return english.words
    from curate.verify import chinese

    return chinese.words


def _opening(answer: str, in_chinese: bool) -> tuple[bool | None, int]:
    if not in_chinese:
        return english.opening(answer)
    from curate.verify import chinese

    return chinese.closed_answer(answer)


def _blank(found: re.Match[str]) -> str:
    """Coordinates leave the sentence; another bracket stays."""
    return " " if _NUMERIC.fullmatch(found[0]) else found[0]


def words_of(reading: Reading, text: str) -> Part:
    """A further text as its draft's are read: an option of a choice."""
    return _part(text, None if reading.verbatim else reading.facts.indexes, reading.chinese)
