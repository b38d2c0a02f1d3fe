"""The files of one source: their listing, which of them are images, and the digest of each label file that was read."""

import contextlib
from collections.abc import Callable
from concurrent.futures import Executor, ThreadPoolExecutor
from hashlib import sha256
from pathlib import Path

from curate import layouts
from curate.card import LabelSet
from curate.corpus import ResolvedSource
from curate.errors import DataError
from curate.images.dicom import Header, read_header
from curate.images.formats import Format, format_of
from curate.layouts.base import Context
from curate.layouts.globs import compile_patterns, reaches_into
from curate.layouts.image_index import ImageIndex
from curate.layouts.stacks import OBJECT_CLASSES, Stack, merged, paired, series_of
from curate.layouts.tree import Entry, Reader, Tree, in_order
from curate.schema import Reason, Refusal
from curate.stages.base import UNREADABLE, Run, digest_of, refusal_of, source_patterns

__all__ = ["SourceFiles"]


class SourceFiles:
    """The files of one source: their listing, and the digest of each that was read.

    `touch` is called with each entry before its bytes are read; what it raises is what the reader meets. Without
    `parse` no header is opened, so that nothing foreign is parsed: then the files of a series stay apart.
    """

    def __init__(
        self, run: Run, source: ResolvedSource, touch: Callable[[Entry], None] = lambda _: None, *, parse: bool = True
    ) -> None:
        self._token = lambda uid: run.key.token("series", source.id, uid)
        self.touch = touch
        self.source = source
        self.card = source.card
        self.tree = Tree.scan(Path(source.root), source_patterns(self.card))
        self.images: list[Entry]
        if self.card.images.column is None:
            self.images = self.tree.match(self.card.images.globs)
        else:
            self.tree, self.images = self.tree.with_embedded(self.card.images.globs, self.card.images.column)
        self.digests: dict[str, str] = {}
        self.headers: dict[str, Header | Refusal] = {}
        self.index: ImageIndex | None = None  # made once the images are known
        self.stacks: dict[str, Stack] = {}  # by the key of their entry
        self._reader = Reader(Path(source.root), column=self.card.images.column)
        mask_files = {entry.key for labels in self.card.labels for entry in self.mask_files(labels)}
        self.images = [entry for entry in self.images if entry.key not in mask_files]
        self.objects: set[str] = set()  # keys of DICOM objects that are no pictures
        if self.card.images.form == "volume" and parse:
            self._stack()
        aliases = ((name, stack.entry) for stack in self.stacks.values() for name in stack.names)
        self.index = ImageIndex(self.images, aliases)

    def __enter__(self) -> "SourceFiles":
        return self

    def __exit__(self, *problem: object) -> None:
        self._reader.close()

    def _stack(self) -> None:
        """Put the files of one series, and headers with their data, together as one image.

        A DICOM object that is no picture is no image: a label set reads it, or nothing does.
        """
        with ThreadPoolExecutor(1) as beside:
            headers = {entry: self.header(entry, beside) for entry in self.images if self.is_dicom(entry)}
        read = {entry: header for entry, header in headers.items() if isinstance(header, Header)}
        self.objects = {
            entry.key
            for entry, header in read.items()
            if header.frames == 0 or header.values.get("SOPClassUID") in OBJECT_CLASSES
        }
        pictures = {entry: header for entry, header in read.items() if entry.key not in self.objects}
        stacks = series_of(pictures, self._token)
        for stack in stacks:
            self.headers[stack.entry.key] = merged(pictures[member] for member in stack.members)
        others = [entry for entry in self.images if entry not in headers]
        stacks += paired(others, {entry.name: entry for entry in self.tree.entries})
        self.stacks = {stack.entry.key: stack for stack in stacks}
        gone = self.objects | {member.key for stack in stacks for member in stack.members}
        alone = [entry for entry in self.images if entry.key not in gone]
        self.images = in_order([*alone, *(stack.entry for stack in stacks)])

    def is_dicom(self, entry: Entry) -> bool:
        """Whether a file begins as a DICOM file does; one that cannot be read is left to `read` to refuse."""
        try:
            return format_of(self._reader.head(entry.path, entry.member, 256)) is Format.DICOM
        except OSError:
            return False

    def members(self, entry: Entry) -> tuple[Entry, ...]:
        """The files of an image."""
        stack = self.stacks.get(entry.key)
        return (entry,) if stack is None else stack.members

    def read(self, entry: Entry) -> bytes:
        """A file's bytes; their digest is remembered, or that they could not be had."""
        data = self._bytes(entry)
        self.digests[entry.key] = sha256(data).hexdigest()
        return data

    def _bytes(self, entry: Entry) -> bytes:
        try:
            self.touch(entry)
            return self._reader.read(entry.path, entry.member)
        except OSError:
            self.digests[entry.key] = UNREADABLE
            raise

    def mask_files(self, labels: LabelSet) -> list[Entry]:
        """What a layout knows to be masks: an image pattern that covers them too does not make them images."""
        find = getattr(layouts.layout_of(labels), "mask_files", None)
        return [] if find is None else find(self.context(labels))

    def try_read(self, entry: Entry) -> None:
        """Remember the digest of a file, or that it could not be read."""
        with contextlib.suppress(OSError):
            self.read(entry)

    def context(self, labels: LabelSet) -> Context:
        """What a layout may know."""
        options = layouts.options_of(labels, f"card {self.card.id}")
        members = {key: stack.members for key, stack in self.stacks.items()}
        return Context(self.card, labels, options, self.tree, self.read, self.images, self.headers, self.index, members)

    def header(self, entry: Entry, beside: Executor) -> Header | Refusal:
        """The header of an image, read once; the digest is taken `beside`, which costs as long as the header does."""
        if entry.key not in self.headers:
            try:
                data = self._bytes(entry)
            except OSError as problem:
                self.headers[entry.key] = refusal_of(problem)
            else:
                digest = beside.submit(lambda: sha256(data).hexdigest())
                self.headers[entry.key] = read_header(data) if data else Refusal(Reason.EMPTY_FILE, "0 bytes")
                self.digests[entry.key] = digest.result()
        return self.headers[entry.key]

    def check_patterns(self) -> None:
        """Every pattern of label files and lists matches something.

        Raises:
            DataError: one that does not, unless what it would match was refused.
        """
        wanted = [
            (f"label set {labels.name}: `files`", pattern) for labels in self.card.labels for pattern in labels.files
        ]
        for key, pattern in wanted:
            self._check_pattern(key, pattern, bool(self.tree.match([pattern])))
        if self.card.split is not None and self.card.split.lists is not None:
            self._check_pattern("split: `lists`", self.card.split.lists, bool(self.split_lists()))

    def _check_pattern(self, key: str, pattern: str, matched: bool) -> None:
        plain = pattern.replace("{split}", "*")
        refused = [path.replace("!", "/", 1) for path, _ in self.tree.refusals]
        if matched or any(reaches_into(plain, path) for path in refused):
            return
        if any(compiled.fullmatch(path) for compiled in compile_patterns([plain]) for path in refused):
            return
        raise DataError(f"{self.card.id}, {key}: {pattern!r} matches no file; correct it, or fetch what is missing")

    def split_lists(self) -> list[tuple[Entry, str]]:
        """The files that list a split's images, with the split's name."""
        split = self.card.split
        if split is None or split.lists is None:
            return []
        return [(entry, found["split"]) for entry, found in self.tree.match_template(split.lists)]

    def inputs(self, run: Run) -> dict[str, str]:
        """The digest of the listing, and of each label file that was read."""
        entries = [*self.tree.entries, *(self.images if self.card.images.column is not None else ())]
        refused = [f"{key}\0{refusal.reason}" for key, refusal in self.tree.refusals]
        listing = digest_of([*(f"{entry.key}\0{entry.bytes}" for entry in entries), *refused])
        labels = {f"file {run.visible(self.card.id, key)}": digest for key, digest in sorted(self.digests.items())}
        if len(labels) > 100:  # a sidecar is read whole: many small files stand under one digest
            labels = {"label files": digest_of(f"{key}\0{digest}" for key, digest in labels.items())}
        return {"listing": f"{len(entries)} files, {listing}", **labels}
