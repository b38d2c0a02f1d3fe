"""Which items a preview takes."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from curate.build import build_corpus
from curate.corpus import project_key
from curate.plan import load, run_of
from curate.schema import INVENTORY
from curate.stages.base import Run
from curate.store.parquet import read_table
from curate.store.part import Part, Sidecars
from curate.view.sampling import dealt, keep_only, sample_source
from tests.crash.small import CARD, World, age, draw, small_world, write_csv


@given(st.integers(1, 200), st.dictionaries(st.text(min_size=1), st.integers(0, 60), min_size=1, max_size=12))
def test_every_source_gives_an_item_and_no_source_more_than_its_share_or_than_it_has(
    wanted: int, sizes: dict[str, int]
) -> None:
    given_by = dealt(wanted, sizes)
    alive = sum(1 for size in sizes.values() if size)
    assert sum(given_by.values()) == min(max(wanted, alive), sum(sizes.values()))
    assert all(min(1, sizes[name]) <= n <= sizes[name] for name, n in given_by.items())
    unfilled = [n for name, n in given_by.items() if n < sizes[name]]
    assert not unfilled or max(given_by.values()) - min(unfilled) <= 1


@pytest.fixture(scope="module")
def lopsided(tmp_path_factory: pytest.TempPathFactory) -> World:
    """Forty images with an erythrocyte each, one of them with a leukocyte too, one with nothing."""
    world = small_world(tmp_path_factory.mktemp("lopsided"), images=42)
    boxes = [[f"c{n:02d}", 2, 3, 9, 9, "erythrocyte"] for n in range(42) if n != 17]
    write_csv(
        world.data / "boxes.csv",
        ["name", "x1", "y1", "x2", "y2", "label"],
        [*boxes, ["c05", 12, 3, 20, 9, "leukocyte"]],
    )
    world.write_card(
        labels=[labels for labels in CARD["labels"] if labels["name"] == "boxes"], subject={"none": "drawn"}
    )
    age(world.data)
    return world


def scanned(world: World, out: Path) -> Run:
    corpus = load(world.recipe, None)
    build_corpus(corpus, out, only_stage="scan")
    return run_of(corpus, out, project_key())


def test_the_first_item_is_a_common_one_and_the_second_a_rare_one(lopsided: World, tmp_path: Path) -> None:
    run = scanned(lopsided, tmp_path / "out")
    rare = {"images/c05.png", "images/c17.png"}
    assert not rare & set(sample_source(run, "cells", 1).keys)
    assert rare <= set(sample_source(run, "cells", 4).keys)


def test_strata_count_every_item_once(lopsided: World, tmp_path: Path) -> None:
    sample = sample_source(scanned(lopsided, tmp_path / "out"), "cells", 6)
    assert sum(stratum.items for stratum in sample.strata) == sample.items == 42
    assert len(sample.keys) == len(set(sample.keys)) == 6
    assert sample.bytes == sum(path.stat().st_size for path in (lopsided.data / "images").iterdir())


def test_the_choice_does_not_depend_on_the_number_of_buckets_or_the_run(lopsided: World, tmp_path: Path) -> None:
    first = sample_source(scanned(lopsided, tmp_path / "a"), "cells", 9)
    lopsided.write_recipe(parts={"items": 2})
    assert sample_source(scanned(lopsided, tmp_path / "b"), "cells", 9) == first
    lopsided.write_recipe()


def test_more_than_there_is_takes_all(lopsided: World, tmp_path: Path) -> None:
    assert len(sample_source(scanned(lopsided, tmp_path / "out"), "cells", 1000).keys) == 42


def test_a_scan_cut_to_its_sample_stays_current_and_keeps_the_vocabulary(lopsided: World, tmp_path: Path) -> None:
    run = scanned(lopsided, tmp_path / "out")
    part = Part("scan", "cells")
    whole = run.sidecars.need(part)
    sample = sample_source(run, "cells", 3)
    keep_only(run, sample, part)
    cut = Sidecars(tmp_path / "out").need(part)
    assert sum(file.rows for file in cut.of("inventory")) == 3
    assert (cut.fingerprint, cut.inputs) == (whole.fingerprint, whole.inputs)
    assert cut.statistics["vocabulary"] == whole.statistics["vocabulary"]
    built = build_corpus(run.corpus, tmp_path / "out")
    assert built.kept["scan"] == 1
    assert built.ledger.met("cells", "item", "read") == 3


def test_a_new_image_elsewhere_changes_only_its_own_turn(lopsided: World, tmp_path: Path) -> None:
    before = sample_source(scanned(lopsided, tmp_path / "a"), "cells", 8).keys
    draw(lopsided.data / "images" / "c99.png", 99)
    try:
        after = sample_source(scanned(lopsided, tmp_path / "b"), "cells", 8).keys
    finally:
        (lopsided.data / "images" / "c99.png").unlink()
    assert len(set(before) - set(after)) <= 1


def test_subjects_can_be_kept_whole_for_tasks_that_compare(tmp_path: Path) -> None:
    world = small_world(tmp_path / "world")
    run = scanned(world, tmp_path / "out")
    sample = sample_source(run, "cells", 2)
    keep_only(run, sample, Part("scan", "cells"), with_subjects=True)
    table = read_table(run.out, run.sidecars.need(Part("scan", "cells")).of("inventory"), INVENTORY)
    rows = table.to_pylist()
    patients = {row["subject"] for row in rows if row["item_key"] in sample.keys}
    assert {row["subject"] for row in rows} == patients
    assert len(rows) == 4 * len(patients)
