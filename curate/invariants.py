"""The invariants of `schema` as queries over the catalog's views: each returns the keys that break its sentence."""

from typing import Final

from curate.schema import RULES

__all__ = ["INVARIANTS"]

_FAILED_RULE: Final = " OR ".join(f"checks.{rule} = 'fail'" for rule in RULES)

INVARIANTS: Final[dict[str, str]] = {
    "a subject is in one split": """
        SELECT source || ' ' || subject FROM assets WHERE subject IS NOT NULL
        GROUP BY source, subject HAVING count(DISTINCT split) > 1""",
    "a subject is in one group": """
        SELECT source || ' ' || subject FROM assets WHERE subject IS NOT NULL
        GROUP BY source, subject HAVING count(DISTINCT group_id) > 1""",
    "a group is in one split": """
        SELECT group_id FROM groups GROUP BY group_id HAVING count(DISTINCT split) > 1""",
    "frames of one file are in one split": """
        SELECT source || ' ' || item_key FROM assets GROUP BY source, item_key HAVING count(DISTINCT split) > 1""",
    "equal bytes are in one split": """
        SELECT image_sha256 FROM assets GROUP BY image_sha256 HAVING count(DISTINCT split) > 1""",
    "equal pixels are in one split": """
        SELECT pixel_sha256 FROM assets WHERE pixel_sha256 IS NOT NULL
        GROUP BY pixel_sha256 HAVING count(DISTINCT split) > 1""",
    "all assets of a pair share its split": """
        SELECT DISTINCT pair_id FROM (SELECT pair_id, split, unnest(asset_ids) AS asset_id FROM pairs) AS p
        LEFT JOIN assets AS a USING (asset_id) WHERE a.split IS DISTINCT FROM p.split""",
    "every asset has its place": """
        SELECT asset_id FROM assets ANTI JOIN groups USING (asset_id)""",
    "every place has its asset": """
        SELECT asset_id FROM groups ANTI JOIN assets USING (asset_id)""",
    "every asset has its bytes, or its volume": """
        SELECT asset_id FROM assets ANTI JOIN images USING (asset_id) ANTI JOIN videos USING (asset_id)
        WHERE volume IS NULL""",
    "all bytes have their asset": """
        SELECT asset_id FROM (SELECT asset_id FROM images UNION ALL SELECT asset_id FROM videos)
        ANTI JOIN assets USING (asset_id)""",
    "no bytes are null": """
        SELECT coalesce(asset_id, 'unknown') FROM images WHERE asset_id IS NULL OR image.bytes IS NULL
        UNION ALL
        SELECT coalesce(asset_id, 'unknown') FROM videos WHERE asset_id IS NULL OR video.bytes IS NULL""",
    "what is cut or drawn names an asset of its own item": """
        SELECT a.asset_id FROM assets AS a
        LEFT JOIN assets AS b ON b.asset_id = coalesce(a.derived_from, a.rendering_of)
        WHERE coalesce(a.derived_from, a.rendering_of) IS NOT NULL
        AND (b.asset_id IS NULL OR b.source <> a.source OR b.item_key <> a.item_key)""",
    "a rendering has the raster that it shows": """
        SELECT a.asset_id FROM assets AS a JOIN assets AS b ON b.asset_id = a.rendering_of
        WHERE a.width <> b.width OR a.height <> b.height""",
    "an affine belongs to its spacing": """
        SELECT asset_id FROM assets WHERE affine_lps IS NOT NULL AND spacing_mm IS NOT NULL AND NOT (
        abs(sqrt(affine_lps[1] ** 2 + affine_lps[5] ** 2 + affine_lps[9] ** 2) - list_last(spacing_mm))
        < 1e-3 * list_last(spacing_mm))""",
    "an asset is there once": """
        SELECT asset_id FROM assets GROUP BY asset_id HAVING count(*) > 1""",
    "an annotation is there once": """
        SELECT annotation_id FROM annotations GROUP BY annotation_id HAVING count(*) > 1""",
    "a pair is there once": """
        SELECT pair_id FROM pairs GROUP BY pair_id HAVING count(*) > 1""",
    "an annotation speaks of an asset": """
        SELECT annotation_id FROM annotations ANTI JOIN assets USING (asset_id)""",
    "a pair rests on annotations of its own assets": """
        SELECT DISTINCT pair_id
        FROM (SELECT pair_id, asset_ids, unnest(annotation_ids) AS annotation_id FROM pairs) AS p
        LEFT JOIN annotations AS a USING (annotation_id)
        WHERE a.asset_id IS NULL OR NOT list_contains(p.asset_ids, a.asset_id)""",
    "a coordinate names its frame": """
        SELECT annotation_id FROM annotations
        WHERE frame IS NULL AND coalesce(box, point) IS NOT NULL
        OR frame IS NULL AND (polygons IS NOT NULL OR mask IS NOT NULL)""",
    "a box lies on its raster": """
        SELECT annotation_id FROM annotations JOIN assets USING (asset_id)
        WHERE box IS NOT NULL AND annotations.frame = 'raster' AND NOT (len(box) = 4 AND box[1] >= 0 AND box[2] >= 0
        AND box[1] < box[3] AND box[2] < box[4] AND box[3] <= width AND box[4] <= height)""",
    "a box lies in its volume": """
        SELECT annotation_id FROM annotations JOIN assets USING (asset_id)
        WHERE box IS NOT NULL AND annotations.frame = 'volume' AND NOT (len(box) = 6
        AND box[1] >= 0 AND box[2] >= 0 AND box[3] >= 0 AND box[1] < box[4] AND box[2] < box[5] AND box[3] < box[6]
        AND box[4] <= width AND box[5] <= height AND box[6] <= depth)""",
    "a point lies on its raster": """
        SELECT annotation_id FROM annotations JOIN assets USING (asset_id)
        WHERE point IS NOT NULL AND NOT
        (len(point) = 2 AND point[1] BETWEEN 0 AND width AND point[2] BETWEEN 0 AND height)""",
    "a mask has its asset's raster, or its volume's grid": """
        SELECT annotation_id FROM annotations JOIN assets USING (asset_id)
        WHERE mask IS NOT NULL AND NOT (mask.width = assets.width AND mask.height = assets.height
        AND mask.depth IS NOT DISTINCT FROM if(annotations.frame = 'volume', assets.depth, NULL)
        AND list_sum(mask.counts) = assets.width::BIGINT * assets.height * coalesce(mask.depth, 1))""",
    "a spacing is positive or unknown": """
        SELECT asset_id FROM assets WHERE spacing_mm IS NOT NULL
        AND NOT (len(spacing_mm) = if(form = 'volume', 3, 2) AND list_min(spacing_mm) > 0)""",
    "a shape states no absence": """
        SELECT annotation_id FROM annotations
        WHERE state = 'absent' AND kind IN ('box', 'mask', 'polygon', 'point', 'interval')""",
    "only exhaustive sets carry exhaustive objects": """
        SELECT annotation_id FROM annotations JOIN assets USING (asset_id)
        WHERE exhaustive AND NOT list_contains(labelled_by, label_set)""",
    "every published text passed every rule that speaks of it": f"""
        SELECT pair_id FROM pairs WHERE {_FAILED_RULE}""",
    "numbers in a text that we wrote were judged, or belong to a name": """
        WITH names AS (
            SELECT DISTINCT source, unnest(
                [concept, label, unit, if(kind IN ('grade', 'attribute'), text, NULL)]) AS name FROM annotations
            UNION SELECT DISTINCT source, unnest([modality, anatomy, view]) FROM assets),
        named AS (
            SELECT source, list_distinct(flatten(list(regexp_extract_all(name, '[0-9]+')))) AS numbers
            FROM names WHERE regexp_matches(name, '[0-9]') GROUP BY source)
        SELECT pair_id FROM pairs LEFT JOIN named USING (source)
        WHERE origin <> 'source' AND checks.numbers = 'not_applicable' AND NOT list_has_all(
            list_concat(coalesce(numbers, []), regexp_extract_all(messages[1].content, '[0-9]+')),
            regexp_extract_all(list_last(messages).content, '[0-9]+'))""",
    "a conversation begins with the user and ends with the assistant": """
        SELECT pair_id FROM pairs
        WHERE len(messages) < 2 OR messages[1].role <> 'user' OR list_last(messages).role <> 'assistant'""",
    "the ledger balances": """
        SELECT stage || ' ' || source || ' ' || unit FROM parts WHERE n_in <> n_used + n_rejected + n_filtered""",
    "each refusal in the ledger is a row in rejects": """
        SELECT coalesce(p.place, r.place) FROM
        (SELECT stage || ' ' || source || ' ' || unit AS place, sum(n_rejected) AS rejected,
        sum(n_filtered) AS filtered FROM parts GROUP BY place) AS p
        FULL JOIN
        (SELECT stage || ' ' || source || ' ' || unit AS place, count(*) FILTER (verdict = 'rejected') AS rejected,
        count(*) FILTER (verdict = 'filtered') AS filtered FROM rejects GROUP BY place) AS r
        USING (place)
        WHERE coalesce(p.rejected, 0) <> coalesce(r.rejected, 0)
        OR coalesce(p.filtered, 0) <> coalesce(r.filtered, 0)""",
}
"""Each sentence, and the query whose rows break it."""
