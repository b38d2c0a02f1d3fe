"""Built straight from a real PACS, a corpus says what it says when it is built from the same files on disk."""

import json
import os
import shutil
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import pydicom
import pydicom.data
import pytest

from tests.crash.small import curate, write_yaml
from tests.orthanc import Orthanc, running

CARD: dict[str, Any] = {
    "id": "clinic",
    "title": "What a PACS holds",
    "source": {"home": "nowhere", "version": "1"},
    "terms": {"licence": "CC0-1.0", "quote": "CC0", "read_at": "LICENSE", "deidentified": True},
    "images": {"glob": "**/*.dcm", "form": "image"},
    "subject": {"none": "test"},
    "paths_identify": True,
}
FACTS = "form, media_type, width, height, depth, channels, bit_depth, dtype, photometric, modality, rescale_slope"


def wheel_files(*names: str) -> list[Path]:
    """pydicom's own test files."""
    folder = Path(pydicom.data.__file__).parent / "test_files"
    return [folder / name for name in names]


PICTURES = wheel_files("CT_small.dcm", "MR_small.dcm", "examples_palette.dcm", "JPEG2000.dcm", "image_dfl.dcm")


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Orthanc]:
    with running(tmp_path_factory.mktemp("orthanc")) as orthanc:
        yield orthanc


@pytest.fixture
def pacs(server: Orthanc, monkeypatch: pytest.MonkeyPatch) -> Orthanc:
    """The server, empty; its secret is in the environment."""
    server.clear()
    monkeypatch.setenv("TEST_PACS", server.auth)
    return server


class World:
    """A card, and a recipe that takes it from the PACS or from a folder."""

    def __init__(self, folder: Path, pacs: Orthanc) -> None:
        self.folder = folder
        self.pacs = pacs
        self.card = dict(CARD)
        self.query: dict[str, Any] = {}

    def build(
        self, *extra: str, command: str = "build", files: Iterable[Path] | None = None
    ) -> tuple[int, dict[str, Any]]:
        entry: dict[str, Any] = {"card": "clinic.yaml"}
        if files is None:
            entry["dicomweb"] = {"url": self.pacs.url, "basic_env": "TEST_PACS", **self.query}
        else:
            entry["data"] = "files"
            for number, path in enumerate(files):
                target = self.folder / "files" / f"{number}.dcm"
                target.parent.mkdir(exist_ok=True)
                shutil.copyfile(path, target)
        name = "web" if files is None else "disk"
        write_yaml(self.folder / "clinic.yaml", self.card)
        write_yaml(
            self.folder / f"{name}.yaml",
            {"name": name, "sources": [entry], "tasks": ["label_caption"], "limits": {"rejects": 1}},
        )
        one_worker = ("-j", "1") if command == "build" else ()
        recipe, out = str(self.folder / f"{name}.yaml"), str(self.folder / name)
        done = curate(command, recipe, "--out", out, "--json", *one_worker, *extra)
        return done.code, json.loads(done.stdout)

    def rows(self, name: str, sql: str) -> list[dict[str, Any]]:
        done = curate("query", str(self.folder / name), sql, "--json")
        assert done.code == 0, done.text
        answer: list[dict[str, Any]] = json.loads(done.stdout)
        return answer

    def mirror(self) -> list[Path]:
        return sorted((self.folder / ".web.cache" / "dicomweb" / "clinic" / "files").rglob("*.dcm"))


@pytest.fixture
def world(tmp_path: Path, pacs: Orthanc) -> World:
    return World(tmp_path, pacs)


def test_pictures_from_a_pacs_are_those_of_the_files_that_were_stored(world: World) -> None:
    world.pacs.store(PICTURES)
    code, built = world.build()
    assert code == 0, built
    local, _ = world.build(files=PICTURES)
    assert local == 0
    (ingested,) = built["ingested"]
    assert (ingested["found"], ingested["fetched"]) == (len(PICTURES), len(PICTURES))
    facts = f"SELECT content_sha256, image_sha256, {FACTS} FROM assets ORDER BY content_sha256, image_sha256"
    assert world.rows("web", facts) == world.rows("disk", facts)
    refused = "SELECT unit, verdict, reason, count(*) AS n FROM rejects GROUP BY ALL ORDER BY ALL"
    assert world.rows("web", refused) == world.rows("disk", refused)
    assert curate("check", str(world.folder / "web")).code == 0


def test_no_pixel_is_encoded_anew_on_its_way(world: World) -> None:
    world.pacs.store(PICTURES)
    world.build()
    assert sorted(path.read_bytes() for path in world.mirror()) == sorted(path.read_bytes() for path in PICTURES)


def test_a_series_from_a_pacs_is_the_volume_of_its_files(world: World, test_data: Callable[[str], Path]) -> None:
    files = sorted((test_data("medio-ct-series")).rglob("*.dcm"))
    world.card["images"] = {"glob": "**/*.dcm", "form": "volume"}
    world.pacs.store(reversed(files))
    code, built = world.build()
    assert code == 0, built
    assert world.build(files=files)[0] == 0
    assert built["ingested"][0]["found"] == len(files) == 150
    facts = "form, voxels_sha256, width, height, depth, spacing_mm, affine_lps, rescale_slope, rescale_unit"
    voxels = f"SELECT {facts} FROM assets"
    assert world.rows("web", voxels) == world.rows("disk", voxels)
    assert [row["form"] for row in world.rows("web", voxels)] == ["volume"]


def test_objects_without_pictures_come_along(world: World, test_data: Callable[[str], Path]) -> None:
    folder = test_data("rt-utils-rtstruct") / "mock_data"
    files = [folder / "ct_1.dcm", folder / "ct_2.dcm", folder / "rt.dcm"]
    world.pacs.store(files)
    _, built = world.build()
    assert built["ingested"][0]["found"] == 3
    assert len(world.mirror()) == 3


def test_the_query_decides_what_comes(world: World) -> None:
    world.pacs.store(PICTURES)
    world.query = {"query": {"ModalitiesInStudy": "CT"}, "series": {"Modality": "CT"}}
    world.build()
    wanted = [path for path in PICTURES if pydicom.dcmread(path, stop_before_pixels=True).Modality == "CT"]
    assert sorted(path.read_bytes() for path in world.mirror()) == sorted(path.read_bytes() for path in wanted)
    assert 0 < len(wanted) < len(PICTURES)


def test_a_second_build_fetches_nothing_and_builds_nothing(world: World) -> None:
    world.pacs.store(PICTURES)
    world.build()
    _, again = world.build()
    assert (again["ingested"][0]["fetched"], again["ingested"][0]["kept"]) == (0, len(PICTURES))
    assert sum(again["built"].values()) == 0
    assert {part["state"] for part in world.build(command="plan")[1]} == {"done"}


def test_sources_are_checked_against_the_mirror(world: World) -> None:
    world.pacs.store(PICTURES)
    world.build()
    asked = ("check", world.folder / "web", "--sources", "--recipe", world.folder / "web.yaml")
    assert curate(*asked).code == 0
    world.mirror()[0].write_bytes(b"altered")
    assert curate(*asked).code == 1


def test_an_instance_that_the_pacs_lost_leaves_the_corpus(world: World) -> None:
    world.pacs.store(PICTURES)
    world.build()
    before = world.rows("web", "SELECT count(*) AS n FROM assets")[0]["n"]
    world.pacs.delete("instances", world.pacs.instances()[0])
    _, again = world.build()
    assert (again["ingested"][0]["found"], again["ingested"][0]["gone"]) == (len(PICTURES) - 1, 1)
    assert world.rows("web", "SELECT count(*) AS n FROM assets")[0]["n"] < before


def test_an_instance_that_came_later_joins_the_corpus(world: World) -> None:
    world.pacs.store(PICTURES[:2])
    world.build()
    world.pacs.store(PICTURES[2:])
    _, again = world.build()
    assert (again["ingested"][0]["fetched"], again["ingested"][0]["kept"]) == (len(PICTURES) - 2, 2)


def test_a_plan_asks_no_server(world: World) -> None:
    world.pacs.store(PICTURES)
    os.environ.pop("TEST_PACS")  # (put back by monkeypatch)
    code, parts = world.build(command="plan")
    assert code == 0
    assert {part["state"] for part in parts} == {"missing", "waiting"}
    assert not (world.folder / ".web.cache").exists()


def test_a_plan_tells_that_a_mirror_is_gone(world: World) -> None:
    world.pacs.store(PICTURES)
    world.build()
    shutil.rmtree(world.folder / ".web.cache")
    _, parts = world.build(command="plan")
    assert [part["reasons"] for part in parts if part["stage"] == "scan"] == [
        ["its mirror is gone: a build fetches it again"]
    ]
    assert world.build()[0] == 0


def test_offline_builds_from_a_whole_mirror_alone(world: World) -> None:
    world.pacs.store(PICTURES)
    code, told = world.build("--offline")
    assert code == 1
    assert "no whole mirror" in told["message"]
    world.build()
    world.pacs.clear()
    code, built = world.build("--offline")
    assert code == 0
    assert built["ingested"][0]["offline"]
    assert sum(built["built"].values()) == 0


def test_a_wrong_secret_stops_the_build(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TEST_PACS", "reader:wrong-secret")
    code, told = world.build()
    assert code == 1
    assert "HTTP 401" in told["message"]
    assert "wrong-secret" not in json.dumps(told)


def test_a_secret_that_is_not_set_is_a_usage_error(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("TEST_PACS")
    code, told = world.build()
    assert code == 2
    assert "TEST_PACS" in told["message"]


def test_no_output_names_the_server_the_query_or_an_instance(world: World) -> None:
    world.pacs.store(PICTURES)
    world.query = {"query": {"PatientName": "*", "StudyDate": "1900-2100"}}
    world.build()
    uids = [str(pydicom.dcmread(path, stop_before_pixels=True).SOPInstanceUID) for path in PICTURES]
    for path in (world.folder / "web").rglob("*"):
        data = path.read_bytes() if path.is_file() else b""
        for secret in (world.pacs.base, "1900-2100", *uids):
            assert secret.encode() not in data, path.name
