"""Text files of one image each, one object a line: what points and YOLO have in common."""

from collections.abc import Callable, Iterator, Mapping

from curate.layouts.base import Context, RawAnnotation, Record, Refused
from curate.layouts.objects import Names, StemIndex, names_file, object_unit, read_lines, read_names
from curate.layouts.tree import Entry
from curate.schema import Refusal, Unit

__all__ = ["ParseLine", "label_files", "scan_lines"]

ParseLine = Callable[[int, str, str, Mapping[str, str] | None], RawAnnotation | Refusal | None]
"""(line number from 1, line, locator, names by id) -> the object, why there is none, or null for a header."""


def label_files(context: Context, names: Names) -> list[Entry]:
    """The text files and the file of names, sorted."""
    return sorted({*_text_files(context, names), *_names_files(context, names)})


def scan_lines(context: Context, names: Names, parse: ParseLine) -> Iterator[Record | Refused]:
    """Per text file one record that covers its image, then its objects.

    Raises:
        DataError: the card's file of names is not there or holds none.
    """
    named = read_names(context, names)
    images = StemIndex(context.images, swap=("labels", "images"))
    for entry in _text_files(context, names):
        lines = read_lines(context, entry)
        if isinstance(lines, Refusal):
            yield Refused(Unit.FILE, entry.key, "", lines)
            continue
        image = images.refer(entry)
        yield Record(Unit.FILE, entry.key, "", image)
        for position, line in lines:
            locator = f"line {position}"
            outcome = parse(position, line, locator, named)
            if outcome is not None:
                yield object_unit(entry, locator, image, outcome)


def _names_files(context: Context, names: Names) -> list[Entry]:
    file = names_file(context, names)
    return [] if file is None else [file]


def _text_files(context: Context, names: Names) -> list[Entry]:
    apart = _names_files(context, names)
    return [entry for entry in context.tree.match(context.labels.files) if entry not in apart]
