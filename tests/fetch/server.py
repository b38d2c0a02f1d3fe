"""A file server on this machine that does to its files what servers do, and notes what it was asked."""

import contextlib
import hashlib
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from email.utils import formatdate
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


@dataclass
class Served:
    """One path. Each of `answers` is a status to give first; `drops` is after how many bytes an answer breaks off."""

    data: bytes = b""
    kind: str = "application/octet-stream"
    etag: str | None = '"one"'
    modified: float | None = None
    ranges: bool = True
    answers: list[tuple[int, dict[str, str]]] = field(default_factory=list)
    drops: list[int] = field(default_factory=list)
    stalls: list[int] = field(default_factory=list)
    length: int | None = None  # what Content-Length says instead of the truth
    says_length: bool = True
    next_data: bytes | None = None  # what the file is after the first answer
    next_etag: str | None = None
    wrong_start: bool = False  # a range that starts elsewhere
    headers: dict[str, str] = field(default_factory=dict)
    wants_token: str | None = None


@dataclass
class Asked:
    path: str
    headers: dict[str, str]


@dataclass
class Server:
    url: str
    paths: dict[str, Served]
    asked: list[Asked]

    def ranges(self) -> list[str | None]:
        return [one.headers.get("range") for one in self.asked]


@contextlib.contextmanager
def serving(paths: dict[str, Served], address: str = "127.0.0.1") -> Iterator[Server]:
    asked: list[Asked] = []

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            asked.append(Asked(self.path, {key.lower(): value for key, value in self.headers.items()}))
            self.close_connection = True
            one = paths.get(self.path)
            if one is None:
                self._plain(404, {})
            elif one.wants_token and self.headers.get("Authorization") != f"Bearer {one.wants_token}":
                self._plain(401, {})
            elif one.answers:
                self._plain(*one.answers.pop(0))
            else:
                self._file(one)

        def _plain(self, status: int, headers: dict[str, str]) -> None:
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def _file(self, one: Served) -> None:
            validators = [one.etag, formatdate(one.modified, usegmt=True) if one.modified is not None else None]
            wanted, condition = self.headers.get("Range"), self.headers.get("If-Range")
            first = 0
            if one.ranges and wanted and (condition is None or condition in validators):
                first = int(wanted.removeprefix("bytes=").removesuffix("-"))
            data = one.data[first:]
            if first >= len(one.data) > 0:
                self._plain(416, {})
                return
            self.send_response(206 if first else 200)
            self.send_header("Content-Type", one.kind)
            if one.says_length:
                self.send_header("Content-Length", str(len(data) if one.length is None else one.length))
            if first:
                start = first + 1 if one.wrong_start else first
                self.send_header("Content-Range", f"bytes {start}-{len(one.data) - 1}/{len(one.data)}")
            for name, value in zip(("ETag", "Last-Modified"), validators, strict=True):
                if value is not None:
                    self.send_header(name, value)
            for name, value in one.headers.items():
                self.send_header(name, value)
            self.end_headers()
            with contextlib.suppress(BrokenPipeError, ConnectionResetError):
                if one.drops:
                    self.wfile.write(data[: one.drops.pop(0)])
                elif one.stalls:
                    self.wfile.write(data[: one.stalls.pop(0)])
                    self.wfile.flush()
                    time.sleep(2)
                else:
                    self.wfile.write(data)
            if one.next_data is not None:
                one.data, one.etag, one.next_data = one.next_data, one.next_etag, None

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer((address, 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield Server(f"http://{address}:{server.server_address[1]}", paths, asked)
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()
