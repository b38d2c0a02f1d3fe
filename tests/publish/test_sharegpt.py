"""ShareGPT has the keys of published records, and LLaMA-Factory's registry names every file of it."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from curate.publish.base import Format, Release
from curate.publish.formats.sharegpt import ShareGpt, ShareGptOptions
from curate.publish.writing import Staging
from curate.rows import Message
from curate.testing.formats import FormatContract
from tests.publish.consumers import defects, load_json, shape, with_media
from tests.publish.rows_by_hand import medium, release_of_rows, row, video

TestData = Callable[[str], Path]


class TestContract(FormatContract):
    @staticmethod
    def make() -> Format:
        return ShareGpt(ShareGptOptions())


def written(release: Release, folder: Path, **options: Any) -> Any:
    return ShareGpt(ShareGptOptions(**options)).write(release, Staging(folder))


def test_a_row_has_the_keys_of_medsg(release: Release, tmp_path: Path, test_data: TestData) -> None:
    written(release, tmp_path)
    published = json.loads((test_data("seed-records") / "medsg-reproduction/train/Task8_mini.json").read_bytes())[0]
    ours = json.loads((tmp_path / "sharegpt/train.json").read_bytes())[0]
    assert list(ours) == list(published)
    assert shape(ours) == shape(published)


def test_the_registry_has_the_keys_of_published_ones(release: Release, tmp_path: Path, test_data: TestData) -> None:
    written(release, tmp_path)
    ours = json.loads((tmp_path / "sharegpt/dataset_info.json").read_bytes())
    folder = test_data("seed-records")
    published = json.loads((folder / "medsg-reproduction/train/dataset_info.json").read_bytes())["Task8_mini"]
    assert set(published) <= set(ours["phantoms_train"])
    assert ours["phantoms_train"]["columns"] == published["columns"]
    demo = json.loads((folder / "llama-factory-demo/LLaMA-Factory/data/dataset_info.json").read_bytes())
    assert set(demo["mllm_demo"]["tags"]) <= set(ours["phantoms_train"]["tags"])
    assert demo["mllm_video_demo"]["columns"]["videos"] == ours["phantoms_train_video"]["columns"]["videos"]
    files = {entry["file_name"] for entry in ours.values()}
    assert files == {path.name for path in (tmp_path / "sharegpt").iterdir()} - {"dataset_info.json"}
    assert all(entry["formatting"] == "sharegpt" for entry in ours.values())


def test_rows_meet_what_llama_factory_demands(release: Release, tmp_path: Path) -> None:
    """Its converter: sides alternate, an answer stands last. Its plug-ins: as many tokens as media, none in answers."""
    written(release, tmp_path)
    registry = json.loads((tmp_path / "sharegpt/dataset_info.json").read_bytes())
    for entry in registry.values():
        tags, columns = entry["tags"], entry["columns"]
        for one in json.loads((tmp_path / "sharegpt" / entry["file_name"]).read_bytes()):
            turns = one[columns["messages"]]
            assert [turn[tags["role_tag"]] for turn in turns] == [tags["user_tag"], tags["assistant_tag"]] * (
                len(turns) // 2
            )
            text = "".join(turn[tags["content_tag"]] for turn in turns)
            assert text.count("<image>") == len(one[columns["images"]] if "images" in columns else [])
            assert text.count("<video>") == len(one[columns["videos"]] if "videos" in columns else [])
            assert "<image>" not in turns[-1][tags["content_tag"]]


def test_a_conversation_out_of_step_is_left_out_and_counted(tmp_path: Path) -> None:
    said = row("What is it?", "A nodule.").messages
    report = written(
        release_of_rows(
            row("a", "b", messages=(Message("system", "Help."), *said)),
            row("c", "d", messages=(*said, Message("user", "And?"))),
            row("e", "f", messages=(*said, *said)),
            row("g", "h", messages=(*said, Message("user", "Sure?"), Message("assistant", "Yes."))),
        ),
        tmp_path,
    )
    assert report.rows == 2
    assert {one.reason: one.rows for one in report.left_out} == {
        "turns that do not alternate between user and assistant": 1,
        "its text holds a token that trainers read as a medium": 1,
    }


def test_rows_of_one_file_have_the_same_media(tmp_path: Path) -> None:
    rows = (
        row("What is a radiograph?", "An image.", media=()),
        row("What differs?", "The view.", media=(medium("a"), medium("b"))),
        row("And in the clip?", "It moves.", media=(medium("a"), video())),
    )
    written(release_of_rows(*rows), tmp_path)
    (text,) = json.loads((tmp_path / "sharegpt/train_text.json").read_bytes())
    assert set(text) == {"id", "task", "conversations"}
    (several,) = json.loads((tmp_path / "sharegpt/train.json").read_bytes())
    assert several["images"] == [one.path for one in rows[1].media]
    (clip,) = json.loads((tmp_path / "sharegpt/train_mixed.json").read_bytes())
    assert clip["conversations"][0]["value"] == "<image>\n<video>\nAnd in the clip?"
    assert len(clip["images"]) == len(clip["videos"]) == 1
    registry = json.loads((tmp_path / "sharegpt/dataset_info.json").read_bytes())
    assert {name: set(entry["columns"]) for name, entry in registry.items()} == {
        "by_hand_train": {"messages", "images"},
        "by_hand_train_mixed": {"messages", "images", "videos"},
        "by_hand_train_text": {"messages"},
    }


def test_our_own_record_checks_and_datasets_accept_it(release: Release, tmp_path: Path) -> None:
    with_media(release, tmp_path)
    report = written(release, tmp_path)
    assert defects(release, tmp_path / "sharegpt", tmp_path) == {}
    loaded = load_json(*(tmp_path / path for path in report.configs[0].data_files.values()))
    assert len(loaded) == sum(
        len(json.loads((tmp_path / path).read_bytes())) for path in report.configs[0].data_files.values()
    )
    assert set(loaded.column_names) == {"id", "task", "images", "conversations"}
