"""The answer store: what was answered is kept for ever, the first answer wins, and nothing torn is ever read."""

import hashlib
import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from curate.errors import StoreError
from curate.store.answers import ANSWERS_FILE, AnswerStore, StoredAnswer, answers_folder
from tests.conftest import ROOT
from tests.crash.small import KILLS

APPENDER = """
import hashlib, sys
from pathlib import Path
from curate.store.answers import AnswerStore, StoredAnswer
folder, who, first, last, size = Path(sys.argv[1]), sys.argv[2], *map(int, sys.argv[3:])
store = AnswerStore(folder)
for number in range(first, last):
    key = hashlib.sha256(str(number).encode()).hexdigest()
    store.add([StoredAnswer(request_id=key, text=who * size)], sync=number % 16 == 0)
    print(number, flush=True)
"""
"""A process that appends answers one by one and says after each that it is stored."""


def key_of(number: int) -> str:
    return hashlib.sha256(str(number).encode()).hexdigest()


def answer(number: int, text: str = "yes") -> StoredAnswer:
    return StoredAnswer(
        request_id=key_of(number), text=text, finish_reason="stop", model="m", engine="e", where="local"
    )


def appender(folder: Path, who: str, first: int, last: int, size: int = 1) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        [sys.executable, "-c", APPENDER, str(folder), who, str(first), str(last), str(size)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=ROOT,
    )


def lines_of(folder: Path) -> list[bytes]:
    return (folder / ANSWERS_FILE).read_bytes().splitlines(keepends=True)


def test_what_is_stored_is_there_for_whoever_opens_the_store_later(tmp_path: Path) -> None:
    given_ = [answer(1), StoredAnswer(request_id=key_of(2), trouble="model_refused", detail="HTTP 400", where="remote")]
    AnswerStore(tmp_path / "answers").add(given_)
    store = AnswerStore(tmp_path / "answers")
    assert [store.get(key_of(1)), store.get(key_of(2)), store.get(key_of(3))] == [*given_, None]
    assert (len(store), store.damaged) == (2, 0)
    assert store.missing([key_of(3), key_of(2), key_of(0)]) == [key_of(3), key_of(0)]


def test_a_store_that_is_only_read_makes_no_folder(tmp_path: Path) -> None:
    store = AnswerStore(tmp_path / "nowhere")
    assert (store.get(key_of(1)), len(store)) == (None, 0)
    assert not (tmp_path / "nowhere").exists()


def test_the_first_answer_to_a_request_stays_within_one_call_too(tmp_path: Path) -> None:
    store = AnswerStore(tmp_path)
    store.add([answer(1, "first"), answer(1, "second")])
    store.add([answer(1, "third"), answer(2)])
    assert [len(lines_of(tmp_path)), store.get(key_of(1)).text] == [2, "first"]  # type: ignore[union-attr]


def test_the_first_answer_stays_whichever_of_two_builds_brings_another(tmp_path: Path) -> None:
    one, other = AnswerStore(tmp_path), AnswerStore(tmp_path)
    one.add([answer(1, "first")])
    other.add([answer(1, "late"), answer(2, "other's")])
    one.refresh()
    for store in (one, other, AnswerStore(tmp_path)):
        found = [store.get(key_of(number)) for number in (1, 2)]
        assert [each.text for each in found if each is not None] == ["first", "other's"]
    assert len(lines_of(tmp_path)) == 2


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=60)
@given(text=st.text(st.characters(codec="utf-8"), max_size=60), detail=st.text(st.characters(codec="utf-8")))
def test_any_text_comes_back_as_it_was(tmp_path: Path, text: str, detail: str) -> None:
    folder = tmp_path / hashlib.sha256(repr((text, detail)).encode()).hexdigest()
    stored = msgspec.structs.replace(answer(1, text), detail=detail)
    AnswerStore(folder).add([stored, answer(2)])
    assert AnswerStore(folder).get(key_of(1)) == stored
    assert len((folder / ANSWERS_FILE).read_bytes().split(b"\n")) == 3


def test_an_answer_has_a_text_or_a_trouble() -> None:
    with pytest.raises(ValueError, match="a text or a trouble"):
        StoredAnswer(request_id=key_of(1))
    with pytest.raises(ValueError, match="a text or a trouble"):
        StoredAnswer(request_id=key_of(1), text="yes", trouble="model_refused")


def test_a_line_torn_at_any_place_costs_its_own_answer_alone(tmp_path: Path) -> None:
    store = AnswerStore(tmp_path / "whole")
    store.add([answer(1), answer(2)])
    store.add([answer(3)])
    whole = (tmp_path / "whole" / ANSWERS_FILE).read_bytes()
    last = len(lines_of(tmp_path / "whole")[-1])
    for cut in range(1, last + 1):
        folder = tmp_path / f"cut-{cut}"
        folder.mkdir()
        (folder / ANSWERS_FILE).write_bytes(whole[:-cut])
        torn = AnswerStore(folder)
        assert (len(torn), torn.get(key_of(3)), torn.damaged) == (2, None, 0)
        torn.add([answer(3, "again"), answer(4)])
        for mended in (torn, AnswerStore(folder)):
            third = mended.get(key_of(3))
            assert third is not None
            assert third.text == ("yes" if cut == 1 else "again")  # but its end of line, the line was whole
            assert mended.get(key_of(4)) == answer(4)
            assert mended.damaged == (0 if cut in (1, last) else 1)


def test_no_flipped_bit_gives_another_answer(tmp_path: Path) -> None:
    AnswerStore(tmp_path).add([answer(1, "no effusion"), answer(2, "effusion"), answer(3)])
    whole = (tmp_path / ANSWERS_FILE).read_bytes()
    chance = random.Random("bits")
    lost = 0
    for place in range(len(whole)):
        flipped = bytearray(whole)
        flipped[place] ^= 1 << chance.randrange(8)
        folder = tmp_path / str(place)
        folder.mkdir()
        (folder / ANSWERS_FILE).write_bytes(flipped)
        store = AnswerStore(folder)
        found = {number: store.get(key_of(number)) for number in (1, 2, 3)}
        gone = [number for number, each in found.items() if each is None]
        assert all(each == answer(number, each.text or "") for number, each in found.items() if each is not None)
        assert [each.text for each in found.values() if each is not None] == [
            text for number, text in ((1, "no effusion"), (2, "effusion"), (3, "yes")) if number not in gone
        ]
        assert store.damaged > 0 or (gone == [3] and place == len(whole) - 1)
        lost += bool(gone)
    assert lost == len(whole)


@pytest.mark.parametrize(
    "line",
    [
        b"[" * 100_000,
        b'{"sha256":"","answer":' + b"[" * 100_000,
        b"\xff\xfe",
        b"null",
        b"{}",
        b'{"sha256":"x","answer":null}',
        b'{"sha256":' + b'"%s","answer":{}}' % hashlib.sha256(b"{}").hexdigest().encode(),
        b"\x00" * 4096,
    ],
)
def test_what_was_never_a_line_of_a_store_is_passed_over(tmp_path: Path, line: bytes) -> None:
    store = AnswerStore(tmp_path)
    store.add([answer(1)])
    with (tmp_path / ANSWERS_FILE).open("ab") as file:
        file.write(line + b"\n")
    store.add([answer(2)])
    for each in (store, AnswerStore(tmp_path)):
        assert (each.damaged, each.get(key_of(1)), each.get(key_of(2))) == (1, answer(1), answer(2))


def test_an_empty_line_is_no_damage(tmp_path: Path) -> None:
    (tmp_path / ANSWERS_FILE).write_bytes(b"\n\n")
    store = AnswerStore(tmp_path)
    store.add([answer(1)])
    assert (store.damaged, len(AnswerStore(tmp_path))) == (0, 1)


def test_a_store_that_somebody_shortens_or_rewrites_is_told_and_never_guessed(tmp_path: Path) -> None:
    store = AnswerStore(tmp_path)
    store.add([answer(1), answer(2)])
    lines = lines_of(tmp_path)
    (tmp_path / ANSWERS_FILE).write_bytes(lines[1] + lines[0])
    with pytest.raises(StoreError, match="only ever appended to"):
        store.get(key_of(1))
    (tmp_path / ANSWERS_FILE).write_bytes(lines[0])
    with pytest.raises(StoreError, match="only ever appended to"):
        store.add([answer(3)])
    assert AnswerStore(tmp_path).get(key_of(1)) == answer(1)


def test_processes_that_append_at_once_leave_one_whole_line_for_each_request(tmp_path: Path) -> None:
    ranges = {"a": (0, 120), "b": (40, 160), "c": (80, 200), "d": (0, 200)}
    running = [appender(tmp_path, who, *span, size=5000) for who, span in ranges.items()]
    seen = 0
    while any(process.poll() is None for process in running):
        store = AnswerStore(tmp_path)
        assert store.damaged == 0
        assert len(store) >= seen
        seen = len(store)
    for process in running:
        assert process.communicate()[1] == ""
        assert process.returncode == 0
    store = AnswerStore(tmp_path)
    lines = lines_of(tmp_path)
    assert (len(store), len(lines), store.damaged) == (200, 200, 0)
    for number in range(200):
        found = store.get(key_of(number))
        assert found is not None
        assert len(set(found.text or "")) == 1  # one process's whole answer
        assert len(found.text or "") == 5000


def test_a_process_killed_while_it_appends_loses_nothing_that_it_had_stored(tmp_path: Path) -> None:
    chance = random.Random("kills")
    told: set[int] = set()
    next_ = 0
    for _ in range(10 * KILLS):
        process = appender(tmp_path, "x", next_, next_ + 100_000, size=20_000)
        assert process.stdout is not None
        told.add(int(process.stdout.readline()))
        time.sleep(chance.uniform(0.0, 0.1))
        process.send_signal(signal.SIGKILL)
        rest = process.stdout.read()
        process.communicate()
        told |= {int(line) for line in rest.splitlines(keepends=True) if line.endswith("\n")}
        store = AnswerStore(tmp_path)
        assert store.missing(key_of(number) for number in sorted(told)) == []
        next_ = max(told) + 2  # the one in flight may be there, too
        store.add([answer(-next_)])
        assert AnswerStore(tmp_path).get(key_of(-next_)) == answer(-next_)
    store = AnswerStore(tmp_path)
    assert store.damaged <= 10 * KILLS
    for number in sorted(told):
        found = store.get(key_of(number))
        assert found is not None
        assert found.text == "x" * 20_000


def test_a_disk_that_takes_no_more_is_told_and_leaves_what_was_stored(tmp_path: Path) -> None:
    """A limit on the size of files stands for the full disk: both are an `OSError` on write."""
    script, values = APPENDER, (tmp_path, "x", 0, 100, 1000)
    done = subprocess.run(
        ["bash", "-c", 'ulimit -f 12 && exec "$@"', "-", sys.executable, "-c", script, *map(str, values)],
        capture_output=True,
        text=True,
        cwd=ROOT,
        check=False,
    )
    stored = [int(line) for line in done.stdout.split()]
    assert 5 < len(stored) < 20
    last = done.stderr.strip().splitlines()[-1]
    assert "cannot use the answer store" in last
    assert "File too large; free space" in last
    store = AnswerStore(tmp_path)
    assert store.missing(map(key_of, stored)) == []
    store.add([answer(99)])
    assert len(AnswerStore(tmp_path)) == len(stored) + 1


def test_a_place_that_can_be_no_store_is_told_with_what_to_do(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreError, match="Not a directory; free space, fix the rights or name another --answers"):
        AnswerStore(tmp_path / "file")
    (tmp_path / "folder" / ANSWERS_FILE).mkdir(parents=True)
    with pytest.raises(StoreError, match="Is a directory"):
        AnswerStore(tmp_path / "folder")
    with pytest.raises(StoreError, match="cannot use the answer store"):
        AnswerStore(Path("/proc/nowhere")).add([answer(1)])


@pytest.mark.skipif(os.geteuid() == 0, reason="the rights of files do not bind the superuser")
def test_a_store_without_the_right_to_write_can_be_read(tmp_path: Path) -> None:
    AnswerStore(tmp_path).add([answer(1)])
    (tmp_path / ANSWERS_FILE).chmod(0o400)
    store = AnswerStore(tmp_path)
    assert store.get(key_of(1)) == answer(1)
    with pytest.raises(StoreError, match="Permission denied"):
        store.add([answer(2)])


def test_a_store_lies_beside_its_output_and_never_within(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "out" / "deeper").mkdir(parents=True)
    monkeypatch.chdir(tmp_path / "out")
    for out in (Path(), Path("deeper/.."), tmp_path / "out", Path("../out")):
        assert answers_folder(out) == tmp_path / "out.answers"


def test_a_line_is_json_that_carries_its_own_digest(tmp_path: Path) -> None:
    AnswerStore(tmp_path).add([answer(1, "Ja, ein Erguß.")])
    (line,) = lines_of(tmp_path)
    plain = json.loads(line)
    body = line.split(b',"answer":', 1)[1][:-2]
    assert plain["sha256"] == hashlib.sha256(body).hexdigest()
    assert plain["answer"]["text"] == "Ja, ein Erguß."
