"""HTTP that goes only where it may: every connection is made to an address that was judged first.

A name is resolved once per connection and the connection is made to the very address that was judged, so that a name
that resolves differently a moment later (DNS rebinding) gains nothing. A token goes to the host that it belongs to and
never along a redirect to another. Redirects from https to http are refused. Status and semantics: RFC 9110.
"""

import contextlib
import ipaddress
import os
import re
import socket
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urljoin, urlsplit
from urllib.request import getproxies, proxy_bypass

from curate._version import __version__
from curate.card import check_address

if TYPE_CHECKING:
    import urllib3

__all__ = [
    "CHUNK",
    "RefusedError",
    "TransientError",
    "Transport",
    "Trust",
    "is_public",
    "origin",
    "own_trust",
    "retry_after_s",
    "token_variable",
]

CONNECT_S: Final = 15.0
READ_S: Final = 60.0
"""The longest silence within an answer."""

CHUNK: Final = 1 << 18
MAX_REDIRECTS: Final = 8
MAX_WAIT_S: Final = 300.0
"""The most that a server's `Retry-After` is heeded."""

REDIRECTS: Final = frozenset({301, 302, 303, 307, 308})
AGAIN: Final = frozenset({408, 425, 429, 500, 502, 503, 504})
"""Statuses that another moment may change."""

_NAT64: Final = ipaddress.ip_network("64:ff9b::/96")
_LOCALHOST: Final = "localhost"


class RefusedError(Exception):
    """What came, or where it would lead, is refused; asking again would not help. The text is a cause in own words."""


class TransientError(Exception):
    """Nothing whole came; another attempt may do better, after `wait_s` seconds where the server asked for that."""

    def __init__(self, cause: str, wait_s: float = 0.0) -> None:
        super().__init__(cause)
        self.wait_s = wait_s


@dataclass(frozen=True, slots=True)
class Trust:
    """Where connections may lead beside public addresses, and the token for one host.

    `hosts` are names or literal addresses that were named by the person or the card itself; `origin` is the scheme,
    host and port to which `token` is sent, and no other.
    """

    hosts: frozenset[str] = frozenset()
    allow_private: bool = False
    origin: tuple[str, str, int] | None = None
    token: str | None = field(default=None, repr=False)


def own_trust(url: str, environment: Mapping[str, str], *, allow_private: bool) -> Trust:
    """What a card's own address may reach: public addresses, and itself where it is written as a private one.

    A name that resolves to a private address is no such writing: whoever wrote the card may not know this network.
    """
    _, host, _ = here = origin(url)
    is_private = host == _LOCALHOST or (_literal(host) is not None and not is_public(host))
    token = environment.get(token_variable(host)) or None
    if token is not None and not (here[0] == "https" or is_private):
        token = None
    return Trust(frozenset({host} if is_private else ()), allow_private, here, token)


def token_variable(host: str) -> str:
    """The environment variable with the token for a host: `CURATE_TOKEN_` and its name, `.` as `_`, `-` as `__`."""
    return "CURATE_TOKEN_" + re.sub(r"[^A-Z0-9_]", "_", host.upper().replace("-", "__"))


def origin(url: str) -> tuple[str, str, int]:
    """Scheme, host and port of an address.

    Raises:
        RefusedError: it is none.
    """
    try:
        check_address(url)
    except ValueError:
        raise RefusedError("an address that is none, or that holds a password") from None
    parts = urlsplit(url)
    return parts.scheme, (parts.hostname or "").lower(), parts.port or {"http": 80, "https": 443}[parts.scheme]


def is_public(address: str) -> bool:
    """True for an IP address of the public internet; one that wraps an IPv4 address is judged by that."""
    ip = _literal(address)
    if ip is None:
        return False
    if isinstance(ip, ipaddress.IPv6Address):
        inner = ip.ipv4_mapped or ip.sixtofour
        if inner is None and ip in _NAT64:
            inner = ipaddress.IPv4Address(int(ip) & 0xFFFFFFFF)
        if inner is not None:
            ip = inner
    return ip.is_global and not ip.is_multicast and not ip.is_reserved


def _literal(host: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        return ipaddress.ip_address(host.strip("[]").partition("%")[0])
    except ValueError:
        return None


def retry_after_s(said: str | None, now: float) -> float:
    """Seconds that a server asks to wait, as a number or a date, capped; `now` is in seconds since 1970."""
    if said is None:
        return 0.0
    if re.fullmatch(r"[0-9]{1,9}", said.strip()):
        return min(float(said), MAX_WAIT_S)
    try:
        return min(max(parsedate_to_datetime(said).timestamp() - now, 0.0), MAX_WAIT_S)
    except (ValueError, TypeError, OverflowError):
        return 0.0


def _resolved(host: str, port: int) -> list[str]:
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(info[4][0]) for info in found))


class Transport:
    """Answers to GET requests. Safe to use from several threads.

    `resolve` gives the addresses of a name, `judge` says which of them are public. Proxies are those of the
    environment (HTTPS_PROXY, NO_PROXY); behind one, names are resolved by the proxy, and only addresses that are
    written out can be judged here.
    """

    def __init__(
        self,
        *,
        environment: Mapping[str, str] | None = None,
        timeouts_s: tuple[float, float] = (CONNECT_S, READ_S),
        resolve: Callable[[str, int], list[str]] = _resolved,
        judge: Callable[[str], bool] = is_public,
    ) -> None:
        self._environment = os.environ if environment is None else environment
        self._timeouts_s = timeouts_s
        self._resolve = resolve
        self._judge = judge

    @contextlib.contextmanager
    def get(
        self, url: str, headers: Mapping[str, str], trust: Trust
    ) -> "Iterator[tuple[urllib3.BaseHTTPResponse, Iterator[bytes]]]":
        """An answer that is no redirect, and its body as it comes, undecoded.

        Raises:
            RefusedError: an address that may not be reached, a redirect that may not be followed.
            TransientError: no connection, or silence.
        """
        with contextlib.ExitStack() as stack:
            for _ in range(MAX_REDIRECTS + 1):
                response = self._sent(stack, url, headers, trust)
                if response.status not in REDIRECTS:
                    yield response, _body(response)
                    return
                url = _redirected(url, response.headers.get("Location"))
                response.close()
            raise RefusedError(f"more than {MAX_REDIRECTS} redirects")

    def _sent(
        self, stack: contextlib.ExitStack, url: str, headers: Mapping[str, str], trust: Trust
    ) -> "urllib3.BaseHTTPResponse":
        import urllib3

        here = origin(url)
        self._check(here[1], trust)
        signed = {
            "Accept": "*/*",
            "Accept-Encoding": "identity",
            "User-Agent": f"curate/{__version__}",
            **headers,
        }
        if trust.token is not None and here == trust.origin:
            signed["Authorization"] = f"Bearer {trust.token}"
        connect_s, read_s = self._timeouts_s
        pool = stack.enter_context(self._pool(here, trust))
        try:
            response = pool.request(
                "GET",
                url,
                headers=signed,
                preload_content=False,
                decode_content=False,
                redirect=False,
                retries=False,
                timeout=urllib3.Timeout(connect=connect_s, read=read_s),
            )
        except urllib3.exceptions.SSLError:
            raise RefusedError("a certificate that is not trusted") from None
        except urllib3.exceptions.TimeoutError:
            raise TransientError("no answer in time") from None
        except urllib3.exceptions.HTTPError:
            raise TransientError("no connection") from None
        stack.callback(response.close)
        return response

    def _pool(self, here: tuple[str, str, int], trust: Trust) -> "urllib3.PoolManager":
        import certifi
        import urllib3

        scheme, host, _ = here
        bundles = (self._environment.get(name) for name in ("REQUESTS_CA_BUNDLE", "SSL_CERT_FILE"))
        certificates = next((path for path in bundles if path), None) or certifi.where()
        proxy = self._proxy(scheme, host)
        if proxy is not None:
            return urllib3.ProxyManager(proxy, ca_certs=certificates)
        pool = urllib3.PoolManager(ca_certs=certificates)
        pool.pool_classes_by_scheme = _pools(lambda name, port: self._addresses(name, port, trust))
        return pool

    def _proxy(self, scheme: str, host: str) -> str | None:
        if self._environment is not os.environ:
            return None
        return None if proxy_bypass(host) else getproxies().get(scheme)

    def _check(self, host: str, trust: Trust) -> None:
        """Judge what is written out, before anything is resolved or a proxy asked."""
        written = _literal(host)
        if host == _LOCALHOST or host.endswith(".localhost") or (written is not None and not self._judge(str(written))):
            self._refuse_private(host, trust)

    def _addresses(self, host: str, port: int, trust: Trust) -> list[str]:
        addresses = self._resolve(host, port)
        if any(not self._judge(address) for address in addresses):
            self._refuse_private(host, trust)
        return addresses

    @staticmethod
    def _refuse_private(host: str, trust: Trust) -> None:
        if not trust.allow_private and host not in trust.hosts:
            raise RefusedError(
                f"an address within this machine or its network ({host}); --allow-private lets it, if you expected that"
            )


def _pools(addresses: Callable[[str, int], list[str]]) -> dict[str, Any]:
    """Connection pools of urllib3 whose connections are made to the addresses that this gives, and to no others."""
    import urllib3.connection
    from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool
    from urllib3.exceptions import ConnectTimeoutError, NewConnectionError
    from urllib3.util.connection import create_connection

    def connected(connection: Any) -> socket.socket:
        failure: OSError = OSError("no address")
        try:
            found = addresses(connection.host.strip("[]"), connection.port)
        except OSError as problem:
            raise NewConnectionError(connection, "the name does not resolve") from problem
        for address in found:
            try:
                return create_connection(
                    (address, connection.port), connection.timeout, socket_options=connection.socket_options
                )
            except OSError as problem:
                failure = problem
        if isinstance(failure, TimeoutError):
            raise ConnectTimeoutError(connection, "the connection timed out") from failure
        raise NewConnectionError(connection, "no connection") from failure

    class Plain(urllib3.connection.HTTPConnection):
        def _new_conn(self) -> socket.socket:
            return connected(self)

    class Secure(urllib3.connection.HTTPSConnection):
        def _new_conn(self) -> socket.socket:
            return connected(self)

    class PlainPool(HTTPConnectionPool):
        ConnectionCls = Plain

    class SecurePool(HTTPSConnectionPool):
        ConnectionCls = Secure

    return {"http": PlainPool, "https": SecurePool}


def _redirected(url: str, location: str | None) -> str:
    if not location:
        raise RefusedError("a redirect to nowhere")
    target = urljoin(url, location)
    scheme, _, _ = origin(target)
    if origin(url)[0] == "https" and scheme != "https":
        raise RefusedError("a redirect from https to http")
    return target


def _body(response: "urllib3.BaseHTTPResponse") -> Iterator[bytes]:
    import urllib3

    try:
        while chunk := response.read1(CHUNK):
            yield chunk
    except urllib3.exceptions.TimeoutError:
        raise TransientError("a silence in the middle of the file") from None
    except urllib3.exceptions.HTTPError:
        raise TransientError("an answer that breaks off") from None
