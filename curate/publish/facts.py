"""What a release is, counted: every number that its card, its pictures and its Croissant file tell.

Numbers of what came in are those of the ledger (the sidecars of the corpus); numbers of what goes are asked of the
catalog, over the rows that were chosen. Nothing is estimated, and what nobody stated is null.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from curate.card import Card
from curate.corpus import Described, described
from curate.ledger import Ledger, Rewriting, ledger_of, rewriting_of
from curate.publish.base import Release
from curate.publish.selection import DIGESTED, Selection
from curate.schema import RULES, CheckVerdict, Origin, Unit, Verdict
from curate.store.part import Sidecars
from curate.terms import TermsClass

if TYPE_CHECKING:
    import duckdb

__all__ = ["Facts", "LabelSetFacts", "Lengths", "Licence", "Model", "SourceFacts", "Tally", "facts_of"]

Cells = tuple[tuple[Any, ...], ...]
"""Rows of an answer, in the order that its docstring names."""

LENGTH_BINS: Final = (0, 10, 20, 40, 80, 160, 320, 640, 1280)
"""Lower edges of the bins of text lengths, in characters; the last has no upper edge."""

SIZE_BINS: Final = (0, 64, 128, 256, 512, 1024, 2048, 4096)
"""Lower edges of the bins of the longer side, in pixels; the last has no upper edge."""


@dataclass(frozen=True, slots=True)
class Tally:
    """One unit of one source in one stage, as the ledger has it: `met == used + rejected + filtered`."""

    met: int
    used: int
    rejected: int
    filtered: int


@dataclass(frozen=True, slots=True)
class Licence:
    """A licence under which media of a source go."""

    expression: str  # SPDX
    terms: TermsClass
    media: int
    rows: int


@dataclass(frozen=True, slots=True)
class LabelSetFacts:
    """A label set of a card that rows rest on, and what its silence means. `annotations` are those that rows name."""

    name: str
    world: str
    exhaustive: bool
    annotators: tuple[str, ...]
    kinds: tuple[str, ...]
    annotations: int


@dataclass(frozen=True, slots=True)
class SourceFacts:
    """One source of the corpus that has rows in the release, or rows that stayed."""

    card: Card
    items: Tally
    images: Tally
    refusals: tuple[tuple[str, str, str, int], ...]  # (unit, verdict, reason, n) before any draft was made
    rows: int
    media: int
    withheld: Mapping[str, int]  # why -> rows
    licences: tuple[Licence, ...]
    modalities: tuple[str, ...]
    label_sets: tuple[LabelSetFacts, ...]
    limit: int | None = None  # the recipe takes so many items at most

    @property
    def id(self) -> str:
        """The card's id."""
        return self.card.id

    @property
    def digests(self) -> int:
        """Rows that stay and of which digests go."""
        return sum(self.withheld.get(word, 0) for word in DIGESTED)


@dataclass(frozen=True, slots=True)
class Model:
    """A model whose words stand in rows."""

    model: str
    engine: str | None
    where: str | None  # local | remote
    rows: int


@dataclass(frozen=True, slots=True)
class Lengths:
    """Characters of a text over all rows."""

    shortest: int
    median: int
    longest: int
    bins: tuple[int, ...]  # rows per bin of `LENGTH_BINS`


@dataclass(frozen=True, slots=True)
class Facts:
    """All that is counted of one release."""

    about: Described
    sources: tuple[SourceFacts, ...]
    rows: int
    media: int
    splits: Cells  # (split, rows, media, groups)
    source_splits: Cells  # (the source's own split or null, split, rows)
    linked: Cells  # (what links an asset to others of its group, media); '' where it stands alone
    tasks: Cells  # (task, split, rows)
    sources_by_split: Cells  # (source, split, rows)
    languages: Cells  # (language, rows)
    origins: Cells  # (origin, rows)
    wordings: int
    models: tuple[Model, ...]
    rewriting: Rewriting | None
    checks: Cells  # (rule, pass, fail, not applicable)
    refused_texts: Cells  # (reason, drafts) of `verify`
    refused_answers: Cells  # (reason, answers) of models
    labels: Cells  # (concept, state, images, rows), most images first
    forms: Cells  # (form, media type, media)
    modalities: Cells  # (modality or null, media)
    sizes: tuple[int, ...]  # media per bin of `SIZE_BINS`
    questions: Lengths
    answers: Lengths

    @property
    def going(self) -> tuple[SourceFacts, ...]:
        """The sources that have rows here; where no row goes, those of which digests do."""
        return tuple(one for one in self.sources if one.rows or (one.digests and not self.rows))

    def rows_of(self, origin: Origin) -> int:
        """Rows whose text is of this origin."""
        return sum(rows for word, rows in self.origins if word == origin)

    def source(self, name: str) -> SourceFacts:
        """The source with this id."""
        return next(one for one in self.sources if one.id == name)


def facts_of(chosen: Selection, release: Release) -> Facts:
    """Count a release. The views of the corpus and the table `chosen` stand on the selection's connection."""
    about = described(chosen.out)
    sidecars = Sidecars(chosen.out).listed()
    ledger = ledger_of(sidecars)
    base = chosen.connection  # not a cursor of it, which would not see tables without files
    _make_views(base)
    names = sorted({*release.cards, *release.withheld})
    return Facts(
        about=about,
        sources=tuple(_source(base, ledger, about, release, name) for name in names),
        rows=_number(base, "SELECT count(*) FROM going"),
        media=_number(base, "SELECT count(*) FROM going_media"),
        splits=_splits(base),
        source_splits=_cells(
            base, "SELECT source_split, split, count(*) FROM going GROUP BY ALL ORDER BY ALL NULLS LAST"
        ),
        linked=_cells(
            base,
            "SELECT linked, count(*) FROM (SELECT unnest(CASE WHEN len(linked_by) = 0 THEN [''] ELSE linked_by END) "
            "AS linked FROM going_media JOIN (SELECT asset_id, linked_by FROM groups) USING (asset_id)) "
            "GROUP BY ALL ORDER BY ALL",
        ),
        tasks=_cells(base, "SELECT task, split, count(*) FROM going GROUP BY ALL ORDER BY ALL"),
        sources_by_split=_cells(base, "SELECT source, split, count(*) FROM going GROUP BY ALL ORDER BY ALL"),
        languages=_cells(base, "SELECT language, count(*) AS n FROM going GROUP BY ALL ORDER BY n DESC, language"),
        origins=_cells(base, "SELECT origin, count(*) AS n FROM going GROUP BY ALL ORDER BY n DESC, origin"),
        wordings=_number(base, "SELECT count(DISTINCT wording) FROM going"),
        models=_models(base),
        rewriting=rewriting_of(ledger, sidecars),
        checks=_checks(base),
        refused_texts=_refused(ledger, Unit.DRAFT, names),
        refused_answers=_refused(ledger, Unit.ANSWER, (*names, "*")),
        labels=_labels(base),
        forms=_cells(base, "SELECT form, media_type, count(*) FROM going_media GROUP BY ALL ORDER BY ALL"),
        modalities=_cells(
            base, "SELECT modality, count(*) AS n FROM going_media GROUP BY ALL ORDER BY n DESC, modality NULLS LAST"
        ),
        sizes=_histogram(base, "SELECT greatest(width, height) AS x FROM going_media", SIZE_BINS),
        questions=_lengths(base, "messages[1].content[1 + 8 * len(asset_ids):]"),
        answers=_lengths(base, "messages[-1].content"),
    )


def _make_views(base: "duckdb.DuckDBPyConnection") -> None:
    base.execute("CREATE OR REPLACE TEMP VIEW going AS SELECT pairs.* FROM pairs SEMI JOIN chosen USING (pair_id)")
    base.execute(
        "CREATE OR REPLACE TEMP VIEW going_media AS "
        "SELECT assets.* FROM assets SEMI JOIN (SELECT DISTINCT unnest(asset_ids) AS asset_id FROM going) "
        "USING (asset_id)"
    )
    base.execute(
        "CREATE OR REPLACE TEMP VIEW going_said AS "
        "SELECT annotations.* FROM annotations SEMI JOIN "
        "(SELECT DISTINCT unnest(annotation_ids) AS annotation_id FROM going) USING (annotation_id)"
    )


def _cells(base: "duckdb.DuckDBPyConnection", sql: str, values: Iterable[Any] = ()) -> Cells:
    return tuple(base.execute(sql, list(values)).fetchall())


def _number(base: "duckdb.DuckDBPyConnection", sql: str, values: Iterable[Any] = ()) -> int:
    (cell,) = _cells(base, sql, values)[0]
    return int(cell or 0)


def _source(
    base: "duckdb.DuckDBPyConnection", ledger: Ledger, about: Described, release: Release, name: str
) -> SourceFacts:
    rows = _number(base, "SELECT count(*) FROM going WHERE source = ?", [name])
    return SourceFacts(
        card=about.cards[name],
        items=_tally(ledger, name, "read", Unit.ITEM),
        images=_tally(ledger, name, "scan", Unit.IMAGE),
        refusals=tuple(
            (unit, verdict, reason, n)
            for (of, unit, verdict, reason), n in sorted(ledger.refusals.items())
            if of == name and unit not in (Unit.DRAFT, Unit.REQUEST, Unit.ANSWER)
        ),
        rows=rows,
        media=_number(base, "SELECT count(*) FROM going_media WHERE source = ?", [name]),
        withheld=dict(sorted(release.withheld.get(name, {}).items())),
        licences=_licences(base, name),
        modalities=tuple(
            word
            for (word,) in _cells(
                base,
                "SELECT DISTINCT modality FROM going_media WHERE source = ? AND modality IS NOT NULL ORDER BY 1",
                [name],
            )
        )
        or tuple(filter(None, [about.cards[name].modality])),
        label_sets=_label_sets(base, name),
        limit=about.limits.get(name),
    )


def _tally(ledger: Ledger, source: str, stage: str, unit: Unit) -> Tally:
    lines = [line for line in ledger.lines if (line.stage, line.source, line.unit) == (stage, source, unit)]
    return Tally(
        sum(line.n_in for line in lines),
        sum(line.n_used for line in lines),
        sum(line.n_rejected for line in lines),
        sum(line.n_filtered for line in lines),
    )


def _licences(base: "duckdb.DuckDBPyConnection", source: str) -> tuple[Licence, ...]:
    found = _cells(
        base,
        """
        SELECT licence, terms_class, count(DISTINCT asset_id), count(DISTINCT pair_id)
        FROM (SELECT pair_id, unnest(asset_ids) AS asset_id FROM going WHERE source = ?)
        JOIN (SELECT asset_id, licence, terms_class FROM assets) USING (asset_id) GROUP BY ALL ORDER BY ALL
        """,
        [source],
    )
    return tuple(Licence(expression, TermsClass(terms), media, rows) for expression, terms, media, rows in found)


def _label_sets(base: "duckdb.DuckDBPyConnection", source: str) -> tuple[LabelSetFacts, ...]:
    found = _cells(
        base,
        """
        SELECT label_set, world, exhaustive, list_sort(list(DISTINCT annotator)), list_sort(list(DISTINCT kind)),
            count(*)
        FROM going_said WHERE source = ? GROUP BY label_set, world, exhaustive ORDER BY ALL
        """,
        [source],
    )
    return tuple(
        LabelSetFacts(name, world, exhaustive, tuple(annotators), tuple(kinds), n)
        for name, world, exhaustive, annotators, kinds, n in found
    )


def _splits(base: "duckdb.DuckDBPyConnection") -> Cells:
    return _cells(
        base,
        """
        SELECT split, rows, media, groups
        FROM (SELECT split, count(*) AS rows FROM going GROUP BY split)
        JOIN (SELECT split, count(*) AS media, count(DISTINCT group_id) AS groups FROM going_media GROUP BY split)
            USING (split) ORDER BY split
        """,
    )


def _models(base: "duckdb.DuckDBPyConnection") -> tuple[Model, ...]:
    found = _cells(
        base,
        """
        SELECT model, engine, "where", count(*) FROM going
        JOIN (SELECT DISTINCT response_id, model, engine, "where" FROM responses) USING (response_id)
        WHERE model IS NOT NULL GROUP BY ALL ORDER BY ALL
        """,
    )
    return tuple(Model(*cells) for cells in found)


def _checks(base: "duckdb.DuckDBPyConnection") -> Cells:
    counted = ", ".join(
        f"count(*) FILTER (checks.{rule} = '{verdict}')"
        for rule in RULES
        for verdict in (CheckVerdict.PASS, CheckVerdict.FAIL, CheckVerdict.NOT_APPLICABLE)
    )
    (numbers,) = _cells(base, f"SELECT {counted} FROM going")
    return tuple((rule, *numbers[3 * place : 3 * place + 3]) for place, rule in enumerate(RULES))


def _refused(ledger: Ledger, unit: Unit, sources: Iterable[str]) -> Cells:
    wanted = frozenset(sources)
    found: dict[str, int] = {}
    for (of, its, verdict, reason), n in ledger.refusals.items():
        if of in wanted and its == unit and verdict == Verdict.REJECTED:
            found[reason] = found.get(reason, 0) + n
    return tuple(sorted(found.items(), key=lambda pair: (-pair[1], pair[0])))


def _labels(base: "duckdb.DuckDBPyConnection") -> Cells:
    return _cells(
        base,
        """
        SELECT concept, coalesce(state, 'stated') AS state, count(DISTINCT asset_id) AS images,
            count(DISTINCT pair_id) AS rows
        FROM (SELECT pair_id, unnest(annotation_ids) AS annotation_id FROM going)
        JOIN (SELECT annotation_id, asset_id, concept, state FROM annotations) USING (annotation_id)
        WHERE concept IS NOT NULL GROUP BY ALL ORDER BY images DESC, concept, state
        """,
    )


def _histogram(base: "duckdb.DuckDBPyConnection", sql: str, edges: tuple[int, ...]) -> tuple[int, ...]:
    """How many values `x` of a query lie in each bin."""
    counted = []
    for place, edge in enumerate(edges):
        below = f" AND x < {edges[place + 1]}" if place + 1 < len(edges) else ""
        counted.append(f"count(*) FILTER (x >= {edge}{below})")
    return tuple(_cells(base, f"SELECT {', '.join(counted)} FROM ({sql})")[0])


def _lengths(base: "duckdb.DuckDBPyConnection", text: str) -> Lengths:
    lengths = f"SELECT length({text}) AS x FROM going"
    ((shortest, median, longest),) = _cells(
        base, f"SELECT min(x), CAST(quantile_disc(x, 0.5) AS BIGINT), max(x) FROM ({lengths})"
    )
    return Lengths(shortest or 0, median or 0, longest or 0, _histogram(base, lengths, LENGTH_BINS))
