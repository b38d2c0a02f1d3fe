"""Two corpora side by side: which rows came, went and changed, and why."""

import json
import shutil
from pathlib import Path

import pytest

from curate.catalog import query
from curate.diff import diff
from curate.errors import StoreError, UsageError
from curate.publish.index import Cause, Change, Difference, Kind
from tests.crash.small import CARD, World, age, curate, draw, small_world
from tests.publish.worlds import copy_of, edited, published, rebuilt


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> World:
    """The small source, built; not to be changed."""
    world = small_world(tmp_path_factory.mktemp("world"))
    assert world.build().code == 0
    return world


@pytest.fixture
def world(built: World, tmp_path: Path) -> World:
    """A copy of it, to be changed."""
    return copy_of(built, tmp_path / "world")


def told(found: Difference) -> dict[tuple[str, str], int]:
    return {(change.kind.value, change.cause.value): change.rows for change in found.changes}


def rows(out: Path, where: str = "true") -> int:
    ((number,),) = query(out, f"SELECT count(*) FROM pairs WHERE {where}").fetchall()
    return int(number)


def test_a_corpus_and_itself_do_not_differ(built: World) -> None:
    found = diff(built.out(), built.out())
    assert found.is_empty
    assert found.unchanged == found.rows_before == found.rows_after == rows(built.out())


def test_another_label_makes_other_rows_of_its_own_picture_alone(built: World, world: World) -> None:
    edited(world, "labels.csv", ("c00,p0,anaemia", "c00,p0,healthy"))
    found = diff(built.out(), world.out())
    assert {change.cause for change in found.changes} == {Cause.ANNOTATION}
    ((asset,),) = query(built.out(), "SELECT asset_id FROM assets WHERE item_key = 'images/c00.png'").fetchall()
    own = {
        row[0]
        for side in (built, world)
        for row in query(side.out(), f"SELECT pair_id FROM pairs WHERE list_contains(asset_ids, '{asset}')").fetchall()
    }
    assert {one for change in found.changes for one in change.examples} <= own


def test_a_moved_box_changes_the_rows_that_tell_it(built: World, world: World) -> None:
    edited(world, "boxes.csv", ("c02,2,3,6,9", "c02,2,3,7,9"))
    found = diff(built.out(), world.out())
    assert {(change.kind, change.cause) for change in found.changes} == {(Kind.CHANGED, Cause.ANNOTATION)}


def test_other_pixels_change_the_rows_of_that_picture(built: World, world: World) -> None:
    draw(world.data / "images" / "c03.png", 777)
    age(world.data)
    rebuilt(world)
    found = diff(built.out(), world.out())
    ((asset,),) = query(built.out(), "SELECT asset_id FROM assets WHERE item_key = 'images/c03.png'").fetchall()
    assert told(found) == {("changed", "source bytes"): rows(built.out(), f"list_contains(asset_ids, '{asset}')")}


def test_a_picture_that_came_or_went_takes_its_rows_along(built: World, world: World) -> None:
    draw(world.data / "images" / "c50.png", 50)
    labels = world.data / "labels.csv"
    labels.write_text(labels.read_text() + "c50,p9,healthy\n")
    age(world.data)
    rebuilt(world)
    forth, back = diff(built.out(), world.out()), diff(world.out(), built.out())
    assert set(told(forth)) == {("added", "source bytes")}
    assert told(back) == {("removed", cause): n for (_, cause), n in told(forth).items()}


def test_a_task_that_is_no_longer_asked_is_told(built: World, world: World) -> None:
    world.write_recipe(tasks=["label_caption", "count"])
    rebuilt(world)
    assert told(diff(built.out(), world.out())) == {("removed", "task"): rows(built.out(), "task = 'grounding'")}


def test_another_licence_is_told(built: World, world: World) -> None:
    world.write_card(terms=CARD["terms"] | {"licence": "CC0-1.0"})
    rebuilt(world)
    assert told(diff(built.out(), world.out())) == {("changed", "licence"): rows(built.out())}


def test_another_split_is_told(built: World, world: World) -> None:
    world.write_recipe(split={"fractions": {"train": 0.34, "validation": 0.33, "test": 0.33}})
    rebuilt(world)
    moved = diff(built.out(), world.out())
    assert set(told(moved)) == {("changed", "split")}


def test_another_wording_is_told(built: World, world: World) -> None:
    edit_pairs(world, "wording = 'other'")
    assert set(told(diff(built.out(), world.out()))) == {("changed", "template wording")}


def test_other_words_of_the_same_wording_are_the_tasks_own_change(built: World, world: World) -> None:
    edit_pairs(world, "messages = list_transform(messages, lambda m: {'role': m.role, 'content': m.content || '!'})")
    assert set(told(diff(built.out(), world.out()))) == {("changed", "task version")}


def test_an_answer_of_a_model_is_told(built: World, world: World) -> None:
    edit_pairs(world, "response_id = 'abc', origin = 'llm'")
    assert set(told(diff(built.out(), world.out()))) == {("changed", "model answer")}


def edit_pairs(world: World, change: str) -> None:
    """Write the pairs of the catalog as another build might have written them."""
    import duckdb

    (path,) = (world.out() / "catalog").glob("pairs-*.parquet")
    with duckdb.connect() as connection:
        connection.execute(f"CREATE TABLE pairs AS SELECT * FROM read_parquet('{path}')")
        connection.execute(f"UPDATE pairs SET {change}")
        connection.execute(f"COPY pairs TO '{path}' (FORMAT parquet)")


def test_a_release_is_a_side_too(built: World, world: World) -> None:
    published(world)
    assert diff(built.out(), world.folder / "there").is_empty
    shutil.copytree(world.folder / "there", world.folder / "before")
    edited(world, "labels.csv", ("c00,p0,anaemia", "c00,p0,healthy"))
    published(world)
    between = diff(world.folder / "before", world.folder / "there")
    assert told(between) == told(diff(built.out(), world.out()))


def test_a_place_that_is_neither_is_told(built: World, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="holds no corpus"):
        diff(built.out(), tmp_path)


def test_a_release_without_its_index_is_told(world: World) -> None:
    published(world)
    (path,) = (world.folder / "there" / "index").iterdir()
    path.write_bytes(path.read_bytes()[:100])
    with pytest.raises(StoreError, match="publish the release again"):
        diff(world.out(), world.folder / "there")


def test_the_numbers_add_up() -> None:
    found = Difference(
        10, 11, (Change("a", Kind.ADDED, Cause.TASK, 3, ()), Change("a", Kind.REMOVED, Cause.TASK, 2, ()))
    )
    assert (found.rows(Kind.ADDED), found.unchanged) == (3, 8)


def test_the_command_prints_a_table_and_json(built: World, world: World) -> None:
    edited(world, "labels.csv", ("c00,p0,anaemia", "c00,p0,healthy"))
    said = curate("diff", built.out(), world.out())
    assert said.code == 0
    assert "annotation" in said.stdout
    plain = json.loads(curate("diff", built.out(), world.out(), "--json").stdout)
    assert plain["rows_before"] == rows(built.out())
    assert curate("diff", built.out(), built.out()).code == 0
