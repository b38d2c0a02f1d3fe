"""The class is in the path: a folder per class, or a part of the file's name."""

import re
from collections.abc import Iterator, Sequence
from typing import ClassVar, Literal, cast

from curate.layouts.base import Context, ImageRef, LayoutOptions, RawAnnotation, Record, Refused
from curate.layouts.concepts import name_label
from curate.layouts.tree import Entry
from curate.schema import Kind, Reason, Refusal, State, Unit

__all__ = ["Folders", "FoldersOptions"]


class FoldersOptions(LayoutOptions, frozen=True):
    """Where in the path the class stands: `pattern` null is the name of the image's folder."""

    pattern: str | None = None
    kind: Literal["class", "multilabel"] = "class"

    def __post_init__(self) -> None:
        if self.pattern is None:
            return
        try:
            groups = re.compile(self.pattern).groupindex
        except re.error as problem:
            raise ValueError(f"pattern is not a regular expression: {problem}") from None
        if "label" not in groups:
            raise ValueError("pattern needs a group (?P<label>...)")


class Folders:
    """Each image by itself says its class."""

    name: ClassVar[str] = "folders"
    version: ClassVar[int] = 2
    has_files: ClassVar[bool] = False
    Options: ClassVar[type[LayoutOptions]] = FoldersOptions

    def label_files(self, context: Context) -> list[Entry]:
        """None: the paths say it all."""
        return []

    def scan(self, context: Context) -> Iterator[Record | Refused]:
        """One record per image, whose unit is the image's own file, or the first of several."""
        options = cast(FoldersOptions, context.options)
        for entry in context.images:
            files = context.files_of(entry)
            annotation = _annotation(context, files, options)
            if isinstance(annotation, Refusal):
                yield Refused(Unit.FILE, files[0].key, "path", annotation, ImageRef(entry.name))
            else:
                yield Record(Unit.FILE, files[0].key, "path", ImageRef(entry.name), (annotation,))


def _annotation(context: Context, files: Sequence[Entry], options: FoldersOptions) -> RawAnnotation | Refusal:
    labels = {_label(entry, options.pattern) for entry in files}
    if len(labels) > 1:
        return Refusal(Reason.CONFLICTING_LABELS, f"the files of one image lie in {len(labels)} classes")
    label = labels.pop()
    if not label:
        return Refusal(Reason.MISSING_VALUE, "the path names no class")
    concept = name_label(label, context.labels)
    if isinstance(concept, Refusal):
        return concept
    return RawAnnotation(
        kind=Kind(options.kind),
        locator="path",
        label=label,
        concept=concept.name,
        code=concept.code,
        code_system=concept.system,
        state=State.PRESENT,
    )


def _label(entry: Entry, pattern: str | None) -> str | None:
    if pattern is None:
        return entry.folder.rpartition("/")[2]
    found = re.search(pattern, entry.name)
    return found["label"] if found else None
