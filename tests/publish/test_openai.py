"""OpenAI messages: parts with paths or with the bytes themselves, and the variant of LLaMA-Factory."""

import base64
import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from curate.errors import UsageError
from curate.publish.base import Format, Release
from curate.publish.formats.openai import OpenAi, OpenAiOptions
from curate.publish.writing import Staging
from curate.rows import Message
from curate.testing.formats import FormatContract
from tests.publish.consumers import defects, load_json, shape, with_media
from tests.publish.rows_by_hand import medium, release_of_rows, row, video

TestData = Callable[[str], Path]


class TestParts(FormatContract):
    @staticmethod
    def make() -> Format:
        return OpenAi(OpenAiOptions())


class TestDataUrls(FormatContract):
    @staticmethod
    def make() -> Format:
        return OpenAi(OpenAiOptions(urls="data"))


class TestLlamaFactory(FormatContract):
    @staticmethod
    def make() -> Format:
        return OpenAi(OpenAiOptions(layout="llama-factory"))


def written(release: Release, folder: Path, **options: Any) -> Any:
    return OpenAi(OpenAiOptions(**options)).write(release, Staging(folder))


def lines(path: Path) -> list[Any]:
    return [json.loads(line) for line in path.read_text("utf-8").splitlines()]


def test_a_picture_is_a_part_before_the_question(tmp_path: Path) -> None:
    one = row("What is it?", "A nodule.", messages=(Message("system", "Help."), *row("What is it?", "A.").messages))
    two = row("What differs?", "The view.", media=(medium("a"), video()))
    written(release_of_rows(one, two), tmp_path)
    (first,) = lines(tmp_path / "openai/train.jsonl")
    path = one.media[0].path
    assert first == {
        "messages": [
            {"role": "system", "content": [{"type": "text", "text": "Help."}]},
            {
                "role": "user",
                "content": [
                    {"type": "image_url", "image_url": {"url": path}},
                    {"type": "text", "text": "What is it?"},
                ],
            },
            {"role": "assistant", "content": [{"type": "text", "text": "A."}]},
        ]
    }
    (clip,) = lines(tmp_path / "openai/train_mixed.jsonl")
    assert [part["type"] for part in clip["messages"][0]["content"]] == ["image_url", "video_url", "text"]


def test_qwen_names_its_parts_otherwise(tmp_path: Path) -> None:
    one = row("What is it?", "A nodule.", media=(medium("a"), medium("b")))
    written(release_of_rows(one), tmp_path, media_keys="qwen")
    (first,) = lines(tmp_path / "openai/train.jsonl")
    assert first["messages"][0]["content"][:2] == [{"type": "image", "image": shown.path} for shown in one.media]


def test_data_urls_hold_the_bytes_of_the_release(release: Release, tmp_path: Path) -> None:
    written(release, tmp_path, urls="data")
    checked = 0
    for split in release.splits:
        pictured = [one for one in release.rows(split) if not any(m.is_volume or m.is_video for m in one.media)]
        for ours, one in zip(lines(tmp_path / f"openai/{split}.jsonl"), pictured, strict=True):
            parts = ours["messages"][0]["content"]
            for part, shown in zip(parts[:-1], one.media, strict=True):
                head, data = part["image_url"]["url"].split(",")
                assert head == f"data:{shown.media_type};base64"
                assert hashlib.sha256(base64.b64decode(data, validate=True)).hexdigest() == shown.sha256
                checked += 1
    assert checked > 100


def test_the_variant_of_llama_factory_has_the_keys_of_its_demo(
    release: Release, tmp_path: Path, test_data: TestData
) -> None:
    written(release, tmp_path, layout="llama-factory")
    demo = test_data("seed-records") / "llama-factory-demo/LLaMA-Factory/data"
    published = json.loads((demo / "mllm_demo.json").read_bytes())[1]
    ours = json.loads((tmp_path / "openai/train.json").read_bytes())[0]
    assert shape(ours) == shape(published)
    published = json.loads((demo / "mllm_video_demo.json").read_bytes())[0]
    clip = json.loads((tmp_path / "openai/train_video.json").read_bytes())[0]
    assert shape(clip) == shape(published)
    registry = json.loads((tmp_path / "openai/dataset_info.json").read_bytes())["phantoms_train"]
    theirs = json.loads((demo / "dataset_info.json").read_bytes())["mllm_demo"]
    assert registry["columns"] == theirs["columns"]
    assert registry["tags"].items() >= theirs["tags"].items()


def test_settings_that_exclude_each_other_are_refused() -> None:
    with pytest.raises(UsageError, match="belong to the layout `parts`"):
        OpenAiOptions(layout="llama-factory", urls="data")


@pytest.mark.parametrize("options", [{}, {"media_keys": "qwen"}, {"layout": "llama-factory"}])
def test_our_own_record_checks_and_datasets_accept_it(
    release: Release, tmp_path: Path, options: dict[str, Any]
) -> None:
    with_media(release, tmp_path)
    report = written(release, tmp_path, **options)
    assert defects(release, tmp_path / "openai", tmp_path) == {}
    loaded = load_json(*(tmp_path / path for path in report.configs[0].data_files.values()))
    rows = [one for one in release.rows() if not any(m.is_volume or m.is_video for m in one.media)]
    assert len(loaded) == len(rows)
