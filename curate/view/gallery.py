"""The pictures that a page needs, from one pass over the stored bytes of a corpus."""

from collections.abc import Iterable, Mapping, Sequence, Set

from curate.rows import Annotation, Asset
from curate.schema import IMAGES, VIDEOS, Form
from curate.store.parquet import iter_tables
from curate.store.part import Sidecars
from curate.store.place import Place
from curate.view.pictures import picture_of, poster_of, volume_slice
from curate.view.shown import Picture

__all__ = ["pictures_of"]


def pictures_of(
    out: Place,
    wanted: Set[tuple[str, int]],
    assets: Iterable[Asset],
    annotations: Mapping[str, Sequence[Annotation]],
) -> dict[tuple[str, int], Picture]:
    """(asset id, pixels of the longer side) -> its picture: that of its rendering where it has one.

    A volume is shown by the slice that most of its masks reach. What cannot be shown is left out.

    Raises:
        StoreError: stored bytes are missing or damaged.
    """
    known = {asset.asset_id: asset for asset in assets}
    renderings = {one.rendering_of: one for one in known.values() if one.rendering_of is not None}
    found: dict[tuple[str, int], Picture] = {}
    stored: dict[str, list[tuple[str, Asset, int]]] = {}  # whose bytes are read -> whose picture that is, how large
    for asset_id, longest in sorted(wanted):
        drawn = renderings.get(asset_id, known[asset_id])
        if drawn.form is Form.VOLUME:
            cut = volume_slice(out, drawn, _busiest(drawn, annotations.get(asset_id, ())), longest)
            found |= {} if cut is None else {(asset_id, longest): cut}
        else:
            stored.setdefault(drawn.asset_id, []).append((asset_id, drawn, longest))
    for sidecar in Sidecars(out).each("read"):
        for table, schema, column in (("images", IMAGES, "image"), ("videos", VIDEOS, "video")):
            show = picture_of if column == "image" else poster_of
            for rows in iter_tables(out, sidecar.of(table), schema):
                for key, value in zip(rows.column("asset_id").to_pylist(), rows.column(column), strict=True):
                    for owner, drawn, longest in stored.get(key, ()):
                        picture = show(value["bytes"].as_py(), drawn, longest)
                        found |= {} if picture is None else {(owner, longest): picture}
    return found


def _busiest(asset: Asset, annotations: Iterable[Annotation]) -> int:
    """The slice of a volume that most masks reach; of several, and where there is no mask, the one in the middle."""
    depth = asset.depth or 1
    spans = [(one.box[2], one.box[5]) for one in annotations if one.mask is not None and one.box and len(one.box) == 6]
    return max(range(depth), key=lambda z: (sum(first <= z < end for first, end in spans), -abs(z - depth // 2)))
