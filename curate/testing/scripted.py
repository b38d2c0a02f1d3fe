"""An OpenAI-compatible server on loopback whose answers a test writes: what it says, how slowly, and how it fails.

    with ScriptedServer(lambda body: '{"answer": "Yes."}') as server:
        OpenAI("any-model", None, OpenAI.Options(url=server.url))

`well` is the script of a model that does as it is asked; what lies is written by the test that wants to catch it.
"""

import contextlib
import socket
import threading
from collections.abc import Callable, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Final

import msgspec

__all__ = ["Asked", "Reply", "ScriptedServer", "asked_keys", "brief_of", "well"]

OPENING: Final = "<data>"
CLOSING: Final = "</data>"
STOP_S: Final = 10.0
"""How long the server's threads may take to end."""


class Reply(msgspec.Struct, frozen=True, kw_only=True):
    """What goes back for one request. Without more than `text` it is a chat completion with that text."""

    text: str | None = ""
    finish_reason: str = "stop"
    message: Mapping[str, Any] = {}  # more of the message than its content: `refusal`, `reasoning_content`
    status: int = 200
    body: Any = None  # JSON in place of the chat completion
    raw: bytes | None = None  # bytes in place of any JSON
    headers: Mapping[str, str] = {}
    delay_s: float = 0.0  # before anything is sent
    drop: bool = False  # the connection is closed without an answer
    cut: int | None = None  # the connection is closed after so many bytes of the body
    chunked: bool = False  # the body in chunks, without a length
    pause_s: float = 0.0  # between the bytes of the body: an answer that trickles


class Asked(msgspec.Struct, frozen=True):
    """A request that came in."""

    path: str
    headers: Mapping[str, str]  # names in lower case
    body: dict[str, Any]


class ScriptedServer:
    """Serves `POST /v1/chat/completions` with `answer(body)`, called in a thread of its connection.

    An exception of `answer` becomes status 500, and is raised again when the server is left: a broken script is no
    server error that a test meant.
    """

    def __init__(self, answer: Callable[[dict[str, Any]], str | Reply], *, model: str = "scripted") -> None:
        self.answer = answer
        self.model = model
        self.asked: list[Asked] = []
        self.connections = 0
        self.most_at_once = 0
        self.stopping = threading.Event()
        self._now = 0
        self._problems: list[Exception] = []
        self._lock = threading.Lock()
        self._open: set[socket.socket] = set()
        self._server = _Server(self)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True)

    @property
    def url(self) -> str:
        """What a completer takes as `url`."""
        return f"http://127.0.0.1:{self._server.server_address[1]}/v1"

    @property
    def calls(self) -> int:
        """How many chat completions were asked for."""
        return len(self.asked)

    @property
    def bodies(self) -> list[dict[str, Any]]:
        """What was asked, in the order in which it came."""
        return [asked.body for asked in self.asked]

    def __enter__(self) -> "ScriptedServer":
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, problem: BaseException | None, trace: object) -> None:
        self.stop()
        if problem is None and self._problems:
            raise self._problems[0]

    def stop(self) -> None:
        """Close every connection at once, as a server does that is killed. It may be called again."""
        if self.stopping.is_set():
            return
        self.stopping.set()
        self._server.shutdown()
        self._server.socket.close()
        with self._lock:
            for connection in self._open:
                with contextlib.suppress(OSError):
                    connection.shutdown(socket.SHUT_RDWR)
        self._server.server_close()  # waits for the threads of the connections
        self._thread.join(STOP_S)

    def opened(self, connection: socket.socket) -> None:
        """A client came."""
        with self._lock:
            self._open.add(connection)
            self.connections += 1

    def closed(self, connection: socket.socket) -> None:
        """A client went."""
        with self._lock:
            self._open.discard(connection)

    def reply(self, asked: Asked) -> Reply:
        """What the script says to a request."""
        with self._lock:
            self.asked.append(asked)
            self._now += 1
            self.most_at_once = max(self.most_at_once, self._now)
        try:
            said = self.answer(asked.body)
            found = Reply(text=said) if isinstance(said, str) else said
            if found.delay_s:
                self.stopping.wait(found.delay_s)
            return found
        except Exception as problem:
            self._problems.append(problem)
            return Reply(status=500, body={"error": {"message": "the script failed"}})
        finally:
            with self._lock:
                self._now -= 1


class _Server(ThreadingHTTPServer):
    daemon_threads = False  # so that closing waits for them
    request_queue_size = 1024

    def __init__(self, script: ScriptedServer) -> None:
        self.script = script
        super().__init__(("127.0.0.1", 0), _Handler)

    def shutdown_request(self, request: Any) -> None:
        self.script.closed(request)
        super().shutdown_request(request)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that goes away is no error of the server."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    wbufsize = -1
    server: _Server

    def setup(self) -> None:
        super().setup()
        self.server.script.opened(self.connection)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the name is the base class's
        """Nothing is logged."""

    def do_GET(self) -> None:
        if self.path.endswith("/models"):
            self._send(Reply(body={"object": "list", "data": [{"id": self.server.script.model, "object": "model"}]}))
        else:
            self._send(Reply(status=404, body={"error": {"message": "no such page"}}))

    def do_POST(self) -> None:
        data = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        if not self.path.endswith("/v1/chat/completions"):  # as a proxy it is asked for whole addresses
            self._send(Reply(status=404, body={"detail": "Not Found"}))
            return
        headers = {name.lower(): value for name, value in self.headers.items()}
        asked = Asked(self.path, headers, msgspec.json.decode(data))
        reply = self.server.script.reply(asked)
        if reply.drop or self.server.script.stopping.is_set():
            self.close_connection = True
            return
        self._send(reply, asked)

    def _send(self, reply: Reply, asked: Asked | None = None) -> None:
        data = reply.raw if reply.raw is not None else msgspec.json.encode(self._json(reply, asked))
        self.send_response(reply.status)
        names = {name.lower() for name in reply.headers}
        for name, value in reply.headers.items():
            self.send_header(name, value)
        if "content-type" not in names:
            self.send_header("Content-Type", "application/json")
        if reply.chunked:
            self.send_header("Transfer-Encoding", "chunked")
        elif "content-length" not in names:
            self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        sent = data if reply.cut is None else data[: reply.cut]
        if reply.pause_s:
            self._trickle(sent, reply.pause_s)
        elif reply.chunked:
            self.wfile.write(b"%x\r\n%s\r\n" % (len(sent), sent) if sent else b"")
        else:
            self.wfile.write(sent)
        if reply.cut is not None:
            self.close_connection = True
        elif reply.chunked:
            self.wfile.write(b"0\r\n\r\n")
        self.wfile.flush()

    def _trickle(self, data: bytes, pause_s: float) -> None:
        for at in range(len(data)):
            self.wfile.write(data[at : at + 1])
            self.wfile.flush()
            if self.server.script.stopping.wait(pause_s):
                return

    def _json(self, reply: Reply, asked: Asked | None) -> Any:
        if reply.body is not None or reply.status != 200 or asked is None:
            return reply.body if reply.body is not None else {"error": {"message": "as the script says"}}
        text = reply.text or ""
        prompt_tokens = sum(len(str(message.get("content"))) for message in asked.body.get("messages", ())) // 4
        return {
            "id": "chatcmpl-scripted",
            "object": "chat.completion",
            "created": 0,
            "model": asked.body.get("model", self.server.script.model),
            "choices": [
                {
                    "index": 0,
                    "message": {"role": "assistant", "content": reply.text, **reply.message},
                    "finish_reason": reply.finish_reason,
                }
            ],
            "usage": {
                "prompt_tokens": prompt_tokens,
                "completion_tokens": len(text) // 4,
                "total_tokens": prompt_tokens + len(text) // 4,
            },
        }


def brief_of(body: Mapping[str, Any]) -> dict[str, Any]:
    """The data field of a request: the JSON between `<data>` and `</data>` in the last message of the user.

    Raises:
        ValueError: it has none.
    """
    for message in reversed(body["messages"]):
        if message["role"] != "user":
            continue
        content = message["content"]
        parts = content if isinstance(content, list) else [{"type": "text", "text": content}]
        text = "".join(part.get("text", "") for part in parts if part.get("type") == "text")
        start, end = text.find(OPENING), text.rfind(CLOSING)
        if start >= 0 and end > start:
            found: dict[str, Any] = msgspec.json.decode(text[start + len(OPENING) : end], type=dict[str, Any])
            if "question" in found:  # else it is the fault of an answer that was refused
                return found
    raise ValueError("the request has no data field")


def asked_keys(body: Mapping[str, Any]) -> tuple[str, ...]:
    """The keys that the JSON schema of a request wants; `question` and `answer` where it has no schema."""
    schema = (body.get("response_format") or {}).get("json_schema", {}).get("schema", {})
    return tuple(schema.get("required") or schema.get("properties") or ("question", "answer"))


def well(body: dict[str, Any]) -> str:
    """The answer of a model that does as it is asked: every fact and placeholder kept, other words around them."""
    brief = brief_of(body)
    said = {key: str(brief[key]) for key in asked_keys(body) if key in brief}
    if "question" in said:
        said["question"] = f"Please look at the image. {said['question']}"
    return msgspec.json.encode(said).decode()
