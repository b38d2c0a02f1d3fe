"""What lets others build rows whose bytes may not be passed on: the recipe, the cards, and digests to prove the result.

    recipe/recipe.yaml, recipe/catalogs/<source>.yaml    what `curate build` takes
    rebuild/<source>.parquet                             one line per row of which digests alone go

A line names a row by identifiers alone: no text, no path, no label. `proof` is a digest over the row's text and the
stored bytes of what it shows. Whoever has not got the bytes can test no guess by it; whoever built the corpus from the
source has the same digest. So `same_rows` proves a corpus even where another project key gave other tokens, and with
them other identifiers.
"""

import io
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import msgspec
import pyarrow as pa
import yaml

from curate.card import LABEL_SET_KEYS, Card
from curate.catalog import connect
from curate.corpus import Described, described
from curate.errors import StoreError, UsageError
from curate.publish.selection import DIGESTED, Selection
from curate.store.parquet import HashingFile, TableFile
from curate.store.place import Place, open_binary, walk

if TYPE_CHECKING:
    import duckdb

__all__ = ["DIGESTS", "FOLDER", "Comparison", "card_yaml", "digests_of", "rebuilt", "recipe_files", "same_rows"]

FOLDER: Final = "rebuild"
"""Where the digests of a release lie."""

AT_ONCE: Final = 20_000
"""Lines held at a time."""

DIGESTS: Final = pa.schema(
    [
        pa.field("pair_id", pa.string(), nullable=False),
        pa.field("split", pa.string(), nullable=False),
        pa.field("asset_ids", pa.list_(pa.string()), nullable=False),
        pa.field("item_tokens", pa.list_(pa.string()), nullable=False),  # the first 128 bits of sha256(item_key)
        pa.field("content_sha256", pa.list_(pa.string()), nullable=False),  # of the source files
        pa.field("annotation_ids", pa.list_(pa.string()), nullable=False),
        pa.field("proof", pa.string(), nullable=False),
    ]
)
"""One row that stays at home."""


@dataclass(frozen=True, slots=True)
class Comparison:
    """How rows that were built again compare with digests: `same + changed + missing == lines`.

    `same`: the proof is there. `changed`: a row of this id is there and says something else. `extra`: rows of the
    source that no line speaks of, such as those that were taken back. `missing_files`: source files that are not there.
    """

    lines: int
    same: int
    changed: int
    missing: int
    extra: int
    missing_files: int

    @property
    def is_whole(self) -> bool:
        """True where every line was proved."""
        return self.same == self.lines


def digests_of(chosen: Selection) -> Iterator[tuple[str, bytes]]:
    """Source and Parquet file of each source of which digests go, in the order of their names."""
    sources = [name for name, why in sorted(chosen.withheld.items()) if any(why.get(word) for word in DIGESTED)]
    for source in sources:
        words = ", ".join(f"'{word}'" for word in DIGESTED)
        kept = f"(SELECT pair_id FROM judged WHERE source = '{source}' AND why IN ({words}))"
        sink = io.BytesIO()
        table = TableFile(HashingFile(sink), DIGESTS)
        columns = ", ".join(DIGESTS.names)
        query = f"SELECT {columns} FROM ({_lines(kept)}) ORDER BY pair_id"
        for batch in chosen.connection.sql(query).to_arrow_reader(AT_ONCE):
            table.write(pa.Table.from_batches([batch]).cast(DIGESTS))
        table.close()
        yield source, sink.getvalue()


def _lines(wanted: str) -> str:
    """The lines of some rows, as SQL over the views of a corpus; `wanted` is a query of their ids."""
    said = "array_to_string(list_transform(messages, lambda m: m.role || chr(1) || m.content), chr(2))"
    return f"""
        WITH rows AS (SELECT * FROM pairs SEMI JOIN {wanted} USING (pair_id)),
        shown AS (
            SELECT pair_id, list(asset_id ORDER BY n) AS asset_ids,
                list(left(sha256(item_key), 32) ORDER BY n) AS item_tokens,
                list(content_sha256 ORDER BY n) AS content_sha256,
                string_agg(image_sha256, ' ' ORDER BY n) AS stored
            FROM (SELECT pair_id, unnest(asset_ids) AS asset_id, generate_subscripts(asset_ids, 1) AS n FROM rows)
            JOIN (SELECT asset_id, item_key, content_sha256, image_sha256 FROM assets) USING (asset_id) GROUP BY pair_id
        )
        SELECT pair_id, split, shown.asset_ids, item_tokens, content_sha256, annotation_ids,
            sha256(stored || chr(3) || task || chr(3) || {said}) AS proof
        FROM rows JOIN shown USING (pair_id)
    """


def rebuilt(out: Place, digests: Place) -> dict[str, Comparison]:
    """Compare a corpus with a file of digests, or with all in a folder (`rebuild/` of a release, or the release).

    By source, in the order of their names.

    Raises:
        UsageError: there is no such file or folder, no digests are in it, or the corpus lacks one of the sources.
        StoreError: a file cannot be read, or is no file of digests.
    """
    files = [digests] if digests.is_file() else []
    if not files:
        folder = digests / FOLDER if (digests / FOLDER).is_dir() else digests
        files = [folder / one.name for one in walk(folder) if one.name.endswith(".parquet") and "/" not in one.name]
    if not files:
        raise UsageError(f"{digests} holds no digests of rows; name a release, or its folder {FOLDER}/")
    return {file.stem: same_rows(out, file.stem, file) for file in sorted(files, key=lambda one: one.name)}


def same_rows(out: Place, source: str, digests: Place) -> Comparison:
    """Compare a corpus that was built from the source itself with the digests of a release.

    Raises:
        UsageError: the corpus has no such source.
        StoreError: the file cannot be read, or is no file of digests.
    """
    import duckdb
    import pyarrow.parquet as pq

    if source not in described(out).cards:
        raise UsageError(f"{out} has no source {source}; build it with the recipe of the release")
    try:
        with open_binary(digests) as file:
            wanted = pq.read_table(file, schema=DIGESTS)
    except (OSError, pa.ArrowException) as problem:
        raise StoreError(
            f"{digests} cannot be read as digests of rows ({type(problem).__name__}); take it from the release again"
        ) from None
    with connect(out) as connection:
        connection.register("wanted", wanted)
        mine = f"(SELECT pair_id FROM pairs WHERE source = '{source}')"
        connection.execute(f"CREATE TEMP TABLE built AS SELECT pair_id, proof FROM ({_lines(mine)})")
        try:
            return _compared(connection)
        except duckdb.Error as problem:
            raise StoreError(f"{out} cannot be compared ({type(problem).__name__}); `curate check` says why") from None


def _compared(connection: "duckdb.DuckDBPyConnection") -> Comparison:
    """Proofs are matched as often as they stand on both sides; what is left over is looked up by its id."""
    found = connection.execute(
        """
        WITH w AS (SELECT pair_id, proof, row_number() OVER (PARTITION BY proof ORDER BY pair_id) AS n FROM wanted),
        b AS (SELECT pair_id, proof, row_number() OVER (PARTITION BY proof ORDER BY pair_id) AS n FROM built),
        left_over AS (SELECT * FROM w ANTI JOIN b USING (proof, n)),
        unused AS (SELECT * FROM b ANTI JOIN w USING (proof, n))
        SELECT (SELECT count(*) FROM w),
            (SELECT count(*) FROM w SEMI JOIN b USING (proof, n)),
            (SELECT count(*) FROM left_over SEMI JOIN unused USING (pair_id)),
            (SELECT count(*) FROM left_over ANTI JOIN unused USING (pair_id)),
            (SELECT count(*) FROM unused ANTI JOIN left_over USING (pair_id)),
            (SELECT count(*) FROM (SELECT DISTINCT unnest(content_sha256) AS content_sha256 FROM wanted)
                ANTI JOIN assets USING (content_sha256))
        """
    ).fetchone()
    assert found is not None
    return Comparison(*found)


def recipe_files(about: Described) -> Iterator[tuple[str, str]]:
    """Path and text of the recipe and of every card, as `curate build recipe/recipe.yaml` takes them."""
    yield "recipe/recipe.yaml", _yaml(_recipe(about))
    for name, card in sorted(about.cards.items()):
        yield f"recipe/catalogs/{name}.yaml", card_yaml(card)
    if about.pack is not None:
        yield "recipe/prompts.yaml", _yaml(msgspec.to_builtins(about.pack))


def _recipe(about: Described) -> dict[str, Any]:
    """The recipe in the words of a file: limits with their source, settings of a task beside its name."""
    plain: dict[str, Any] = {key: value for key, value in about.recipe.items() if key != "folder" and value is not None}
    plain["sources"] = [
        name if about.limits.get(name) is None else {"card": name, "limit": about.limits[name]}
        for name in sorted(about.cards)
    ]
    tasks = plain["tasks"]
    plain["tasks"] = [{"name": task["name"], "variants": task["variants"], **task["options"]} for task in tasks]
    if about.pack is not None and isinstance(plain.get("rewrite"), Mapping):
        plain["rewrite"] = {**plain["rewrite"], "style": "prompts.yaml"}
    first = ("name", "sources", "tasks")
    return {key: plain[key] for key in first} | {key: value for key, value in plain.items() if key not in first}


def card_yaml(card: Card) -> str:
    """A card as a file: what it leaves to its defaults is left out, options stand beside the keys of a label set."""
    plain: dict[str, Any] = _stated(msgspec.to_builtins(card), msgspec.to_builtins(_defaults(card)))
    labels = []
    for labels_of, whole in zip(card.labels, msgspec.to_builtins(card.labels), strict=True):
        known = {key: value for key, value in whole.items() if key in LABEL_SET_KEYS and value not in (None, [])}
        labels.append(known | labels_of.options)
    if labels:
        plain["labels"] = labels
    return _yaml(plain)


def _defaults(card: Card) -> Card:
    return Card(id=card.id, title="", source=card.source, terms=card.terms, images=card.images, subject=card.subject)


def _stated(plain: dict[str, Any], default: dict[str, Any]) -> dict[str, Any]:
    always = ("id", "title", "source", "terms", "images", "subject")
    kept = {key: value for key, value in plain.items() if key in always or value != default.get(key)}
    return {key: _without_nulls(value) for key, value in kept.items()}


def _without_nulls(value: Any) -> Any:
    """A struct without the keys that are null: absent says the same, and reads better."""
    if isinstance(value, dict):
        return {key: inner for key, inner in value.items() if inner is not None}
    return value


def _yaml(plain: Any) -> str:
    return str(yaml.safe_dump(plain, sort_keys=False, allow_unicode=True, width=120))
