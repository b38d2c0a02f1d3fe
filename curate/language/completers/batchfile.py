"""batchfile: requests are written as files for `vllm run-batch` or a vendor's batch API, and their answers read back.

A request that no file asks yet is written into a new one; its outcome is that it waits. The answers, which a person
puts into the same folder as `*.jsonl` under any name, are read by the next run. Input: one line per request,
`{"custom_id", "method", "url", "body"}`; output: one per answer, `{"custom_id", "response", "error"}` (OpenAI's batch
API; vLLM writes the same).

Nothing is asked twice while a file that asks it may still be answered. A line that says the server failed makes room
for asking again.
"""

import contextlib
import fcntl
import hashlib
import json
import logging
import os
import re
import tempfile
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Annotated, Any, ClassVar, Final

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
from curate.language.requests import wire_body

__all__ = ["BatchFile", "BatchFileOptions"]

OURS: Final = re.compile(r"batch-[0-9a-f]{16}\.jsonl")
BEGUN: Final = ".batch-"
MAX_LINE_BYTES: Final = 8 * 2**20
"""Of an answer; a longer line is none."""

LOG: Final = logging.getLogger(__name__)


class BatchFileOptions(CompleterOptions, frozen=True):
    """Where the files lie and how large they may be. The defaults are the limits of OpenAI's batch API."""

    folder: Annotated[str, Meta(min_length=1)]
    where: Where = Where.REMOTE
    """Who answers the files: `local` where `vllm run-batch` does, on a machine of ours."""

    url: Annotated[str, Meta(pattern="^/")] = "/v1/chat/completions"
    max_requests: Annotated[int, Meta(ge=1)] = 50_000
    max_bytes: Annotated[int, Meta(ge=1024)] = 200_000_000


class _Asked(msgspec.Struct):
    """What matters of a line that asks."""

    custom_id: str


class _Place(msgspec.Struct, frozen=True):
    """Where an answer stands."""

    file: int
    at: int
    size: int


class BatchFile:
    """One folder of files that ask and files that answer."""

    name: ClassVar[str] = "batchfile"
    Options: ClassVar[type[CompleterOptions]] = BatchFileOptions

    def __init__(self, model: str, revision: str | None, options: BatchFileOptions) -> None:
        self._options = options
        self._folder = Path(options.folder)

    @staticmethod
    def place(options: BatchFileOptions) -> Where:
        """A third party, unless the recipe says that we answer the files ourselves."""
        return options.where

    def complete(self, requests: Iterable[Request], images: ImageSource) -> Iterator[Outcome]:
        """Answers that are there at once; what waits once its file is written.

        Raises:
            CompleterError: the folder cannot be read or written.
        """
        with _disk_errors(self._folder):
            self._folder.mkdir(parents=True, exist_ok=True)
            _drop_begun(self._folder)
            shelf = _Shelf(self._folder)
        with contextlib.closing(_Writer(self._folder, self._options)) as writer:
            for asked in requests:
                with _disk_errors(self._folder):
                    found = shelf.outcome(asked.request_id)
                if found is not None:
                    yield found
                    continue
                line = _line(asked, wire_body(asked, images), self._options.url)
                if len(line) > self._options.max_bytes:
                    yield Failure(asked.request_id, Trouble.REQUEST_TOO_LONG, "more bytes than a batch file may have")
                    continue
                with _disk_errors(self._folder):
                    written = writer.add(asked.request_id, line)
                yield from written
            with _disk_errors(self._folder):
                written = writer.finish()
            yield from written

    def close(self) -> None:
        """Nothing to stop."""


class _Writer:
    """The file that is being written. Its name is the digest of its bytes, so it appears whole or not at all."""

    def __init__(self, folder: Path, options: BatchFileOptions) -> None:
        self._folder = folder
        self._options = options
        self._file: Any = None
        self._digest = hashlib.sha256()
        self._bytes = 0
        self._ids: list[str] = []

    def add(self, request_id: str, line: bytes) -> list[Failure]:
        """Write a request; the outcomes of a file that is full."""
        is_full = len(self._ids) == self._options.max_requests or self._bytes + len(line) > self._options.max_bytes
        waiting = self.finish() if is_full else []
        if self._file is None:
            self._file = tempfile.NamedTemporaryFile(  # noqa: SIM115 - it outlives this call
                dir=self._folder, prefix=BEGUN, suffix=".tmp", delete=False
            )
            fcntl.flock(self._file.fileno(), fcntl.LOCK_EX)
        self._file.write(line)
        self._digest.update(line)
        self._bytes += len(line)
        self._ids.append(request_id)
        return waiting

    def finish(self) -> list[Failure]:
        """Give the file its name; the outcomes of what it asks."""
        if self._file is None:
            return []
        path = self._folder / f"batch-{self._digest.hexdigest()[:16]}.jsonl"
        self._file.flush()
        os.fsync(self._file.fileno())
        Path(self._file.name).rename(path)
        self._file.close()
        _sync(self._folder)
        waiting = [Failure(each, Trouble.NOT_YET, f"waits in {path}") for each in self._ids]
        self._file, self._digest, self._bytes, self._ids = None, hashlib.sha256(), 0, []
        return waiting

    def close(self) -> None:
        """Drop what was begun."""
        if self._file is not None:
            Path(self._file.name).unlink(missing_ok=True)
            self._file.close()
            self._file = None


class _Shelf:
    """What the files of a folder ask and answer; the answers themselves stay on disk."""

    def __init__(self, folder: Path) -> None:
        self._waits: dict[bytes, tuple[int, ...]] = {}  # in which files of ours
        self._failed: Counter[bytes] = Counter()  # in how many files the server failed
        self._answered: dict[bytes, _Place] = {}
        self._refused: dict[bytes, Refusal] = {}
        self._unclear: dict[bytes, tuple[Refusal, str]] = {}  # refused, and in which file
        self._files = sorted(path for path in folder.glob("*.jsonl") if path.is_file())
        for number, path in enumerate(self._files):
            if OURS.fullmatch(path.name):
                self._read_asked(number, path)
            else:
                self._read_answers(number, path)

    def outcome(self, request_id: str) -> Outcome | None:
        """What became of a request; null where it has to be asked.

        Raises:
            CompleterError: the server refused it as it may have refused all.
        """
        key = _key(request_id)
        place = self._answered.get(key)
        if place is not None:
            found = _answer_at(self._files[place.file], place, request_id)
            if found is not None:
                return found
        refusal = self._refused.get(key)
        if refusal is None and key in self._unclear:
            refusal, where = self._unclear[key]
            if refusal.kind is not Kind.UNCLEAR or not self._answered:
                remedy = refusal.remedy or "correct the model and the parameters that the recipe asks with"
                raise CompleterError(
                    f"batchfile: {where} says that the server refuses such requests ({refusal.detail}): {remedy}; "
                    "to ask the same again, remove that file"
                )
        if refusal is not None:
            return Failure(request_id, refusal.trouble, refusal.detail)
        files = self._waits.get(key, ())
        if len(files) <= self._failed[key]:
            return None
        return Failure(request_id, Trouble.NOT_YET, f"waits in {' or '.join(str(self._files[n]) for n in files)}")

    def _read_asked(self, number: int, path: Path) -> None:
        for _, line in _lines(path, path.stat().st_size):  # our own lines are long where they hold images
            with contextlib.suppress(msgspec.MsgspecError, UnicodeDecodeError):
                key = _key(msgspec.json.decode(line, type=_Asked).custom_id)
                self._waits[key] = (*self._waits.get(key, ()), number)

    def _read_answers(self, number: int, path: Path) -> None:
        failed: set[bytes] = set()
        unread = 0
        for at, line in _lines(path, MAX_LINE_BYTES):
            said = _said(line)
            if said is None:
                unread += 1
                continue
            key, found = _key(said[0]), said[1]
            if isinstance(found, Answer):
                self._answered.setdefault(key, _Place(number, at, len(line)))
            elif isinstance(found, Failure):
                self._refused.setdefault(key, Refusal(Kind.REFUSED, found.trouble, found.detail))
            elif found.kind is Kind.REFUSED:
                self._refused.setdefault(key, found)
            elif found.kind is Kind.AGAIN:
                failed.add(key)
            else:
                self._unclear.setdefault(key, (found, path.name))
        self._failed.update(failed)
        if unread:
            LOG.warning("batchfile: %d lines of %s answer nothing and are left out", unread, path.name)


def _said(line: bytes) -> tuple[str, Answer | Failure | Refusal] | None:
    """Which request a line of output answers, and how; null where it is no such line."""
    value = parsed(line)
    request_id = value.get("custom_id") if isinstance(value, dict) else None
    if not isinstance(request_id, str) or not ("response" in value or "error" in value):
        return None
    response, error = value.get("response"), value.get("error")
    if not isinstance(response, dict):
        return request_id, Refusal(Kind.AGAIN, Trouble.SERVER_ERROR, "the batch ended before it")
    status = response.get("status_code", 200)
    body = response.get("body", response if "choices" in response else None)
    if status == 200 and not error:
        return request_id, outcome_of(request_id, body, BatchFile.name)
    is_status = isinstance(status, int) and 100 <= status < 600 and status != 200
    return request_id, refusal_of(status if is_status else 500, json.dumps(error or body).encode())


def _answer_at(path: Path, place: _Place, request_id: str) -> Answer | None:
    with path.open("rb") as file:
        file.seek(place.at)
        said = _said(file.read(place.size))
    return said[1] if said is not None and said[0] == request_id and isinstance(said[1], Answer) else None


def _lines(path: Path, longest: int) -> Iterator[tuple[int, bytes]]:
    """Lines with where they begin, without those that are empty or longer than `longest`."""
    with path.open("rb") as file:
        at = 0
        while line := file.readline(longest + 1):
            begin, at = at, at + len(line)
            if len(line) > longest:
                while line and not line.endswith(b"\n"):
                    line = file.readline(longest + 1)
                    at += len(line)
            elif line.strip():
                yield begin, line


def _line(asked: Request, body: dict[str, Any], url: str) -> bytes:
    said = {"custom_id": asked.request_id, "method": "POST", "url": url, "body": body}
    return msgspec.json.encode(said, order="sorted") + b"\n"


def _key(request_id: str) -> bytes:
    return hashlib.sha256(request_id.encode("utf-8", "surrogatepass")).digest()[:16]


def _drop_begun(folder: Path) -> None:
    """Remove files that a run began that was killed: no process holds their lock any more."""
    for path in sorted(folder.glob(f"{BEGUN}*.tmp")):
        with contextlib.suppress(FileNotFoundError, BlockingIOError), path.open("rb") as file:
            fcntl.flock(file.fileno(), fcntl.LOCK_EX | fcntl.LOCK_NB)
            path.unlink()


def _sync(folder: Path) -> None:
    held = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(held)
    finally:
        os.close(held)


@contextlib.contextmanager
def _disk_errors(folder: Path) -> Iterator[None]:
    try:
        yield
    except OSError as problem:
        raise CompleterError(
            f"batchfile: the folder {folder.name} cannot be used ({problem.strerror or type(problem).__name__}); free "
            "space or fix the rights"
        ) from None
