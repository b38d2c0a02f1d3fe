"""What changes is built again, what does not is left alone, and `plan` says why."""

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from curate.corpus import project_key
from curate.plan import load
from curate.schema import Reason
from curate.stages import stage_named
from curate.stages.base import Run
from curate.stages.runner import build_part
from curate.store.freshness import Freshness, cache_folder
from curate.store.part import Part, Sidecars
from tests.crash.small import CARD, RECIPE, World, age, curate, draw, places, run_apart, small_world, tree, write_csv


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> World:
    """Sixteen images of four patients, built."""
    world = small_world(tmp_path_factory.mktemp("world"), images=16)
    assert world.build("out", "-j", "2").code == 0
    return world


@pytest.fixture
def world(original: World, tmp_path: Path) -> World:
    """A copy of the data with their times, and of what was built from them."""
    folder = tmp_path / "copy"
    shutil.copytree(original.folder, folder)
    return World(folder)


def buckets(world: World) -> set[int]:
    """The buckets that scan filled."""
    return set(Sidecars(world.out()).need(Part("scan", "cells")).statistics["buckets"])


def bucket_of(world: World, image: str) -> int:
    """The bucket that an image fell into."""
    import pyarrow.parquet as pq

    for file in Sidecars(world.out()).need(Part("scan", "cells")).of("inventory"):
        if image in pq.read_table(world.out() / file.name).column("item_key").to_pylist():
            assert file.bucket is not None
            return file.bucket
    raise AssertionError(image)


def stage(part: str) -> str:
    """The stage of a part as `plan` names it."""
    return part.partition("/")[0]


def built(world: World, *more: str) -> dict[str, int]:
    """Build, and how many parts of each stage that took; stages with none left out."""
    said = curate("build", world.recipe, "--out", world.out(), "--json", *more)
    assert said.code == 0, said.text
    return {name: n for name, n in json.loads(said.stdout)["built"].items() if n}


def edit(path: Path, old: str, new: str) -> None:
    """Replace one passage of a text file."""
    text = path.read_text()
    assert text.count(old) == 1
    path.write_text(text.replace(old, new))


def test_there_is_nothing_to_do_after_a_build_and_nothing_is_touched(world: World) -> None:
    assert built(world) in ({}, {"scan": 1})  # the copy is a new place: its cache may not be trusted once
    before = places(world.out())
    assert world.plan() == {}
    assert built(world) == {}
    assert places(world.out()) == before


def test_without_its_cache_a_build_looks_at_the_bytes_and_finds_nothing_to_do(world: World) -> None:
    shutil.rmtree(world.folder / ".out.cache")
    before = places(world.out())
    assert world.plan() == {}
    assert built(world) == {}
    assert places(world.out()) == before


def test_touched_files_with_the_same_bytes_are_not_built_again(world: World) -> None:
    for path in world.data.rglob("*.*"):
        os.utime(path)
    assert world.plan() == {}


def test_one_edited_row_rebuilds_its_bucket_alone(world: World) -> None:
    touched = bucket_of(world, "images/c05.png")
    assert len(buckets(world)) > 1
    edit(world.data / "labels.csv", "c05,p1,healthy", "c05,p1,anaemia")
    assert world.plan()["scan"][0].startswith("input file labels.csv changed")
    after = built(world)
    assert after == {"scan": 1, "read": 1, "draft": 1, "verify": 1, "catalog": 1}  # no image changed: groups stand
    kept = Sidecars(world.out())
    assert kept.need(Part("read", "cells", touched)).inputs != {}


def test_an_image_whose_bytes_changed_in_place_is_read_again(world: World) -> None:
    path = world.data / "images/c05.png"
    before, whole = path.stat(), path.read_bytes()
    same_size = (
        whole[:-13] + bytes([whole[-13] ^ 1]) + whole[-12:]
    )  # the last IEND's length byte: still a PNG of this size
    draw(path, 5)
    assert path.read_bytes() == whole
    path.write_bytes(same_size)
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns + 1))
    why = world.plan()
    assert f"read/{bucket_of(world, 'images/c05.png')}" in why
    assert "scan" not in why
    assert any("input files changed" in reason for reason in why[f"read/{bucket_of(world, 'images/c05.png')}"])


def test_a_new_image_touches_its_bucket_and_what_gathers_all(world: World) -> None:
    draw(world.data / "images/c99.png", 99)
    with (world.data / "labels.csv").open("a") as file:
        file.write("c99,p1,anaemia\r\n")
    after = built(world)
    assert after == {"scan": 1, "read": 1, "draft": 1, "verify": 1, "group": 1, "catalog": 1}
    assert curate("query", world.out(), "SELECT * FROM assets WHERE item_key = 'images/c99.png'", "--json").code == 0


def test_a_removed_image_is_gone_with_all_that_was_said_of_it(world: World) -> None:
    (world.data / "images/c05.png").unlink()
    said = curate("build", world.recipe, "--out", world.out(), "--json")
    assert said.code == 1  # its labels now name a missing file, and no card expects that
    assert json.loads(said.stdout)["built"]["read"] == 1
    left = json.loads(curate("query", world.out(), "SELECT count(*) AS n FROM assets", "--json").stdout)
    assert left == [{"n": 15}]


@pytest.mark.parametrize(("name", "stale"), [("images/c05.png", "read"), ("labels.csv", "scan")])
def test_a_file_whose_old_time_was_set_back_is_another_file(world: World, name: str, stale: str) -> None:
    path = world.data / name
    before, whole = path.stat(), path.read_bytes()
    assert world.plan() == {}
    path.write_bytes(whole[:-20] + bytes([whole[-20] ^ 1]) + whole[-19:])
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert stale in {stage(part) for part in world.plan()}
    said = curate("check", world.out(), "--sources", "--recipe", world.recipe)
    assert said.code == 1
    assert f"FAILED source: {name}" in said.stdout


def test_another_data_folder_of_equal_sizes_and_times_is_other_data(tmp_path: Path) -> None:
    world = small_world(tmp_path, images=4)
    shutil.copytree(world.data, tmp_path / "later" / "cells")
    (tmp_path / "earlier").mkdir()
    world.data.rename(tmp_path / "earlier" / "cells")
    edit(tmp_path / "later/cells/labels.csv", "c01,p0,healthy", "c01,p0,anaemia")
    said = {}
    for version in ("earlier", "later"):
        for path in (tmp_path / version).rglob("*.*"):
            os.utime(path, (1_600_000_000, 1_600_000_000))
        world.write_recipe(sources=[{"card": "cells.yaml", "data": f"{version}/cells"}])
        assert world.build().code == 0
        sql = "SELECT label FROM annotations NATURAL JOIN (SELECT asset_id, item_key FROM assets) "
        sql += "WHERE item_key = 'images/c01.png' AND kind = 'class'"
        said[version] = json.loads(curate("query", world.out(), sql, "--json").stdout)
    assert said == {"earlier": [{"label": "healthy"}], "later": [{"label": "anaemia"}]}
    assert world.build("fresh").code == 0
    assert tree(world.out("fresh")).items() <= tree(world.out()).items()


def test_a_source_of_hidden_paths_has_its_label_files_looked_at_too(tmp_path: Path) -> None:
    world = small_world(tmp_path, images=4)
    world.write_card(paths_identify=True)
    assert world.build().code == 0
    assert curate("check", world.out(), "--sources", "--recipe", world.recipe).code == 0
    edit(world.data / "labels.csv", "c01,p0,healthy", "c01,p0,anaemia")
    said = curate("check", world.out(), "--sources", "--recipe", world.recipe)
    assert said.stdout.count("FAILED source: ") == 1
    assert "labels.csv" not in said.stdout


def test_in_which_order_a_recipe_lists_its_tasks_leaves_no_trace(world: World) -> None:
    world.write_recipe(tasks=RECIPE["tasks"][::-1])
    assert world.plan() == {}
    assert built(world) == {}
    assert world.build("fresh").code == 0
    assert tree(world.out("fresh")) == tree(world.out())


def test_a_file_that_ended_its_process_twice_is_left_out_with_its_reason(world: World) -> None:
    corpus, out = load(world.recipe, None), world.out("poisoned")
    poison = {"boxes.csv": Reason.DECODER_CRASH, "images/c05.png": Reason.TIME_LIMIT}
    found: dict[str, dict[str, dict[str, int]]] = {}
    for name in ("scan", "read"):
        run = Run(corpus, project_key({}), out, Sidecars(out), Freshness(cache_folder(out)), poison)
        for part in stage_named(name).parts(run):
            for unit, verdicts in build_part(stage_named(name), run, part, lambda _: None).refusals.items():
                if "rejected" in verdicts:
                    found[f"{name} {unit}"] = verdicts
    assert found["scan file"]["rejected"] == {"decoder_crash": 1}
    assert found["read item"]["rejected"] == {"time_limit": 1}


@pytest.mark.parametrize(
    ("change", "rebuilt"),
    [
        ({"title": "Another title"}, set()),
        ({"notes": "Looked at again"}, set()),
        ({"terms": CARD["terms"] | {"licence": "CC-BY-4.0"}}, {"catalog"}),
        ({"anatomy": "peripheral blood"}, {"scan", "read", "draft", "verify", "group", "catalog"}),
        ({"images": CARD["images"] | {"keep_metadata": True}}, {"scan", "read"}),
    ],
)
def test_a_card_rebuilds_what_its_changed_key_means(world: World, change: dict[str, Any], rebuilt: set[str]) -> None:
    world.write_card(**change)
    assert set(built(world)) == rebuilt


def test_another_concept_rebuilds_what_speaks_of_it(world: World) -> None:
    labels = [
        CARD["labels"][0] | {"concepts": {"anaemia": "anaemia", "healthy": "normal blood film"}},
        CARD["labels"][1],
    ]
    world.write_card(labels=labels)
    assert world.plan()["scan"][0].startswith("card.labels changed")
    after = built(world)
    assert set(after) == {"scan", "read", "draft", "verify", "catalog"}
    assert after["read"] == len(buckets(world))


@pytest.mark.parametrize(
    ("change", "rebuilt"),
    [
        ({"split": {"fractions": {"train": 0.5, "test": 0.5}}}, {"group", "catalog"}),
        ({"split": {"seed": "another deal"}}, {"group", "catalog"}),
        ({"tasks": ["label_caption", {"name": "count", "variants": 2}, "grounding"]}, {"draft", "verify", "catalog"}),
        ({"tasks": ["label_caption"]}, {"draft", "verify", "catalog"}),
        ({"limits": {"rejects": 0.5}}, set()),
    ],
)
def test_a_recipe_rebuilds_what_its_changed_key_means(world: World, change: dict[str, Any], rebuilt: set[str]) -> None:
    world.write_recipe(**change)
    planned = world.plan()
    assert {stage(part) for part in planned} >= rebuilt - {"verify", "catalog"}
    assert set(built(world)) == rebuilt


@pytest.mark.slow
def test_after_many_changes_the_tree_is_that_of_a_build_from_nothing(world: World) -> None:
    changes: list[Callable[[], Any]] = [
        lambda: edit(world.data / "labels.csv", "c05,p1,healthy", "c05,p1,anaemia"),
        lambda: draw(world.data / "images/c99.png", 99),
        lambda: (world.data / "images/c07.png").unlink(),  # noqa: PLW0108
        lambda: draw(world.data / "images/c03.png", 1003),
        lambda: world.write_recipe(tasks=["count"], split={"seed": "again"}, parts={"items": 2}),
        lambda: world.write_card(anatomy="peripheral blood"),
    ]
    for change in changes:
        change()
        assert world.build().code in (0, 1)
    assert world.build("fresh").code in (0, 1)
    assert curate("gc", world.out()).code == 0
    assert tree(world.out()) == tree(world.out("fresh"))
    assert world.plan() == {}


def two_sources(folder: Path) -> World:
    """The cells, and the same again under another id with other pictures."""
    world = small_world(folder, images=8)
    for number in range(4):
        draw(folder / "more/images" / f"d{number}.png", 100 + number)
    write_csv(
        folder / "more/labels.csv", ["name", "patient", "diagnosis"], [[f"d{n}", f"q{n}", "healthy"] for n in range(4)]
    )
    write_csv(folder / "more/boxes.csv", ["name", "x1", "y1", "x2", "y2", "label"], [["d0", 1, 1, 9, 9, "platelet"]])
    age(folder / "more")
    text = (folder / "cells.yaml").read_text()
    (folder / "more.yaml").write_text(text.replace("id: cells", "id: more"))
    return world


SOURCES = [{"card": "cells.yaml", "data": "cells"}, {"card": "more.yaml", "data": "more"}]


@pytest.mark.slow
def test_order_of_sources_workers_locale_hash_seed_folder_and_clock_leave_no_trace(tmp_path: Path) -> None:
    world = two_sources(tmp_path / "one")
    world.write_recipe(sources=SOURCES)
    assert world.build("calm", "-j", "1").code == 0
    calm = tree(world.out("calm"))
    elsewhere = {"LC_ALL": "tr_TR.UTF-8", "PYTHONHASHSEED": "7", "TZ": "Pacific/Kiritimati", "HOME": "/nonexistent"}
    said = run_apart(
        "build", world.recipe, "--out", world.out("abroad"), "-j", "2", environment=elsewhere, folder=tmp_path
    )
    assert said.code == 0, said.text
    assert tree(world.out("abroad")) == calm
    other = two_sources(tmp_path / "two" / "deeper")
    other.write_recipe(sources=SOURCES[::-1])
    assert other.build("turned", "-j", "4").code == 0
    assert tree(other.out("turned")) == calm


def test_a_source_that_left_the_recipe_leaves_the_corpus(tmp_path: Path) -> None:
    world = two_sources(tmp_path)
    world.write_recipe(sources=SOURCES)
    assert world.build().code == 0
    world.write_recipe(sources=SOURCES[:1])
    assert world.build().code == 0
    assert curate("gc", world.out()).code == 0
    assert not [path for path in world.out().rglob("*") if path.is_dir() and not any(path.iterdir())]
    assert world.build("fresh").code == 0
    assert tree(world.out()) == tree(world.out("fresh"))
    assert RECIPE["name"] == "small"
