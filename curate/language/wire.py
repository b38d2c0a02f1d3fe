"""POST JSON to one server: many at once over kept connections, each ended by its deadline whatever the server does.

A socket's own timeout begins anew with every byte, so a server that trickles would hold a request for ever. Here one
thread closes the connections whose time is up, and those of a run that is broken off. No redirect is followed, no
cookie kept, no encoding accepted, and an answer is read up to a limit of bytes.
"""

import contextlib
import socket
import threading
import time
from collections.abc import Iterator, Mapping
from contextvars import ContextVar
from ipaddress import ip_address
from typing import Any, Final
from urllib.parse import unquote, urlsplit
from urllib.request import getproxies, proxy_bypass

import msgspec
import urllib3
from urllib3.connection import HTTPConnection, HTTPSConnection

from curate.language.base import CompleterError, Trouble

__all__ = ["CertificateError", "Received", "UnansweredError", "Wire", "is_loopback"]

CONNECT_S: Final = 10.0
TICK_S: Final = 0.1
"""How exactly deadlines are kept."""

CHUNK: Final = 64 * 1024


class UnansweredError(Exception):
    """No whole answer came. The text is a cause in fixed words; asking again may help unless it is final."""

    def __init__(self, cause: str, trouble: Trouble = Trouble.UNREACHABLE, *, is_final: bool = False) -> None:
        super().__init__(cause)
        self.trouble = trouble
        self.is_final = is_final


class CertificateError(UnansweredError):
    """The server cannot prove who it is."""


class Received(msgspec.Struct, frozen=True):
    """An answer, whatever it says."""

    status: int
    data: bytes
    headers: Mapping[str, str]  # names in lower case


def is_loopback(url: str) -> bool:
    """True where an address leads to this machine itself, whatever names are resolved to."""
    host = urlsplit(url).hostname or ""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


class _Exchange:
    """One request and its answer, and when they end."""

    def __init__(self, ends: float, stop: threading.Event) -> None:
        self.ends = ends
        self.stop = stop
        self.is_over = False
        self.connection: HTTPConnection | None = None

    def end(self) -> None:
        """Wake whoever reads or writes on the connection."""
        self.is_over = True
        held = None if self.connection is None else self.connection.sock
        if held is not None:
            with contextlib.suppress(OSError, TypeError):  # TLS within the TLS of a proxy is no socket
                socket.socket.shutdown(
                    held, socket.SHUT_RDWR
                )  # not the TLS method, which is no business of this thread


_NOW: Final[ContextVar[_Exchange | None]] = ContextVar("_NOW", default=None)
"""The exchange of this thread, for the connection that is about to serve it."""


class _Watched(HTTPConnection):
    def request(self, *given: Any, **named: Any) -> None:
        _attach(self)
        super().request(*given, **named)


class _WatchedTLS(HTTPSConnection):
    def request(self, *given: Any, **named: Any) -> None:
        _attach(self)
        super().request(*given, **named)


def _attach(connection: HTTPConnection) -> None:
    exchange = _NOW.get()
    if exchange is not None:
        exchange.connection = connection


class _Pool(urllib3.HTTPConnectionPool):
    ConnectionCls = _Watched


class _PoolTLS(urllib3.HTTPSConnectionPool):
    ConnectionCls = _WatchedTLS


class Wire:
    """One server, from as many threads as `connections`. `secrets` are headers that are shown to nobody."""

    def __init__(self, url: str, secrets: Mapping[str, str], *, connections: int, through_proxy: bool) -> None:
        self._url = url
        self._headers = {
            "Content-Type": "application/json",
            "Accept": "application/json",
            "Accept-Encoding": "identity",
            "User-Agent": "curate",
            **secrets,
        }
        self._manager = _manager(url, connections, through_proxy=through_proxy)
        self._manager.pool_classes_by_scheme = {"http": _Pool, "https": _PoolTLS}
        self._lock = threading.Lock()
        self._running: set[_Exchange] = set()
        self._closing = threading.Event()
        self._watch = threading.Thread(target=self._keep_deadlines, name="curate deadlines", daemon=True)
        self._watch.start()

    def close(self) -> None:
        """Break off what is under way and close every connection. It may be called again."""
        self._closing.set()
        self._watch.join()
        self._manager.clear()

    def post(self, path: str, data: bytes, *, within_s: float, max_bytes: int, stop: threading.Event) -> Received:
        """Send JSON and read the whole answer; `stop` breaks it off.

        Raises:
            UnansweredError: there was none, or none in time.
        """
        exchange = _Exchange(time.monotonic() + within_s, stop)
        with self._watched(exchange):
            try:
                found = self._post(path, data, exchange, max_bytes)
            except UnansweredError:
                raise
            except Exception as problem:
                if not exchange.is_over:
                    raise _cause(problem) from None
            else:
                if not exchange.is_over:
                    return found
            raise UnansweredError(_over(within_s, stop), Trouble.TIMEOUT)  # what came may be cut where it was ended

    def _post(self, path: str, data: bytes, exchange: _Exchange, max_bytes: int) -> Received:
        left_s = max(exchange.ends - time.monotonic(), TICK_S)
        response = self._manager.urlopen(
            "POST",
            self._url.rstrip("/") + path,
            body=data,
            headers=self._headers,
            redirect=False,
            retries=False,
            preload_content=False,
            timeout=urllib3.Timeout(connect=min(CONNECT_S, left_s), read=left_s),
        )
        try:
            headers = {name.lower(): value for name, value in response.headers.items()}
            if headers.get("content-encoding", "identity").strip().lower() not in ("", "identity"):
                cause = "an answer in an encoding that nobody asked for"
                raise UnansweredError(cause, Trouble.SERVER_ERROR, is_final=True)
            found = bytearray()
            for chunk in response.stream(CHUNK, decode_content=False):
                found += chunk
                if len(found) > max_bytes:
                    cause = f"an answer of more than {max_bytes:,} bytes"
                    raise UnansweredError(cause, Trouble.SERVER_ERROR, is_final=True)
            response.release_conn()
            return Received(response.status, bytes(found), headers)
        except BaseException:
            response.close()
            raise

    @contextlib.contextmanager
    def _watched(self, exchange: _Exchange) -> Iterator[None]:
        token = _NOW.set(exchange)
        with self._lock:
            self._running.add(exchange)
        try:
            if self._closing.is_set():
                raise UnansweredError("broken off")
            yield
        finally:
            with self._lock:
                self._running.discard(exchange)
            _NOW.reset(token)

    def _keep_deadlines(self) -> None:
        is_closing = False
        while not is_closing:
            is_closing = self._closing.wait(TICK_S)
            now = time.monotonic()
            with self._lock:
                for exchange in self._running:
                    if is_closing or exchange.ends <= now or exchange.stop.is_set():
                        exchange.end()


def _manager(url: str, connections: int, *, through_proxy: bool) -> urllib3.PoolManager:
    """Connections to the server, through the proxy of the environment where it has one for this host."""
    parts = urlsplit(url)
    proxy = getproxies().get(parts.scheme) if through_proxy and not proxy_bypass(parts.netloc) else None
    if proxy is None:
        return urllib3.PoolManager(maxsize=connections, block=True)
    try:
        read = urlsplit(proxy if "://" in proxy else f"http://{proxy}")
        if read.scheme not in ("http", "https") or not read.hostname:
            raise ValueError
        user = f"{unquote(read.username)}:{unquote(read.password or '')}" if read.username else None
        headers = urllib3.make_headers(proxy_basic_auth=user) if user else None
        address = f"{read.scheme}://{read.netloc.rpartition('@')[2]}"
        return urllib3.ProxyManager(address, maxsize=connections, block=True, proxy_headers=headers)
    except (ValueError, urllib3.exceptions.HTTPError):
        raise CompleterError(
            f"the environment names a proxy for {parts.scheme} that is no http or https address; correct it, or name "
            "the host of the server in NO_PROXY"
        ) from None


def _over(within_s: float, stop: threading.Event) -> str:
    return "broken off" if stop.is_set() else f"no answer within {within_s:.3g} s"


def _cause(problem: Exception) -> UnansweredError:
    """An exception of the library, whose own text may hold addresses and answers, in our words."""
    if isinstance(problem, urllib3.exceptions.SSLError):
        return CertificateError("a certificate that is not trusted", is_final=True)
    if isinstance(problem, urllib3.exceptions.NewConnectionError):
        return UnansweredError("no connection")
    if isinstance(problem, urllib3.exceptions.ConnectTimeoutError):
        return UnansweredError("no connection in time")
    if isinstance(problem, urllib3.exceptions.TimeoutError):
        return UnansweredError("no answer in time", Trouble.TIMEOUT)
    if isinstance(problem, urllib3.exceptions.ProxyError):
        return UnansweredError("no connection through the proxy")
    if isinstance(problem, urllib3.exceptions.HTTPError | OSError):
        return UnansweredError("a connection that breaks off")
    return UnansweredError(
        f"a request that cannot be sent ({type(problem).__name__})", Trouble.SERVER_ERROR, is_final=True
    )
