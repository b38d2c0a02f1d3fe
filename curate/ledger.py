"""The ledger: what came in, what went on, what was refused, and whether that is what the cards expect."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Final

from curate.corpus import Corpus
from curate.schema import Reason, Unit, Verdict
from curate.store.part import WHOLE, Sidecar

__all__ = ["Ledger", "Line", "Shortfall", "judge", "ledger_of", "unit_expected"]


@dataclass(frozen=True, slots=True, order=True)
class Line:
    """One unit of one source in one stage, over all parts."""

    stage: str
    source: str
    unit: str
    n_in: int
    n_used: int
    n_rejected: int
    n_filtered: int


@dataclass(frozen=True, slots=True)
class Ledger:
    """All lines, and the rows in `rejects` by source, verdict and reason."""

    lines: tuple[Line, ...]
    refusals: dict[tuple[str, str, str, str], int] = field(
        default_factory=dict
    )  # (source, unit, verdict, reason) -> rows
    emitted: dict[tuple[str, str], int] = field(default_factory=dict)  # (stage, table) -> rows

    def met(self, source: str, unit: str, stage: str = "scan") -> int:
        """How many units of a source were met."""
        return sum(line.n_in for line in self.lines if (line.stage, line.source, line.unit) == (stage, source, unit))

    def reasons(self, source: str, verdict: str) -> dict[str, int]:
        """Reason -> rows in `rejects`, over all units."""
        found: Counter[str] = Counter()
        for (of, _, said, reason), n in sorted(self.refusals.items()):
            if (of, said) == (source, verdict):
                found[reason] += n
        return dict(found)


@dataclass(frozen=True, slots=True)
class Shortfall:
    """Why a build that built everything still failed."""

    source: str
    message: str


def ledger_of(sidecars: Iterable[Sidecar]) -> Ledger:
    """The ledger of some parts."""
    counts: dict[tuple[str, str, str], list[int]] = {}
    refusals: Counter[tuple[str, str, str, str]] = Counter()
    emitted: Counter[tuple[str, str]] = Counter()
    for sidecar in sidecars:
        for count in sidecar.counts:
            sums = counts.setdefault((sidecar.stage, sidecar.source, count.unit), [0, 0, 0, 0])
            for place, n in enumerate((count.n_in, count.n_used, count.n_rejected, count.n_filtered)):
                sums[place] += n
        for unit, verdicts in sidecar.refusals.items():
            for verdict, reasons in verdicts.items():
                for reason, n in reasons.items():
                    refusals[sidecar.source, unit, verdict, reason] += n
        for table, n in sidecar.emitted.items():
            emitted[sidecar.stage, table] += n
    lines = sorted((Line(*key, *sums) for key, sums in counts.items()), key=_in_flow)
    return Ledger(tuple(lines), dict(refusals), dict(emitted))


_FLOW = ("scan", "read", "group", "draft", "rewrite", "verify", "catalog", "publish")


def _in_flow(line: Line) -> tuple[int, str, str]:
    return _FLOW.index(line.stage), line.source, line.unit


MET_IN: Final = {
    Unit.FILE: "scan",
    Unit.IMAGE: "scan",
    Unit.ROW: "scan",
    Unit.OBJECT: "scan",
    Unit.ITEM: "read",
    Unit.ANNOTATION: "read",
}
"""The units that a card may expect, and the stage that meets them."""


_OF_MODELS: Final = (Unit.REQUEST, Unit.ANSWER)
"""What is refused of these costs a wording, never a row: no limit of rejects speaks of it."""


def unit_expected(key: str) -> Unit:
    """The unit that a key of `expects` names, in the singular or the plural.

    Raises:
        ValueError: it names none.
    """
    for unit in MET_IN:
        if key in (unit, f"{unit}s"):
            return unit
    raise ValueError(f"expects: {key!r} is no unit; the units are {', '.join(f'{unit}s' for unit in MET_IN)}")


def judge(ledger: Ledger, corpus: Corpus) -> tuple[Shortfall, ...]:
    """Where the ledger exceeds the recipe's limit of rejects or contradicts a card's expectations."""
    found: list[Shortfall] = []
    for source in corpus.sources:
        card = source.card
        for key, wanted in sorted(card.expects.items()):
            unit = unit_expected(key)
            met = ledger.met(source.id, unit, MET_IN[unit])
            if met != wanted:
                found.append(Shortfall(source.id, f"expects {wanted} {unit}s, met {met}"))
        found += _over_limit(ledger, source.id, card.expected_rejects, corpus.recipe.limits.rejects)
        if ledger.met(source.id, Unit.IMAGE) == 0:
            found.append(Shortfall(source.id, f"no file matches the card's images ({', '.join(card.images.globs)})"))
    return tuple(found)


def _over_limit(ledger: Ledger, source: str, expected: dict[Reason, int], limit: float) -> list[Shortfall]:
    """Units of which more than the limit was rejected beyond what the card expects; consequences do not count."""
    left = {str(reason): n for reason, n in expected.items()}
    excess: dict[str, dict[str, int]] = {}
    for (of, unit, verdict, reason), n in sorted(ledger.refusals.items()):
        if of != source or verdict != Verdict.REJECTED or Reason(reason).is_consequence or unit in _OF_MODELS:
            continue
        allowed = min(n, left.get(reason, 0))
        left[reason] = left.get(reason, 0) - allowed
        if n > allowed:
            excess.setdefault(unit, {})[reason] = n - allowed
    found = []
    for unit, reasons in excess.items():
        met = sum(line.n_in for line in ledger.lines if (line.source, line.unit) == (source, unit))
        share = sum(reasons.values()) / max(met, 1)
        if share > limit:
            told = ", ".join(f"{reason} {n}" for reason, n in reasons.items())
            found.append(
                Shortfall(
                    source,
                    f"{share:.1%} of {unit}s rejected beyond expected_rejects; the limit is {limit:.1%} ({told})",
                )
            )
    return found


@dataclass(frozen=True, slots=True)
class Rewriting:
    """What one call per distinct request saved, and what came of the calls."""

    drafts: int  # that asked for a rewriting
    requests: int  # distinct ones
    answers: int  # first ones and repaired ones
    accepted: int  # requests with an answer that holds
    pairs: int  # published in a model's words
    prompt_tokens: int
    completion_tokens: int
    refused: dict[str, int]  # reason -> answers refused on the draft that asked first
    refused_elsewhere: int  # times that an accepted answer did not hold for one more draft


def rewriting_of(ledger: Ledger, sidecars: Sequence[Sidecar]) -> Rewriting | None:
    """What a language model did in these parts; null where nobody was asked."""
    told = [sidecar.statistics for sidecar in sidecars if sidecar.stage == "rewrite"]
    if not told:
        return None
    refused: Counter[str] = Counter()
    elsewhere = 0
    for (source, unit, _, reason), n in ledger.refusals.items():
        if unit == Unit.ANSWER and source == WHOLE:
            refused[reason] += n
        elif unit == Unit.ANSWER:
            elsewhere += n
    lines = {(line.stage, line.unit): 0 for line in ledger.lines}
    for line in ledger.lines:
        lines[line.stage, line.unit] += line.n_used
    return Rewriting(
        drafts=sum(each["drafts"] for each in told),
        requests=sum(each["requests"] for each in told),
        answers=sum(each["answers"] for each in told),
        accepted=lines.get(("rewrite", Unit.REQUEST), 0),
        pairs=lines.get(("verify", Unit.ANSWER), 0),
        prompt_tokens=sum(each["prompt_tokens"] for each in told),
        completion_tokens=sum(each["completion_tokens"] for each in told),
        refused=dict(sorted(refused.items())),
        refused_elsewhere=elsewhere,
    )
