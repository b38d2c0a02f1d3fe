"""What a Chinese text says of each mention: there, not there, perhaps, or not to be told.

Negation and hedge cues govern as in NegEx and ConText (see `lexicons/cues.yaml`), with the order of Chinese: the list
behind the cue up to the next comma, verb or cue (`未见气胸、积液及肿块`); where nothing stands behind it, the list
before it (`气胸和积液均未见`, `气胸：无`). Two negations cancel out, a doubt that is denied itself denies
(`未见可疑结节`), and what cannot be excluded is in doubt (`不能排除`). A bare term behind a comma after a denied list
(`未见气胸，积液`) may be read both ways: its state is `not_stated`, which no annotation confirms.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from curate.schema import State
from curate.verify.chinese_lexicon import predicates
from curate.verify.chinese_text import Piece
from curate.verify.lexicon import CONCEPT, PLACE, Mention
from curate.verify.text import COMMA, NUMBER, STOP

__all__ = ["NEGATORS", "Scope", "scope"]

_BEFORE, _AROUND, _AFTER = "before", "around", "after"
_HEDGES, _VERBS, _ASKS, _CONTRAST, _LINKS = "hedges", "verbs", "asks", "contrast", "links"
NEGATORS: Final = (_BEFORE, _AROUND, _AFTER)
"""Roles of words that deny."""
_ASKING: Final = ("particles", "requests")
_COLON: Final = frozenset("：:")
_BREAKING: Final = frozenset("，,")
_ADJECTIVES: Final = "adjectives"
_ATTENDS: Final = "attends"
_EXCEPT, _EXCEPT_END = "except", "except_end"
_QUESTION: Final = frozenset("？?")


@dataclass(frozen=True, slots=True)
class Scope:
    """The state of each mention, in their order, and the cues that no mention answers for."""

    states: tuple[State, ...]
    bare: tuple[State, ...]
    stray: tuple[State, ...]
    turned: bool
    denied: frozenset[int]  # where mentions begin that a cue directly denies
    segments: tuple[int, ...]  # the segment of each token
    questions: frozenset[int]  # the tokens of sentences that ask


@dataclass(slots=True)
class _Segment:
    start: int
    end: int
    before: str  # what separates it from the one before: a stop, a colon, a comma, a contrast, or nothing


class _Reader:
    """One text on its way through the cues."""

    def __init__(self, pieces: Sequence[Piece], mentions: Sequence[Mention]) -> None:
        self.pieces = pieces
        self.mentions = mentions
        self.covered = {place for m in mentions for place in range(m.start, m.end)}
        self.at: dict[str, set[int]] = {}
        for place, piece in enumerate(pieces):
            if piece.word is not None and place not in self.covered:
                for role in piece.word.roles:
                    self.at.setdefault(role, set()).add(place)
        self.segments = _segments(pieces, self.covered)
        self.number_of = [0] * len(pieces)
        for number, segment in enumerate(self.segments):
            for place in range(segment.start, segment.end):
                self.number_of[place] = number
        self.protected = self._excepted()
        self.turns = {m.start: 0 for m in mentions}
        self.denied: set[int] = set()
        self.soft: set[int] = set()
        self.bare: list[State] = []
        self.stray: list[State] = []
        self.unclear: set[int] = set()  # where mentions begin that may be denied or not
        self.open_lists: set[int] = set()  # segments at whose end a cue still governs

    def is_cue(self, place: int, *roles: str) -> bool:
        return any(place in self.at.get(role, ()) for role in roles)

    def read(self) -> Scope:
        questions = self._questions()
        cues = set[int]().union(*(self.at.get(role, ()) for role in (*NEGATORS, _HEDGES, _ASKS)))
        for place in sorted(cues):
            if self.is_cue(place, *NEGATORS):
                self._deny(place)
            elif (self.is_cue(place, _ASKS) and place not in questions) or (
                self.is_cue(place, _HEDGES) and not self._denied_doubt(place)
            ):
                self._doubt(place)
        self._zeros()
        self._existence()
        if self.at.get("emphatic") and any(self._state(m) is State.PRESENT for m in self.mentions if m.key(CONCEPT)):
            self.bare = [state for state in self.bare if state is not State.UNCERTAIN]
        return Scope(
            states=tuple(self._state(mention) for mention in self.mentions),
            bare=tuple(self.bare),
            stray=tuple(self.stray),
            turned=any(self.at.get(role) for role in (*NEGATORS, _HEDGES)),
            denied=frozenset(self.denied),
            segments=tuple(self.number_of),
            questions=questions,
        )

    def _deny(self, place: int) -> None:
        governed = [] if self.is_cue(place, _AFTER) else self._right(place)
        forward = any(m.key(CONCEPT) for m in governed)
        if not forward:
            governed = self._left(place) or governed
        for mention in governed:
            self.turns[mention.start] += 1
            if forward:
                self.denied.add(mention.start)
        if not governed:
            self._loose(place, State.ABSENT)
        elif forward:
            self.open_lists.add(self.number_of[place])

    def _doubt(self, place: int) -> None:
        governed = self._right(place)
        if not any(m.key(CONCEPT) for m in governed):
            governed = self._left(place, past_denials=True) or governed
        self.soft.update(mention.start for mention in governed)
        if not governed:
            self._loose(place, State.UNCERTAIN)

    def _loose(self, place: int, state: State) -> None:
        segment = self.segments[self.number_of[place]]
        (self.stray if self._mentions_in(segment) else self.bare).append(state)

    def _denied_doubt(self, place: int) -> bool:
        """True for `未见可疑结节`, also further down the list: the doubt is part of what is denied."""
        if self.is_cue(place, _ADJECTIVES):
            governed = self._right(place)[:1]
            if governed and governed[0].start in self.denied:
                return True
        if not self._right(place):
            return False
        before = place - 1
        while before >= 0 and self.number_of[before] == self.number_of[place]:
            if self.is_cue(before, *NEGATORS):
                return True
            if before in self.covered or self.is_cue(before, _VERBS, _HEDGES, _ASKS):
                return False
            before -= 1
        return False

    def _right(self, place: int) -> list[Mention]:
        """What stands behind a cue in its segment, up to a further cue, a new verb or a number."""
        end = self.segments[self.number_of[place]].end
        governed: list[Mention] = []
        last = place + 1
        for mention in self.mentions:
            if mention.start <= place or mention.start >= end or not _is_said(mention):
                continue
            between = range(last, mention.start)
            if any(self.is_cue(p, *NEGATORS) for p in between):
                break
            if governed and any(self.is_cue(p, _ATTENDS) for p in between):
                self.unclear.add(mention.start)
                break
            if governed and any(self.is_cue(p, _HEDGES, _ASKS) and not self.is_cue(p, _ADJECTIVES) for p in between):
                break
            if governed and (self._begins_anew(between) or any(self.pieces[p].token.kind == NUMBER for p in between)):
                break
            if mention.key(CONCEPT) is None and (governed or any(not self._is_filler(p) for p in between)):
                continue
            governed.append(mention)
            last = mention.end
        if governed and any(m.key(CONCEPT) for m in governed):
            return [m for m in governed if m.key(CONCEPT)]
        if not governed and self._negator_follows(place, end):
            return self._right_of_next(place, end)
        return governed

    def _negator_follows(self, place: int, end: int) -> bool:
        return any(self.is_cue(p, *NEGATORS) for p in range(place + 1, end))

    def _right_of_next(self, place: int, end: int) -> list[Mention]:
        """`不是没有结节`: what the next cue governs, if no mention stands between the two."""
        following = next(p for p in range(place + 1, end) if self.is_cue(p, *NEGATORS))
        if any(place < m.start < following for m in self.mentions):
            return []
        return self._right(following)

    def _begins_anew(self, between: range) -> bool:
        """True where a verb opens a new statement: `未见气胸并可见积液`, but not `未见气胸存在、积液形成`."""
        verb = False
        for place in between:
            if self.is_cue(place, _VERBS):
                verb = True
            elif self.pieces[place].token.kind == COMMA or self.is_cue(place, _LINKS):
                verb = False
        return verb

    def _is_filler(self, place: int) -> bool:
        piece = self.pieces[place]
        return piece.token.kind == NUMBER or (piece.known and not self.is_cue(place, _HEDGES, _ASKS))

    def _left(self, place: int, *, past_denials: bool = False) -> list[Mention]:
        """What stands before a cue in its segment, or is the whole segment before it."""
        number = self.number_of[place]
        segment = self.segments[number]
        governed = self._run_before(segment.start, place, past_denials=past_denials)
        linked = segment.before in _COLON or segment.before in _BREAKING
        if not governed and number and linked and not self._mentions_in(segment):
            before = self.segments[number - 1]
            if self._is_bare(before):
                governed = self._mentions_in(before)
        return [m for m in governed if m.key(CONCEPT) and m.start not in self.protected]

    def _run_before(self, start: int, place: int, *, past_denials: bool = False) -> list[Mention]:
        governed: list[Mention] = []
        here = place - 1
        by_end = {m.end - 1: m for m in self.mentions}
        while here >= start:
            mention = by_end.get(here)
            if mention is not None:
                governed.append(mention)
                here = mention.start - 1
                continue
            if (self.is_cue(here, *NEGATORS) and not past_denials) or (governed and self.is_cue(here, _VERBS)):
                break
            here -= 1
        return governed

    def _mentions_in(self, segment: _Segment) -> list[Mention]:
        return [m for m in self.mentions if segment.start <= m.start < segment.end and m.key(CONCEPT)]

    def _is_bare(self, segment: _Segment) -> bool:
        """True for a segment of terms, links and sides alone."""
        places = [p for p in range(segment.start, segment.end) if p not in self.covered]
        return bool(self._mentions_in(segment)) and not any(
            self.is_cue(p, *NEGATORS, _HEDGES, _VERBS, _ASKS) or self.pieces[p].token.kind == NUMBER for p in places
        )

    def _is_naked(self, segment: _Segment) -> bool:
        """True for a segment of terms and links and nothing else at all, none of which says something by itself."""
        if any(self.pieces[m.end - 1].token.raw.endswith(predicates()) for m in self._mentions_in(segment)):
            return False
        places = [p for p in range(segment.start, segment.end) if p not in self.covered]
        return bool(self._mentions_in(segment)) and all(
            self.pieces[p].token.kind in (COMMA, STOP) or self.is_cue(p, _LINKS) for p in places
        )

    def _questions(self) -> frozenset[int]:
        """The sentences that ask: they end with a question mark or particle, or begin with a request."""
        found: set[int] = set()
        start = 0
        for end, piece in enumerate((*self.pieces, None)):
            if piece is not None and (piece.token.kind != STOP or piece.token.raw[0] in _COLON):
                continue
            asks = piece is not None and bool(set(piece.token.raw) & _QUESTION)
            if asks or any(start <= place < end for role in _ASKING for place in self.at.get(role, ())):
                found.update(range(start, end))
            start = end + 1
        return frozenset(found)

    def _excepted(self) -> set[int]:
        """Where mentions begin that `除 ... 外` sets apart: they are there."""
        protected: set[int] = set()
        for place, piece in enumerate(self.pieces):
            if not piece.has(_EXCEPT) or place in self.covered:
                continue
            end = next((p for p in range(place, len(self.pieces)) if self.pieces[p].has(_EXCEPT_END)), None)
            if end is not None:
                protected.update(m.start for m in self.mentions if place < m.start < end)
        return protected

    def _zeros(self) -> None:
        """`0个红细胞`, `红细胞：0`: a count of zero denies."""
        for place, piece in enumerate(self.pieces):
            if piece.token.kind != NUMBER or place in self.covered or float(piece.token.raw) != 0:
                continue
            after = place + 1
            while after < len(self.pieces) and self.pieces[after].has("measure") and after not in self.covered:
                after += 1
            target = next((m for m in self.mentions if m.start == after and m.key(CONCEPT)), None)
            if target is None:
                run = self._run_before(self.segments[self.number_of[place]].start, place)[:1]
                target = next((m for m in run if m.key(CONCEPT)), None)
            if target is not None:
                self.turns[target.start] += 1

    def _existence(self) -> None:
        """`可见。`: a clause that says no more than that something is there."""
        for segment in self.segments:
            places = range(segment.start, segment.end)
            if any(p in self.covered for p in places) or any(self.is_cue(p, *NEGATORS, _HEDGES, _ASKS) for p in places):
                continue
            closed = segment.end >= len(self.pieces) or self.pieces[segment.end].token.raw[0] not in _COLON
            if (closed and any(self.is_cue(p, "exists") for p in places)) or self._tells_where(places):
                self.bare.append(State.PRESENT)

    def _tells_where(self, places: range) -> bool:
        """True for `位于右侧`: what lies somewhere is there."""
        lows = [self.pieces[place].token.low for place in places]
        return "on" in lows and any(self.is_cue(place, "sides") for place in places)

    def _state(self, mention: Mention) -> State:
        if mention.start in self.soft:
            return State.UNCERTAIN
        if self.turns[mention.start]:
            return State.ABSENT if self.turns[mention.start] % 2 else State.PRESENT
        return State.NOT_STATED if mention.start in self.unclear or self._unclear(mention) else State.PRESENT

    def _unclear(self, mention: Mention) -> bool:
        number = self.number_of[mention.start]
        segment = self.segments[number]
        if not mention.key(CONCEPT) or segment.before not in _BREAKING or not self._is_naked(segment):
            return False
        while number and self._is_naked(self.segments[number]) and self.segments[number].before in _BREAKING:
            number -= 1
        return number in self.open_lists


def _is_said(mention: Mention) -> bool:
    """False for a place in the body: nothing is denied of it."""
    return any(meaning.kind != PLACE for meaning in mention.meanings)


def scope(pieces: Sequence[Piece], mentions: Sequence[Mention]) -> Scope:
    """What the cues of a text make of its mentions."""
    return _Reader(pieces, mentions).read()


def _segments(pieces: Sequence[Piece], covered: set[int]) -> list[_Segment]:
    """Stretches between stops, commas (not `、`) and contrasts; a separator belongs to the segment before it."""
    segments = [_Segment(0, 0, "")]
    for place, piece in enumerate(pieces):
        raw = piece.token.raw
        if piece.has(_CONTRAST) and place not in covered:
            segments[-1].end = place
            segments.append(_Segment(place, place + 1, _CONTRAST))
        elif piece.token.kind == STOP or (piece.token.kind == COMMA and raw in _BREAKING):
            segments[-1].end = place + 1
            segments.append(_Segment(place + 1, place + 1, raw[0]))
        else:
            segments[-1].end = place + 1
    return [s for s in segments if s.end > s.start] or segments
