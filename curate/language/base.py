"""What a completer is: distinct requests go in, one outcome for each comes out. It knows no annotation."""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from enum import StrEnum
from typing import Any, ClassVar, Protocol

import msgspec

from curate.card import Struct
from curate.errors import CurateError

__all__ = [
    "Answer",
    "Completer",
    "CompleterError",
    "CompleterOptions",
    "Failure",
    "ImageSource",
    "Outcome",
    "Picture",
    "Request",
    "Trouble",
    "UnansweredError",
    "Where",
]


class CompleterError(CurateError):
    """The engine as a whole cannot work: it does not start, is not installed, or its server is not there."""


class Where(StrEnum):
    """Who sees what is sent."""

    LOCAL = "local"  # this machine, or one that the recipe says is ours
    REMOTE = "remote"  # a third party


class Trouble(StrEnum):
    """Why a request got no answer."""

    # definitive: asking again would give the same, so this is stored as the answer
    MODEL_REFUSED = "model_refused"  # the server will not answer this request (content policy, invalid for this model)
    REQUEST_TOO_LONG = "request_too_long"
    # transient: nothing is stored, and the request is sent again by a later build
    UNREACHABLE = "unreachable"
    TIMEOUT = "timeout"
    RATE_LIMITED = "rate_limited"
    SERVER_ERROR = "server_error"
    NOT_YET = "not_yet"  # a batch file waits to be answered
    NOT_STORED = "not_stored"  # replay: the answer store does not hold it

    @property
    def is_definitive(self) -> bool:
        """True where the same request would fail again."""
        return self in (Trouble.MODEL_REFUSED, Trouble.REQUEST_TOO_LONG)


class UnansweredError(CompleterError):
    """Some requests of a part got no answer this time: it is not built, and what was answered is stored."""

    def __init__(self, troubles: Counter[Trouble], detail: str) -> None:
        self.troubles = troubles
        self.detail = detail
        told = ", ".join(f"{trouble} {n:,}" for trouble, n in sorted(troubles.items()))
        super().__init__(f"{troubles.total():,} requests got no answer ({told}){f': {detail}' if detail else ''}")


class Picture(msgspec.Struct, frozen=True):
    """An image that goes along with a request."""

    media_type: str
    data: bytes


ImageSource = Callable[[str], Picture]
"""sha256 of an image -> the image. A request names it in its body as `curate:<sha256>` where a URL is expected."""


class Request(msgspec.Struct, frozen=True):
    """One distinct request: its id and the canonical JSON of an OpenAI chat completion body, see `requests`."""

    request_id: str
    body: bytes


class Answer(msgspec.Struct, frozen=True):
    """What a model answered. Tokens are null where the engine does not count them."""

    request_id: str
    text: str
    finish_reason: str  # stop | length | ... as the engine says it
    model: str  # as the engine names it
    engine: str  # its name and version: `vllm 0.32.0`, `openai`
    prompt_tokens: int | None = None
    completion_tokens: int | None = None


class Failure(msgspec.Struct, frozen=True):
    """Why a request got no answer. `detail` holds neither prompt nor secrets: a status code, a type name, seconds."""

    request_id: str
    trouble: Trouble
    detail: str = ""


Outcome = Answer | Failure


class CompleterOptions(Struct, frozen=True):
    """Base of a completer's own settings in a recipe: how requests are sent, never what is asked."""


class Completer(Protocol):
    """One way to get requests answered.

    `place` is asked when a build is planned, before anything starts; the constructor may start an engine. `complete`
    takes requests as it has room for them (bounded in flight) and yields one outcome for each, in any order; the
    trouble of one request is its `Failure`, never an exception. An outcome that was handed out may bring another
    request: `requests`, once exhausted, may have more, so whoever can add to what is running asks its iterator again
    before the call ends; what is left then is asked by another call. `close` gives back what the engine holds.

    Raises:
        CompleterError: the engine as a whole cannot work.
    """

    name: ClassVar[str]
    Options: ClassVar[type[CompleterOptions]]

    def __init__(self, model: str, revision: str | None, options: Any) -> None: ...

    @staticmethod
    def place(options: Any) -> Where:
        """Who would see what is sent."""
        ...

    def complete(self, requests: Iterable[Request], images: ImageSource) -> Iterator[Outcome]:
        """One outcome for each request."""
        ...

    def close(self) -> None:
        """Stop the engine."""
        ...
