"""Draft a source card from a folder that nobody described, and say what cannot be known from its files.

A draft never claims more than was seen: every world is open, nothing is exhaustive, labels keep the source's own
words, and terms stand as unknown until a person has read them.
"""

import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

from curate.errors import UsageError
from curate.layouts import sniff_objects
from curate.layouts.sniff_families import as_images, of_one_family
from curate.layouts.sniff_files import SPLIT_WORDS, Draft, Look, look_at, suffix_of
from curate.layouts.sniff_kinds import FileKind, kinds_of
from curate.layouts.sniff_parquet import embedded_images
from curate.layouts.sniff_records import record_sets
from curate.layouts.sniff_trial import trial
from curate.layouts.tree import Reader

__all__ = ["Sniffed", "sniff"]

_ALWAYS_UNSURE: Final = (
    "terms: quote the licence of the data and say whether they are de-identified; until then nothing is published",
    "source: say where the dataset comes from and which version this is",
    "modality and anatomy: no file says them for the set as a whole",
    "world and exhaustive: left open and false; say so where silence means absence, or where every object is marked",
)
_ID = re.compile(r"[a-z0-9][a-z0-9._-]*")
_DOCUMENT = re.compile(
    r"(?:^|/)(?:(?:licen[sc]e|copying|readme|notice|changelog|citation|sources)[^/]*|dataset(?:_description)?\.json)$",
    re.I,
)
_SUBJECT_FOLDER = re.compile(
    r"(?:^|/)(?P<subject>(?:patient|subject|sub|case|pat|participant|person|p)[ _-]?[0-9]+)(?=[/_.-])", re.IGNORECASE
)
_EXPORT_COPY = re.compile(
    r"(?:^|/)(?P<subject>[^/]+)_(?:png|jpe?g|bmp|tiff?)\.rf\.[0-9a-f]{16,}\.[a-z]+$", re.IGNORECASE
)
_SPLIT_FOLDER = re.compile(rf"(?:^|/)(?P<split>{'|'.join(SPLIT_WORDS)})(?=/)")
_NO_CLASS = re.compile(
    r"^(?:images?|imgs?|data(?:set)?|pictures?|scans?|png|jpe?g|dicom|nifti|volumes?|slides?|videos?"
    r"|images?T[rs]|anat|func|dwi|fmap|raw|src|all|[0-9a-f]{8,}|[\W\d_]+)$",
    re.I,
)


@dataclass(frozen=True, slots=True)
class Sniffed:
    """A card as plain YAML values, and what a person must decide, most important first."""

    card: dict[str, Any]
    unsure: tuple[str, ...]


def sniff(root: Path, *, card_id: str | None = None) -> Sniffed:
    """The draft of a card for the folder `root`; its id is the folder's name unless given.

    Listing the folder takes as long as it is large; of its files a bounded sample is opened, and what was not looked
    at is told.

    Raises:
        DataError: there is no such folder.
        UsageError: no card can have this id.
    """
    if card_id is not None and not _ID.fullmatch(card_id):
        raise UsageError(f"a card's id is lower-case letters, digits, '.', '_' and '-', got {card_id!r}")
    with Reader(root) as reader:
        look = look_at(root, reader)
        images, drafts, look = _recognised(look)
        card, unsure = _card(root, card_id, look, images, drafts)
        unsure += trial(card, look)
    return Sniffed(card, tuple(dict.fromkeys(_one_line(line) for line in unsure)))


def _recognised(look: Look) -> tuple[dict[str, Any], list[Draft], Look]:
    """The card's `images`, its label sets, and the look without what is no picture."""
    embedded = embedded_images(look)
    if embedded is not None:
        beside = f"images: {len(look.images)} image files beside those in Parquet are left out; write them a card"
        images, drafts = embedded
        return images, [*drafts, *([_told(beside)] if look.images else [])], look
    kinds = kinds_of(look)
    flat = [FileKind.PICTURE, FileKind.DICOM]
    masks, mask_keys = sniff_objects.masks(replace(look, images=tuple(kinds.those(look.images, *flat))))
    family, pictures, told = of_one_family(look, kinds, mask_keys)
    masks = masks if family in ("pictures", "dicom") else []
    form, look, drafts = as_images(look, kinds, family, pictures)
    marked = {key for draft in drafts for key in draft.files} | (mask_keys if masks else frozenset())
    readers = (sniff_objects.voc, sniff_objects.coco, sniff_objects.labelme, sniff_objects.text_objects)
    drafts = [*masks, *drafts, *(draft for reader in readers for draft in reader(look))]
    claimed = frozenset(key for draft in drafts for key in draft.files) | marked
    drafts += record_sets(look, claimed, any(draft.objects for draft in drafts))
    if not look.dicom and not any(draft.labels["layout"] != "none" for draft in drafts):
        drafts += _folders(look)
    drafts += [_told(line) for line in (*told, *kinds.unsure)]
    members = {image: look.members(image) for image in look.images}
    named = [held if image.key in look.dicom else held[:1] for image, held in members.items()]  # data follow a header
    free = [entry.name for entry in look.tree.entries if entry.key in marked]
    free += [member.name for held in members.values() for member in held]
    images = {"glob": look.globs((member.name for held in named for member in held), also=free)}
    if form is not None:
        images["form"] = form
    if look.dicom and all(image.key in look.dicom for image in look.images):
        images["header"] = {"modality": "Modality", "anatomy": "BodyPartExamined", "view": "ViewPosition"}
    return images, drafts, look


def _told(line: str) -> Draft:
    """No label set, only something to say."""
    return Draft({"layout": "none"}, frozenset(), (line,))


def _one_line(text: str) -> str:
    """Names of files may hold anything; a line of comment must stay one."""
    return "".join(letter if letter.isprintable() else f"\\u{{{ord(letter):x}}}" for letter in text)


def _card(
    root: Path, card_id: str | None, look: Look, images: dict[str, Any], drafts: list[Draft]
) -> tuple[dict[str, Any], list[str]]:
    name = root.resolve().name
    lists = sniff_objects.split_lists(look)
    subject, subject_unsure = _subject(look, drafts)
    split = {"split": lists[0]} if lists else _split(look, drafts)
    rules = [*subject.values(), *split.get("split", {}).values()]
    labels = _named([draft.labels for draft in drafts if _says_something(draft, rules)])
    claimed = {key for draft in drafts for key in draft.files} | (lists[1] if lists else frozenset())
    claimed |= {str(draft.labels.get("names")) for draft in drafts}
    ignores, left = _left_over(look, frozenset(claimed))
    card: dict[str, Any] = {
        "id": card_id or re.sub(r"[^a-z0-9._-]+", "-", name.lower()).strip("-._") or "unnamed",
        "title": name,
        "source": {"home": "unknown"},
        "terms": {"licence": "LicenseRef-unknown", "quote": "", "read_at": "nowhere yet"},
        "images": images,
        "labels": labels,
        "subject": subject,
    }
    card |= split | ({"ignores": ignores} if ignores else {})
    unsure = []
    if not images["glob"]:
        card["images"] = {**images, "glob": "**/*.png"}
        unsure.append("images: none were found; put those that the labels name below this folder and correct `images`")
    unsure += ["labels: none were recognised"] if not labels else []
    unsure += [
        _licence_seen(look),
        *_ALWAYS_UNSURE[1:],
        *subject_unsure,
        *(line for draft in drafts for line in draft.unsure),
    ]
    return card, [*unsure, *look.unsure, *left]


def _says_something(draft: Draft, rules: list[str]) -> bool:
    """A table is worth a label set where a column is a label, or one that the card's other rules read."""
    layout: str = draft.labels["layout"]
    if layout != "table":
        return layout != "none"
    told = any(draft.labels.get(key) for key in ("columns", "box", "fields"))
    ruled = [*(draft.subject or {}).values(), *(draft.split or {}).values()]
    return told or any(column in rules for column in ruled)


def _named(labels: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Label sets of one layout get names of their own."""
    times = Counter(labels_of["layout"] for labels_of in labels)
    met = Counter[str]()
    named = []
    for labels_of in labels:
        layout = labels_of["layout"]
        met[layout] += 1
        own = {"name": f"{layout}-{met[layout]}"} if times[layout] > 1 else {}
        named.append({"layout": layout, **own, **labels_of})
    return named


def _left_over(look: Look, claimed: frozenset[str]) -> tuple[list[str], list[str]]:
    """Documents to be ignored, and what to say of files that nothing recognised."""
    documents = [entry.name for entry in look.others if entry.key not in claimed and _DOCUMENT.search(entry.name)]
    left = [entry for entry in look.others if entry.key not in claimed and not _DOCUMENT.search(entry.name)]
    kinds = Counter(
        entry.name if len(left) <= 5 else f"*{suffix_of(entry.name) or ' without extension'}" for entry in left
    )
    told = [
        f"files: {times} not understood, {name}" if times > 1 else f"files: not understood, {name}"
        for name, times in kinds.items()
    ]
    return [*look.globs(documents), *look.litter], told


def _licence_seen(look: Look) -> str:
    """What to read about the terms; the licence of a repository's code need not be that of its data."""
    files = [
        entry.name
        for entry in look.others
        if re.search(r"(?:^|/)(?:licen[sc]e|copying)[^/]*$", entry.name, re.IGNORECASE)
    ]
    seen = f"; {', '.join(sorted(files)[:3])} lies in the folder, which may speak of the code alone" if files else ""
    return _ALWAYS_UNSURE[0] + seen


def _subject(look: Look, drafts: Iterable[Draft]) -> tuple[dict[str, Any], list[str]]:
    """The rule that tells subjects, only where columns, headers or almost all paths give evidence."""
    told = next((draft.subject for draft in drafts if draft.subject is not None), None)
    if told is not None:
        return told, [f"subject: taken from column {told['column']!r} by its name"]
    if look.dicom and all(image.key in look.dicom for image in look.images):
        return {"header": "PatientID", "missing": "alone"}, []
    for pattern, what in ((_EXPORT_COPY, "copies of one exported image"), (_SUBJECT_FOLDER, "names in the paths")):
        found = [match["subject"] for image in look.images if (match := pattern.search(image.name))]
        if found and len(found) >= 0.9 * len(look.images) and len(set(found)) < len(look.images):
            return {"pattern": _plain(pattern)}, [
                f"subject: {what}, {len(set(found))} of {len(look.images)} images; check it"
            ]
    return {"none": "nothing in names or columns tells subjects"}, [
        "subject: nothing tells which images are of one patient"
    ]


def _plain(pattern: re.Pattern[str]) -> str:
    return f"(?i:{pattern.pattern})"


def _split(look: Look, drafts: Iterable[Draft]) -> dict[str, Any]:
    told = next((draft.split for draft in drafts if draft.split is not None), None)
    if told is not None:
        return {"split": told}
    found = [match["split"] for image in look.images if (match := _SPLIT_FOLDER.search(image.name))]
    if len(set(found)) > 1 and len(found) >= 0.9 * len(look.images):
        return {"split": {"pattern": rf"(?:^|/)(?P<split>{'|'.join(sorted(set(found), key=len, reverse=True))})/"}}
    return {}


def _folders(look: Look) -> list[Draft]:
    """Folder names as classes: several, in words, each holding several images, beside one another."""
    holding = Counter(image.folder.rpartition("/")[2] for image in look.images)
    names = [name for name in holding if name and name.lower() not in SPLIT_WORDS]
    plausible = [name for name in names if not _NO_CLASS.match(name) and not _SUBJECT_FOLDER.search(f"/{name}/")]
    if len(plausible) < 2 or len(plausible) != len(holding) or len(plausible) * 2 > len(look.images):
        numbers = sorted(name for name in holding if re.fullmatch(r"[0-9]{1,2}", name))
        told = f"folders: images lie in {', '.join(numbers)}; if these number classes, say `layout: folders`"
        return [_told(told)] if len(numbers) > 1 else []
    unsure = (
        f"folders: {', '.join(sorted(plausible)[:20])} are taken for classes; drop the set if they are sites",
        "folders: give standard names in `concepts`; world is open, say `exclusive` if one class rules out the others",
    )
    return [Draft({"layout": "folders", "kind": "class"}, frozenset(), unsure)]
