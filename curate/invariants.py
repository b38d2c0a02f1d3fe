"""The invariants of `schema` as queries over the catalog's views: each returns the keys that break its sentence."""

from typing import Final

from curate.schema import RULES

__all__ = ["INVARIANTS"]

_FAILED_RULE: Final = " OR ".join(f"checks.{rule} = 'fail'" for rule in RULES)


def _step_is(column: int, place: int) -> str:
    """That a column of `affine_lps` (1-based) is as long as its number in `spacing_mm`, where there is one."""
    length = " + ".join(f"affine_lps[{row + column}] ** 2" for row in (0, 4, 8))
    return f"coalesce(abs(sqrt({length}) / spacing_mm[{place}] - 1) < 1e-3, spacing_mm IS NULL)"


def _corner_mm(row: int) -> str:
    """How far, along one axis of the patient, the upper left corner of slice `a` lies from where volume `b` has it.

    The corner of the raster, not the centre of its first pixel: it stays where it is when the slice is shrunk. The
    lowest row of an upright plane is slice 0, so that its upper edge is that of the last slice.
    """
    index = (
        "CASE a.plane WHEN 'sagittal' THEN a.position ELSE -0.5 END",
        "CASE a.plane WHEN 'coronal' THEN a.position ELSE -0.5 END",
        "CASE a.plane WHEN 'axial' THEN a.position ELSE b.depth - 0.5 END",
    )
    there = " + ".join(f"b.affine_lps[{row + column}] * ({place})" for column, place in enumerate(index, 1))
    here = f"a.affine_lps[{row + 4}] - 0.5 * (a.affine_lps[{row + 1}] + a.affine_lps[{row + 2}])"
    return f"abs({here} - ({there} + b.affine_lps[{row + 4}]))"


_CORNER_MM: Final = f"greatest({', '.join(map(_corner_mm, (0, 4, 8)))})"

_DETERMINANT: Final = (
    "(affine_lps[1] * (affine_lps[6] * affine_lps[11] - affine_lps[7] * affine_lps[10])"
    " - affine_lps[2] * (affine_lps[5] * affine_lps[11] - affine_lps[7] * affine_lps[9])"
    " + affine_lps[3] * (affine_lps[5] * affine_lps[10] - affine_lps[6] * affine_lps[9]))"
)
"""Of the first three columns of an affine: cubic millimetres of a voxel, sheared or not."""

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
    "what is cut names the whole that it comes from": """
        SELECT a.asset_id FROM assets AS a LEFT JOIN assets AS b ON b.asset_id = a.derived_from
        WHERE (a.derived_from IS NOT NULL OR a.form IN ('slice', 'tile', 'clip', 'frame'))
        AND (b.source, b.item_key, b.form) IS DISTINCT FROM (a.source, a.item_key,
        CASE a.form WHEN 'slice' THEN 'volume' WHEN 'tile' THEN 'slide' WHEN 'clip' THEN 'video'
        WHEN 'frame' THEN 'video' END)""",
    "a rendering names what it shows, which has its raster": """
        SELECT a.asset_id FROM assets AS a LEFT JOIN assets AS b ON b.asset_id = a.rendering_of
        WHERE (a.rendering_of IS NOT NULL OR a.form = 'rendering') AND (b.rendering_of IS NOT NULL
        OR (b.source, b.item_key, b.frame, b.derived_from, b.plane, b.position, b.width, b.height, b.form)
        IS DISTINCT FROM (a.source, a.item_key, a.frame, a.derived_from, a.plane, a.position, a.width, a.height,
        if(a.form = 'rendering', 'image', a.form)))""",
    "a window is that of 8 bits for the eye": """
        SELECT asset_id FROM assets
        WHERE "window" IS NOT NULL AND (bit_depth <> 8 OR form NOT IN ('rendering', 'slice')
        OR ("window".function = 'lut') <> ("window".center IS NULL)
        OR ("window".center IS NULL) <> ("window".width IS NULL)
        OR NOT coalesce("window".width > 0, true))
        OR "window" IS NULL AND form = 'rendering'""",
    "an array has its tree, type and digest, and nothing else has": """
        SELECT asset_id FROM assets WHERE len(list_distinct([media_type = 'application/zarr',
        volume IS NOT NULL, dtype IS NOT NULL, voxels_sha256 IS NOT NULL])) > 1
        OR (form = 'volume') <> (volume IS NOT NULL) AND form <> 'image'""",
    "an affine is one, and belongs to its spacing": f"""
        SELECT asset_id FROM assets WHERE affine_lps IS NOT NULL AND NOT (len(affine_lps) = 16
        AND affine_lps[13:16] = [0, 0, 0, 1] AND {_step_is(1, -1)} AND {_step_is(2, -2)}
        AND if(form = 'volume', {_step_is(3, -3)}, true))""",
    "a slice lies where its volume has it": f"""
        SELECT a.asset_id FROM assets AS a JOIN assets AS b ON b.asset_id = a.derived_from WHERE a.form = 'slice'
        AND NOT coalesce(a.position >= 0 AND a.position <
        CASE a.plane WHEN 'axial' THEN b.depth WHEN 'coronal' THEN b.height WHEN 'sagittal' THEN b.width END
        AND {_CORNER_MM} < 1e-3 * list_min(b.spacing_mm), false)""",
    "a region lies on its slide": """
        SELECT asset_id FROM assets WHERE (region IS NOT NULL) <> (form = 'tile') OR region IS NOT NULL AND NOT
        (len(region) = 4 AND region[1] >= 0 AND region[2] >= 0 AND region[3] > 0 AND region[4] > 0)
        UNION ALL
        SELECT a.asset_id FROM assets AS a JOIN assets AS b ON b.asset_id = a.derived_from
        WHERE a.form = 'tile' AND a.mpp IS NOT NULL AND b.mpp IS NOT NULL AND NOT (
        (a.region[1] + a.region[3]) * a.mpp[1] * a.width / (a.region[3] + 1) <= b.mpp[1] * (b.width + 1)
        AND (a.region[2] + a.region[4]) * a.mpp[2] * a.height / (a.region[4] + 1) <= b.mpp[2] * (b.height + 1))""",
    "a frame or clip lies in its video": """
        SELECT a.asset_id FROM assets AS a JOIN assets AS b ON b.asset_id = a.derived_from
        WHERE a.form IN ('frame', 'clip') AND NOT coalesce(a.position >= 0
        AND a.position + coalesce(a.depth, 1) <= b.depth AND a.time_s >= 0
        AND coalesce(a.time_s + coalesce(a.duration_s, 0) <= b.duration_s + 1e-6, true), false)""",
    "later pictures have later times": """
        SELECT asset_id FROM (SELECT asset_id, time_s, lag(time_s) OVER
        (PARTITION BY derived_from, form ORDER BY position) AS before
        FROM assets WHERE form IN ('frame', 'clip')) WHERE time_s <= before""",
    "a scale is positive or unknown": """
        SELECT asset_id FROM assets WHERE mpp IS NOT NULL AND NOT (len(mpp) = 2 AND list_min(mpp) > 0)""",
    "nothing is said of pieces and other views": """
        SELECT asset_id FROM assets LEFT JOIN annotations USING (asset_id)
        WHERE (form IN ('rendering', 'tile', 'frame', 'clip') OR rendering_of IS NOT NULL)
        AND (annotation_id IS NOT NULL OR len(labelled_by) > 0)""",
    "what is measured follows from its geometry": f"""
        SELECT annotation_id FROM annotations AS n JOIN assets USING (asset_id) WHERE
        area_mm2 IS NOT NULL AND (spacing_mm IS NULL OR area_px IS NULL OR NOT area_mm2 >= 0)
        OR extent_mm IS NOT NULL AND (spacing_mm IS NULL OR box IS NULL OR len(extent_mm) <> len(box) / 2)
        OR (volume_mm3 IS NOT NULL) <> coalesce(n.frame = 'volume' AND mask IS NOT NULL, false)
        OR volume_mm3 IS NOT NULL AND NOT coalesce(
        abs(volume_mm3 / (list_sum(mask.counts[2:-:2]) * abs({_DETERMINANT})) - 1) < 1e-6, false)
        OR volume_mm3 IS NOT NULL AND NOT coalesce(pieces BETWEEN 1 AND len(mask.counts) // 2, false)
        OR volume_mm3 IS NULL AND pieces IS NOT NULL
        AND NOT coalesce(form = 'slice' AND area_mm2 > 0 AND pieces > 0, false)
        OR mean_hu IS NOT NULL
        AND NOT coalesce(volume_mm3 IS NOT NULL AND isfinite(mean_hu) AND rescale_unit = 'HU', false)
        OR n.frame = 'volume' AND NOT coalesce(
        abs(extent_mm[1] / ((box[4] - box[1]) * spacing_mm[3]) - 1) < 1e-6
        AND abs(extent_mm[2] / ((box[5] - box[2]) * spacing_mm[2]) - 1) < 1e-6
        AND abs(extent_mm[3] / ((box[6] - box[3]) * spacing_mm[1]) - 1) < 1e-6, false)""",
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
    "a pair in a model's words names an accepted answer to what it asked, and no other pair names one": """
        SELECT pair_id FROM pairs AS p LEFT JOIN responses AS r ON r.response_id = p.response_id
        WHERE (p.origin = 'llm') <> (p.response_id IS NOT NULL) OR p.response_id IS NOT NULL
        AND (r.verdict, r.request_id) IS DISTINCT FROM ('accepted', p.request_id)""",
    "text of a source is asked of nobody": """
        SELECT pair_id FROM pairs WHERE origin = 'source' AND request_id IS NOT NULL""",
    "a request has one first answer, and a second only where the first was refused": """
        SELECT request_id FROM responses GROUP BY request_id
        HAVING list_sort(list(attempt)) NOT IN ([1], [1, 2])
        OR len(list(attempt)) = 2 AND min_by(verdict, attempt) <> 'refused'""",
    "a first answer has its request's own name, a second that of its repair": """
        SELECT response_id FROM responses WHERE (response_id = request_id) <> (attempt = 1)
        UNION ALL
        SELECT response_id FROM responses GROUP BY response_id HAVING count(*) > 1""",
    "an answer is refused for a reason, and without a text it is": """
        SELECT response_id FROM responses
        WHERE (verdict = 'refused') <> (reason IS NOT NULL) OR text IS NULL AND verdict <> 'refused'""",
    "what a pair asked has an answer": """
        SELECT pair_id FROM pairs ANTI JOIN responses USING (request_id) WHERE request_id IS NOT NULL""",
    "an accepted answer serves a pair, or was refused for each that asked": """
        SELECT response_id FROM responses ANTI JOIN pairs USING (response_id)
        ANTI JOIN (SELECT item_key AS response_id FROM rejects WHERE stage = 'verify' AND unit = 'answer')
        USING (response_id) WHERE verdict = 'accepted'""",
    "a pair that keeps its template although its request was answered well says why": """
        SELECT p.pair_id FROM pairs AS p JOIN responses AS r ON r.request_id = p.request_id AND r.verdict = 'accepted'
        WHERE p.response_id IS NULL AND NOT EXISTS (SELECT 1 FROM rejects AS j WHERE j.stage = 'verify'
        AND j.unit = 'answer' AND j.item_key = r.response_id AND ends_with(j.locator, ' ' || p.pair_id))""",
    "every answer is in the ledger, and every pair that it serves": """
        SELECT coalesce(p.place, t.place) FROM
        (SELECT stage || ' ' || unit AS place, sum(n_in)::BIGINT AS n_in, sum(n_used)::BIGINT AS n_used FROM parts
        WHERE stage = 'rewrite' OR stage = 'verify' AND unit = 'answer' GROUP BY place) AS p
        FULL JOIN (
        SELECT 'rewrite answer' AS place, count(*) AS n_in, count(*) FILTER (verdict = 'accepted') AS n_used
        FROM responses UNION ALL
        SELECT 'rewrite request', count(DISTINCT request_id),
        count(DISTINCT request_id) FILTER (verdict = 'accepted') FROM responses UNION ALL
        SELECT 'verify answer', (SELECT count(*) FROM pairs WHERE response_id IS NOT NULL)
        + (SELECT count(*) FROM rejects WHERE stage = 'verify' AND unit = 'answer'),
        (SELECT count(*) FROM pairs WHERE response_id IS NOT NULL)) AS t
        USING (place)
        WHERE coalesce(p.n_in, 0) <> coalesce(t.n_in, 0) OR coalesce(p.n_used, 0) <> coalesce(t.n_used, 0)""",
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
