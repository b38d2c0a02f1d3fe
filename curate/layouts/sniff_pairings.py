"""How the path of a label map leads to the volume that it is drawn on: tried on what lies there, surest first."""

import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Final

from curate.layouts.objects import stem_of
from curate.layouts.sniff_files import suffix_of
from curate.layouts.sniff_objects import mask_word
from curate.layouts.tree import Entry

__all__ = ["common_suffix", "images_of", "pairings"]

_CHANNEL: Final = "_0000"
"""What nnU-Net adds to the name of a case for its first channel."""


def common_suffix(group: Sequence[Entry]) -> str:
    """What the files' names end with: `.nii.gz`."""
    last = [entry.name.rpartition("/")[2] for entry in group]
    return suffix_of(last[0]) and last[0][-len(suffix_of(last[0])) :]


def images_of(
    group: Sequence[Entry], options: Mapping[str, str], pictures: Sequence[Entry], series: Sequence[str]
) -> dict[str, str]:
    """Key of a map -> the name of its image, or the folder of its series, where the options lead to exactly one."""
    names = {entry.name for entry in pictures}.union(series)
    stems = Counter(stem_of(entry.name) for entry in pictures)
    pattern = re.compile(options["pattern"]) if "pattern" in options else None
    found = {}
    for entry in group:
        if pattern is None:
            image = options.get("image") or stem_of(entry.name)
        else:
            groups = pattern.search(entry.name)
            image = options["image"].format(**groups.groupdict()) if groups else ""
        if image in names or stems[image] == 1:
            found[entry.key] = image
    return found


def pairings(
    group: Sequence[Entry], pictures: Sequence[Entry], series: Sequence[str]
) -> Iterator[tuple[dict[str, str], str | None]]:
    """Ways by which the path of a map may lead to its image, surest first, and what may be wrong with each."""
    mask = group[0]
    stem, end = stem_of(mask.name), re.escape(common_suffix(group))
    yield {}, None
    word = mask_word(stem, 0) or ""
    bare, case = stem, f"(?:^|/)(?P<stem>[^/]+){end}$"
    if word and stem.endswith(word):
        bare = stem.removesuffix(word)
        case = f"(?:^|/)(?P<stem>[^/]+){re.escape(word)}{end}$"
        yield {"pattern": case, "image": "{stem}"}, None
    elif word and stem.startswith(word):
        yield {"pattern": f"(?:^|/){re.escape(word)}(?P<stem>[^/]+){end}$", "image": "{stem}"}, None
    first = next((picture for picture in pictures if stem_of(picture.name) == bare + _CHANNEL), None)
    if first is not None and "{" not in first.name:
        image = first.name.replace(bare + _CHANNEL, "{stem}" + _CHANNEL)
        several = any(stem_of(picture.name) == f"{bare}_0001" for picture in pictures)
        yield (
            {"pattern": case, "image": image},
            ("masks: images of several channels; only the first is taken for what was labelled" if several else None),
        )
    yield from _by_series(group, series, bare, case)
    yield from _by_folder(group, pictures, bare)


def _by_series(
    group: Sequence[Entry], series: Sequence[str], bare: str, case: str
) -> Iterator[tuple[dict[str, str], str | None]]:
    """The series in whose path the map's own name, or a folder of the map's path, is a folder."""
    above = group[0].name.split("/")[:-1]
    varying = [depth for depth in range(len(above)) if len({one.name.split("/")[depth] for one in group}) > 1]
    ways = [(bare, "stem", case)]
    ways += [(above[depth], "case", "^" + "[^/]+/" * depth + "(?P<case>[^/]+)/") for depth in varying]
    for word, name, pattern in ways:
        parts = next((parts for folder in series if (parts := folder.split("/")).count(word) == 1), None)
        if parts is not None:
            image = "/".join(f"{{{name}}}" if part == word else part for part in parts)
            yield {"pattern": pattern, "image": image}, None


def _by_folder(
    group: Sequence[Entry], pictures: Sequence[Entry], bare: str
) -> Iterator[tuple[dict[str, str], str | None]]:
    """The one image, or the first, in the folder of the map or in one above it."""
    segments = group[0].name.split("/")[:-1]
    for depth in range(len(segments), 0, -1):
        folder = "/".join(segments[:depth])
        near = [picture for picture in pictures if picture.folder == folder and "{" not in picture.name]
        near = [one for one in near if stem_of(one.name).startswith(bare)] or near
        if not near or (len(near) > 1 and len({entry.folder for entry in group}) == 1):
            continue
        case = segments[depth - 1]
        before = "".join("[^/]+/" for _ in segments[: depth - 1])
        name = near[0].name.rpartition("/")[2].replace(case, "{case}")
        options = {"pattern": f"^(?P<above>{before})(?P<case>[^/]+)/", "image": "{above}{case}/" + name}
        told = f"masks: {len(near)} images lie with each map; the first is taken for what was labelled"
        yield options, told if len(near) > 1 else "masks: each map is taken to be of the image in its folder"
