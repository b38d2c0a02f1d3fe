"""What the tests of publishing publish: a corpus of phantoms, and the small source, which may be changed."""

from pathlib import Path

import pytest

from curate.publish.base import Release
from curate.publish.formats import formats_of
from curate.publish.run import publish
from curate.publish.targets import FolderTarget
from tests.crash.small import World, small_world
from tests.publish.releases import build_corpus, release_of
from tests.publish.worlds import copy_of


@pytest.fixture(scope="session")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A built corpus of phantoms; not to be changed."""
    return build_corpus(tmp_path_factory.mktemp("phantoms"))


@pytest.fixture(scope="session")
def release(corpus: Path) -> Release:
    """All rows of it."""
    return release_of(corpus)


@pytest.fixture(scope="session")
def published(corpus: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """It, published to a folder as Hugging Face Parquet and for ms-swift; not to be changed."""
    target = tmp_path_factory.mktemp("published") / "release"
    publish(corpus, FolderTarget(target), formats_of(["hf-parquet", "ms-swift"]), desk=target.with_name("desk"))
    return target


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> World:
    """The small source, built; not to be changed."""
    world = small_world(tmp_path_factory.mktemp("world"))
    assert world.build().code == 0
    return world


@pytest.fixture
def world(built: World, tmp_path: Path) -> World:
    """A copy of it."""
    return copy_of(built, tmp_path / "world")
