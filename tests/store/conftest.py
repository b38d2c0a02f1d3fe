"""One small build, which tests damage and mend."""

from pathlib import Path

import pytest

from tests.crash.small import World, small_world


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The output of a small build."""
    world: World = small_world(tmp_path_factory.mktemp("world"))
    assert world.build().code == 0
    return world.out()
