"""Volumes in a folder nobody described: which files are one volume, what their headers say, which are label maps."""

import contextlib
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from hashlib import sha256
from typing import Any, Final

import numpy as np

from curate.geometry_3d import same_grid
from curate.images.volume_data import VolumeData, VolumeLimits
from curate.layouts.anatomy_names import reordered
from curate.layouts.objects import stem_of
from curate.layouts.sniff_files import Draft, Look
from curate.layouts.sniff_kinds import Kinds
from curate.layouts.sniff_objects import mask_word, parsed_json
from curate.layouts.sniff_pairings import common_suffix, images_of, pairings
from curate.layouts.stacks import paired, series_of
from curate.layouts.tree import Entry, in_order
from curate.schema import Reason, Refusal

__all__ = ["Volumes", "stacked"]

MAX_VALUES: Final = 256
"""A label map of more values is taken to number its objects."""

MAX_SETS: Final = 12
"""Label maps that nothing but their grid ties to an image get a label set each; more are left to a person."""

MAX_DECODED_BYTES: Final = 64 * 2**20
"""Of one volume whose values are looked at."""

MAX_BUDGET_BYTES: Final = 512 * 2**20
"""The same of all in one look."""

MAX_HEADERS: Final = 300
"""Volumes whose headers are read."""

MAX_SLICES: Final = 3000
"""Files of series whose headers are read to see whether a build would refuse the series."""

SAMPLE_MAPS: Final = 8

_PLACEHOLDER: Final = re.compile(r"\{\w+\}")


def stacked(look: Look, kinds: Kinds, volumes: Iterable[Entry]) -> Look:
    """The look with the files of one series, and headers with their data, as one image, as a build puts them."""
    files = list(volumes)
    slices = {entry: kinds.headers[entry] for entry in files if entry in kinds.headers}
    stacks = series_of(slices, lambda uid: sha256(uid.encode()).hexdigest()[:16])
    stacks += paired((entry for entry in files if entry not in slices), {one.name: one for one in look.tree.entries})
    gone = {member.key for stack in stacks for member in stack.members}
    images = in_order([*(entry for entry in files if entry.key not in gone), *(stack.entry for stack in stacks)])
    headers: dict[str, Any] = {entry.key: header for entry, header in slices.items()}
    for stack in stacks:
        known = [slices[member] for member in stack.members if member in slices]
        if known and kinds.unfinished.isdisjoint(member.folder for member in stack.members):
            headers[stack.entry.key] = known[0]
    by_key = {stack.entry.key: stack for stack in stacks}
    others = tuple(entry for entry in look.others if entry.key not in gone)
    return replace(look, images=tuple(images), others=others, stacks=by_key, headers=headers)


class Volumes:
    """The volumes of a look, whose `dicom` are series; headers are read when asked for, within bounds, once."""

    def __init__(self, look: Look) -> None:
        self._look = look
        self._known: dict[str, VolumeData | Refusal | None] = {}
        self._budget = MAX_BUDGET_BYTES
        self._slices = MAX_SLICES

    def header(self, image: Entry) -> VolumeData | Refusal | None:
        """What a volume's header says, or why a build would refuse it; None where it was not looked at."""
        if image.key not in self._known:
            self._known[image.key] = self._read(image) if len(self._known) < MAX_HEADERS else None
        return self._known[image.key]

    def _read(self, image: Entry) -> VolumeData | Refusal | None:
        files = self._look.members(image)
        reader = self._look.reader
        whole = any(file.member is not None or file.name.lower().endswith(".mnc") for file in files)
        if whole and any(file.bytes > MAX_DECODED_BYTES for file in files):  # cannot be looked at in part
            return None
        heads = [partial(reader.head, file.path, file.member) for file in files]
        reads = [partial(reader.read, file.path, file.member) for file in files]
        limits = VolumeLimits(max_decoded_bytes=MAX_DECODED_BYTES)
        try:
            if image.key in self._look.dicom:
                self._slices -= len(files)
                if image.key not in self._look.headers or self._slices < 0:
                    return None
                from curate.images.series import SeriesFile, read_series

                parts = zip(files, heads, reads, strict=True)
                slices = [SeriesFile(head, read, file.bytes) for file, head, read in parts]
                return read_series(slices, beat=_no_beat)
            from curate.images.volumes import VolumeFile, read_volume

            local = [partial(reader.local, file.path, file.member) for file in files]
            parts4 = zip(files, heads, reads, local, strict=True)
            held = [VolumeFile(file.name, file.bytes, head, read, place) for file, head, read, place in parts4]
            found = read_volume(held, beat=_no_beat, limits=limits)
        except OSError:
            return Refusal(Reason.UNREADABLE_FILE)
        except Exception:  # (a look must not fail where a build will say what is wrong)
            return None
        return None if isinstance(found, Refusal) and found.reason in _OF_COST else found

    def values(self, image: Entry) -> frozenset[int] | None:
        """The distinct values of a volume of whole numbers; None of other volumes, and where a look would cost much."""
        said = self.header(image)
        if not isinstance(said, VolumeData) or said.dtype.kind not in "iu":
            return None
        cost = int(np.prod(said.shape, dtype=np.float64)) * said.dtype.itemsize
        if cost > min(MAX_DECODED_BYTES, self._budget):
            return None
        self._budget -= cost
        found: set[int] = set()
        with contextlib.suppress(OSError):
            for slab in said.slabs():
                if isinstance(slab, Refusal):
                    return None
                found.update(np.unique(slab).tolist())
                if len(found) > MAX_VALUES:
                    return None
            return frozenset(found)
        return None

    # --- label maps

    def label_maps(self) -> tuple[list[Draft], frozenset[str]]:
        """Label sets of the volumes that are maps of others, and the keys of these maps; a series is never a map."""
        series = [image for image in self._look.images if image.key in self._look.dicom]
        volumes = [image for image in self._look.images if image.key not in self._look.dicom]
        shared = _shared([*volumes, *(self._look.members(image)[0] for image in series)])
        marked = {image.key: word for image in volumes if (word := mask_word(image.name, shared))}
        if len(marked) == len(volumes) and not series:
            marked = {}
        plain = [image for image in volumes if image.key not in marked]
        marked |= {image.key: "" for image in plain if self._looks_like_a_map(image, [*plain, *series])}
        pictures = [image for image in self._look.images if image.key not in marked]
        drafts: list[Draft] = []
        groups: dict[tuple[str, str, int], list[Entry]] = {}
        for image in volumes:
            if image.key in marked:
                groups.setdefault(_sort(image, marked[image.key]), []).append(image)
        for group in groups.values():
            drafts += self._drafted(group, pictures)
        return drafts, frozenset(marked)

    def _looks_like_a_map(self, image: Entry, others: Sequence[Entry]) -> bool:
        """Few whole numbers from 0 on, on the grid of another volume that holds many."""
        values = self.values(image) if len(others) <= MAX_HEADERS else None
        if values is None or 0 not in values or min(values) < 0 or not 1 < len(values) <= 64 or max(values) > 255:
            return False
        return any(other is not image and self._alike(image, other) and self._holds_many(other) for other in others)

    def _holds_many(self, image: Entry) -> bool:
        values = self.values(image)
        return values is None or len(values) > 64

    def _alike(self, one: Entry, other: Entry) -> bool:
        """Both have the same voxels; where one states no place, the same shape."""
        here, there = self.header(one), self.header(other)
        if not isinstance(here, VolumeData) or not isinstance(there, VolumeData):
            return False
        if here.grid is None or there.grid is None:
            return here.shape == there.shape
        return same_grid(here.grid, there.grid)

    def _drafted(self, group: list[Entry], pictures: Sequence[Entry]) -> list[Draft]:
        series = [folder for picture in pictures if (folder := self._folder_of(picture)) is not None]
        for options, unsure in pairings(group, pictures, series):
            found = images_of(group, options, pictures, series)
            if len(found) * 10 >= len(group) * 9 and self._mostly_fit(group, found):
                return self._named_sets(group, options, found, unsure)
        return self._by_grid(group, pictures)

    def _named_sets(
        self, group: list[Entry], options: dict[str, str], found: Mapping[str, str], unsure: str | None
    ) -> list[Draft]:
        """One label set of all maps whose paths lead to their images."""
        told = [unsure] if unsure else []
        lone = [entry for entry in group[:SAMPLE_MAPS] if not self._fits(entry, found.get(entry.key))]
        if lone:
            told.append(
                f"masks: {len(lone)} of {min(len(group), SAMPLE_MAPS)} looked at lie on another grid than theirs"
            )
        if max(Counter(found.values()).values()) > 1:
            return [self._of_files(group, options, told)]
        return [self._of_values(group, options, told)]

    def _mostly_fit(self, group: list[Entry], found: Mapping[str, str]) -> bool:
        looked_at = group[:SAMPLE_MAPS]
        return sum(self._fits(entry, found.get(entry.key)) for entry in looked_at) * 2 > len(looked_at)

    def _fits(self, entry: Entry, image: str | None) -> bool:
        other = self._look.finds(image) if image is not None else None
        return other is None or self.header(other) is None or self._alike(entry, other)

    def _of_files(self, group: list[Entry], options: dict[str, str], told: list[str]) -> Draft:
        """A file for each concept, named as the file is."""
        pattern = options.get("pattern", "") or "(?:^|/)"
        end = re.escape(common_suffix(group))
        if "(?P<label>" not in pattern:
            pattern = f"{pattern.removesuffix('$')}(?:.*/)?(?P<label>[^/]+){end}$"
        held = {"per": "file", **options, "pattern": pattern, "empty": "absent"}
        told.append("masks: several files to an image, so each is taken for one concept, called as the file is")
        told.append("masks: a file without any voxel is no mistake here, `empty: absent`; say `reject` where it is")
        found = (re.search(pattern, entry.name) for entry in group)
        labels = (match["label"] for match in found if match)
        return self._draft(group, held | _concepts(labels, told), told)

    def _of_values(self, group: list[Entry], options: dict[str, str], told: list[str]) -> Draft:
        """One map to an image: its values are classes, named by nnU-Net's `dataset.json` where there is one."""
        seen = [self.values(entry) for entry in group[:: max(len(group) // SAMPLE_MAPS, 1)][:SAMPLE_MAPS]]
        met = frozenset[int]().union(*(values for values in seen if values is not None)) - {0}
        names = _described_names(self._look)
        if names and met <= set(names):
            told.append("masks: values are named by dataset.json; give standard names in `concepts`")
            concepts = _concepts(names.values(), told)
            return self._draft(group, {"per": "value", "values": names, **options} | concepts, told)
        if not met:
            told.append("masks: no value was seen, each file is taken for one object; say `per: value` if it is a map")
            return self._draft(group, {"per": "file", "label": "object", "empty": "absent", **options}, told)
        values = {value: f"value {value}" for value in sorted(met)}
        listed = ", ".join(map(str, list(values)[:20])) + (" and more" if len(values) > 20 else "")
        told.append(
            f"masks: values {listed} in {len([one for one in seen if one is not None])} of {len(group)} files, taken "
            "for classes; their names stand in no file"
        )
        return self._draft(group, {"per": "value", "values": values, **options}, told)

    def _by_grid(self, group: list[Entry], pictures: Sequence[Entry]) -> list[Draft]:
        """Maps that only their grid ties to an image."""
        on: dict[str, list[Entry]] = {}
        astray: list[Entry] = []
        several = 0
        for entry in group:
            alike = [picture for picture in pictures if self._alike(entry, picture)]
            several += len(alike) > 1
            if alike and not _PLACEHOLDER.search(self._name_of(alike[0])):
                on.setdefault(self._name_of(alike[0]), []).append(entry)
            else:
                astray.append(entry)
        told = []
        if astray:
            told.append(f"masks: {len(astray)} label maps lie on the grid of no image here; they are left out")
        if several:
            told.append(f"masks: {several} label maps lie on the grids of several images; the first is taken")
        said = [Draft({"layout": "none"}, frozenset(), (line,)) for line in told]
        for image, entries in on.items():
            options = {"image": image}
            binary = all((self.values(entry) or frozenset()) <= {0, 1, 255} for entry in entries)
            note = f"masks: {len(entries)} tied to {image} by their grid alone; check it"
            if len(entries) > 1 and binary:
                said.append(self._of_files(entries, options, [note]))
            elif len(entries) <= MAX_SETS:
                said += [self._of_values([entry], options, [note]) for entry in entries]
            else:
                line = f"masks: {len(entries)} label maps lie on one image; write a label set for each kind of them"
                said.append(Draft({"layout": "none"}, frozenset(), (line,)))
        return said

    def _name_of(self, image: Entry) -> str:
        """How a card may call an image: the folder of a series, or one of its files; else its path."""
        stack = self._look.stacks.get(image.key)
        if stack is None or not stack.names:
            return image.name
        folder = stack.members[0].folder
        return folder if self._look.finds(folder) is image else stack.members[0].name

    def _folder_of(self, image: Entry) -> str | None:
        """The folder of a series that lies in one by itself, by which a card may call it."""
        if image.key not in self._look.stacks or "{" in (name := self._name_of(image)):
            return None
        return name if self._look.stacks[image.key].members[0].folder == name else None

    def _draft(self, group: list[Entry], held: dict[str, Any], told: Iterable[str]) -> Draft:
        files = [member for entry in group for member in self._look.members(entry)]
        drafted = {"layout": "masks", "files": self._look.globs(entry.name for entry in group), **held}
        return Draft(drafted, frozenset(entry.key for entry in files), tuple(told), objects=True)


_OF_COST: Final = frozenset({Reason.TOO_LARGE, Reason.TOO_MANY_PIXELS, Reason.MEMORY_LIMIT})


def _no_beat() -> None:
    """Nobody waits."""


def _shared(entries: Sequence[Entry]) -> int:
    folders = [entry.folder.split("/") for entry in entries]
    first, last = min(folders, default=[]), max(folders, default=[])
    return next((n for n, (a, b) in enumerate(zip(first, last, strict=False)) if a != b), min(len(first), len(last)))


def _sort(entry: Entry, word: str) -> tuple[str, str, int]:
    """Label maps that lie alike: by what marks them, which is in their folder or in their name."""
    if word and word in stem_of(entry.name):
        return "name", word, entry.name.count("/")
    return "folder", entry.folder.rpartition("/")[2], entry.name.count("/")


def _concepts(labels: Iterable[str], told: list[str]) -> dict[str, dict[str, str]]:
    """`concepts` for labels of which some stand in another order than in a sentence, and a line that says so."""
    names = reordered(labels)
    changed = [label for label, name in names.items() if name != label]
    if not changed:
        return {}
    told.append(
        f"masks: {len(changed)} names are put into the order of English in `concepts`"
        f" ({changed[0]}: {names[changed[0]]}); check them"
    )
    return {"concepts": names}


def _described_names(look: Look) -> dict[int, str]:
    """Value -> label of a `dataset.json` as nnU-Net and the Medical Segmentation Decathlon write it; empty if none."""
    for entry in look.others:
        if entry.name.rpartition("/")[2] != "dataset.json":
            continue
        content = parsed_json(look.read(entry) or b"")
        labels = content.get("labels") if isinstance(content, dict) else None
        if not isinstance(labels, dict):
            continue
        pairs = [(name, value) if isinstance(value, int) else (value, name) for name, value in labels.items()]
        named = {int(value): str(name) for name, value in pairs if str(value).isdigit() and isinstance(name, str)}
        named.pop(0, None)
        if named and len(named) <= MAX_VALUES:
            return dict(sorted(named.items()))
    return {}
