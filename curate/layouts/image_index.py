"""Which image a label means by a path, a file name or a stem."""

import re
import unicodedata
from collections.abc import Iterable, Sequence
from pathlib import PurePosixPath

from curate.layouts.tree import Entry
from curate.schema import Reason, Refusal

__all__ = ["ImageIndex"]

_IMAGE_SUFFIX = re.compile(
    r"(?:\.nii\.gz|\.(?:jpe?g|jpe|jfif|png|apng|bmp|gif|tiff?|webp|avif|ppm|pgm|pbm|jp2|j2k|jpx|jls|jxl|dcm|dicom|ima"
    r"|nii|mha|mhd|nrrd|mgz|svs|ndpi|mrxs|mp4|mpe?g|mov|avi|npy|npz))$",
    re.IGNORECASE,
)
_ANY_SUFFIX = re.compile(r"(?:\.nii\.gz|\.[A-Za-z][A-Za-z0-9]{0,5})$", re.IGNORECASE)
_ABSOLUTE = re.compile(r"/|[A-Za-z]:|[A-Za-z][A-Za-z0-9+.-]*://")
_SEVERAL = 2
_LEADING = re.compile(r"^(?:[A-Za-z][A-Za-z0-9+.-]*:|\.{0,2}/)+")


class ImageIndex:
    """Finds the one image that a label means by a path, a file name or a stem.

    Names are compared in Unicode's composed form (NFC), since file systems and label files differ in that.
    """

    def __init__(self, entries: Iterable[Entry], aliases: Iterable[tuple[str, Entry]] = ()) -> None:
        named = [*((entry.name, entry) for entry in entries), *aliases]
        self._full = _Names((_composed(name), entry) for name, entry in named)
        self._stems = _Names((_ANY_SUFFIX.sub("", _composed(name)), entry) for name, entry in named)

    def resolve(self, name: str, near: str = "") -> Entry | Refusal:
        """The image that `name` means in a label file of the virtual folder `near`.

        In this order, the first that fits exactly one image: the path below the root; the path below `near`; the only
        image whose path ends with the whole name, or with whose whole path (folders included) the name ends; the same
        with the extension left out. A URL or an absolute name of another machine may also share at least its parent
        folder and file name with one image alone, or mean an image in the root itself. A name that climbs out of the
        root is refused as `outside_root`.
        """
        found = self.candidates(name, near, _SEVERAL)
        if isinstance(found, Refusal):
            return found
        if len(found) == 1:
            return found[0]
        return Refusal(Reason.AMBIGUOUS_IMAGE, "the name fits several images; name it by its path")

    def candidates(self, name: str, near: str = "", at_most: int | None = None) -> list[Entry] | Refusal:
        """The image of `resolve`, or all (`at_most` so many) that an ambiguous name fits; a refusal where none does."""
        wanted = _composed(name.strip())
        if wanted not in self._full.exact:  # a backslash may be part of a name; else it parts folders
            wanted = wanted.replace("\\", "/")
        if not wanted.strip("/."):
            return Refusal(Reason.MISSING_FILE, "the label names no image")
        exact = self._full.exact.get(wanted, [])
        if len(exact) == 1:
            return exact
        absolute = bool(_ABSOLUTE.match(wanted))
        below = _normalised(wanted.lstrip("/")) if not absolute else None
        beside = _normalised(f"{_composed(near)}/{wanted}") if not absolute else None
        if not absolute and below is None and beside is None:
            return Refusal(Reason.OUTSIDE_ROOT, "the label names a path that leaves the data root")
        plain = _IMAGE_SUFFIX.sub("", wanted)
        several: list[Entry] = []
        for names, key in ((self._full, wanted), (self._stems, wanted), (self._stems, plain)):
            cut = len(wanted) - len(key)
            paths = [path[: len(path) - cut] for path in (below, beside) if path is not None]
            found = list(dict.fromkeys(names.find(paths, key, absolute, at_most)))
            if len(found) == 1:
                return found
            several = several or found
        return several or Refusal(Reason.MISSING_FILE, "no image has this name")


class _Names:
    """Entries by their names and by the last one and two segments of them."""

    def __init__(self, named: Iterable[tuple[str, Entry]]) -> None:
        self.exact: dict[str, list[Entry]] = {}
        self._tails: dict[str, list[tuple[str, Entry]]] = {}
        for name, entry in named:
            self.exact.setdefault(name, []).append(entry)
            for tail in {_tail(name, 1), _tail(name, 2)}:
                self._tails.setdefault(tail, []).append((name, entry))

    def find(self, paths: Sequence[str], name: str, absolute: bool, at_most: int | None) -> list[Entry]:
        """None, one, or all that the name could mean."""
        several: list[Entry] = []
        for path in paths:
            found = self.exact.get(path, [])
            if len(found) == 1:
                return found
            several = several or found
        return several or self._by_tail(_LEADING.sub("", name), absolute, at_most)

    def _by_tail(self, name: str, absolute: bool, at_most: int | None) -> list[Entry]:
        near = self._tails.get(_tail(name, 2), [])
        if "/" not in name:
            return [entry for _, entry in near[:at_most]]
        ending = [entry for path, entry in near if path == name or path.endswith(f"/{name}")]
        if ending:
            return ending
        if not absolute:
            return [entry for path, entry in near if "/" in path and f"/{name}".endswith(f"/{path}")]
        # Two segments in common at least: the same file name in another folder is another image. In the root there is
        # no folder to compare.
        shared = [((_shared_segments(path, name), f"/{name}".endswith(f"/{path}")), entry) for path, entry in near]
        most = max((share for share, _ in shared), default=None)
        longest = [entry for share, entry in shared if share == most]
        return longest or self.exact.get(_tail(name, 1), [])


def _composed(name: str) -> str:
    return unicodedata.normalize("NFC", name)


def _tail(name: str, segments: int) -> str:
    return "/".join(name.rsplit("/", segments)[-segments:])


def _shared_segments(one: str, other: str) -> int:
    pairs = zip(reversed(one.split("/")), reversed(other.split("/")), strict=False)
    return next(
        (count for count, (left, right) in enumerate(pairs) if left != right), min(one.count("/"), other.count("/")) + 1
    )


def _normalised(path: str) -> str | None:
    """The path without `.` and `..`, or None where it leaves the root."""
    kept: list[str] = []
    for segment in PurePosixPath(path).parts:
        if segment == "..":
            if not kept:
                return None
            kept.pop()
        elif segment != "/":
            kept.append(segment)
    return "/".join(kept)
