"""False general knowledge: a word of a reviewed sentence changed, the sentence of another class, a sign claimed here.

The sentence is that which the row's own brief gives; nothing else of the row is changed. Other sentences come from the
reviewed files themselves. A sentence that is not word for word reviewed is a lie by the house's own rule, so that every
change of it counts; those made here change its sense.
"""

import re
from collections.abc import Iterator, Mapping
from functools import cache

import msgspec

from bench.verify.facts import Facts
from bench.verify.mutators import Change, Make
from bench.verify.rows import Draw, Row
from curate.tasks.descriptors import descriptors
from curate.tasks.kin import akin

__all__ = ["KINDS"]

TURNED = (
    ("large", "small"), ("larger", "smaller"), ("more", "less"), ("left", "right"), ("white", "dark"),
    ("whiter", "darker"), ("above", "below"), ("upper", "lower"), ("with", "without"), ("pale", "dark"),
    ("wider", "narrower"), ("inner", "outer"), ("short", "long"), ("blurred", "sharp"), ("enlarged", "shrunken"),
    ("increased", "reduced"), ("loss", "gain"), ("deep", "shallow"), ("round", "square"), ("red", "blue"),
    ("half", "twice"), ("third", "quarter"), ("between", "outside"), ("one", "two"), ("thin", "thick"),
)  # fmt: skip
MODALS = (("can be recognised", "cannot be recognised"), ("can typically be", "can never be"), ("would be", "is not"),
          ("A typical feature", "The only feature"), ("In general", "In this image"))  # fmt: skip


def _sentence(row: Row) -> str | None:
    """The sentence of general knowledge in a row."""
    if row.draft.brief is None or row.language != "en":
        return None
    slots = msgspec.json.decode(row.draft.brief).get("slots", {})
    sentence = slots.get("knowledge")
    return sentence if isinstance(sentence, str) and sentence in f"{row.question} {row.answer}" else None


def _put(row: Row, sentence: str, other: str, why: str) -> Change:
    if sentence in row.answer:
        return Change(why, answer=row.answer.replace(sentence, other))
    return Change(why, question=row.question.replace(sentence, other))


def changed(row: Row, facts: Facts, draw: Draw) -> Iterator[Change]:
    """A word of the sign turned into its contrary."""
    sentence = _sentence(row)
    if sentence is None:
        return
    turns = (*TURNED, *((second, first) for first, second in TURNED))
    made = [re.sub(rf"\b{first}\b", second, sentence, count=1) for first, second in turns]
    for other in draw.some("turned", [one for one in made if one != sentence], 3):
        yield _put(row, sentence, other, "no reviewed sentence says so")


def bent(row: Row, facts: Facts, draw: Draw) -> Iterator[Change]:
    """What is usual told as what is never so, as the only sign, or of this image."""
    sentence = _sentence(row)
    if sentence is None:
        return
    for first, second in MODALS:
        if first in sentence:
            yield _put(row, sentence, sentence.replace(first, second, 1), "the sign is told otherwise than reviewed")


@cache
def _told() -> Mapping[str, tuple[tuple[str, str], ...]]:
    """Name of each concept: its signs and the file."""
    found: dict[str, list[tuple[str, str]]] = {}
    for file, held in descriptors().items():
        for concept in held.concepts:
            found.setdefault(concept.name, []).extend((one.sign, file) for one in concept.signs)
    return {name: tuple(signs) for name, signs in found.items()}


def of_another(row: Row, facts: Facts, draw: Draw) -> Iterator[Change]:
    """The sign of another class told of this one, and a whole sentence about another class."""
    sentence = _sentence(row)
    if sentence is None:
        return
    here = next(
        (
            (n, sign, file)
            for n, signs in _told().items()
            for sign, file in signs
            if sign in sentence and n.lower() in sentence.lower()
        ),
        None,
    )
    if here is None:
        return
    name, sign, file = here
    others = [
        (n, other)
        for n, signs in _told().items()
        if not akin(n, name)
        for other, of in signs
        if of == file and other != sign
    ]
    for other_name, other in draw.some("other", others, 2):
        yield _put(row, sentence, sentence.replace(sign, other), f"{other!r} is no reviewed sign of {name}")
        whole = sentence.replace(sign, other)
        whole = re.sub(re.escape(name), other_name, whole, flags=re.IGNORECASE)
        yield _put(row, sentence, whole[:1].upper() + whole[1:], f"{other_name} is not what the row speaks of")


def claimed(row: Row, facts: Facts, draw: Draw) -> Iterator[Change]:
    """The sign told of the image at hand, beside the sentence and in its place."""
    sentence = _sentence(row)
    if sentence is None:
        return
    sign = next((sign for signs in _told().values() for sign, _ in signs if sign in sentence), None)
    if sign is None:
        return
    claim = draw.pick("way", [f"The image shows {sign}.", f"There is {sign}.", f"Here one sees {sign}."])
    behind = "" if row.answer.endswith((".", "!")) else "."
    yield Change("that this image shows the sign, nothing tells", answer=f"{row.answer}{behind} {claim}")
    if sentence in row.answer:
        yield _put(row, sentence, claim, "that this image shows the sign, nothing tells")


KINDS: Mapping[str, Make] = {
    "knowledge_changed": changed,
    "knowledge_bent": bent,
    "knowledge_of_another": of_another,
    "knowledge_claimed": claimed,
}
