"""medvlsm JSON has the keys of published records, one type per key, and masks that are what its boxes enclose."""

import dataclasses
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from curate import run_lengths
from curate.publish.base import Row
from curate.publish.formats.medvlsm import MedVlsm, MedVlsmOptions
from curate.publish.writing import Staging
from curate.rows import Annotation, Asset, Draft, Subject
from curate.schema import Annotator, Kind, World, identity
from curate.tasks.referring import Referring, ReferringOptions
from curate.vocabulary import Vocabulary
from tests.publish.consumers import defects, load_json
from tests.publish.rows_by_hand import Held, medium, release_of_rows, row

LEVELS = ["p0", "p1", "p2", "p3", "p4", "p5", "p6"]
MEDIUM = medium()
ASSET = Asset(
    asset_id=MEDIUM.asset_id, source="hand", item_key="a.jpg", content_sha256="0", image_sha256="0", modality="CT",
    media_type="image/jpeg", width=640, height=480, channels=1, bit_depth=8, labelled_by=["nodules"],
)  # fmt: skip


def nodule(number: int, columns: slice, rows: slice, **fields: Any) -> Annotation:
    """A nodule whose mask is a rectangle."""
    mask = np.zeros((480, 640), dtype=bool)
    mask[rows, columns] = True
    rle = run_lengths.encode_mask(mask)
    box = [float(edge) for edge in (columns.start, rows.start, columns.stop, rows.stop)]
    known: dict[str, Any] = {
        "annotation_id": identity("nodule", number), "asset_id": ASSET.asset_id, "source": "hand",
        "label_set": "nodules", "world": World.OPEN, "exhaustive": True, "kind": Kind.MASK, "concept": "lung nodule",
        "mask": rle, "box": box, "area_px": float(mask.sum()), "annotator": Annotator.HUMAN, "file": "m.png",
        "locator": f"object[{number}]", "frame": "image",
    }  # fmt: skip
    return Annotation(**known | fields)


NODULES = (nodule(0, slice(20, 80), slice(30, 90)), nodule(1, slice(500, 560), slice(400, 450)))


@dataclass(frozen=True)
class Annotated(Held):
    """Rows that are held in memory, about one picture."""

    said: tuple[Annotation, ...] = NODULES

    def vocabulary(self, source: str) -> Vocabulary:
        return {}

    def annotated(self, split: str | None) -> Iterator[tuple[Row, tuple[Subject, ...]]]:
        return ((one, (Subject(ASSET, self.said),)) for one in self.rows(split))


def prompts(said: tuple[Annotation, ...] = NODULES) -> Row:
    """What the task says of them, as a row."""
    made = Referring(ReferringOptions(prompts=True), {}).draft(Subject(ASSET, said))
    (draft,) = (one for one in made if isinstance(one, Draft) and '"prompts"' in one.constraints)
    return row(
        "", "", media=(MEDIUM,), task="referring", messages=tuple(draft.messages),
        constraints=json.loads(draft.constraints), annotation_ids=tuple(draft.annotation_ids),
    )  # fmt: skip


def written(
    folder: Path, *rows: Row, said: tuple[Annotation, ...] = NODULES, several: bool = True
) -> tuple[Any, list[dict[str, Any]]]:
    release = dataclasses.replace(release_of_rows(*rows), reader=Annotated(rows, said))
    report = MedVlsm(MedVlsmOptions(several=several)).write(release, Staging(folder))
    path = folder / "medvlsm" / "train.json"
    return report, json.loads(path.read_bytes()) if path.exists() else []


@pytest.mark.parametrize("part", ["busi", "isic"])
def test_a_record_has_the_keys_of_medvlsm(part: str, tmp_path: Path, test_data: Callable[[str], Path]) -> None:
    _, (ours,) = written(tmp_path, prompts())
    published = json.loads((test_data("seed-records") / f"medvlsm/data/{part}/anns/val.json").read_bytes())[0]
    assert set(ours) == set(published)
    assert list(ours["prompts"]) == [level for level in published["prompts"] if level in LEVELS]
    assert [set(one) for one in ours["sentences"]] == [set(one) for one in published["sentences"]]
    for key in ("bbox", "cat", "segment_id", "img_name", "mask_name", "sentences_num"):
        assert type(ours[key]) is type(published[key])


def test_every_level_is_a_list_and_adds_to_the_one_before(tmp_path: Path) -> None:
    _, (ours,) = written(tmp_path, prompts())
    assert ours["prompts"]["p0"] == [""]
    assert all(isinstance(ours["prompts"][level], list) for level in LEVELS)
    assert ours["prompts"]["p3"] == ["Two lung nodules in the CT image."]
    assert ours["prompts"]["p5"] == [
        "Two small lung nodules in the CT image, at the top left and bottom right of the image."
    ]


def test_the_mask_is_all_that_is_marked_and_the_box_encloses_it(tmp_path: Path) -> None:
    _, (ours,) = written(tmp_path, prompts())
    with Image.open(tmp_path / ours["mask_name"]) as mask:
        assert mask.size == (640, 480)
        assert list(mask.getbbox() or ()) == ours["bbox"] == [20, 30, 560, 450]
        assert np.unique(np.asarray(mask)).tolist() == [0, 255]
        assert int((np.asarray(mask) > 0).sum()) == sum(one.area_px or 0 for one in NODULES)
    assert json.loads((tmp_path / "medvlsm/categories.json").read_bytes()) == {"0": "lung nodule"}


def test_rows_without_prompts_or_masks_are_left_out_and_counted(tmp_path: Path) -> None:
    boxes = tuple(nodule(number, slice(20, 80), slice(30, 90), kind=Kind.BOX, mask=None) for number in (0, 1))
    report, rows = written(tmp_path, prompts(), row("What is it?", "A CT image."), said=boxes)
    assert not rows
    assert {one.reason: one.rows for one in report.left_out} == {
        "no mask or polygon on one picture": 1,
        "no prompts for segmentation": 1,
    }


def test_a_polygon_becomes_a_mask(tmp_path: Path) -> None:
    ring = [20.0, 30.0, 79.0, 30.0, 79.0, 89.0, 20.0, 89.0]
    drawn = (nodule(0, slice(20, 80), slice(30, 90), kind=Kind.POLYGON, mask=None, polygons=[ring]),)
    _, (ours,) = written(tmp_path, prompts(drawn), said=drawn)
    with Image.open(tmp_path / ours["mask_name"]) as mask:
        assert list(mask.getbbox() or ()) == [20, 30, 80, 90]


def test_the_same_rows_give_the_same_bytes_and_loaders_take_them(tmp_path: Path) -> None:
    for name in ("a", "b"):
        written(tmp_path / name, prompts())
    for file in sorted((tmp_path / "a").rglob("*.*")):
        assert file.read_bytes() == (tmp_path / "b" / file.relative_to(tmp_path / "a")).read_bytes()
    assert len(load_json(tmp_path / "a/medvlsm/train.json")) == 1


def test_several_objects_have_no_one_box_and_go_only_where_that_is_wanted(tmp_path: Path) -> None:
    report, rows = written(tmp_path, prompts(), prompts(NODULES[:1]), several=False)
    assert [one["prompts"]["p3"] for one in rows] == [["One lung nodule in the CT image."]]
    assert [one.reason for one in report.left_out] == ["several objects, for which a record has one box"]


def test_our_own_record_checks_find_no_defect(tmp_path: Path) -> None:
    written(tmp_path, prompts(), prompts(NODULES[:1]), several=False)
    assert defects(release_of_rows(prompts()), tmp_path / "medvlsm" / "train.json") == {}
