"""DICOM segmentations (PS3.3 A.51, A.90): one unit per segment, named by its codes. No pixel is opened here."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, ClassVar, Final, cast

from curate.layouts.base import Context, LayoutOptions, RawAnnotation, RawMask, Record, Refused
from curate.layouts.dicom_codes import annotator_of, coded_in, items_of, named, side_of, text_of
from curate.layouts.dicom_objects import Images, ObjectOptions, References, numbered, referenced, scanned, uids, unit_of
from curate.layouts.masks import REGION
from curate.layouts.tree import Entry
from curate.schema import Kind, Reason, Refusal, Verdict

if TYPE_CHECKING:
    from pydicom.dataset import Dataset

__all__ = ["FRACTION", "FRACTIONAL", "DicomSeg"]

FRACTIONAL: Final = "fractional"
"""The flag of a mask that was a map of fractions: its voxels are those that reach `FRACTION` of the largest value."""

FRACTION: Final = 0.5
"""Of a voxel that is occupied, or of certainty: at least half of it belongs to the segment."""

_BACKGROUND: Final = ("DCM:125040", "the background of a label map")


class DicomSeg:
    """One unit per segment, located as `segment <number>`; a file that is no segmentation is one refused file."""

    name: ClassVar[str] = "dicom_seg"
    version: ClassVar[int] = 1
    Options: ClassVar[type[LayoutOptions]] = ObjectOptions

    def label_files(self, context: Context) -> list[Entry]:
        """The segmentations, sorted: their headers are read here."""
        return context.tree.match(context.labels.files)

    def mask_files(self, context: Context) -> list[Entry]:
        """The same: `read` opens their frames."""
        return self.label_files(context)

    def scan(self, context: Context) -> Iterator[Record | Refused]:
        """Each segment speaks of the one image that its file refers to, and has looked at the whole of it."""
        return scanned(context, self.label_files(context), "SegmentSequence", "segmentation", _units)


def _units(context: Context, entry: Entry, dataset: "Dataset", images: Images) -> Iterator[Record | Refused]:
    image = images.refer(_references(dataset))
    segments = numbered(dataset, "SegmentSequence", "SegmentNumber", what="segment", locates="segment")
    for segment, number, locator in segments:
        if isinstance(number, Refusal):
            outcome: RawAnnotation | Refusal = number
        elif isinstance(image, Refusal):
            outcome = image
        else:
            outcome = _segment(context, entry, dataset, segment, number)
        yield unit_of(entry, locator, image, outcome)


def _segment(
    context: Context, entry: Entry, dataset: "Dataset", segment: "Dataset", number: int
) -> RawAnnotation | Refusal:
    kind = text_of(dataset, "SegmentationType")
    coded = coded_in(segment, "SegmentedPropertyTypeCodeSequence")
    if kind == "LABELMAP" and coded is not None and _BACKGROUND[0] in coded.keys:
        return Refusal(Reason.IGNORED_CLASS, _BACKGROUND[1], Verdict.FILTERED)
    annotator, qualifiers = annotator_of(segment, "SegmentAlgorithmType")
    region = coded_in(segment, "AnatomicRegionSequence")
    if region is not None and region.meaning is not None:
        qualifiers["anatomic_region"] = region.meaning
    options = cast(ObjectOptions, context.options)
    flags = () if options.objects else (REGION,)
    if kind == "FRACTIONAL":
        fractions = text_of(dataset, "SegmentationFractionalType")
        if fractions not in ("PROBABILITY", "OCCUPANCY"):
            return Refusal(Reason.INVALID_HEADER, "a fractional segmentation does not say what its fractions mean")
        qualifiers |= {"fractional_type": fractions, "threshold": str(FRACTION)}
        flags = (*flags, FRACTIONAL)
    side = side_of(segment)
    annotation = RawAnnotation(
        kind=Kind.MASK,
        locator=f"segment {number}",
        side=None if side is None else str(side),
        mask=RawMask(entry.path, entry.member, segment=number, may_be_empty=options.empty == "absent"),
        annotator=annotator,
        flags=flags,
        qualifiers=qualifiers,
    )
    return named(annotation, coded, text_of(segment, "SegmentLabel"), context.labels, "the segment")


def _references(dataset: "Dataset") -> References:
    """The images that the segmentation names, for itself or for one of its frames."""
    series = items_of(dataset, "ReferencedSeriesSequence")
    instances = [
        *referenced(series, "ReferencedInstanceSequence"),
        *items_of(dataset, "SourceImageSequence"),
        *referenced([dataset], "SharedFunctionalGroupsSequence", "DerivationImageSequence", "SourceImageSequence"),
        *referenced([dataset], "PerFrameFunctionalGroupsSequence", "DerivationImageSequence", "SourceImageSequence"),
    ]
    return References(uids(instances, "ReferencedSOPInstanceUID"), uids(series, "SeriesInstanceUID"))
