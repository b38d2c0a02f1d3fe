"""A preview of what a DICOMweb server holds reads the mirror of a build and asks no server."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.crash.small import curate
from tests.orthanc import Orthanc, running
from tests.test_dicomweb import PICTURES, World

pytestmark = pytest.mark.slow


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    """A recipe whose pictures lie on a server."""
    (tmp_path / "orthanc").mkdir()
    with running(tmp_path / "orthanc") as server:
        monkeypatch.setenv("TEST_PACS", server.auth)
        yield made(tmp_path, server)


def made(folder: Path, server: Orthanc) -> World:
    world = World(folder, server)
    server.store(PICTURES)
    return world


def test_the_mirror_of_a_scan_is_enough(world: World) -> None:
    assert world.build("--stage", "scan")[0] == 0
    world.pacs.clear()
    page = world.folder / "page.html"
    out = world.folder / "web"
    said = curate("preview", world.folder / "web.yaml", "--html", page, "--mirror-of", out, "-n", "3")
    assert said.code == 0, said.text
    assert "3 items" in said.stdout.splitlines()[-1]


def test_without_a_whole_mirror_nothing_is_shown(world: World) -> None:
    world.build("--stage", "scan")
    world.mirror()[0].unlink()
    page = world.folder / "page.html"
    said = curate("preview", world.folder / "web.yaml", "--html", page, "--mirror-of", world.folder / "web")
    assert said.code == 1
    assert "mirror" in said.text
    assert not page.exists()
