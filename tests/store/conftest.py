"""One small build, which tests damage and mend."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.crash.small import World, small_world
from tests.store.server import S3Server, s3_server


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The output of a small build."""
    world: World = small_world(tmp_path_factory.mktemp("world"))
    assert world.build().code == 0
    return world.out()


@pytest.fixture(scope="session")
def store() -> Iterator[S3Server]:
    """An S3 server with one bucket."""
    with s3_server() as server:
        yield server
