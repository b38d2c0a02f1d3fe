"""What cues govern within the clauses of an English text: claims about mentions, and statements that name none."""

from collections.abc import Mapping, Sequence
from typing import Final

import msgspec

from curate.schema import State
from curate.verify.clauses import Clauses
from curate.verify.cue_words import POLARITY, cues
from curate.verify.lexicon import ATTRIBUTE, Mention
from curate.verify.likewise import is_number_of, likewise, only_repeats
from curate.verify.part import Claim
from curate.verify.statements import IMAGES, NOT, Text, bare, bare_and_stray, is_said, statements_of
from curate.verify.text import COMMA, NUMBER, STOP, WORD, Token

__all__ = ["Said", "read_claims"]

_ARTICLES: Final = frozenset({"a", "an", "the", "any", "evidence", "signs", "sign", "of", "for", "single", "one"})
_FILLERS: Final = frozenset({"a", "an", "the", "in", "by", "as", "view", "this", "made", "taken"})
_WITHIN: Final = frozenset(
    {
        "in",
        "within",
        "on",
        "at",
        "near",
        "inside",
        "behind",
        "with",
        "from",
        "by",
        "as",
        "along",
        "into",
        "upon",
        "to",
        "below",
        "above",
    }
)
_QUESTION_WORDS: Final = frozenset({"whether", "if", "raise", "query", "queried", "questioned"})
_THINGS: Final = frozenset({"object", "region"})
_ASKING: Final = frozenset({"anything", "something", "what", "what's", "is", "all"})
"""Before `wrong`, these ask what is abnormal."""
_SURE: Final = frozenset({"definite", "certain", "clear", "evident", "obvious", "established", "confirmed", "proven"})
"""Words that end a doubt: `possible metastases, definite ascites`."""
_CONDITIONS: Final = (["if", "any"], ["if", "present"])
_EVIDENCE: Final = frozenset(
    {"evidenc", "sign", "indication", "finding", "featur", "suggestion", "proof", "correlat", "appearanc"}
)
_LEADS_ON: Final = frozenset({"for", "of", "to", "at", "whether", "exclude", "out"})
"""Last words of a doubt that is about what follows: `equivocal for A`."""
_NEGATED_HEDGE: Final = 5
"""A denial at most so many tokens before a hedge denies it: `no finding suspicious for`."""
_SHORT: Final = 4
_EXCLUSION: Final = frozenset({"excluded", "exclude", "ruled", "rule", "dismissed", "discounted"})


class Said(msgspec.Struct, frozen=True):
    """The claims of a text, see the fields of `Part` of these names."""

    claims: tuple[Claim, ...]
    bare: tuple[State, ...]
    ellipses: tuple[State, ...]
    stray: tuple[State, ...]
    turned: bool
    statements: tuple[tuple[int, str | None, State], ...] = ()


def read_claims(
    tokens: Sequence[Token],
    found: Sequence[Mention],
    spans: Mapping[str, Sequence[tuple[int, int]]],
    clauses: Clauses,
) -> Said:
    """What a text says of each of its mentions: present, absent or uncertain, and what it says without naming any.

    What is not excluded is doubtful, unless the text goes on to say that it is there.
    """
    said = _read_claims(tokens, found, spans, clauses)
    doubted_first = said.stray[:1] == (State.UNCERTAIN,) and any(
        claim.state is State.PRESENT and is_said(claim.mention) for claim in said.claims
    )
    if (State.PRESENT in said.bare or doubted_first) and State.ABSENT not in said.bare:
        open_doubts = {
            span
            for kind in ("maybe", "maybe_after")
            for span in spans[kind]
            if any(token.low in _EXCLUSION for token in tokens[span[0] : span[1]])
        }
        if open_doubts:
            fewer = {kind: [span for span in group if span not in open_doubts] for kind, group in spans.items()}
            return _read_claims(tokens, found, fewer, clauses)
    return said


def _read_claims(
    tokens: Sequence[Token],
    found: Sequence[Mention],
    spans: Mapping[str, Sequence[tuple[int, int]]],
    clauses: Clauses,
) -> Said:
    cued = any(spans[kind] for kind in POLARITY)
    if not cued:
        plain = tuple(
            Claim(
                mention,
                State.ABSENT if _zero(tokens, mention) != mention.denies else State.PRESENT,
                _image(mention, spans, clauses),
            )
            for mention in found
        )
        text = Text(tokens, found, spans, clauses, frozenset())
        return Said(plain, *bare(text, {}, {}), (), _turned(text), tuple(statements_of(text, plain, ())))
    text = Text(tokens, found, spans, clauses, frozenset(start for start, _ in spans["before"]))
    turns: dict[int, int] = {}
    doubts: set[int] = set()
    stray: list[tuple[int, State]] = []
    _deny(text, turns, stray)
    denied = {start for kind in ("before", "around") for start, _ in spans[kind]}
    _doubt(text, denied, doubts, stray)
    claims = []
    for mention in found:
        if mention.start in doubts and is_said(mention):
            state = State.NOT_STATED if turns.get(mention.start) else State.UNCERTAIN
        else:
            turned = turns.get(mention.start, 0) + _zero(tokens, mention) + mention.denies
            state = State.ABSENT if turned % 2 else State.PRESENT
        claims.append(Claim(mention, state, _image(mention, spans, clauses)))
    claims = likewise(text, claims)
    statements = tuple(statements_of(text, claims, stray))
    return Said(tuple(claims), *bare_and_stray(text, stray), _turned(text), statements)


def _zero(tokens: Sequence[Token], mention: Mention) -> bool:
    """True behind a zero, also where the label is told as a class: `0 nodules`, `0 objects of class 4`."""
    start = mention.start - (tokens[max(mention.start - 1, 0)].low == "class")
    if start > 1 and tokens[start - 1].low == "of" and tokens[start - 2].stem in _THINGS:
        start -= 2
    return start > 0 and tokens[start - 1].raw == "0"


def _image(mention: Mention, spans: Mapping[str, Sequence[tuple[int, int]]], clauses: Clauses) -> int | None:
    """Which of two images the clause of a mention speaks of, where it speaks of one."""
    if not spans["earlier"] and not spans["later"]:
        return None
    clause = clauses.numbers[mention.start]
    named = {number for kind, number in IMAGES for start, _ in spans[kind] if clauses.numbers[start] == clause}
    return named.pop() if len(named) == 1 else None


def _deny(text: Text, turns: dict[int, int], stray: list[tuple[int, State]]) -> None:
    for start, end in text.spans["before"]:
        if _repeats_neither(text, start) or only_repeats(text, start):
            continue
        governed = _after(text, end) or _before_colon(text, start)
        if not governed and is_number_of(text, start):
            governed = _before(text, start)
        _turn(governed, turns, stray, start)
    for start, end in text.spans["around"]:
        if _heads_list(text, start, end):
            _turn(_listed(text, end), turns, stray, start)
            continue
        governed = _after(text, end) if _looks_ahead(text, start, end) else _before(text, start)
        _turn(governed or _before(text, start) or _after(text, end), turns, stray, start)


def _repeats_neither(text: Text, place: int) -> bool:
    """True for a `nor` that joins two subjects of one denial: `neither the first nor the second film shows A`."""
    tokens = text.tokens
    if tokens[place].low != "nor":
        return False
    first = next((at for at in range(place - 1, -1, -1) if tokens[at].low == "neither"), None)
    return (
        first is not None
        and text.clause(first) == text.clause(place)
        and not any(is_said(mention) and first < mention.start < place for mention in text.found)
        and not any(text.clauses.is_verb(at) for at in range(first, place))
    )


def _before_colon(text: Text, place: int) -> list[Mention]:
    """The mentions before a colon behind which a word stands: `pneumothorax: none`, or a last comma: `A, no`."""
    tokens = text.tokens
    after = tokens[place + 1].kind if place + 1 < len(tokens) else STOP
    if place == 0 or not (tokens[place - 1].raw == ":" or (tokens[place - 1].kind == COMMA and after == STOP)):
        return []
    first = next((at + 1 for at in range(place - 2, -1, -1) if tokens[at].kind == STOP), 0)
    if tokens[place - 1].kind == COMMA and not text.starts.isdisjoint(range(first, place)):
        return []  # `no sign of A, no`
    return [mention for mention in text.found if first <= mention.start < place and is_said(mention)]


def _heads_list(text: Text, start: int, end: int) -> bool:
    """True for a word that stands alone before a colon: `Negative: A, B`; `Not seen: A`."""
    tokens = text.tokens
    while end < len(tokens) and _is_verb(tokens[end]):
        end += 1
    return (
        end < len(tokens)
        and tokens[end].raw == ":"
        and all(text.clause(start) != text.clause(at) for at in range(start))
    )


def _listed(text: Text, place: int) -> list[Mention]:
    """The mentions behind a colon, up to the end of the sentence."""
    tokens = text.tokens
    colon = next(at for at in range(place, len(tokens)) if tokens[at].raw == ":")
    stop = next((at for at in range(colon + 1, len(tokens)) if tokens[at].kind == STOP), len(tokens))
    return [mention for mention in text.found if colon < mention.start < stop and is_said(mention)]


def _turn(governed: Sequence[Mention], turns: dict[int, int], stray: list[tuple[int, State]], start: int) -> None:
    if not governed:
        stray.append((start, State.ABSENT))
    for place in {mention.start for mention in governed}:
        turns[place] = turns.get(place, 0) + 1


def _looks_ahead(text: Text, start: int, end: int) -> bool:
    """True where a denial is about what follows: `does not show A`, `not A`, `absent A`; not `A is not seen`."""
    tokens = text.tokens
    low = tokens[start].low
    following = end
    while following < len(tokens) and (
        tokens[following].low.endswith("ly") or tokens[following].low in ("be", "been", "also")
    ):
        following += 1
    begins = {mention.start for mention in text.found}
    at = following
    while at < len(tokens) and at < following + _SHORT and tokens[at].low in _ARTICLES and at not in begins:
        at += 1
    directly = at in begins
    if low not in NOT:
        return directly and not text.clauses.is_verb(max(0, start - 1))
    if following < len(tokens) and tokens[following].low in cues().actives and not _is_passive(text, start):
        return True
    return directly


def _is_passive(text: Text, start: int) -> bool:
    """True after a form of `be`: `is not found`."""
    before = text.tokens[start - 1].low if start else ""
    return before in ("is", "are", "was", "were", "be", "been") or text.tokens[start].low in (
        "isn't",
        "aren't",
        "wasn't",
        "weren't",
    )


def _doubt(text: Text, denied: set[int], doubts: set[int], stray: list[tuple[int, State]]) -> None:
    for kind in ("maybe", "maybe_after", "modal"):
        for start, end in text.spans[kind]:
            if kind == "modal":
                governed: Sequence[Mention] = [
                    mention
                    for mention in text.found
                    if is_said(mention) and text.clause(mention.start) == text.clause(start)
                ]
            elif kind == "maybe_after" or (
                text.tokens[end - 1].low not in _LEADS_ON and _is_predicate(text, start, end)
            ):
                governed = _before(text, start) or _after(text, end, doubted=True)
            else:
                governed = _after(text, end, doubted=True) or _before(text, start)
            if kind == "maybe" and _is_denied(text, start, denied):
                continue
            if not any(is_said(mention) for mention in governed):
                stray.append((start, State.UNCERTAIN))
            doubts.update(mention.start for mention in governed)


def _is_denied(text: Text, start: int, denied: set[int]) -> bool:
    """True where the doubt itself is denied: `no sign suspicious for A`, `nothing suggests A`."""
    for place in range(start - 1, max(-1, start - 1 - _NEGATED_HEDGE), -1):
        if text.clause(place) != text.clause(start) or any(m.start <= place < m.end and is_said(m) for m in text.found):
            return False
        if place in denied:
            return True
    return False


def _is_predicate(text: Text, start: int, end: int) -> bool:
    """True where a word of doubt is what is said of its subject: `A is possible`, not `there is possible A`."""
    tokens = text.tokens
    before = start - 1
    while before > 0 and (tokens[before].low.endswith("ly") or tokens[before].low in ("also", "only")):
        before -= 1
    if before < 0 or not text.clauses.is_verb(before):
        return False
    begins = {mention.start for mention in text.found}
    return end not in begins


def _after(text: Text, place: int, *, doubted: bool = False) -> list[Mention]:
    """The mentions that a cue governs to its right: the first, and those that follow it in one list.

    A further cue behind a governed mention takes over: `no leukocytes and no platelets` and `neither leukocytes nor
    platelets` deny each once. An attribute of the image is governed only where nothing stands between: `not a PA view`,
    but not `no platelets are seen in this CT image`.
    """
    governed: list[Mention] = []
    if place >= len(text.tokens):
        return governed
    clause = text.clause(place - 1)
    for mention in text.found:
        if mention.start < place:
            continue
        if text.clause(mention.start) != clause:
            break
        if governed and (
            text.tokens[mention.start].low == "no"
            or not text.starts.isdisjoint(range(governed[-1].end, mention.start))
            or _begins_anew(text, governed[-1].end, mention.start, doubted=doubted)
        ):
            break
        between = text.tokens[place : mention.start]
        if not is_said(mention) and (
            governed
            or text.tokens[place - 1].low == "neither"  # `neither CT shows a shift`
            or mention.key(ATTRIBUTE) is None
            or any(token.kind == WORD and not (token.low in _FILLERS or _is_verb(token)) for token in between)
            or _is_adjective(text, mention)
        ):
            continue
        governed.append(mention)
    return governed


def _is_adjective(text: Text, mention: Mention) -> bool:
    """True where the name of a modality only describes a noun: `no radiographic evidence`."""
    following = text.tokens[mention.end].stem if mention.end < len(text.tokens) else ""
    return following in _EVIDENCE


def _begins_anew(text: Text, start: int, end: int, *, doubted: bool) -> bool:
    """True where a list that a cue governs ends: `no leukocytes and 4 platelets`, `no cavity in the consolidation`."""
    between = text.tokens[start:end]
    words = {token.low for token in between}
    if any(token.kind == NUMBER or token.low in cues().numbers for token in between):
        return True
    if words & {"only", "just", "instead", "merely"} or (doubted and words & _SURE):
        return True
    if words & {"or", "nor"}:
        return False
    if (words & {"a", "an"} and not doubted) or any(text.clauses.is_verb(place) for place in range(start, end)):
        return True
    return bool(words & _WITHIN) and "and" not in words


def _before(text: Text, place: int) -> list[Mention]:
    """The mentions that are the subject of a cue's own verb: `platelets and leukocytes are not seen`."""
    group = text.clauses.group_of(place) or text.clauses.group_of(place - 1) if place else text.clauses.group_of(place)
    own_verb = group[0] if group else place
    governed: list[Mention] = []
    for mention in reversed(text.found):
        if mention.end > own_verb or not is_said(mention):
            continue
        if text.clause(mention.start) != text.clause(place):
            break
        if any(text.clauses.is_verb(at) for at in range(mention.end, own_verb)):
            break
        if governed and any(token.low in _WITHIN for token in text.tokens[mention.end : governed[-1].start]):
            governed.clear()
        governed.append(mention)
    return governed


def _is_verb(token: Token) -> bool:
    return token.low in _verbs()


def _verbs() -> frozenset[str]:
    words = cues()
    return words.auxiliaries | words.actives | words.predicates


def _turned(text: Text) -> bool:
    """True where a question denies or doubts what it asks about."""
    if any(mention.denies for mention in text.found):
        return True
    around = [
        start
        for start, _ in text.spans["around"]
        if not (text.tokens[start].low == "wrong" and start and text.tokens[start - 1].low in _ASKING)
    ]
    if text.spans["before"] or around or text.spans["maybe_after"] or text.spans["modal"]:
        return True
    return any(
        text.tokens[start].low not in _QUESTION_WORDS
        or (end - start > 1 and [token.low for token in text.tokens[start:end]] not in _CONDITIONS)
        for start, end in text.spans["maybe"]
    )
