"""Servers that err, lie, stall and vanish: a mirror is what was asked for, or the build stops and says what is not."""

import fcntl
import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from curate.card import Card
from curate.corpus import PUBLIC_KEY, ProjectKey, ResolvedSource, mirror_folder
from curate.errors import CurateError, DataError, StoreError
from curate.pacs import Ingested, client, from_mirror, ingest
from curate.recipe import DicomWeb
from tests.conftest import ROOT
from tests.pacs.server import SERIES, STUDY, Asked, Pacs, Said, dicom_file, in_json, in_parts
from tests.test_card import card

KEY = ProjectKey(PUBLIC_KEY)
CARD = msgspec.convert(card(id="x"), Card)
UID = re.compile(r"\d+\.\d+\.\d+")


@pytest.fixture
def pacs() -> Iterator[Pacs]:
    with Pacs().running() as running:
        yield running


class Mirrored:
    """A source whose mirror lies below a folder."""

    def __init__(self, folder: Path, **said: Any) -> None:
        self.folder = mirror_folder(folder / "out", "x")
        self.said = said
        self.slept: list[float] = []

    def source(self, pacs: Pacs) -> ResolvedSource:
        entry = DicomWeb(url=pacs.url, **self.said)
        return ResolvedSource(card=CARD, root=str(self.folder / "files"), dicomweb=entry)

    def ingest(self, pacs: Pacs, timeouts_s: tuple[float, float] = (5, 5), **environment: str) -> Ingested:
        return ingest(self.source(pacs), KEY, environment=environment, sleep=self.slept.append, timeouts_s=timeouts_s)

    def fails(self, pacs: Pacs, match: str, error: type[CurateError] = DataError, **more: Any) -> str:
        with pytest.raises(error, match=match) as problem:
            self.ingest(pacs, **more)
        assert not UID.search(str(problem.value)), "a UID in an error"
        assert problem.value.__suppress_context__ or problem.value.__context__ is None
        assert not list((self.folder / "incoming").iterdir()) if self.folder.exists() else True
        return str(problem.value)

    def contents(self) -> list[bytes]:
        return sorted(path.read_bytes() for path in (self.folder / "files").rglob("*.dcm"))


@pytest.fixture
def mirrored(tmp_path: Path) -> Mirrored:
    return Mirrored(tmp_path)


def first_is(said: Callable[[bytes], Said], pacs: Pacs, times: int = 10**6) -> None:
    """The first instance is answered otherwise, so many times."""
    uid = next(iter(pacs.files))
    honest = pacs.instance
    pacs.instance = lambda asked_uid, asked: (
        said(pacs.files[uid]) if asked_uid == uid and asked.before < times else honest(asked_uid, asked)
    )


def test_an_honest_server_is_mirrored_byte_for_byte(pacs: Pacs, mirrored: Mirrored) -> None:
    came = mirrored.ingest(pacs)
    assert (came.studies, came.series, came.found, came.fetched, came.kept, came.gone) == (1, 1, 3, 3, 0, 0)
    assert mirrored.contents() == sorted(pacs.files.values())
    assert came.bytes == sum(map(len, pacs.files.values()))
    accept = next(asked.headers["Accept"] for asked in pacs.asked if asked.path.endswith(".1.1"))
    assert "transfer-syntax=*" in accept


def test_no_path_and_no_record_holds_an_identifier(pacs: Pacs, mirrored: Mirrored) -> None:
    mirrored.ingest(pacs)
    for path in mirrored.folder.rglob("*"):
        assert not UID.search(path.relative_to(mirrored.folder).as_posix())
        if path.suffix == ".json":
            assert SERIES not in path.read_text()


def test_what_is_there_is_not_fetched_again(pacs: Pacs, mirrored: Mirrored) -> None:
    mirrored.ingest(pacs)
    again = mirrored.ingest(pacs)
    assert (again.fetched, again.kept) == (0, 3)
    assert len(pacs.fetched) == 3


@pytest.mark.parametrize("status", [500, 502, 503, 504, 429])
def test_a_server_in_trouble_is_asked_again_later(pacs: Pacs, mirrored: Mirrored, status: int) -> None:
    first_is(lambda _: Said(status=status), pacs, times=2)
    assert mirrored.ingest(pacs).fetched == 3
    assert mirrored.slept == [0.5, 1.0]


def test_a_server_may_say_how_long_to_wait_but_not_for_ever(pacs: Pacs, mirrored: Mirrored) -> None:
    first_is(lambda _: Said(status=503, headers={"Retry-After": "7"}), pacs, times=1)
    mirrored.ingest(pacs)
    assert mirrored.slept == [7.0]
    pacs.search = lambda level, asked: (
        Said(status=503, headers={"Retry-After": "999999"}) if not asked.before else pacs.searched(level, asked)
    )
    pacs.asked.clear()
    mirrored.ingest(pacs)
    assert max(mirrored.slept) == 60.0


@pytest.mark.parametrize("status", [400, 401, 403, 404, 410, 413])
def test_a_refusal_is_not_asked_twice(pacs: Pacs, mirrored: Mirrored, status: int) -> None:
    first_is(lambda _: Said(status=status), pacs)
    said = mirrored.fails(pacs, rf"1 of 3 instances could not be fetched: HTTP {status} \(1 times\)")
    assert "tokens: " in said
    assert len(pacs.fetched) == 3
    assert len(mirrored.contents()) == 2  # the others stay for the next attempt


@pytest.mark.parametrize(
    ("broken", "cause"),
    [
        (lambda _: Said(content_type="text/html", body=b"<html>Doe^Jane: session expired</html>"), "no DICOM"),
        (lambda _: Said(body=in_parts(b"<html>an error page</html>")), "no DICOM"),
        (lambda _: Said(body=in_parts(b"<html>", media_type="text/html")), "no DICOM"),
        (lambda _: Said(body=in_parts(b"")), "no DICOM"),
        (lambda file: Said(body=in_parts(file, file)), "several parts"),
        (lambda file: Said(body=in_parts(file), content_type="multipart/related"), "without a boundary"),
        (lambda _: Said(body=in_parts(dicom_file(f"{SERIES}.999"))), "another instance"),
        (lambda file: Said(body=in_parts(file), headers={"Content-Encoding": "gzip"}), "encoding"),
        (lambda _: Said(status=204), "HTTP 204"),
        (lambda _: Said(status=304), "HTTP 304"),
    ],
)
def test_an_answer_that_is_not_the_instance_never_enters_the_mirror(
    pacs: Pacs, mirrored: Mirrored, broken: Callable[[bytes], Said], cause: str
) -> None:
    first_is(broken, pacs)
    said = mirrored.fails(pacs, cause)
    assert "Doe" not in said
    assert mirrored.contents() == sorted(list(pacs.files.values())[1:])
    assert len(pacs.fetched) == 3


@pytest.mark.parametrize(
    "broken",
    [
        lambda file: Said(body=in_parts(file)[:-40]),
        lambda file: Said(body=in_parts(file), sent=200),
        lambda file: Said(body=in_parts(file), sent=0),
        lambda file: Said(
            body=b"%x\r\n" % 4000 + in_parts(file)[:300],
            sent=310,
            headers={"Transfer-Encoding": "chunked", "Content-Length": ""},
        ),
        lambda file: Said(content_type="application/dicom", body=file, sent=300),
    ],
)
def test_an_answer_that_breaks_off_is_asked_for_again(
    pacs: Pacs, mirrored: Mirrored, broken: Callable[[bytes], Said]
) -> None:
    first_is(broken, pacs, times=2)
    assert mirrored.ingest(pacs).fetched == 3
    assert mirrored.contents() == sorted(pacs.files.values())


def test_an_answer_that_always_breaks_off_is_never_taken(pacs: Pacs, mirrored: Mirrored) -> None:
    first_is(lambda file: Said(body=in_parts(file), sent=400), pacs)
    mirrored.fails(pacs, "1 of 3 instances could not be fetched: .*breaks off")
    assert pacs.fetched.count(f"{SERIES}.1") == client.ATTEMPTS


def test_a_server_that_falls_silent_is_not_waited_for(pacs: Pacs, mirrored: Mirrored) -> None:
    first_is(lambda _: Said(after_s=30), pacs)
    mirrored.fails(pacs, "no answer in time", timeouts_s=(5, 0.2))


def test_an_answer_that_trickles_for_ever_is_given_up(pacs: Pacs) -> None:
    pacs.search = lambda level, asked: Said(content_type="application/json", body=b" " * 2_000_000 + b"[]")
    impatient = client.Client(pacs.url, client.Credentials(None), sleep=lambda _: None, answer_s=0.0)
    with impatient, pytest.raises(client.UnansweredError, match="no whole answer in time"):
        impatient.search((), {}, uid="0020000D", most=10)


def test_an_instance_without_a_message_around_it_is_taken(pacs: Pacs, mirrored: Mirrored) -> None:
    first_is(lambda file: Said(content_type="application/dicom", body=file), pacs)
    mirrored.ingest(pacs)
    assert mirrored.contents() == sorted(pacs.files.values())


@pytest.mark.parametrize("syntax", ["1.2.840.10008.1.2", "1.2.840.10008.1.2.2", "1.2.840.10008.1.2.1.99"])
def test_instances_of_every_encoding_are_recognised(pacs: Pacs, mirrored: Mirrored, syntax: str) -> None:
    uid = f"{SERIES}.1"
    pacs.files[uid] = dicom_file(uid, transfer_syntax=syntax)
    assert mirrored.ingest(pacs).fetched == 3


def test_a_dead_server_is_given_up(pacs: Pacs, mirrored: Mirrored) -> None:
    pacs.files |= {f"{SERIES}.{n}": dicom_file(f"{SERIES}.{n}") for n in range(10, 60)}
    pacs.instance = lambda uid, asked: Said(status=503)
    mirrored.fails(pacs, r"53 of 53 .*HTTP 503.*not asked for any more")
    assert len(set(pacs.fetched)) < 20


def test_a_server_that_is_not_there_leaves_the_mirror_for_offline_builds(tmp_path: Path, mirrored: Mirrored) -> None:
    with Pacs().running() as pacs:
        mirrored.ingest(pacs)
    assert "--offline" in mirrored.fails(pacs, "no connection")
    offline = from_mirror(mirrored.source(pacs), KEY)
    assert (offline.found, offline.kept, offline.offline) == (3, 3, True)


# Lists


def test_lists_come_page_by_page(pacs: Pacs, mirrored: Mirrored, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client, "PAGE", 2)
    assert mirrored.ingest(pacs).found == 3


def test_a_server_may_give_fewer_at_a_time_than_asked(pacs: Pacs, mirrored: Mirrored) -> None:
    def one_by_one(level: str, asked: Asked) -> Said:
        asked.query["limit"] = ["1"]
        return pacs.searched(level, asked)

    pacs.search = one_by_one
    assert mirrored.ingest(pacs).found == 3


def without_offset(pacs: Pacs) -> Callable[[str, Asked], Said]:
    def same_page(level: str, asked: Asked) -> Said:
        asked.query.pop("offset")
        return pacs.searched(level, asked)

    return same_page


def test_a_server_that_knows_no_offset_may_give_all_at_once(pacs: Pacs, mirrored: Mirrored) -> None:
    pacs.search = without_offset(pacs)
    assert mirrored.ingest(pacs).found == 3


def test_a_server_may_give_more_at_a_time_than_asked(
    pacs: Pacs, mirrored: Mirrored, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(client, "PAGE", 2)

    def everything(level: str, asked: Asked) -> Said:
        asked.query |= {"limit": ["1000"], "offset": ["0"]}
        return pacs.searched(level, asked)

    pacs.search = everything
    assert mirrored.ingest(pacs).found == 3


def test_pages_that_repeat_themselves_are_refused(
    pacs: Pacs, mirrored: Mirrored, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(client, "PAGE", 2)
    pacs.search = without_offset(pacs)
    mirrored.fails(pacs, "instances whose pages repeat themselves")


def test_a_list_that_never_ends_is_refused(pacs: Pacs, mirrored: Mirrored, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("curate.pacs.update.MAX_MATCHES", 50)

    def endless(level: str, asked: Asked) -> Said:
        first = int(asked.query["offset"][0])
        return in_json([{"0020000D": {"Value": [f"1.2.{n}"]}} for n in range(first, first + 20)])

    pacs.search = endless
    mirrored.fails(pacs, "more than 50 studies")


def test_a_list_that_says_that_there_is_more_and_gives_none_is_refused(pacs: Pacs, mirrored: Mirrored) -> None:
    def short(level: str, asked: Asked) -> Said:
        said = pacs.searched(level, asked)
        said.headers["Warning"] = '299 x "There are 7 additional results that can be requested"'
        return said

    pacs.search = short
    mirrored.fails(pacs, "breaks off")


@pytest.mark.parametrize(
    ("said", "cause"),
    [
        (Said(content_type="text/html", body=b"<html>Doe^Jane</html>"), "no JSON"),
        (Said(content_type="application/json", body=b"{"), "does not parse"),
        (Said(content_type="application/json", body=b"[" * 100_000), "does not parse"),
        (Said(content_type="application/json", body=b'"Doe^Jane"'), "does not parse"),
        (Said(content_type="application/json", body=b"\xff\xfe["), "does not parse"),
        (in_json([{}]), "without a UID"),
        (in_json([{"0020000D": {"Value": [None]}}]), "without a UID"),
        (in_json([{"0020000D": {"Value": ["../../etc"]}}]), "UID that is none"),
        (in_json([{"0020000D": {"Value": ["1.2/3"]}}]), "UID that is none"),
        (Said(status=401), "HTTP 401"),
    ],
)
def test_a_list_that_is_none_is_refused(pacs: Pacs, mirrored: Mirrored, said: Said, cause: str) -> None:
    pacs.search = lambda level, asked: said
    assert "Doe" not in mirrored.fails(pacs, cause)


def test_a_page_without_end_is_refused(pacs: Pacs, mirrored: Mirrored, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client, "MAX_SEARCH_BYTES", 1000)
    pacs.search = lambda level, asked: Said(content_type="application/json", body=b" " * 5000)
    mirrored.fails(pacs, "more than 1,000 bytes")


def test_a_server_that_lists_less_than_it_counts_is_not_believed(pacs: Pacs, mirrored: Mirrored) -> None:
    pacs.stated = {"00201209": {"vr": "IS", "Value": [5]}}
    mirrored.fails(pacs, "counts 5 instances of a series and lists 3")
    mirrored.said["trust_counts"] = False
    assert mirrored.ingest(pacs).found == 3


def test_a_server_that_does_not_heed_the_query_is_refused(pacs: Pacs, mirrored: Mirrored) -> None:
    mirrored.said["query"] = {"StudyDate": 2020}
    pacs.stated = {"00080020": {"vr": "DA", "Value": ["19990101"]}}
    said = mirrored.fails(pacs, "studies that StudyDate excludes")
    assert "1999" not in said
    assert not pacs.fetched


def test_a_query_that_finds_nothing_empties_no_mirror(pacs: Pacs, mirrored: Mirrored) -> None:
    mirrored.ingest(pacs)
    pacs.search = lambda level, asked: in_json([])
    mirrored.fails(pacs, "finds no series")
    assert len(mirrored.contents()) == 3


def test_series_without_instances_empty_no_mirror(pacs: Pacs, mirrored: Mirrored) -> None:
    mirrored.ingest(pacs)
    pacs.files.clear()
    mirrored.fails(pacs, "lists 1 series and no instance")
    assert len(mirrored.contents()) == 3


# Redirects, secrets, limits


def test_a_redirect_to_another_server_is_refused_and_tells_it_nothing(
    pacs: Pacs, mirrored: Mirrored, monkeypatch: pytest.MonkeyPatch
) -> None:
    mirrored.said["token_env"] = "PACS_TOKEN"
    with Pacs().running() as other:
        first_is(lambda _: Said(status=302, headers={"Location": f"{other.url}/studies"}), pacs)
        said = mirrored.fails(pacs, "redirect to another server", PACS_TOKEN="s3cret")
        assert not other.asked
    assert "s3cret" not in said
    assert {asked.headers["Authorization"] for asked in pacs.asked} == {"Bearer s3cret"}


def test_a_redirect_on_the_same_server_is_followed_but_not_for_ever(pacs: Pacs, mirrored: Mirrored) -> None:
    place = f"/dicom-web/studies/{STUDY}/series/{SERIES}/instances/{SERIES}.2"
    honest = pacs.instance
    pacs.instance = lambda uid, asked: (
        Said(status=307, headers={"Location": place + ".x"})
        if uid == f"{SERIES}.2"
        else honest(uid.removesuffix(".x"), asked)
    )
    assert mirrored.ingest(pacs).fetched == 3
    pacs.files[f"{SERIES}.4"] = dicom_file(f"{SERIES}.4")
    pacs.instance = lambda uid, asked: Said(status=307, headers={"Location": asked.path})
    mirrored.fails(pacs, "HTTP 307")


def test_no_netrc_signs_a_request(
    pacs: Pacs, mirrored: Mirrored, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "netrc").write_text("machine 127.0.0.1 login me password s3cret\n")
    (tmp_path / "netrc").chmod(0o600)
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    mirrored.ingest(pacs)
    assert not any("Authorization" in asked.headers for asked in pacs.asked)


def test_an_instance_over_the_limit_is_refused_without_being_kept(pacs: Pacs, mirrored: Mirrored) -> None:
    mirrored.said["instance_bytes"] = 2000
    first_is(lambda file: Said(body=in_parts(file + bytes(5_000_000))), pacs)
    mirrored.fails(pacs, r"over the limit of bytes \(1 times\)")
    assert len(mirrored.contents()) == 2


def test_a_query_over_the_limit_stops(pacs: Pacs, mirrored: Mirrored) -> None:
    mirrored.said["total_bytes"] = 1000
    mirrored.fails(pacs, "more than 1,000 bytes")


# The mirror


def test_a_build_that_broke_off_goes_on_where_it_was(pacs: Pacs, mirrored: Mirrored) -> None:
    first_is(lambda _: Said(status=404), pacs, times=1)
    mirrored.fails(pacs, "1 of 3")
    again = mirrored.ingest(pacs)
    assert (again.fetched, again.kept) == (1, 2)


def test_a_killed_build_leaves_no_torn_file_and_is_taken_up(pacs: Pacs, mirrored: Mirrored, tmp_path: Path) -> None:
    pacs.files |= {f"{SERIES}.{n}": dicom_file(f"{SERIES}.{n}", value=n) for n in range(10, 40)}
    pacs.instance = lambda uid, asked: Said(body=in_parts(pacs.files[uid]), after_s=0.05)
    (tmp_path / "source.json").write_bytes(msgspec.json.encode(mirrored.source(pacs)))
    program = (
        "import sys, msgspec\n"
        "from curate.corpus import PUBLIC_KEY, ProjectKey, ResolvedSource\n"
        "from curate.pacs import ingest\n"
        "source = msgspec.json.decode(open(sys.argv[1], 'rb').read(), type=ResolvedSource)\n"
        "ingest(source, ProjectKey(PUBLIC_KEY), environment={})\n"
    )
    child = subprocess.Popen([sys.executable, "-c", program, str(tmp_path / "source.json")], cwd=ROOT)
    while len(pacs.fetched) < 12:
        time.sleep(0.01)
        assert child.poll() is None
    child.kill()
    child.wait()
    there = mirrored.contents()
    assert 0 < len(there) < len(pacs.files)
    assert set(there) <= set(pacs.files.values())
    again = mirrored.ingest(pacs)
    assert (again.fetched, again.kept) == (len(pacs.files) - len(there), len(there))
    assert mirrored.contents() == sorted(pacs.files.values())


def test_files_of_a_killed_build_are_recognised(pacs: Pacs, mirrored: Mirrored) -> None:
    mirrored.ingest(pacs)
    for record in (mirrored.folder / "series").iterdir():
        record.unlink()  # as if the build had been killed before it wrote them
    (mirrored.folder / "incoming" / "torn.dcm").write_bytes(b"half")
    again = mirrored.ingest(pacs)
    assert (again.fetched, again.kept) == (0, 3)
    assert not list((mirrored.folder / "incoming").iterdir())


@pytest.mark.parametrize(
    "damage", [lambda data: data[:-1], lambda data: bytes([data[0] ^ 1]) + data[1:], lambda _: b""]
)
def test_a_damaged_file_is_fetched_again(pacs: Pacs, mirrored: Mirrored, damage: Callable[[bytes], bytes]) -> None:
    mirrored.ingest(pacs)
    path = next((mirrored.folder / "files").rglob("*.dcm"))
    path.write_bytes(damage(path.read_bytes()))
    assert mirrored.ingest(pacs).fetched == 1
    assert mirrored.contents() == sorted(pacs.files.values())


def test_a_file_that_was_only_touched_is_kept(pacs: Pacs, mirrored: Mirrored) -> None:
    mirrored.ingest(pacs)
    os.utime(next((mirrored.folder / "files").rglob("*.dcm")), ns=(1, 1))
    assert mirrored.ingest(pacs).fetched == 0


def test_what_the_server_has_no_more_leaves_the_mirror(pacs: Pacs, mirrored: Mirrored) -> None:
    mirrored.ingest(pacs)
    (mirrored.folder / "files" / "stray.txt").write_text("of nobody's concern")
    del pacs.files[f"{SERIES}.2"]
    now = mirrored.ingest(pacs)
    assert (now.found, now.fetched, now.kept, now.gone) == (2, 0, 2, 2)
    assert mirrored.contents() == sorted(pacs.files.values())
    assert [path.name for path in (mirrored.folder / "files").iterdir() if path.is_file()] == []


def test_an_entity_tag_tells_that_an_instance_changed(pacs: Pacs, mirrored: Mirrored) -> None:
    def tagged(uid: str, asked: Asked) -> Said:
        etag = f'"{hash(pacs.files[uid])}"'
        if asked.headers.get("If-None-Match") == etag:
            return Said(status=304, headers={"ETag": etag})
        return Said(body=in_parts(pacs.files[uid]), headers={"ETag": etag})

    pacs.instance = tagged
    mirrored.ingest(pacs)
    assert mirrored.ingest(pacs).fetched == 0
    pacs.files[f"{SERIES}.2"] = dicom_file(f"{SERIES}.2", value=99)
    assert mirrored.ingest(pacs).fetched == 1
    assert mirrored.contents() == sorted(pacs.files.values())


def test_two_builds_do_not_fetch_into_one_mirror(pacs: Pacs, mirrored: Mirrored) -> None:
    mirrored.ingest(pacs)
    descriptor = os.open(mirrored.folder / "incoming", os.O_RDONLY)
    fcntl.flock(descriptor, fcntl.LOCK_EX)
    mirrored.fails(pacs, "another build", StoreError)
    os.close(descriptor)


def test_offline_needs_a_whole_mirror(pacs: Pacs, mirrored: Mirrored) -> None:
    source = mirrored.source(pacs)
    with pytest.raises(DataError, match="there is none"):
        from_mirror(source, KEY)
    first_is(lambda _: Said(status=404), pacs, times=1)
    mirrored.fails(pacs, "1 of 3")
    with pytest.raises(DataError, match="there is none"):
        from_mirror(source, KEY)
    mirrored.ingest(pacs)
    next((mirrored.folder / "files").rglob("*.dcm")).unlink()
    with pytest.raises(DataError, match="1 files of its mirror"):
        from_mirror(source, KEY)


def test_offline_needs_the_mirror_of_this_very_query(pacs: Pacs, mirrored: Mirrored) -> None:
    mirrored.ingest(pacs)
    mirrored.said["query"] = {"StudyDate": 2020}
    with pytest.raises(DataError, match="another server, query or project key"):
        from_mirror(mirrored.source(pacs), KEY)


def test_a_damaged_record_is_no_record(pacs: Pacs, mirrored: Mirrored) -> None:
    mirrored.ingest(pacs)
    record = mirrored.folder / "mirror.json"
    record.write_text(json.dumps({"query": "x"}))
    with pytest.raises(DataError, match="there is none"):
        from_mirror(mirrored.source(pacs), KEY)
    assert mirrored.ingest(pacs).kept == 3
