"""Source cards: what one dataset is, where its images and labels lie and what its silence means.

A card is YAML below `catalogs/` (or anywhere) and holds everything that Python would otherwise hold. Unknown keys are
errors with a suggestion, so that a misspelt `exhaustive` cannot silently mean `false`.
"""

import difflib
import re
from collections.abc import Collection
from pathlib import Path
from typing import Any, Final, Literal, TypeVar
from urllib.parse import unquote, urlsplit

import msgspec
import yaml

from curate.errors import CardError, CurateError
from curate.schema import Annotator, Reason, World

__all__ = [
    "LABEL_SET_KEYS",
    "Card",
    "Concept",
    "Download",
    "HubRepository",
    "Images",
    "LabelSet",
    "Source",
    "Split",
    "Subject",
    "Terms",
    "check_known",
    "convert_strictly",
    "load_card",
    "parse_card",
    "read_yaml",
]

T = TypeVar("T")

HEADER_COLUMNS: Final = ("modality", "anatomy", "view", "laterality")
"""What `images.header` can fill."""


class Struct(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A frozen model that refuses keys it does not know."""


class Download(Struct, frozen=True):
    """One file that `curate fetch` brings, by its address.

    With `unpack` the data folder gets what is in it, else the file as `name`, by default the last part of the address;
    either below `into`. `sha256` is proved. `bytes` is its exact size; without it a ceiling of the fetcher holds.
    """

    url: str
    name: str | None = None
    sha256: str | None = None
    bytes: int | None = None
    unpack: Literal["none", "zip", "tar", "gzip"] = "none"
    into: str = ""

    def __post_init__(self) -> None:
        check_address(self.url)
        if self.into:
            check_below(self.into, "into")
        check_below(self.file_name, "name")
        if self.sha256 is not None and not re.fullmatch(r"[0-9a-f]{64}", self.sha256):
            raise ValueError("sha256 is 64 lower-case hexadecimal digits")
        if self.bytes is not None and self.bytes < 1:
            raise ValueError(f"bytes is the size of the file, at least 1, got {self.bytes}")

    @property
    def file_name(self) -> str:
        """What the file is called before it is unpacked; empty where neither the card nor the address says."""
        return self.name if self.name is not None else unquote(urlsplit(self.url).path.rpartition("/")[2])


class HubRepository(Struct, frozen=True):
    """A dataset repository of the Hugging Face Hub at one commit, whose files keep their paths below the data folder.

    `allow` are globs of the files that are wanted; null is all of them.
    """

    repo: str
    revision: str
    allow: tuple[str, ...] | None = None

    def __post_init__(self) -> None:
        if not re.fullmatch(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*", self.repo, re.ASCII) or ".." in self.repo:
            raise ValueError(f"repo is OWNER/NAME of a dataset repository, got {self.repo!r}")
        if not re.fullmatch(r"[0-9a-f]{40}", self.revision):
            raise ValueError(
                f"revision is the full commit, 40 hexadecimal digits, got {self.revision!r}: a branch or a tag may move"
            )
        if self.allow is not None and not self.allow:
            raise ValueError("allow lists no pattern, so nothing would be fetched; leave it out to fetch every file")


class Source(Struct, frozen=True):
    """Where the dataset comes from, and the addresses from which `curate fetch` brings it."""

    home: str
    version: str | None = None
    cite: str | None = None
    files: tuple[Download, ...] = ()
    hub: HubRepository | None = None

    def __post_init__(self) -> None:
        kept = [f"{one.into}/{one.file_name}" for one in self.files if one.unpack == "none"]
        twice = sorted({name.lstrip("/") for name in kept if kept.count(name) > 1})
        if twice:
            raise ValueError(f"two files would be called {twice}; give each a `name` of its own, or another `into`")

    @property
    def has_addresses(self) -> bool:
        """True where `curate fetch` knows what to bring."""
        return bool(self.files) or self.hub is not None


class Terms(Struct, frozen=True):
    """What the licence allows, quoted. A null is decided from the licence (see `terms`); unknown blocks publishing."""

    licence: str  # an SPDX expression, or LicenseRef-...
    quote: str
    read_at: str
    deidentified: bool | None = None
    remote_llm: bool | None = None
    redistribute: bool | None = None


class Images(Struct, frozen=True):
    """Which files are images. A glob may go through an archive as if it were a folder: `images.zip/train/*.png`."""

    glob: str | list[str]
    column: str | None = None  # the glob names Parquet files and the images lie in this column
    keep_metadata: bool = False  # the card vouches for EXIF and text segments; else they are stripped losslessly
    exif_rotated: bool = False  # the labels were drawn after EXIF rotation
    header: dict[str, str] = {}  # asset column -> DICOM keyword: {modality: Modality, view: ViewPosition}
    form: Literal["image", "volume", "slide", "video"] | None = None
    """What becomes of a file. Null: what its bytes say, a raster where they may be several things. `volume` puts the
    DICOM files of one series together, and a header with its data file."""
    rescale_unit: str | None = None  # unit of the values of volumes whose format cannot state one, vouched for here

    def __post_init__(self) -> None:
        for column in self.header:
            check_known(column, HEADER_COLUMNS, "a column of the asset that `header` can fill")

    @property
    def globs(self) -> tuple[str, ...]:
        """The patterns as a tuple, however the card wrote them."""
        return (self.glob,) if isinstance(self.glob, str) else tuple(self.glob)


class Concept(Struct, frozen=True):
    """A label's standard name, with a code where the card knows one."""

    name: str
    code: str | None = None
    system: str | None = None


class LabelSet(Struct, frozen=True):
    """One set of labels and how it lies on disk. `options` are the keys that only its layout understands."""

    layout: str
    name: str
    files: tuple[str, ...] = ()
    world: World = World.OPEN
    exhaustive: bool = False
    annotator: Annotator = Annotator.HUMAN
    language: str = "en"
    concepts: dict[str, Concept | None] | None = None  # null: any label is its own concept; label -> null: ignored
    options: dict[str, Any] = {}


class Subject(Struct, frozen=True):
    """How an item's subject is known: exactly one of the four."""

    none: str | None = None  # why there is none
    column: str | None = None  # of the table that names the images
    pattern: str | None = None  # with a group `subject`, searched in the path (and member) below the root
    header: str | None = None  # a DICOM keyword that is an identifier
    missing: Literal["reject", "alone"] = "reject"  # what becomes of an item for which the rule finds nothing

    def __post_init__(self) -> None:
        given = [key for key in ("none", "column", "pattern", "header") if getattr(self, key) is not None]
        if len(given) != 1:
            raise ValueError(f"say exactly one of none, column, pattern, header; found {given or 'nothing'}")
        _check_pattern(self.pattern, "subject")


class Split(Struct, frozen=True):
    """How the source's own split is known: exactly one of the three."""

    lists: str | None = None  # files of image names or stems, one a line: lists/{split}.txt
    column: str | None = None
    pattern: str | None = None  # with a group `split`, searched in the path below the root

    def __post_init__(self) -> None:
        given = [key for key in self.__struct_fields__ if getattr(self, key) is not None]
        if len(given) != 1:
            raise ValueError(f"say exactly one of lists, column, pattern; found {given or 'nothing'}")
        _check_pattern(self.pattern, "split")
        if self.lists is not None and "{split}" not in self.lists:
            raise ValueError("lists must name the place of the split's name as {split}")


class Card(Struct, frozen=True):
    """One public dataset."""

    id: str
    title: str
    source: Source
    terms: Terms
    images: Images
    subject: Subject
    modality: str | None = None
    anatomy: str | None = None
    view: str | None = None
    labels: tuple[LabelSet, ...] = ()
    study: Subject | None = None
    split: Split | None = None
    ignores: tuple[str, ...] = ()  # globs of files that are known and not wanted
    paths_identify: bool | None = None  # tokens instead of paths; null: true where headers are read
    expects: dict[str, int] = {}  # unit -> how many must be met, refused ones included
    expected_rejects: dict[Reason, int] = {}
    notes: str | None = None

    def __post_init__(self) -> None:
        if not re.fullmatch(r"[a-z0-9][a-z0-9._-]*", self.id):
            raise ValueError(f"id must be lower-case letters, digits, '.', '_' and '-', got {self.id!r}")
        names = [label_set.name for label_set in self.labels]
        repeated = sorted({name for name in names if names.count(name) > 1})
        if repeated:
            raise ValueError(f"two label sets are called {repeated}; give each a `name` of its own")

    @property
    def reads_headers(self) -> bool:
        """True where scan opens the DICOM header of every image."""
        in_header = any(rule is not None and rule.header is not None for rule in (self.subject, self.study))
        return in_header or bool(self.images.header) or any(labels.layout == "headers" for labels in self.labels)

    @property
    def hides_paths(self) -> bool:
        """True where paths below the data root may name a person, so that tables carry tokens instead."""
        if self.paths_identify is not None:
            return self.paths_identify
        return self.reads_headers or self.images.form == "volume"


LABEL_SET_KEYS = frozenset(LabelSet.__struct_fields__) - {"options"}


def load_card(path: Path) -> Card:
    """The card in a YAML file.

    Raises:
        CardError: the file is not there, is not YAML, or says something that a card cannot say.
    """
    return parse_card(read_yaml(path, CardError), str(path))


def parse_card(raw: object, where: str) -> Card:
    """A card from plain YAML values; `where` names it in errors."""
    if not isinstance(raw, dict):
        raise CardError(f"{where}: a card is a mapping of keys, found {type(raw).__name__}")
    labels = raw.get("labels", [])
    if not isinstance(labels, list) or not all(isinstance(entry, dict) for entry in labels):
        raise CardError(f"{where}: `labels` is a list of mappings, each with a `layout`")
    return convert_strictly({**raw, "labels": [_label_set(entry) for entry in labels]}, Card, where, CardError)


def _label_set(entry: dict[str, Any]) -> dict[str, Any]:
    known = {key: value for key, value in entry.items() if key in LABEL_SET_KEYS}
    known["options"] = {str(key): _text_keys(value) for key, value in entry.items() if key not in LABEL_SET_KEYS}
    known.setdefault("name", entry.get("layout"))
    if isinstance(known.get("files"), str):
        known["files"] = [known["files"]]
    if isinstance(known.get("concepts"), dict):
        known["concepts"] = {
            str(label): {"name": concept} if isinstance(concept, str) else concept
            for label, concept in known["concepts"].items()
        }
    return known


def _text_keys(value: Any) -> Any:
    """Options with every key as text, as JSON has them: YAML's 1, 1.0, true, null become "1", "1.0", "true", ""."""
    if isinstance(value, dict):
        return {_key_text(key): _text_keys(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_text_keys(item) for item in value]
    return value


def _key_text(key: object) -> str:
    if key is None:
        return ""
    return str(key).lower() if isinstance(key, bool) else str(key)


def read_yaml(path: Path, error: type[CurateError]) -> object:
    """What a YAML file says, by the safe loader."""
    try:
        return yaml.safe_load(path.read_bytes())
    except OSError as problem:
        raise error(f"cannot read {path}: {problem.strerror}") from None
    except (yaml.YAMLError, UnicodeDecodeError, RecursionError, ValueError) as problem:
        mark = getattr(problem, "problem_mark", None)
        place = f", line {mark.line + 1}" if mark else ""
        raise error(f"{path}{place}: not valid YAML ({getattr(problem, 'problem', None) or 'unreadable'})") from None


def convert_strictly(
    raw: object, model: type[T], where: str, error: type[CurateError], beside: frozenset[str] = frozenset()
) -> T:
    """`raw` as `model`; an unknown key is an error that names the nearest known one, of the model or `beside` it."""
    try:
        return msgspec.convert(raw, model, strict=True, str_keys=True)
    except msgspec.ValidationError as problem:
        raise error(f"{where}: {_explain(str(problem), model, beside)}") from None


def _explain(message: str, model: type[Any], beside: frozenset[str]) -> str:
    found = re.search(r"unknown field `(?P<key>[^`]+)`", message)
    if not found:
        return message
    places = {**_all_keys(model), **dict.fromkeys(beside, "")}
    near = difflib.get_close_matches(found["key"], sorted(places), n=1)
    if not near:
        remedy = f"known keys: {', '.join(sorted(places))}"
    elif near[0] == found["key"]:
        remedy = f"it belongs {f'under `{places[near[0]]}`' if places[near[0]] else 'at the top'}"
    else:
        remedy = f"did you mean `{near[0]}`?"
    return f"{message}; {remedy}"


def _all_keys(model: Any, under: str = "", seen: frozenset[Any] = frozenset()) -> dict[str, str]:
    """Every key of a model and of what it holds: the key it stands under, empty at the top; the outermost counts."""
    keys: dict[str, str] = {}
    below: dict[str, str] = {}
    if isinstance(model, type) and issubclass(model, msgspec.Struct) and model not in seen:
        for field in msgspec.structs.fields(model):
            keys[field.encode_name] = under
            below = {**_all_keys(field.type, field.encode_name, seen | {model}), **below}
    for argument in getattr(model, "__args__", ()):
        below = {**_all_keys(argument, under, seen), **below}
    return {**below, **keys}


def check_known(word: str, known: Collection[str], what: str) -> None:
    """Raise `ValueError` with the nearest known word where `word` is none of them."""
    if word in known:
        return
    near = difflib.get_close_matches(word, sorted(known), n=1)
    remedy = f"did you mean {near[0]}?" if near else f"known: {', '.join(sorted(known))}"
    raise ValueError(f"{word!r} is not {what}; {remedy}")


def check_address(url: str) -> None:
    """Raise `ValueError` where `url` is no address of a file on the web, or carries a secret."""
    try:
        parts = urlsplit(url)
        sane = parts.scheme in ("http", "https") and bool(parts.hostname) and (parts.port is None or parts.port > 0)
    except ValueError:
        sane = False
    if not sane or any(character <= " " or character == "\x7f" for character in url):
        raise ValueError("url is not an address https://HOST/PATH (or http://), without blanks")
    if parts.username is not None or parts.password is not None:
        raise ValueError("url holds a user name or password; a card is public, take them out")


def check_below(path: str, key: str) -> None:
    """Raise `ValueError` where `path` is no plain relative path that stays below its folder."""
    segments = path.split("/")
    if any(segment in ("", ".", "..") for segment in segments) or any(
        character < " " or character in "\\:\x7f" for character in path
    ):
        raise ValueError(f"{key} is a path below the data folder with `/`, without `..`; say it, found {path!r}")


def _check_pattern(pattern: str | None, group: str) -> None:
    if pattern is None:
        return
    try:
        groups = re.compile(pattern).groupindex
    except re.error as problem:
        raise ValueError(f"pattern is not a regular expression: {problem}") from None
    if group not in groups:
        raise ValueError(f"pattern needs a group (?P<{group}>...)")
