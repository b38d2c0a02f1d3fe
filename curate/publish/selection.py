"""Which rows of a built corpus may go: proved, not taken back, and under terms that let them.

A row goes with all that it shows, so what binds one of its assets binds the row. What stays is counted by its source
and by the first of these that holds: `takedown`; `not_deidentified` (nothing states that the source is); the class of
terms that keeps it (`agreement`, `no_derivatives`, `unknown`); `not_chosen` (by the query of whoever publishes);
`digests_only` (whoever publishes passes no row on).
"""

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from curate.card import Card
from curate.catalog import connect, only_reads
from curate.corpus import described
from curate.errors import GateError, UsageError
from curate.store.part import Sidecars
from curate.store.place import Place
from curate.terms import UNSTATED, TermsClass, bound_alike, publish_problem

if TYPE_CHECKING:
    import duckdb

__all__ = ["DIGESTED", "Selection", "select", "view_of_drafts"]

DIGESTED: Final = ("agreement", "no_derivatives", "digests_only")
"""Why a row stays although digests of it go. What was taken back or is not de-identified leaves nothing."""

_QUERY: Final = re.compile(r"\s*(?:select|with|from)\b", re.IGNORECASE)
"""How a query begins that gives pair ids; what begins otherwise is a condition on `pairs`."""


@dataclass(frozen=True, slots=True)
class Selection:
    """The rows that go, as the table `chosen` of a connection on which the views of the corpus stand too.

    Columns of `chosen`: pair_id, source, split, place (the number of the row's first asset in the corpus).
    """

    out: Place
    name: str
    connection: "duckdb.DuckDBPyConnection"
    cards: Mapping[str, Card]  # of the sources that have rows here
    rows_in: Mapping[str, int]  # split -> rows
    withheld: Mapping[str, Mapping[str, int]]  # source -> why -> rows
    licence: str
    where: str | None = None  # the query by which rows were chosen

    @property
    def n_digests(self) -> int:
        """Rows that stay and of which digests go."""
        return sum(reasons.get(word, 0) for reasons in self.withheld.values() for word in DIGESTED)

    @property
    def n_withheld(self) -> int:
        """Rows that stay."""
        return sum(n for reasons in self.withheld.values() for n in reasons.values())


def select(
    out: Place,
    *,
    sources: Collection[str] | None = None,
    withdrawn: Collection[str] = (),
    where: str | None = None,
    digests: bool = False,
) -> Selection:
    """The rows of a corpus that may be published.

    `sources`: take these alone. `withdrawn`: ids that were taken back (of pairs, assets, annotations, responses,
    subject tokens, item keys); whatever rests on one of them stays. `where`: only these, by a condition on `pairs` or
    a query that gives `pair_id`; beside the tables of the catalog it may read `drafts` (draft_id, constraints, brief).
    `digests`: pass no row on, only digests (`rebuild`) of those that may go and of those whose terms forbid it; nobody
    stated a licence for such a release.

    Raises:
        UsageError: there is no corpus with a catalog, a source that was asked for is not in it, or `where` is no
            condition or query.
        GateError: no row may go (with `digests`: nor any digest), or the terms of two sources cannot both be met.
    """
    about = described(out)
    strange = sorted(set(sources or ()) - set(about.cards))
    if strange:
        raise UsageError(f"{out} has no source {', '.join(strange)}; it has {', '.join(sorted(about.cards))}")
    connection = connect(out)
    _judge(connection, about.cards, sorted(set(about.cards if sources is None else sources)), sorted(set(withdrawn)))
    if where is not None:
        view_of_drafts(connection, out)
        _keep_only(connection, where)
    if digests:
        connection.execute("UPDATE judged SET why = 'digests_only' WHERE why IS NULL")
    withheld: dict[str, dict[str, int]] = {}
    for source, why, rows in connection.execute(
        "SELECT source, why, count(*) FROM judged WHERE why IS NOT NULL GROUP BY ALL ORDER BY ALL"
    ).fetchall():
        withheld.setdefault(source, {})[why] = rows
    connection.execute(
        "CREATE TABLE chosen AS "
        "SELECT pair_id, source, split, place FROM judged WHERE why IS NULL ORDER BY place, pair_id"
    )
    licences = _licences(connection)
    cards = {source: card for source, card in sorted(about.cards.items()) if any(of == source for of, _ in licences)}
    _check_together(licences, cards)
    rows_in = connection.execute("SELECT split, count(*) FROM chosen GROUP BY split ORDER BY split").fetchall()
    found = Selection(
        out=out,
        name=str(about.recipe["name"]),
        connection=connection,
        cards=cards,
        rows_in=dict(rows_in),
        withheld=withheld,
        licence=" AND ".join(_parts(sorted({licence for _, licence in licences}))) or UNSTATED,
        where=where,
    )
    if not cards and not (digests and found.n_digests):
        raise GateError(_nothing_goes(found, about.cards, digests=digests))
    return found


def _judge(
    connection: "duckdb.DuckDBPyConnection", cards: Mapping[str, Card], sources: list[str], withdrawn: list[str]
) -> None:
    """The table `judged`: every pair of the sources asked for, with why it stays or null."""
    connection.execute("CREATE TABLE gone (id VARCHAR PRIMARY KEY)")
    if withdrawn:
        connection.execute("INSERT INTO gone SELECT unnest(?)", [withdrawn])
    problems = [
        (source, str(found), publish_problem(card, found)) for source, card in cards.items() for found in TermsClass
    ]
    connection.execute("CREATE TABLE terms (source VARCHAR, terms_class VARCHAR, problem VARCHAR)")
    connection.executemany("INSERT INTO terms VALUES (?, ?, ?)", problems)
    connection.execute(
        """
        CREATE TABLE placed AS
        SELECT row_number() OVER () AS place, asset_id, licence, problem,
            asset_id IN (FROM gone) OR coalesce(subject IN (FROM gone), false) OR item_key IN (FROM gone)
                OR coalesce(derived_from IN (FROM gone), false)
                OR coalesce(rendering_of IN (FROM gone), false) AS is_gone
        FROM assets LEFT JOIN terms USING (source, terms_class)
        """
    )
    connection.execute(
        """
        CREATE TABLE judged AS
        WITH shown AS (
            SELECT pair_id, unnest(asset_ids) AS asset_id, generate_subscripts(asset_ids, 1) AS n
            FROM pairs WHERE source IN (SELECT unnest(?))
        ), by_pair AS (
            SELECT pair_id, bool_or(is_gone) AS is_gone, min(problem) AS problem, min(place) FILTER (n = 1) AS place
            FROM shown JOIN placed USING (asset_id) GROUP BY pair_id
        )
        SELECT pair_id, source, split, place, CASE
            WHEN is_gone OR pair_id IN (FROM gone) OR coalesce(response_id IN (FROM gone), false)
                OR list_has_any(annotation_ids, (SELECT coalesce(list(id), []) FROM gone)) THEN 'takedown'
            ELSE problem END AS why
        FROM pairs JOIN by_pair USING (pair_id)
        """,
        [sources],
    )


def view_of_drafts(connection: "duckdb.DuckDBPyConnection", out: Place) -> None:
    """The view `drafts`: what each pair was asked, by its id."""
    drafts = [out / file.name for part in Sidecars(out).listed("draft") for file in part.of("drafts")]
    names = ", ".join("'" + str(path).replace("'", "''") + "'" for path in drafts)
    connection.execute(
        f"CREATE OR REPLACE VIEW drafts AS SELECT draft_id, constraints, brief FROM read_parquet([{names}])"
    )


def _keep_only(connection: "duckdb.DuckDBPyConnection", where: str) -> None:
    """Let those rows stay that were not asked for."""
    import duckdb

    asked = where if _QUERY.match(where) else f"SELECT pair_id FROM pairs WHERE ({where}\n)"
    try:
        only_reads(connection, asked)
        connection.execute(f"CREATE TABLE wanted AS SELECT DISTINCT pair_id FROM ({asked}\n) WHERE pair_id IS NOT NULL")
    except duckdb.Error as problem:
        raise UsageError(
            f"--where was not accepted: {problem}. Give a condition on `pairs`, or a query whose column is pair_id"
        ) from None
    connection.execute(
        "UPDATE judged SET why = 'not_chosen' WHERE why IS NULL AND pair_id NOT IN (SELECT pair_id FROM wanted)"
    )


def _licences(connection: "duckdb.DuckDBPyConnection") -> list[tuple[str, str]]:
    """Every licence of what goes, with its source."""
    found: list[tuple[str, str]] = connection.execute(
        """
        SELECT DISTINCT source, placed.licence
        FROM (SELECT source, unnest(asset_ids) AS asset_id FROM pairs SEMI JOIN chosen USING (pair_id))
        JOIN placed USING (asset_id) ORDER BY ALL
        """
    ).fetchall()
    return found


def _parts(licences: list[str]) -> list[str]:
    """Expressions as they stand in a conjunction."""
    return [f"({licence})" if " OR " in licence and len(licences) > 1 else licence for licence in licences]


def _check_together(licences: list[tuple[str, str]], cards: Mapping[str, Card]) -> None:
    """Refuse terms that ask different licences of the same whole."""
    first: tuple[str, str, str] | None = None
    for source, licence in licences:
        asked = bound_alike(licence)
        if asked is None:
            continue
        if first is not None and first[2] != asked:
            told = "; ".join(
                f'{of} ({its}, read at {cards[of].terms.read_at}): "{cards[of].terms.quote}"'
                for of, its in ((first[0], first[1]), (source, licence))
            )
            raise GateError(
                f"the terms of {first[0]} and {source} cannot both be met by one release, since each asks that the "
                f"whole go under its own licence. {told}. Publish them apart: --source {source}"
            )
        first = first or (source, licence, asked)


def _nothing_goes(found: Selection, cards: Mapping[str, Card], *, digests: bool) -> str:
    out, withheld = found.out, found.withheld
    if not withheld:
        return f"{out} has no pairs to publish; `curate status {out}` shows what was built"
    if all(set(reasons) == {"not_chosen"} for reasons in withheld.values()):
        return f"--where chooses none of the rows of {out}; try its query with `curate query {out}`"
    told = []
    for source, reasons in withheld.items():
        terms = cards[source].terms
        why = ", ".join(f"{rows} {reason}" for reason, rows in reasons.items())
        told.append(f'{source}: {why} ({terms.licence}, read at {terms.read_at}: "{terms.quote}")')
    return (
        f"no row of {out} may be published. {'; '.join(told)}. A card states `deidentified: true` where its source "
        "says so; terms that keep rows here are met by publishing none"
        + (", or the recipe and digests alone (--digests)" if found.n_digests and not digests else "")
    )
