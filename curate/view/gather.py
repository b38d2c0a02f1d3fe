"""From the rows of a built corpus to what a page shows of each item."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import msgspec

from curate.rows import Annotation, Asset, Draft, rows_of
from curate.schema import CATALOG_TABLES, DRAFTS, Form, Unit
from curate.store.parquet import iter_tables, read_table
from curate.store.part import Part, Sidecars
from curate.store.place import Place
from curate.view.drawing import colours_of, drawing_of, slice_of
from curate.view.gallery import pictures_of
from curate.view.shown import Figure, Picture, Said, ShownItem, Thumbnail
from curate.view.texts import pair_of, said_of

__all__ = ["Rows", "gather", "rows_in"]

FIGURES: Final = 4
"""Assets of one item that are shown with all that is said of them."""

THUMBNAILS: Final = 8
SAID_ROWS: Final = 60
PAIRS_A_FIGURE: Final = 12
LONGEST_PX: Final = 720
THUMBNAIL_PX: Final = 160

_BESIDE: Final = (Form.TILE, Form.FRAME)
"""Forms of which nothing is ever said: shown small."""


@dataclass(frozen=True, slots=True)
class Rows:
    """What a corpus says, in rows of its tables."""

    assets: tuple[Asset, ...]
    annotations: dict[str, tuple[Annotation, ...]]  # by asset
    drafts: dict[str, tuple[Draft, ...]]  # by asset
    pairs: dict[str, dict[str, Any]] = field(repr=False)  # by id
    responses: dict[str, tuple[dict[str, Any], ...]] = field(repr=False)  # by request
    rejects: tuple[dict[str, Any], ...] = field(repr=False)
    asked: frozenset[str]  # the drafts that a model is, or would be, asked to rewrite

    @property
    def items(self) -> dict[tuple[str, str], tuple[Asset, ...]]:
        """(source, item key) -> its assets."""
        found: dict[tuple[str, str], list[Asset]] = {}
        for asset in self.assets:
            found.setdefault((asset.source, asset.item_key), []).append(asset)
        return {key: tuple(assets) for key, assets in found.items()}


def rows_in(out: Place, asked: frozenset[str]) -> Rows:
    """All rows of a corpus that is built to its end, and small enough to be held; `asked` as in `Rows`.

    Raises:
        StoreError: a part is missing or damaged.
    """
    sidecars = Sidecars(out)
    catalog = sidecars.need(Part("catalog"))

    def table(name: str) -> Any:
        return read_table(out, catalog.of(name), CATALOG_TABLES[name])

    drafts = [
        draft
        for sidecar in sidecars.listed("draft")
        for part in iter_tables(out, sidecar.of("drafts"), DRAFTS)
        for draft in rows_of(part, Draft)
    ]
    return Rows(
        tuple(rows_of(table("assets"), Asset)),
        _by_asset((one.asset_id, one) for one in rows_of(table("annotations"), Annotation)),
        _by_asset((asset_id, draft) for draft in drafts for asset_id in draft.asset_ids[:1]),
        {row["pair_id"]: row for row in table("pairs").to_pylist()},
        _by_asset((row["request_id"], row) for row in table("responses").to_pylist()),
        tuple(table("rejects").to_pylist()),
        asked,
    )


def _by_asset(found: Iterable[tuple[str, Any]]) -> dict[str, Any]:
    grouped: dict[str, list[Any]] = {}
    for key, value in found:
        grouped.setdefault(key, []).append(value)
    return {key: tuple(values) for key, values in grouped.items()}


def gather(
    out: Place, rows: Rows, wanted: Sequence[tuple[str, str, str]], refused: Sequence[Mapping[str, Any]]
) -> tuple[ShownItem, ...]:
    """The items `wanted` = (source, item key, stratum), in that order; `refused` are further rows of rejects."""
    items = rows.items
    chosen = {(source, key): _choose(rows, items.get((source, key), ())) for source, key, _ in wanted}
    by_id = {asset.asset_id: asset for asset in rows.assets}
    pictures = pictures_of(out, _sizes(rows, by_id, chosen.values()), rows.assets, rows.annotations)
    rejects: dict[tuple[str, str], list[Mapping[str, Any]]] = {}
    for row in (*refused, *rows.rejects):
        rejects.setdefault((row["source"], row["item_key"]), []).append(row)
    judged = {row["locator"]: row for row in rows.rejects if (row["stage"], row["unit"]) == ("verify", Unit.DRAFT)}
    answered: dict[str, list[Mapping[str, Any]]] = {}
    for row in rows.rejects:
        if (row["stage"], row["unit"]) == ("verify", Unit.ANSWER):
            answered.setdefault(row["locator"], []).append(row)
    shown = []
    for source, key, stratum in wanted:
        figures, thumbnails = chosen[source, key]
        shown.append(
            ShownItem(
                source,
                key,
                stratum,
                tuple(_figure(asset, rows, by_id, pictures, judged=judged, answered=answered) for asset in figures),
                tuple(_small(asset, pictures) for asset in thumbnails if (asset.asset_id, THUMBNAIL_PX) in pictures),
                len(items.get((source, key), ())),
                _counted(rejects.get((source, key), [])),
            )
        )
    return tuple(shown)


def _sizes(
    rows: Rows, by_id: Mapping[str, Asset], chosen: Iterable[tuple[tuple[Asset, ...], tuple[Asset, ...]]]
) -> set[tuple[str, int]]:
    """Which assets need a picture, and how large: (asset, pixels of its longer side)."""
    sizes = set()
    for figures, thumbnails in chosen:
        sizes |= {(one.asset_id, LONGEST_PX) for one in figures} | {(one.asset_id, THUMBNAIL_PX) for one in thumbnails}
        for draft in (draft for one in figures for draft in _in_turns(rows.drafts.get(one.asset_id, ()))):
            if len(draft.asset_ids) > 1:
                sizes |= {(asset_id, THUMBNAIL_PX) for asset_id in draft.asset_ids if asset_id in by_id}
    return sizes


def _counted(rejects: Iterable[Mapping[str, Any]]) -> tuple[tuple[str, str, str, str, int], ...]:
    """What was refused of an item, repeats counted; what a rule refused stands with its draft."""
    found = Counter(
        (row["stage"], f"{row['unit']} {row['verdict']}", row["reason"], row["detail"])
        for row in rejects
        if (row["stage"], row["unit"]) != ("verify", Unit.DRAFT)
    )
    return tuple((*what, n) for what, n in sorted(found.items()))


def _choose(rows: Rows, assets: Sequence[Asset]) -> tuple[tuple[Asset, ...], tuple[Asset, ...]]:
    """The assets of an item to show in full, and those to show small.

    Of many, those of which most is said, from each plane and window in turn; the item as a whole comes first.
    """
    plain = [one for one in assets if one.rendering_of is None]
    beside = [one for one in plain if one.form in _BESIDE]
    turns: dict[tuple[Any, ...], list[Asset]] = {}
    for one in plain:
        if one.form in _BESIDE or (one.form is Form.CLIP):
            continue
        window = None if one.window is None else one.window.name
        turns.setdefault((one.derived_from is not None, str(one.form), one.plane or "", window or ""), []).append(one)
    queues = [
        sorted(turns[key], key=lambda one: (-len(rows.annotations.get(one.asset_id, ())), one.asset_id))
        for key in sorted(turns)
    ]
    figures: list[Asset] = []
    while len(figures) < FIGURES and any(queues):
        figures += [queue.pop(0) for queue in queues if queue]
    step = max(1, len(beside) // THUMBNAILS)
    beside.sort(key=lambda one: (one.position or 0, one.region or [], one.asset_id))
    return tuple(figures[:FIGURES]), tuple(beside[::step][:THUMBNAILS])


def _on_slice(numbered: Sequence[tuple[int, Annotation]], index: int) -> list[tuple[int, Annotation]]:
    """The masks of a volume as they lie on one of its slices; those that do not reach it are left out."""
    cut = []
    for number, one in numbered:
        if one.frame == "volume" and one.mask is not None and one.box and one.box[2] <= index < one.box[5]:
            flat = msgspec.structs.replace(one, frame="raster", mask=slice_of(one.mask, index), box=None)
            cut.append((number, flat))
    return cut


def _figure(
    asset: Asset,
    rows: Rows,
    by_id: Mapping[str, Asset],
    pictures: Mapping[tuple[str, int], Picture],
    *,
    judged: Mapping[str, Mapping[str, Any]],
    answered: Mapping[str, Sequence[Mapping[str, Any]]],
) -> Figure:
    annotations = sorted(rows.annotations.get(asset.asset_id, ()), key=_in_order)
    numbered = list(enumerate(annotations, start=1))
    colours = colours_of(one for _, one in numbered if one.frame is not None)
    drafts = rows.drafts.get(asset.asset_id, ())
    pairs = [
        pair_of(
            draft,
            asked=draft.draft_id in rows.asked,
            pairs=rows.pairs,
            responses=rows.responses,
            judged=judged,
            answered=answered,
            images=_together(draft, by_id, pictures),
        )
        for draft in _in_turns(drafts)
    ]
    picture = pictures.get((asset.asset_id, LONGEST_PX))
    raster = (asset.width, asset.height)
    placed = numbered if picture is None or picture.slice is None else _on_slice(numbered, picture.slice)
    said: list[Said] = [said_of(number, one, colours) for number, one in numbered[:SAID_ROWS]]
    return Figure(
        asset_id=asset.asset_id,
        caption=_called(asset),
        facts=_facts(asset),
        width=asset.width,
        height=asset.height,
        picture=picture,
        drawing=drawing_of(placed, colours, raster, raster if picture is None else (picture.width, picture.height)),
        said=tuple(said),
        said_in_all=len(annotations),
        pairs=tuple(pairs),
        pairs_in_all=len(drafts),
        kept_in_all=sum(draft.draft_id in rows.pairs for draft in drafts),
    )


def _small(asset: Asset, pictures: Mapping[tuple[str, int], Picture]) -> Thumbnail:
    return Thumbnail(_called(asset), pictures[asset.asset_id, THUMBNAIL_PX])


def _together(
    draft: Draft, by_id: Mapping[str, Asset], pictures: Mapping[tuple[str, int], Picture]
) -> tuple[Thumbnail, ...]:
    """The images of a draft that speaks of several, in its order; none where it speaks of one."""
    if len(draft.asset_ids) < 2:
        return ()
    shown = [by_id[key] for key in draft.asset_ids if (key, THUMBNAIL_PX) in pictures]
    return tuple(
        Thumbnail(f"{one.item_key}" + (f", day {one.day_offset}" if one.day_offset is not None else ""), small.picture)
        for one in shown
        for small in (_small(one, pictures),)
    )


def _in_order(one: Annotation) -> tuple[str, ...]:
    return (str(one.kind), one.concept or "", one.label_set, one.file, f"{len(one.locator):06d}", one.locator)


def _in_turns(drafts: Sequence[Draft]) -> list[Draft]:
    """So many drafts, from each task in turn, so that each is seen."""
    queues: dict[str, list[Draft]] = {}
    for draft in sorted(drafts, key=lambda draft: draft.draft_id):
        queues.setdefault(draft.task, []).append(draft)
    taken: list[Draft] = []
    while len(taken) < PAIRS_A_FIGURE and any(queues.values()):
        taken += [queue.pop(0) for _, queue in sorted(queues.items()) if queue]
    return sorted(taken[:PAIRS_A_FIGURE], key=lambda draft: (draft.task, draft.draft_id))


def _called(asset: Asset) -> str:
    """What an asset is, in a few words."""
    words = [str(asset.form)]
    if asset.frame is not None:
        words.append(f"frame {asset.frame}")
    if asset.plane is not None:
        words.append(f"{asset.plane} {asset.position}")
    if asset.region is not None:
        words.append("at " + ", ".join(map(str, asset.region)))
    if asset.time_s is not None:
        words.append(f"at {asset.time_s:g} s")
    if asset.window is not None and asset.form is Form.SLICE:
        words.append(f"window {asset.window.name}")
    return " ".join(words)


def _facts(asset: Asset) -> tuple[tuple[str, str], ...]:
    """What is known of an asset; what is unknown is left out."""
    size = [asset.width, asset.height, *([asset.depth] if asset.depth else [])]
    window = asset.window
    facts: dict[str, object] = {
        "modality": asset.modality,
        "anatomy": asset.anatomy,
        "view": asset.view,
        "laterality": asset.laterality,
        "raster": " x ".join(map(str, size)) + " px",
        "channels": asset.channels,
        "bits": asset.bit_depth,
        "spacing": None if asset.spacing_mm is None else " x ".join(f"{mm:.4g}" for mm in asset.spacing_mm) + " mm",
        "microns per pixel": None if asset.mpp is None else " x ".join(f"{mpp:.4g}" for mpp in asset.mpp),
        "window": None
        if window is None
        else f"{window.name}"
        + ("" if window.center is None or window.width is None else f" {window.center:.5g} / {window.width:.5g}"),
        "photometric": asset.photometric,
        "units": asset.rescale_unit,
        "EXIF orientation": None if asset.exif_orientation is None else f"{asset.exif_orientation}, shown unturned",
        "duration": None if asset.duration_s is None else f"{asset.duration_s:.4g} s",
        "split of the source": asset.source_split,
        "licence of its row": asset.row_licence,
        "changes": ", ".join(asset.changes) or None,
        "asset": asset.asset_id[:12],
    }
    return tuple((name, str(value)) for name, value in facts.items() if value is not None)
