"""Croissant: mlcroissant finds no error, and the records that it reads are the rows of the release."""

import hashlib
import json
import logging
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from curate.publish.base import Config, File
from curate.publish.croissant_records import matched, record_set
from curate.publish.facts import Facts, Licence, Model, facts_of
from curate.publish.responsible import responsible
from curate.publish.rows import open_release
from curate.publish.selection import select
from curate.publish.usage import usage
from curate.terms import TermsClass

mlc = pytest.importorskip("mlcroissant")
pytestmark = pytest.mark.filterwarnings("ignore:ConjunctiveGraph is deprecated:DeprecationWarning")  # rdflib's own


@pytest.fixture(scope="session")
def plain(published: Path) -> dict[str, Any]:
    """The file as JSON."""
    loaded = json.loads((published / "croissant.json").read_bytes())
    assert isinstance(loaded, dict)
    return loaded


@pytest.fixture(scope="session")
def facts(corpus: Path) -> Facts:
    """The numbers of the phantoms' release."""
    chosen = select(corpus)
    return facts_of(chosen, open_release(chosen))


def _records(published: Path, name: str) -> Iterator[dict[str, Any]]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        dataset = mlc.Dataset(str(published / "croissant.json"))
        for record in dataset.records(name):
            yield {key.removeprefix(f"{name}/"): value for key, value in record.items()}


def _turns(name: str, messages: list[dict[str, bytes]]) -> list[tuple[str, str]]:
    said = f"{name}/messages"
    return [(turn[f"{said}/role"].decode(), turn[f"{said}/content"].decode()) for turn in messages]


def test_mlcroissant_finds_no_error(published: Path) -> None:
    dataset = mlc.Dataset(str(published / "croissant.json"))
    assert not dataset.metadata.ctx.issues.errors
    assert dataset.metadata.ctx.is_v1_1()


def test_records_of_parquet_are_the_rows(published: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING)
    rows = {
        row["pair_id"]: (path.name.split("-")[0], row)
        for path in published.glob("hf-parquet/data/images/*.parquet")
        for row in pq.read_table(path).to_pylist()
    }
    found = 0
    for record in _records(published, "images"):
        split, row = rows[record["pair_id"].decode()]
        found += 1
        assert record["split"].decode() == split
        assert record["task"].decode() == row["task"]
        assert _turns("images", record["messages"]) == [(turn["role"], turn["content"]) for turn in row["messages"]]
        assert [one.decode() for one in record["annotation_ids"] or []] == row["annotation_ids"]
        assert len(record["images"]) == len(row["images"])
    assert found == len(rows)
    assert not [one for one in caplog.records if "Could not match" in one.message]


def test_records_of_json_lines_are_the_rows(published: Path) -> None:
    lines = [
        (split, json.loads(line))
        for split in ("test", "train", "validation")
        if (published / f"ms-swift/{split}.jsonl").exists()
        for line in (published / f"ms-swift/{split}.jsonl").read_text().split("\n")[:-1]
    ]
    read = list(_records(published, "ms-swift"))
    assert len(read) == len(lines)
    told = sorted((one["split"].decode(), str(_turns("ms-swift", one["messages"]))) for one in read)
    assert told == sorted(
        (split, str([(turn["role"], turn["content"]) for turn in line["messages"]])) for split, line in lines
    )


def test_files_have_the_digest_that_is_stated(published: Path, plain: dict[str, Any]) -> None:
    objects = [one for one in plain["distribution"] if one["@type"] == "cr:FileObject"]
    assert {"README.md", "LICENSE.md"} <= {one["contentUrl"] for one in objects}
    for one in objects:
        data = (published / one["contentUrl"]).read_bytes()
        assert one["sha256"] == hashlib.sha256(data).hexdigest()
        assert one["contentSize"] == f"{len(data)} B"


def test_provenance_names_the_sources_and_the_stages(plain: dict[str, Any], facts: Facts) -> None:
    derived = {one["prov:label"]: one for one in plain["prov:wasDerivedFrom"]}
    assert set(derived) == {one.card.title for one in facts.sources if one.rows}
    stages = [one["@id"] for one in plain["prov:wasGeneratedBy"]]
    assert stages == ["#scan", "#read", "#group", "#draft", "#verify", "#publish"]
    assert all("#model" not in one["@id"] for one in plain["prov:wasAttributedTo"])


def test_what_nobody_stated_is_absent(plain: dict[str, Any]) -> None:
    assert {"datePublished", "creator", "url", "citeAs"}.isdisjoint(plain)
    assert "rai:annotatorDemographics" not in plain
    assert None not in plain.values()


def test_a_model_is_a_machine_annotation_tool(facts: Facts) -> None:
    import dataclasses

    spoken = dataclasses.replace(facts, models=(Model("org/model-7b", "vllm 0.32", "local", 12),))
    tools = responsible(spoken)["rai:machineAnnotationTools"]
    assert tools[0] == "org/model-7b on vllm 0.32 (local): worded 12 rows, each proved by rules"
    assert all("model" not in tool for tool in responsible(facts)["rai:machineAnnotationTools"])


def test_the_policy_is_that_of_the_most_bound_part(facts: Facts) -> None:
    import dataclasses

    def under(*licences: Licence) -> dict[str, Any]:
        one = dataclasses.replace(facts.sources[0], licences=licences)
        return usage(dataclasses.replace(facts, sources=(one,)))

    free = under(Licence("CC0-1.0", TermsClass.OPEN, 1, 1))
    assert "odrl:prohibition" not in free
    assert "odrl:duty" not in free["odrl:permission"]
    named = under(Licence("CC-BY-4.0", TermsClass.OPEN, 1, 1))
    assert [duty["odrl:action"]["@id"] for duty in named["odrl:permission"]["odrl:duty"]] == ["odrl:attribute"]
    bound = under(
        Licence("CC0-1.0", TermsClass.OPEN, 1, 1), Licence("CC-BY-NC-SA-4.0", TermsClass.NON_COMMERCIAL, 1, 1)
    )
    assert bound["odrl:prohibition"]["odrl:action"]["@id"].endswith("CommercialUse")
    assert bound["odrl:permission"]["odrl:constraint"]["odrl:rightOperand"] == {"@id": "duo:0000046"}
    assert len(bound["odrl:permission"]["odrl:duty"]) == 2


def test_a_glob_stays_within_its_folder() -> None:
    files = [File(path=path, sha256="", bytes=0) for path in ("a/train-0.parquet", "a/b/train-0.parquet", "a/train.x")]
    assert [file.path for file in matched("a/train-*.parquet", files)] == ["a/train-0.parquet"]


def test_keys_of_several_kinds_are_left_out(tmp_path: Path) -> None:
    (tmp_path / "train.jsonl").write_text('{"a": 1, "b": "x", "c": [["y"]]}\n{"a": "two", "b": null, "d": [true]}\n')
    files = [File(path="train.jsonl", sha256="", bytes=0, rows=2)]
    found = record_set("some", Config(name="some", data_files={"train": "train.jsonl"}), files, tmp_path.joinpath)
    assert found is not None
    assert [field["name"] for field in found[1]["field"]] == ["b", "d", "split"]
    assert found[1]["field"][1]["isArray"]
    tar = [File(path="train.tar", sha256="", bytes=0)]
    assert record_set("some", Config(name="some", data_files={"train": "train.tar"}), tar, tmp_path.joinpath) is None
