"""Videos in a corpus: whole, in frames and in clips, each with its times; text about the whole; licences row by row."""

from collections import Counter
from collections.abc import Callable, Iterator
from fractions import Fraction
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pyarrow.parquet as pq
import pytest
from PIL import Image

from curate import open_catalog
from curate.build import build
from curate.execute import Executing
from tests.conftest import ROOT
from tests.crash.small import tree, write_yaml
from tests.images import made_videos as made

Row = dict[str, Any]


def card(glob: str = "*", **images: Any) -> Row:
    return {
        "id": "videos",
        "title": "Videos",
        "source": {"home": "https://example.org"},
        "terms": {"licence": "CC0-1.0", "quote": "CC0", "read_at": "here"},
        "modality": "ultrasound",
        "images": {"glob": glob, **images},
        "labels": [
            {
                "layout": "table",
                "files": "labels.csv",
                "image": "image",
                "columns": {"finding": {"kind": "multilabel"}, "note": {"kind": "caption"}},
            },
            {
                "layout": "table",
                "name": "boxes",
                "files": "boxes.csv",
                "image": "image",
                "box": {"columns": ["x", "y", "w", "h"], "concept": "lesion", "convention": "xywh"},
            },
        ],
        "subject": {"none": "drawn for a test"},
    }


def made_up(folder: Path, videos: Row, **images: Any) -> Path:
    """A recipe over three videos, of which one is damaged, and a picture."""
    data = folder / "data"
    data.mkdir(parents=True)
    whole = made.video(rate=made.NTSC, number=60)
    (data / "a.mp4").write_bytes(whole)
    (data / "b.AVI").write_bytes(made.video("avi", "mjpeg", "yuvj420p", rate=Fraction(10), number=20))
    (data / "cut.mp4").write_bytes(whole[: len(whole) // 2])
    Image.fromarray(made.picture(0)).save(data / "still.png")
    (data / "labels.csv").write_text(
        "image,finding,note\na.mp4,goitre,A moving bar.\nstill.png,goitre,\ncut.mp4,nodule,\n"
    )
    (data / "boxes.csv").write_text("image,x,y,w,h\na.mp4,1,2,10,10\nstill.png,1,2,10,10\n")
    write_yaml(folder / "videos.yaml", card(["*.mp4", "*.AVI", "*.png"], **images))
    recipe = {
        "name": "videos",
        "sources": [{"card": "videos.yaml", "data": "data"}],
        "tasks": ["label_caption"],
        "limits": {"rejects": 1.0},
        "videos": videos,
    }
    write_yaml(folder / "recipe.yaml", recipe)
    return folder / "recipe.yaml"


@pytest.fixture(scope="module")
def out(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("videos")
    build(made_up(folder, {"every_s": 0.5, "clip_s": 0.75}), folder / "out", None, executing=Executing(workers=1))
    return folder / "out"


def assets(out: Path) -> list[Row]:
    return open_catalog(out).assets.collect().to_dicts()


def stored(out: Path, table: str) -> dict[str, bytes]:
    """Asset -> bytes of every row of `images` or `videos`."""
    column = table.removesuffix("s")
    rows: Iterator[Row] = (row for file in (out / table).rglob("*.parquet") for row in pq.read_table(file).to_pylist())
    return {row["asset_id"]: row[column]["bytes"] for row in rows}


def of(rows: list[Row], form: str, key: str) -> list[Row]:
    found = [row for row in rows if row["form"] == form and row["item_key"] == key]
    return sorted(found, key=lambda row: row["position"] or 0)


def test_a_video_a_picture_and_a_broken_one_each_go_their_way(out: Path) -> None:
    rows = assets(out)
    assert Counter(row["form"] for row in rows if row["item_key"] == "still.png") == {"image": 1}
    (video,) = of(rows, "video", "a.mp4")
    assert (video["media_type"], video["width"], video["height"], video["depth"]) == ("video/mp4", 64, 48, 60)
    assert (video["frame_rate"], video["duration_s"]) == (30000 / 1001, 60 * 1001 / 30000)
    assert video["phash"] is None
    (old,) = of(rows, "video", "b.AVI")
    assert (old["media_type"], old["frame_rate"], old["depth"]) == ("video/x-msvideo", 10.0, 20)
    rejects = open_catalog(out).rejects.collect().filter(pl.col("item_key") == "cut.mp4")
    assert set(rejects["reason"]) == {"truncated_image", "image_unavailable"}


def test_frames_stand_at_their_exact_times_and_are_lossless(out: Path) -> None:
    rows, images = assets(out), stored(out, "images")
    (video,) = of(rows, "video", "a.mp4")
    frames = of(rows, "frame", "a.mp4")
    assert [row["position"] for row in frames] == [0, 14, 29, 44, 59], "the picture shown at 0, 0.5, 1, 1.5 and 2 s"
    assert [row["time_s"] for row in frames] == [float(row["position"] * Fraction(1001, 30000)) for row in frames]
    assert {row["derived_from"] for row in frames} == {video["asset_id"]}
    assert {row["frame"] for row in frames} == {None}
    for row in frames:
        shown = np.asarray(Image.open(BytesIO(images[row["asset_id"]])))
        assert shown.shape == (48, 64, 3)
        drawn = made.picture(row["position"])
        closest = min(range(60), key=lambda number: np.abs(shown - made.picture(number).astype(float)).mean())
        assert np.array_equal(made.picture(closest), drawn)
    assert len({row["image_sha256"] for row in frames}) == len(frames)


def test_clips_hold_the_pictures_of_their_interval_and_lie_with_the_videos(out: Path) -> None:
    rows, videos = assets(out), stored(out, "videos")
    (video,) = of(rows, "video", "a.mp4")
    whole = made.decoded(videos[video["asset_id"]])
    clips = of(rows, "clip", "a.mp4")
    assert [(row["position"], row["depth"]) for row in clips] == [(0, 23), (23, 22), (45, 15)]
    for row in clips:
        inside = made.decoded(videos[row["asset_id"]])
        assert len(inside) == row["depth"]
        assert row["time_s"] == float(whole[row["position"]][0])
        assert row["duration_s"] == pytest.approx(row["depth"] * 1001 / 30000, abs=1e-12)
        for place, (_, _, planes) in enumerate(inside):
            assert made.equal(planes, whole[row["position"] + place][2])
    assert {row["item_key"] for row in rows if row["media_type"].startswith("video/")} == {"a.mp4", "b.AVI"}


def test_the_source_speaks_of_the_whole_video_alone(out: Path) -> None:
    rows = {row["asset_id"]: row for row in assets(out)}
    said = open_catalog(out).annotations.collect().to_dicts()
    about = [
        (rows[row["asset_id"]]["form"], row["kind"]) for row in said if rows[row["asset_id"]]["item_key"] == "a.mp4"
    ]
    assert Counter(about) == {("video", "multilabel"): 1, ("video", "caption"): 1}
    refused = (
        open_catalog(out).rejects.collect().filter((pl.col("item_key") == "a.mp4") & (pl.col("unit") == "annotation"))
    )
    assert refused.height == 1, "a box has no place in a video, since it names no picture"


def test_the_same_videos_give_the_same_bytes(out: Path, tmp_path: Path) -> None:
    build(made_up(tmp_path, {"every_s": 0.5, "clip_s": 0.75}), tmp_path / "out", None, executing=Executing(workers=2))
    assert tree(tmp_path / "out") == tree(out)


def test_without_frames_and_clips_there_is_the_video_alone(tmp_path: Path) -> None:
    build(made_up(tmp_path, {}), tmp_path / "out", None, executing=Executing(workers=1))
    assert Counter(row["form"] for row in assets(tmp_path / "out")) == {"video": 2, "image": 1}


def test_a_card_may_say_that_everything_is_a_video(tmp_path: Path) -> None:
    build(made_up(tmp_path, {}, form="video"), tmp_path / "out", None, executing=Executing(workers=1))
    rejects = open_catalog(tmp_path / "out").rejects.collect().filter(pl.col("item_key") == "still.png")
    assert "unsupported_format" in set(rejects["reason"])


# The real clips.


@pytest.fixture(scope="module")
def lungs(test_data: Callable[[str], Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The lung ultrasound, whole and in two frames each."""
    folder = tmp_path_factory.mktemp("lungs")
    data = test_data("pocus-lung-ultrasound")
    recipe = {
        "name": "lungs",
        "sources": [{"card": str(ROOT / "catalogs" / "pocus-lung-ultrasound.yaml"), "data": str(data)}],
        "tasks": ["label_caption", "closed_vqa"],
        "videos": {"frames": 2},
    }
    write_yaml(folder / "recipe.yaml", recipe)
    build(folder / "recipe.yaml", folder / "out", None, executing=Executing(workers=1))
    return folder / "out"


def test_stills_and_clips_of_one_card_are_told_apart_by_their_bytes(lungs: Path) -> None:
    rows = assets(lungs)
    assert Counter(row["form"] for row in rows) == {"image": 8, "video": 21, "frame": 42}
    assert {row["licence"] for row in rows} == {"CC-BY-4.0"}
    assert {row["terms_class"] for row in rows} == {"open"}


def test_what_is_missing_here_is_counted_to_the_last_row(lungs: Path) -> None:
    parts = open_catalog(lungs).parts.collect().filter(pl.col("stage") == "scan")
    counts = {row["unit"]: (row["n_in"], row["n_used"], row["n_rejected"]) for row in parts.to_dicts()}
    assert counts["image"] == (374, 29, 345)
    assert counts["row"] == (750, 58, 692)


def test_nothing_is_said_to_be_absent(lungs: Path) -> None:
    """Zeros of the table are written where nobody looked; only the classes exclude each other."""
    said = open_catalog(lungs).annotations.collect()
    findings = said.filter(pl.col("label_set") == "findings")
    assert set(findings.filter(pl.col("kind") == "multilabel")["state"]) == {"present", "not_stated"}
    assert set(said.filter(pl.col("label_set") == "diagnosis")["concept"]) == {
        "normal lung",
        "COVID-19",
        "bacterial pneumonia",
    }


def test_all_clips_of_a_patient_are_in_one_split(lungs: Path) -> None:
    rows = assets(lungs)
    splits: dict[str, set[str]] = {}
    for row in rows:
        splits.setdefault(row["subject"], set()).add(row["split"])
    assert len(splits) == 9
    assert all(len(found) == 1 for found in splits.values())
