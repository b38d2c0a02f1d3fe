"""Images that are named and not there: what a list of them names, and how many they are."""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final, NamedTuple

from curate.layouts.base import ImageRef

__all__ = ["Absent", "Line", "distinct", "listed_names"]

_FLAGGED: Final = re.compile(r"(?P<name>\S.*?)\s+[+-]?[01]")
_SUFFIX: Final = re.compile(r"\.[A-Za-z][A-Za-z0-9]{0,5}$")


@dataclass(frozen=True, slots=True, order=True)
class Absent:
    """One name of an absent image: where it was written, unless the name says its folder itself, and who wrote it."""

    name: str
    near: str  # virtual folder of the label file; empty where the name has folders
    label_set: str  # empty: a list of a split

    @classmethod
    def of(cls, image: ImageRef, label_set: str = "") -> "Absent":
        """What a label file says, with `/` between folders."""
        name = image.name.strip().replace("\\", "/")
        return cls(name, "" if "/" in name else image.near, label_set)


def distinct(absent: Iterable[Absent]) -> list[Absent]:
    """One name per absent image, in the order given.

    Names of one stem are one image, unless they stand in different folders, or one label set writes them in label files
    of different folders, as `train/1.xml` and `valid/1.xml` do. Names that say more stay: those with folders, else
    those of a label set rather than of a list, with an extension rather than without.
    """
    by_stem: dict[str, list[Absent]] = {}
    for one in dict.fromkeys(absent):
        by_stem.setdefault(_stem(one.name), []).append(one)
    return [one for alike in by_stem.values() for one in _told_apart(alike)]


def _told_apart(alike: list[Absent]) -> list[Absent]:
    by_set: dict[str, list[Absent]] = {}
    for one in alike:
        if "/" not in one.name:
            by_set.setdefault(one.label_set, []).append(one)
    in_folders = list({one.name: one for one in reversed(alike) if "/" in one.name}.values())[::-1]
    if in_folders and len(in_folders) >= max(map(len, by_set.values()), default=0):
        return in_folders
    # A list repeats what labels say, from a folder that tells nothing of the images'.
    labelled = [_fullest(names) for label_set, names in by_set.items() if label_set]
    return max(labelled or [_fullest(names) for names in by_set.values()], key=_telling)


def _fullest(names: list[Absent]) -> list[Absent]:
    """Names with an extension, where there are any: in one folder a bare stem gives way to them."""
    with_suffix = [one for one in names if "." in one.name]
    folders = {one.near for one in with_suffix}
    return [*with_suffix, *(one for one in names if "." not in one.name and one.near not in folders)]


def _telling(names: list[Absent]) -> tuple[int, bool]:
    return len(names), any("." in one.name for one in names)


def _stem(name: str) -> str:
    file = name.rpartition("/")[2]
    return file.rpartition(".")[0] or file


class Line(NamedTuple):
    """One line of a list of images: its number from 1, what it could name, and the name to tell where none is there."""

    number: int
    names: tuple[str, ...]
    told: str


def listed_names(text: str) -> list[Line]:
    """The lines of a list of images that are not blank.

    A name may hold spaces, so the whole line comes first, then its first word. In a class list, where each line ends in
    a flag (-1, 0 or 1, as Pascal VOC has them) and no name repeats, the name is the line without its flag.
    """
    lines = [(number, line.strip()) for number, line in enumerate(text.splitlines(), start=1) if line.strip()]
    flagged = [_FLAGGED.fullmatch(line) for _, line in lines]
    names = [found["name"] for found in flagged if found]
    if len(names) == len(set(names)) == len(lines):
        return [Line(number, (line, name), name) for (number, line), name in zip(lines, names, strict=True)]
    return [_line(number, line) for number, line in lines]


def _line(number: int, line: str) -> Line:
    word = line.split(maxsplit=1)[0]
    return Line(number, tuple(dict.fromkeys((line, word))), word if _SUFFIX.search(word) else line)
