"""What `sniff` sees of a folder: its files, which of them are images, and patterns that name a set of files."""

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from curate.layouts.archives import is_archive
from curate.layouts.globs import compile_patterns
from curate.layouts.image_index import ImageIndex
from curate.layouts.stacks import Stack
from curate.layouts.tree import Entry, Reader, Tree

if TYPE_CHECKING:
    from curate.images.dicom import Header
    from curate.schema import Refusal

__all__ = ["Draft", "Look", "escaped", "globs_of", "is_image_bytes", "is_image_name", "look_at", "suffix_of"]

MAX_ARCHIVES: Final = 50
"""Archives that are opened; a folder of more is a folder of archives, which a person must describe."""

MAX_PEEKS: Final = 2000
"""Files whose first bytes are read to see what they are."""

MAX_PEEKS_A_KIND: Final = 200
"""The same, for files of one folder and extension."""

MAX_SAMPLE_BYTES: Final = 64 * 2**20
"""Label files beyond this are not read whole."""

MAX_BUDGET_BYTES: Final = 256 * 2**20
"""Bytes of label files that are read whole in one look; what lies beyond is told of."""

MAX_HEAD_BYTES: Final = 8 * 2**20
"""Of a table that is written line by line, only so much is read."""

MAX_LITERAL_NAMES: Final = 100
"""Where no pattern keeps clear of other files, so many names are written out; more get a pattern that is too wide."""

SPLIT_WORDS: Final = ("train", "training", "trainval", "val", "valid", "validation", "dev", "test", "testing")

_SUFFIX = re.compile(r"(?<=[^/])\.(?:(?:nii|img|brik|raw)\.gz|[A-Za-z][A-Za-z0-9]{0,7})$", re.IGNORECASE)
_IMAGE_SUFFIX = re.compile(
    r"\.(?:png|jpe?g|jpe|jfif|bmp|gif|tiff?|webp|jp2|j2k|jls|dcm|dicom|ima|pgm|ppm|pbm"
    r"|nii|nii\.gz|nrrd|nhdr|mha|mhd|mnc|mgh|mgz"
    r"|svs|ndpi|mrxs|scn|bif|vms|vmu|svslide"
    r"|mp4|m4v|mov|avi|mpe?g|mkv|webm|wmv|ogv|flv)$",
    re.IGNORECASE,
)
_DICOM_SUFFIX = re.compile(r"\.(?:dcm|dicom|ima)$", re.IGNORECASE)
_OTHER_SUFFIX = re.compile(
    r"\.(?:txt|csv|tsv|jsonl?|ndjson|xml|ya?ml|md|rst|html?|pdf|py|ipynb|parquet|names|data|log|cfg|ini|toml|sh|bib|docx?"
    r"|xlsx?|pkl|np[yz]|mat|h5)$|(?:^|/)(?:licen[sc]e|readme|dicomdir)[^/]*$",
    re.IGNORECASE,
)
_LITTER: Final = {
    "**/__MACOSX/**": re.compile(r"(?:^|/)__MACOSX/"),
    "**/._*": re.compile(r"(?:^|/)\._[^/]*$"),
    "**/.DS_Store": re.compile(r"(?:^|/)\.DS_Store$"),
    "**/Thumbs.db": re.compile(r"(?:^|/)Thumbs\.db$"),
}
"""What operating systems leave in folders and archives: pattern for a card -> the same, searched in a path."""

_MAGIC = re.compile(
    rb"\x89PNG\r\n\x1a\n|\xff\xd8\xff|GIF8[79]a|BM.{4}\x00\x00\x00\x00|II\*\x00|MM\x00\*|RIFF.{4}WEBP"
    rb"|\x00\x00\x00\x0cjP  |\xff\x4f\xff\x51|.{128}DICM"
    rb"|NRRD000|ObjectType = Image|.{4}ftyp|\x1a\x45\xdf\xa3|\x00\x00\x01[\xba\xb3]|RIFF.{4}AVI "
    rb"|\x5c\x01\x00\x00|\x00\x00\x01\x5c|\x1c\x02\x00\x00|\x00\x00\x02\x1c"  # Analyze, NIfTI
    rb"|\s{0,8}type\s{0,8}=\s{0,8}[a-z]{5,8}-attribute|# === DATA DESCRIPTION FILE",  # AFNI, PAR
    re.DOTALL,
)


@dataclass(frozen=True, slots=True)
class Draft:
    """One label set that was recognised, and what else its files tell."""

    labels: dict[str, Any]
    files: frozenset[str]  # keys of its files
    unsure: tuple[str, ...] = ()
    objects: bool = False  # boxes, polygons, points or masks of the images
    subject: dict[str, Any] | None = None
    split: dict[str, Any] | None = None


@dataclass(frozen=True, slots=True)
class Look:
    """One folder as seen. `images` holds masks too, until they are told apart."""

    tree: Tree
    images: tuple[Entry, ...]
    dicom: frozenset[str]  # keys of the images that begin as DICOM files do
    others: tuple[Entry, ...]
    unsure: tuple[str, ...]
    reader: Reader
    litter: tuple[str, ...] = ()  # patterns of what operating systems left behind
    stacks: Mapping[str, Stack] = field(default_factory=dict)  # images of several files, by the key of their entry
    headers: Mapping[str, "Header | Refusal"] = field(default_factory=dict)  # of DICOM images, by key
    index: ImageIndex = field(init=False)

    def __post_init__(self) -> None:
        aliases = ((name, stack.entry) for stack in self.stacks.values() for name in stack.names)
        object.__setattr__(self, "index", ImageIndex(self.images, aliases))

    def members(self, image: Entry) -> tuple[Entry, ...]:
        """The files of an image."""
        stack = self.stacks.get(image.key)
        return (image,) if stack is None else stack.members

    def read(self, entry: Entry) -> bytes | None:
        """A label file's bytes; None where it is too large to look at or cannot be read."""
        if entry.bytes > MAX_SAMPLE_BYTES:
            return None
        try:
            return self.reader.read(entry.path, entry.member)
        except OSError:
            return None

    def read_lines(self, entry: Entry) -> bytes | None:
        """The first whole lines of a file that is written line by line; None where it cannot be read."""
        if entry.member is not None or entry.bytes <= MAX_HEAD_BYTES:
            return self.read(entry)
        try:
            with (self.tree.root / entry.path).open("rb") as file:
                head = file.read(MAX_HEAD_BYTES)
        except OSError:
            return None
        return head[: head.rfind(b"\n") + 1]

    def affordable(self, files: Iterable[Entry]) -> list[Entry]:
        """Files in turn, as long as each and all of them together are small enough to be read whole."""
        total = 0
        kept = []
        for entry in files:
            if entry.bytes <= MAX_SAMPLE_BYTES and total + entry.bytes <= MAX_BUDGET_BYTES:
                total += entry.bytes
                kept.append(entry)
        return kept

    def globs(self, wanted: Iterable[str], also: Iterable[str] = ()) -> list[str]:
        """Few patterns that match all of these names and no other file, but perhaps those in `also`.

        Each archive has patterns of its own, since a `*` in its place would leave it closed.
        """
        names = set(wanted)
        free = names.union(also)
        others = [entry.name for entry in self.tree.entries if entry.name not in free]
        by_archive: dict[str | None, list[str]] = {}
        for entry in self.tree.entries:
            if entry.name in names:
                by_archive.setdefault(entry.path if entry.member is not None else None, []).append(entry.name)
        return sorted({pattern for group in by_archive.values() for pattern in globs_of(group, others)})

    def with_suffix(self, *suffixes: str) -> list[Entry]:
        """Files that are no images, by suffix."""
        return [entry for entry in self.others if suffix_of(entry.name) in suffixes]

    def finds(self, name: str, near: str = "") -> Entry | None:
        """The image that a label would mean by this name."""
        found = self.index.resolve(name, near)
        return found if isinstance(found, Entry) else None


def look_at(root: Path, reader: Reader) -> Look:
    """List a folder, open its archives as folders, and tell images from other files by their first bytes."""
    listing = Tree.scan(root)
    archives = [entry.path for entry in listing.entries if is_archive(entry.path)]
    unsure = []
    if len(archives) > MAX_ARCHIVES:
        unsure.append(f"archives: {len(archives)} of them, only the first {MAX_ARCHIVES} were opened")
    tree = Tree.scan(root, [f"{escaped(path)}/**" for path in archives[:MAX_ARCHIVES]]) if archives else listing
    refused = Counter(f"{refusal.reason}, {refusal.detail}" for _, refusal in tree.refusals)
    unsure += [f"files: {times} cannot be used ({why})" for why, times in sorted(refused.items())]
    images: list[Entry] = []
    others: list[Entry] = []
    dicom: set[str] = set()
    litter: set[str] = set()
    peeks = Counter[tuple[str, str]]()
    opened = frozenset(tree.archives)
    for entry in tree.entries:
        if entry.path in opened and entry.member is None:
            continue
        left_behind = next((pattern for pattern, found in _LITTER.items() if found.search(entry.name)), None)
        if left_behind is not None:
            litter.add(left_behind)
            continue
        image, kind = is_image_name(entry.name), (entry.folder, suffix_of(entry.name))
        if (
            not image
            and not _OTHER_SUFFIX.search(entry.name)
            and peeks[kind] < MAX_PEEKS_A_KIND
            and peeks.total() < MAX_PEEKS
        ):
            peeks[kind] += 1
            head = _head(root, reader, entry)
            image = is_image_bytes(head)
            dicom |= {entry.key} if head[128:132] == b"DICM" else set()
        if _DICOM_SUFFIX.search(entry.name):
            dicom.add(entry.key)
        (images if image else others).append(entry)
    return Look(tree, tuple(images), frozenset(dicom), tuple(others), tuple(unsure), reader, tuple(sorted(litter)))


def _head(root: Path, reader: Reader, entry: Entry) -> bytes:
    try:
        if entry.member is None:
            with (root / entry.path).open("rb") as file:
                return file.read(132)
        return reader.read(entry.path, entry.member)[:132] if entry.bytes <= MAX_SAMPLE_BYTES else b""
    except OSError:
        return b""


def suffix_of(name: str) -> str:
    """The lower-case extension of a path, with its dot; empty where there is none, as in a DICOM UID."""
    found = _SUFFIX.search(name)
    return found[0].lower() if found else ""


def is_image_name(name: str) -> bool:
    """True for names with the extension of an image."""
    return _IMAGE_SUFFIX.search(name) is not None


def is_image_bytes(head: bytes) -> bool:
    """True for bytes that begin as an image file does."""
    return _MAGIC.match(head) is not None


def globs_of(wanted: Iterable[str], unwanted: Iterable[str]) -> list[str]:
    """Few patterns that match all of `wanted` and none of `unwanted`.

    Where no pattern can, a few names are written out as they stand; many become a pattern that is too wide.
    """
    names, others = sorted(wanted), sorted(unwanted)
    patterns: list[str] = []
    for group in _grouped(names, lambda name: (name.count("/"), _raw_suffix(name))):
        patterns += _tightened(group, others)
    return sorted(set(patterns))


def _tightened(names: list[str], others: list[str]) -> list[str]:
    """One pattern if it keeps clear of the others, else one per folder name, else per folder, else the names."""
    beside = _Others(others)
    whole = _pattern(names, beside)
    if beside.keep_clear(whole):
        return [whole]
    for key in (lambda name: name.split("/")[-2:-1], lambda name: name.rpartition("/")[0]):
        patterns = [_pattern(group, beside) for group in _grouped(names, key)]
        if all(beside.keep_clear(pattern) for pattern in patterns):
            return patterns
    return [escaped(name) for name in names] if len(names) <= MAX_LITERAL_NAMES else [whole]


def _pattern(names: list[str], beside: "_Others") -> str:
    """Segments that are the same everywhere as they stand, others as `*`.

    The last keeps its extension, and what all names end or begin with only where that parts them from other files.
    """
    columns = list(zip(*(name.split("/") for name in names), strict=True))
    folders = [escaped(column[0]) if len(set(column)) == 1 else "*" for column in columns[:-1]]
    last = columns[-1]
    if len(set(last)) == 1:
        return "/".join([*folders, escaped(last[0])])
    suffix = _raw_suffix(last[0])
    start = _common_start([name[: len(name) - len(suffix)] for name in last])
    end = _common_start([name[::-1] for name in last])[::-1]
    visible = [f"[!.]*{escaped(suffix)}"] if not any(name.startswith(".") for name in last) else []
    files = [f"*{escaped(suffix)}", f"*{escaped(end)}", *visible, f"{escaped(start)}*{escaped(suffix)}"]
    patterns = ["/".join([*folders, file]) for file in files]
    return next((pattern for pattern in patterns if beside.keep_clear(pattern)), patterns[0])


def _common_start(names: Sequence[str]) -> str:
    first, last = min(names), max(names)  # what these two share, all names between them share
    same = next((number for number, (a, b) in enumerate(zip(first, last, strict=False)) if a != b), len(first))
    return first[:same]


class _Others:
    """Names that no pattern should match, by their depth, so that most patterns are judged by a few of them."""

    def __init__(self, names: Iterable[str]) -> None:
        self._by_depth: dict[int, list[str]] = {}
        for name in names:
            self._by_depth.setdefault(name.count("/"), []).append(name)
        self._judged: dict[str, bool] = {}

    def keep_clear(self, pattern: str) -> bool:
        """True where the pattern, which crosses no folders, matches none of them."""
        if pattern not in self._judged:
            (compiled,) = compile_patterns([pattern])
            names = self._by_depth.get(pattern.count("/"), [])
            self._judged[pattern] = not any(compiled.fullmatch(name) for name in names)
        return self._judged[pattern]


def _raw_suffix(name: str) -> str:
    return name[len(name) - len(suffix_of(name)) :]


def _grouped(names: Iterable[str], key: Any) -> list[list[str]]:
    groups: dict[Any, list[str]] = {}
    for name in names:
        found = key(name)
        groups.setdefault(tuple(found) if isinstance(found, list) else found, []).append(name)
    return list(groups.values())


def escaped(text: str) -> str:
    """A name as a pattern or template that means this name alone."""
    return re.sub(r"([\[*?{])", r"[\1]", text)
