"""A dataset's folder while it is being written, and what every dataset shares."""

from dataclasses import dataclass
from pathlib import Path
from typing import Final

from curate.phantom.cells import Cell
from curate.phantom.truth import ObjectTruth
from curate.schema import Kind

__all__ = ["README", "SPLITS", "Folder", "counts_of", "object_of", "split_of"]

README: Final = (
    "CC0-1.0: made by curate phantom.\n\n"
    "Every image here was drawn by a program; no patient was involved.\n"
    "`truth.json` in the folder above says what is in them.\n"
)

SPLITS: Final = ("train", "valid", "test")


@dataclass(frozen=True, slots=True)
class Folder:
    """Where one dataset goes. `seed` with the dataset's id decides everything that is drawn."""

    root: Path
    id: str
    seed: str

    def write(self, path: str, data: bytes | str) -> None:
        """Write one file; `path` is below the dataset's folder, text is UTF-8 with `\\n` on every system."""
        target = self.root / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(data.encode("utf-8") if isinstance(data, str) else data)


def split_of(index: int) -> str:
    """The source's own split of the image with this number: seven, two and one of ten."""
    place = index % 10
    return SPLITS[0] if place < 7 else SPLITS[1] if place < 9 else SPLITS[2]


def object_of(cell: Cell, kind: Kind, label: str) -> ObjectTruth:
    """A cell as its dataset states it."""
    blob = cell.blob
    return ObjectTruth(
        kind=kind,
        label=label,
        concept=cell.concept,
        box=blob.box,
        point=blob.point,
        area_px=blob.area_px,
        truncated=blob.truncated,
    )


def counts_of(objects: tuple[ObjectTruth, ...], concepts: tuple[str, ...]) -> dict[str, int]:
    """How many objects of each concept there are; zeros too."""
    return {concept: sum(one.concept == concept for one in objects) for concept in concepts}
