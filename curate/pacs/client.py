"""A DICOMweb client that trusts no server: QIDO-RS by pages, WADO-RS instances streamed (PS3.18 8.3, 10.4, 10.6).

Addresses and query strings are those of `dicomweb-client`. Its transport is not used: it follows redirects wherever
they lead, holds whole answers in memory, pages without end, and parses instances instead of handing on their bytes.
What a server says never stands in an error: it may name a patient.
"""

import contextlib
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, TypeVar
from urllib.parse import urljoin, urlsplit

import msgspec

from curate.pacs.multipart import CutShortError, MalformedError, boundary_of, media_type_of, write_part

if TYPE_CHECKING:
    import requests

__all__ = [
    "Answer",
    "Client",
    "Credentials",
    "Item",
    "RefusedAnswerError",
    "ServerError",
    "UnansweredError",
    "texts_of",
    "uid_of",
]

T = TypeVar("T")

Item = dict[str, Any]
"""One match of a search: the DICOM JSON model (PS3.18, F.2)."""

CONNECT_S: Final = 10.0
READ_S: Final = 60.0
"""The longest silence within an answer."""

ANSWER_S: Final = 1800.0
"""The longest that one answer may take as a whole, however steadily it trickles."""

ATTEMPTS: Final = 4
FIRST_WAIT_S: Final = 0.5
"""Before the second attempt; doubled before each further one."""

MAX_WAIT_S: Final = 60.0
"""The most that a server's `Retry-After` is heeded."""

AGAIN: Final = frozenset({429, 500, 502, 503, 504})
"""Statuses that another moment may change. 429 says so itself; no other 4xx is asked twice."""

REDIRECTS: Final = frozenset({301, 302, 303, 307, 308})
MAX_REDIRECTS: Final = 3

PAGE: Final = 500
"""Matches asked for at once."""

MAX_SEARCH_BYTES: Final = 64 * 2**20
"""Of one page of a search."""

CHUNK: Final = 256 * 1024

DICOM: Final = 'multipart/related; type="application/dicom"; transfer-syntax=*'
"""Each instance as it is stored: any transfer syntax, so that no pixel is encoded anew (PS3.18, 8.7.3.5.2)."""

JSON: Final = frozenset({"application/dicom+json", "application/json"})
LEVELS: Final = ("studies", "series", "instances")
MAX_ETAG_LENGTH: Final = 256

OK: Final = 200
NO_CONTENT: Final = 204
NOT_MODIFIED: Final = 304


class ServerError(Exception):
    """A request that came to nothing. The text is a cause in fixed words."""


class RefusedAnswerError(ServerError):
    """The server answered, and asking again would not help."""


class UnansweredError(ServerError):
    """No whole answer came, however often it was asked for."""


class _TransientError(Exception):
    def __init__(self, cause: str, wait_s: float = 0.0) -> None:
        super().__init__(cause)
        self.wait_s = wait_s


@dataclass(frozen=True, slots=True)
class Credentials:
    """What goes into the `Authorization` header; never shown."""

    header: str | None

    def __repr__(self) -> str:
        return f"Credentials({'given' if self.header else 'none'})"

    def __call__(self, request: "requests.PreparedRequest") -> "requests.PreparedRequest":
        """Sign a request. Given always, so that no `.netrc` of the machine signs it instead."""
        if self.header is not None:
            request.headers["Authorization"] = self.header
        return request


@dataclass(frozen=True, slots=True)
class Answer:
    """An instance that came. `changed` is false where the server says that it is still what `etag` named."""

    changed: bool
    etag: str | None


class Client:
    """One server. Safe to use from several threads."""

    def __init__(
        self,
        url: str,
        credentials: Credentials,
        *,
        sleep: Callable[[float], object] = time.sleep,
        timeouts_s: tuple[float, float] | None = None,
        answer_s: float = ANSWER_S,
    ) -> None:
        import requests

        self._base = url.rstrip("/")
        self._credentials = credentials
        self._sleep = sleep
        self._timeouts_s = timeouts_s or (CONNECT_S, READ_S)
        self._answer_s = answer_s
        self._session = requests.Session()

    def __enter__(self) -> "Client":
        return self

    def __exit__(self, *problem: object) -> None:
        self._session.close()

    def search(self, within: tuple[str, ...], query: Mapping[str, str], *, uid: str, most: int) -> list[Item]:
        """All matches of a search for studies, or for the series or instances below the UIDs of `within`, each once.

        `uid` is the tag that tells two matches apart.

        Raises:
            ServerError: no whole list could be had, or it has more than `most` matches.
        """
        level = LEVELS[len(within)]
        found: dict[str, Item] = {}
        offset = 0
        is_whole = False  # the first page was all, for a server that knows neither `limit` nor `offset`
        while True:
            page, more = self._page(within, level, query, offset)
            if offset == 0:
                is_whole = len(page) != PAGE and not more
            fresh = {name: item for item in page for name in [uid_of(item, uid)] if name not in found}
            if page and not fresh and not is_whole:
                raise RefusedAnswerError(f"a list of {level} whose pages repeat themselves")
            if not page and more:
                raise RefusedAnswerError(f"a list of {level} that breaks off")
            found |= fresh
            if len(found) > most:
                raise RefusedAnswerError(f"a list of more than {most:,} {level}")
            if not fresh:
                return list(found.values())
            offset += len(page)

    def _page(
        self, within: tuple[str, ...], level: str, query: Mapping[str, str], offset: int
    ) -> tuple[list[Item], bool]:
        """One page, and whether the server says that there is more."""
        from dicomweb_client.uri import build_query_string

        address = "/".join([self._address(within), level]) + build_query_string(
            {**query, "limit": PAGE, "offset": offset}
        )

        def once() -> tuple[list[Item], bool]:
            with self._get(address, {"Accept": "application/dicom+json"}) as (response, chunks):
                if response.status_code == NO_CONTENT:
                    return [], False
                if media_type_of(response.headers.get("Content-Type", "")) not in JSON:
                    raise RefusedAnswerError(f"a list of {level} that is no JSON")
                data = bytearray()
                for chunk in chunks:
                    data += chunk
                    if len(data) > MAX_SEARCH_BYTES:
                        raise RefusedAnswerError(f"a page of {level} of more than {MAX_SEARCH_BYTES:,} bytes")
                more = response.headers.get("Warning", "").startswith("299 ")
            try:
                return msgspec.json.decode(data or b"[]", type=list[Item]), more
            except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
                raise RefusedAnswerError(f"a list of {level} that does not parse") from None

        return self._retrying(once)

    def fetch(
        self,
        instance: tuple[str, str, str],
        open_target: Callable[[], AbstractContextManager[Callable[[bytes], object]]],
        *,
        etag: str | None,
        max_bytes: int,
    ) -> Answer:
        """Stream one instance, as the server stores it, into what `open_target` opens: anew for each attempt.

        `etag` is that of the copy at hand, which then need not come again. What was written may be torn whenever this
        raises.

        Raises:
            ServerError: it did not come as a whole.
        """
        address = self._address(instance)
        headers = {"Accept": DICOM} | ({"If-None-Match": etag} if etag is not None else {})

        def once() -> Answer:
            with self._get(address, headers) as (response, chunks):
                if response.status_code == NOT_MODIFIED and etag is not None:
                    return Answer(False, etag)
                if response.status_code != OK:
                    raise RefusedAnswerError(f"HTTP {response.status_code}")
                content_type = response.headers.get("Content-Type", "")
                media_type = media_type_of(content_type)
                with open_target() as target:
                    write = _limited(target, max_bytes)
                    if media_type == "multipart/related":
                        write_part(chunks, boundary_of(content_type), write)
                    elif media_type == "application/dicom":  # without a message around it: common, if not standard
                        for chunk in chunks:
                            write(chunk)
                    else:
                        raise RefusedAnswerError("an answer that is no DICOM")
                return Answer(True, _strong(response.headers.get("ETag")))

        return self._retrying(once)

    def _address(self, within: tuple[str, ...]) -> str:
        from dicomweb_client.uri import URI

        try:
            study, series, instance = (*within, None, None, None)[:3]
            return str(URI(self._base, study, series, instance))
        except ValueError:
            raise RefusedAnswerError("a UID that is none") from None

    def _retrying(self, once: Callable[[], T]) -> T:
        for attempt in range(ATTEMPTS):
            try:
                return once()
            except _TransientError as problem:
                cause, wait_s = str(problem), max(problem.wait_s, FIRST_WAIT_S * 2**attempt)
            except CutShortError:
                cause, wait_s = "an answer that breaks off", FIRST_WAIT_S * 2**attempt
            except MalformedError as problem:
                raise RefusedAnswerError(str(problem)) from None
            if attempt + 1 < ATTEMPTS:
                self._sleep(wait_s)
        raise UnansweredError(cause)

    @contextlib.contextmanager
    def _get(self, address: str, headers: dict[str, str]) -> "Iterator[tuple[requests.Response, Iterator[bytes]]]":
        """An answer and its body, piece by piece; redirects are followed on the same server alone."""
        deadline = time.monotonic() + self._answer_s
        response = self._sent(address, headers)
        try:
            for _ in range(MAX_REDIRECTS):
                if response.status_code not in REDIRECTS:
                    break
                address = _redirected(address, response.headers.get("Location"))
                response.close()
                response = self._sent(address, headers)
            if response.status_code in AGAIN:
                raise _TransientError(f"HTTP {response.status_code}", _retry_after(response.headers.get("Retry-After")))
            if response.status_code >= 300 and response.status_code != NOT_MODIFIED:
                raise RefusedAnswerError(f"HTTP {response.status_code}")
            if response.headers.get("Content-Encoding", "identity").strip().lower() not in ("", "identity"):
                raise RefusedAnswerError("an answer in an encoding that nobody asked for")
            yield response, _body(response, deadline)
        finally:
            response.close()

    def _sent(self, address: str, headers: dict[str, str]) -> "requests.Response":
        import requests

        try:
            return self._session.get(
                address,
                headers={"Accept-Encoding": "identity", **headers},
                auth=self._credentials,
                stream=True,
                allow_redirects=False,
                timeout=self._timeouts_s,
            )
        except requests.exceptions.SSLError:
            raise RefusedAnswerError("a certificate that is not trusted") from None
        except requests.exceptions.Timeout:
            raise _TransientError("no answer in time") from None
        except (requests.exceptions.ConnectionError, requests.exceptions.ChunkedEncodingError):
            raise _TransientError("no connection") from None
        except requests.exceptions.RequestException as problem:
            raise RefusedAnswerError(f"a request that cannot be sent ({type(problem).__name__})") from None


def uid_of(item: Item, tag: str) -> str:
    """The UID of a match.

    Raises:
        RefusedAnswerError: it has none.
    """
    text = texts_of(item, tag)
    if len(text) != 1 or not text[0]:
        raise RefusedAnswerError("a match without a UID")
    return text[0]


def texts_of(item: Item, tag: str) -> list[str]:
    """An attribute of a match as texts; numbers too, names left out."""
    attribute = item.get(tag)
    values = attribute.get("Value") if isinstance(attribute, dict) else None
    return [str(value).strip() for value in values if isinstance(value, str | int)] if isinstance(values, list) else []


def _body(response: "requests.Response", deadline: float) -> Iterator[bytes]:
    """What comes, as it comes: a body that trickles must not outlast its deadline in one call."""
    import urllib3

    try:
        while chunk := response.raw.read1(CHUNK):
            yield chunk
            if time.monotonic() > deadline:
                raise _TransientError("no whole answer in time")
    except urllib3.exceptions.ReadTimeoutError:
        raise _TransientError("no answer in time") from None
    except urllib3.exceptions.HTTPError:
        raise _TransientError("an answer that breaks off") from None


def _limited(target: Callable[[bytes], object], max_bytes: int) -> Callable[[bytes], object]:
    written = 0

    def write(data: bytes) -> None:
        nonlocal written
        written += len(data)
        if written > max_bytes:
            raise RefusedAnswerError("an instance over the limit of bytes")
        target(data)

    return write


def _redirected(address: str, location: str | None) -> str:
    if not location:
        raise RefusedAnswerError("a redirect to nowhere")
    target = urljoin(address, location)
    if _origin(target) != _origin(address):
        raise RefusedAnswerError("a redirect to another server")
    return target


def _origin(address: str) -> tuple[str, str | None, int | None]:
    parts = urlsplit(address)
    try:
        return parts.scheme, parts.hostname, parts.port or {"http": 80, "https": 443}.get(parts.scheme)
    except ValueError:
        raise RefusedAnswerError("a redirect to nowhere") from None


def _retry_after(said: str | None) -> float:
    """Seconds that the server asks for; a date is not heeded."""
    return min(float(said), MAX_WAIT_S) if said is not None and said.isascii() and said.isdigit() else 0.0


def _strong(etag: str | None) -> str | None:
    """An entity tag that stands for the very bytes (RFC 9110, 8.8.1)."""
    return etag if etag is not None and len(etag) <= MAX_ETAG_LENGTH and etag.startswith('"') else None
