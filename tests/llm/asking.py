"""Requests as builds make them, and engine settings that suit a test."""

from typing import Any, Final

from curate.language.base import Answer, Completer, Request
from curate.language.requests import request
from curate.testing.completers import no_images

SMALL: Final[dict[str, Any]] = {
    "enforce_eager": True,
    "dtype": "float32",
    "extra": {"kv_cache_memory_bytes": 2**28, "max_num_seqs": 16},
}
"""Engine options for a tiny model on a machine that others use too: quick to start, and exact."""

SHAPES: Final[dict[str, dict[str, Any]]] = {
    "a pair": {"question": {"type": "string", "minLength": 1}, "answer": {"type": "string", "minLength": 1}},
    "bounded": {
        "question": {"type": "string", "minLength": 1, "maxLength": 60},
        "answer": {"type": "string", "minLength": 1, "maxLength": 80},
    },
    "at least a word": {"answer": {"type": "string", "minLength": 3, "maxLength": 40}},
    "one of a few": {
        "side": {"enum": ["left", "right", "both"]},
        "answer": {"type": "string", "minLength": 1, "maxLength": 40},
    },
    "in Chinese": {
        "问题": {"type": "string", "minLength": 1, "maxLength": 30},
        "答案": {"type": "string", "minLength": 1, "maxLength": 30},
    },
    "a pattern": {"answer": {"type": "string", "pattern": "^[A-Z][a-z]{2,12}\\.$"}},
    "three": {name: {"type": "string", "minLength": 1, "maxLength": 20} for name in ("finding", "question", "answer")},
    "short": {
        "question": {"type": "string", "minLength": 1, "maxLength": 8},
        "answer": {"type": "string", "minLength": 1, "maxLength": 8},
    },
}
"""Properties of objects whose values are text, all of them required."""


def ask(number: int, properties: dict[str, Any] | None = None, **body: Any) -> Request:
    """A request for an object of text, sampled with its own seed."""
    wanted = properties or SHAPES["bounded"]
    schema = {"type": "object", "properties": wanted, "required": list(wanted), "additionalProperties": False}
    return request(
        {
            "model": "tiny",
            "messages": [
                {"role": "system", "content": "You write a pair in other words."},
                {"role": "user", "content": f"<data>{{'finding': 'nodule {number}'}}</data>"},
            ],
            "max_tokens": 256,
            "temperature": 0.8,
            "top_p": 0.95,
            "seed": number,
            "response_format": {"type": "json_schema", "json_schema": {"name": "pair", "schema": schema}},
        }
        | body
    )


def answers(completer: Completer, *requests: Request) -> dict[str, Answer]:
    """Request id -> answer; every request has one."""
    found = {outcome.request_id: outcome for outcome in completer.complete(requests, no_images)}
    told = {key: outcome for key, outcome in found.items() if isinstance(outcome, Answer)}
    assert set(told) == {each.request_id for each in requests}, [o for o in found.values() if o not in told.values()]
    return told
