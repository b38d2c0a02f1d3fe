"""What those who train on a release make of it, with their own code: every row, every word, every place."""

import json
import math
import re
from collections import Counter
from pathlib import Path
from typing import Any

import polars
import pytest
from PIL import Image

from tests.trainers.conftest import Trainers

END = "<|im_end|>\n"
TOKEN = re.compile(r"(<image>|<video>)\n")


def _records(path: Path) -> list[dict[str, Any]]:
    text = path.read_text(encoding="utf-8")
    return [json.loads(line) for line in text.splitlines()] if path.suffix == ".jsonl" else json.loads(text)


def _turns(record: dict[str, Any]) -> list[tuple[str, str]]:
    """Who speaks and what, of either dialect, without tokens of media."""
    if "conversations" in record:
        return [(turn["from"], TOKEN.sub("", turn["value"])) for turn in record["conversations"]]
    return [(turn["role"], TOKEN.sub("", turn["content"])) for turn in record["messages"]]


def _media(record: dict[str, Any]) -> list[str]:
    return [*record.get("images", ()), *record.get("videos", ())]


@pytest.mark.parametrize("folder", ["sharegpt", "openai"])
def test_llama_factory_learns_the_answers_and_sees_every_medium(trainers: Trainers, release: Path, folder: str) -> None:
    read = trainers.read("llama_factory", release, folder)
    info = json.loads((release / folder / "dataset_info.json").read_text())
    assert any(name.endswith("_video") for name in info)
    for name, entry in info.items():
        records = _records(release / folder / entry["file_name"])
        assert len(read[name]) == len(records) > 0
        for row, record in zip(read[name], records, strict=True):
            (_, asked), (_, said) = _turns(record)
            assert row["labels"] == said + END
            assert asked + END in row["input_ids"]
            assert row["media"] == len(_media(record))
            assert row["there"]


def test_llama_factory_prefers_the_true_answer(trainers: Trainers, release: Path) -> None:
    read = trainers.read("llama_factory", release, "preference")
    for name, entry in json.loads((release / "preference/dataset_info.json").read_text()).items():
        records = _records(release / "preference" / entry["file_name"])
        assert [(row["chosen_labels"], row["rejected_labels"]) for row in read[name]] == [
            (record["chosen"]["value"] + END, record["rejected"]["value"] + END) for record in records
        ]


def test_llama_factory_knows_which_answers_are_false(trainers: Trainers, release: Path) -> None:
    read = trainers.read("llama_factory", release, "kto")
    pairs = _records(release / "preference/train.json")
    (name,) = (name for name in read if name.endswith("_train"))
    assert Counter((row["labels"], row["tag"]) for row in read[name]) == Counter(
        (pair[which]["value"] + END, which == "chosen") for pair in pairs for which in ("chosen", "rejected")
    )


def test_ms_swift_puts_places_where_ours_for_its_model_stand(
    trainers: Trainers, release: Path, release_for_qwen: Path
) -> None:
    """The numbers that ms-swift scales for Qwen2.5-VL, and those that the dialect `resized` writes, are the same.

    A point is a pixel here and a rounded place there.
    """
    read = trainers.read("ms_swift", release)
    files = {path.name: _records(path) for path in (release / "ms-swift").glob("*.jsonl")}
    assert any("_video" in name for name in files)
    assert {name: [row["images"] + row["videos"] for row in rows] for name, rows in read.items()} == {
        name: [_media(record) for record in records] for name, records in files.items()
    }
    placed = sorted(
        (row["images"][0], _by_size(re.findall(r"<\|box_start\|>(.*?)<\|box_end\|>", row["text"]), record))
        for name, rows in read.items()
        for row, record in zip(rows, files[name], strict=True)
        if "_grounding" in name
    )
    written = sorted(
        (record["images"][0], found)
        for path in (release_for_qwen / "sharegpt").glob("*.json")
        if path.name != "dataset_info.json"
        for record in _records(path)
        if (found := _placed(" ".join(text for _, text in _turns(record))))
    )
    assert [_boxes(places) for _, places in placed] == [_boxes(places) for _, places in written]
    assert any(_boxes(places) for _, places in placed)
    points = [
        (theirs, ours)
        for (_, swift), (_, resized) in zip(placed, written, strict=True)
        if not _boxes(swift)
        for place, other in zip(swift, resized, strict=True)
        for theirs, ours in zip(place, other, strict=True)
    ]
    assert points
    assert all(theirs - ours in (0, 1) for theirs, ours in points)  # the centre rounded, and the pixel it lies in


def _boxes(places: list[tuple[int, ...]]) -> list[tuple[int, ...]]:
    return [place for place in places if len(place) == 4]


def _placed(text: str) -> list[tuple[int, ...]]:
    return [tuple(map(int, inner.split(","))) for inner in re.findall(r"\[(\d+(?:, \d+)+)\]", text)]


def _by_size(written: list[str], record: dict[str, Any]) -> list[tuple[int, ...]]:
    """Places as ms-swift writes them, boxes with four numbers and points with two."""
    size = len(record["objects"]["bbox"][0])
    numbers = [int(number) for text in written for number in re.findall(r"\d+", text)]
    return [tuple(numbers[at : at + size]) for at in range(0, len(numbers), size)]


def test_trl_prefers_and_fine_tunes(trainers: Trainers, release: Path, release_for_qwen: Path) -> None:
    preferred = trainers.read("trl_training", release)
    first = polars.read_parquet(sorted((release / "trl").glob("train-*.parquet"))[0]).head(2).to_dicts()
    texts = [_said(cells[which]) for which in ("chosen", "rejected") for cells in first]
    assert all(text in read for text, read in zip(texts, preferred["texts"], strict=True))
    tuned = trainers.read("trl_training", release_for_qwen)
    assert tuned["rows"] > preferred["rows"] > 0
    assert not any("<image>" in text for text in (*tuned["texts"], *preferred["texts"]))
    assert (tuned["pictures"], preferred["pictures"]) == (2, 4)
    for losses in (preferred["losses"], tuned["losses"]):
        assert len(losses) == 2
        assert all(math.isfinite(loss) for loss in losses)
    assert preferred["losses"][0] == pytest.approx(math.log(2), abs=1e-3)  # the model has learned no preference yet


def _said(turns: list[dict[str, Any]]) -> str:
    (turn,) = turns
    (part,) = turn["content"]
    return f"assistant\n{part['text']}<|im_end|>"


def test_verl_rolls_out_every_row_and_knows_its_reward(trainers: Trainers, release: Path, tmp_path: Path) -> None:
    read = trainers.read("verl_dataset", release, tmp_path)
    rows = polars.concat(polars.read_parquet(path) for path in sorted((release / "verl").glob("train-*.parquet")))
    assert len(read) == rows.height > 0
    for row, cells in zip(read, rows.iter_rows(named=True), strict=True):
        assert row["reward_model"] == cells["reward_model"]
        assert row["extra_info"] == cells["extra_info"]
        assert row["parts"].count("image") == len(row["sizes"]) == len(cells["images"])
        assert "".join(part for part in row["parts"] if part != "image").strip() == row["extra_info"]["question"]


def test_the_kit_asks_with_options_and_shows_each_picture(trainers: Trainers, release: Path, tmp_path: Path) -> None:
    read = trainers.read("vlmevalkit", release, tmp_path / "tables")
    shown = {
        (_turns(record)[0][1].split("\n")[0], _size(release / record["images"][0]))
        for path in (release / "sharegpt").glob("*.json")
        if path.name != "dataset_info.json"
        for record in _records(path)
        if record.get("images")
    }
    for name, rows in read.items():
        assert len(rows) == polars.read_csv(release / "vlmevalkit" / f"{name}.tsv", separator="\t").height > 0
        for row in rows:
            ((width, height),) = row["sizes"]
            text = row["text"].removeprefix("Question: ")
            assert (text.split("\n")[0], (width, height)) in shown
            if "_MCQ_" in name:
                assert re.search(rf"^{row['answer']}\. \S", text, re.MULTILINE)
    assert {name.split("_")[1] for name in read} == {"MCQ", "VQA", "YORN"}


def _size(picture: Path) -> tuple[int, int]:
    with Image.open(picture) as image:
        return image.size
