"""The one part of a multipart answer comes whole, or it is said that it did not."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from curate.pacs.multipart import CutShortError, MalformedError, boundary_of, media_type_of, write_part

BOUNDARY = b"a-boundary"


def message(content: bytes, head: bytes = b"Content-Type: application/dicom\r\n", preamble: bytes = b"") -> bytes:
    return preamble + b"--a-boundary\r\n" + head + b"\r\n" + content + b"\r\n--a-boundary--\r\n"


def part_of(data: bytes, size: int = 7) -> bytes:
    written = bytearray()
    write_part((data[at : at + size] for at in range(0, len(data), size)), BOUNDARY, written.extend)
    return bytes(written)


@given(content=st.binary(max_size=200), size=st.integers(1, 64))
def test_the_content_is_the_same_however_the_answer_is_cut_into_chunks(content: bytes, size: int) -> None:
    if b"\r\n--a-boundary" not in content:
        assert part_of(message(content), size) == content


@pytest.mark.parametrize("content", [b"", b"\r\n", b"\r\n--a-bound", b"--a-boundary", b"\r\n\r\n--a-boundar\r\n"])
def test_what_only_looks_like_a_boundary_belongs_to_the_content(content: bytes) -> None:
    assert part_of(message(content), 1) == content


@given(size=st.integers(1, 40), data=st.data())
def test_an_answer_that_ends_before_its_closing_boundary_is_cut_short(size: int, data: st.DataObject) -> None:
    whole = message(b"content of an instance")
    end = data.draw(st.integers(0, len(whole) - len("\r\n") - 1))
    with pytest.raises(CutShortError):
        part_of(whole[:end], size)


def test_text_before_the_first_boundary_is_no_part() -> None:
    assert part_of(message(b"content", preamble=b"\r\nThis is a message in parts.\r\n")) == b"content"


def test_a_part_needs_no_header() -> None:
    assert part_of(message(b"content", head=b"")) == b"content"


def test_two_parts_are_refused() -> None:
    two = b"--a-boundary\r\n\r\none\r\n--a-boundary\r\n\r\ntwo\r\n--a-boundary--\r\n"
    with pytest.raises(MalformedError, match="several parts"):
        part_of(two)


def test_a_part_of_another_kind_is_refused() -> None:
    with pytest.raises(MalformedError, match="no DICOM"):
        part_of(message(b"<html>", head=b"Content-Type: text/html\r\n"))


def test_a_message_without_parts_is_refused() -> None:
    with pytest.raises(MalformedError):
        part_of(b"--a-boundary--\r\n")


@pytest.mark.parametrize("filler", [b"x" * 1_000_000, b"x\r\n" * 300_000])
def test_an_endless_preamble_ends(filler: bytes) -> None:
    with pytest.raises(MalformedError):
        part_of(filler, 4096)


def test_the_boundary_may_be_quoted() -> None:
    assert boundary_of('multipart/related; type="application/dicom"; boundary="a b:c"') == b"a b:c"
    assert boundary_of("multipart/related; boundary=abc; type=application/dicom") == b"abc"
    assert media_type_of('Multipart/Related; boundary="x"') == "multipart/related"


@pytest.mark.parametrize(
    "said", ["multipart/related", 'multipart/related; boundary=""', "", "multipart/related; boundary=" + "x" * 71]
)
def test_a_multipart_answer_without_a_proper_boundary_is_refused(said: str) -> None:
    with pytest.raises(MalformedError):
        boundary_of(said)
