"""ms-swift JSON lines: placeholders in the text, what they stand for in `objects`."""

import json
import re
from pathlib import Path
from typing import Any

import pytest

from curate.errors import UsageError
from curate.publish.base import Format, Release
from curate.publish.coordinates import Places, places_of
from curate.publish.formats.ms_swift import MsSwift, MsSwiftOptions
from curate.publish.writing import Staging
from curate.testing.formats import FormatContract
from tests.publish.consumers import defects, load_json, with_media
from tests.publish.rows_by_hand import FORM_ZH, located, medium, release_of_rows, row, video


class TestObjects(FormatContract):
    @staticmethod
    def make() -> Format:
        return MsSwift(MsSwiftOptions())


class TestText(FormatContract):
    @staticmethod
    def make() -> Format:
        return MsSwift(MsSwiftOptions(objects=False, model_family="qwen2.5-vl"))


def written(release: Release, folder: Path, **options: Any) -> Any:
    return MsSwift(MsSwiftOptions(**options)).write(release, Staging(folder))


def lines(path: Path) -> list[Any]:
    return [json.loads(line) for line in path.read_text("utf-8").splitlines()]


def test_boxes_stand_in_objects_and_placeholders_in_the_text(tmp_path: Path) -> None:
    written(release_of_rows(located("[[1, 2, 30, 40], [5, 6, 70, 80]]")), tmp_path)
    (ours,) = lines(tmp_path / "ms-swift/train_grounding.jsonl")
    assert list(ours) == ["messages", "images", "objects"]
    assert ours["objects"] == {
        "ref": ["erythrocytes"],
        "bbox": [[1.0, 2.0, 30.0, 40.0], [5.0, 6.0, 70.0, 80.0]],
        "bbox_type": "real",
    }
    assert ours["messages"][0]["content"].startswith("<image>\nLocate all <ref-object> in this image. ")
    assert ours["messages"][1]["content"] == "<bbox><bbox>"
    assert not re.search(r"\d|JSON|pixel", ours["messages"][0]["content"])


def test_filling_the_placeholders_gives_back_every_place(release: Release, tmp_path: Path) -> None:
    """What ms-swift does: the n-th placeholder stands for the n-th entry."""
    written(release, tmp_path)
    seen = 0
    for split in release.splits:
        expected = {one.media[0].path: [] for one in release.rows(split)}
        for one in release.rows(split):
            if isinstance(places := places_of(one), Places):
                shift = 0.5 if places.slot == "points" else 0.0
                expected[one.media[0].path].append([[n + shift for n in place] for place in places.numbers])
        files = (tmp_path / f"ms-swift/{split}_grounding{of}.jsonl" for of in ("", "_unnamed"))
        for ours in (ours for path in files if path.exists() for ours in lines(path)):
            text = "".join(turn["content"] for turn in ours["messages"])
            objects = ours["objects"]
            assert text.count("<bbox>") == len(objects["bbox"])
            assert text.count("<ref-object>") == len(objects["ref"])
            assert not set(objects["ref"]) & set(text.split())
            expected[ours["images"][0]].remove(objects["bbox"])
            seen += 1
        assert not any(expected.values()), "every row with places was written"
    assert seen > 20


def test_a_name_that_stands_twice_keeps_its_words(tmp_path: Path) -> None:
    form = "Mark erythrocytes as boxes in pixels."
    one = located(form=form)
    written(
        release_of_rows(
            one, located(form=FORM_ZH, language="zh", slots={"boxes": "[[1, 2, 30, 40]]", "form": FORM_ZH})
        ),
        tmp_path,
    )
    (first,) = lines(tmp_path / "ms-swift/train_grounding.jsonl")
    (second,) = lines(tmp_path / "ms-swift/train_grounding_unnamed.jsonl")
    assert first["objects"]["ref"] == ["erythrocytes"]  # the sentence on the form is gone, and with it the second one
    assert second["objects"]["ref"] == []
    assert re.search("[一-鿿]", second["messages"][0]["content"].partition(". ")[2])


def test_a_placeholder_in_the_text_of_a_source_is_left_out(tmp_path: Path) -> None:
    report = written(release_of_rows(row("What is <bbox>?", "A tag."), row("What is it?", "A nodule.")), tmp_path)
    assert report.rows == 1
    assert [(one.reason, one.rows) for one in report.left_out] == [
        ("its text holds a token that trainers read as a place", 1)
    ]


def test_media_are_lists_beside_as_many_tokens(tmp_path: Path) -> None:
    rows = (
        row("What differs?", "The view.", media=(medium("a"), medium("b"))),
        row("What moves?", "The valve.", media=(video(),)),
        row("What is MRI?", "An imaging method.", media=()),
    )
    written(release_of_rows(*rows), tmp_path)
    (several,) = lines(tmp_path / "ms-swift/train.jsonl")
    (text,) = lines(tmp_path / "ms-swift/train_text.jsonl")
    assert several["messages"][0]["content"].count("<image>") == len(several["images"]) == 2
    assert text == {
        "messages": [
            {"role": "user", "content": "What is MRI?"},
            {"role": "assistant", "content": "An imaging method."},
        ]
    }
    (clip,) = lines(tmp_path / "ms-swift/train_video.jsonl")
    assert clip["messages"][0]["content"] == "<video>\nWhat moves?"
    assert clip["videos"] == [rows[1].media[0].path]


def test_a_dialect_and_objects_exclude_each_other() -> None:
    with pytest.raises(UsageError, match="renders coordinates itself"):
        MsSwiftOptions(dialect="0-1000")


def test_coordinates_as_text_speak_the_dialect_of_the_model(tmp_path: Path) -> None:
    written(release_of_rows(located("[[64, 48, 128, 96]]")), tmp_path, objects=False, model_family="qwen3-vl")
    (ours,) = lines(tmp_path / "ms-swift/train.jsonl")
    assert ours["messages"][1]["content"] == "[[100, 100, 200, 200]]"
    assert "0 to 1000" in ours["messages"][0]["content"]
    assert "objects" not in ours


def test_our_own_record_checks_and_datasets_accept_it(release: Release, tmp_path: Path) -> None:
    with_media(release, tmp_path)
    report = written(release, tmp_path)
    assert defects(release, tmp_path / "ms-swift", tmp_path) == {}
    assert {config.name for config in report.configs} == {
        "ms-swift",
        "ms-swift-grounding",
        "ms-swift-grounding_unnamed",
        "ms-swift-video",
    }
    for config in report.configs:
        loaded = load_json(*(tmp_path / path for path in config.data_files.values()))
        assert len(loaded) == sum(len(lines(tmp_path / path)) for path in config.data_files.values())
        assert ("objects" in loaded.column_names) == ("grounding" in config.name)


def test_files_of_any_length_load(tmp_path: Path) -> None:
    """`datasets` infers types from the first 10 MB; rows of other kinds that come only later break it."""
    padding = "word " * 400
    media = tuple(medium(f"m{at}") for at in range(2))
    plain = [row(f"{padding}{at}?", "Yes.", media=media[:1]) for at in range(6000)]
    late = [
        located(media=media[:1]),
        row("What differs?", "The view.", media=media),
        row("What moves?", "The valve.", media=(video(),)),
        row("What is MRI?", "An imaging method.", media=()),
    ]
    report = written(release_of_rows(*plain, *late), tmp_path)
    assert (tmp_path / "ms-swift/train.jsonl").stat().st_size > 10 << 20
    assert sum(len(load_json(tmp_path / config.data_files["train"])) for config in report.configs) == 6004
