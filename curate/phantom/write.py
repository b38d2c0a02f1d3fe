"""The datasets that can be written, and the one function that writes them."""

import difflib
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Final

import msgspec

from curate.errors import UsageError
from curate.phantom import classes, clips, detection, masks, questions, slides, visits, volumes
from curate.phantom.folder import README, Folder
from curate.phantom.truth import DatasetTruth, ImageTruth, Truth
from curate.schema import Reason

__all__ = ["PHANTOMS", "PhantomSpec", "write_phantoms"]


@dataclass(frozen=True, slots=True)
class PhantomSpec:
    """One dataset: how it is written, and what its card must expect whatever the number of images."""

    id: str
    title: str
    write: Callable[[Folder, int], list[ImageTruth]]
    rows: Callable[[list[ImageTruth]], int] = lambda items: 0
    absent: int = 0  # images that are named and not there
    most: int | None = None  # images, however many are asked for: of what is large, a few show all there is
    filtered: Mapping[Reason, int] = field(default_factory=dict)


def _questions(items: list[ImageTruth]) -> int:
    return sum(len(item.questions) for item in items) + 1


_SPECS: Final = (
    PhantomSpec("phantom-cells-voc", "Blood smears with boxes, Pascal VOC", detection.write_voc),
    PhantomSpec("phantom-cells-coco", "Blood smears with polygons, masks and boxes, COCO", detection.write_coco),
    PhantomSpec("phantom-cells-yolo", "Blood smears with boxes, YOLO", detection.write_yolo),
    PhantomSpec("phantom-cells-points", "Blood smears with a point per cell", detection.write_points),
    PhantomSpec("phantom-nuclei-masks", "Fluorescent nuclei, a mask file each", masks.write_nuclei),
    PhantomSpec("phantom-lung-labelmap", "Chest radiographs with a label map", masks.write_labelmaps),
    PhantomSpec(
        "phantom-cxr-table",
        "Chest radiographs of several visits with a table of findings",
        visits.write_visits,
        rows=lambda items: len(items) + visits.ABSENT_VISITS,
        absent=visits.ABSENT_VISITS,
    ),
    PhantomSpec("phantom-classes-folders", "Blood smears in a folder per diagnosis", classes.write_classes),
    PhantomSpec(
        "phantom-qa",
        "Questions and answers in a zip archive",
        questions.write_questions,
        rows=_questions,
        filtered={Reason.REPEATED: 1},
    ),
    PhantomSpec("phantom-parquet", "Single blood cells in Parquet", classes.write_parquet, rows=len),
    PhantomSpec(
        "phantom-ct",
        "CT volumes with a label map, nnU-Net",
        volumes.write_ct,
        most=volumes.PATIENTS,
        filtered={Reason.IGNORED_FILE: 1},
    ),
    PhantomSpec("phantom-ct-dicom", "A CT series with a segmentation", volumes.write_ct_series, most=volumes.SERIES),
    PhantomSpec("phantom-slide", "Whole slides as a tiled pyramid", slides.write_slides, most=slides.SLIDES),
    PhantomSpec("phantom-clip", "Clips with a table of movements", clips.write_clips, rows=len, most=clips.CLIPS),
)

PHANTOMS: Final[Mapping[str, PhantomSpec]] = MappingProxyType({spec.id: spec for spec in _SPECS})
"""Every dataset by its id, in the order in which they are written."""


def write_phantoms(root: Path, *, images: int = 24, seed: str = "phantom", only: Sequence[str] = ()) -> Truth:
    """Write each dataset to `root/<id>` and what is true of them to `root/truth.json`.

    The same seed gives the same bytes, and the first images of a larger set are those of a smaller one (cut at the
    end of the set: a subject's last visits may be missing).

    Raises:
        UsageError: `images` is not positive, `only` names a dataset that there is not, or something lies there already.
    """
    if images < 1:
        raise UsageError(f"images must be at least 1, got {images}")
    specs = [_spec(name) for name in dict.fromkeys(only)] if only else list(PHANTOMS.values())
    taken = [name for name in ("truth.json", *(spec.id for spec in specs)) if (root / name).exists()]
    if taken:
        raise UsageError(f"{root} holds {taken[0]} already; choose an empty folder or remove it")
    datasets = {spec.id: _write(spec, Folder(root / spec.id, spec.id, seed), images) for spec in specs}
    truth = Truth(
        seed=seed,
        images=sum(one.images for one in datasets.values()),
        rows=sum(one.rows for one in datasets.values()),
        objects=sum(one.objects for one in datasets.values()),
        datasets=datasets,
    )
    (root / "truth.json").write_bytes(msgspec.json.encode(truth, order="deterministic") + b"\n")
    return truth


def _spec(name: str) -> PhantomSpec:
    if name in PHANTOMS:
        return PHANTOMS[name]
    near = difflib.get_close_matches(name, PHANTOMS, n=1)
    raise UsageError(
        f"there is no phantom {name!r}; " + (f"did you mean {near[0]}?" if near else f"there are {', '.join(PHANTOMS)}")
    )


def _write(spec: PhantomSpec, folder: Folder, images: int) -> DatasetTruth:
    items = spec.write(folder, images if spec.most is None else min(images, spec.most))
    folder.write("README.md", README)
    return DatasetTruth(
        id=spec.id,
        images=len(items),
        named=len(items) + spec.absent,
        rows=spec.rows(items),
        objects=sum(len(item.objects) for item in items),
        files=sum(path.is_file() for path in folder.root.rglob("*")),
        expected_rejects={Reason.MISSING_FILE: spec.absent} if spec.absent else {},
        expected_filtered=dict(sorted((Counter(spec.filtered) + Counter({Reason.IGNORED_FILE: 1})).items())),
        items=tuple(items),
    )
