"""What is taken back goes at the next publishing with all that came of it, and stays out of every later one."""

import json
from pathlib import Path
from typing import Any

import pytest

from curate.catalog import query
from curate.errors import StoreError, UsageError
from curate.publish.takedown import (
    TOMBSTONES,
    Entry,
    decode_tombstones,
    encode_tombstones,
    load_takedown,
    merged,
    withdrawn,
)
from curate.schema import identity
from tests.crash.small import World, curate, draw
from tests.publish.worlds import age, edited, files_at, published, rebuilt


def asked(out: Path, sql: str) -> list[tuple[Any, ...]]:
    return query(out, sql).fetchall()


def rows_at(folder: Path) -> dict[str, list[str]]:
    """Pair id -> media of every row of a release."""
    lines = [line for path in sorted((folder / "plain").iterdir()) for line in path.read_text().splitlines()]
    return {row["id"]: row["media"] for row in map(json.loads, lines)}


# --- the list


def test_a_list_is_yaml_or_lines(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text("- abc\n- {id: images/c00.png, reason: withdrawn, date: 2026-01-02}\n")
    (tmp_path / "a.txt").write_text("# those who asked\nabc\n\nimages/c00.png\twithdrawn\t2026-01-02\n")
    expected = (Entry(id="abc"), Entry(id="images/c00.png", reason="withdrawn", date="2026-01-02"))
    assert load_takedown(tmp_path / "a.yaml") == load_takedown(tmp_path / "a.txt") == expected


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("a.yaml", "ids: [a]", "is a list of ids"),
        ("a.yaml", "- {id: a, reson: b}", "reson"),
        ("a.yaml", "- 17", "entry 1: it is an id"),
        ("a.yaml", "- {id: ' '}", "its id is empty"),
        ("a.yaml", "- {reason: b}", "id"),
        ("a.txt", "a\tb\tc\td\n", "line 1"),
        ("a.txt", "\tb\n", "line 1"),
    ],
)
def test_a_list_that_says_something_else_is_told(tmp_path: Path, name: str, text: str, said: str) -> None:
    (tmp_path / name).write_text(text)
    with pytest.raises(UsageError, match=said):
        load_takedown(tmp_path / name)


def test_a_tombstone_holds_no_name_and_the_first_reason_stays() -> None:
    first = merged((), [Entry(id="images/c00.png", reason="one")])
    both = merged(first, [Entry(id="images/c00.png", reason="two"), Entry(id="abc")])
    assert [one.reason for one in both if one.digest == identity("takedown", "images/c00.png")] == ["one"]
    data = encode_tombstones(both)
    assert b"c00" not in data
    assert decode_tombstones(data, "x") == both


@pytest.mark.parametrize("data", [b"", b"{}", b'{"tombstones": [{"digest": "x"}]}', b"\xff"])
def test_tombstones_that_are_damaged_stop_a_publishing(data: bytes) -> None:
    with pytest.raises(StoreError, match="cannot be kept out"):
        decode_tombstones(data, "x")


# --- what goes


@pytest.mark.parametrize(
    ("column", "goes"),
    [
        ("pair_id", "SELECT pair_id FROM pairs WHERE pair_id = '{id}'"),
        ("annotation_ids[1]", "SELECT pair_id FROM pairs WHERE list_contains(annotation_ids, '{id}')"),
        ("asset_ids[1]", "SELECT pair_id FROM pairs WHERE list_contains(asset_ids, '{id}')"),
    ],
)
def test_what_rests_on_an_id_goes_and_nothing_else(world: World, column: str, goes: str) -> None:
    (name,) = asked(world.out(), f"SELECT {column} FROM pairs ORDER BY pair_id LIMIT 1")[0]
    before = published(world)
    done = published(world, takedown=[Entry(id=name)])
    gone = {row[0] for row in asked(world.out(), goes.format(id=name))}
    every = {row[0] for row in asked(world.out(), "SELECT pair_id FROM pairs")}
    assert gone
    assert rows_at(world.folder / "there").keys() == every - gone
    assert done.withheld == {"cells": {"takedown": len(gone)}}
    assert before.withheld == {}
    assert done.difference is not None
    assert [(one.cause, one.rows) for one in done.difference.changes] == [("takedown", len(gone))]


@pytest.mark.parametrize("what", ["subject", "item_key"])
def test_with_a_subject_or_an_item_go_its_pictures(world: World, what: str) -> None:
    (name,) = asked(world.out(), f"SELECT {what} FROM assets ORDER BY item_key LIMIT 1")[0]
    published(world)
    published(world, takedown=[Entry(id=name)])
    assets = {row[0] for row in asked(world.out(), f"SELECT asset_id FROM assets WHERE {what} = '{name}'")}
    left = files_at(world.folder / "there")
    assert assets
    assert not [path for path in left if any(one in path for one in assets)]
    assert not [path for path in files_at(world.folder / "out.release" / "files") if any(one in path for one in assets)]
    assert all(name.encode() not in data for path, data in left.items() if path.endswith((".json", ".md")))


def test_what_was_cut_from_a_volume_or_video_goes_with_it(corpus: Path) -> None:
    from curate.catalog import connect

    (volume,) = asked(corpus, "SELECT asset_id FROM assets WHERE form = 'volume' ORDER BY asset_id LIMIT 1")[0]
    with connect(corpus) as connection:
        found = withdrawn(connection, merged((), [Entry(id=volume), Entry(id="nothing here")]))
    cut = {row[0] for row in asked(corpus, f"SELECT asset_id FROM assets WHERE derived_from = '{volume}'")}
    drawn = asked(
        corpus, "SELECT asset_id FROM assets WHERE rendering_of IN (SELECT unnest(?))".replace("?", str([*cut]))
    )
    assert cut
    assert {volume, *cut, *(row[0] for row in drawn)} <= set(found.ids)
    assert found.strange == 1


def test_a_copy_of_a_picture_goes_with_it(world: World) -> None:
    draw(world.data / "images" / "c99.png", 0)  # the pixels of c00
    labels = world.data / "labels.csv"
    labels.write_text(labels.read_text() + "c99,p9,healthy\n")
    age(world.data)
    rebuilt(world)
    published(world, takedown=[Entry(id="images/c99.png")])
    both = {
        row[0] for row in asked(world.out(), "SELECT asset_id FROM assets WHERE item_key SIMILAR TO '.*c(00|99).png'")
    }
    assert len(both) == 2
    assert not [path for path in files_at(world.folder / "there") if any(one in path for one in both)]


def test_it_stays_out_when_the_list_is_not_given_again(world: World) -> None:
    (name,) = asked(world.out(), "SELECT asset_id FROM assets ORDER BY item_key LIMIT 1")[0]
    published(world, takedown=[Entry(id=name, reason="asked to", date="2026-01-02")])
    edited(world, "labels.csv", ("c05,p1,healthy", "c05,p1,anaemia"))
    done = published(world)
    assert (done.tombstones, done.strange) == (1, 0)
    assert all(name not in path for media in rows_at(world.folder / "there").values() for path in media)
    stone = json.loads((world.folder / "there" / TOMBSTONES).read_text())["tombstones"][0]
    assert (stone["reason"], stone["date"]) == ("asked to", "2026-01-02")


def test_a_release_that_lost_its_tombstones_is_not_published_over(world: World) -> None:
    (name,) = asked(world.out(), "SELECT asset_id FROM assets ORDER BY item_key LIMIT 1")[0]
    published(world, takedown=[Entry(id=name)])
    (world.folder / "there" / TOMBSTONES).unlink()
    with pytest.raises(StoreError, match="cannot be kept out"):
        published(world)


def test_the_command_takes_a_list_and_says_what_it_did_not_find(world: World) -> None:
    (world.folder / "list.txt").write_text("images/c00.png\nimages/none.png\n")
    said = curate(
        "publish", world.out(), world.folder / "there", "--format", "llava", "--takedown", world.folder / "list.txt"
    )
    assert said.code == 0, said.text
    assert "1 of 2 ids that were taken back name nothing" in said.stdout
    assert "takedown" in said.stdout
