"""The one part of a `multipart/related` answer, streamed (RFC 2387, RFC 2046 5.1; PS3.18 8.7.3.2)."""

from collections.abc import Callable, Iterable
from email.message import Message
from typing import Final

__all__ = ["CutShortError", "MalformedError", "boundary_of", "media_type_of", "write_part"]

MAX_HEADER_BYTES: Final = 64 * 1024
"""Of what stands before the part's content, and of what follows the last boundary."""

MAX_BOUNDARY_LENGTH: Final = 70
"""RFC 2046, 5.1.1."""

CRLF: Final = b"\r\n"


class MalformedError(Exception):
    """The answer is no multipart message with one DICOM part; the text says in fixed words what it is."""


class CutShortError(Exception):
    """The answer ended before its closing boundary."""


def media_type_of(content_type: str) -> str:
    """The media type alone, in lower case."""
    return _parsed(content_type).get_content_type()


def boundary_of(content_type: str) -> bytes:
    """The boundary that a `Content-Type` states.

    Raises:
        MalformedError: it states none, or one that no message may have.
    """
    boundary = _parsed(content_type).get_param("boundary")
    if not isinstance(boundary, str) or not 0 < len(boundary) <= MAX_BOUNDARY_LENGTH or not boundary.isascii():
        raise MalformedError("a multipart answer without a boundary")
    return boundary.encode("ascii")


def _parsed(content_type: str) -> Message:
    message = Message()
    message["Content-Type"] = content_type.replace("\r", " ").replace("\n", " ")
    return message


def write_part(chunks: Iterable[bytes], boundary: bytes, write: Callable[[bytes], object]) -> None:
    """Hand the content of the one part to `write`, piece by piece; no more than a chunk is held.

    Raises:
        MalformedError: there is no part, more than one, or one that says that it is not DICOM.
        CutShortError: the answer ended before its closing boundary.
    """
    reader = _Reader(chunks)
    marker = b"--" + boundary
    _skip_to_part(reader, marker)
    _check_part_header(reader)
    delimiter = CRLF + marker
    while (at := reader.buffer.find(delimiter)) < 0:
        settled = len(reader.buffer) - len(delimiter) + 1
        if settled > 0:
            write(bytes(reader.buffer[:settled]))
            del reader.buffer[:settled]
        reader.more()
    write(bytes(reader.buffer[:at]))
    del reader.buffer[: at + len(delimiter)]
    while len(reader.buffer) < 2:
        reader.more()
    if reader.buffer[:2] != b"--":
        raise MalformedError("several parts where one instance was asked for")


class _Reader:
    """What came and is not used up yet."""

    def __init__(self, chunks: Iterable[bytes]) -> None:
        self._chunks = iter(chunks)
        self.buffer = bytearray()

    def more(self) -> None:
        chunk = next(self._chunks, b"")
        if not chunk:
            raise CutShortError
        self.buffer += chunk

    def line(self) -> bytes:
        """The next line without its end."""
        while (at := self.buffer.find(CRLF)) < 0:
            if len(self.buffer) > MAX_HEADER_BYTES:
                raise MalformedError("a multipart answer without a part")
            self.more()
        line = bytes(self.buffer[:at])
        del self.buffer[: at + 2]
        return line


def _skip_to_part(reader: _Reader, marker: bytes) -> None:
    passed = 0
    while (line := reader.line()).rstrip(b" \t") != marker:
        passed += len(line) + 2
        if line.rstrip(b" \t") == marker + b"--" or passed > MAX_HEADER_BYTES:
            raise MalformedError("a multipart answer without a part")


def _check_part_header(reader: _Reader) -> None:
    passed = 0
    while line := reader.line():
        passed += len(line)
        if passed > MAX_HEADER_BYTES:
            raise MalformedError("a multipart answer without a part")
        name, _, value = line.partition(b":")
        if name.strip().lower() == b"content-type":
            said = media_type_of(value.decode("latin-1").strip())
            if said not in ("application/dicom", "application/octet-stream"):
                raise MalformedError("a part that is no DICOM file")
