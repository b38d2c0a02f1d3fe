"""What an OpenAI-compatible server says: an answer, or why there is none, told from the many words servers have for it.

Statuses follow RFC 9110; the shape of a completion is that of the chat completions of the OpenAI API. The words for a
prompt that is too long are those of vLLM, llama.cpp, Text Generation Inference, SGLang, OpenAI, Anthropic and Gemini.
What a server says is read here and goes no further: it may quote the prompt.
"""

import json
import re
from collections.abc import Iterator, Mapping
from enum import StrEnum
from typing import Any, Final

import msgspec

from curate.language.base import Answer, Failure, Trouble

__all__ = ["Kind", "Refusal", "outcome_of", "parsed", "refusal_of"]

MAX_READ: Final = 20_000
"""Characters of an error that are looked at: where a server quotes the prompt, it speaks first."""

MAX_NAME: Final = 200
"""Characters of a model's name or of a finish reason."""

SAYING: Final = frozenset(
    {"code", "detail", "error", "error_type", "errors", "innererror", "loc", "message", "metadata", "msg", "param"}
    | {"raw", "reason", "reasons", "title", "type"}
)
"""Keys of an error that say what is wrong."""

TOO_LONG: Final = re.compile(
    r"context[ _-]?(?:length|size|window|limit)"
    r"|maximum (?:model|input|prompt|sequence) length|max_model_len|model max length"
    r"|(?:prompt|input|request|messages?)\b[^.]{0,60}\btoo (?:long|large)|too many (?:input |prompt )?tokens"
    r"|must have less than \d+ tokens|`?inputs`? tokens \+ `?max_new_tokens`?"
    r"|input token count[^.]{0,40}exceeds|exceeds? the (?:available|maximum)[^.]{0,40}(?:context|tokens)"
    r"|string_above_max_length|request_too_large"
)
POLICY: Final = re.compile(
    r"content[ _](?:policy|filter|management|moderation)|content_policy_violation|responsibleaipolicy"
    r"|data_inspection_failed|inappropriate content|\bmoderation\b|\bflagged\b|safety (?:system|filter|policy|reasons)"
    r"|usage polic|敏感|违规|不当内容"
)
FORMAT: Final = re.compile(r"response_format|json_schema|json_object|json schema|guided|structured[ _-]?output|grammar")
NO_MODEL: Final = re.compile(
    r"model_not_found|model_decommissioned|model\b[^.]{0,120}(?:does not exist|not found|not exist|decommissioned"
    r"|not available)|(?:invalid|unknown|no such) model"
)
NO_PAGE: Final = "there are no chat completions at this address; correct `url`, which often ends with /v1"
NO_KEY: Final = "it wants a valid key; set the environment variable that `key_env` names"
REMEDIES: Final = {
    401: NO_KEY,
    402: "the account has no credit left; top it up",
    404: NO_PAGE,
    405: NO_PAGE,
    407: "the proxy of the environment wants a password; put it into the address of the proxy",
    501: NO_PAGE,
    505: NO_PAGE,
}
"""Statuses that no other request would change: what to do."""

NO_QUOTA: Final = re.compile(r"insufficient_quota|exceeded your current quota|insufficient (?:balance|credit)|billing")


class Kind(StrEnum):
    """What an answer without an answer means."""

    AGAIN = "again"  # another moment may change it
    REFUSED = "refused"  # this request will never be answered
    FORMAT = "format"  # the server does not know how to keep to a schema
    UNCLEAR = "unclear"  # either this request is wrong for the model, or every one is
    BARRED = "barred"  # the key is good no more, or a gateway lets this text not pass
    SETUP = "setup"  # nothing can be answered before a person has changed something


class Refusal(msgspec.Struct, frozen=True):
    """Why there is no answer, in our own words."""

    kind: Kind
    trouble: Trouble
    detail: str
    remedy: str = ""


def refusal_of(status: int, data: bytes) -> Refusal:
    """What a status other than 200 and its body mean."""
    said = _words(data)
    if status == 429:
        return _busy(said)
    if TOO_LONG.search(said) and status in (400, 422, 500):  # llama.cpp says it with 500
        return Refusal(Kind.REFUSED, Trouble.REQUEST_TOO_LONG, f"HTTP {status}, more than the context of the model")
    if status == 413:
        return Refusal(Kind.REFUSED, Trouble.REQUEST_TOO_LONG, f"HTTP {status}, more bytes than the server takes")
    if status in (408, 504):
        return Refusal(Kind.AGAIN, Trouble.TIMEOUT, f"HTTP {status}")
    if status in (409, 425) or (status >= 500 and status not in REMEDIES):
        return Refusal(Kind.AGAIN, Trouble.SERVER_ERROR, f"HTTP {status}")
    if status in (400, 403, 422) and POLICY.search(said):
        return Refusal(Kind.REFUSED, Trouble.MODEL_REFUSED, f"HTTP {status}, content policy")
    if status == 403:
        return Refusal(Kind.BARRED, Trouble.MODEL_REFUSED, "HTTP 403", NO_KEY)
    if status == 404 and NO_MODEL.search(said):
        return Refusal(Kind.SETUP, Trouble.SERVER_ERROR, "HTTP 404", "it does not know the model; correct `model`")
    if status in REMEDIES:
        return Refusal(Kind.SETUP, Trouble.SERVER_ERROR, f"HTTP {status}", REMEDIES[status])
    if status < 400:
        return Refusal(Kind.SETUP, Trouble.SERVER_ERROR, f"HTTP {status}", "it sends elsewhere; give the final `url`")
    kind = Kind.FORMAT if FORMAT.search(said) else Kind.UNCLEAR
    return Refusal(kind, Trouble.MODEL_REFUSED, f"HTTP {status}")


def _busy(said: str) -> Refusal:
    if NO_QUOTA.search(said):
        return Refusal(Kind.SETUP, Trouble.RATE_LIMITED, "HTTP 429", "the account has no quota left; top it up")
    return Refusal(Kind.AGAIN, Trouble.RATE_LIMITED, "HTTP 429")


def outcome_of(request_id: str, completion: Any, engine: str) -> Answer | Failure | Refusal:
    """The answer that a chat completion holds; a failure where the model refused; a refusal where it is none."""
    if not isinstance(completion, dict):
        return Refusal(Kind.AGAIN, Trouble.SERVER_ERROR, "an answer that is no JSON object")
    if completion.get("error") and not completion.get("choices"):  # gateways say so with status 200
        code = completion["error"].get("code") if isinstance(completion["error"], dict) else None
        status = code if isinstance(code, int) and 400 <= code < 600 else 500
        return refusal_of(status, json.dumps(completion).encode())
    choices = completion.get("choices")
    choice = choices[0] if isinstance(choices, list) and choices else None
    message = choice.get("message") if isinstance(choice, dict) else None
    if not isinstance(choice, dict) or not isinstance(message, dict):
        return Refusal(Kind.AGAIN, Trouble.SERVER_ERROR, "an answer without choices")
    text = _text(message.get("content"))
    reason = str(choice.get("finish_reason") or "unknown")[:MAX_NAME]
    if not text.strip() and (message.get("refusal") or reason == "content_filter"):
        return Failure(request_id, Trouble.MODEL_REFUSED, "the model refused")
    usage = completion.get("usage")
    counts: Mapping[str, Any] = usage if isinstance(usage, dict) else {}
    return Answer(
        request_id,
        text=_clean(text),
        finish_reason=_clean(reason),
        model=_clean(str(completion.get("model") or "unknown")[:MAX_NAME]),
        engine=engine,
        prompt_tokens=_count(counts.get("prompt_tokens")),
        completion_tokens=_count(counts.get("completion_tokens")),
    )


def parsed(data: bytes) -> Any:
    """JSON as servers write it: also with lone surrogates, which strict parsers refuse; null where it is none."""
    try:
        return msgspec.json.decode(data)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        pass
    try:
        return json.loads(data)
    except (ValueError, RecursionError):
        return None


def _text(content: Any) -> str:
    """The text of a message, which some servers give in parts."""
    if isinstance(content, str):
        return content
    parts = content if isinstance(content, list) else []
    texts = [part.get("text") for part in parts if isinstance(part, dict) and part.get("type") == "text"]
    return "".join(text for text in texts if isinstance(text, str))


def _clean(text: str) -> str:
    """Text that can be written as UTF-8: a lone surrogate becomes U+FFFD."""
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def _count(value: Any) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 2**31 else None


def _words(data: bytes) -> str:
    """The words of an error in lower case: the values of its JSON that say what it is, or the page as it is."""
    found = parsed(data[: 64 * MAX_READ])
    if isinstance(found, dict | list):
        return " ".join(_sayings(found, 4)).lower()[:MAX_READ]
    return data[:MAX_READ].decode("utf-8", "replace").lower()


def _sayings(value: Any, depth: int) -> Iterator[str]:
    """Strings below the keys that say what is wrong: others, such as pydantic's `input`, quote the request."""
    if isinstance(value, str):
        yield value
    elif depth and isinstance(value, dict):
        for key, item in value.items():
            if key in SAYING:
                yield from _sayings(item, depth - 1)
    elif depth and isinstance(value, list):
        for item in value[:100]:
            yield from _sayings(item, depth - 1)
