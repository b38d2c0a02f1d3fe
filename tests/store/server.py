"""A real S3 server (moto) on a free port, which can be told to fail: refuse, answer late errors, or hang up."""

import io
import os
import socket
import threading
import urllib.request
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Final
from urllib.parse import parse_qs

from upath import UPath

from curate.store.place import place_of

ENVIRONMENT: Final = {
    "AWS_ACCESS_KEY_ID": "testing",
    "AWS_SECRET_ACCESS_KEY": "testing",
    "AWS_DEFAULT_REGION": "us-east-1",
    "AWS_MAX_ATTEMPTS": "2",
    "AWS_EC2_METADATA_DISABLED": "true",
}

BUCKET: Final = "corpora"

WORDS: Final = {403: "AccessDenied", 500: "InternalError", 501: "NotImplemented", 503: "SlowDown"}

HANG_UP: Final = 0
"""Instead of a status: close the connection without an answer."""

CUT_SHORT: Final = -1
"""Instead of a status: do what is asked and break off in the middle of the answer."""

LOSE: Final = -2
"""Instead of a status: do what is asked and close the connection without an answer."""


@dataclass(frozen=True)
class Request:
    """What a server is asked."""

    method: str
    path: str
    query: dict[str, list[str]]
    headers: dict[str, str]


Fault = Callable[[Request], int | None]
"""The status to answer with instead of doing what is asked, or one of the words above; null: do it."""


@dataclass
class S3Server:
    """The server; `fault` is asked about every request, and `requests` remembers them."""

    url: str = ""
    fault: Fault | None = None
    requests: list[Request] = field(default_factory=list)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def __call__(self, environ: dict[str, Any], start: Callable[..., Any]) -> Iterable[bytes]:
        headers = {name[5:].replace("_", "-"): value for name, value in environ.items() if name.startswith("HTTP_")}
        query = parse_qs(environ.get("QUERY_STRING", ""), keep_blank_values=True)
        request = Request(environ["REQUEST_METHOD"], environ["PATH_INFO"], query, headers)
        with self.lock:
            self.requests.append(request)
            wrong = self.fault(request) if self.fault is not None else None
        if wrong is None:
            return self._app(environ, start)  # type: ignore[no-any-return]
        environ["wsgi.input"] = io.BytesIO(environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0)))
        if wrong == HANG_UP:
            return _hang_up(environ)
        if wrong == LOSE:
            b"".join(self._app(environ, start))
            return _hang_up(environ)
        if wrong == CUT_SHORT:
            return _halved(self._app(environ, start), environ)
        code = WORDS[wrong]
        body = f"<Error><Code>{code}</Code><Message>as the test wants</Message></Error>".encode()
        start(f"{wrong} {code}", [("Content-Type", "application/xml"), ("Content-Length", str(len(body)))])
        return [body]

    _app: Any = None

    @staticmethod
    def put(place: UPath, data: bytes) -> None:
        """Have an object without asking for it."""
        from moto.core import DEFAULT_ACCOUNT_ID
        from moto.s3.models import s3_backends

        bucket, _, key = place.path.partition("/")
        s3_backends[DEFAULT_ACCOUNT_ID]["aws"].put_object(bucket, key, data)

    @contextmanager
    def failing(self, fault: Fault) -> Iterator[None]:
        """Fail so for a while."""
        self.fault = fault
        try:
            yield
        finally:
            self.fault = None


def _hang_up(environ: dict[str, Any]) -> list[bytes]:
    environ["werkzeug.socket"].shutdown(socket.SHUT_RDWR)
    raise ConnectionError


def _halved(answer: Iterable[bytes], environ: dict[str, Any]) -> Iterator[bytes]:
    whole = b"".join(answer)
    yield whole[: len(whole) // 2]
    environ["werkzeug.socket"].shutdown(socket.SHUT_RDWR)


@contextmanager
def s3_server() -> Iterator[S3Server]:
    """A server with one bucket; the environment names it as it does for anybody's store."""
    from moto.s3 import models
    from moto.server import DomainDispatcherApplication, create_backend_app
    from s3fs import S3FileSystem
    from werkzeug.serving import WSGIRequestHandler, make_server

    class Quiet(WSGIRequestHandler):
        def log(self, *_: Any) -> None:
            return

    models.S3_UPLOAD_PART_MIN_SIZE = 1
    server = S3Server()
    server._app = DomainDispatcherApplication(create_backend_app)
    running = make_server("127.0.0.1", 0, server, threaded=True, request_handler=Quiet)
    server.url = f"http://127.0.0.1:{running.server_port}"
    thread = threading.Thread(target=running.serve_forever, daemon=True)
    thread.start()
    before = dict(os.environ)
    os.environ.update(ENVIRONMENT | {"AWS_ENDPOINT_URL": server.url})
    S3FileSystem.clear_instance_cache()
    urllib.request.urlopen(urllib.request.Request(f"{server.url}/moto-api/reset", method="POST")).close()
    try:
        place_of(f"s3://{BUCKET}/x").fs.mkdir(BUCKET)  # what another server of this process held is gone
        yield server
    finally:
        S3FileSystem.clear_instance_cache()
        for name in (*ENVIRONMENT, "AWS_ENDPOINT_URL"):
            os.environ.pop(name, None)
            if name in before:
                os.environ[name] = before[name]
        running.shutdown()
        thread.join()


def remote(name: str) -> UPath:
    """A place in the server's bucket."""
    place = place_of(f"s3://{BUCKET}/{name}")
    assert isinstance(place, UPath)
    return place
