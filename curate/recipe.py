"""Recipes: which sources become which pairs."""

import math
import re
from pathlib import Path
from typing import Any, Final, Literal
from urllib.parse import urlsplit

import msgspec

from curate.card import Card, Struct, convert_strictly, load_card, read_yaml
from curate.errors import RecipeError

__all__ = [
    "DicomWeb",
    "Engine",
    "Limits",
    "Parts",
    "Recipe",
    "Resize",
    "Rewrite",
    "Slides",
    "SourceEntry",
    "SplitFractions",
    "TaskEntry",
    "Videos",
    "Volumes",
    "card_of",
    "encode",
    "load_recipe",
    "recipe_of_card",
]


TOLERANCE: Final = 1e-9
"""How far fractions may miss a sum of 1: decimal fractions are not exact."""


def _at_least_one(key: str, value: int | None) -> None:
    if value is not None and value < 1:
        raise ValueError(f"{key} is at least 1, got {value}")


LOOPBACK: Final = frozenset({"localhost", "127.0.0.1", "::1"})
"""Hosts to which a secret may go unencrypted: it does not leave the machine."""

_QUERY_KEY: Final = re.compile(r"[A-Z][A-Za-z0-9]{1,63}")
_VARIABLE: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


class DicomWeb(Struct, frozen=True):
    """A source that a DICOMweb server holds: all instances of the series that the query finds, see `docs/dicomweb.md`.

    A secret is never in a recipe: `token_env` and `basic_env` are the names of variables that hold a bearer token, or
    `user:password`.
    """

    url: str  # of the DICOMweb service: what stands before /studies
    query: dict[str, str | int] = {}  # DICOM keyword -> what a study must match (PS3.18, 8.3.4)
    series: dict[str, str | int] = {}  # the same for the series of these studies
    token_env: str | None = None
    basic_env: str | None = None
    instance_bytes: int = 2 * 2**30  # an instance may have at most
    total_bytes: int = 2**40  # all instances together may have at most
    trust_counts: bool = True  # fail where a server lists fewer instances of a series than it says that there are

    def __post_init__(self) -> None:
        parts = urlsplit(self.url)
        if parts.scheme not in ("http", "https") or not parts.hostname or parts.query or parts.fragment:
            raise ValueError("dicomweb: `url` is like https://host/dicom-web, without a query")
        if parts.username is not None or parts.password is not None:
            raise ValueError("dicomweb: `url` holds a password; name the variable that holds it in `basic_env`")
        for key in [*self.query, *self.series]:
            if not _QUERY_KEY.fullmatch(key):
                raise ValueError(f"dicomweb: {key!r} is no DICOM keyword; queries are like {{StudyDate: 2020-2021}}")
        secrets = [name for name in (self.token_env, self.basic_env) if name is not None]
        if len(secrets) > 1:
            raise ValueError("dicomweb: say token_env or basic_env, not both")
        if not all(_VARIABLE.fullmatch(name) for name in secrets):
            raise ValueError("dicomweb: token_env and basic_env name an environment variable; they are not the secret")
        if secrets and parts.scheme == "http" and parts.hostname not in LOOPBACK:
            raise ValueError("dicomweb: a secret does not go over http; use an https address")
        _at_least_one("instance_bytes", self.instance_bytes)
        _at_least_one("total_bytes", self.total_bytes)


class SourceEntry(Struct, frozen=True):
    """One source of a recipe: its card, and where its data lie if not below the data root."""

    card: str  # an id below `catalogs/`, or a path (relative to the recipe's folder)
    data: str | None = None
    dicomweb: DicomWeb | None = None  # instead of `data`
    limit: int | None = None  # only so many items, chosen by a hash of their keys

    def __post_init__(self) -> None:
        _at_least_one("limit", self.limit)
        if self.data is not None and self.dicomweb is not None:
            raise ValueError("say data or dicomweb, not both")


class TaskEntry(Struct, frozen=True):
    """One task of a recipe with its settings."""

    name: str
    variants: int = 1  # how many differently worded drafts each
    options: dict[str, Any] = {}

    def __post_init__(self) -> None:
        _at_least_one("variants", self.variants)


class SplitFractions(Struct, frozen=True):
    """How the groups are dealt out. `seed` names another deal of the same cards."""

    fractions: dict[str, float] = msgspec.field(default_factory=lambda: {"train": 0.8, "validation": 0.1, "test": 0.1})
    seed: str = ""

    def __post_init__(self) -> None:
        dealt = self.fractions.values()
        # Asked so that NaN, which compares as false with everything, is refused too.
        if not (all(0 <= fraction <= 1 for fraction in dealt) and abs(math.fsum(dealt) - 1) <= TOLERANCE):
            raise ValueError(f"fractions must lie between 0 and 1 and sum to 1, got {self.fractions}")


class Limits(Struct, frozen=True):
    """When a build fails although every part was built."""

    rejects: float = 0.01  # of a source's units, beyond those that its card expects

    def __post_init__(self) -> None:
        if not 0 <= self.rejects <= 1:
            raise ValueError(f"rejects is a share between 0 and 1, got {self.rejects}")


class Parts(Struct, frozen=True):
    """How large a part grows before its source is dealt into twice as many buckets.

    Without `bytes` it follows the source: a 64th of it, but at least 16 MiB (so that a laptop's cores share a small
    source) and at most 256 MiB (so that a lost part is minutes of work, not hours).
    """

    bytes: int | None = None
    items: int = 20_000

    def __post_init__(self) -> None:
        _at_least_one("bytes", self.bytes)
        _at_least_one("items", self.items)


class Resize(Struct, frozen=True):
    """How large an image is delivered at most: larger ones are shrunk, with everything that is drawn on them."""

    longest_side: int  # pixels
    jpeg_quality: int = 95  # of a JPEG that is encoded anew, 1 to 100

    def __post_init__(self) -> None:
        if self.longest_side < 1:
            raise ValueError(f"longest_side is in pixels and at least 1, got {self.longest_side}")
        if not 1 <= self.jpeg_quality <= 100:
            raise ValueError(f"jpeg_quality lies between 1 and 100, got {self.jpeg_quality}")


class Volumes(Struct, frozen=True):
    """What is cut from volumes: `slices` of each plane, evenly spread, each through each of `windows`."""

    planes: tuple[Literal["axial", "coronal", "sagittal"], ...] = ("axial",)
    slices: int | None = None  # null: volumes alone
    windows: tuple[str, ...] = ("auto",)  # names in `images/windows.yaml`; auto: the header's, else percentiles

    def __post_init__(self) -> None:
        _at_least_one("slices", self.slices)
        if not self.planes or not self.windows:
            raise ValueError("planes and windows name at least one each; leave `slices` out for none")


class Slides(Struct, frozen=True):
    """How slides are tiled: at a resolution, or at a power. Neither: an overview alone."""

    mpp: float | None = None  # microns per pixel
    magnification: float | None = None  # of the objective
    size: int = 512  # pixels of a tile's side
    overlap: int = 0  # pixels that neighbours share
    tissue: float = 0.25  # the least share of tissue in a tile; 0 takes every tile
    overview: int = 1024  # pixels of the overview's longest side, at most
    jpeg_quality: int = 90  # of tiles that must be encoded anew

    def __post_init__(self) -> None:
        if self.mpp is not None and self.magnification is not None:
            raise ValueError("say mpp or magnification, not both")
        for key, value in (("mpp", self.mpp), ("magnification", self.magnification)):
            if value is not None and not (math.isfinite(value) and value > 0):
                raise ValueError(f"{key} is a positive number, got {value}")
        _at_least_one("size", self.size)
        _at_least_one("overview", self.overview)
        if not 0 <= self.overlap < self.size:
            raise ValueError(f"overlap lies between 0 and the size of a tile, got {self.overlap}")
        if not 0 <= self.tissue <= 1:
            raise ValueError(f"tissue is a share between 0 and 1, got {self.tissue}")
        if not 1 <= self.jpeg_quality <= 100:
            raise ValueError(f"jpeg_quality lies between 1 and 100, got {self.jpeg_quality}")


class Videos(Struct, frozen=True):
    """What is taken from videos: frames at a pace or so many evenly spread, and clips of equal length."""

    every_s: float | None = None
    frames: int | None = None
    clip_s: float | None = None

    def __post_init__(self) -> None:
        if self.every_s is not None and self.frames is not None:
            raise ValueError("say every_s or frames, not both")
        _at_least_one("frames", self.frames)
        for key, value in (("every_s", self.every_s), ("clip_s", self.clip_s)):
            if value is not None and not (math.isfinite(value) and value > 0):
                raise ValueError(f"{key} is a positive number of seconds, got {value}")


class Engine(Struct, frozen=True):
    """How requests to a language model are answered: a completer and the settings that only it understands.

    It never changes what is asked, so it stays out of what a corpus says of itself.
    """

    name: str
    options: dict[str, Any] = {}


class Rewrite(Struct, frozen=True):
    """What a language model is asked: see `language`. Nothing that it says is published unproved."""

    model: str
    completer: Engine = Engine(name="replay")  # without one, all answers must be stored already
    revision: str | None = None  # of the model's weights
    style: str = "clinical"  # a prompt pack below `language/prompts`, or the path of one
    language: Literal["en", "zh"] = "en"
    mode: Literal["free", "slots"] = "free"  # the whole text is the model's, or code fills placeholders
    variants: int = 4  # differently worded answers to one set of facts; a hash of the draft chooses
    see_image: bool = False  # send the picture along, where there is one
    tasks: tuple[str, ...] | None = None  # null: every task
    temperature: float = 0.7
    top_p: float = 1.0
    max_tokens: int = 512
    seed: int = 0

    def __post_init__(self) -> None:
        if not self.model.strip():
            raise ValueError("rewrite: `model` is empty; name the model as its engine knows it")
        _at_least_one("variants", self.variants)
        _at_least_one("max_tokens", self.max_tokens)
        if self.mode == "slots" and self.see_image:
            raise ValueError("slots mode serves many images with one answer, so it sees none; say `mode: free`")
        if self.mode == "slots" and self.language != "en":
            raise ValueError("slots mode fills English words into the text; say `mode: free` for another language")
        if not (math.isfinite(self.temperature) and self.temperature >= 0):
            raise ValueError(f"temperature is at least 0, got {self.temperature}")
        if not 0 < self.top_p <= 1:
            raise ValueError(f"top_p lies above 0 and at most at 1, got {self.top_p}")


class Recipe(Struct, frozen=True):
    """One corpus."""

    name: str
    sources: tuple[SourceEntry, ...]
    tasks: tuple[TaskEntry, ...]
    rewrite: Rewrite | None = None  # null: template text alone
    split: SplitFractions = SplitFractions()
    limits: Limits = Limits()
    parts: Parts = Parts()
    images: Resize | None = None  # null: every image at the size that it came in
    renderings: bool = True  # what the eye cannot see as it is stored also comes as 8 bits through its window
    volumes: Volumes = Volumes()
    slides: Slides = Slides()
    videos: Videos = Videos()
    folder: str = "."  # where the recipe lies: relative paths start here

    def __post_init__(self) -> None:
        if not self.sources:
            raise ValueError("sources is empty; name at least one card")
        if not self.tasks:
            raise ValueError("tasks is empty; name at least one task")
        names = [task.name for task in self.tasks]
        repeated = sorted({name for name in names if names.count(name) > 1})
        if repeated:
            raise ValueError(f"the tasks {repeated} stand twice; say `variants` for more drafts of one task")


def load_recipe(path: Path) -> Recipe:
    """The recipe in a YAML file.

    Raises:
        RecipeError: the file is not there, is not YAML, or says something that a recipe cannot say.
    """
    raw = read_yaml(path, RecipeError)
    if not isinstance(raw, dict):
        raise RecipeError(f"{path}: a recipe is a mapping of keys, found {type(raw).__name__}")
    if "folder" in raw:
        raise RecipeError(f"{path}: unknown key `folder`")
    if "tasks" not in raw:
        raise RecipeError(f"{path}: say `tasks`, what shall be asked, such as [label_caption, closed_vqa, open_vqa]")
    plain = {**raw, "folder": str(path.parent)}
    if isinstance(raw.get("sources"), list):
        plain["sources"] = [{"card": entry} if isinstance(entry, str) else entry for entry in raw["sources"]]
    if isinstance(raw.get("tasks"), list):
        plain["tasks"] = [_task(entry) for entry in raw["tasks"]]
    if isinstance(raw.get("rewrite"), dict) and "completer" in raw["rewrite"]:
        plain["rewrite"] = raw["rewrite"] | {"completer": _with_options(raw["rewrite"]["completer"], ("name",))}
    return convert_strictly(plain, Recipe, str(path), RecipeError)


def _task(entry: object) -> object:
    return _with_options(entry, ("name", "variants"))


def _with_options(entry: object, own: tuple[str, ...]) -> object:
    """An entry whose further keys are settings: a word alone is its name."""
    if isinstance(entry, str):
        return {"name": entry}
    if not isinstance(entry, dict):
        return entry
    known = {key: value for key, value in entry.items() if key in own}
    return known | {"options": {key: value for key, value in entry.items() if key not in known}}


def recipe_of_card(card: Card, path: Path, tasks: tuple[str, ...]) -> Recipe:
    """What a command builds when it is given a card instead of a recipe: that one source, every task."""
    return Recipe(
        name=card.id,
        sources=(SourceEntry(card=path.name),),
        tasks=tuple(TaskEntry(name=name) for name in tasks),
        folder=str(path.parent),
    )


def card_of(entry: SourceEntry, recipe: Recipe, catalogs: tuple[Path, ...]) -> tuple[Card, Path]:
    """The card that a recipe's entry names, and its file.

    Raises:
        RecipeError: no such card in the recipe's folder or below any of `catalogs`.
    """
    beside = Path(recipe.folder) / entry.card
    candidates = [beside] if entry.card.endswith((".yaml", ".yml")) else []
    candidates += [folder / f"{entry.card}.yaml" for folder in catalogs]
    for candidate in candidates:
        if candidate.is_file():
            return load_card(candidate), candidate
    looked = ", ".join(str(candidate) for candidate in candidates)
    raise RecipeError(f"recipe {recipe.name}: no card for source {entry.card!r}; looked for {looked}")


def encode(value: msgspec.Struct) -> bytes:
    """Canonical JSON of a card or recipe: sorted keys, for digests and for jobs."""
    return msgspec.json.encode(value, order="sorted")
