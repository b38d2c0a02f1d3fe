"""A stand-in for the Hugging Face Hub: the calls that huggingface_hub makes to publish a dataset, on a free port.

Repositories have branches, commits and an object store (LFS). `fault` is asked about every request and may refuse it,
or hang up. What was asked stands in `requests`; what was uploaded in `uploaded`.
"""

import base64
import hashlib
import json
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Final
from urllib.parse import parse_qs, unquote, urlsplit

import pytest

TOKEN: Final = "hf_" + "t" * 34
HANG_UP: Final = 0
PAGE: Final = 50
"""Files of a tree that one answer lists."""


@dataclass(frozen=True)
class Asked:
    """One request."""

    method: str
    path: str
    body: bytes


Fault = Callable[[Asked], int | None]
"""A status to answer with, HANG_UP, or null: do what is asked."""


@dataclass
class Commit:
    """Path -> bytes of a small file, or the sha256 of one in the object store."""

    oid: str
    files: dict[str, bytes | str]


@dataclass
class Hub:
    """Everything that the server knows."""

    url: str = ""
    token: str = TOKEN
    fault: Fault | None = None
    repositories: dict[str, dict[str, list[Commit]]] = field(default_factory=dict)
    private: dict[str, str | None] = field(default_factory=dict)
    objects: dict[str, bytes] = field(default_factory=dict)
    requests: list[Asked] = field(default_factory=list)
    uploaded: list[str] = field(default_factory=list)
    lock: threading.RLock = field(default_factory=threading.RLock)

    def make(self, repository: str, files: dict[str, bytes | str] | None = None) -> None:
        """A repository with one commit."""
        commit = Commit(_oid(repository, "0"), dict(files or {".gitattributes": b"*.parquet filter=lfs\n"}))
        self.repositories[repository] = {"main": [commit]}

    def head(self, repository: str, branch: str = "main") -> Commit:
        """The commit on top."""
        return self.repositories[repository][branch][-1]

    def files(self, repository: str, branch: str = "main") -> dict[str, bytes]:
        """What a reader finds."""
        head = self.head(repository, branch)
        return {path: self.objects[one] if isinstance(one, str) else one for path, one in head.files.items()}

    @contextmanager
    def failing(self, fault: Fault) -> Iterator[None]:
        """Fail so for a while."""
        self.fault = fault
        try:
            yield
        finally:
            self.fault = None

    def find(self, repository: str, revision: str) -> Commit | None:
        """The commit that a branch or an oid names."""
        branches = self.repositories[repository]
        if revision in branches:
            return branches[revision][-1]
        return next((one for commits in branches.values() for one in commits if one.oid == revision), None)


def _oid(*words: str) -> str:
    return hashlib.sha1("/".join(words).encode(), usedforsecurity=False).hexdigest()


def _is_large(path: str, size: int) -> bool:
    return path.endswith((".parquet", ".png", ".jpg", ".tar", ".mp4")) or size > 10 * 2**20


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    hub: Hub

    def log_message(self, *_: Any) -> None:
        return

    def handle(self) -> None:
        try:
            super().handle()
        except (ConnectionError, ValueError):
            self.close_connection = True

    def _answer(self, status: int, body: Any = None, headers: dict[str, str] | None = None) -> None:
        data = body if isinstance(body, bytes) else json.dumps({} if body is None else body).encode()
        self.send_response(status)
        for key, value in {"Content-Length": str(len(data)), **(headers or {})}.items():
            self.send_header(key, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(data)

    def _serve(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        url = urlsplit(self.path)
        asked = Asked(self.command, unquote(url.path), body)
        with self.hub.lock:
            self.hub.requests.append(asked)
            wrong = self.hub.fault(asked) if self.hub.fault is not None else None
            if wrong == HANG_UP:
                self.connection.shutdown(socket.SHUT_RDWR)
                self.close_connection = True
            elif wrong is not None:
                self._answer(wrong, {"error": "as the test wants"})
            elif asked.path.startswith("/lfs/"):
                self._put_object(asked)
            elif self.headers.get("Authorization") != f"Bearer {self.hub.token}":
                self._answer(401, {"error": "Invalid username or password."})
            else:
                self._route(asked, parse_qs(url.query))

    do_GET = do_HEAD = do_POST = do_PUT = _serve  # noqa: N815

    def _put_object(self, asked: Asked) -> None:
        oid = asked.path.removeprefix("/lfs/")
        if hashlib.sha256(asked.body).hexdigest() != oid:
            self._answer(400)
            return
        self.hub.objects[oid] = asked.body
        self.hub.uploaded.append(oid)
        self._answer(200)

    def _route(self, asked: Asked, query: dict[str, list[str]]) -> None:
        steps = asked.path.strip("/").split("/")
        if asked.path == "/api/repos/create":
            self._create(json.loads(asked.body))
        elif asked.path == "/api/validate-yaml":
            self._answer(200, {"errors": [], "warnings": []})
        elif steps[:2] == ["api", "datasets"]:
            self._of_repository("/".join(steps[2:4]), steps[4], steps[5:], asked, query)
        elif asked.path.endswith("/info/lfs/objects/batch"):
            self._batch(json.loads(asked.body))
        elif steps[0] == "datasets" and steps[3] == "resolve":
            self._resolve("/".join(steps[1:3]), steps[4], "/".join(steps[5:]))
        else:
            self._answer(404)

    def _create(self, asked: dict[str, Any]) -> None:
        name = f"{asked['organization']}/{asked['name']}"
        if name in self.hub.repositories:
            self._answer(409, {"url": f"{self.hub.url}/datasets/{name}"})
            return
        self.hub.make(name)
        self.hub.private[name] = asked.get("visibility")
        self._answer(200, {"url": f"{self.hub.url}/datasets/{name}"})

    def _of_repository(
        self, repository: str, verb: str, rest: list[str], asked: Asked, query: dict[str, list[str]]
    ) -> None:
        if repository not in self.hub.repositories:
            self._answer(404, headers={"X-Error-Code": "RepoNotFound"})
            return
        revision = "/".join(rest)
        if verb == "branch":
            commits = self.hub.repositories[repository]["main"]
            self.hub.repositories[repository].setdefault(revision, list(commits))
            self._answer(200)
            return
        commit = self.hub.find(repository, revision)
        if commit is None:
            self._answer(404, headers={"X-Error-Code": "RevisionNotFound"})
        elif verb == "revision":
            self._answer(200, {"id": repository, "sha": commit.oid, "siblings": []})
        elif verb == "tree":
            self._tree(commit, asked, int(query.get("cursor", ["0"])[0]))
        elif verb == "preupload":
            self._preupload(commit, json.loads(asked.body)["files"])
        elif verb == "commit":
            self._commit(repository, revision, asked.body)
        else:
            self._answer(404)

    def _tree(self, commit: Commit, asked: Asked, start: int) -> None:
        entries = []
        for path, one in sorted(commit.files.items())[start : start + PAGE]:
            data = self.hub.objects[one] if isinstance(one, str) else one
            entry: dict[str, Any] = {"type": "file", "path": path, "size": len(data), "oid": _blob(data)}
            if isinstance(one, str):
                entry["lfs"] = {"oid": one, "size": len(data), "pointerSize": 134}
            entries.append(entry)
        more = {}
        if start + PAGE < len(commit.files):
            more["Link"] = f'<{self.hub.url}{asked.path}?recursive=true&cursor={start + PAGE}>; rel="next"'
        self._answer(200, entries, more)

    def _preupload(self, commit: Commit, files: list[dict[str, Any]]) -> None:
        told = []
        for file in files:
            mode = "lfs" if _is_large(file["path"], file["size"]) else "regular"
            there = commit.files.get(file["path"])
            oid = there if isinstance(there, str) else None if there is None else _blob(there)
            told.append({"path": file["path"], "uploadMode": mode, "shouldIgnore": False, "oid": oid})
        self._answer(200, {"files": told})

    def _batch(self, asked: dict[str, Any]) -> None:
        objects: list[dict[str, Any]] = []
        for one in asked["objects"]:
            told = dict(one)
            if one["oid"] not in self.hub.objects:
                told["actions"] = {"upload": {"href": f"{self.hub.url}/lfs/{one['oid']}", "header": {}}}
            objects.append(told)
        self._answer(200, {"transfer": "basic", "objects": objects})

    def _commit(self, repository: str, branch: str, body: bytes) -> None:
        lines = [json.loads(line) for line in body.splitlines()]
        head = self.hub.head(repository, branch)
        if lines[0]["value"].get("parentCommit") not in (None, head.oid):
            self._answer(412, {"error": "A commit has happened since."})
            return
        files = dict(head.files)
        for line in lines[1:]:
            value = line["value"]
            if line["key"] == "file":
                files[value["path"]] = base64.b64decode(value["content"])
            elif line["key"] == "lfsFile":
                files[value["path"]] = value["oid"]
                assert value["oid"] in self.hub.objects
            elif line["key"] == "deletedFile":
                del files[value["path"]]
        commits = self.hub.repositories[repository][branch]
        commits.append(Commit(_oid(repository, str(len(commits)), str(sorted(files.items()))), files))
        url = f"{self.hub.url}/datasets/{repository}/commit/{commits[-1].oid}"
        self._answer(200, {"commitUrl": url, "commitOid": commits[-1].oid})

    def _resolve(self, repository: str, revision: str, path: str) -> None:
        commit = self.hub.find(repository, revision)
        if commit is None or path not in commit.files:
            self._answer(404, headers={"X-Error-Code": "EntryNotFound"})
            return
        one = commit.files[path]
        data = self.hub.objects[one] if isinstance(one, str) else one
        etag = one if isinstance(one, str) else _blob(data)
        self._answer(200, data, {"ETag": f'"{etag}"', "X-Repo-Commit": commit.oid})


def _blob(data: bytes) -> str:
    return hashlib.sha1(b"blob %d\0" % len(data) + data, usedforsecurity=False).hexdigest()


@contextmanager
def hub_server(patch: pytest.MonkeyPatch) -> Iterator[Hub]:
    """A server, and this process speaking to it with its token, as if it were the Hub."""
    import huggingface_hub.utils._http as http
    from huggingface_hub import constants

    hub = Hub()
    handler = type("Handler", (_Handler,), {"hub": hub})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    hub.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    patch.setattr(constants, "ENDPOINT", hub.url)
    patch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", hub.url + "/{repo_id}/resolve/{revision}/{filename}")
    patch.setattr(constants, "HF_HUB_DISABLE_XET", True)
    patch.setattr(http.time, "sleep", lambda _: None)
    patch.setenv("HF_TOKEN", TOKEN)
    try:
        yield hub
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
