"""From a brief to a request, and from an answer back to a question and an answer.

Two modes. `free`: the model gets the brief in words and writes the whole text; only coordinates stay placeholders.
`slots`: it gets the template with all placeholders, so that one answer serves every draft of one shape.
"""

import re
from collections import Counter
from collections.abc import Mapping
from typing import Any, Final

import msgspec

from curate.language.answers import Unreadable, read_object
from curate.language.base import Request
from curate.language.packs import KEYS, SLOT, Pack
from curate.language.requests import IMAGE_SCHEME, request
from curate.recipe import Rewrite
from curate.rows import Brief
from curate.schema import Reason, Refusal

__all__ = ["KEYS", "Written", "first_request", "read_answer", "repair_request"]

_BRACE: Final = re.compile(r"[{}]")
_ESCAPED: Final = {ord(mark): f"\\u{ord(mark):04x}" for mark in "<>[]"}
_BAD_TEXT: Final = 4000
"""So many characters of a refused answer are shown to the model again."""

_SCHEMA: Final = {
    "type": "object",
    "properties": {key: {"type": "string", "minLength": 1} for key in KEYS},
    "required": list(KEYS),
    "additionalProperties": False,
}


class Written(msgspec.Struct, frozen=True):
    """A question and an answer as a model wrote them, its placeholders filled."""

    question: str
    answer: str


def first_request(brief: Brief, variant: int, rewrite: Rewrite, pack: Pack, image_sha256: str | None) -> Request:
    """What is asked about a brief: the same for every draft with the same words, variant and image."""
    slots = rewrite.mode == "slots"
    text = f"{pack.voices[variant % len(pack.voices)]}\n{_data(_shown(brief, rewrite.mode))}"
    content: Any = text
    if image_sha256 is not None:
        content = [
            {"type": "image_url", "image_url": {"url": f"{IMAGE_SCHEME}{image_sha256}"}},
            {"type": "text", "text": text},
        ]
    messages = [{"role": "system", "content": f"{pack.system}\n{pack.slots if slots else pack.free}"}]
    for shot in pack.slot_shots if slots else pack.shots:
        messages.append({"role": "user", "content": _data(shot.data)})
        messages.append({"role": "assistant", "content": msgspec.json.encode(shot.says).decode()})
    messages.append({"role": "user", "content": content})
    body = {
        "model": rewrite.model,
        "messages": messages,
        "temperature": rewrite.temperature,
        "top_p": rewrite.top_p,
        "max_tokens": rewrite.max_tokens,
        "seed": rewrite.seed + variant,
        "response_format": {
            "type": "json_schema",
            "json_schema": {"name": "rewritten", "strict": True, "schema": _SCHEMA},
        },
        "metadata": {"prompt": pack.name, "revision": rewrite.revision or "", "variant": str(variant)},
    }
    return request(body)


def repair_request(asked: Request, text: str, problem: Refusal, pack: Pack) -> Request:
    """The one further request after an answer that was refused: the same, with that answer and its fault."""
    body: dict[str, Any] = msgspec.json.decode(asked.body)
    told = pack.repair.replace("{problem}", _data({"fault": _sentence(problem)}))
    body["messages"] += [
        {"role": "assistant", "content": text[:_BAD_TEXT].translate(_ESCAPED)},
        {"role": "user", "content": told},
    ]
    body["seed"] += 1
    return request(body)


def read_answer(text: str, finish_reason: str, brief: Brief, mode: str, language: str = "en") -> Written | Refusal:
    """The question and answer in a model's text, placeholders filled; or why they cannot be had."""
    found = read_object(text, KEYS)
    if isinstance(found, Unreadable):
        cut = finish_reason == "length" or found.kind == "truncated"
        return Refusal(Reason.TRUNCATED_ANSWER if cut else Reason.INVALID_ANSWER, found.kind)
    shown = _shown(brief, mode)
    words = brief.slots | (brief.zh if language == "zh" else {})
    known = {name: value for name, value in words.items() if mode == "slots" or name in brief.fixed}
    for key in KEYS:
        problem = _slot_problem(key, found[key], getattr(brief, key), " ".join(shown.values()), known)
        if problem is not None:
            return problem
    question, answer = (_capital(_filled(found[key], known).strip()) for key in KEYS)
    if not question or not answer:
        return Refusal(Reason.EMPTY_TEXT, "the question or the answer is empty")
    return Written(question, answer)


def _slot_problem(key: str, text: str, template: str, shown: str, known: Mapping[str, str]) -> Refusal | None:
    """What is wrong with the braces of a text: each placeholder as often as in its template, and no other.

    Words in braces that are no placeholder, but stood in what the model was shown, are words.
    """
    said, wanted = (Counter(SLOT.findall(each)) for each in (text, template))
    words = set(SLOT.findall(shown)) - known.keys()
    for name in sorted({*said, *wanted} - words):
        expected = wanted[name] if name in known else 0
        if said[name] != expected:
            times = f"{said[name]} times instead of {expected}"
            return Refusal(Reason.SLOT, f"the {key} holds the placeholder {name[:20]} {times}")
    if _BRACE.search(SLOT.sub("", text)) and not _BRACE.search(SLOT.sub("", shown)):
        return Refusal(Reason.SLOT, f"the {key} holds braces that belong to no placeholder")
    return None


def _shown(brief: Brief, mode: str) -> dict[str, str]:
    """What the model sees: the template in slots mode; in free mode with all but the fixed slots filled."""
    filled = {name: value for name, value in brief.slots.items() if mode == "free" and name not in brief.fixed}
    return {key: _filled(getattr(brief, key), filled) for key in KEYS}


def _filled(template: str, words: Mapping[str, str]) -> str:
    """A template with some of its slots filled; braces in the words stay what they are."""
    return SLOT.sub(lambda found: words.get(found[1], found[0]), template)


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]


def _data(fields: Mapping[str, str]) -> str:
    """Fields as data that cannot leave their place.

    No angle or square bracket of theirs stands in the prompt: no closing mark, and no turn of a chat template either.
    """
    encoded = msgspec.json.encode(dict(fields)).decode().translate(_ESCAPED)
    return f"<data>{encoded}</data>"


def _sentence(problem: Refusal) -> str:
    told = problem.detail or str(problem.reason).replace("_", " ")
    return f"{_capital(told)}."
