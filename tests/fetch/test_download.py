"""What servers do to a download: the file comes whole and proved, or not at all."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from curate.errors import CurateError, DataError, GateError
from curate.fetch.run import Fetched
from curate.fetch.transport import Transport
from tests.fetch.conftest import card_of
from tests.fetch.server import Served, serving, sha256

DATA = bytes(range(256)) * 4096  # 1 MiB
OTHER = DATA[::-1]

Bring = Callable[..., Fetched]


def _file(url: str, data: bytes = DATA, **more: Any) -> dict[str, Any]:
    return {"url": url, "sha256": sha256(data), "bytes": len(data), **more}


def _nothing_there(root: Path) -> bool:
    return not (root / "example").exists() and not (root / ".example.fetch" / "receipt.json").exists()


def test_a_file_comes_once_and_is_not_asked_for_again(brought: Bring, tmp_path: Path) -> None:
    with serving({"/a.bin": Served(DATA)}) as server:
        card = card_of(_file(f"{server.url}/a.bin", into="sub"))
        first = brought(card)
        before = (tmp_path / ".example.fetch/receipt.json").read_bytes()
        second = brought(card)
        assert len(server.asked) == 1
    assert (tmp_path / "example/sub/a.bin").read_bytes() == DATA
    assert (first.downloaded, first.bytes_downloaded, second.downloaded, second.bytes_downloaded) == (
        1,
        len(DATA),
        0,
        0,
    )
    assert (tmp_path / ".example.fetch/receipt.json").read_bytes() == before
    assert not list((tmp_path / ".example.fetch/incoming").iterdir())


def test_a_download_that_breaks_off_goes_on_where_it_ended(brought: Bring, tmp_path: Path) -> None:
    with serving({"/a.bin": Served(DATA, drops=[300_000, 200_000])}) as server:
        brought(card_of(_file(f"{server.url}/a.bin")))
        assert server.ranges() == [None, "bytes=300000-", "bytes=500000-"]
        assert server.asked[1].headers["if-range"] == '"one"'
    assert (tmp_path / "example/a.bin").read_bytes() == DATA


def test_a_fetch_that_was_ended_goes_on_in_another_process(brought: Bring, tmp_path: Path) -> None:
    with serving({"/a.bin": Served(DATA, drops=[400_000] + [0] * 6)}) as server:
        card = card_of({"url": f"{server.url}/a.bin"})
        with pytest.raises(CurateError, match=r"a\.bin: the server gave an answer that breaks off") as told:
            brought(card)
        assert told.value.retryable
        assert _nothing_there(tmp_path)
        asked = len(server.asked)
        brought(card)
        assert server.ranges()[asked:] == ["bytes=400000-"]
    assert (tmp_path / "example/a.bin").read_bytes() == DATA


def test_a_file_that_changes_between_two_ranges_begins_anew(brought: Bring, tmp_path: Path) -> None:
    served = Served(DATA, drops=[500_000], next_data=OTHER, next_etag='"two"')
    with serving({"/a.bin": served}) as server:
        brought(card_of({"url": f"{server.url}/a.bin"}))
        assert server.ranges() == [None, "bytes=500000-"]
    assert (tmp_path / "example/a.bin").read_bytes() == OTHER


@pytest.mark.parametrize("honest_date", [True, False])
def test_a_file_without_etag_goes_on_by_its_date_or_begins_anew(
    brought: Bring, tmp_path: Path, honest_date: bool
) -> None:
    served = Served(DATA, etag=None, modified=1_700_000_000 if honest_date else None, drops=[500_000])
    with serving({"/a.bin": served}) as server:
        brought(card_of({"url": f"{server.url}/a.bin"}))
        assert server.ranges() == [None, "bytes=500000-" if honest_date else None]
    assert (tmp_path / "example/a.bin").read_bytes() == DATA


def test_parts_of_two_files_are_told_by_the_digest_and_brought_again_whole(brought: Bring, tmp_path: Path) -> None:
    served = Served(OTHER, etag=None, drops=[500_000], next_data=DATA)
    with serving({"/a.bin": served}) as server:
        brought(card_of(_file(f"{server.url}/a.bin")))
        assert server.ranges() == [None, "bytes=500000-", None]
    assert (tmp_path / "example/a.bin").read_bytes() == DATA


def test_a_server_that_ignores_ranges_begins_anew(brought: Bring, tmp_path: Path) -> None:
    with serving({"/a.bin": Served(DATA, ranges=False, drops=[500_000])}) as server:
        brought(card_of(_file(f"{server.url}/a.bin")))
    assert (tmp_path / "example/a.bin").read_bytes() == DATA


def test_a_range_that_starts_elsewhere_is_not_believed(brought: Bring, tmp_path: Path) -> None:
    with serving({"/a.bin": Served(DATA, wrong_start=True, drops=[500_000])}) as server:
        brought(card_of({"url": f"{server.url}/a.bin"}))
        assert server.ranges() == [None, "bytes=500000-", None]
    assert (tmp_path / "example/a.bin").read_bytes() == DATA


def test_a_server_that_falls_silent_is_asked_again(brought: Bring, tmp_path: Path) -> None:
    with serving({"/a.bin": Served(DATA, stalls=[500_000])}) as server:
        brought(card_of(_file(f"{server.url}/a.bin")))
        assert server.ranges() == [None, "bytes=500000-"]
    assert (tmp_path / "example/a.bin").read_bytes() == DATA


def test_a_server_that_says_when_to_come_back_is_heeded(brought: Bring) -> None:
    answers = [(429, {"Retry-After": "7"}), (503, {"Retry-After": "3"}), (500, {})]
    waited: list[float] = []
    with serving({"/a.bin": Served(DATA, answers=answers)}) as server:
        brought(card_of(_file(f"{server.url}/a.bin")), waited=waited)
    assert waited == [7.0, 3.0, 4.0]


def test_a_server_that_never_answers_is_given_up(brought: Bring, tmp_path: Path) -> None:
    waited: list[float] = []
    with (
        serving({"/a.bin": Served(DATA, answers=[(503, {})] * 50)}) as server,
        pytest.raises(CurateError, match="HTTP 503, several times"),
    ):
        brought(card_of(_file(f"{server.url}/a.bin")), waited=waited)
    assert waited == [1.0, 2.0, 4.0, 8.0, 16.0]
    assert _nothing_there(tmp_path)


PAGE = b"<!DOCTYPE html><html><body>Log in to go on</body></html>"


@pytest.mark.parametrize(
    ("served", "card", "told"),
    [
        (Served(PAGE, kind="text/html; charset=utf-8"), {}, "a web page instead of the file"),
        (Served(PAGE), {}, "a web page instead of the file"),
        (Served(b"busy", kind="text/plain"), {"name": "a.zip"}, r"does not begin as one of the kind \.zip"),
        (Served(OTHER), {"sha256": sha256(DATA)}, f"a file with the sha256 {sha256(OTHER)}"),
        (Served(DATA[:-1]), {"bytes": len(DATA)}, "a file of 1,048,575 bytes, its card says 1,048,576"),
        (Served(DATA * 2), {"bytes": len(DATA)}, "a file of 2,097,152 bytes, its card says 1,048,576"),
        (Served(DATA * 2, says_length=False), {"bytes": len(DATA)}, "more than the 1,048,576 bytes"),
        (Served(DATA, length=500_000), {"sha256": sha256(DATA)}, "a file with the sha256"),
        (Served(b""), {}, "a file of no bytes"),
        (Served(DATA, headers={"Content-Encoding": "br"}), {}, "an encoding that was not asked for"),
        (Served(DATA, wants_token="secret"), {}, "HTTP 401: it asks for a token"),
        (Served(DATA, answers=[(403, {})] * 9), {}, "HTTP 403"),
        (Served(DATA, answers=[(302, {"Location": "/a"})] * 50), {}, "more than 8 redirects"),
        (Served(DATA, answers=[(302, {"Location": "ftp://example.org/a"})]), {}, "an address that is none"),
        (Served(DATA, answers=[(302, {"Location": "//u:p@example.org/a"})]), {}, "or that holds a password"),
        (Served(DATA, answers=[(302, {})]), {}, "a redirect to nowhere"),
        (Served(DATA, answers=[(304, {})]), {}, "HTTP 304"),
    ],
)
def test_what_is_not_the_file_is_refused(
    brought: Bring, tmp_path: Path, served: Served, card: dict[str, Any], told: str
) -> None:
    with serving({"/a": served}) as server, pytest.raises(DataError, match=told) as problem:
        brought(card_of({"url": f"{server.url}/a", **card}))
    assert problem.value.exit_code == 1
    assert "example" in str(problem.value)
    assert "Log in" not in str(problem.value)
    assert _nothing_there(tmp_path)


def test_an_answer_whose_length_promises_more_than_comes_is_no_file(brought: Bring, tmp_path: Path) -> None:
    with (
        serving({"/a.bin": Served(DATA, length=len(DATA) + 9, ranges=False)}) as server,
        pytest.raises(CurateError, match="breaks off"),
    ):
        brought(card_of({"url": f"{server.url}/a.bin"}))
    assert _nothing_there(tmp_path)


def test_without_a_digest_on_the_card_a_later_fetch_must_find_the_same(brought: Bring, tmp_path: Path) -> None:
    with serving({"/a.bin": Served(DATA)}) as server:
        card = card_of({"url": f"{server.url}/a.bin"})
        assert brought(card).unproved == 1
        (tmp_path / "example/a.bin").unlink()
        assert brought(card).downloaded == 1
        (tmp_path / "example/a.bin").write_bytes(b"?")
        server.paths["/a.bin"].data = OTHER
        with pytest.raises(DataError, match="another digest than when it was fetched first"):
            brought(card)
    assert (tmp_path / "example/a.bin").read_bytes() == b"?"


def test_a_file_edited_in_place_is_brought_again_and_a_copied_one_is_not(brought: Bring, tmp_path: Path) -> None:
    with serving({"/a.bin": Served(DATA)}) as server:
        card = card_of(_file(f"{server.url}/a.bin"))
        brought(card)
        file = tmp_path / "example/a.bin"
        os.utime(file, ns=(1, 1))
        assert brought(card).downloaded == 0
        file.write_bytes(OTHER)
        assert brought(card).downloaded == 1
    assert file.read_bytes() == DATA


def test_a_file_that_the_card_names_no_more_goes(brought: Bring, tmp_path: Path) -> None:
    with serving({"/a.bin": Served(DATA), "/b.bin": Served(OTHER)}) as server:
        brought(card_of(_file(f"{server.url}/a.bin"), _file(f"{server.url}/b.bin", OTHER)))
        (tmp_path / "example/mine.txt").write_text("a note of mine")
        done = brought(card_of(_file(f"{server.url}/b.bin", OTHER)))
    assert done.downloaded == 0
    assert sorted(path.name for path in (tmp_path / "example").iterdir()) == ["b.bin", "mine.txt"]


def test_one_file_that_fails_leaves_the_source_not_there(brought: Bring, tmp_path: Path) -> None:
    with serving({"/a.bin": Served(DATA)}) as server:
        card = card_of(_file(f"{server.url}/a.bin"), _file(f"{server.url}/gone.bin", OTHER))
        with pytest.raises(DataError, match=r"gone\.bin: the server gave HTTP 404"):
            brought(card)
        assert _nothing_there(tmp_path)
        server.paths["/gone.bin"] = Served(OTHER)
        assert brought(card).files == 2
    assert (tmp_path / "example/gone.bin").read_bytes() == OTHER


def test_a_folder_that_no_fetch_made_is_left_alone(brought: Bring, tmp_path: Path) -> None:
    (tmp_path / "example").mkdir()
    (tmp_path / "example/mine.txt").write_text("mine")
    with (
        serving({"/a.bin": Served(DATA)}) as server,
        pytest.raises(DataError, match="was not fetched; nothing is overwritten"),
    ):
        brought(card_of(_file(f"{server.url}/a.bin")))
    assert [path.name for path in (tmp_path / "example").iterdir()] == ["mine.txt"]


def test_no_terms_no_data(brought: Bring, tmp_path: Path) -> None:
    with serving({"/a.bin": Served(DATA)}) as server:
        card = card_of(_file(f"{server.url}/a.bin"))
        with pytest.raises(GateError, match="--accept-terms") as told:
            brought(card, accepted=None)
        assert told.value.exit_code == 3
        assert not server.asked
        brought(card)
        brought(card, accepted=None)
        other = card_of(_file(f"{server.url}/a.bin"), licence="CC-BY-4.0")
        with pytest.raises(GateError, match="not accepted"):
            brought(other, accepted=None)
    assert b'"at"' in (tmp_path / ".example.fetch/acceptance.json").read_bytes()
    assert b'"at"' not in (tmp_path / ".example.fetch/receipt.json").read_bytes()


def test_an_agreement_is_made_elsewhere(brought: Bring) -> None:
    with pytest.raises(GateError, match=r"go to example\.org/data") as told:
        brought(card_of({"url": "https://example.org/a.bin"}, licence="LicenseRef-agreement"))
    assert told.value.exit_code == 3


def test_a_token_is_the_environments_and_goes_to_its_own_host_alone(brought: Bring, tmp_path: Path) -> None:
    environment = {"CURATE_TOKEN_127_0_0_1": "very-secret"}
    with (
        serving({"/b.bin": Served(DATA)}, "127.0.0.2") as other,
        serving({"/a.bin": Served(DATA, wants_token="very-secret")}) as server,
    ):
        transport = Transport(environment={}, judge=lambda address: address.startswith("127."))
        brought(card_of(_file(f"{server.url}/a.bin")), environment=environment, transport=transport)
        server.paths["/a.bin"] = Served(answers=[(302, {"Location": f"{other.url}/b.bin"})])
        (tmp_path / "example/a.bin").unlink()
        brought(card_of(_file(f"{server.url}/a.bin")), environment=environment, transport=transport)
        assert "authorization" in server.asked[-1].headers
        assert "authorization" not in other.asked[-1].headers
    notes = [path for path in (tmp_path / ".example.fetch").rglob("*") if path.is_file()]
    assert notes
    assert not any(b"very-secret" in path.read_bytes() for path in notes)
