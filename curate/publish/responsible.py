"""Properties of Croissant RAI 1.0 that are known of a release. What no card, ledger or row says is absent."""

from collections.abc import Iterator
from typing import Any

from curate._version import __version__
from curate.publish.facts import Facts
from curate.schema import Annotator, Origin, World

__all__ = ["responsible"]


def responsible(facts: Facts) -> dict[str, Any]:
    """`rai:` properties by name."""
    going = facts.going
    if not facts.rows:
        return {"rai:personalSensitiveInformation": ["No row, text or medium of a source is part of the release."]}
    told: dict[str, Any] = {
        "rai:dataCollection": (
            f"Derived from {len(going):,} sources: "
            + "; ".join(f"{one.card.title} ({one.card.source.home})" for one in going)
            + "."
        ),
        "rai:dataCollectionType": ["Secondary Data Analysis"],
        "rai:dataPreprocessingProtocol": [
            "Images are decoded to prove them; metadata that may name a person are taken out; groups of one subject, "
            "study, file or repeated picture lie in one split."
        ],
        "rai:dataAnnotationProtocol": _protocol(facts),
        "rai:machineAnnotationTools": list(_tools(facts)),
        "rai:dataLimitations": list(_limitations(facts)),
        "rai:dataBiases": list(_biases(facts)),
        "rai:dataUseCases": [
            "Instruction tuning of vision-language models on: "
            + ", ".join(sorted({task for task, *_ in facts.tasks}))
            + "."
        ],
        "rai:personalSensitiveInformation": list(_personal(facts)),
        "rai:dataReleaseMaintenancePlan": (
            "What is taken back is left out of the next release with whatever came from it; CHANGELOG.md counts it."
        ),
    }
    return {name: value for name, value in told.items() if value not in (None, [])}


def _protocol(facts: Facts) -> str:
    by_human = _annotations(facts, {Annotator.HUMAN})
    origins = ", ".join(f"{rows:,} {origin}" for origin, rows in facts.origins)
    return (
        f"Annotations are those of the sources; {by_human:,} that rows rest on are stated to be by people. Rows by the "
        f"origin of their text: {origins}. Each text was proved by {len(facts.checks)} rules against the annotations "
        "that its row names."
    )


def _annotations(facts: Facts, wanted: set[str]) -> int:
    """Of label sets all of whose annotators are wanted."""
    return sum(
        labels.annotations for one in facts.sources for labels in one.label_sets if set(labels.annotators) <= wanted
    )


def _tools(facts: Facts) -> Iterator[str]:
    """What wrote or labelled by machine: models first, by the rows that hold their words."""
    for one in facts.models:
        engine = f" on {one.engine}" if one.engine else ""
        where = f" ({one.where})" if one.where else ""
        yield f"{one.model}{engine}{where}: worded {one.rows:,} rows, each proved by rules"
    templates = facts.rows_of(Origin.TEMPLATE)
    if templates:
        yield f"curate {__version__}: worded {templates:,} rows by templates"
    for source in facts.sources:
        for labels in source.label_sets:
            machine = [name for name in labels.annotators if name != Annotator.HUMAN]
            if machine:
                yield f"{source.card.title}, label set {labels.name}: annotated by {', '.join(machine)}"


def _limitations(facts: Facts) -> Iterator[str]:
    yield "Not for diagnosis. The rules read texts against annotations; none looks at a pixel."
    for source in facts.sources:
        for labels in source.label_sets:
            if labels.world == World.OPEN and not labels.exhaustive:
                yield f"{source.card.title}, label set {labels.name}: open, so its silence about a finding says nothing"


def _biases(facts: Facts) -> Iterator[str]:
    present = [(concept, images) for concept, state, images, _ in facts.labels if state == "present"]
    if len(present) > 1:
        yield (
            f"Labels are not balanced: {present[0][0]} stands in {present[0][1]:,} images, {present[-1][0]} in "
            f"{present[-1][1]:,}."
        )
    rows = sorted(((one.rows, one.card.title) for one in facts.sources if one.rows), reverse=True)
    if len(rows) > 1:
        yield f"{rows[0][0] / facts.rows:.1%} of the rows come from one source, {rows[0][1]}."


def _personal(facts: Facts) -> Iterator[str]:
    for one in facts.sources:
        if one.rows and one.card.terms.deidentified:
            yield f"{one.card.title}: stated to be de-identified"
    yield "Identifiers of persons are tokens under a key that is no part of the release."
