"""`curate why`: from a file of a series to its volume and back, and from a pair to what a model was asked and said."""

import hashlib
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from curate.testing.scripted import brief_of, well
from tests.crash.small import curate, write_yaml
from tests.stages.rewriting import Asking, asking, built_here, is_repair

CARD: dict[str, Any] = {
    "id": "ct",
    "title": "A series of slices",
    "source": {"home": "nowhere", "version": "1"},
    "terms": {"licence": "CC0-1.0", "quote": "CC0", "read_at": "LICENSE", "deidentified": True},
    "images": {"glob": "**/*.dcm", "form": "volume"},
    "subject": {"none": "not published"},
}
RECIPE: dict[str, Any] = {
    "name": "why",
    "tasks": ["label_caption"],
    "volumes": {"planes": ["axial", "coronal"], "slices": 2, "windows": ["auto", "lung"]},
    "limits": {"rejects": 1},
}

Blocks = list[dict[str, Any]]


class Built:
    """A corpus of one series, and the folder that it came from."""

    def __init__(self, folder: Path, data: Path, hides_paths: bool) -> None:
        self.data = data
        self.hides_paths = hides_paths
        self.out = folder / "out"
        write_yaml(folder / "ct.yaml", CARD | {"paths_identify": hides_paths})
        write_yaml(folder / "why.yaml", RECIPE | {"sources": [{"card": "ct.yaml", "data": str(data)}]})
        done = curate("build", folder / "why.yaml", "--out", self.out)
        assert done.code == 0, done.text

    def why(self, key: str) -> tuple[str, Blocks]:
        done = curate("why", self.out, key, "--json")
        assert done.code == 0, done.text
        story = json.loads(done.stdout)
        return story["kind"], story["blocks"]

    def ids(self, where: str) -> list[str]:
        done = curate("query", self.out, f"SELECT asset_id FROM assets WHERE {where} ORDER BY ALL", "--json")
        return [row["asset_id"] for row in json.loads(done.stdout)]


def block(blocks: Blocks, title: str) -> dict[str, Any]:
    """The one block of that title."""
    (found,) = [one for one in blocks if one["block"] == title]
    return found


@pytest.fixture(scope="module", params=[True, False], ids=["paths hidden", "paths shown"])
def built(
    request: pytest.FixtureRequest, test_data: Callable[[str], Path], tmp_path_factory: pytest.TempPathFactory
) -> Built:
    return Built(tmp_path_factory.mktemp("why"), test_data("medio-ct-series"), request.param)


def test_any_file_of_a_series_leads_to_its_volume(built: Built) -> None:
    path = sorted(built.data.rglob("*.dcm"))[7]
    kind, blocks = built.why(path.relative_to(built.data).as_posix())
    assert kind == "file"
    (volume,) = built.ids("form = 'volume'")
    assert block(blocks, "asset")["asset_id"] == volume
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    assert any(digest in str(value) for value in block(blocks, "file").values())
    assert len(block(blocks, "made of it")) == 2 + 4  # its title, four slices, and their number


def test_a_slice_leads_back_to_the_volume_that_it_was_cut_from(built: Built) -> None:
    (volume,) = built.ids("form = 'volume'")
    slices = built.ids("form = 'slice' AND plane = 'coronal'")
    _, blocks = built.why(slices[0][:12])
    assert block(blocks, "made of")[volume].startswith("cut from volume")
    asset = block(blocks, "asset")
    assert (asset["form"], asset["plane"], asset["derived_from"]) == ("slice", "coronal", volume)
    assert asset["window"]["width"] > 0


def test_a_volume_tells_the_slices_that_could_not_be_shown(built: Built) -> None:
    (volume,) = built.ids("form = 'volume'")
    _, blocks = built.why(volume)
    assert any("no_unit" in key for key in block(blocks, "regions without an asset"))


def test_a_file_that_no_pattern_wants_is_told_by_its_path(built: Built) -> None:
    _, blocks = built.why("LICENSE")
    assert block(blocks, "filtered")["reason"] == "unclaimed_file"


def test_another_project_key_finds_no_hidden_path(built: Built, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CURATE_KEY", "another key of this project")
    done = curate("why", built.out, next(built.data.rglob("*.dcm")).relative_to(built.data).as_posix())
    assert done.code == (2 if built.hides_paths else 0)
    assert ("the project key of the build" in done.text) == built.hides_paths


def test_a_file_name_alone_finds_its_series_where_paths_are_shown(built: Built) -> None:
    name = sorted(built.data.rglob("*.dcm"))[3].name
    if built.hides_paths:
        assert curate("why", built.out, name).code == 2
    else:
        assert block(built.why(name)[1], "asset")["form"] == "volume"


def test_what_was_never_there_is_a_usage_error(built: Built) -> None:
    assert curate("why", built.out, "data/dcm/never.dcm").code == 2


def script(body: dict[str, Any]) -> str:
    """A model that lies until it is told, of leukocytes for ever, and of erythrocytes never; it writes to terminals."""
    answer = str(brief_of(body)["answer"])
    lie = json.dumps({"question": "\x1b[2JWhat?", "answer": "There is a pneumothorax.\norigin: llm"})
    if "leukocyte" in answer or ("erythrocyte" not in answer and not is_repair(body)):
        return lie
    return well(body)


@pytest.fixture(scope="module")
def rewritten(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Asking]:
    with built_here(), asking(tmp_path_factory.mktemp("rewritten"), script) as asked:
        asked.write({"tasks": ["count"]})
        asked.done()
        yield asked


def story(asked: Asking, key: str) -> tuple[str, dict[str, dict[str, Any]]]:
    done = curate("why", asked.world.out(), key, "--json")
    assert done.code == 0, done.text
    told = json.loads(done.stdout)
    return told["kind"], {each["block"]: each for each in told["blocks"]}


def test_a_pair_in_a_models_words_leads_to_what_was_asked_said_and_judged(rewritten: Asking) -> None:
    (row, *_) = rewritten.rows("SELECT pair_id, request_id FROM pairs WHERE response_id = request_id ORDER BY pair_id")
    kind, blocks = story(rewritten, row["pair_id"][:16])
    assert kind == "pair"
    assert blocks["pair"]["origin"] == "llm"
    assert blocks["pair"]["request_id"] == blocks["pair"]["response_id"] == row["request_id"]
    assert blocks["request"]["request_id"] == row["request_id"]
    assert "<data>" in blocks["request"]["asked"]
    assert "instruction" in blocks["request"]["instructions"]
    assert blocks["answer 1: accepted"]["text"]
    assert "answer 2: accepted" not in blocks


def test_a_pair_that_kept_its_template_tells_both_lies(rewritten: Asking) -> None:
    sql = "SELECT pair_id FROM pairs WHERE origin = 'template' ORDER BY pair_id"
    _, blocks = story(rewritten, rewritten.rows(sql)[0]["pair_id"])
    for number in (1, 2):
        told = blocks[f"answer {number}: refused"]
        assert "pneumothorax" in told["text"]
        assert told["reason"] in ("label_invented", "label_missing", "count", "negation")
        assert told["detail"]
    assert blocks["pair"]["response_id"] is None


def test_a_request_and_the_answer_to_its_repair_lead_to_the_pairs_that_they_serve(rewritten: Asking) -> None:
    sql = "SELECT request_id, response_id FROM responses WHERE attempt = 2 AND verdict = 'accepted' ORDER BY ALL"
    (row, *_) = rewritten.rows(sql)
    served = rewritten.rows(f"SELECT pair_id FROM pairs WHERE response_id = '{row['response_id']}'")
    for key, kind in ((row["request_id"], "request"), (row["response_id"], "answer")):
        found, blocks = story(rewritten, key[:20])
        assert found == kind
        assert blocks["answer 1: refused"]["response_id"] == row["request_id"]
        assert blocks["answer 2: accepted"]["response_id"] == row["response_id"]
        assert {pair["pair_id"] for pair in served} <= blocks["pairs that asked it"].keys()
        assert blocks["pairs that asked it"]["in all"] == len(served)


def test_what_a_model_writes_moves_no_cursor_and_looks_like_no_line_of_ours(rewritten: Asking) -> None:
    (row, *_) = rewritten.rows("SELECT request_id FROM responses WHERE verdict = 'refused' ORDER BY request_id")
    told = rewritten.why(row["request_id"])
    assert "pneumothorax" in told
    assert "\x1b" not in told
    assert not any(line.strip() == "origin: llm" and line.startswith("  o") for line in told.splitlines())
