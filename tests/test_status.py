"""What `curate status` tells of an output: from its sidecars and the times of their files, never from the sources."""

import json
import os
import shutil
import time
from pathlib import Path

import pytest

from curate.errors import UsageError
from curate.standing import RECENT_S, Standing
from curate.status import Status, Watch, status
from curate.store.part import Part, Sidecar, Sidecars, decode_sidecar
from tests.crash.small import World, curate, small_world


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> World:
    """Sixteen images of four patients, built."""
    world = small_world(tmp_path_factory.mktemp("world"), images=16)
    assert world.build("out", "-j", "1").code == 0
    return world


@pytest.fixture
def world(original: World, tmp_path: Path) -> World:
    """A copy of it."""
    folder = tmp_path / "copy"
    shutil.copytree(original.folder, folder)
    return World(folder)


def done(said: Status) -> dict[str, tuple[int, int | None]]:
    """Stage -> parts that fit, and parts wanted."""
    return {stage.stage: (stage.done, stage.wanted) for stage in said.stages}


def at(world: World, part: Part, seconds: float) -> None:
    """Give a sidecar's file this time."""
    os.utime(world.out() / part.sidecar_path, (seconds, seconds))


def parts(world: World, stage: str) -> list[Part]:
    """The parts of a stage that are there."""
    return Sidecars(world.out()).parts(stage)


def test_a_complete_build_wants_nothing_and_has_no_time_left(world: World) -> None:
    said = status(world.out())
    buckets = len(parts(world, "read"))
    assert buckets > 1
    assert said.complete
    assert done(said) == {
        **dict.fromkeys(("read", "draft", "verify"), (buckets, buckets)),
        **dict.fromkeys(("scan", "group", "catalog"), (1, 1)),
    }
    assert said.left_s is None
    assert said.stopped is None


def test_how_many_parts_there_will_be_is_unknown_until_the_sources_are_scanned(world: World) -> None:
    (world.out() / Part("scan", "cells").sidecar_path).unlink()
    said = done(status(world.out()))
    assert said["scan"] == (0, 1)
    assert {said[stage][1] for stage in ("read", "draft", "verify")} == {None}


def test_a_part_is_stale_when_what_it_was_made_from_was_made_anew(world: World) -> None:
    labels = world.folder / "cells" / "labels.csv"
    before = labels.read_text()
    after = before.replace("anaemia", "healthy", 1)
    assert after != before
    labels.write_text(after)
    assert world.build("out", "--stage", "scan").code == 0
    said = {stage.stage: stage for stage in status(world.out()).stages}
    assert said["read"].stale == 1  # its slice of the inventory is another; the other buckets keep theirs
    assert (said["draft"].stale, said["catalog"].stale) == (0, 1)  # nothing was read yet; files of the scan changed
    assert world.build("out", "--stage", "read").code == 0
    said = {stage.stage: stage for stage in status(world.out()).stages}
    assert (said["read"].stale, said["draft"].stale, said["verify"].stale) == (0, 1, 1)
    assert said["draft"].done == len(parts(world, "draft")) - 1
    assert not status(world.out()).complete
    assert world.build("out").code == 0
    assert status(world.out()).complete


def test_a_second_look_reads_only_what_changed(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    read: list[Part] = []
    decode = decode_sidecar

    def counted(data: bytes) -> Sidecar:
        sidecar = decode(data)
        read.append(sidecar.part)
        return sidecar

    monkeypatch.setattr("curate.store.part.decode_sidecar", counted)
    watch = Watch(world.out())
    assert watch.look().complete
    assert sorted(read) == sorted(Sidecars(world.out()).parts())
    read.clear()
    assert watch.look().complete
    assert read == []
    changed = parts(world, "draft")[0]
    at(world, changed, time.time() + 5)
    assert watch.look().complete
    assert read == [changed]
    (world.out() / changed.sidecar_path).unlink()
    assert done(watch.look())["draft"][0] == len(parts(world, "draft"))


def test_the_speed_is_that_of_the_last_minutes_and_gives_the_time_left(world: World) -> None:
    now = time.time()
    drafts = parts(world, "draft")
    for part in Sidecars(world.out()).parts():
        at(world, part, now - 10 * RECENT_S)
    removed, slow = drafts[:1], drafts[1:]
    assert len(slow) > 1
    for part in removed:
        (world.out() / part.sidecar_path).unlink()
    for number, part in enumerate(reversed(slow)):
        at(world, part, now - 60 * number)
    drafted = {each.stage: each for each in Standing(world.out()).look(now)}
    speed = drafted["draft"].speed
    assert speed is not None
    assert speed.parts_per_minute == pytest.approx(1.0)
    counted = sum(each.counts[0].n_in for each in Sidecars(world.out()).listed("draft") if each.part in slow[1:])
    assert speed.items == counted
    assert drafted["draft"].left_s == pytest.approx(60.0 * len(removed))
    assert drafted["read"].speed is None  # hours ago: nothing is known of how fast it would go now


def test_what_ended_the_last_build_is_told_until_one_goes_on(world: World) -> None:
    shutil.rmtree(world.out() / "parts" / "verify")
    pictures = world.folder / "cells" / "labels.csv"
    kept = pictures.read_text()
    pictures.unlink()
    assert world.build("out").code != 0
    assert "matches no file" in (status(world.out()).stopped or "")
    assert "The last build here was stopped" in curate("status", world.out()).stdout
    pictures.write_text(kept)
    assert world.build("out").code == 0
    assert status(world.out()).stopped is None


def test_watching_ends_with_the_build_and_prints_a_document_a_line(world: World) -> None:
    said = curate("status", world.out(), "--watch", "--json")
    assert said.code == 0
    (line,) = said.stdout.splitlines()
    assert json.loads(line)["complete"] is True


def test_a_folder_that_holds_no_corpus_is_told_as_such(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="holds no corpus"):
        status(tmp_path)
