"""What a Chinese text says of each mention: there, not there, perhaps, or not to be told.

Negation and hedge cues govern as in NegEx and ConText (see `lexicons/cues.yaml`), with the order of Chinese: the list
behind the cue up to the next comma, verb or cue (`未见气胸、积液及肿块`); where nothing stands behind it, the list
before it (`气胸和积液均未见`, `气胸：无`). Two negations cancel out, a doubt that is denied itself denies
(`未见可疑结节`), and what cannot be excluded is in doubt (`不能排除`). A bare term behind a comma after a denied list
(`未见气胸，积液`) may be read both ways: its state is `not_stated`, which no annotation confirms.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from curate.schema import State
from curate.verify.chinese_lexicon import predicates
from curate.verify.chinese_segments import BREAKING, COLON, Segment, is_denied_side, is_said, segments_of
from curate.verify.chinese_text import Piece
from curate.verify.lexicon import CONCEPT, Mention
from curate.verify.text import COMMA, NUMBER, STOP

__all__ = ["NEGATORS", "Scope", "scope"]

_BEFORE, _AROUND, _AFTER = "before", "around", "after"
_HEDGES, _VERBS, _ASKS, _LINKS = "hedges", "verbs", "asks", "links"
NEGATORS: Final = (_BEFORE, _AROUND, _AFTER)
"""Roles of words that deny."""
_ASKING: Final = ("particles", "requests")
_ADJECTIVES: Final = "adjectives"
_ATTENDS: Final = "attends"
_EXCEPT, _EXCEPT_END = "except", "except_end"
_QUESTION: Final = frozenset("？?")
_SCALES: Final = frozenset("级期度型类分")
_EXCLUDING: Final = ("排除", "除外", "否定", "否认")
"""Ends of doubts about a denial, which a plain statement behind them answers."""


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
    followed: tuple[tuple[Mention, State], ...] = ()  # what clauses say of a finding that only the one before names


class _Reader:
    """One text on its way through the cues."""

    def __init__(
        self, pieces: Sequence[Piece], mentions: Sequence[Mention], sound: frozenset[int], rest: frozenset[int]
    ) -> None:
        self.pieces = pieces
        self.mentions = mentions
        self.covered = {place for m in mentions for place in range(m.start, m.end)} | rest
        self.at: dict[str, set[int]] = {}
        for place, piece in enumerate(pieces):
            if piece.word is not None and place not in self.covered:
                for role in piece.word.roles:
                    self.at.setdefault(role, set()).add(place)
        self.segments = segments_of(pieces, self.covered)
        self.number_of = [0] * len(pieces)
        for number, segment in enumerate(self.segments):
            for place in range(segment.start, segment.end):
                self.number_of[place] = number
        self.protected = self._excepted()
        self.turns = {m.start: int(m.denies) for m in mentions}
        self.denied: set[int] = set()
        self.soft: set[int] = set()
        self.loose: dict[int, list[State]] = {}  # by segment, what cues say that govern nothing
        for place in sound:
            self._loose(place, State.ABSENT)
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
        followed = tuple(self._followed())
        bare, stray = self._told_by_loose()
        bare += self._existence()
        if self._is_certain():
            bare = [state for state in bare if state is not State.UNCERTAIN]
        return Scope(
            states=tuple(self._state(mention) for mention in self.mentions),
            bare=tuple(bare),
            stray=tuple(stray),
            turned=any(self.at.get(role) for role in (*NEGATORS, _HEDGES)) or any(m.denies for m in self.mentions),
            denied=frozenset(self.denied),
            segments=tuple(self.number_of),
            questions=questions,
            followed=followed,
        )

    def _told_by_loose(self) -> tuple[list[State], list[State]]:
        """What segments say by cues that govern nothing, those without a concept apart; two denials cancel out."""
        told: tuple[list[State], list[State]] = ([], [])
        for number, states in sorted(self.loose.items()):
            denials = states.count(State.ABSENT)
            state = State.ABSENT if denials % 2 else State.PRESENT
            named = bool(self._mentions_in(self.segments[number]))
            told[named].append(State.UNCERTAIN if State.UNCERTAIN in states else state)
        return told

    def _followed(self) -> Iterator[tuple[Mention, State]]:
        """`左肺见结节，右肺未见`: a clause with a side or place of its own that denies what the one before names."""
        places = {self.number_of[p] for p in self.at.get("sides", ())}
        for number, states in sorted(self.loose.items()):
            segment = self.segments[number]
            if not number or number not in places or segment.before not in BREAKING or states != [State.ABSENT]:
                continue
            named = self._mentions_in(self.segments[number - 1])
            if self._mentions_in(segment) or len({m.key(CONCEPT) for m in named}) != 1:
                continue
            if any(self.pieces[p].token.kind == NUMBER for p in range(segment.start, segment.end)):
                continue
            del self.loose[number]
            yield Mention(segment.start, segment.start + 1, named[0].meanings), State.ABSENT

    def _is_certain(self) -> bool:
        """True where a doubt is followed by a plain statement: `不能否定，左肺存在肿块`."""
        there = [m for m in self.mentions if m.key(CONCEPT) and self._state(m) is State.PRESENT]
        if there and self.at.get("emphatic"):
            return True
        doubts = [place for place in self.at.get(_HEDGES, ()) if self.number_of[place] in self.loose]
        said = {self.number_of[place] for place in self.at.get("exists", ())}
        undenied = all(self.pieces[place].token.raw.endswith(_EXCLUDING) for place in doubts)
        return bool(doubts) and undenied and any(self.number_of[m.start] in said for m in there)

    def _deny(self, place: int) -> None:
        if self._denies_a_side(place):
            return
        headed = self._headed(place)
        if headed is not None:
            for mention in headed:
                self.turns[mention.start] += 1
                self.denied.add(mention.start)
            return
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
        self.loose.setdefault(self.number_of[place], []).append(state)

    def _denies_a_side(self, place: int) -> bool:
        """True for `不是左眼`, which denies the side alone, see `turned_sides`."""
        return self.is_cue(place, _AROUND, _BEFORE) and is_denied_side(self.pieces, place + 1)

    def _headed(self, place: int) -> list[Mention] | None:
        """What a heading denies: `阴性：阑尾炎、憩室炎`; None where the cue is none."""
        segment = self.segments[self.number_of[place]]
        following = self.number_of[place] + 1
        if self._mentions_in(segment) or following >= len(self.segments):
            return None
        if self.segments[following].before not in COLON or not self.segments[following].before:
            return None
        if any(not self.pieces[p].known or self.is_cue(p, _VERBS) for p in range(place + 1, segment.end)):
            return None
        end = following
        while end + 1 < len(self.segments) and self.segments[end + 1].before in BREAKING:
            end += 1
        return [m for n in range(following, end + 1) for m in self._mentions_in(self.segments[n])] or None

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
            if mention.start <= place or mention.start >= end or not is_said(mention):
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
        linked = segment.before in COLON or segment.before in BREAKING
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

    def _mentions_in(self, segment: Segment) -> list[Mention]:
        return [m for m in self.mentions if segment.start <= m.start < segment.end and m.key(CONCEPT)]

    def _is_bare(self, segment: Segment) -> bool:
        """True for a segment of terms, links and sides alone."""
        places = [p for p in range(segment.start, segment.end) if p not in self.covered]
        return bool(self._mentions_in(segment)) and not any(
            self.is_cue(p, *NEGATORS, _HEDGES, _VERBS, _ASKS) or self.pieces[p].token.kind == NUMBER for p in places
        )

    def _is_naked(self, segment: Segment) -> bool:
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
            if piece is not None and (piece.token.kind != STOP or piece.token.raw[0] in COLON):
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
            if after < len(self.pieces) and self.pieces[after].token.raw in _SCALES:
                continue  # `0级` is a grade
            while after < len(self.pieces) and self.pieces[after].has("measure") and after not in self.covered:
                after += 1
            target = next((m for m in self.mentions if m.start == after and m.key(CONCEPT)), None)
            if target is None:
                run = self._run_before(self.segments[self.number_of[place]].start, place)[:1]
                target = next((m for m in run if m.key(CONCEPT)), None)
            if target is not None:
                self.turns[target.start] += 1

    def _existence(self) -> list[State]:
        """`可见。`: a clause that says no more than that something is there."""
        told: list[State] = []
        for segment in self.segments:
            places = range(segment.start, segment.end)
            if any(p in self.covered for p in places) or any(self.is_cue(p, *NEGATORS, _HEDGES, _ASKS) for p in places):
                continue
            closed = segment.end >= len(self.pieces) or self.pieces[segment.end].token.raw[0] not in COLON
            if (closed and any(self.is_cue(p, "exists") for p in places)) or self._tells_where(places):
                told.append(State.PRESENT)
        return told

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
        if not mention.key(CONCEPT) or segment.before not in BREAKING or not self._is_naked(segment):
            return False
        while number and self._is_naked(self.segments[number]) and self.segments[number].before in BREAKING:
            number -= 1
        return number in self.open_lists


def scope(
    pieces: Sequence[Piece],
    mentions: Sequence[Mention],
    sound: frozenset[int] = frozenset(),
    rest: frozenset[int] = frozenset(),
) -> Scope:
    """What the cues of a text make of its mentions.

    `sound` are the words that call sound what they do not name, `rest` those that speak of all that is not named.
    """
    return _Reader(pieces, mentions, sound, rest).read()
