"""Manifests of mixtures and registries of datasets against the files that they name."""

from collections.abc import Callable, Iterator
from pathlib import Path, PurePosixPath
from typing import Any, Final

from curate.published.report import Finding, RuleDoc, Tally
from curate.published.rules.base import Scope
from curate.published.rules.media import ABSOLUTE_PATH, is_absolute, is_remote
from curate.published.values import is_number

__all__ = ["manifest_findings", "registry_findings"]

_LENGTH = RuleDoc(
    "manifest_length",
    "error",
    "The length that a manifest gives is the number of rows of its file.",
    "Mixtures are weighed by it.",
)
_DANGLING = RuleDoc(
    "dangling_entry", "error", "Every file that a registry or manifest names exists.", "The loader stops there."
)
_ANNOTATIONS: Final = ("annotations", "annotation", "annotation_path", "anno_path", "data_path", "json_path")
_FOLDERS: Final = ("image_dir", "root", "data_root", "image_root")


def manifest_findings(
    scope: Scope, entries: tuple[tuple[str, str, Any], ...], rows_of: Callable[[Path], int | None]
) -> Iterator[Finding]:
    """A mixture manifest: lengths, files and paths. `rows_of` counts the rows of a file; null where it cannot."""
    dangling, absolute, lengths = Tally(), Tally(), []
    for locator, _, entry in entries:
        name = next((entry[key] for key in _ANNOTATIONS if isinstance(entry.get(key), str)), None)
        paths = [path for path in (name, *(entry.get(key) for key in _FOLDERS)) if isinstance(path, str) and path]
        absolute.of += 1
        if any(is_absolute(path) for path in paths):
            absolute.hit(locator)
        if name is None or is_remote(name):
            continue
        dangling.of += 1
        found = resolved(scope.path.parent, name)
        if found is None:
            dangling.hit(locator)
            continue
        said, rows = entry.get("length"), rows_of(found)
        if is_number(said) and rows is not None and said != rows:
            lengths.append((locator, said, rows))
    for locator, said, rows in lengths:
        message = f"length {said:g}, the file has {rows} rows"
        doc = _LENGTH
        yield Finding(doc.name, doc.severity, scope.file, 1, len(entries), (locator,), message)
    yield from dangling.finding(
        _DANGLING, scope.file, "entries name a file that is not beside the manifest or above it"
    )
    yield from absolute.finding(ABSOLUTE_PATH, scope.file, "entries hold an absolute path")


def registry_findings(scope: Scope, entries: tuple[tuple[str, str, Any], ...]) -> Iterator[Finding]:
    """A dataset registry of LLaMA-Factory's kind: files that are absent or absolute."""
    dangling, absolute = Tally(), Tally()
    for locator, _, entry in entries:
        name = entry.get("file_name") if isinstance(entry, dict) else None
        if not isinstance(name, str) or not name:
            continue
        dangling.of += 1
        absolute.of += 1
        if is_absolute(name):
            absolute.hit(locator)
        elif not is_remote(name) and resolved(scope.path.parent, name, above=False) is None:
            dangling.hit(locator)
    message = "entries with a file name whose file is not beside the registry"
    yield from dangling.finding(_DANGLING, scope.file, message)
    yield from absolute.finding(ABSOLUTE_PATH, scope.file, "entries name their file by an absolute path")


def resolved(folder: Path, name: str, *, above: bool = True) -> Path | None:
    """The file of a relative path: from a folder, or from one above it by as many steps as the path has folders."""
    parts = PurePosixPath(name.replace("\\", "/")).parts
    if is_absolute(name) or "\0" in name:
        return None
    bases = [folder, *list(folder.resolve().parents)[: len(parts) - 1]] if above else [folder]
    for base in bases:
        try:
            if (found := base.joinpath(*parts)).exists():
                return found
        except (OSError, ValueError):
            return None
    return None
