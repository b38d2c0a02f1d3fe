"""The dataset card of a release, `README.md`: what it is, what it rests on, how to load it and what is known to lack.

Every number comes from `facts`; nothing is said that neither a card, the ledger nor the rows say.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from curate.publish.base import File, Release, Written
from curate.publish.facts import Facts
from curate.publish.front_matter import front_matter
from curate.publish.loading import loading
from curate.publish.markdown import count, is_address, plain, share, table
from curate.schema import Origin, World

__all__ = ["WITHHELD", "Picture", "Rebuild", "readme"]

WITHHELD: Final[Mapping[str, str]] = {
    "takedown": "taken back",
    "not_deidentified": "nothing states that the source is de-identified",
    "agreement": "its terms let nobody pass it on",
    "no_derivatives": "its terms forbid derivatives, and a row is one",
    "unknown": "its terms are not known",
    "not_chosen": "the query of this release leaves it out",
    "digests_only": "this release passes no row on",
}
"""What keeps rows out of a release, in words."""

_ORIGINS: Final[Mapping[str, str]] = {
    Origin.TEMPLATE: "wording by template, facts by annotation",
    Origin.LLM: "wording by a language model, proved against the annotations; it never writes a coordinate",
    Origin.SOURCE: "question and answer as the source has them",
}

_SOURCE_HEAD: Final = (
    "source", "title", "modality", "version", "licence", "terms", "items", "used", "rejected", "filtered", "media",
    "rows", "withheld",
)  # fmt: skip

_LINKS: Final[Mapping[str, str]] = {
    "": "no link to any other",
    "subject": "one subject",
    "study": "one study",
    "file": "cut from one file",
    "bytes": "the same bytes",
    "pixels": "the same pixels, confirmed by decoding",
}


@dataclass(frozen=True, slots=True)
class Picture:
    """A picture of the card: its path in the release, what it shows in words, and what stands below it."""

    path: str
    alternative: str
    below: str = ""


@dataclass(frozen=True, slots=True)
class Rebuild:
    """What of a release lets others build it again."""

    recipe: str  # path of the recipe in the release
    digests: Mapping[str, str] = field(default_factory=dict)  # source -> path of its digests, where bytes may not go


def readme(
    release: Release,
    facts: Facts,
    written: Sequence[Written],
    files: Sequence[File],
    *,
    pictures: Sequence[Picture] = (),
    rebuild: Rebuild | None = None,
) -> str:
    """The whole card."""
    if not facts.rows:
        return _joined(_of_digests(release, facts, written, rebuild))
    parts = [
        front_matter(release.name, release.licence, facts, written),
        f"# {plain(release.name)}",
        _intro(release, facts),
        *(_picture(picture) for picture in pictures),
        "## Load it\n",
        loading(written, files),
        "## Sources",
        *_sources(facts),
        *_query(release),
        "## Splits",
        *_splits(facts),
        "## Tasks",
        _by_split(facts, "task", facts.tasks),
        "## Languages and authors",
        *_authors(facts),
        "## Verification",
        *_verification(facts),
        "## Known limits",
        _limits(facts),
        "## Build it again",
        _rebuild(facts, rebuild),
        "## Taking something back",
        _TAKEDOWN,
        "## Licence and citation",
        *_citation(release, facts),
    ]
    return _joined(parts)


def _joined(parts: Iterable[str]) -> str:
    return "\n\n".join(part.strip("\n") for part in parts) + "\n"


def _of_digests(release: Release, facts: Facts, written: Sequence[Written], rebuild: Rebuild | None) -> Iterator[str]:
    """The card of a release that holds no row."""
    yield front_matter(release.name, release.licence, facts, written)
    yield f"# {plain(release.name)}"
    going = facts.going
    yield (
        f"The recipe of {count(sum(one.digests for one in going))} instruction rows of {count(len(going))} medical "
        f"source{'s' * (len(going) != 1)}, and digests that prove them. No row, no text and no medium is passed on: "
        "whoever has the sources builds the same rows from the recipe, under the terms of the sources, which "
        "[LICENSE.md](LICENSE.md) quotes."
    )
    yield "## Build it again"
    yield _rebuild(facts, rebuild)
    yield "## Sources"
    yield from _sources(facts)
    yield from _query(release)
    yield "## Taking something back"
    yield _TAKEDOWN
    yield "## Licence and citation"
    yield from _citation(release, facts)


def _intro(release: Release, facts: Facts) -> str:
    going = facts.going
    withheld = sum(sum(source.withheld.values()) for source in facts.sources)
    kept = f" {count(withheld)} further rows of the corpus stay at home, see [Sources](#sources)." if withheld else ""
    sources = f"{count(len(going))} medical source{'s' * (len(going) != 1)}"
    return (
        f"{count(facts.rows)} instruction rows over {count(facts.media)} media of {sources}. "
        f"Each row is a conversation about what its media show, proved against the "
        f"annotations that it names. The whole goes under `{release.licence}`; each row carries its own "
        f"licence, and [LICENSE.md](LICENSE.md) quotes the terms.{kept}\n\n"
        "Not for diagnosis: nobody checked a row at a bedside, and the annotations are those of the sources."
    )


def _picture(picture: Picture) -> str:
    shown = f"![{plain(picture.alternative)}]({picture.path})"
    return f"{shown}\n\n{picture.below}" if picture.below else shown


def _sources(facts: Facts) -> Iterator[str]:
    yield table(
        _SOURCE_HEAD,
        [
            (
                _linked(one.id, one.card.source.home),
                plain(one.card.title),
                plain(", ".join(one.modalities)),
                plain(one.card.source.version or ""),
                plain(", ".join(licence.expression for licence in one.licences) or one.card.terms.licence),
                plain(", ".join(sorted({str(licence.terms) for licence in one.licences}))),
                one.items.met,
                one.items.used,
                one.items.rejected,
                one.items.filtered,
                one.media,
                one.rows,
                sum(one.withheld.values()),
            )
            for one in facts.sources
        ],
    )
    yield (
        "An item is an image file, a series or a clip that was found; `rejected` are wrong or unusable, `filtered` "
        "fine but not wanted. Media and rows are those that go."
    )
    reasons = [(plain(one.id), why, n) for one in facts.sources for why, n in one.withheld.items()]
    if reasons:
        yield "Rows that stay at home:"
        yield table(("source", "why", "rows"), [(name, WITHHELD.get(why, plain(why)), n) for name, why, n in reasons])
    refusals = [(plain(one.id), *cells) for one in facts.sources for cells in one.refusals]
    if refusals:
        yield "What was refused on the way in, and why:"
        yield table(("source", "unit", "verdict", "reason", "number"), refusals)
    limited = [one for one in facts.sources if one.limit is not None]
    if limited:
        told = ", ".join(f"{plain(one.id)} {count(one.limit or 0)}" for one in limited)
        yield f"The recipe takes so many items at most: {told}."


def _query(release: Release) -> Iterator[str]:
    if release.where is not None:
        yield "Among the rows that may go, this query chose:"
        yield f"```sql\n{release.where.strip().replace('```', '` ` `')}\n```"


def _linked(name: str, home: str) -> str:
    """A name that leads home, where home is an address and not a command or a sentence."""
    return f"[{plain(name)}]({_address(home)})" if is_address(home) else plain(name)


def _address(home: str) -> str:
    """Where a source is from, as a link where it is an address."""
    if not is_address(home):
        return plain(home)
    return f"<{home.replace('<', '%3C').replace('>', '%3E')}>"


def _splits(facts: Facts) -> Iterator[str]:
    yield table(("split", "rows", "share", "media", "groups"), [
        (split, rows, share(rows, facts.rows), media, groups) for split, rows, media, groups in facts.splits
    ])  # fmt: skip
    dealt: object = facts.about.recipe.get("split", {})
    fractions = dealt.get("fractions", {}) if isinstance(dealt, dict) else {}
    wanted = ", ".join(f"{name} {part:.0%}" for name, part in fractions.items())
    yield (
        "Media that belong together form a group, and a group lies in one split: no subject, study, file or repeated "
        f"picture crosses over. Groups are dealt out by a hash ({wanted}). What links media to others of their group:"
    )
    yield table(("linked by", "media"), [(_LINKS.get(word, plain(word)), n) for word, n in facts.linked])
    stated = [cells for cells in facts.source_splits if cells[0] is not None]
    if not stated:
        yield "No source states a split of its own for these rows."
        return
    yield (
        "Splits that the sources state are kept in the column `source_split` and do not decide: whoever compares with "
        "figures that were published on a source's own test set must look at this table first."
    )
    splits = [split for split, *_ in facts.splits]
    yield table(("the source's own split", *splits), [
        (plain("not stated" if own is None else own), *(_of(facts.source_splits, own, split) for split in splits))
        for own in dict.fromkeys(own for own, *_ in facts.source_splits)
    ])  # fmt: skip


def _of(cells: Sequence[tuple[object, ...]], first: object, second: object) -> int:
    return sum(int(str(n)) for one, two, n in cells if (one, two) == (first, second))


def _by_split(facts: Facts, what: str, cells: Sequence[tuple[object, ...]]) -> str:
    splits = [split for split, *_ in facts.splits]
    return table((what, *splits, "all"), [
        (f"`{one}`", *(_of(cells, one, split) for split in splits), sum(_of(cells, one, split) for split in splits))
        for one in dict.fromkeys(one for one, *_ in cells)
    ])  # fmt: skip


def _authors(facts: Facts) -> Iterator[str]:
    yield table(("language", "rows"), facts.languages)
    yield table(
        ("origin", "what it means", "rows"),
        [(f"`{origin}`", _ORIGINS.get(origin, ""), rows) for origin, rows in facts.origins],
    )
    yield f"{count(facts.wordings)} different wordings."
    if facts.models:
        yield "Language models whose words stand in rows:"
        yield table(
            ("model", "engine", "where", "rows"),
            [(plain(one.model), plain(one.engine or ""), plain(one.where or ""), one.rows) for one in facts.models],
        )
    else:
        yield "No word of a language model stands in these rows."
    asked = facts.rewriting
    if asked is not None:
        yield (
            f"In the whole corpus {count(asked.drafts)} drafts asked for a rewriting by {count(asked.requests)} "
            f"different requests; {count(asked.answers)} answers came, {count(asked.accepted)} requests have one that "
            f"holds, and {count(asked.pairs)} pairs stand in a model's words."
        )


def _verification(facts: Facts) -> Iterator[str]:
    yield (
        "Every text was read by rules that know the annotations and never the author. A row goes only where no rule "
        "fails; `not applicable` is the answer of a rule that finds nothing of its kind in the text."
    )
    yield table(("rule", "pass", "fail", "not applicable"), [(f"`{rule}`", *cells) for rule, *cells in facts.checks])
    if facts.refused_texts:
        yield "Drafts of these sources that were refused, and why:"
        yield table(("reason", "drafts"), [(f"`{reason}`", n) for reason, n in facts.refused_texts])
    if facts.refused_answers:
        yield "Answers of models that were refused (their rows keep the template):"
        yield table(("reason", "answers"), [(f"`{reason}`", n) for reason, n in facts.refused_answers])


def _limits(facts: Facts) -> str:
    told = [
        "The rules read texts against annotations: none looks at a pixel or knows whether an annotation is true.",
    ]
    open_sets = [
        f"`{plain(one.id)}` {plain(labels.name)}" for one in facts.sources for labels in one.label_sets
        if labels.world == World.OPEN and not labels.exhaustive
    ]  # fmt: skip
    if open_sets:
        told.append(
            f"Open label sets, whose silence says nothing: {', '.join(open_sets)}. A finding that a row of them does "
            "not name may well be in the picture: no row calls it absent because they are silent."
        )
    machine = [
        f"`{plain(one.id)}` {plain(labels.name)} ({', '.join(sorted({*labels.annotators} - {'human'}))})"
        for one in facts.sources for labels in one.label_sets if set(labels.annotators) - {"human"}
    ]  # fmt: skip
    if machine:
        told.append(f"Annotations that no person made: {', '.join(machine)}.")
    told += _balance(facts)
    idle = [f"`{rule}`" for rule, passed, failed, _ in facts.checks if not passed + failed]
    if idle:
        told.append(f"Rules that found nothing to judge in these rows: {', '.join(idle)}.")
    word_for_word = facts.rows_of(Origin.SOURCE)
    if word_for_word:
        told.append(
            f"{count(word_for_word)} rows hold what a source asked and answered word for word: it is delivered, "
            "not judged."
        )
    for one in facts.sources:
        if one.rows and one.card.notes:
            told.append(f"`{plain(one.id)}`, as its card notes: {plain(one.card.notes)}")
    return "\n".join(f"- {one}" for one in told)


def _balance(facts: Facts) -> Iterator[str]:
    present = [(concept, images) for concept, state, images, _ in facts.labels if state == "present"]
    if len(present) > 1:
        (most, n_most), (least, n_least) = present[0], present[-1]
        yield (
            f"Labels are not balanced: {plain(most)} stands in {count(n_most)} images, {plain(least)} in "
            f"{count(n_least)}."
        )


def _rebuild(facts: Facts, rebuild: Rebuild | None) -> str:
    if rebuild is None:
        return "The recipe and the cards of the corpus are not part of this release."
    folder = rebuild.recipe.rpartition("/")[0]
    told = [
        f"The recipe and the cards lie in [{folder}]({folder}). Whoever has the sources, each in a folder by its name:",
        f"```bash\npip install medcurate\ncurate build {rebuild.recipe} --data SOURCES --out corpus\n```",
    ]
    if facts.about.key_fingerprint:
        told.append(
            "Identifiers of persons are tokens under a project key that is no part of a release; with another key "
            f"tokens and splits are other ones. The fingerprint of this one's key is `{facts.about.key_fingerprint}`."
        )
    if rebuild.digests:
        told.append(
            "Of rows that are not passed on the release holds digests alone, from which a corpus that was built from "
            "the source itself is proved to be the same:"
        )
        told.append(table(("source", "digests", "rows"), [
            (plain(name), f"[{path}]({path})", facts.source(name).digests) for name, path in rebuild.digests.items()
        ]))  # fmt: skip
        folder = next(iter(rebuild.digests.values())).rpartition("/")[0]
        told.append(f"```bash\ncurate check corpus --digests {folder}\n```")
    return "\n\n".join(told)


def _citation(release: Release, facts: Facts) -> Iterator[str]:
    if facts.rows:
        yield f"`{release.licence}`; terms, quotations and attribution per source in [LICENSE.md](LICENSE.md)."
    else:
        yield "Nobody stated a licence for recipe and digests; the terms of the sources: [LICENSE.md](LICENSE.md)."
    going = facts.going
    yield "Cite the sources:"
    lines = []
    for one in going:
        cite = one.card.source.cite
        told = plain(cite) if cite else "its card knows no citation"
        lines.append(f"- {plain(one.card.title)} ({_address(one.card.source.home)}): {told}")
    yield "\n".join(lines)


_TAKEDOWN: Final = (
    "Name the row by its `pair_id`, or the picture by its asset id (the name of its file), to whoever publishes this "
    "dataset. What is taken back, and whatever came from it, is left out of the next release and of all later ones; "
    "`CHANGELOG.md` counts it."
)
