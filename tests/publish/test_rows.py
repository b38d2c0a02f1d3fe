"""The rows of a release are those of the corpus that may go, with their media, in the order in which they lie."""

import hashlib
import io
import shutil
from collections import Counter
from pathlib import Path

import pytest
from PIL import Image

from curate.build import build
from curate.catalog import query
from curate.errors import GateError, StoreError, UsageError
from curate.publish.base import IMAGE_TOKEN, Release
from curate.publish.rows import open_release
from curate.publish.selection import select
from tests.publish.releases import release_of


def test_every_pair_of_open_terms_goes_once(corpus: Path, release: Release) -> None:
    pairs = {row[0] for row in query(corpus, "SELECT pair_id FROM pairs").fetchall()}
    rows = [row.pair_id for row in release.rows()]
    assert len(rows) == len(set(rows)) == sum(release.rows_in.values())
    assert set(rows) == pairs
    assert release.withheld == {}
    assert release.licence == "CC0-1.0"


def test_rows_of_a_split_are_those_of_its_images(corpus: Path, release: Release) -> None:
    for split in release.splits:
        rows = list(release.rows(split))
        assert len(rows) == release.rows_in[split]
        assert {row.split for row in rows} == {split}


def test_a_turn_opens_with_a_line_for_each_medium(release: Release) -> None:
    for row in release.rows():
        assert row.messages[0].content.startswith(f"{IMAGE_TOKEN}\n" * len(row.media))
        assert IMAGE_TOKEN not in row.question
        assert IMAGE_TOKEN not in row.answer


def test_fixed_words_stand_in_the_text_as_they_are(release: Release) -> None:
    fixed = [(row, name) for row in release.rows() for name in row.fixed]
    assert fixed
    for row, name in fixed:
        assert row.slots[name] in row.question + row.answer


def test_media_are_those_of_rows_and_hold_the_bytes_of_their_digest(release: Release) -> None:
    media = list(release.media())
    shown = {medium.asset_id for row in release.rows() for medium in row.media}
    assert {medium.asset_id for medium in media} == shown
    assert len(media) == len(shown)
    files = [medium for medium in media if not medium.is_volume]
    for medium, data in release.medium_bytes(files):
        assert hashlib.sha256(data).hexdigest() == medium.sha256
    for medium, data in release.medium_bytes(reversed(files)):
        assert hashlib.sha256(data).hexdigest() == medium.sha256
    for medium in media:
        stem = medium.path.rpartition("/")[2]
        assert medium.is_volume or stem.count(".") == 1
    kinds = Counter(str(medium.form) for medium in media)
    assert {"image", "slice", "video", "volume"} <= set(kinds)


def test_a_volume_is_a_tree_of_files(corpus: Path, release: Release) -> None:
    volume = next(medium for medium in release.media() if medium.is_volume)
    files = dict(release.volume_files(volume))
    assert files
    assert all(path.startswith(f"{volume.path}/") for path in files)
    with pytest.raises(ValueError, match="tree"):
        list(release.medium_bytes([volume]))


def test_rows_come_with_what_their_sources_say(release: Release) -> None:
    for row, subjects in release.annotated():
        assert [one.asset.asset_id for one in subjects] == [medium.shows for medium in row.media]
        known = {annotation.annotation_id for one in subjects for annotation in one.annotations}
        assert set(row.annotation_ids) <= known


def test_what_was_taken_back_stays_with_all_that_rests_on_it(corpus: Path, release: Release) -> None:
    row = next(row for row in release.rows() if row.annotation_ids)
    for taken in (row.pair_id, row.media[0].asset_id, row.annotation_ids[0], row.media[0].item_key):
        chosen = select(corpus, withdrawn=[taken])
        left = {one.pair_id for one in open_release(chosen).rows()}
        assert row.pair_id not in left
        assert len(left) + chosen.n_withheld == sum(release.rows_in.values())
        assert set(chosen.withheld[row.source]) == {"takedown"}
    gone = {one.pair_id for one in release.rows() if row.media[0] in one.media}
    assert gone.isdisjoint(
        one.pair_id for one in open_release(select(corpus, withdrawn=[row.media[0].asset_id])).rows()
    )


def test_an_image_that_vanished_is_named(corpus: Path, tmp_path: Path) -> None:
    copy = tmp_path / "corpus"
    shutil.copytree(corpus, copy)
    release = release_of(copy)
    medium = next(medium for medium in release.media() if medium.form == "image")
    for file in (copy / "images" / medium.source).iterdir():
        file.unlink()
    with pytest.raises((StoreError, OSError)):
        list(release.medium_bytes([medium]))


def test_a_source_that_is_not_there_is_named(corpus: Path) -> None:
    with pytest.raises(UsageError, match="has no source nobody"):
        select(corpus, sources=["nobody"])


def test_terms_decide_what_goes(corpus: Path) -> None:
    """The terms of the cards are changed in the description; licences of assets stand in the catalog."""
    from tests.publish.terms import with_terms

    with with_terms(corpus, {"phantom-cxr-table": {"deidentified": None}}) as changed:
        chosen = select(changed)
        assert set(chosen.withheld) == {"phantom-cxr-table"}
        assert set(chosen.withheld["phantom-cxr-table"]) == {"not_deidentified"}
        assert "phantom-cxr-table" not in chosen.cards
    everything = {source: {"deidentified": False} for source in release_of(corpus).cards}
    with with_terms(corpus, everything) as changed, pytest.raises(GateError, match=r"no row of .* may be published"):
        select(changed)


def test_what_no_viewer_shows_goes_as_its_rendering(tmp_path: Path) -> None:
    """DICOM files of more than 8 bits, as they ship with pydicom; their card is made to say that they may go."""
    from tests.publish.terms import with_terms

    recipe = tmp_path / "recipe.yaml"
    recipe.write_text(
        'name: dicom\nsources: [{card: pydicom-wheel, data: "package:pydicom/data/test_files"}]\ntasks: [open_vqa]\n'
    )
    build(recipe, tmp_path / "corpus")
    with with_terms(tmp_path / "corpus", {"pydicom-wheel": {"deidentified": True}}) as changed:
        release = release_of(changed)
        deep = dict(query(changed, "SELECT asset_id, bit_depth FROM assets WHERE bit_depth > 8").fetchall())
        rows = [row for row in release.rows() if row.media[0].shows in deep]
        assert rows
        for row in rows:
            assert row.media[0].form == "rendering"
            assert row.media[0].asset_id not in deep
        for _, data in release.medium_bytes(medium for medium in release.media() if medium.rendering_of):
            with Image.open(io.BytesIO(data)) as picture:
                assert picture.mode in ("L", "RGB")
        assert all(subjects[0].asset.asset_id == row.media[0].shows for row, subjects in release.annotated())
