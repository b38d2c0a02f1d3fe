"""What draft asks of a language model: a request for each brief, shared by all drafts with the same one."""

import zlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

import msgspec
import pyarrow as pa

from curate.corpus import asked_of
from curate.language.packs import Pack
from curate.language.rewriting import first_request
from curate.recipe import Rewrite
from curate.rows import Asset, Brief, Draft, Subject, Witness
from curate.schema import REQUESTS, Form, Origin, identity
from curate.stages.base import Run
from curate.tasks.base import ENGLISH

__all__ = ["SLICES", "Asking", "SliceDigests", "config_of", "pictures_of"]

SLICES: Final = 16
"""By the first hexadecimal digit of their ids: so many digests of requests stand in the sidecar of a draft part."""

_HASH_DIGITS: Final = 16
_CHUNK: Final = 1000
"""Requests unpacked at a time."""

_PICTURES: Final = (Form.IMAGE, Form.SLICE, Form.SLIDE, Form.RENDERING)
_SHOWN: Final = frozenset({"image/jpeg", "image/png"})


def config_of(run: Run) -> dict[str, Any]:
    """What of the recipe shapes requests: for fingerprints. Empty where nobody rewrites."""
    rewrite = run.corpus.recipe.rewrite
    if rewrite is None:
        return {}
    return {"rewrite": asked_of(rewrite), "pack": identity(msgspec.json.encode(run.corpus.pack, order="sorted"))}


def pictures_of(assets: Iterable[Asset]) -> dict[str, Asset]:
    """Asset id -> the picture that shows it: its rendering, else itself where any viewer can show it.

    A slice is shown through the window that it was cut with, not through the others of the recipe.
    """
    shown: dict[str, Asset] = {}
    for asset in assets:
        if asset.form not in _PICTURES or asset.media_type not in _SHOWN or asset.bit_depth > 8:
            continue
        if asset.form is Form.RENDERING and asset.rendering_of is not None:
            shown[asset.rendering_of] = asset
        else:
            shown.setdefault(asset.asset_id, asset)
    return shown


@dataclass(slots=True)
class _Asked:
    """A distinct request: the smallest draft that asks it, how many do, and the rest of its row, packed."""

    draft_id: str
    drafts: int
    row: bytes


class Asking:
    """The distinct requests of one part, as its drafts come by.

    Packed, a row is a quarter of its size; with images hardly any is shared.
    """

    def __init__(self, rewrite: Rewrite, pack: Pack, pictures: dict[str, Asset]) -> None:
        self._rewrite = rewrite
        self._pack = pack
        self._pictures = pictures
        self._asked: dict[str, _Asked] = {}

    def ask(self, draft: Draft, about: Sequence[Subject]) -> Draft:
        """The draft with the id of its request, where its task gave a brief and the recipe wants it rewritten.

        What a task says in several languages is rewritten from the English alone, whatever is to be written.
        A request shows one picture, so that of a draft about several goes along with none.
        """
        wanted = self._rewrite.tasks is None or draft.task in self._rewrite.tasks
        if not wanted or draft.brief is None or draft.origin is not Origin.TEMPLATE or draft.language != ENGLISH:
            return draft
        brief = msgspec.json.decode(draft.brief, type=Brief)
        shown = self._rewrite.see_image and len(about) == 1
        picture = self._pictures.get(about[0].asset.asset_id) if shown else None
        seen = None if picture is None else picture.image_sha256
        asked = first_request(brief, _voice(draft, self._rewrite.variants), self._rewrite, self._pack, seen)
        draft = msgspec.structs.replace(draft, request_id=asked.request_id)
        known = self._asked.get(asked.request_id)
        if known is None or draft.draft_id < known.draft_id:
            row = {
                "request_id": asked.request_id,
                "body": asked.body.decode(),
                "image_sha256": seen,
                "image_asset_id": None if picture is None else picture.asset_id,
                "image_media_type": None if picture is None else picture.media_type,
                "draft_id": draft.draft_id,
                "witness": _witness(draft, about),
            }
            drafts = 0 if known is None else known.drafts
            known = _Asked(draft.draft_id, drafts, zlib.compress(msgspec.json.encode(row), 1))
            self._asked[asked.request_id] = known
        known.drafts += 1
        return draft

    def tables(self) -> Iterator[pa.Table]:
        """The rows of `requests`, by id, so many at a time."""
        keys = sorted(self._asked)
        for first in range(0, len(keys), _CHUNK):
            packed = (self._asked[key].row for key in keys[first : first + _CHUNK])
            rows = [msgspec.json.decode(zlib.decompress(row)) for row in packed]
            for row in rows:
                row["drafts"] = self._asked[row["request_id"]].drafts
            yield pa.Table.from_pylist(rows, schema=REQUESTS)


class SliceDigests:
    """First digit -> a digest of the requests whose ids begin so, with all that they are judged by."""

    def __init__(self) -> None:
        self._slices: dict[str, list[str]] = {}

    def add(self, table: pa.Table) -> None:
        """Take in rows of `requests`, by id."""
        for row in table.to_pylist():
            self._slices.setdefault(row["request_id"][0], []).append(identity(*row.values()))

    def told(self) -> dict[str, str]:
        """The digests."""
        return {digit: identity(*rows) for digit, rows in sorted(self._slices.items())}


def _voice(draft: Draft, variants: int) -> int:
    """Which of the variants a draft takes: differently worded drafts of one thing take different ones."""
    key = identity(draft.task, ",".join(draft.asset_ids), ",".join(draft.annotation_ids), draft.constraints)
    return (int(key[:_HASH_DIGITS], 16) + draft.variant) % variants


def _witness(draft: Draft, about: Sequence[Subject]) -> str:
    said = (annotation for subject in about for annotation in subject.annotations)
    bare = tuple(msgspec.structs.replace(annotation, mask=None, polygons=None) for annotation in said)
    return msgspec.json.encode(Witness(draft, tuple(subject.asset for subject in about), bare)).decode()
