"""The tables of a corpus: this module is the product, everything else fills it.

Invariants, each enforced by a query in `curate check`:

1.  A subject is in one split, and all assets of one pair share that split.
2.  Unknown is null. A spacing that no tag proves is null, never 1.0; a state that nobody stated is `not_stated` or no
    row at all, never `absent`.
3.  A coordinate names its frame. `raster`: float xyxy on the stored pixels, before any EXIF rotation; edges, 0-based:
    pixel i covers [i, i+1), so a mask's box ends at its last index plus one; the centre of pixel i lies at i + 0.5.
    `volume`: the same in three dimensions on the stored array, x0, y0, z0, x1, y1, z1 along column, row and slice.
    `affine_lps` maps (column, row, slice, 1), whole numbers at voxel centres, to millimetres: left, posterior, superior
    grow (PS3.3 C.7.6.2.1.1). Volumes are stored z, y, x in the axis order and direction nearest to LPS: permuted and
    flipped, never resampled; `orientation` keeps how they came.
4.  Every number, side, negation and count in a text is derivable from the annotations that its pair names.
5.  Every count on a card comes from the ledger, and the ledger from the sidecars.
6.  Conservation, per part and unit: `n_in = n_used + n_rejected + n_filtered`; each refusal or filter is one row in
    `rejects`.
7.  What is cut from a volume, slide or video names it and lies within it, and a slice where the affine of its volume
    has it; a rendering has the raster that it shows. Nothing is said of renderings, tiles, frames and clips.
8.  A model's words stand in a pair only where an accepted answer to the pair's own request holds for that very pair;
    else the template stands, and `rejects` says why. A request has one first answer, and a second only where the first
    was refused.

Where a file lies: `<table>/<source>/<stage>-<bucket>-<digest>.parquet`, named by the sidecar
`parts/<stage>/<source>/<bucket>.json`; a volume is the folder `volumes/<source>/<digest>.zarr`; the catalog's
files are `catalog/<table>-<digest>.parquet`.
Identifiers are lower-case hexadecimal sha256. `*` stands for the whole corpus where a table speaks of a source.
"""

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

import pyarrow as pa

__all__ = [
    "ANNOTATIONS",
    "ASSETS",
    "CATALOG_TABLES",
    "DRAFTS",
    "FILES",
    "GROUPS",
    "IMAGES",
    "INVENTORY",
    "PAIRS",
    "PARTS",
    "REJECTS",
    "REQUESTS",
    "RESPONSES",
    "RULES",
    "TABLES",
    "VIDEOS",
    "Annotator",
    "CheckVerdict",
    "Form",
    "Identity",
    "Kind",
    "Laterality",
    "Origin",
    "Reason",
    "Refusal",
    "State",
    "Unit",
    "Verdict",
    "World",
    "identity",
    "item_key",
]


class Kind(StrEnum):
    """What sort of thing an annotation says."""

    CLASS = "class"  # one of several classes that exclude each other
    MULTILABEL = "multilabel"  # one of several findings that may stand together
    GRADE = "grade"
    BOX = "box"
    MASK = "mask"
    POLYGON = "polygon"
    POINT = "point"
    COUNT = "count"
    MEASUREMENT = "measurement"
    INTERVAL = "interval"
    CAPTION = "caption"
    REPORT = "report"
    SENTENCE = "sentence"
    QA = "qa"
    RELATION = "relation"
    CODE = "code"
    ATTRIBUTE = "attribute"


class Form(StrEnum):
    """What an asset is. The first of an item is the item itself; the others are cut from it or drawn after it."""

    IMAGE = "image"  # a raster with the values of its file
    RENDERING = "rendering"  # 8 bits for the eye: the raster of `rendering_of` through `window`
    VOLUME = "volume"  # an array in a zarr tree
    SLICE = "slice"  # one plane of a volume, through `window`
    SLIDE = "slide"  # an overview of a whole slide
    TILE = "tile"  # a region of a slide
    VIDEO = "video"  # the packets of a clip as they came, without metadata
    CLIP = "clip"  # an interval of a video
    FRAME = "frame"  # one picture of a video


class State(StrEnum):
    """What the source says of a finding. Only an exclusive or complete label set ever yields `absent` by silence."""

    PRESENT = "present"
    ABSENT = "absent"
    UNCERTAIN = "uncertain"
    NOT_STATED = "not_stated"


class World(StrEnum):
    """What a label set's silence means, as its card says.

    `exclusive`: exactly one label holds, the others are absent. `complete`: several may hold, those not named are
    absent. `open`: silence means nothing (the default).
    """

    EXCLUSIVE = "exclusive"
    COMPLETE = "complete"
    OPEN = "open"


class Annotator(StrEnum):
    """Who said it."""

    HUMAN = "human"
    MODEL = "model"
    RULE = "rule"
    REPORT_NLP = "report-nlp"


class Laterality(StrEnum):
    """The patient's side, never the picture's."""

    LEFT = "left"
    RIGHT = "right"
    BILATERAL = "bilateral"


class Origin(StrEnum):
    """Who wrote the text of a pair."""

    TEMPLATE = "template"
    LLM = "llm"
    SOURCE = "source"


class Unit(StrEnum):
    """What conservation counts. Each unit balances by itself."""

    FILE = "file"  # everything below the data root, each member of an opened archive too
    IMAGE = "image"  # a distinct image, present or only named (by a label, a list or a row)
    ROW = "row"  # a row of a table, a line of JSONL, a question-answer record
    OBJECT = "object"  # one box, polygon, point or mask of a label file
    ITEM = "item"  # an inventory row on its way to an asset
    ANNOTATION = "annotation"  # what scan handed to read
    REGION = "region"  # a tile of a slide, a frame or an interval of a video, a slice of a volume
    ASSET = "asset"
    DRAFT = "draft"
    REQUEST = "request"  # a distinct request to a language model
    ANSWER = "answer"  # what a model answered: judged in rewrite, and once more on each draft that it would serve


class Verdict(StrEnum):
    """`rejected`: wrong or unusable. `filtered`: fine, but not wanted (a repeat, a class that the card ignores)."""

    REJECTED = "rejected"
    FILTERED = "filtered"


class CheckVerdict(StrEnum):
    """The answer of one rule about one text."""

    PASS = "pass"  # noqa: S105
    FAIL = "fail"
    NOT_APPLICABLE = "not_applicable"


class Reason(StrEnum):
    """Why something was refused or filtered: a closed list, so that it can be counted and expected."""

    # scan: files
    MISSING_FILE = "missing_file"  # an image that a label, list or row names is not there
    EMPTY_FILE = "empty_file"
    UNREADABLE_FILE = "unreadable_file"  # the operating system or the archive would not give the bytes
    UNCLAIMED_FILE = "unclaimed_file"  # filtered: no pattern of the card speaks of it
    IGNORED_FILE = "ignored_file"  # filtered: the card says to leave it
    OUTSIDE_ROOT = "outside_root"  # a path or link that leaves the data root
    UNSAFE_ARCHIVE = "unsafe_archive"  # a member name, size or ratio that no honest archive has
    OVER_LIMIT = "over_limit"  # filtered: beyond the recipe's `limit`
    # scan: label files, rows and objects
    INVALID_JSON = "invalid_json"
    INVALID_XML = "invalid_xml"
    INVALID_ROW = "invalid_row"
    INVALID_HEADER = "invalid_header"  # a DICOM header that does not parse
    BAD_ENCODING = "bad_encoding"
    MISSING_COLUMN = "missing_column"
    MISSING_VALUE = "missing_value"
    UNKNOWN_CLASS = "unknown_class"  # a class id without a name, or a label that the card's concepts do not list
    UNKNOWN_STATE = "unknown_state"  # a cell that the card's states do not list
    IGNORED_CLASS = "ignored_class"  # filtered: the card maps the label to null
    AMBIGUOUS_IMAGE = "ambiguous_image"  # a name that fits several images
    NO_SUBJECT = "no_subject"  # the card's subject rule finds none for this image, so no split can keep it whole
    CONFLICTING_SUBJECT = "conflicting_subject"  # two rows give one image to two subjects
    IMAGE_UNAVAILABLE = "image_unavailable"  # a consequence: the image it speaks of is absent or was refused
    # read: geometry
    INVALID_GEOMETRY = "invalid_geometry"  # not finite, too few corners, an area of zero, an inverted box
    OUTSIDE_IMAGE = "outside_image"
    SIZE_MISMATCH = "size_mismatch"  # a mask or label file that states another raster than the image has
    EMPTY_MASK = "empty_mask"
    REPEATED = "repeated"  # filtered: the same statement about the same image stands already
    # read: statements
    CONFLICTING_LABELS = "conflicting_labels"  # two classes that exclude each other, or two states of one finding
    # read: volumes and what is drawn in them
    NOT_A_VOLUME = "not_a_volume"  # too few slices, or planes that do not stand one behind the other
    LOCALIZER = "localizer"  # a scout among the slices, or a series of nothing else
    NO_GEOMETRY = "no_geometry"  # position, orientation or spacing are not stated
    INVALID_AFFINE = "invalid_affine"  # not finite, singular, or no unit from which millimetres follow
    NO_UNIT = "no_unit"  # a window in Hounsfield units, for values that nothing proves to be in them
    MIXED_ORIENTATION = "mixed_orientation"
    INCONSISTENT_SERIES = "inconsistent_series"  # slices of different sizes, types, scales or frames of reference
    MISSING_SLICE = "missing_slice"
    DUPLICATE_POSITION = "duplicate_position"
    UNEVEN_SPACING = "uneven_spacing"
    GANTRY_TILT = "gantry_tilt"  # slices sheared against their normal, where that is not kept
    FRAME_OF_REFERENCE = "frame_of_reference"  # drawn in another patient space than its image has
    GEOMETRY_MISMATCH = "geometry_mismatch"  # a mask or contour on another grid than its image has
    INVALID_CONTOUR = "invalid_contour"
    # read: slides and videos
    NO_RESOLUTION = "no_resolution"  # tiles are asked for by microns per pixel or power, and the slide states neither
    NO_TISSUE = "no_tissue"  # filtered: positions of a slide's grid with less tissue than the recipe asks for
    PARTIAL_TILE = "partial_tile"  # filtered: the edges of a slide that fill no tile
    NO_VIDEO = "no_video"  # a container without a video stream
    # read: pixels
    UNSUPPORTED_FORMAT = "unsupported_format"
    NO_PIXELS = "no_pixels"
    TRUNCATED_IMAGE = "truncated_image"
    CORRUPT_IMAGE = "corrupt_image"
    TOO_MANY_PIXELS = "too_many_pixels"
    TOO_LARGE = "too_large"  # bytes on disk
    DECODER_CRASH = "decoder_crash"
    TIME_LIMIT = "time_limit"  # environmental
    MEMORY_LIMIT = "memory_limit"  # environmental
    # draft
    NO_TERM = "no_term"  # filtered: nothing names a concept in a language that the recipe's tasks are to speak
    # verify
    EMPTY_TEXT = "empty_text"
    IMAGE_TOKENS = "image_tokens"
    LABEL_MISSING = "label_missing"
    LABEL_INVENTED = "label_invented"
    NEGATION = "negation"
    LATERALITY = "laterality"
    NUMBER = "number"
    COUNT = "count"
    BOX = "box"
    POINT = "point"
    ANSWER_IN_QUESTION = "answer_in_question"
    SOURCE_TEXT = "source_text"
    UNCERTAINTY = "uncertainty"  # a hedge where the source is sure, or none where it is not
    ANATOMY = "anatomy"  # a place in the body that no annotation gives
    COMPARISON = "comparison"  # a comparison with an earlier image that is not there
    UNANSWERABLE = "unanswerable"  # tells or asks what the delivered view cannot show
    IDENTIFIER = "identifier"  # a name, number, date or address of a person
    LANGUAGE = "language"  # another language than was asked for
    OPTION = "option"  # an option set or a choice that does not fit the annotations
    CONSISTENCY = "consistency"  # the answer answers another question, or contradicts itself
    # rewrite: answers of a model
    INVALID_ANSWER = "invalid_answer"  # not the object that was asked for, however read
    TRUNCATED_ANSWER = "truncated_answer"  # the model ran into its limit of tokens
    SLOT = "slot"  # a placeholder is gone, changed or there twice
    MODEL_REFUSED = "model_refused"  # the model or its server would not answer this request
    REQUEST_TOO_LONG = "request_too_long"  # longer than the model's context

    @property
    def is_consequence(self) -> bool:
        """True where another row already tells the cause, so that limits count the cause alone."""
        return self is Reason.IMAGE_UNAVAILABLE

    @property
    def is_environmental(self) -> bool:
        """True where another machine might decide otherwise: outside the promise of identical bytes."""
        return self in (Reason.TIME_LIMIT, Reason.MEMORY_LIMIT)


RULES: Final = (
    "image_tokens",
    "labels",
    "negation",
    "uncertainty",
    "laterality",
    "numbers",
    "counts",
    "boxes",
    "points",
    "anatomy",
    "comparison",
    "answerability",
    "identifiers",
    "language",
    "options",
    "consistency",
    "answer_in_question",
    "source_text",
)
"""The rules of `verify/`, in the order of the `checks` struct of a pair."""


@dataclass(frozen=True, slots=True)
class Refusal:
    """A stage's verdict on one thing: why it goes no further. `detail` never holds patient text."""

    reason: Reason
    detail: str = ""
    verdict: Verdict = Verdict.REJECTED


class Identity:
    """`identity` of fields that come little by little."""

    def __init__(self) -> None:
        self._digest = hashlib.sha256()

    def add(self, fields: Iterable[object]) -> None:
        """Take in some more."""
        for field in fields:
            if field is None:
                self._digest.update(b"-1:")
                continue
            data = str(field).encode("utf-8", "surrogatepass")
            self._digest.update(b"%d:" % len(data))
            self._digest.update(data)

    def hexdigest(self) -> str:
        """Of all so far."""
        return self._digest.hexdigest()


def identity(*fields: object) -> str:
    """sha256 over fields that cannot run into each other: each is preceded by its length in bytes; None is -1."""
    whole = Identity()
    whole.add(fields)
    return whole.hexdigest()


def _required(name: str, dtype: pa.DataType) -> pa.Field:
    return pa.field(name, dtype, nullable=False)


def item_key(path: str, member: str | None = None) -> str:
    """How a file, or a member of one, is called in every table: `path` or `path!member`."""
    return path if member is None else f"{path}!{member}"


STRINGS = pa.list_(pa.string())
MASK_RLE = pa.struct(
    [
        pa.field("height", pa.int32(), nullable=False),
        pa.field("width", pa.int32(), nullable=False),
        pa.field("counts", pa.list_(pa.uint32()), nullable=False),
        pa.field("depth", pa.int32()),
    ]
)
"""Run lengths, zeros first: the uncompressed RLE of the COCO API, which is column-major.

In a volume, `depth` slices follow each other, each in that order; runs go on from one slice into the next.
"""

WINDOW = pa.struct(
    [
        pa.field("center", pa.float64()),
        pa.field("width", pa.float64()),
        pa.field("function", pa.string(), nullable=False),
        pa.field("name", pa.string(), nullable=False),
    ]
)
"""What maps modality values to grey (PS3.3 C.11.2.1.2).

`function` is linear, linear_exact, sigmoid, lut (then center and width are null) or percentile (then they are those of
the percentiles that were found); `name` says where it comes from: `header`, `percentile`, `range` (all values that the
bits can hold, for inversion or fewer bits alone), or a window of `images/windows.yaml`.
"""

INVENTORY = pa.schema(
    [
        _required("item_key", pa.string()),  # source-relative path[!member], or its token on a private card
        _required("path", pa.string()),  # of the file that is opened; a token on a private card
        pa.field("member", pa.string()),  # within an archive or a Parquet file, else null
        _required("bytes", pa.int64()),  # of all its files
        pa.field("files", pa.list_(pa.struct([("path", pa.string()), ("member", pa.string()), ("bytes", pa.int64())]))),
        pa.field("form", pa.string()),  # what the card makes of it; null: what its bytes say
        pa.field("subject", pa.string()),  # tokens, never the source's own identifiers
        pa.field("study", pa.string()),
        pa.field("series", pa.string()),
        pa.field("source_split", pa.string()),  # several names joined by + where the source says several
        pa.field("modality", pa.string()),
        pa.field("anatomy", pa.string()),
        pa.field("view", pa.string()),
        pa.field("laterality", pa.string()),
        pa.field("day_offset", pa.int32()),  # days since the subject's first item
        pa.field("licence", pa.string()),  # where a row of the source states its own
        _required("labelled_by", STRINGS),  # label sets that speak of this item, even to say that there is nothing
        _required("annotations", pa.string()),  # JSON list of `layouts.base.RawAnnotation`, source coordinates
    ]
)
"""One row per image, series or clip that scan found: a bucket's slice is the whole input of that bucket's read part.

`files` names the files of an item that has several (the slices of a series, a header and its data), in the order of
their names; null where `path` is the only one.
"""

FILES = pa.schema(
    [
        _required("path", pa.string()),
        pa.field("member", pa.string()),
        _required("bytes", pa.int64()),
        _required("sha256", pa.string()),
        _required("role", pa.string()),  # image | mask | label
    ]
)
"""One row per source file or member that was read, with the digest taken while reading."""

IMAGES = pa.schema(
    [
        pa.field("asset_id", pa.string()),
        pa.field("image", pa.struct([("bytes", pa.binary()), ("path", pa.string())])),
    ],
    metadata={
        "huggingface": '{"info": {"features": {"asset_id": {"dtype": "string", "_type": "Value"}, '
        '"image": {"_type": "Image"}}}}'
    },
)
"""The bytes of one asset; the struct and the metadata are those that `datasets` opens as an image.

Its columns are nullable because `datasets` compares each field with its own, which are; `check` counts the nulls.
"""

VIDEOS = pa.schema(
    [
        pa.field("asset_id", pa.string()),
        pa.field("video", pa.struct([("bytes", pa.binary()), ("path", pa.string())])),
    ],
    metadata={
        "huggingface": '{"info": {"features": {"asset_id": {"dtype": "string", "_type": "Value"}, '
        '"video": {"_type": "Video"}}}}'
    },
)
"""The bytes of one video or clip, as `images` has those of an image."""

ASSETS = pa.schema(
    [
        _required("asset_id", pa.string()),  # identity(source, path, member, what of the file it is)
        _required("form", pa.string()),
        pa.field("derived_from", pa.string()),  # the volume, slide or video that it was cut from
        pa.field("rendering_of", pa.string()),  # the asset of the same raster that holds the annotations
        _required("source", pa.string()),
        _required("item_key", pa.string()),
        pa.field("frame", pa.int32()),  # of a multi-frame file, 0-based, else null
        _required("content_sha256", pa.string()),  # of the source file or member; of their digests where several
        _required("image_sha256", pa.string()),  # of the stored bytes in `images` or `videos`, of a volume's tree
        pa.field("voxels_sha256", pa.string()),  # of a volume's shape, type and values
        pa.field("volume", pa.string()),  # the zarr tree below the output folder
        pa.field("subject", pa.string()),
        pa.field("study", pa.string()),
        pa.field("series", pa.string()),
        pa.field("source_split", pa.string()),
        pa.field("day_offset", pa.int32()),
        pa.field("modality", pa.string()),
        pa.field("anatomy", pa.string()),
        pa.field("view", pa.string()),
        pa.field("laterality", pa.string()),
        _required("media_type", pa.string()),  # image/jpeg, image/png, video/mp4, ...; application/zarr
        _required("width", pa.int32()),  # stored raster, before EXIF rotation
        _required("height", pa.int32()),
        pa.field("depth", pa.int32()),  # slices of a volume, pictures of a video
        pa.field("timepoints", pa.int32()),  # of a volume with a time axis before z
        _required("channels", pa.int8()),
        _required("bit_depth", pa.int8()),  # per channel
        pa.field("dtype", pa.string()),  # of a volume's array, as numpy writes it
        pa.field("exif_orientation", pa.int8()),  # 2 to 8 where the source states one; 1 is null
        pa.field("spacing_mm", pa.list_(pa.float64())),  # row, column; slice, row, column of a volume
        pa.field("affine_lps", pa.list_(pa.float64())),  # 16 numbers row by row, see 3 above
        pa.field("orientation", pa.string()),  # how a volume's axes lay in its file: the letters they grow towards
        pa.field("frame_of_reference", pa.string()),  # a token
        pa.field("plane", pa.string()),  # of a slice: axial, coronal, sagittal
        pa.field("position", pa.int32()),  # of a slice along its axis, of a frame in its video, 0-based
        pa.field("region", pa.list_(pa.int64())),  # of a tile: x, y, width, height in pixels of the slide's level 0
        pa.field("mpp", pa.list_(pa.float64())),  # microns per stored pixel: column, row
        pa.field("time_s", pa.float64()),  # of a frame, or where a clip begins
        pa.field("duration_s", pa.float64()),  # of a video or clip
        pa.field("frame_rate", pa.float64()),  # pictures a second, where the stream states one
        pa.field("window", WINDOW),
        pa.field("photometric", pa.string()),
        pa.field("rescale_slope", pa.float64()),  # maps the delivered values to modality units
        pa.field("rescale_intercept", pa.float64()),
        pa.field("rescale_unit", pa.string()),
        _required("changes", STRINGS),  # what was done to the bytes on the way; empty: stored as they came
        pa.field("phash", pa.uint64()),  # difference hash of the luma, see `images.raster`; null: not a picture
        pa.field("row_licence", pa.string()),  # where a row of the source states its own
        _required("labelled_by", STRINGS),
    ]
)
"""One delivered image, volume, tile or clip. Licence, split and confirmed pixel digest are joined in the catalog."""

ANNOTATIONS = pa.schema(
    [
        _required("annotation_id", pa.string()),  # identity(asset_id, label_set, kind, file, locator, concept)
        _required("asset_id", pa.string()),
        _required("source", pa.string()),
        _required("label_set", pa.string()),
        _required("world", pa.string()),
        _required("exhaustive", pa.bool_()),
        _required("kind", pa.string()),
        pa.field("label", pa.string()),  # as the source writes it
        pa.field("concept", pa.string()),  # as the card names it
        pa.field("code", pa.string()),
        pa.field("code_system", pa.string()),
        pa.field("state", pa.string()),
        pa.field("side", pa.string()),
        pa.field("value", pa.float64()),
        pa.field("unit", pa.string()),
        pa.field("question", pa.string()),
        pa.field("text", pa.string()),  # an answer, a caption, a report, the value of an attribute
        pa.field("language", pa.string()),
        pa.field("frame", pa.string()),  # null without geometry
        pa.field("box", pa.list_(pa.float64())),  # x0, y0, x1, y1 (see 3 above); masks and polygons carry theirs too
        pa.field("point", pa.list_(pa.float64())),  # x, y
        pa.field("polygons", pa.list_(pa.list_(pa.float64()))),  # x, y, x, y, ... per ring
        pa.field("mask", MASK_RLE),
        pa.field("area_px", pa.float64()),
        pa.field("area_mm2", pa.float64()),  # null where no tag proves a spacing
        pa.field("volume_mm3", pa.float64()),  # of a mask in a volume
        pa.field("extent_mm", pa.list_(pa.float64())),  # of the box along column, row (and slice)
        pa.field("pieces", pa.int32()),  # of a mask in a volume, and on its slices: parts that touch nowhere
        pa.field("mean_hu", pa.float64()),  # of its voxels; null where nothing proves Hounsfield units
        _required("flags", STRINGS),  # clipped, crowd, difficult, truncated, ...
        _required("qualifiers", pa.map_(pa.string(), pa.string())),  # further columns that the card names
        _required("annotator", pa.string()),
        pa.field("source_split", pa.string()),
        _required("file", pa.string()),
        _required("locator", pa.string()),  # row 12, object[3], line 7
    ]
)
"""One thing the source says about one asset."""

GROUPS = pa.schema(
    [
        _required("asset_id", pa.string()),
        _required("source", pa.string()),
        pa.field("pixel_sha256", pa.string()),  # null where no cheap hash collided
        pa.field("duplicate_of", pa.string()),  # the cluster's smallest asset id, null for that one and for singles
        pa.field("duplicate_kind", pa.string()),  # bytes | pixels
        _required("group_id", pa.string()),
        _required("linked_by", STRINGS),  # subject, study, file, bytes, pixels; empty: the asset stands alone
        _required("split", pa.string()),
        pa.field("source_split", pa.string()),
    ]
)
"""One asset's place among its like."""

MESSAGES = pa.list_(pa.struct([pa.field("role", pa.string()), pa.field("content", pa.string())]))

DRAFTS = pa.schema(
    [
        _required("draft_id", pa.string()),  # identity(task, asset_ids, annotation_ids, variant)
        _required("source", pa.string()),
        _required("asset_ids", STRINGS),
        _required("annotation_ids", STRINGS),
        _required("task", pa.string()),
        _required("variant", pa.int32()),
        _required("wording", pa.string()),  # which reviewed template spoke
        _required("language", pa.string()),
        _required("origin", pa.string()),
        _required("messages", MESSAGES),
        pa.field("request_id", pa.string()),  # null: nobody is asked to rewrite it
        _required("constraints", pa.string()),  # JSON: the concept asked about, the answer form
        pa.field("brief", pa.string()),  # JSON of `rows.Brief`: what a rewriter is told; null: not to be rewritten
    ]
)
"""One instruction before rewriting: always valid text."""

REQUESTS = pa.schema(
    [
        _required("request_id", pa.string()),  # sha256 of `body`
        _required("body", pa.string()),  # canonical JSON of an OpenAI chat completion, see `language.requests`
        pa.field("image_sha256", pa.string()),  # of the one picture that goes along, and whose it is
        pa.field("image_asset_id", pa.string()),
        pa.field("image_media_type", pa.string()),
        _required("draft_id", pa.string()),  # the smallest that asks this
        _required("drafts", pa.int32()),  # how many of the part do
        _required("witness", pa.string()),  # JSON of `rows.Witness`: that draft with all that proves it
    ]
)
"""The distinct requests of one part's drafts, by id."""

RESPONSES = pa.schema(
    [
        _required("request_id", pa.string()),  # whose answer it is
        _required("attempt", pa.int8()),  # 1: the first answer; 2: what the repair request got
        _required("response_id", pa.string()),  # the request under which the answer store keeps it
        pa.field("text", pa.string()),  # null: the model would not answer
        pa.field("finish_reason", pa.string()),
        pa.field("prompt_tokens", pa.int32()),
        pa.field("completion_tokens", pa.int32()),
        pa.field("model", pa.string()),
        pa.field("engine", pa.string()),
        pa.field("where", pa.string()),  # local | remote
        _required("verdict", pa.string()),  # accepted | refused, on the witness of the request
        pa.field("reason", pa.string()),
        pa.field("detail", pa.string()),
    ]
)
"""One frozen answer of a model and what became of it."""

PAIRS = pa.schema(
    [
        _required("pair_id", pa.string()),
        _required("source", pa.string()),
        _required("asset_ids", STRINGS),
        _required("annotation_ids", STRINGS),
        _required("task", pa.string()),
        _required("variant", pa.int32()),
        _required("wording", pa.string()),
        _required("language", pa.string()),
        _required("origin", pa.string()),
        _required("messages", MESSAGES),
        pa.field("request_id", pa.string()),  # what a model was asked; null: nobody was
        pa.field("response_id", pa.string()),  # the answer that it was given; null: the text is the template's
        _required("checks", pa.struct([pa.field(rule, pa.string(), nullable=False) for rule in RULES])),
        pa.field("source_split", pa.string()),
    ]
)
"""One proved instruction pair."""

REJECTS = pa.schema(
    [
        _required("source", pa.string()),
        _required("stage", pa.string()),
        _required("unit", pa.string()),
        _required("item_key", pa.string()),
        pa.field("file", pa.string()),
        pa.field("locator", pa.string()),
        _required("verdict", pa.string()),
        _required("reason", pa.string()),
        _required("detail", pa.string()),
        _required("environmental", pa.bool_()),
    ]
)
"""One thing refused or filtered."""

PARTS = pa.schema(
    [
        _required("stage", pa.string()),
        _required("source", pa.string()),
        pa.field("bucket", pa.int32()),
        _required("unit", pa.string()),
        _required("n_in", pa.int64()),
        _required("n_used", pa.int64()),
        _required("n_rejected", pa.int64()),
        _required("n_filtered", pa.int64()),
    ]
)
"""The ledger: one row per part and unit, from the sidecars."""

TABLES: Final[dict[str, pa.Schema]] = {
    "inventory": INVENTORY,
    "files": FILES,
    "images": IMAGES,
    "videos": VIDEOS,
    "assets": ASSETS,
    "annotations": ANNOTATIONS,
    "groups": GROUPS,
    "drafts": DRAFTS,
    "requests": REQUESTS,
    "responses": RESPONSES,
    "pairs": PAIRS,
    "rejects": REJECTS,
}
"""Every table that a part may write."""


def _with(schema: pa.Schema, *fields: pa.Field) -> pa.Schema:
    for field in fields:
        schema = schema.append(field)
    return schema


CATALOG_TABLES: Final[dict[str, pa.Schema]] = {
    "assets": _with(
        ASSETS,
        pa.field("pixel_sha256", pa.string()),
        _required("group_id", pa.string()),
        _required("split", pa.string()),
        _required("licence", pa.string()),
        _required("terms_class", pa.string()),
    ),
    "annotations": _with(ANNOTATIONS, _required("file_sha256", pa.string()), _required("split", pa.string())),
    "groups": GROUPS,
    "pairs": _with(
        PAIRS,
        _required("split", pa.string()),
        _required("licence", pa.string()),
        _required("source_sha256", STRINGS),  # the image files and label files that it rests on
    ),
    "responses": RESPONSES,
    "rejects": REJECTS,
    "parts": PARTS,
}
"""What the catalog holds: byte-free, with split, licence and the digests of the source files joined.

The digest of a label file stands here and not in `annotations`, because a file of many rows would else make every one
of its rows new when one of them is edited.
"""
