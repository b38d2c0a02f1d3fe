"""What the builds that are disturbed are compared with."""

import pytest

from tests.crash.small import World, small_world, tree


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    """The small source."""
    return small_world(tmp_path_factory.mktemp("world"))


@pytest.fixture(scope="module")
def calm(world: World) -> dict[str, str]:
    """The tree of a build on a disk that nobody disturbed."""
    assert world.build("calm").code == 0
    return tree(world.out("calm"))
