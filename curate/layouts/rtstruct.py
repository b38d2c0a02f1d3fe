"""Structure sets of radiotherapy (RTSTRUCT, PS3.3 A.19.3): one unit per region of interest.

A region's name is free text of a planning system, which may hold anything. It is used where the card lists it, or left
where the region has a code; else the region is refused. Contours are read and filled later, on their image's grid.
"""

from collections.abc import Iterator
from typing import TYPE_CHECKING, ClassVar, cast

from curate.layouts.base import Context, ImageRef, LayoutOptions, RawAnnotation, RawMask, Record, Refused
from curate.layouts.dicom_codes import annotator_of, coded_in, items_of, named, side_of, text_of, whole_number
from curate.layouts.dicom_objects import Images, ObjectOptions, References, numbered, referenced, scanned, uids, unit_of
from curate.layouts.masks import REGION
from curate.layouts.tree import Entry
from curate.schema import Kind, Refusal

if TYPE_CHECKING:
    from pydicom.dataset import Dataset

__all__ = ["RtStruct"]


class RtStruct:
    """One unit per region, located as `roi <number>`; a file that is no structure set is one refused file."""

    name: ClassVar[str] = "rtstruct"
    version: ClassVar[int] = 1
    Options: ClassVar[type[LayoutOptions]] = ObjectOptions

    def label_files(self, context: Context) -> list[Entry]:
        """The structure sets, sorted."""
        return context.tree.match(context.labels.files)

    def mask_files(self, context: Context) -> list[Entry]:
        """The same: `read` fills their contours."""
        return self.label_files(context)

    def scan(self, context: Context) -> Iterator[Record | Refused]:
        """Each region speaks of the image that its frame of reference, or its contours, refer to."""
        return scanned(context, self.label_files(context), "StructureSetROISequence", "structure set", _units)


def _units(context: Context, entry: Entry, dataset: "Dataset", images: Images) -> Iterator[Record | Refused]:
    observed = {
        whole_number(item, "ReferencedROINumber"): item for item in items_of(dataset, "RTROIObservationsSequence")
    }
    for roi, number, locator in numbered(dataset, "StructureSetROISequence", "ROINumber", what="region", locates="roi"):
        image: ImageRef | Refusal
        outcome: RawAnnotation | Refusal
        if isinstance(number, Refusal):
            image = outcome = number
        else:
            image = images.refer(_references(dataset, roi, number))
            outcome = (
                image if isinstance(image, Refusal) else _region(context, entry, roi, number, observed.get(number))
            )
        yield unit_of(entry, locator, image, outcome)


def _region(
    context: Context, entry: Entry, roi: "Dataset", number: int, observation: "Dataset | None"
) -> RawAnnotation | Refusal:
    coded = None if observation is None else coded_in(observation, "RTROIIdentificationCodeSequence")
    side = None if observation is None else side_of(observation)
    annotator, qualifiers = annotator_of(roi, "ROIGenerationAlgorithm")
    options = cast(ObjectOptions, context.options)
    annotation = RawAnnotation(
        kind=Kind.MASK,
        locator=f"roi {number}",
        side=None if side is None else str(side),
        mask=RawMask(entry.path, entry.member, roi=number, may_be_empty=options.empty == "absent"),
        annotator=annotator,
        flags=() if options.objects else (REGION,),
        qualifiers=qualifiers,
    )
    return named(annotation, coded, text_of(roi, "ROIName"), context.labels, "the region")


def _references(dataset: "Dataset", roi: "Dataset", number: int) -> References:
    """The images of a region: those that its contours name, and the series of its frame of reference.

    Where its frame of reference names none, any series that the structure set names.
    """
    contours = [
        item for item in items_of(dataset, "ROIContourSequence") if whole_number(item, "ReferencedROINumber") == number
    ]
    instances = referenced(contours, "ContourSequence", "ContourImageSequence")
    frames = items_of(dataset, "ReferencedFrameOfReferenceSequence")
    space = text_of(roi, "ReferencedFrameOfReferenceUID")
    own = [item for item in frames if text_of(item, "FrameOfReferenceUID") == space]
    path = ("RTReferencedStudySequence", "RTReferencedSeriesSequence")
    series = list(referenced(own, *path)) or list(referenced(frames, *path))
    return References(uids(instances, "ReferencedSOPInstanceUID"), uids(series, "SeriesInstanceUID"))
