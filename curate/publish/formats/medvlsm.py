"""medvlsm's JSON: a picture, a mask, and prompts for its segmentation by level.

    medvlsm/<split>.json      a list of {bbox, cat, segment_id, img_name, mask_name, sentences, sentences_num, prompts}
    medvlsm/masks/<row>.png   0, and 255 where the mask of the row is
    medvlsm/categories.json   what the numbers under `cat` stand for

Keys are those of the published annotations of BUSI and ISIC. `bbox` is the extent of the mask in whole pixels, edges,
the right and bottom one rounded up; `img_name` and `mask_name` are paths relative to the release. `prompts` has p0 to
p6, each a list of texts (published files have texts in some rows and lists in others, which loaders refuse): p0 the
empty prompt, p1 the class, then the picture's part and view, number, size, place and shape, as far as they are proved.
Only rows with prompts go (`{name: referring, prompts: true}`); the others are left out and counted. So are those about
several objects, which one box cannot name, unless `several` is set: then `bbox` encloses all, as in the published
files, and the mask holds all. A polygon's mask holds the pixels that its outline touches or encloses.
Source: naamiinepal/medvlsm, `data/*/anns/*.json`.
"""

import io
import json
import math
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, Final

from curate.publish.base import FormatOptions, LeftOut, Medium, Release, Row, Writer, Written
from curate.publish.formats.sheets import Sheets, unfit
from curate.rows import Annotation, Subject

if TYPE_CHECKING:
    from PIL.Image import Image

__all__ = ["MedVlsm", "MedVlsmOptions"]

_NO_PROMPTS: Final = "no prompts for segmentation"
_NO_MASK: Final = "no mask or polygon on one picture"
_OTHER_LEVELS: Final = "prompts whose levels are not those of its lines"
_SEVERAL: Final = "several objects, for which a record has one box"
_LEVELS: Final = 6


class MedVlsmOptions(FormatOptions, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`several`: also prompts about several objects, with the box and the mask of all."""

    several: bool = False


class MedVlsm:
    """See the module."""

    name: ClassVar[str] = "medvlsm"
    version: ClassVar[int] = 1
    names_files: ClassVar[bool] = True
    Options: ClassVar[type[FormatOptions]] = MedVlsmOptions

    def __init__(self, options: MedVlsmOptions) -> None:
        self.options = options

    def write(self, release: Release, writer: Writer) -> Written:
        """See `Format.write`."""
        categories = _categories(release)
        reasons: Counter[str] = Counter()
        with Sheets(writer, self.name, "json") as sheets:
            for row, subjects in release.annotated():
                made = (
                    _SEVERAL
                    if self._is_of_several(row)
                    else _record(row, subjects, categories, sheets.rows["", row.split])
                )
                if isinstance(made, str):
                    reasons[made] += 1
                    continue
                record, mask = made
                with writer.create(record["mask_name"]) as file:
                    file.write(_png(mask))
                sheets.add("", row.split, record)
        if categories:
            with writer.create(f"{self.name}/categories.json") as file:
                names = {str(number): concept for concept, number in categories.items()}
                file.write(json.dumps(names, ensure_ascii=False, indent=2).encode() + b"\n")
        return Written(
            format=self.name,
            rows=sheets.rows.total(),
            left_out=LeftOut.of(reasons),
            configs=sheets.configs(self.name, release.splits),
        )

    def _is_of_several(self, row: Row) -> bool:
        return _has_prompts(row) and len(row.annotation_ids) > 1 and not self.options.several


def _has_prompts(row: Row) -> bool:
    return row.constraints.get("ask") == "prompts"


def _categories(release: Release) -> Mapping[str, int]:
    """A number for each concept that has prompts, in alphabetical order."""
    concepts = {str(row.constraints["concept"]) for row in release.rows() if _has_prompts(row)}
    return {concept: number for number, concept in enumerate(sorted(concepts))}


def _record(
    row: Row, subjects: Sequence[Subject], categories: Mapping[str, int], number: int
) -> tuple[dict[str, Any], "Image"] | str:
    if not _has_prompts(row):
        return _NO_PROMPTS
    reason = unfit(row)
    if reason is not None:
        return reason
    lines, levels = row.answer.splitlines(), row.constraints.get("levels")
    if not isinstance(levels, Sequence) or len(levels) != _LEVELS or not all(0 <= at < len(lines) for at in levels):
        return _OTHER_LEVELS
    known = {one.annotation_id: one for subject in subjects for one in subject.annotations}
    drawn = [known[name] for name in row.annotation_ids if name in known]
    mask = _mask(row.media[0], drawn) if len(row.media) == 1 and len(drawn) == len(row.annotation_ids) else None
    box = None if mask is None else mask.getbbox()
    if mask is None or box is None:
        return _NO_MASK
    prompts = {"p0": [""]} | {f"p{at}": [lines[line]] for at, line in enumerate(levels, 1)}
    record = {
        "bbox": list(_extent(drawn, row.media[0])),
        "cat": categories[str(row.constraints["concept"])],
        "segment_id": row.pair_id,
        "img_name": row.media[0].path,
        "mask_name": f"{MedVlsm.name}/masks/{row.pair_id}.png",
        "sentences": [{"idx": 0, "sent_id": number, "sent": ""}],
        "sentences_num": 1,
        "prompts": prompts,
    }
    return record, mask


def _extent(drawn: Sequence[Annotation], medium: Medium) -> tuple[int, int, int, int]:
    """What encloses the boxes of all, in whole pixels of the picture."""
    boxes = [one.box for one in drawn if one.box is not None]
    left, top = (max(0, math.floor(min(box[at] for box in boxes))) for at in (0, 1))
    right, bottom = (math.ceil(max(box[at] for box in boxes)) for at in (2, 3))
    return left, top, min(medium.width, right), min(medium.height, bottom)


def _mask(medium: Medium, drawn: Sequence[Annotation]) -> "Image | None":
    """All that is drawn, in one picture of 0 and 255; None where one of them is no area of this picture."""
    import numpy as np
    from PIL import Image, ImageChops, ImageDraw

    from curate import run_lengths

    whole = Image.new("L", (medium.width, medium.height))
    for one in drawn:
        if one.box is None:
            return None
        if one.mask is not None and (one.mask.width, one.mask.height) == whole.size and one.mask.depth is None:
            layer = Image.fromarray(run_lengths.decode_mask(one.mask).astype(np.uint8) * 255)
            whole = ImageChops.lighter(whole, layer)
        elif one.polygons:
            pen = ImageDraw.Draw(whole)
            for ring in one.polygons:
                pen.polygon(list(zip(ring[::2], ring[1::2], strict=True)), fill=255)
        else:
            return None
    return whole if drawn else None


def _png(mask: "Image") -> bytes:
    data = io.BytesIO()
    mask.save(data, format="PNG", compress_level=6)
    return data.getvalue()
