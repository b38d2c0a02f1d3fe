"""The small source of drawn cells, built, and copies of it in which something changed."""

import shutil
from pathlib import Path
from typing import Any

from curate.publish.base import Format
from curate.publish.run import Published, publish
from curate.publish.targets import FolderTarget
from curate.store.place import walk
from tests.crash.small import World, age
from tests.publish.plain_format import Plain


def copy_of(world: World, folder: Path) -> World:
    """A world of its own, with what was built there."""
    shutil.copytree(world.folder, folder, symlinks=True)
    return World(folder)


def edited(world: World, name: str, *changes: tuple[str, str]) -> None:
    """Change words of a label file, and build again."""
    path = world.data / name
    text = path.read_text()
    for before, after in changes:
        assert before in text
        text = text.replace(before, after, 1)
    path.write_text(text)
    age(world.data)
    rebuilt(world)


def rebuilt(world: World) -> None:
    """Build again."""
    said = world.build()
    assert said.code == 0, said.text


def published(world: World, folder: str = "there", **more: Any) -> Published:
    """Publish to a folder of the world in the plain format."""
    formats: list[Format] = more.pop("formats", [Plain()])
    return publish(world.out(), FolderTarget(world.folder / folder), formats, **more)


def files_at(folder: Path) -> dict[str, bytes]:
    """What lies there."""
    return {one.name: (folder / one.name).read_bytes() for one in walk(folder)}
