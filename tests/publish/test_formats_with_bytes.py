"""Formats that hold bytes, and formats of preference, as those who train with them read them."""

import csv
import gc
import hashlib
import json
import tarfile
from collections import Counter
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from curate.publish.base import Format, Release, Written
from curate.publish.formats import make_format
from curate.publish.formats.embedding import not_pictures
from curate.publish.writing import Staging
from curate.published import check_records
from curate.testing.formats import FormatContract


class TestHfParquet(FormatContract):
    make = staticmethod(lambda: make_format("hf-parquet", {}))


class TestWebDataset(FormatContract):
    make = staticmethod(lambda: make_format("webdataset", {}))


class TestVlmEvalKit(FormatContract):
    make = staticmethod(lambda: make_format("vlmevalkit", {}))


class TestTrlForFineTuning(FormatContract):
    make = staticmethod(lambda: make_format("trl", {"form": "sft"}))


class TestPreference(FormatContract):
    make = staticmethod(lambda: make_format("preference", {}))


class TestKto(FormatContract):
    make = staticmethod(lambda: make_format("kto", {}))


class TestTrl(FormatContract):
    make = staticmethod(lambda: make_format("trl", {}))


class TestVerl(FormatContract):
    make = staticmethod(lambda: make_format("verl", {}))


def _written(form: Format, release: Release, folder: Path) -> tuple[Written, Staging]:
    staging = Staging(folder)
    return form.write(release, staging), staging


@pytest.mark.parametrize("streaming", [False, True])
def test_datasets_reads_pictures_and_turns(release: Release, tmp_path: Path, streaming: bool) -> None:
    import datasets

    written, _ = _written(make_format("hf-parquet", {}), release, tmp_path)
    config = next(one for one in written.configs if one.name == "images")
    files = {split: str(tmp_path / pattern) for split, pattern in config.data_files.items()}
    loaded = datasets.load_dataset("parquet", data_files=files, streaming=streaming, cache_dir=str(tmp_path / "cache"))
    known = {row.pair_id: row for row in release.rows()}
    read = 0
    for split in files:
        assert str(loaded[split].features["images"]) == "List(Image(mode=None, decode=True))"
        for cells in loaded[split]:
            row = known[cells["pair_id"]]
            assert [picture.size for picture in cells["images"]] == [(one.width, one.height) for one in row.media]
            assert [(turn["role"], turn["content"]) for turn in cells["messages"]] == [
                (turn.role, turn.content) for turn in row.messages
            ]
            read += 1
    assert read > 0


def test_the_features_of_the_card_are_those_of_the_files(release: Release, tmp_path: Path) -> None:
    from datasets import Features

    for name in ("hf-parquet", "trl", "verl"):
        written, _ = _written(make_format(name, {}), release, tmp_path / name)
        for config in written.configs:
            told = Features._from_yaml_list([dict(one) for one in config.features])
            for pattern in config.data_files.values():
                for file in (tmp_path / name).glob(pattern):
                    info = json.loads(pq.read_metadata(file).metadata[b"huggingface"])
                    assert Features.from_dict(info["info"]["features"]) == told


def test_a_picture_costs_its_bytes_once_however_often_it_is_asked_about(release: Release, tmp_path: Path) -> None:
    _, staging = _written(make_format("hf-parquet", {}), release, tmp_path)
    media = {one.sha256: one for row in release.rows() for one in row.media if not one.is_volume}
    distinct = sum(len(data) for _, data in release.medium_bytes(sorted(media.values(), key=lambda one: one.asset_id)))
    shown = sum(1 for row in release.rows() for one in row.media)
    assert shown > 3 * len(media)
    assert sum(file.bytes for file in staging.files) < 1.5 * distinct + 200_000


def test_small_files_are_cut_between_pictures(release: Release, tmp_path: Path) -> None:
    _, staging = _written(make_format("hf-parquet", {"shard_bytes": 50_000}), release, tmp_path)
    cut = [file for file in staging.files if file.path.endswith(".parquet") and "images/train" in file.path]
    assert len(cut) > 2
    number = cut[0].path.rpartition("-of-")[2]
    assert number == f"{len(cut):05d}.parquet"
    seen: dict[str, str] = {}
    for file in cut:
        for cells in pq.read_table(tmp_path / file.path, columns=["images"]).column("images").to_pylist():
            for picture in cells:
                assert seen.setdefault(picture["path"], file.path) == file.path


def test_polars_and_duckdb_read_the_same_rows(release: Release, tmp_path: Path) -> None:
    import duckdb
    import polars

    _, staging = _written(make_format("hf-parquet", {}), release, tmp_path)
    for file in staging.files:
        path = str(tmp_path / file.path)
        assert polars.read_parquet(path).height == file.rows
        name = "videos" if "/videos/" in file.path else "images"
        query = f"SELECT count(*), min(octet_length({name}[1].bytes)) FROM read_parquet('{path}')"
        ((rows, smallest),) = duckdb.connect().execute(query).fetchall()
        assert rows == file.rows
        assert smallest > 0


@pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::pytest.PytestUnraisableExceptionWarning")
def test_webdataset_streams_every_picture_with_its_rows(release: Release, tmp_path: Path) -> None:
    import webdataset

    _, staging = _written(make_format("webdataset", {"samples": 7}), release, tmp_path)
    tars = [str(tmp_path / file.path) for file in staging.files if file.path.endswith(".tar")]
    told: Counter[str] = Counter()
    known = {one.asset_id: one for row in release.rows() for one in row.media}
    for sample in webdataset.WebDataset(tars, shardshuffle=False):
        assert "." not in sample["__key__"]
        rows = json.loads(sample["json"])
        told.update(one["pair_id"] for one in rows["conversations"])
        for medium in rows["media"]:
            data = next(value for name, value in sample.items() if name in ("jpg", "png", "mkv", "mp4"))
            assert hashlib.sha256(data).hexdigest() == known[medium["asset_id"]].sha256
    assert set(told.values()) == {1}
    whole = {row.pair_id for row in release.rows() if not any(one.is_volume for one in row.media)}
    assert set(told) == whole
    del sample
    gc.collect()  # the reader leaves its last file to the collector


def test_the_index_says_where_each_member_lies(release: Release, tmp_path: Path) -> None:
    _, staging = _written(make_format("webdataset", {}), release, tmp_path)
    index = [file.path for file in staging.files if file.path.endswith("-index.parquet")]
    assert index
    for path in index:
        for member in pq.read_table(tmp_path / path).to_pylist():
            with (tmp_path / "webdataset" / member["shard"]).open("rb") as file:
                file.seek(member["offset"])
                assert hashlib.sha256(file.read(member["bytes"])).hexdigest() == member["sha256"]
    shard = tmp_path / next(file.path for file in staging.files if file.path.endswith(".tar"))
    with tarfile.open(shard) as tar:
        members = tar.getmembers()
    assert {(one.mtime, one.uid, one.gid, one.mode, one.uname) for one in members} == {(0, 0, 0, 0o644, "")}


def test_a_row_can_be_a_sample_of_its_own(release: Release, tmp_path: Path) -> None:
    written, staging = _written(make_format("webdataset", {"per": "row"}), release, tmp_path)
    assert sum(file.rows or 0 for file in staging.files if file.path.endswith(".tar")) == written.rows


def test_the_kit_reads_its_tables(release: Release, tmp_path: Path) -> None:
    """As its loader does: pandas, and a short `image` is the index of the row whose picture it repeats."""
    import base64

    import pandas

    written, staging = _written(make_format("vlmevalkit", {}), release, tmp_path)
    tables = [file for file in staging.files if file.path.endswith(".tsv")]
    digests = json.loads((tmp_path / "vlmevalkit/md5.json").read_text())
    known = {row.pair_id: row for row in release.rows()}
    rows = 0
    for file in tables:
        path = tmp_path / file.path
        assert digests[path.stem] == hashlib.md5(path.read_bytes(), usedforsecurity=False).hexdigest()
        table = pandas.read_csv(path, sep="\t", dtype={"image": str, "answer": str})
        assert not table[["question", "answer", "image"]].isna().any().any()
        pictures = dict(zip(map(str, table["index"]), table["image"], strict=True))
        for cells in table.to_dict("records"):
            data = cells["image"] if len(cells["image"]) > 64 else pictures[cells["image"]]
            row = known[cells["pair_id"]]
            assert hashlib.sha256(base64.b64decode(data)).hexdigest() == row.media[0].sha256
            if "_MCQ_" in path.name:
                options = [cells[letter] for letter in "ABCDEFGH" if isinstance(cells[letter], str)]
                assert len(options) == len(set(options)) >= 2
                assert str(cells[cells["answer"]]).lower() in row.answer.lower()
            elif "_YORN_" in path.name:
                assert cells["answer"] in ("Yes", "No")
                assert row.answer.lower().startswith(cells["answer"].lower())
        rows += len(table)
    assert rows == written.rows
    assert {name.split("_")[-2] for name in digests} == {"MCQ", "YORN", "VQA"}


def test_a_test_split_can_go_without_answers(release: Release, tmp_path: Path) -> None:
    _, staging = _written(make_format("vlmevalkit", {"hide_answers": True, "part_bytes": 10_000}), release, tmp_path)
    tables = [file.path for file in staging.files if file.path.endswith(".tsv")]
    assert any("_part2" in path for path in tables)
    for path in tables:
        with (tmp_path / path).open(encoding="utf-8", newline="") as file:
            csv.field_size_limit(2**27)
            header = next(csv.reader(file, delimiter="\t"))
        assert ("answer" in header) is ("_test" not in path)


def _shape(record: Any) -> Any:
    """Keys and types, lists by their first entry."""
    if isinstance(record, dict):
        return {key: _shape(value) for key, value in record.items()}
    return [_shape(record[0])] if isinstance(record, list) else type(record).__name__


@pytest.mark.parametrize(
    ("form", "sample"),
    [
        (make_format("preference", {}), "llama-factory-demo/LLaMA-Factory/data/dpo_zh_demo.json"),
        (make_format("kto", {}), "llama-factory-demo/LLaMA-Factory/data/kto_en_demo.json"),
        (make_format("preference", {"form": "mmedpo"}), "mmedpo/data/slake_dpo_weighted.json"),
    ],
)
def test_records_have_the_keys_of_published_ones(
    release: Release, tmp_path: Path, test_data: Any, form: Format, sample: str
) -> None:
    theirs = _shape(json.loads((test_data("seed-records") / sample).read_text(encoding="utf-8"))[0])
    _written(form, release, tmp_path)
    ours = json.loads((tmp_path / form.name / "train.json").read_text(encoding="utf-8"))
    for record in ours:
        shape = _shape(record)
        if "image" not in theirs:
            assert shape.pop("images") == ["str"]
        assert shape == theirs


def test_llama_factory_finds_each_file_and_key(release: Release, tmp_path: Path) -> None:
    for form in ("preference", "kto"):
        _, staging = _written(make_format(form, {}), release, tmp_path)
        registry = json.loads((tmp_path / form / "dataset_info.json").read_text())
        named = {f"{form}/{entry['file_name']}" for entry in registry.values()}
        assert named == {
            file.path for file in staging.files if file.path.endswith(".json") and "dataset_info" not in file.path
        }
        for entry in registry.values():
            records = json.loads((tmp_path / form / entry["file_name"]).read_text(encoding="utf-8"))
            for record in records:
                assert set(entry["columns"].values()) == set(record)
                text = json.dumps(record)
                for media, token in (("images", "<image>"), ("videos", "<video>")):
                    assert text.count(token) == len(record.get(media, ()))


def test_every_rejected_answer_has_its_reason(release: Release, tmp_path: Path) -> None:
    _written(make_format("preference", {}), release, tmp_path)
    records = json.loads((tmp_path / "preference/train.json").read_text(encoding="utf-8"))
    lines = (tmp_path / "preference/train_reasons.jsonl").read_text(encoding="utf-8").splitlines()
    reasons = [json.loads(line) for line in lines]
    assert [reason["record"] for reason in reasons] == list(range(len(records)))
    assert all(reason["true"] != reason["false"] and reason["refused_by"] for reason in reasons)


def test_trl_has_a_part_for_each_picture(release: Release, tmp_path: Path) -> None:
    _, staging = _written(make_format("trl", {}), release, tmp_path)
    for file in staging.files:
        table = pq.read_table(tmp_path / file.path)
        assert table.column_names == ["prompt", "chosen", "rejected", "images"]
        for cells in table.to_pylist():
            (asked,) = cells["prompt"]
            kinds = [part["type"] for part in asked["content"]]
            assert kinds == ["image"] * len(cells["images"]) + ["text"]
            assert cells["chosen"] != cells["rejected"]
            assert {turn["role"] for turn in (*cells["chosen"], *cells["rejected"])} == {"assistant"}


def test_trl_fine_tunes_on_every_turn_and_no_text_holds_a_token(release: Release, tmp_path: Path) -> None:
    written, staging = _written(make_format("trl", {"form": "sft"}), release, tmp_path)
    expected = Counter(row.answer for row in release.rows() if not_pictures(row) is None)
    told: Counter[str] = Counter()
    for file in staging.files:
        table = pq.read_table(tmp_path / file.path)
        assert table.column_names == ["messages", "images"]
        for cells in table.to_pylist():
            parts = [part for turn in cells["messages"] for part in turn["content"]]
            assert sum(part["type"] == "image" for part in parts) == len(cells["images"])
            assert not any("<image>" in part["text"] for part in parts if part["type"] == "text")
            told[cells["messages"][-1]["content"][0]["text"]] += 1
    assert told == expected
    assert written.rows == told.total()


def test_verl_has_an_answer_that_a_program_can_check(release: Release, tmp_path: Path) -> None:
    _, staging = _written(make_format("verl", {}), release, tmp_path)
    forms: Counter[str] = Counter()
    for file in staging.files:
        table = pq.read_table(tmp_path / file.path)
        assert table.column_names == ["data_source", "prompt", "images", "ability", "reward_model", "extra_info"]
        for cells in table.to_pylist():
            extra, truth = cells["extra_info"], cells["reward_model"]["ground_truth"]
            forms[extra["answer_form"]] += 1
            assert cells["reward_model"]["style"] == "rule"
            assert cells["prompt"][0]["content"].count("<image>") == len(cells["images"])
            if extra["answer_form"] == "closed":
                assert extra["answer"].lower().startswith(truth)
            elif extra["answer_form"] == "count":
                assert truth in extra["answer"] or (truth == "0" and "no " in extra["answer"].lower())
            elif extra["answer_form"] in ("boxes", "points"):
                assert json.loads(truth)
                assert truth in extra["answer"]
            else:
                assert truth.lower() in extra["answer"].lower()
    assert {"closed", "count", "class", "boxes", "points"} <= set(forms)


def test_our_own_check_finds_no_broken_record(release: Release, tmp_path: Path) -> None:
    for form in ("preference", "kto", "verl"):
        _written(make_format(form, {}), release, tmp_path)
        report = check_records([tmp_path / form])
        grave = {found.rule for found in report.findings if found.severity == "error"}
        assert grave <= {"missing_box"}, grave
