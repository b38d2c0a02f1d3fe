"""What a text tells of a class in general: word for word a reviewed descriptor of what is there, or nothing.

The descriptors are data of the tasks, `tasks/wordings/descriptors/`, read here independently of them. A draft whose
`constraints` say `knowledge` announces of which concepts it tells something; no other draft may hold such a sentence,
since without that announcement every rule reads it as a claim about the image, as which it is proved by nothing.

Taken out of the text are only whole sentences that stand in the files. Whatever is changed in one is thereby part of
the text again, and the announced sentence is missing: so a changed word, a sentence about another class and a sign that
is claimed of the image are all refused, whether or not another rule knows the words.
"""

import functools
import re
from collections.abc import Iterator, Mapping
from typing import Any, Final

import msgspec
import yaml

from curate.rows import Asset
from curate.schema import Reason, Refusal, State
from curate.verify.facts import Facts
from curate.verify.lexicon import attribute_key, concept_key
from curate.verify.own_terms import attributes_of
from curate.verify.reviewed import FRAMES, descriptor_texts

__all__ = ["Told", "check_told", "without_knowledge"]

_STOP: Final = re.compile(r"[.?!](?=\s|$)|\n")


class _Known(msgspec.Struct, frozen=True):
    """What one sentence is about, and on which images it is seen (no `anatomy`: wherever). `signs`: its concept's."""

    concepts: frozenset[str]
    modality: frozenset[str]
    anatomy: frozenset[str]
    signs: tuple[str, ...]


class Told(msgspec.Struct, frozen=True):
    """The sentences about classes in general that were taken out of a draft, and the concepts that were announced.

    Of each sentence all that it is reviewed for: one may be true of two classes, or on two kinds of image.
    """

    asked: tuple[tuple[_Known, ...], ...]
    answered: tuple[tuple[_Known, ...], ...]
    announced: tuple[str, ...]


@functools.cache
def _sentences() -> Mapping[str, tuple[_Known, ...]]:
    """Every reviewed sentence as it must stand. One sentence may be in several files, each with its own images."""
    files: dict[str, Any] = {name: yaml.safe_load(text) for name, text in descriptor_texts()}
    frames = files.pop(FRAMES)["frames"]
    found: dict[str, list[_Known]] = {}
    for file in files.values():
        modality = frozenset(attribute_key("modality", name) for name in file["seen_by"])
        anatomy = frozenset(attribute_key("anatomy", name) for name in file["anatomy"])
        for concept in file["concepts"]:
            names = frozenset(map(concept_key, (_bare(concept["name"]), *concept["also"])))
            known = _Known(names, modality, anatomy, tuple(sign["sign"] for sign in concept["signs"]))
            for sign, frame in ((sign["sign"], frame) for sign in concept["signs"] for frame in frames):
                sentence = str(frame).replace("{name}", concept["name"]).replace("{sign}", sign)
                found.setdefault(sentence[:1].upper() + sentence[1:], []).append(known)
    return {sentence: tuple(known) for sentence, known in found.items()}


def _bare(name: str) -> str:
    return re.sub(r"^(?:an?|the) ", "", name)


def without_knowledge(asked: Mapping[str, Any], question: str, answer: str) -> tuple[str, str, Told | None]:
    """Question and answer without reviewed sentences, and what these told; untouched where none was announced."""
    announced = asked.get("knowledge")
    if not isinstance(announced, list) or not announced:
        return question, answer, None
    question, in_question = _taken_out(question)
    answer, in_answer = _taken_out(answer)
    return question, answer, Told(in_question, in_answer, tuple(map(str, announced)))


def _taken_out(text: str) -> tuple[str, tuple[tuple[_Known, ...], ...]]:
    kept: list[str] = []
    found: list[tuple[_Known, ...]] = []
    for sentence in _split(text):
        known = _sentences().get(sentence.strip())
        if known is None:
            kept.append(sentence)
        else:
            found.append(known)
    return ("".join(kept) if found else text), tuple(found)


def _split(text: str) -> Iterator[str]:
    """Sentences with the space before them: a stop ends one only before a space or at the end."""
    place = 0
    for found in _STOP.finditer(text):
        yield text[place : found.end()]
        place = found.end()
    if place < len(text):
        yield text[place:]


def check_told(told: Told, ask: str, concept: str | None, facts: Facts, rest: str) -> Refusal | None:
    """A refusal unless each announced concept has its sentence, and each sentence is of one that may be described.

    `rest` is what else the text says: it claims no sign of them in the words of the files.

    In an answer that is a concept which is present; in a question the one that it asks about, whatever the answer.
    """
    sentences = [*told.asked, *told.answered]
    if len(sentences) != len(told.announced):
        return Refusal(Reason.LABEL_MISSING, "a sentence about a class in general is not a reviewed one, word for word")
    if any(sign.lower() in rest.lower() for known in sentences for one in known for sign in one.signs):
        return Refusal(Reason.LABEL_INVENTED, "the text claims of the image what is only known of a class in general")
    keys = [concept_key(name) for name in told.announced]
    images = [_seen(asset) for asset in facts.assets]
    for known, key in zip(sentences, keys, strict=True):
        if not any(key in one.concepts and all(_fits(one, *image) for image in images) for one in known):
            return Refusal(Reason.LABEL_INVENTED, f"a general sentence is not of {key!r}, or not of such an image")
    asked = concept_key(concept) if ask == "presence" and concept else None
    if any(key != asked for key in keys[: len(told.asked)]):
        return Refusal(Reason.LABEL_INVENTED, "the question describes what it does not ask about")
    for key in keys[len(told.asked) :]:
        if facts.states.get(key) != {State.PRESENT}:
            return Refusal(Reason.LABEL_INVENTED, f"the answer describes {key!r}, which is not known to be there")
    return None


def _seen(asset: Asset) -> tuple[str | None, str | None]:
    words = dict(attributes_of(asset))
    modality, anatomy = words.get("modality"), words.get("anatomy")
    return modality and attribute_key("modality", modality), anatomy and attribute_key("anatomy", anatomy)


def _fits(known: _Known, modality: str | None, anatomy: str | None) -> bool:
    return modality in known.modality and (not known.anatomy or anatomy in known.anatomy)
