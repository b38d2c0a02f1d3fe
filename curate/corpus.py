"""A recipe with everything it names resolved: cards, data folders, the project key."""

import hashlib
import hmac
import importlib.resources
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import msgspec

from curate import recipe as recipes
from curate.card import Card, Struct
from curate.errors import DataError, RecipeError, StoreError, UsageError
from curate.language.packs import Pack, load_pack
from curate.recipe import DicomWeb, Recipe, Rewrite, Volumes
from curate.resources import shipped
from curate.schema import identity
from curate.store.freshness import cache_folder
from curate.store.place import Place, read_bytes
from curate.store.seal import sealed, unsealed

__all__ = [
    "PUBLIC_KEY",
    "Corpus",
    "ProjectKey",
    "ResolvedSource",
    "asked_of",
    "catalog_folders",
    "dealing_of",
    "mirror_folder",
    "project_key",
    "resolve",
]

PUBLIC_KEY: Final = b"curate public demonstration key"
"""Used where no key is given: tokens then hide nothing from someone who can guess identifiers; the build says so."""

KEY_VARIABLE: Final = "CURATE_KEY"
KEY_FILE_VARIABLE: Final = "CURATE_KEY_FILE"
CORPUS_FILE: Final = "corpus.json"
TOKEN_LENGTH: Final = 32

MIRRORED: Final = "files"
"""The folder within a mirror that a build reads."""

MIN_KEY_BYTES: Final = 16
"""A shorter key can be guessed, and with it every identifier."""


@dataclass(frozen=True, slots=True)
class ProjectKey:
    """The secret behind tokens. It never leaves the process; its fingerprint does."""

    secret: bytes

    def __repr__(self) -> str:
        return f"ProjectKey({self.fingerprint})"

    @property
    def is_public(self) -> bool:
        """True for the demonstration key."""
        return self.secret == PUBLIC_KEY

    @property
    def fingerprint(self) -> str:
        """Tells two keys apart without giving one away."""
        return identity("key fingerprint", hashlib.sha256(b"fingerprint:" + self.secret).hexdigest())[:16]

    def token(self, what: str, source: str, value: str, within: str | None = None) -> str:
        """A stable stand-in for an identifier: HMAC-SHA256 over what it identifies, its source and its value.

        `within` is the token that makes the value unique, where it is not so by itself in its source.
        """
        message = identity(what, source, value, *([] if within is None else [within])).encode()
        return hmac.new(self.secret, message, hashlib.sha256).hexdigest()[:TOKEN_LENGTH]


class ResolvedSource(Struct, frozen=True):
    """One source of a corpus. `root` stays out of every output."""

    card: Card
    root: str
    limit: int | None = None
    dicomweb: DicomWeb | None = None  # where `root` is the mirror of what a server holds

    @property
    def id(self) -> str:
        """The card's id."""
        return self.card.id


class Corpus(Struct, frozen=True):
    """What a build is about."""

    recipe: Recipe
    sources: tuple[ResolvedSource, ...]
    pack: Pack | None = None  # the words with which the recipe's rewriter is asked

    def source(self, name: str) -> ResolvedSource:
        """The source with this id."""
        return next(source for source in self.sources if source.id == name)

    def described(self, key: ProjectKey) -> bytes:
        """What `corpus.json` in the output says, sealed: recipe and cards without any path of this machine."""
        plain = {
            "recipe": msgspec.to_builtins(self.recipe)
            | {
                "folder": ".",
                "sources": sorted(source.id for source in self.sources),
                "tasks": msgspec.to_builtins(sorted(self.recipe.tasks, key=lambda entry: entry.name)),
                "rewrite": None if self.recipe.rewrite is None else asked_of(self.recipe.rewrite),
                "split": dealing_of(self.recipe),
            },
            "pack": msgspec.to_builtins(self.pack),
            "cards": {source.id: msgspec.to_builtins(source.card) for source in self.sources},
            "limits": {source.id: source.limit for source in self.sources},
            "key_fingerprint": key.fingerprint,
        }
        return sealed(plain)


def dealing_of(recipe: Recipe) -> dict[str, object]:
    """How splits are dealt. Their order is that of the deal: a list keeps what sorted keys would lose."""
    return {"fractions": [list(one) for one in recipe.split.fractions.items()], "seed": recipe.split.seed}


def asked_of(rewrite: Rewrite) -> dict[str, object]:
    """What a model is asked, but for the words of its pack; how its answers are had is no part of what a corpus is."""
    plain: dict[str, object] = msgspec.to_builtins(rewrite)
    return {key: value for key, value in plain.items() if key not in ("completer", "style")}


class Described(Struct, frozen=True):
    """`corpus.json`, read back."""

    recipe: dict[str, object]
    cards: dict[str, Card]
    limits: dict[str, int | None]
    key_fingerprint: str
    pack: Pack | None = None


def described(out: Place) -> Described:
    """What an output folder says of itself.

    Raises:
        UsageError: the folder holds no corpus.
        StoreError: its description is damaged.
    """
    try:
        data = read_bytes(out / CORPUS_FILE)
    except FileNotFoundError:
        raise UsageError(
            f"{out} holds no corpus ({CORPUS_FILE} is not there); name the place given to `curate build --out`"
        ) from None
    except OSError as problem:
        raise StoreError(f"cannot read {out / CORPUS_FILE}: {problem.strerror}; see to the rights") from None
    try:
        return _in_order(msgspec.convert(unsealed(data), Described))
    except ValueError as problem:
        raise StoreError(f"{out / CORPUS_FILE} is damaged ({problem}); remove it and build again") from None


def _in_order(said: Described) -> Described:
    """The fractions of the splits as a recipe has them, in the order of the deal."""
    split = msgspec.convert(said.recipe.get("split", {}), dict[str, Any])
    if "fractions" not in split:
        return said
    dealt = split | {"fractions": dict(split["fractions"])}
    return msgspec.structs.replace(said, recipe=said.recipe | {"split": dealt})


def project_key(environment: dict[str, str] | None = None) -> ProjectKey:
    """The key from CURATE_KEY or the file that CURATE_KEY_FILE names; the public one where neither is set.

    Raises:
        UsageError: the file cannot be read, or the key is shorter than `MIN_KEY_BYTES`.
    """
    variables = dict(os.environ) if environment is None else environment
    if variables.get(KEY_VARIABLE):
        return _checked_key(variables[KEY_VARIABLE].encode("utf-8", "surrogateescape"), KEY_VARIABLE)
    path = variables.get(KEY_FILE_VARIABLE)
    if not path:
        return ProjectKey(PUBLIC_KEY)
    try:
        secret = Path(path).read_bytes().strip()
    except OSError as problem:
        raise UsageError(f"{KEY_FILE_VARIABLE} names {path}, which cannot be read: {problem.strerror}") from None
    return _checked_key(secret, f"the file that {KEY_FILE_VARIABLE} names, {path},")


def _checked_key(secret: bytes, where: str) -> ProjectKey:
    if len(secret) < MIN_KEY_BYTES:
        raise UsageError(
            f"{where} holds a key of {len(secret)} bytes; it must be a secret of at least {MIN_KEY_BYTES} bytes"
        )
    return ProjectKey(secret)


def catalog_folders(recipe_folder: Path | None = None) -> tuple[Path, ...]:
    """Where cards are looked for by id: `catalogs/` beside or above the recipe, here, and among the shipped ones."""
    starts = [folder for folder in (recipe_folder,) if folder is not None]
    candidates = [place / "catalogs" for start in starts for place in (start, *start.resolve().parents)]
    candidates += [Path.cwd() / "catalogs", shipped("catalogs")]
    found: list[Path] = []
    for candidate in candidates:
        if candidate.is_dir() and candidate.resolve() not in [folder.resolve() for folder in found]:
            found.append(candidate)
    return tuple(found)


def mirror_folder(out: Place, source: str) -> Path:
    """Where the files of a DICOMweb source lie: beside the output, with what belongs to this machine alone."""
    return cache_folder(out) / "dicomweb" / source


def resolve(recipe: Recipe, data_root: Path | None, out: Place | None = None) -> Corpus:
    """The recipe's cards and data folders. Sources from DICOMweb need `out`: their mirrors lie beside it.

    Raises:
        RecipeError: a card is not found, or two sources share an id.
        DataError: a data folder is not there.
    """
    _check_windows(recipe)
    folder = Path(recipe.folder)
    catalogs = catalog_folders(folder)
    sources = []
    for entry in recipe.sources:
        card, _ = recipes.card_of(entry, recipe, catalogs)
        if entry.dicomweb is None:
            root = _data_folder(entry.data, card, folder, data_root)
        elif out is not None:
            root = mirror_folder(out, card.id) / MIRRORED
        else:
            raise UsageError(f"source {card.id} comes from a DICOMweb server; name the output whose mirror holds it")
        sources.append(ResolvedSource(card=card, root=str(root), limit=entry.limit, dicomweb=entry.dicomweb))
    names = [source.id for source in sources]
    repeated = sorted({name for name in names if names.count(name) > 1})
    if repeated:
        raise RecipeError(f"recipe {recipe.name}: the sources {repeated} appear twice; give one card another id")
    rewrite = recipe.rewrite
    pack = None if rewrite is None else load_pack(rewrite.style, rewrite.language, recipe.folder)
    return Corpus(recipe=recipe, sources=tuple(sources), pack=pack)


def _check_windows(recipe: Recipe) -> None:
    """Every window that slices are to be shown through exists: a misspelt one fails before the first part."""
    if recipe.volumes == Volumes():
        return
    from curate.images.windows import named_window

    try:
        for name in recipe.volumes.windows:
            if name != "auto":
                named_window(name)
    except ValueError as problem:
        raise RecipeError(f"recipe {recipe.name}: volumes: {problem}") from None


def _data_folder(named: str | None, card: Card, folder: Path, data_root: Path | None) -> Path:
    if named is not None and "://" in named:
        raise UsageError(
            f"source {card.id}: data are read from folders, not from {named.partition('://')[0]}:// addresses; mirror "
            "them into a folder or mount them, and name that (docs/storage.md)"
        )
    if named is not None and named.startswith("package:"):
        root = _package_folder(named.removeprefix("package:"), card)
    elif named is not None:
        root = folder / named
    elif data_root is not None:
        root = data_root / card.id
    else:
        raise UsageError(
            f"source {card.id}: say where its data lie: by `data:` in the recipe, or by --data ROOT for ROOT/{card.id}"
        )
    if not root.is_dir():
        raise DataError(f"source {card.id}: its data folder {root} is not there; {_remedy(card, root)}")
    notes = root.parent / f".{root.name}.fetch"
    if (notes / "moved").is_file() and not (notes / "receipt.json").is_file():
        raise DataError(f"source {card.id}: its data folder {root} is not whole yet; {_remedy(card, root)}")
    return root.resolve()


def _remedy(card: Card, root: Path) -> str:
    """How a data folder that is not there comes to be."""
    if card.source.has_addresses and root.name == card.id:
        return f"run `curate fetch {card.id} --data {root.parent}`, or correct --data"
    home = "" if card.source.home == "unknown" else f" ({card.source.home})"
    return f"put or link the dataset{home} there, or correct --data, the folder that holds {root.name}"


def _package_folder(named: str, card: Card) -> Path:
    package, _, inner = named.partition("/")
    try:
        root = importlib.resources.files(package)
    except ModuleNotFoundError:
        raise DataError(
            f"source {card.id}: its data ship with the package {package!r}, which is not installed"
        ) from None
    return Path(str(root)) / inner
