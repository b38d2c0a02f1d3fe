"""Annotations and drafts in words: rows of tables, and texts beside each other."""

from collections.abc import Mapping, Sequence
from typing import Any

from curate.rows import Annotation, Draft, Message
from curate.schema import Origin
from curate.view.shown import Answer, Pair, Said, Thumbnail, Turn

__all__ = ["pair_of", "said_of"]


def said_of(number: int, one: Annotation, colours: Mapping[str, int]) -> Said:
    """One annotation as a row."""
    concept = one.concept or one.label or ""
    spoken = one.label if one.label and one.label != concept else None
    label = concept + (f" (source: {spoken})" if spoken else "")
    return Said(
        number=number,
        kind=str(one.kind),
        label=label + (f", {one.side}" if one.side else ""),
        state="" if one.state is None else str(one.state),
        value=_value(one),
        place=_place(one),
        origin=" · ".join([one.label_set, one.file, one.locator, f"by {one.annotator}", *one.flags]),
        colour=colours.get(concept) if one.frame is not None else None,
    )


def _value(one: Annotation) -> str:
    """What it says in numbers and words."""
    parts = []
    if one.value is not None:
        parts.append(f"{one.value:g}" + (f" {one.unit}" if one.unit else ""))
    if one.question:
        parts.append(f"Q: {one.question}")
    if one.text:
        parts.append(one.text)
    parts += [f"{name}: {value}" for name, value in sorted(one.qualifiers.items())]
    return "\n".join(parts)


def _place(one: Annotation) -> str:
    """Where it lies, in the pixels of its frame."""
    parts = []
    if one.point is not None:
        parts.append("(" + ", ".join(f"{value:.1f}" for value in one.point) + ")")
    elif one.box is not None:
        parts.append("[" + ", ".join(f"{value:.1f}" for value in one.box) + "]")
    if one.area_px is not None:
        parts.append(f"{one.area_px:,.0f} px")
    if one.area_mm2 is not None:
        parts.append(f"{one.area_mm2:,.1f} mm2")
    if one.volume_mm3 is not None:
        parts.append(f"{one.volume_mm3:,.0f} mm3")
    if one.mean_hu is not None:
        parts.append(f"{one.mean_hu:,.1f} HU")
    return ", ".join(parts)


def pair_of(
    draft: Draft,
    *,
    asked: bool,
    pairs: Mapping[str, Mapping[str, Any]],
    responses: Mapping[str, Sequence[Mapping[str, Any]]],
    judged: Mapping[str, Mapping[str, Any]],
    answered: Mapping[str, Sequence[Mapping[str, Any]]],
    images: tuple[Thumbnail, ...] = (),
) -> Pair:
    """One draft with what became of it.

    `judged` and `answered` are rows of `rejects` by locator: of drafts, and of answers on the drafts they were for.
    """
    pair = pairs.get(draft.draft_id)
    locator = f"{draft.task} {draft.draft_id}"
    refusal = judged.get(locator, {})
    rewritten = None
    if pair is not None and pair["response_id"] is not None:
        rewritten = tuple(Turn(message["role"], message["content"]) for message in pair["messages"])
    return Pair(
        draft_id=draft.draft_id,
        task=draft.task,
        wording=draft.wording,
        origin=str(draft.origin) if rewritten is None else str(Origin.LLM),
        kept=pair is not None,
        draft=_turns(draft.messages),
        rewritten=rewritten,
        asked=asked,
        answers=_answers(responses.get(draft.request_id or "", ()), answered.get(locator, ())),
        checks=() if pair is None else tuple(pair["checks"].items()),
        reason=str(refusal.get("reason", "")),
        detail=str(refusal.get("detail", "")),
        images=images,
    )


def _turns(messages: Sequence[Message]) -> tuple[Turn, ...]:
    return tuple(Turn(message.role, message.content) for message in messages)


def _answers(rows: Sequence[Mapping[str, Any]], refused: Sequence[Mapping[str, Any]]) -> tuple[Answer, ...]:
    """The answers to a request; one that holds for the draft that asked first may be refused for another."""
    elsewhere = {row["item_key"]: row for row in refused}
    found = []
    for row in sorted(rows, key=lambda row: int(row["attempt"])):
        why = elsewhere.get(row["response_id"])
        verdict, told = ("refused for this image", why) if why is not None else (row["verdict"], row)
        found.append(
            Answer(int(row["attempt"]), row["text"] or "", verdict, told["reason"] or "", told["detail"] or "")
        )
    return tuple(found)
