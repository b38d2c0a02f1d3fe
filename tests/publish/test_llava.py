"""LLaVA JSON has the keys of published records and is read by `datasets`."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from curate.errors import UsageError
from curate.publish.base import Format, Release
from curate.publish.coordinates import DialectOptions
from curate.publish.formats.llava import Llava, LlavaOptions
from curate.publish.writing import Staging
from curate.rows import Message
from curate.schema import Form
from curate.testing.formats import FormatContract
from tests.publish.consumers import defects, load_json, shape, with_media
from tests.publish.rows_by_hand import medium, release_of_rows, row, video

TestData = Callable[[str], Path]


class TestContract(FormatContract):
    @staticmethod
    def make() -> Format:
        return Llava(LlavaOptions())


class TestInternVl(FormatContract):
    @staticmethod
    def make() -> Format:
        return Llava(LlavaOptions(layout="internvl", model_family="internvl"))


def written(release: Release, folder: Path, **options: Any) -> Any:
    return Llava(LlavaOptions(**options)).write(release, Staging(folder))


def test_a_row_has_the_keys_of_gmai_vl(release: Release, tmp_path: Path, test_data: TestData) -> None:
    written(release, tmp_path)
    published = json.loads((test_data("seed-records") / "gmai-vl/examples/example_data.json").read_bytes())[0]
    ours = json.loads((tmp_path / "llava/train.json").read_bytes())[0]
    published["id"] = str(published["id"])  # a number there
    assert shape(ours) == shape(published)


def test_a_list_of_images_has_the_keys_of_echovlm(tmp_path: Path, test_data: TestData) -> None:
    system = row("What is it?", "A nodule.", messages=(Message("system", "Help."), *row("What is it?", "A.").messages))
    written(release_of_rows(system), tmp_path, image_lists=True)
    (ours,) = json.loads((tmp_path / "llava/train.json").read_bytes())
    published = json.loads((test_data("seed-records") / "echovlm/public_data/BUSI.json").read_bytes())[0]
    assert set(ours) - {"width", "height"} == set(published) - {"description"}
    assert [turn["from"] for turn in ours["conversations"]] == [turn["from"] for turn in published["conversations"]]
    assert shape(ours["image"]) == shape(published["image"])
    assert ours["conversations"][0] == {"from": "system", "value": "Help."}


@pytest.mark.parametrize("language", ["en", "zh"])
def test_the_layout_of_echovlm_agrees_key_for_key(language: str, tmp_path: Path, test_data: TestData) -> None:
    told = {
        "caption": row(
            "请描述该图像。", "肺超声图像。可见胸腔积液。", constraints={"ask": "caption"}, language=language
        )
    }
    told["question"] = row("Is there an effusion?", "Yes.", constraints={"ask": "presence"}, language=language)
    written(release_of_rows(*told.values()), tmp_path, layout="echovlm")
    ours = {one["id"]: one for one in json.loads((tmp_path / "llava/train.json").read_bytes())}
    published = json.loads((test_data("seed-records") / "echovlm/public_data/BUSI.json").read_bytes())[0]
    caption, question = (ours[told[kind].pair_id] for kind in ("caption", "question"))
    assert shape(caption) == shape(published)
    assert [turn["from"] for turn in caption["conversations"]] == [turn["from"] for turn in published["conversations"]]
    assert caption["description"] == caption["conversations"][-1]["value"]
    assert question["description"] is None
    assert set(question) == set(published)
    prompt = caption["conversations"][0]["value"]
    assert ("一" <= prompt[0] <= "鿿") == (language == "zh")


def test_a_system_turn_of_the_row_stays_the_only_one(tmp_path: Path) -> None:
    system = row("What is it?", "A nodule.", messages=(Message("system", "Help."), *row("What is it?", "A.").messages))
    written(release_of_rows(system), tmp_path, layout="echovlm")
    (ours,) = json.loads((tmp_path / "llava/train.json").read_bytes())
    assert [turn["value"] for turn in ours["conversations"] if turn["from"] == "system"] == ["Help."]


def test_as_many_tokens_as_media_and_text_alone_names_none(tmp_path: Path) -> None:
    rows = (
        row("What is it?", "An image."),
        row("What differs?", "The view.", media=(medium("a"), medium("b"))),
        row("What is seen?", "A clip.", media=(video(),)),
        row("What is a radiograph?", "An image made with X-rays.", media=()),
    )
    written(release_of_rows(*rows), tmp_path)
    (plain,) = json.loads((tmp_path / "llava/train.json").read_bytes())
    (text,) = json.loads((tmp_path / "llava/train_text.json").read_bytes())
    assert plain["conversations"][0]["value"] == "<image>\nWhat is it?"
    assert (plain["width"], plain["height"]) == (640, 480)
    assert not {"image", "width", "height"} & set(text)
    (several,) = json.loads((tmp_path / "llava/train_multi.json").read_bytes())
    assert several["image"] == [one.path for one in rows[1].media]
    assert several["conversations"][0]["value"].count("<image>") == 2
    (clip,) = json.loads((tmp_path / "llava/train_video.json").read_bytes())
    assert clip["conversations"][0]["value"] == "<video>\nWhat is seen?"
    assert clip["video"].startswith("videos/")


def test_what_a_trainer_would_misread_is_left_out_and_counted(tmp_path: Path) -> None:
    volume = medium("ct", form=Form.VOLUME)
    report = written(
        release_of_rows(
            row("What is it?", "An image."),
            row("What stands here?", "An <image> token."),
            row("Is <video> a word?", "No."),
            row("Which organ?", "The liver.", media=(volume,)),
            row("Both?", "Yes.", media=(medium(), video())),
        ),
        tmp_path,
    )
    assert report.rows == 1
    assert {one.reason.split(",")[0]: one.rows for one in report.left_out} == {
        "a volume": 1,
        "a video beside other media": 1,
        "its text holds a token that trainers read as a medium": 2,
    }
    (only,) = json.loads((tmp_path / "llava/train.json").read_bytes())
    assert "<image>" not in only["conversations"][1]["value"]


def test_our_own_record_checks_and_datasets_accept_it(release: Release, tmp_path: Path) -> None:
    with_media(release, tmp_path)
    report = written(release, tmp_path)
    assert defects(release, tmp_path / "llava", tmp_path) == {}
    for config in report.configs:
        for split, path in config.data_files.items():
            loaded = load_json(tmp_path / path)
            assert len(loaded) == len(json.loads((tmp_path / path).read_bytes())), (config.name, split)


@pytest.mark.parametrize("dialect", ["resized", "0-1000", "0-999", "loc", "0-1"])
def test_no_dialect_brings_a_defect(release: Release, tmp_path: Path, dialect: Any) -> None:
    written(release, tmp_path, dialect=dialect)
    assert defects(release, tmp_path / "llava") == {}


def test_internvl_reads_lines_that_a_meta_file_of_each_split_names(release: Release, tmp_path: Path) -> None:
    with_media(release, tmp_path)
    written(release, tmp_path, layout="internvl")
    assert defects(release, tmp_path / "llava", tmp_path) == {}
    for split in release.splits:
        meta = json.loads((tmp_path / f"llava/meta_{split}.json").read_bytes())
        for entry in meta.values():
            lines = (tmp_path / entry["annotation"]).read_text("utf-8").splitlines()
            assert len(lines) == entry["length"]
            assert entry["annotation"].startswith(f"llava/{split}")
            for line in lines:
                told = json.loads(line)
                assert (tmp_path / entry["root"] / told.get("image", told.get("video"))).is_file()
    with pytest.raises(UsageError, match="none of its layout"):
        LlavaOptions(layout="internvl", image_lists=True)


def test_internvl_is_told_the_sizes_of_several_pictures(tmp_path: Path) -> None:
    two = row("What differs?", "The view.", media=(medium("a"), medium("b", width=320, height=200)))
    written(release_of_rows(two), tmp_path, layout="internvl")
    told = json.loads((tmp_path / "llava/train_multi.jsonl").read_bytes())
    assert list(told) == ["id", "image", "width_list", "height_list", "conversations"]
    assert (told["width_list"], told["height_list"]) == ([640, 320], [480, 200])


def test_text_is_written_unescaped_with_a_row_per_line(tmp_path: Path) -> None:
    written(release_of_rows(row("图像显示什么？", "一个结节，约 5 µm。"), row("And?", 'A "mass".\nBenign.')), tmp_path)
    lines = (tmp_path / "llava/train.json").read_text("utf-8").splitlines()
    assert lines[0] == "["
    assert "一个结节，约 5 µm。" in lines[1]
    assert len(lines) == 4


def test_options_are_those_of_dialects() -> None:
    assert issubclass(Llava.Options, DialectOptions)
