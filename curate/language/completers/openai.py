"""openai: any server that speaks the chat completions of the OpenAI API, many requests at a time over HTTP.

A request is tried again, after a wait, while another moment may help: 408, 409, 425, 429, 5xx, a broken connection, no
answer in time; `Retry-After` is heeded. A refusal counts as one of the request only where the server has answered
others of its shape, or a short probe of it. What a server says never stands in a message: it may quote the prompt.
"""

import logging
import os
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from queue import SimpleQueue
from typing import Annotated, Any, ClassVar, Final
from urllib.parse import urlsplit

import msgspec
from msgspec import Meta

from curate.language.base import (
    Answer,
    CompleterError,
    CompleterOptions,
    Failure,
    ImageSource,
    Outcome,
    Request,
    Trouble,
    Where,
)
from curate.language.chat import Kind, Refusal, outcome_of, parsed, refusal_of
from curate.language.pace import Bucket, backoff_s, retry_after_s
from curate.language.probe import has_images, probe_of
from curate.language.requests import wire_body
from curate.language.wire import CertificateError, UnansweredError, Wire, is_loopback

__all__ = ["OpenAI", "OpenAIOptions"]

PATH: Final = "/chat/completions"
MAX_ANSWER_BYTES: Final = 4 * 2**20
LONGEST_RETRY_AFTER_S: Final = 120.0
"""The most that a server's `Retry-After` is heeded."""

FEWEST_IN_A_ROW: Final = 16
"""So many requests without one answer, or as many as go out at once, and the server is taken to be gone."""

FORMATS: Final = ("json_schema", "json_object", "text")
"""What holds an answer to its form, from the strictest on."""

LOG: Final = logging.getLogger(__name__)

Variable = Annotated[str, Meta(pattern=r"^[A-Za-z_][A-Za-z0-9_]*$")]
Header = Annotated[str, Meta(pattern=r"^[A-Za-z0-9-]+$")]


class OpenAIOptions(CompleterOptions, frozen=True):
    """Where the server is and how it is asked."""

    url: str
    """Its address up to `/v1`, such as http://127.0.0.1:8000/v1."""

    key_env: Variable | None = None
    """The environment variable that holds the key; the key itself never stands in a recipe."""

    headers_env: dict[Header, Variable] = {}
    """Further headers: name -> the environment variable that holds the value."""

    where: Where | None = None
    """Who reads what is sent. Null: this machine's own addresses are local, all others a third party."""

    concurrency: Annotated[int, Meta(ge=1, le=4096)] = 64
    timeout_s: Annotated[float, Meta(gt=0, le=86_400)] = 300.0
    """Of one attempt as a whole."""

    retries: Annotated[int, Meta(ge=0, le=20)] = 6
    give_up_s: Annotated[float, Meta(gt=0, le=86_400)] = 1800.0
    """The longest that a request may take with all its attempts."""

    requests_per_minute: Annotated[float, Meta(gt=0)] | None = None
    tokens_per_minute: Annotated[float, Meta(gt=0)] | None = None
    """Of prompts (four bytes count as one token, images as none) and answers (`max_tokens`) until they are counted."""

    def __post_init__(self) -> None:
        try:
            parts = urlsplit(self.url)
            is_address = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
        except ValueError:
            is_address = False
        if not is_address or parts.query or parts.fragment:
            raise ValueError("url must be an http or https address such as http://127.0.0.1:8000/v1")
        if parts.username is not None or parts.password is not None:
            raise ValueError("url must hold no user and no password; name the variable with the key in key_env")
        if (self.key_env or self.headers_env) and parts.scheme == "http" and not is_loopback(self.url):
            raise ValueError("url must begin with https where a key is sent over a network")


class _SetupError(Exception):
    """Nothing can be answered. The text follows "the server at ..." and says what to do."""


class OpenAI:
    """One server. The trouble of a request is its outcome; that of the server as a whole a `CompleterError`."""

    name: ClassVar[str] = "openai"
    Options: ClassVar[type[CompleterOptions]] = OpenAIOptions

    def __init__(self, model: str, revision: str | None, options: OpenAIOptions) -> None:
        self._options = options
        self._address = urlsplit(options.url).netloc
        self._shapes = _Shapes(self._address)
        limits = (options.requests_per_minute, options.tokens_per_minute)
        self._requests, self._tokens = (None if limit is None else Bucket(limit) for limit in limits)
        self._wire = Wire(
            options.url,
            _secrets(options),
            connections=options.concurrency,
            through_proxy=self.place(options) is Where.REMOTE and not is_loopback(options.url),
        )

    @staticmethod
    def place(options: OpenAIOptions) -> Where:
        """Local on this machine's own addresses, or where the recipe says so."""
        return options.where or (Where.LOCAL if is_loopback(options.url) else Where.REMOTE)

    def close(self) -> None:
        """Close the connections."""
        self._wire.close()

    def complete(self, requests: Iterable[Request], images: ImageSource) -> Iterator[Outcome]:
        """One outcome for each request, as they come.

        Requests are taken, and their images fetched, in the caller's thread: as many as go out at once, and as many
        again, so that the server has something to do while the caller writes.
        """
        iterator = iter(requests)
        done: SimpleQueue[Outcome | BaseException] = SimpleQueue()
        run = _Run(max(FEWEST_IN_A_ROW, self._options.concurrency))
        pool = ThreadPoolExecutor(self._options.concurrency, thread_name_prefix="curate request")
        waiting = 0
        try:
            while True:
                while not run.stop.is_set() and waiting < 2 * self._options.concurrency:
                    asked = next(iterator, None)
                    if asked is None:
                        break
                    pool.submit(_put, done, self._ask, asked, wire_body(asked, images), run)
                    waiting += 1
                if not waiting:
                    break
                found = done.get()
                waiting -= 1
                run.note(found)
                if not isinstance(found, BaseException):
                    yield found
        finally:
            run.stop.set()
            run.abort.set()
            pool.shutdown(wait=True, cancel_futures=True)
        run.judge(self._address)

    def _ask(self, asked: Request, body: dict[str, Any], run: "_Run") -> Outcome:
        """One request with all its attempts.

        Raises:
            _SetupError: it cannot be answered before a person has changed something.
        """
        level = self._shapes.level if _wants_schema(body) else 0
        attempt = 0
        self._pace(asked, body, run)
        ends = time.monotonic() + self._options.give_up_s
        while not run.stop.is_set():
            found, asked_wait_s = self._once(asked, body, level, ends, run)
            if not isinstance(found, Refusal):
                if isinstance(found, Answer):
                    self._shapes.answered(body, level)
                return found
            if found.kind is Kind.SETUP:
                raise _SetupError(f"answers with {found.detail}: {found.remedy}")
            if found.kind is Kind.FORMAT and _wants_schema(body) and level + 1 < len(FORMATS):
                level += 1
                continue
            if found.kind is not Kind.AGAIN:
                possible = self._possible(asked, body, level, ends, run, why=found) if _may_meet_all(found) else level
                if isinstance(possible, Failure):
                    return possible
                if possible == level:
                    return Failure(asked.request_id, found.trouble, found.detail)
                level = possible
                continue
            attempt += 1
            wait_s = max(backoff_s(asked.request_id, attempt - 1), min(asked_wait_s, LONGEST_RETRY_AFTER_S))
            is_last = attempt > self._options.retries or time.monotonic() + wait_s >= ends
            if is_last or run.stop.wait(wait_s):
                return Failure(asked.request_id, found.trouble, f"{found.detail}, attempts: {attempt}")
            self._pace(asked, body, run)
        return Failure(asked.request_id, Trouble.UNREACHABLE, "not asked any more")

    def _once(
        self, asked: Request, body: dict[str, Any], level: int, ends: float, run: "_Run"
    ) -> tuple[Answer | Failure | Refusal, float]:
        """One attempt, and the seconds that the server asks to wait for before another."""
        within_s = min(self._options.timeout_s, max(ends - time.monotonic(), 0.0))
        data = msgspec.json.encode(_at(body, level))
        try:
            got = self._wire.post(PATH, data, within_s=within_s, max_bytes=MAX_ANSWER_BYTES, stop=run.abort)
        except CertificateError as problem:
            return Refusal(Kind.SETUP, problem.trouble, str(problem), "name its authority in SSL_CERT_FILE"), 0.0
        except UnansweredError as problem:
            return Refusal(Kind.REFUSED if problem.is_final else Kind.AGAIN, problem.trouble, str(problem)), 0.0
        if not 200 <= got.status < 300:
            wait_s = retry_after_s(got.headers.get("retry-after"), got.headers.get("date"))
            return refusal_of(got.status, got.data), wait_s
        engine = self.name if level == 0 else f"{self.name} ({FORMATS[level]})"
        found = outcome_of(asked.request_id, parsed(got.data), engine)
        if self._tokens is not None and isinstance(found, Answer) and found.completion_tokens is not None:
            self._tokens.give_back(_cost(asked, body) - found.completion_tokens - (found.prompt_tokens or 0))
        return found, 0.0

    def _possible(
        self, asked: Request, body: dict[str, Any], level: int, ends: float, run: "_Run", *, why: Refusal
    ) -> int | Failure:
        """The strictest format at which the server answers requests of this shape, as it has shown or a probe shows.

        Raises:
            _SetupError: it answers none.
        """
        with self._shapes.probing:
            if self._shapes.was_answered(body, level) and why.kind is not Kind.BARRED:  # keys are revoked on the way
                return level
            detail = ""
            for lower in range(level, len(FORMATS) if _wants_schema(body) else level + 1):
                if run.stop.is_set():
                    break
                found, _ = self._once(asked, probe_of(body), lower, ends, run)
                if not isinstance(found, Refusal):
                    self._shapes.answered(body, lower)
                    return lower
                if found.kind in (Kind.SETUP, Kind.BARRED):
                    raise _SetupError(f"answers with {found.detail}: {found.remedy}")
                if found.kind is Kind.AGAIN:
                    return Failure(asked.request_id, found.trouble, f"{found.detail} to a probe")
                detail = found.detail
            else:
                raise _SetupError(
                    f"refuses a short request of the same shape too ({detail}): correct `model`, the sampling "
                    "parameters and `max_tokens` of the recipe, and whether images go along"
                )
        return Failure(asked.request_id, Trouble.UNREACHABLE, "not asked any more")

    def _pace(self, asked: Request, body: dict[str, Any], run: "_Run") -> None:
        """Wait until the limits per minute let a request go out."""
        amounts = ((self._requests, 1.0), (self._tokens, _cost(asked, body)))
        wait_s = max((bucket.take(amount) for bucket, amount in amounts if bucket is not None), default=0.0)
        if wait_s > 0:
            run.stop.wait(wait_s)


class _Run:
    """What happens while one list of requests is asked; noted by the thread that gives out the outcomes."""

    def __init__(self, limit: int) -> None:
        self.stop = threading.Event()  # no further attempt
        self.abort = threading.Event()  # what is under way ends too
        self._limit = limit
        self._problem: BaseException | None = None
        self._in_a_row = 0  # without an answer
        self._is_silent = True  # nothing but no server so far

    def note(self, found: Outcome | BaseException) -> None:
        """Take in what became of a request."""
        if isinstance(found, BaseException):
            self._end(found)
            if not isinstance(found, _SetupError):
                self.abort.set()
        elif isinstance(found, Answer) or found.trouble.is_definitive:
            self._in_a_row, self._is_silent = 0, False
        else:
            self._in_a_row += 1
            self._is_silent &= found.trouble is Trouble.UNREACHABLE
            if self._in_a_row == self._limit:
                self._end(_gone(f"{found.trouble}: {found.detail}"))
                self.abort.set()

    def judge(self, address: str) -> None:
        """Raise what ended the run."""
        if self._problem is None and self._in_a_row and self._is_silent:
            self._problem = _gone("unreachable")
        if isinstance(self._problem, _SetupError):
            raise CompleterError(f"openai: the server at {address} {self._problem}") from None
        if self._problem is not None:
            raise self._problem

    def _end(self, problem: BaseException) -> None:
        self._problem = self._problem or problem
        self.stop.set()


class _Shapes:
    """Which requests the server answers: with or without images, in which format.

    One answer proves one refusal to be that of its request alone: servers are restarted on the way with less context,
    or with another model.
    """

    def __init__(self, address: str) -> None:
        self.probing = threading.Lock()
        self.level = 0  # the format with which requests begin
        self._address = address
        self._proofs: set[tuple[bool, int]] = set()
        self._strictest = len(FORMATS)
        self._lock = threading.Lock()

    def was_answered(self, body: Mapping[str, Any], level: int) -> bool:
        """True where such a request was answered since the last one that was refused."""
        with self._lock:
            shape = (has_images(body), level)
            is_proved = shape in self._proofs
            self._proofs.discard(shape)
            return is_proved

    def answered(self, body: Mapping[str, Any], level: int) -> None:
        """Such a request was answered; where stricter formats never were, all others begin with this one too."""
        with self._lock:
            self._proofs.add((has_images(body), level))
            is_lower = self.level < level < self._strictest
            self._strictest = min(self._strictest, level)
            if is_lower:
                self.level = level
        if is_lower:
            LOG.warning(
                "openai: the server at %s does not take response_format %s; it is asked for %s instead",
                self._address,
                FORMATS[0],
                FORMATS[level],
            )


def _may_meet_all(found: Refusal) -> bool:
    """True for a refusal that a wrong model, parameter or `max_tokens` brings upon every request."""
    return found.kind in (Kind.UNCLEAR, Kind.FORMAT, Kind.BARRED) or found.trouble is Trouble.REQUEST_TOO_LONG


def _gone(cause: str) -> _SetupError:
    return _SetupError(
        f"gives no answer ({cause}): start it, or correct `url`; what it has answered is kept, so run the same "
        "command again"
    )


def _put(
    done: "SimpleQueue[Outcome | BaseException]",
    ask: Callable[[Request, dict[str, Any], _Run], Outcome],
    asked: Request,
    body: dict[str, Any],
    run: _Run,
) -> None:
    try:
        done.put(ask(asked, body, run))
    except BaseException as problem:
        run.stop.set()
        done.put(problem)


def _wants_schema(body: Mapping[str, Any]) -> bool:
    wanted = body.get("response_format")
    return isinstance(wanted, dict) and wanted.get("type") == FORMATS[0]


def _at(body: dict[str, Any], level: int) -> dict[str, Any]:
    """The body with its schema, with less, or with none."""
    if level == 0:
        return body
    less = {key: value for key, value in body.items() if key != "response_format"}
    return less if level + 1 == len(FORMATS) else {**less, "response_format": {"type": FORMATS[level]}}


def _cost(asked: Request, body: Mapping[str, Any]) -> float:
    """Tokens of a request as a limit counts them before it is answered."""
    most = body.get("max_completion_tokens", body.get("max_tokens"))
    return len(asked.body) / 4 + (most if isinstance(most, int) else 0)


def _secrets(options: OpenAIOptions) -> dict[str, str]:
    """Headers whose values stand in the environment."""
    headers = {name: _variable(variable) for name, variable in sorted(options.headers_env.items())}
    return headers if options.key_env is None else {**headers, "Authorization": f"Bearer {_variable(options.key_env)}"}


def _variable(name: str) -> str:
    value = os.environ.get(name, "").strip()
    if not value or not value.isascii() or not value.isprintable():
        found = "holds more than printable ASCII" if value else "is not set"
        raise CompleterError(f"openai: the environment variable {name}, which the recipe names, {found}; set it")
    return value
