"""Conversations of several turns: each turn is judged by itself, by every rule, as if it were the only one.

`constraints` of such a draft hold what each turn asked, in order. A turn about a group names all that the group holds
in its question, so that no tree needs to be trusted: `any_of` is true where one of them is stated present, false where
each of them is absent. Its answer is yes or no and says nothing further.
"""

import re
from collections.abc import Mapping
from typing import Any, Final

import msgspec

from curate.rows import Draft, Message
from curate.schema import Origin, Reason, Refusal, State
from curate.verify.lexicon import concept_key
from curate.verify.reading import Reading
from curate.verify.rules import no

__all__ = ["GROUP", "judge_group", "turns_of"]

GROUP: Final = "any_of"
"""A question whether at least one of several findings is there."""
_TURN: Final = 2
_IMAGE: Final = "<image>"
_REST: Final = r"(?: of (?:them|these|those))?(?: (?:is|are)(?: present| visible| seen)?)?"
_MORE: Final = re.compile(r"[.!?;\n。！？；]")
_ANSWER: Final = re.compile(
    rf"(?:(?P<yes>yes)(?:, (?:it (?:does|is)|at least one{_REST}))?|no(?:, (?:it (?:does|is) not|none{_REST}))?)\.?",
    re.IGNORECASE,
)


def turns_of(draft: Draft) -> tuple[Draft, ...] | Refusal | None:
    """One draft per turn, each with the images before its question; None for a draft of one turn, or of a source.

    A conversation whose turns do not say what they ask is refused, because it could not be judged.
    """
    if draft.origin is Origin.SOURCE:
        return None
    asked = _decoded(draft.constraints)
    several = len(draft.messages) > _TURN
    if asked.get("ask") != "dialogue":
        if several and asked.get("ask") != "source":
            return no(Reason.CONSISTENCY, "a conversation of several turns does not say what each of them asks")
        return None
    told = asked.get("turns")
    if not isinstance(told, list) or len(told) * _TURN != len(draft.messages):
        return no(Reason.CONSISTENCY, "the conversation has other turns than it says")
    if _is_given_away(told, [message.content for message in draft.messages[1::_TURN]]):
        return no(Reason.ANSWER_IN_QUESTION, "a turn asks what an earlier one answered")
    return tuple(_turn(draft, number, told[number]) for number in range(len(told)))


def _is_given_away(told: list[Any], answers: list[str]) -> bool:
    """True where two turns ask the same, a finding after a denied group, or a group after a finding of it that held."""
    asked = [msgspec.json.encode(turn, order="deterministic") for turn in told]
    denied: set[str] = set()
    affirmed: set[str] = set()
    for turn, answer in zip(told, answers, strict=True):
        if not isinstance(turn, dict):
            continue
        if concept_key(str(turn.get("concept"))) in denied:
            return True
        if turn.get("ask") == GROUP and not affirmed.isdisjoint(_keys_of(turn)):
            return True
        if turn.get("ask") == GROUP and answer.strip().casefold().startswith("no"):
            denied |= _keys_of(turn)
        if turn.get("ask") == "presence" and answer.strip().casefold().startswith("yes"):
            affirmed.add(concept_key(str(turn.get("concept"))))
    return len(set(asked)) < len(asked)


def _keys_of(asked: Mapping[str, Any]) -> set[str]:
    concepts = asked.get("concepts")
    return {concept_key(name) for name in concepts if isinstance(name, str)} if isinstance(concepts, list) else set()


def _decoded(constraints: str) -> Mapping[str, Any]:
    try:
        raw = msgspec.json.decode(constraints)
    except msgspec.DecodeError:
        return {}
    return raw if isinstance(raw, dict) else {}


def _turn(draft: Draft, number: int, asked: object) -> Draft:
    question, answer = draft.messages[_TURN * number : _TURN * number + _TURN]
    if number:
        question = Message(question.role, f"{_IMAGE}\n" * len(draft.asset_ids) + question.content)
    constraints = msgspec.json.encode(asked, order="deterministic").decode()
    return msgspec.structs.replace(draft, messages=[question, answer], constraints=constraints)


def judge_group(reading: Reading) -> Refusal | None:
    """Why a turn about a group of findings is wrong: it names others than it asks, or its answer does not follow."""
    keys = _keys_of(reading.asked)
    if not keys or {key for key in keys if not reading.facts.names(key)}:
        return no(Reason.CONSISTENCY, "the group holds what no label set of the image can name")
    if _MORE.search(reading.prose[0].strip().rstrip("?？")):
        return no(Reason.ANSWER_IN_QUESTION, "the question about a group says more than it asks")
    if reading.question.concepts != keys or len(reading.question.keyed) > len(keys):
        return no(Reason.CONSISTENCY, "the question names other findings than its group holds")
    found = _ANSWER.fullmatch(reading.answer.text.strip())
    if found is None:
        return no(Reason.CONSISTENCY, "the answer about a group is not yes or no alone")
    yes = found["yes"] is not None
    states = [reading.facts.state(key) for key in sorted(keys)]
    if yes and State.PRESENT not in states:
        return no(Reason.LABEL_INVENTED, "none of the group is stated present")
    if not yes and any(state is not State.ABSENT for state in states):
        return no(Reason.NEGATION, "not all of the group are stated absent")
    return None
