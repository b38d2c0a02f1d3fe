"""A drafted card tried on its own folder: what a build would refuse, and which keys a person must fill."""

import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from curate import layouts
from curate.card import Card, LabelSet, parse_card
from curate.errors import CurateError
from curate.images import frames_of
from curate.images.formats import Format, form_of, format_of
from curate.images.volume_data import VolumeData
from curate.layouts.absent import Absent, distinct, listed_names
from curate.layouts.base import Context, ImageRef, Record, Refused
from curate.layouts.image_index import ImageIndex
from curate.layouts.sniff_files import MAX_BUDGET_BYTES, Look
from curate.layouts.sniff_kinds import HEAD_BYTES, head_of
from curate.layouts.sniff_volumes import Volumes
from curate.layouts.tree import Entry
from curate.schema import Form, Reason, Refusal, Unit, Verdict

__all__ = ["trial"]

MAX_FILES: Final = 5000
"""Label files of one set that are read; a set of more is not tried."""

MAX_UNITS: Final = 300_000
"""Rows and objects that are looked at before a trial is broken off."""

MAX_HEADERS: Final = 64
"""Images whose headers are read; pixels never are."""

MAX_IMAGE_BYTES: Final = 32 * 2**20
"""Larger images are not opened."""


@dataclass(slots=True)
class _Met:
    """What the label sets say, as far as they were tried."""

    missing: dict[Absent, None] = field(default_factory=dict)  # images that are not here, in the order met
    refused: Counter[tuple[str, str, Reason]] = field(default_factory=Counter)  # (label set, unit, why) -> times
    labelled: set[str] = field(default_factory=set)
    columns: dict[str, dict[str, set[str]]] = field(default_factory=dict)  # image -> column -> values
    untried: list[str] = field(default_factory=list)


def trial(drafted: dict[str, Any], look: Look) -> list[str]:
    """Lines for a person: how many named images are absent, what is refused and why, whom no subject rule reaches.

    Label files are read as a build reads them, within bounds that are told where they are met.
    """
    card = parse_card(drafted, "the draft")
    if card.images.column is not None:
        return []
    images = list(look.images)
    met = _Met()
    for labels in card.labels:
        try:
            _try_set(card, labels, look, images, met)
        except CurateError as problem:
            met.untried.append(f"{labels.name}: {problem}")
    _try_lists(card, look, met)
    placeless = _without_place(look, images) if card.images.form == "volume" else []
    bad, sampled = _BAD.get(card.images.form or "", _bad_images)(look, images)
    return [
        *_on_images(len(images), met, bad, sampled),
        *_on_subjects(card, images, met),
        *placeless,
        *met.untried,
        *_on_expectations(met, bad if sampled == len(images) else Counter()),
    ]


def _try_set(card: Card, labels: LabelSet, look: Look, images: list[Entry], met: _Met) -> None:
    layout = layouts.layout_of(labels)
    options = layouts.options_of(labels, card.id)
    read = look.reader.read
    context = Context(
        card, labels, options, look.tree, lambda entry: read(entry.path, entry.member), images, look.headers, look.index
    )
    files = layout.label_files(context)
    if len(files) > MAX_FILES or sum(entry.bytes for entry in files) > MAX_BUDGET_BYTES:
        met.untried.append(f"{labels.name}: {len(files)} label files are too many or too large to try; build and see")
        return
    index = look.index
    for number, unit in enumerate(layout.scan(context)):
        if number == MAX_UNITS:
            met.untried.append(f"{labels.name}: only the first {MAX_UNITS} rows and objects were tried")
            return
        _note(unit, labels, index, met)


def _note(unit: Record | Refused, labels: LabelSet, index: ImageIndex, met: _Met) -> None:
    if isinstance(unit, Refused):
        if unit.refusal.verdict is Verdict.REJECTED:
            met.refused[labels.name, unit.unit, unit.refusal.reason] += 1
        found = index.resolve(unit.image.name, unit.image.near) if unit.image is not None else None
        if isinstance(found, Entry):
            _note_columns(found, unit.columns, met)
        return
    found = index.resolve(unit.image.name, unit.image.near)
    if isinstance(found, Entry):
        met.labelled.add(found.key)
        _note_columns(found, unit.columns, met)
    elif found.reason is Reason.MISSING_FILE:
        met.missing.setdefault(Absent.of(unit.image, labels.name))
    elif unit.unit is not Unit.FILE:
        met.refused[labels.name, unit.unit, found.reason] += 1


def _note_columns(image: Entry, columns: Mapping[str, str], met: _Met) -> None:
    known = met.columns.setdefault(image.key, {})
    for column, value in columns.items():
        known.setdefault(column, set()).add(value)


def _try_lists(card: Card, look: Look, met: _Met) -> None:
    """Images that a list of a split names, and that are not here."""
    if card.split is None or card.split.lists is None:
        return
    for entry, _ in look.tree.match_template(card.split.lists):
        text = (look.read(entry) or b"").decode("utf-8-sig", "replace")
        for line in listed_names(text)[:MAX_UNITS]:
            if not any(look.finds(name, entry.folder) for name in line.names):
                met.missing.setdefault(Absent.of(ImageRef(line.told, entry.folder)))


def _bad_images(look: Look, images: list[Entry]) -> tuple[Counter[Reason], int]:
    """Why the headers of a few images forbid to read them, and how many were looked at."""
    bad = Counter[Reason]()
    sample = [image for image in images[:: max(len(images) // MAX_HEADERS, 1)] if image.bytes <= MAX_IMAGE_BYTES]
    sample = [image for image in sample if form_of(head_of(look, image, HEAD_BYTES)) is Form.IMAGE]
    for image in sample:
        data = look.read(image)
        frames = frames_of(data) if data else Refusal(Reason.EMPTY_FILE)
        if isinstance(frames, Refusal):
            bad[frames.reason] += 1
        elif frames < 1:
            bad[Reason.NO_PIXELS] += 1
    return bad, len(sample)


def _without_place(look: Look, images: list[Entry]) -> list[str]:
    """What becomes of volumes that no header places in the patient."""
    volumes = Volumes(look)
    headers = [said for image in images if isinstance(said := volumes.header(image), VolumeData)]
    astray = sum(said.grid is None for said in headers)
    if not astray:
        return []
    return [
        f"images: {astray} of {len(headers)} volumes looked at state no place in the patient; a recipe that wants "
        "slices of them gets none (no_geometry)"
    ]


def _bad_volumes(look: Look, images: list[Entry]) -> tuple[Counter[Reason], int]:
    """The same of volumes, by their headers."""
    volumes = Volumes(look)
    said = [volumes.header(image) for image in images]
    return Counter(one.reason for one in said if isinstance(one, Refusal)), sum(one is not None for one in said)


def _bad_slides(look: Look, images: list[Entry]) -> tuple[Counter[Reason], int]:
    """The same of slides that are TIFF files by their names: by their first bytes alone."""
    named = [image for image in images if not _NO_TIFF.search(image.name)]
    heads = [head_of(look, image, HEAD_BYTES) for image in named]
    bad = sum(format_of(head) is not Format.TIFF for head in heads)
    return +Counter({Reason.UNSUPPORTED_FORMAT: bad}), len(named)


_NO_TIFF: Final = re.compile(r"\.(?:mrxs|vms|vmu)$", re.IGNORECASE)

_BAD: Final = {"volume": _bad_volumes, "slide": _bad_slides}


def _on_images(here: int, met: _Met, bad: Counter[Reason], sampled: int) -> list[str]:
    told = []
    absent = len(distinct(met.missing))
    if absent:
        told.append(
            f"images: {absent} of {here + absent} that labels or lists name are not here; fetch them if you can"
        )
    if bad:
        told.append(f"images: of {sampled} looked at {bad.total()} cannot be read ({_counted(bad)})")
    if met.labelled and len(met.labelled) < here:
        told.append(f"labels: {here - len(met.labelled)} of {here} images have none")
    for (name, unit, reason), times in sorted(met.refused.items()):
        told.append(f"{name}: {times} {unit}s will be refused as {reason}; `curate rejects --list` names them")
    return told


def _on_subjects(card: Card, images: list[Entry], met: _Met) -> list[str]:
    rule = card.subject
    if rule.column is not None:
        values = [met.columns.get(image.key, {}).get(rule.column, set()) - {""} for image in images]
    elif rule.pattern is not None:
        found = [re.search(rule.pattern, image.name) for image in images]
        values = [{match["subject"]} if match and match["subject"] else set() for match in found]
    else:
        return []
    none, several = sum(not one for one in values), sum(len(one) > 1 for one in values)
    told = []
    if none and not met.untried:
        told.append(
            f"subject: the rule finds none for {none} of {len(images)} images, which are refused as no_subject; "
            "correct it, or say `missing: alone` if each of them is a patient of its own"
        )
        met.refused["subject", Unit.IMAGE, Reason.NO_SUBJECT] += none
    if several:
        told.append(
            f"subject: {several} of {len(images)} images have several, which are refused as conflicting_subject"
        )
        met.refused["subject", Unit.IMAGE, Reason.CONFLICTING_SUBJECT] += several
    return told


def _on_expectations(met: _Met, bad: Counter[Reason]) -> list[str]:
    """The key that a person must fill for a build to pass as it is, with what it would hold."""
    expected = Counter(bad)
    for (_, _, reason), times in met.refused.items():
        if not reason.is_consequence:
            expected[reason] += times
    absent = len(distinct(met.missing))
    if absent:
        expected[Reason.MISSING_FILE] += absent
    if not expected:
        return []
    stated = ", ".join(f"{reason}: {times}" for reason, times in sorted(expected.items()))
    return [f"expected_rejects: if all that is missing or refused is known to be, say `expected_rejects: {{{stated}}}`"]


def _counted(reasons: Counter[Reason]) -> str:
    return ", ".join(f"{reason} {times}" for reason, times in sorted(reasons.items()))
