"""Terms in Chinese text: what stands side by side, what stands apart, and what a word says that is two.

A term may stand in pieces: `心脏是否增大` and `心脏未见增大` speak of an enlarged heart. Where the parts of a known
concept stand apart, its mention is the last of them, so that cues between them govern it. And a word may say more than
is known: where `肺结节` is no concept of the assets, but `结节` is, it is a nodule, and the lung a place.
"""

import itertools
from collections.abc import Iterator, Sequence
from typing import Final

from curate.verify.chinese_lexicon import LONGEST, SKIPPED, Word, gloss_of, known_keys, phrases, several, words_of
from curate.verify.chinese_text import Piece, word_piece
from curate.verify.lexicon import CONCEPT, PLACE, VALUE, Index, Meaning, Mention, general_index
from curate.verify.text import COMMA, STOP, is_acronym

__all__ = ["divided", "terms_in"]

_ALTERNATIVES: Final = 16
_OF_COURSE: Final = frozenset({"gone", "more", "less"})
_SHADES: Final = ("影", "灶", "征", "征象", "形成")
"""Ends of words for findings that may be left out: `结石影` is what `结石` is."""
_NOUNS: Final = frozenset({"cell", "tissu", "lesion", "tooth"})
"""Stems of the nouns that a source may leave out of its names."""
_LISTING: Final = frozenset({"、", "及", "和", "与", "或", "以及"})
_FEW: Final = 3
_APART: Final = 8
"""The parts of a term stand at most so many words apart."""


def divided(read: Sequence[Piece], indexes: tuple[Index, ...]) -> tuple[Piece, ...]:
    """The pieces, with those words in two of which the whole is no known concept and the end is one."""
    known = known_keys(indexes)
    if not known:
        return tuple(read)
    result: list[Piece] = []
    for piece in read:
        halves = _halves(piece, known) if piece.word is not None and _concepts(piece.word) else None
        result.extend(halves or (piece,))
    return tuple(result)


def _concepts(word: Word) -> frozenset[str]:
    return frozenset(meaning.key for meaning in word.meanings if meaning.kind == CONCEPT)


def _halves(piece: Piece, known: frozenset[str]) -> tuple[Piece, Piece] | None:
    word = piece.word
    if word is None or _concepts(word) & known:
        return None
    text, token = word.text, piece.token
    if len(text) != token.end - token.start:
        return None
    for cut in range(len(text) - 1, 0, -1):
        first, finding = words_of().get(text[:cut]), words_of().get(text[cut:])
        if first is None or finding is None or not (first.glosses or first.roles):
            continue
        if _concepts(finding) & known or (_concepts(first) & known and not _concepts(finding)):
            middle = token.start + cut
            return (
                word_piece(token.raw[:cut], token.start, middle, first),
                word_piece(token.raw[cut:], middle, token.end, finding),
            )
    return None


def terms_in(read: Sequence[Piece], indexes: tuple[Index, ...]) -> tuple[tuple[Mention, ...], frozenset[int]]:
    """The terms in a text, as `lexicon.mentions` picks them: the longest, then those of the assets themselves.

    Also the pieces that belong to a term: those of its mention, and of its parts that stand apart.
    """
    candidates = _candidates(read, indexes)
    taken: set[int] = set()
    found = []
    for start, end in sorted(candidates, key=lambda span: (span[0] - span[1], -candidates[span][0], span[0])):
        if taken.isdisjoint(range(start, end)):
            taken.update(range(start, end))
            found.append(Mention(start, end, _with_concept(candidates, start, end, known_keys(indexes))))
    found.sort(key=lambda mention: mention.start)
    joined, parts = _joined(read, found, known_keys(indexes), indexes)
    joined, shared = _with_shared_tails(read, joined, known_keys(indexes))
    parts |= shared
    return joined, parts.union(taken, *(range(mention.start, mention.end) for mention in joined))


def _with_concept(
    candidates: dict[tuple[int, int], tuple[int, list[Meaning]]], start: int, end: int, known: frozenset[str]
) -> tuple[Meaning, ...]:
    """The meanings of a term; a value of several words that holds the name of a known concept names it too."""
    meanings = candidates[start, end][1]
    if any(m.kind == VALUE for m in meanings) and not any(m.kind == CONCEPT and m.key in known for m in meanings):
        inner = (
            meaning
            for (first, last), (_, within) in sorted(candidates.items())
            if start <= first and last <= end
            for meaning in within
        )
        meanings = [*(m for m in inner if m.kind == CONCEPT and m.key in known), *meanings]
    return tuple(dict.fromkeys(meanings))


def _candidates(read: Sequence[Piece], indexes: tuple[Index, ...]) -> dict[tuple[int, int], tuple[int, list[Meaning]]]:
    candidates: dict[tuple[int, int], tuple[int, list[Meaning]]] = {}
    windows = list(_windows(read))
    for rank, index in reversed(tuple(enumerate((general_index(), *indexes)))):
        known = phrases(index)
        for start, end, gloss in windows:
            for parts, cased, meaning in known.get(gloss, ()):
                if _fits(read[start:end], parts, cased=cased):
                    best, meanings = candidates.setdefault((start, end), (rank, []))
                    candidates[start, end] = (max(best, rank), meanings)
                    if meaning not in meanings:
                        meanings.append(meaning)
    for place, piece in enumerate(read):
        if piece.word is not None and piece.word.meanings:
            own = candidates.setdefault((place, place + 1), (0, []))[1]
            own.extend(meaning for meaning in piece.word.meanings if meaning not in own)
            own.extend(_shorter_names(own, known_keys(indexes)))
    own_keys = known_keys(indexes)
    for _, meanings in candidates.values():
        meanings.sort(key=lambda meaning: meaning.kind == CONCEPT and meaning.key not in own_keys)
    return {span: entry for span, entry in candidates.items() if not _says_more(candidates, span, own_keys)}


def _shorter_names(meanings: Sequence[Meaning], known: frozenset[str]) -> list[Meaning]:
    """What a term means where the source leaves its noun out: `parabasal` for 旁基底细胞."""
    return [
        Meaning(CONCEPT, front)
        for meaning in meanings
        if meaning.kind == CONCEPT and meaning.key not in known
        for front, _, noun in (meaning.key.rpartition(" "),)
        if front in known and noun in _NOUNS
    ]


def _says_more(
    candidates: dict[tuple[int, int], tuple[int, list[Meaning]]], span: tuple[int, int], known: frozenset[str]
) -> bool:
    """True for several words that make no known concept where one of them does: `肺` + `结节` for a known `结节`."""
    keys = {meaning.key for meaning in candidates[span][1] if meaning.kind == CONCEPT}
    if span[1] - span[0] == 1 or not keys or keys & known:
        return False
    return any(
        meaning.kind == CONCEPT and meaning.key in known
        for (start, end), (_, meanings) in candidates.items()
        if span[0] <= start and end <= span[1] and (start, end) != span
        for meaning in meanings
    )


def _windows(read: Sequence[Piece]) -> Iterator[tuple[int, int, tuple[str, ...]]]:
    """Neighbouring words with the English that they may compose: first piece, the piece after the last, gloss."""
    for start, piece in enumerate(read):
        if not piece.glosses:
            continue
        glosses: list[tuple[str, ...]] = list(piece.glosses)
        yield from ((start, start + 1, gloss) for gloss in glosses)
        for end in range(start + 1, min(len(read), start + LONGEST)):
            following = read[end]
            if following.glosses:
                glosses = [gloss_of(before + after) for before in glosses for after in following.glosses][
                    :_ALTERNATIVES
                ]
                yield from ((start, end + 1, gloss) for gloss in glosses)
            elif not following.has(SKIPPED):
                break


def _fits(read: Sequence[Piece], parts: tuple[str, ...], *, cased: bool) -> bool:
    """True unless the words are English and in another order, or in small letters where capitals are the term."""
    if any(piece.word is not None for piece in read):
        return not cased or not any(piece.word is None and piece.token.raw.islower() for piece in read)
    said = tuple(piece.token.stem for piece in read)
    if said != parts and not several().keys() & {*said, *parts}:
        return False
    raw = read[0].token.raw
    return not cased or raw.isupper() or is_acronym(raw)


def _joined(
    read: Sequence[Piece], found: Sequence[Mention], known: frozenset[str], indexes: tuple[Index, ...]
) -> tuple[tuple[Mention, ...], frozenset[int]]:
    """The mentions, with those read as a known concept whose place stands before them in the same statement.

    The place is then part of the concept, and no mention of its own: where such parts stand is the second value.
    """
    result = {mention.start: mention for mention in found}
    taken = {place for mention in found for place in range(mention.start, mention.end)}
    places = [m for m in found if m.key(PLACE) is not None and m.key(CONCEPT) not in known and _is_place(m)]
    fronts = [
        *places,
        *(Mention(at, at + 1, ()) for at, piece in enumerate(read) if at not in taken and _is_front(piece)),
    ]
    fronts.sort(key=lambda mention: mention.start)
    used: set[int] = set()
    for here, piece in enumerate(read) if known and fronts else ():
        mention = result.get(here)
        if mention.end - mention.start != 1 if mention is not None else here in taken or not _describes(piece):
            continue
        if mention is not None and mention.start in used:
            continue
        for before in reversed(fronts):
            between = read[before.end : here]
            if before.end > here:
                continue
            if len(between) > _APART or any(_parts(other) for other in between):
                break
            meanings = _composed(read[before.start : before.end], piece, known, indexes)
            if meanings:
                result[here] = Mention(here, here + 1, meanings)
                used.add(before.start)
                break
    told = {mention.start: mention for start, mention in result.items() if start not in used}
    covered = {at for mention in fronts if mention.start in used for at in range(mention.start, mention.end)}
    return tuple(told[start] for start in sorted(told)), frozenset(covered)


def _is_place(mention: Mention) -> bool:
    return all(meaning.kind in (PLACE, CONCEPT) for meaning in mention.meanings)


def _with_shared_tails(
    read: Sequence[Piece], found: tuple[Mention, ...], known: frozenset[str]
) -> tuple[tuple[Mention, ...], frozenset[int]]:
    """The mentions with those of a list that share the end of the last: `硬膜外、硬膜下及蛛网膜下腔出血` are three
    hemorrhages; and the places of their words."""
    result = list(found)
    covered: set[int] = set()
    for last in found:
        whole = read[last.start].token.raw
        if last.end - last.start != 1 or last.key(CONCEPT) not in known or read[last.start].word is None:
            continue
        at = last.start
        while at >= 2 and read[at - 1].token.raw in _LISTING:
            start, meanings = _shorter(read, at - 1, whole, known)
            if not meanings:
                break
            result = [m for m in result if not start <= m.start < at - 1]
            result.append(Mention(start, at - 1, meanings))
            covered.update(range(start, at - 1))
            at = start
    return tuple(sorted(result, key=lambda mention: mention.start)), frozenset(covered)


def _shorter(read: Sequence[Piece], end: int, whole: str, known: frozenset[str]) -> tuple[int, tuple[Meaning, ...]]:
    """Where a term before a place begins that lacks the end of a whole one, and what it means."""
    for start in range(max(0, end - _FEW), end):
        front = "".join(piece.token.raw for piece in read[start:end])
        for length in range(1, len(whole) - 1):
            word = words_of().get(front + whole[-length:])
            if word is not None and (
                meanings := tuple(m for m in word.meanings if m.kind == CONCEPT and m.key in known)
            ):
                return start, meanings
    return end, ()


def _parts(piece: Piece) -> bool:
    """True for what ends a statement: `、` does not, `肾脏无结石、积水` is of the kidney altogether."""
    return piece.token.kind == STOP or (piece.token.kind == COMMA and piece.token.raw != "、")


def _is_front(piece: Piece) -> bool:
    """True for a word that by itself says nothing and may begin the name of a finding: `根分叉` of `根分叉受累`."""
    return piece.word is not None and not piece.word.roles and not piece.word.meanings


def _describes(piece: Piece) -> bool:
    """True for a word for what something is like, or what became of it, that may be the end of a finding's name."""
    return piece.word is not None and not piece.word.roles - _OF_COURSE


def _composed(
    place: Sequence[Piece], finding: Piece, known: frozenset[str], indexes: tuple[Index, ...]
) -> tuple[Meaning, ...]:
    """The known concepts that a place and what is said of it make together: `膝关节 ... 积液` is a joint effusion."""
    if finding.word is None:
        return ()
    where = "".join(piece.token.raw for piece in place)
    found: list[Meaning] = []
    glosses = [gloss_of(of_place + of_finding) for of_place in _glosses_of(place) for of_finding in finding.glosses]
    said = finding.word.text
    ends = dict.fromkeys((said, *(said.removesuffix(shade) for shade in _SHADES)))
    for (start, end), last in itertools.product(itertools.combinations(range(len(where) + 1), 2), ends):
        whole = words_of().get(where[start:end] + last)
        if whole is None:
            continue
        found.extend(m for m in whole.meanings if m.kind == CONCEPT and m.key in known and m not in found)
        rest = words_of().get(where[:start])
        glosses += [gloss_of(a + b) for a in (rest.glosses if rest else ()) for b in whole.glosses]
    for index in (general_index(), *indexes):
        for gloss in glosses:
            for _, _, meaning in phrases(index).get(gloss, ()):
                if meaning.kind == CONCEPT and meaning.key in known and meaning not in found:
                    found.append(meaning)
    return tuple(found)


def _glosses_of(place: Sequence[Piece]) -> list[tuple[str, ...]]:
    glosses: list[tuple[str, ...]] = [()]
    for piece in place:
        if piece.glosses:
            glosses = [gloss_of(before + after) for before in glosses for after in piece.glosses][:_ALTERNATIVES]
    return glosses
