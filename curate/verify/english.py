"""English text as a `Part`: which statements a sentence makes, and what cues govern in them.

Scope follows NegEx (Chapman et al., J Biomed Inform 2001;34:301-310) and ConText (Harkema et al., J Biomed Inform
2009;42:839-851); clauses are told apart by their verbs, so that `no A is seen, and B is` denies A alone.
"""

import functools
import itertools
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Final

from curate.verify.clauses import Clauses, clauses_of
from curate.verify.common_words import known_stems, measuring_stems, severe_words, telling_adverbs
from curate.verify.compounds import composed
from curate.verify.cue_words import POLARITY, cues, find_cues
from curate.verify.ellipsis import with_left_out
from curate.verify.lexicon import CONCEPT, PLACE, Index, Meaning, Mention, contents, general_index, mentions, predicates
from curate.verify.numerals import counted_in, numbers_in, quantities_in, spaced
from curate.verify.part import SIDES, Part, Size
from curate.verify.scope import read_claims
from curate.verify.sound import sounded
from curate.verify.statements import IMAGE_STEMS
from curate.verify.text import COMMA, STOP, WORD, Token, normal, stem, tokenise
from curate.verify.units import unit_words

__all__ = ["opening", "words"]

_OPENING: Final = re.compile(
    r"\s*(?P<word>yes|yeah|yep|correct|indeed|affirmative|true|no|nope|nah|false|incorrect)\b\s*"
    r"(?:(?P<stop>[,.;:!–—-]+|$)|(?=(?:there|it|this|that|they|these|those|we|i|the|none|neither|no)\b))",
    re.IGNORECASE,
)
_YES: Final = frozenset({"yes", "yeah", "yep", "correct", "indeed", "affirmative", "true"})
_SAID_YES: Final = re.compile(
    r"\s*(?:that(?: is|'s) (?:correct|right|true|so)|certainly|definitely|absolutely|it is so|quite so|exactly)"
    r"\s*(?:[,.;:!–—-]+|$)",
    re.IGNORECASE,
)
_SAID_NO: Final = re.compile(
    r"\s*(?:that(?: is|'s| would be) (?:not correct|not right|not true|not so|wrong|incorrect|false|mistaken)"
    r"|by no means|not at all|(?:certainly|definitely|absolutely|clearly) not|not quite|not really|not so"
    r"|far from it|on the contrary)\s*(?:[,.;:!–—-]+|$)",
    re.IGNORECASE,
)
"""Other ways to say yes and no at the beginning of an answer."""
_ECHOES: Final = {
    True: re.compile(r"(?:that|it|this)(?: is|'s) (?:correct|right|true|so|the case)\s*[,.;:–—-]+\s*", re.IGNORECASE),
    False: re.compile(
        r"(?:that|it|this)(?: is|'s| would be) "
        r"(?:not (?:correct|right|true|so|the case)|wrong|incorrect|false|mistaken)\s*[,.;:–—-]+\s*",
        re.IGNORECASE,
    ),
}
"""What says yes or no once more."""
_BARE_YES: Final = re.compile(r"\s*yes\b\s*", re.IGNORECASE)
_SIZE: Final = re.compile(
    r"(?P<w>\d+) (?:pixels )?wide and (?P<h>\d+) (?:pixels )?high|(?P<w2>\d+) ?[x×] ?(?P<h2>\d+)(?= (?:pixels?|image))"
)
_INSIDE: Final = frozenset({"in", "within", "the", "both", "not", "also", "a", "of"})
_JOINTS: Final = frozenset({"and", "or", "nor"})
_ARTICLES: Final = frozenset({"a", "an"})
"""No verb stands behind one: `a marked fracture`."""
_REACH: Final = 6
"""So many tokens may stand between an organ and what it is said to be: `the heart does not appear to be enlarged`."""
_PLAIN_SIDES: Final = frozenset(SIDES)
_EYES: Final = {"OD": "right", "OS": "left", "OU": "bilateral"}
"""Oculus dexter, sinister, uterque."""
_ADVERB: Final = re.compile(
    r"\w+(?:ally|ably|ibly|ously|ively|edly|ingly|ently|antly|fully|lessly|ately|itely|ctly|rily|sily)"
)
"""Endings of adverbs that are made from adjectives; not of `hepatomegaly`."""
_HEADINGS: Final = frozenset({"abnormal", "positive", "pathological"})
"""Before a colon these are a heading of what is there."""
_LISTED: Final = frozenset(map(stem, ("label", "finding", "grade", "condition", "abnormality", "disease", "lesion")))
_SILENT: Final = frozenset({"quantities"})
"""Kinds of cue whose words are not thereby known; of the others that must not stand, rules of their own speak."""


def opening(text: str) -> tuple[bool | None, int]:
    """What a closed answer begins with, and where the rest begins; `no nodule is seen` is neither yes nor no."""
    found = _OPENING.match(text) or _BARE_YES.match(text)
    if found is None:
        for pattern, said in ((_SAID_YES, True), (_SAID_NO, False)):
            if (other := pattern.match(text)) is not None:
                return said, other.end()
        return None, 0
    said = found[0].strip().split()[0].strip(",.;:!–—-").lower() in _YES
    echo = _ECHOES[said].match(text, found.end())
    return said, found.end() if echo is None else echo.end()


@functools.lru_cache(maxsize=16384)
def words(text: str, indexes: tuple[Index, ...]) -> Part:
    """A part without lists of numbers. Texts repeat, those of templates from image to image and those of a model at
    least from rule to rule."""
    spread = spaced(text)
    tokens = tokenise(spread)
    named = _with_shared_heads(tokens, mentions(tokens, indexes), indexes)
    named = with_left_out(tokens, named, indexes)
    turned = _with_turned_names(tokens, named, indexes)
    spent = frozenset(at for mention in named for at in range(mention.start, mention.end))
    spoken_of = [(mention.end, key) for mention in named if (key := mention.key(PLACE)) is not None]
    told, parts = composed(tokens, turned, indexes, spent, spoken_of)
    whole = _with_contents(tokens, _with_predicates(tokens, told))
    found, sound = sounded(tokens, whole, indexes, spoken_of)
    parts |= sound
    within = {place: mention for mention in (*named, *found) for place in range(mention.start, mention.end)}
    covered = frozenset(
        place
        for place in (*parts, *within)
        if place not in within or tokens[place].low not in SIDES or _names_side(within[place])
    )
    spans = find_cues(tokens, covered)
    found = _without_idioms(found, spans)
    sides = tuple(_sides(tokens, covered, found))
    clauses = clauses_of(tokens, spans, found)
    if spans["complete"]:
        polar = [span for kind in POLARITY for span in spans[kind]]
        spans["complete"] = [
            span
            for span in spans["complete"]
            if not (
                any(s <= span[0] and span[1] <= e and (s, e) != span for s, e in polar)
                or _of_two(span[0], tokens, sides)
                or _floats(span[0], tokens, clauses)
            )
        ]
    said = read_claims(tokens, found, spans, clauses)
    numbers = tuple(numbers_in(tokens, covered))
    quantities = tuple(quantities_in(tokens, numbers, found, clauses.numbers))
    measured = frozenset(quantity.place for quantity in quantities)
    return Part(
        text=text,
        tokens=tokens,
        mentions=found,
        claims=said.claims,
        covered=covered,
        cues={kind: found_spans for kind, found_spans in spans.items() if found_spans},
        lists=(),
        concepts=frozenset(key for mention in found if (key := mention.key(CONCEPT)) is not None),
        numbers=numbers,
        sizes=tuple(_sizes(spread)),
        sides=sides,
        strange=tuple(_strange(tokens, covered, spans, found, clauses, measures=bool(quantities))),
        normal=normal(text),
        quantities=quantities,
        counted=tuple(counted_in(tokens, found, [entry for entry in numbers if entry[0] not in measured])),
        bare=said.bare,
        ellipses=said.ellipses,
        stray=said.stray,
        statements=said.statements,
        clauses=clauses.numbers,
        turned=said.turned,
    )


def _names_side(mention: Mention) -> bool:
    """True where a side is part of a name: `left lung`, but not in `fluid in the left pleural space`."""
    return not mention.split or any(word in SIDES for meaning in mention.meanings for word in meaning.key.split(" "))


def _without_idioms(found: tuple[Mention, ...], spans: Mapping[str, Sequence[tuple[int, int]]]) -> tuple[Mention, ...]:
    """Without the places of the body that are only part of a saying: `on the other hand`."""
    sayings = [span for kind in ("contrast", "sure", "apart") for span in spans[kind] if span[1] - span[0] > 1]
    if not sayings:
        return found
    return tuple(
        mention for mention in found if not any(start <= mention.start and mention.end <= end for start, end in sayings)
    )


def _sizes(text: str) -> Iterator[Size]:
    if "x" not in text and "×" not in text and " high" not in text:
        return
    for found in _SIZE.finditer(text):
        yield Size(*found.span(), int(found["w"] or found["w2"]), int(found["h"] or found["h2"]))


def _strange(
    tokens: Sequence[Token],
    covered: frozenset[int],
    spans: Mapping[str, Sequence[tuple[int, int]]],
    found: Sequence[Mention],
    clauses: Clauses,
    *,
    measures: bool,
) -> Iterator[str]:
    cued = {place for kind in spans if kind not in _SILENT for start, end in spans[kind] for place in range(start, end)}
    known, numbers, units, severe = known_stems(), cues().numbers, unit_words(), severe_words()
    findings = {mention.start for mention in found if mention.key(CONCEPT)}
    for place, token in enumerate(tokens):
        if token.kind != WORD or place in covered:
            continue
        if token.low in _HEADINGS and place + 1 < len(tokens) and tokens[place + 1].raw == ":":
            continue
        if token.low in severe and (
            (place + 1 in findings and not clauses.is_verb(place))
            or (place + 1 in covered and tokens[max(0, place - 1)].low in _ARTICLES)
        ):
            yield token.raw
        elif (
            place in cued
            or token.stem in known
            or token.low in numbers
            or token.low in _PLAIN_SIDES
            or token.raw in _EYES
            or (token.low not in telling_adverbs() and _ADVERB.fullmatch(token.low))
            or (measures and token.stem in measuring_stems())
        ):
            continue
        elif not (token.stem in units and _after_number(tokens, place)):
            yield token.raw


def _after_number(tokens: Sequence[Token], place: int) -> bool:
    return any(token.kind == "number" or token.low in cues().numbers for token in tokens[max(0, place - 2) : place])


def _sides(tokens: Sequence[Token], covered: frozenset[int], found: Sequence[Mention]) -> Iterator[tuple[int, str]]:
    paired = {mention.start for mention in found if mention.key(PLACE) and not mention.key(CONCEPT)}
    for place, token in enumerate(tokens):
        word = _EYES.get(token.raw, token.low)
        if word == "both":
            following = tokens[place + 1 : place + 3]
            if following and following[0].low in _PLAIN_SIDES:
                continue  # `a stone and a cyst, both right-sided`
            if any(t.low.startswith("side") for t in following) or paired & {place + 1, place + 2}:
                word = "bilateral"
        elif word == "either" and any(t.low in ("side", "sides") for t in tokens[place + 1 : place + 2]):
            word = "bilateral"
        if word in SIDES and place not in covered:
            yield place, SIDES[word]


def _with_turned_names(
    tokens: Sequence[Token], found: tuple[Mention, ...], indexes: tuple[Index, ...]
) -> tuple[Mention, ...]:
    """With names that are told the other way round: `a tumor of the pituitary gland` is a pituitary tumor."""
    result = list(found)
    for mention, behind in itertools.pairwise(found):
        between = tokens[mention.end : behind.start]
        if (
            mention.key(CONCEPT) is None
            or behind.key(PLACE) is None
            or not between
            or between[0].low not in ("of", "in")
        ):
            continue
        if any(token.low not in ("of", "in", "the", *SIDES) for token in between):
            continue
        head = tuple(token.stem for token in tokens[mention.start : mention.end])
        for words in (tuple((behind.key(PLACE) or "").split(" ")), (tokens[behind.start].stem,)):
            names = ((*words, *head), (*head[:-1], *words, head[-1]))
            every = (index.meaning_of(name) for index in (*reversed(indexes), general_index()) for name in names)
            meaning = next((m for m in every if m is not None and m.kind == CONCEPT), None)
            if meaning is not None:
                result[result.index(mention)] = Mention(mention.start, mention.end, (meaning,), split=mention.split)
                result = [other for other in result if other is not behind]
                break
    return tuple(result)


def _with_shared_heads(
    tokens: Sequence[Token], found: tuple[Mention, ...], indexes: tuple[Index, ...]
) -> tuple[Mention, ...]:
    """With the findings that share their noun with one behind them: `subdural, epidural or subarachnoid hemorrhage`."""
    result = list(found)
    starts = {mention.start: mention for mention in found}
    covered = {place for mention in found for place in range(mention.start, mention.end) if mention.key(PLACE) is None}
    for mention in found:
        if mention.end - mention.start < 2 or mention.key(CONCEPT) is None:
            continue
        head, place = tokens[mention.end - 1].stem, mention.start
        while place > 1 and (tokens[place - 1].kind == COMMA or tokens[place - 1].low in _JOINTS):
            while place > 0 and (tokens[place - 1].kind == COMMA or tokens[place - 1].low in _JOINTS):
                place -= 1
            if place == 0 or place - 1 in covered or tokens[place - 1].kind != WORD:
                break
            place -= 1
            parts = (tokens[place].stem, head)
            meaning = next(
                (m for index in (*reversed(indexes), general_index()) if (m := index.meaning_of(parts))), None
            )
            if meaning is None or meaning.kind != CONCEPT:
                break
            if place in starts:
                result = [other for other in result if other.start != place]
            result.append(Mention(place, place + 1, (meaning,)))
    return tuple(sorted(result, key=lambda mention: mention.start))


def _with_predicates(tokens: Sequence[Token], found: tuple[Mention, ...]) -> tuple[Mention, ...]:
    """With the findings that are told as what an organ is: `the heart is enlarged`; its name is then no place."""
    known = predicates()
    result = list(found)
    for place, token in enumerate(tokens):
        if token.low not in known or any(mention.start <= place < mention.end for mention in found):
            continue
        subject = _subject(tokens, found, place)
        pairs = dict(known[token.low])
        keys = [pairs[meaning.key] for meaning in subject.meanings if meaning.key in pairs] if subject else []
        if subject is not None and keys:
            result = [mention for mention in result if mention is not subject]
            result.append(Mention(place, place + 1, (Meaning(CONCEPT, keys[0]),)))
    return tuple(sorted(result, key=lambda mention: mention.start))


def _with_contents(tokens: Sequence[Token], found: tuple[Mention, ...]) -> tuple[Mention, ...]:
    """With findings that are told as something in a place: `fluid is present in the left pleural space`."""
    result = list(found)
    for place, token in enumerate(tokens):
        if token.low not in contents() or any(mention.start <= place < mention.end for mention in found):
            continue
        behind = next((mention for mention in found if mention.start > place), None)
        key = contents()[token.low].get(behind.key(PLACE) or "") if behind is not None else None
        if behind is None or key is None:
            continue
        words = cues()
        between = tokens[place + 1 : behind.start]
        if all(
            t.low in words.auxiliaries or t.low in words.predicates or t.low in SIDES or t.low in _INSIDE
            for t in between
        ):
            result = [mention for mention in result if mention is not behind]
            result.append(Mention(place, place + 1, (Meaning(CONCEPT, key),)))
    return tuple(sorted(result, key=lambda mention: mention.start))


def _subject(tokens: Sequence[Token], found: Sequence[Mention], place: int) -> Mention | None:
    """The place in the body of which a word is said, with nothing but verbs and adverbs between."""
    before = [mention for mention in found if mention.end <= place]
    if not before or place - before[-1].end > _REACH:
        return None
    between = tokens[before[-1].end : place]
    words = cues()
    if not between or any(
        token.raw != ":"
        and token.low not in words.auxiliaries
        and token.low not in words.actives
        and token.low not in ("not", "never", "size", "also")
        and not token.low.endswith("ly")
        for token in between
    ):
        return None
    return before[-1]


def _floats(place: int, tokens: Sequence[Token], clauses: Clauses) -> bool:
    """True for a word that only repeats its subject: `nodule and mass are both absent`."""
    group = clauses.group_of(place)
    return tokens[place].low in ("all", "both", "each") and group is not None and group[0] < place


def _of_two(place: int, tokens: Sequence[Token], sides: Sequence[tuple[int, str]]) -> bool:
    """True where `both` speaks of two sides or joins two things: `both A and B`."""
    if tokens[place].low != "both":
        return False
    if place and tokens[place - 1].low == "or":
        return True  # `in one lung or both`
    if place + 1 < len(tokens) and (
        tokens[place + 1].stem in _LISTED or tokens[place + 1].low in ("of", "are", "were")
    ):
        return True  # the two that are named
    after = tokens[place + 1 : place + 4]
    if after and after[0].low in ("on", "in") and any(token.low in _PLAIN_SIDES for token in after):
        return True  # `hydronephrosis and a stone, both on the right`
    if any(at == place for at, _ in sides) or any(t.stem in IMAGE_STEMS for t in tokens[place + 1 : place + 3]):
        return True
    for token in tokens[place + 1 :]:
        if token.kind == STOP:
            return False
        if token.low == "and":
            return True
    return False
