"""Count what the verifier catches and what it refuses: `python -m bench.verify.run`.

Clean: every draft of the seven-source corpus, of some phantoms and about made-up facts, as its task wrote it and as if
a model had, and the hand-written sentences, each file apart. Mutants: of accepted rows alone, chosen by hashes, at most
`--per-kind` of a kind and group. Hand-written lies: each once, by kind of lie, apart from the mutants.
"""

import argparse
import json
import sys
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any

from bench.verify.entries import lies_of_folder, rows_of_folder
from bench.verify.intervals import Rate
from bench.verify.judging import Judge
from bench.verify.made import LANGUAGES, made_rows
from bench.verify.mutators import families, kinds, mutants
from bench.verify.published import PublishedRates, judge_published, preference_files, print_published
from bench.verify.rows import Draw, Mutant, Row
from bench.verify.sources import OF_PHANTOMS, RECIPE, SOURCE_TEXT, as_model_text, corpus_rows, opened, opened_phantoms
from curate.schema import Refusal, identity

__all__ = ["Bench", "chosen_mutants", "main"]

PER_KIND = 90
"""Mutants of one kind in one group: about forty thousand in all."""
ROWS_PER_SHAPE = 120
"""Rows of one source, task and ask that are mutated."""
CAUGHT_AT_LEAST, REFUSED_AT_MOST = 0.995, 0.02
"""What is promised."""


@dataclass
class Bench:
    """What was counted. Group -> ..., kind -> ...; `lies` are the hand-written ones, `misses` are for reading."""

    clean: dict[str, Counter[bool]] = field(default_factory=lambda: defaultdict(Counter))
    caught: dict[str, dict[str, Counter[bool]]] = field(
        default_factory=lambda: defaultdict(lambda: defaultdict(Counter))
    )
    lies: dict[str, dict[str, Counter[bool]]] = field(default_factory=lambda: defaultdict(lambda: defaultdict(Counter)))
    reasons: dict[str, Counter[str]] = field(default_factory=lambda: defaultdict(Counter))
    misses: list[dict[str, Any]] = field(default_factory=list)
    published: dict[str, PublishedRates] = field(default_factory=dict)

    def clean_rates(self) -> dict[str, Rate]:
        """Group -> share of true texts that are refused."""
        return {group: Rate(counted[True], counted.total()) for group, counted in self.clean.items()}

    def kind_rates(self, groups: Iterable[str] | None = None) -> dict[str, Rate]:
        """Kind -> share of false texts that are refused, in the order of the mutators."""
        wanted = list(self.caught) if groups is None else list(groups)
        return {
            kind: sum(
                (Rate(self.caught[group][kind][True], self.caught[group][kind].total()) for group in wanted), Rate(0, 0)
            )
            for kind in kinds()
        }

    def group_rates(self) -> dict[str, Rate]:
        """Group -> share of false texts that are refused."""
        return {
            group: sum((Rate(counted[True], counted.total()) for counted in by_kind.values()), Rate(0, 0))
            for group, by_kind in self.caught.items()
        }

    def lie_rates(self) -> dict[str, Rate]:
        """Group of hand-written lies -> share that is refused."""
        return {
            group: sum((Rate(counted[True], counted.total()) for counted in by_lie.values()), Rate(0, 0))
            for group, by_lie in self.lies.items()
        }

    def lie_kind_rates(self) -> dict[str, Rate]:
        """Kind of hand-written lie -> share that is refused, over all groups."""
        return {
            lie: sum((Rate(each[lie][True], each[lie].total()) for each in self.lies.values()), Rate(0, 0))
            for lie in sorted({lie for by_lie in self.lies.values() for lie in by_lie})
        }


def chosen_mutants(rows: Iterable[Row], per_kind: int) -> list[tuple[Row, Mutant]]:
    """At most so many mutants of each kind, those whose hashes are smallest, in the order of the rows."""
    found: dict[str, list[tuple[str, int, Row, Mutant]]] = defaultdict(list)
    order = 0
    for row in rows:
        for mutant in mutants(row):
            rank = identity("chosen", row.group, row.row_id, mutant.kind, mutant.prompt, mutant.answer)
            found[mutant.kind].append((rank, order, row, mutant))
            order += 1
        for kind, ranked in found.items():
            if len(ranked) > 4 * per_kind:
                found[kind] = sorted(ranked, key=lambda each: each[:2])[:per_kind]
    kept = [each for ranked in found.values() for each in sorted(ranked, key=lambda each: each[:2])[:per_kind]]
    return [(row, mutant) for _, _, row, mutant in sorted(kept, key=lambda each: each[1])]


def judge_clean(bench: Bench, rows: Iterable[Row], judge: Judge) -> Iterator[Row]:
    """Count each row; those that are accepted come out again."""
    for row in rows:
        verdict = judge.verdict(row)
        bench.clean[row.group][verdict is not None] += 1
        if verdict is None:
            yield row
        else:
            why = f"{verdict.reason}: {verdict.detail}" if isinstance(verdict, Refusal) else f"failed with {verdict}"
            _miss(bench, row, None, why)


def judge_mutants(bench: Bench, rows: Iterable[Row], per_kind: int, judge: Judge) -> None:
    """Mutate rows of one group and count what is refused."""
    for row, mutant in chosen_mutants(rows, per_kind):
        verdict = judge.verdict(row.mutated(mutant))
        bench.caught[row.group][mutant.kind][isinstance(verdict, Refusal)] += 1
        if isinstance(verdict, Refusal):
            bench.reasons[mutant.kind][str(verdict.reason)] += 1
        else:
            _miss(bench, row, mutant, mutant.why if verdict is None else f"failed with {verdict}")


def judge_lies(bench: Bench, rows: Iterable[tuple[Row, str]], judge: Judge) -> None:
    """Count what is refused of hand-written false rows, each beside its kind of lie."""
    for row, lie in rows:
        verdict = judge.verdict(row)
        bench.lies[row.group][lie][isinstance(verdict, Refusal)] += 1
        if not isinstance(verdict, Refusal):
            _miss(bench, row, None, f"lie: {lie}" if verdict is None else f"failed with {verdict}", lie)


def _miss(bench: Bench, row: Row, mutant: Mutant | None, why: str, lie: str | None = None) -> None:
    bench.misses.append(
        {
            "group": row.group,
            "kind": mutant.kind if mutant else lie or "clean",
            "row": row.row_id,
            "source": row.draft.source,
            "asks": row.mutated(mutant).asks if mutant else row.asks,
            "prompt": mutant.prompt if mutant else row.draft.messages[0].content,
            "clean": row.answer,
            "answer": mutant.answer if mutant else row.answer,
            "why": why,
        }
    )


def sampled(rows: Iterable[Row], per_shape: int) -> list[Row]:
    """At most so many rows of each source, task and ask, chosen by a hash."""
    shapes: dict[tuple[str, str, str], list[Row]] = defaultdict(list)
    for row in rows:
        shapes[row.draft.source, row.kind, row.asks["ask"]].append(row)
    return [
        row
        for _, found in sorted(shapes.items())
        for row in Draw("sampled", found[0].group).some(found[0].row_id, found, per_shape)
    ]


def measured(
    recipe: Path,
    data: Path | None,
    corpus: Path | None,
    *,
    limit: int | None,
    per_kind: int,
    published: Path | None,
    phantoms: Path | None,
) -> Bench:
    """The whole bench. `limit`: so many drafts of the corpus and so many hand-written rows a file at most."""
    bench, judge = Bench(), Judge()
    by_file: dict[str, list[Row]] = defaultdict(list)
    for row in rows_of_folder():
        by_file[row.group].append(row)
    for group in sorted(by_file):
        judge_mutants(bench, list(judge_clean(bench, by_file[group][:limit], judge)), per_kind, judge)
    judge_lies(bench, islice(lies_of_folder(), limit), judge)
    with opened(recipe, data, corpus) as run:
        drafts = list(corpus_rows(run))[:limit]
    with opened_phantoms(phantoms) as run:
        drafts += list(corpus_rows(run, OF_PHANTOMS))[:limit]
    drafts += [row for language in LANGUAGES for row in list(made_rows(language))[:limit]]
    drafts += [as_model_text(row) for row in drafts if row.group != SOURCE_TEXT]
    for group in sorted({row.group for row in drafts}):
        accepted = list(judge_clean(bench, (row for row in drafts if row.group == group), judge))
        judge_mutants(bench, sampled(accepted, ROWS_PER_SHAPE), per_kind, judge)
    for path in published_files(data, published):
        bench.published[path.name] = judge_published(path, judge)
    return bench


def published_files(data: Path | None, named: Path | None) -> list[Path]:
    """The preference files to judge: a file, those below a folder, or those of the published records in the data."""
    if named is not None and named.is_file():
        return [named]
    folder = named if named is not None else None if data is None else data / "seed-records"
    return list(preference_files(folder)) if folder is not None and folder.is_dir() else []


def as_json(bench: Bench) -> dict[str, Any]:
    """The rates as they go into README and dataset card: `bench/verify/rates.json`."""
    hand = [group for group in bench.caught if group.startswith("hand")]
    total = sum(bench.kind_rates().values(), Rate(0, 0))
    return {
        "promise": {"caught_at_least": CAUGHT_AT_LEAST, "clean_refused_at_most": REFUSED_AT_MOST},
        "interval": "Wilson, 95 %",
        "clean_refused": {group: rate.as_json() for group, rate in bench.clean_rates().items()},
        "caught": total.as_json(),
        "caught_by_group": {group: rate.as_json() for group, rate in bench.group_rates().items()},
        "caught_by_family": {
            family: sum((bench.kind_rates()[kind] for kind in members), Rate(0, 0)).as_json()
            for family, members in families().items()
        },
        "caught_by_kind": {kind: rate.as_json() for kind, rate in bench.kind_rates().items()},
        "hand_written_lies": {group: rate.as_json() for group, rate in bench.lie_rates().items()},
        "hand_written_lies_by_kind": {lie: rate.as_json() for lie, rate in bench.lie_kind_rates().items()},
        "published": {name: rates.as_json() for name, rates in bench.published.items()},
        "caught_by_kind_hand_written": {kind: rate.as_json() for kind, rate in bench.kind_rates(hand).items()},
    }


def print_tables(bench: Bench) -> None:
    """Kinds, groups and clean texts, a line each."""
    print(f"\n{'mutants caught, by kind':46}{'n':>7} {'caught':>8}  95 % interval")
    rates = bench.kind_rates()
    for family, members in families().items():
        for kind in members:
            print(f"{family:14}{kind:32}{rates[kind]}")
    total = sum(bench.kind_rates().values(), Rate(0, 0))
    print(f"{'all':46}{total}")
    print("\nmutants caught, by group")
    for group, rate in bench.group_rates().items():
        print(f"{group:46}{rate}")
    print("\nhand-written lies caught, by kind and by group")
    for name, rate in (bench.lie_kind_rates() | bench.lie_rates()).items():
        print(f"{name:46}{rate}")
    print("\ntrue texts refused, by group")
    for group, rate in bench.clean_rates().items():
        print(f"{group:46}{rate}")
    for name, published in bench.published.items():
        print_published(name, published)


def main(arguments: list[str] | None = None) -> int:
    """Exit code 1 where the promise does not hold."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--recipe", type=Path, default=RECIPE)
    parser.add_argument("--data", type=Path, help="the folder of the recipe's sources")
    parser.add_argument("--corpus", type=Path, help="an output of this recipe that is built already")
    parser.add_argument("--phantoms", type=Path, help="where phantoms are made and built, to be kept")
    parser.add_argument("--published", type=Path, help="a file of preference pairs, or a folder of such files")
    parser.add_argument("--limit", type=int, help="so many rows of a group at most")
    parser.add_argument("--per-kind", type=int, default=PER_KIND, help="mutants of a kind and group")
    parser.add_argument("--out", type=Path, help="write the rates here, as JSON")
    parser.add_argument("--misses", type=Path, help="write survivors and refused true texts here, as JSON lines")
    options = parser.parse_args(arguments)
    bench = measured(
        options.recipe,
        options.data,
        options.corpus,
        limit=options.limit,
        per_kind=options.per_kind,
        published=options.published,
        phantoms=options.phantoms,
    )
    print_tables(bench)
    if options.out:
        options.out.write_text(json.dumps(as_json(bench), indent=1) + "\n")
    if options.misses:
        misses = [*bench.misses, *(miss for rates in bench.published.values() for miss in rates.misses)]
        lines = (json.dumps(miss, ensure_ascii=False) for miss in misses)
        options.misses.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    total = sum(bench.kind_rates().values(), Rate(0, 0))
    kept = (total.share or 0) >= CAUGHT_AT_LEAST and all(
        (rate.share or 0) <= REFUSED_AT_MOST for rate in bench.clean_rates().values()
    )
    print("\nThe promise holds." if kept else "\nThe promise does not hold.")
    return 0 if kept else 1


if __name__ == "__main__":
    sys.exit(main())
