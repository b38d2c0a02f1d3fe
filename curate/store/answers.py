"""The answer store: what models answered, kept for ever beside the output, the first answer to a request wins.

One file `answers.jsonl`, only ever appended to, one sealed line per answer. Whoever appends holds a lock that the
system takes back when the process ends, reads what others appended meanwhile, and leaves out what is stored already:
so the order of the lines decides, whoever writes at once. A line is written whole by one call; what a power failure
leaves of one is passed over by readers and closed by the next writer.
"""

import contextlib
import fcntl
import hashlib
import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Final

import msgspec

from curate.card import Struct
from curate.errors import StoreError, UsageError
from curate.store.place import Place

__all__ = ["ANSWERS_FILE", "AnswerStore", "StoredAnswer", "answers_folder"]

ANSWERS_FILE: Final = "answers.jsonl"


class StoredAnswer(Struct, frozen=True):
    """One answer, or the definitive failure of one request; `text` is null for a failure, `trouble` for an answer."""

    request_id: str
    text: str | None = None
    trouble: str | None = None
    detail: str = ""
    finish_reason: str | None = None
    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    model: str | None = None
    engine: str | None = None
    where: str | None = None

    def __post_init__(self) -> None:
        if (self.text is None) == (self.trouble is None):
            raise ValueError("an answer has a text or a trouble, and not both")


def answers_folder(out: Place) -> Path:
    """Where the answers of an output lie by default: beside it.

    Raises:
        UsageError: the output lies in an object store, to which nothing can be appended.
    """
    if not isinstance(out, Path):
        raise UsageError(
            f"answers are appended to a file, which {out} cannot hold: name a folder that all workers share and that "
            "is kept, by --answers DIR"
        )
    place = out.resolve()
    return place.parent / f"{place.name}.answers"


class AnswerStore:
    """The answers in one folder. It holds no more in memory than where each lies; one thread uses it at a time.

    Raises:
        StoreError: the folder cannot be read or written.
    """

    def __init__(self, folder: Path) -> None:
        self.path = folder / ANSWERS_FILE
        self._places: dict[str, tuple[int, int]] = {}  # request id -> where its line begins, its length
        self._end = 0
        self._damaged = 0
        self.refresh()

    def __len__(self) -> int:
        return len(self._places)

    @property
    def damaged(self) -> int:
        """Lines that are not as they were written, and are passed over."""
        return self._damaged

    def get(self, request_id: str) -> StoredAnswer | None:
        """The answer to a request, or null where none is stored."""
        place = self._places.get(request_id)
        if place is None:
            return None
        with self._errors(), self.path.open("rb") as file:
            file.seek(place[0])
            answer = _unsealed(file.read(place[1]))
        if answer is None or answer.request_id != request_id:
            raise StoreError(self._altered())
        return answer

    def missing(self, request_ids: Iterable[str]) -> list[str]:
        """Those of some requests that have no answer, in their order."""
        return [request_id for request_id in request_ids if request_id not in self._places]

    def add(self, answers: Iterable[StoredAnswer], *, sync: bool = True) -> None:
        """Append answers; what is stored already stays.

        From then on they outlive this process; with `sync` a power failure too.
        """
        with self._errors():
            is_new = not self.path.exists()
            self.path.parent.mkdir(parents=True, exist_ok=True)
            with self.path.open("ab") as file:
                fcntl.flock(file, fcntl.LOCK_EX)
                self.refresh()
                lines = b"".join(self._new_lines(answers))
                if lines:
                    size = os.fstat(file.fileno()).st_size
                    torn = b"\n" if size != self._end else b""
                    file.write(torn + lines)
                    file.flush()
                    self.refresh()
                if sync:
                    os.fsync(file.fileno())
            if is_new:
                _sync_folders(self.path.parent)

    def refresh(self) -> None:
        """Read what was appended since, by whomever; only whole lines count."""
        with self._errors():
            try:
                file = self.path.open("rb")
            except FileNotFoundError:
                return
            with file:
                if os.fstat(file.fileno()).st_size < self._end:
                    raise StoreError(self._altered())
                file.seek(self._end)
                for line in file:
                    if not line.endswith(b"\n"):
                        break
                    answer = _unsealed(line)
                    if answer is not None:
                        self._places.setdefault(answer.request_id, (self._end, len(line)))
                    elif line.strip():
                        self._damaged += 1
                    self._end += len(line)

    def _new_lines(self, answers: Iterable[StoredAnswer]) -> Iterator[bytes]:
        taken: set[str] = set()
        for answer in answers:
            if answer.request_id not in self._places and answer.request_id not in taken:
                taken.add(answer.request_id)
                yield _sealed(answer)

    def _altered(self) -> str:
        return f"{self.path} was altered while it was in use; it is only ever appended to: run the same command again"

    @contextlib.contextmanager
    def _errors(self) -> Iterator[None]:
        try:
            yield
        except OSError as problem:
            raise StoreError(
                f"cannot use the answer store {self.path}: {problem.strerror or type(problem).__name__}; free space, "
                "fix the rights or name another --answers, then run the same command again: what is stored stays"
            ) from None


def _sync_folders(folder: Path) -> None:
    """Make the name of a new file outlive a power failure, and that of its folder, which may be new too."""
    for place in (folder, folder.parent):
        descriptor = os.open(place, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def _sealed(answer: StoredAnswer) -> bytes:
    body = msgspec.json.encode(answer)
    return b'{"sha256":"%s","answer":%s}\n' % (hashlib.sha256(body).hexdigest().encode(), body)


class _Line(Struct, frozen=True):
    sha256: str
    answer: msgspec.Raw


def _unsealed(line: bytes) -> StoredAnswer | None:
    """The answer in a line; null where the line is not as it was written."""
    try:
        found = msgspec.json.decode(line, type=_Line)
        if hashlib.sha256(found.answer).hexdigest() != found.sha256:
            return None
        return msgspec.json.decode(found.answer, type=StoredAnswer)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
